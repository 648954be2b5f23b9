//! What `?` in a handler turns into an [`Error`].

use std::error::Error as StdError;

use super::Error;

/// Errors that become [`Error::Other`] as they are.
macro_rules! other {
    ($($(#[$when:meta])* $source:ty),+ $(,)?) => {$(
        $(#[$when])*
        impl From<$source> for Error {
            fn from(source: $source) -> Self {
                Self::other(source)
            }
        }
    )+};
}

other! {
    // Text and numbers.
    std::str::Utf8Error,
    std::string::FromUtf8Error,
    std::string::FromUtf16Error,
    std::num::ParseIntError,
    std::num::ParseFloatError,
    std::num::TryFromIntError,
    std::str::ParseBoolError,
    std::char::ParseCharError,
    std::char::CharTryFromError,
    std::array::TryFromSliceError,
    std::fmt::Error,
    // The world around.
    std::net::AddrParseError,
    std::time::SystemTimeError,
    std::env::VarError,
    // A handler's own words.
    &str,
    String,
    std::borrow::Cow<'_, str>,
    Box<dyn StdError + Send + Sync>,
    #[cfg(feature = "json")]
    #[cfg_attr(docsrs, doc(cfg(feature = "json")))]
    serde_json::Error,
    #[cfg(feature = "protobuf")]
    #[cfg_attr(docsrs, doc(cfg(feature = "protobuf")))]
    prost::DecodeError,
    #[cfg(feature = "protobuf")]
    #[cfg_attr(docsrs, doc(cfg(feature = "protobuf")))]
    prost::EncodeError,
}

/// A lock that a panic has left behind, with `std::sync::Mutex`: what it guards is not looked at.
impl<T> From<std::sync::PoisonError<T>> for Error {
    fn from(source: std::sync::PoisonError<T>) -> Self {
        Self::other(source.to_string())
    }
}

/// The receiver is gone. What was to be sent is dropped.
impl<T> From<std::sync::mpsc::SendError<T>> for Error {
    fn from(source: std::sync::mpsc::SendError<T>) -> Self {
        Self::other(source.to_string())
    }
}

/// An error that may not leave its thread keeps its words and loses its source.
impl From<Box<dyn StdError>> for Error {
    fn from(source: Box<dyn StdError>) -> Self {
        source.downcast::<Self>().map_or_else(|source| Self::other(source.to_string()), |own| *own)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Boxed = Box<dyn StdError + Send + Sync>;

    fn read(text: &[u8]) -> Result<u16, Error> {
        if text.is_empty() {
            Err("nothing to read")?;
        }
        Ok(std::str::from_utf8(text)?.trim().parse::<u16>()?)
    }

    #[test]
    fn what_a_handler_asks_for_goes_through_a_question_mark() {
        assert_eq!(read(b" 7 ").unwrap(), 7);
        for (text, words) in [
            (&b"\xff"[..], "invalid utf-8 sequence of 1 bytes from index 0"),
            (b"70000", "number too large to fit in target type"),
            (b"seven", "invalid digit found in string"),
            (b"", "nothing to read"),
        ] {
            let error = read(text).unwrap_err();
            assert!(matches!(error, Error::Other(_)), "{error:?}");
            assert_eq!(error.to_string(), words);
        }
    }

    #[test]
    fn a_lock_left_by_a_panic_and_a_channel_without_a_receiver_are_errors() {
        let lock = std::sync::Mutex::new(7);
        let poisons = || {
            let _guard = lock.lock();
            panic!("as the test wants");
        };
        std::thread::scope(|scope| assert!(scope.spawn(poisons).join().is_err()));
        let read = || -> Result<i32, Error> { Ok(*lock.lock()?) };
        assert!(read().unwrap_err().to_string().contains("poisoned"));
        let (sender, receiver) = std::sync::mpsc::channel();
        drop(receiver);
        let send = || -> Result<(), Error> { Ok(sender.send(7)?) };
        assert!(send().unwrap_err().to_string().contains("closed channel"));
    }

    #[test]
    fn an_error_of_ours_that_went_through_a_box_is_itself_again() {
        let inner = || Error::BadPayload { msg_id: 7, reason: "too short".to_string() };
        let sent: Error = Boxed::from(inner()).into();
        let local: Error = Box::<dyn StdError>::from(inner()).into();
        for error in [sent, local, Error::other(inner())] {
            assert!(matches!(error, Error::BadPayload { msg_id: 7, .. }), "{error:?}");
        }
        let local: Error = Box::<dyn StdError>::from("not to be sent").into();
        assert_eq!(local.to_string(), "not to be sent");
    }
}
