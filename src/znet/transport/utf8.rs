//! UTF-8 that comes in pieces, judged as early as can be.

/// What has come so far is UTF-8, up to a character that may not be whole.
#[derive(Default)]
pub(super) struct Utf8 {
    /// The beginning of a character.
    begun: [u8; 4],
    len: usize,
}

impl Utf8 {
    /// Takes a piece. `Err` if no continuation makes it UTF-8.
    pub(super) fn take(&mut self, mut piece: &[u8]) -> Result<(), ()> {
        while self.len > 0 {
            let [first, rest @ ..] = piece else { return Ok(()) };
            self.begun[self.len] = *first;
            self.len += 1;
            piece = rest;
            match std::str::from_utf8(&self.begun[..self.len]) {
                Ok(_) => self.len = 0,
                Err(error) if error.error_len().is_some() => return Err(()),
                Err(_) => {}
            }
        }
        let Err(error) = std::str::from_utf8(piece) else { return Ok(()) };
        if error.error_len().is_some() {
            return Err(());
        }
        let rest = &piece[error.valid_up_to()..];
        self.begun[..rest.len()].copy_from_slice(rest);
        self.len = rest.len();
        Ok(())
    }

    /// Whether no character is cut off.
    pub(super) const fn is_whole(&self) -> bool {
        self.len == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Feeds all in pieces of each length; returns after how many bytes it is refused, which must not depend on them.
    fn refused_after(text: &[u8]) -> Option<usize> {
        let mut outcomes = (1..=text.len()).map(|piece| {
            let (mut utf8, mut came) = (Utf8::default(), 0);
            for piece in text.chunks(piece) {
                if utf8.take(piece).is_err() {
                    return Some(came / piece.len().max(1));
                }
                came += piece.len();
            }
            (!utf8.is_whole()).then_some(came)
        });
        let bytewise = outcomes.next().unwrap();
        assert!(outcomes.all(|outcome| outcome.is_some() == bytewise.is_some()), "{text:x?}");
        bytewise
    }

    #[test]
    fn a_text_is_taken_however_it_is_cut() {
        for text in ["", "a", "Hello-µ@ßöäüàá-UTF-8!!", "\u{7ff}\u{800}\u{ffff}\u{10000}\u{10ffff}", "κόσμε"]
        {
            assert!(text.is_empty() || refused_after(text.as_bytes()).is_none(), "{text}");
        }
    }

    #[test]
    fn what_is_none_is_refused_with_the_first_byte_that_shows_it() {
        let cases: [(&[u8], usize); 7] = [
            (b"ab\xff", 2),
            (b"a\x80", 1),
            // Beyond U+10FFFF, half of a pair, overlong.
            (b"\xf4\x90\x80\x80", 1),
            (b"\xed\xa0\x80", 1),
            (b"\xc0\xaf", 0),
            (b"\xe0\x80\xaf", 1),
            (b"\xe2\x82a", 2),
        ];
        for (text, at) in cases {
            assert_eq!(refused_after(text), Some(at), "{text:x?}");
        }
        assert_eq!(refused_after(b"abc\xe2\x82"), Some(5), "cut off");
    }
}
