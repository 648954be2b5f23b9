//! What a field of the configuration accepts, and how it says so.

use std::fmt;
use std::net::Ipv6Addr;

use serde::Serialize;

use super::choices::Word;

/// A field of [`Config`](super::Config), whatever its type.
pub(super) trait Field {
    /// Takes the value and returns true, or leaves the field as it is and returns false.
    fn take(&mut self, value: &Scalar, rule: Rule) -> bool;

    /// Says what `take` accepts.
    fn expected(&self, rule: Rule) -> String;

    /// Returns the present value.
    fn scalar(&self) -> Scalar;
}

/// A value as it was found, before it is known what it should be.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub(super) enum Scalar {
    /// A key without a value.
    Nothing,
    Flag(bool),
    Whole(u64),
    Text(String),
    /// What no key accepts, described: a fraction, a list.
    Other(String),
}

/// Which values of the right type a key accepts.
#[derive(Clone, Copy, Debug)]
pub(super) enum Rule {
    Any,
    /// A text that is not empty.
    Filled,
    /// An address or the name of a host, without a port.
    Host,
    /// An address and a port, `off`, or nothing.
    Endpoint,
    /// A secret that is long enough, or nothing.
    Token,
    /// The URL of a Redis, or nothing.
    Redis,
    /// A short name of letters, digits, `.`, `_` and `-`.
    Label {
        or_nothing: bool,
    },
    /// From the first to the second, both included.
    From(u64, u64),
    /// 0, or from the first to the second.
    ZeroOr(u64, u64),
}

impl Scalar {
    /// Reads the text of an environment variable as a value of the kind that `sample` has.
    pub(super) fn like(sample: &Self, text: &str) -> Self {
        let other = || Self::Text(text.to_string());
        match sample {
            Self::Flag(_) => text.to_ascii_lowercase().parse().map_or_else(|_| other(), Self::Flag),
            Self::Whole(_) => text.parse().map_or_else(|_| other(), Self::Whole),
            _ => other(),
        }
    }
}

impl fmt::Display for Scalar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nothing => f.write_str("nothing"),
            Self::Flag(flag) => flag.fmt(f),
            Self::Whole(number) => number.fmt(f),
            Self::Text(text) => write!(f, "{:?}", shorten(text)),
            Self::Other(what) => f.write_str(what),
        }
    }
}

impl Rule {
    fn fits(self, number: u64) -> bool {
        match self {
            Self::From(min, max) => (min..=max).contains(&number),
            Self::ZeroOr(min, max) => number == 0 || (min..=max).contains(&number),
            _ => true,
        }
    }
}

impl Field for String {
    fn take(&mut self, value: &Scalar, rule: Rule) -> bool {
        let fits = |text: &str| match rule {
            Rule::Host => is_host(text),
            Rule::Filled => !text.is_empty(),
            Rule::Endpoint => text.is_empty() || text.eq_ignore_ascii_case("off") || is_endpoint(text),
            Rule::Token => text.is_empty() || is_token(text),
            Rule::Redis => text.is_empty() || is_redis(text),
            Rule::Label { or_nothing } => is_label(text) || or_nothing && text.is_empty(),
            _ => true,
        };
        match value {
            Scalar::Text(text) if fits(text) => {
                self.clone_from(text);
                true
            }
            _ => false,
        }
    }

    fn expected(&self, rule: Rule) -> String {
        match rule {
            Rule::Host => {
                return "an address or a host name without a port, which is set by TcpPort".to_string();
            }
            Rule::Endpoint => {
                return "an address and a port such as 127.0.0.1:7778, off, or nothing".to_string();
            }
            Rule::Token => {
                return format!("{TOKEN_LEN} or more letters, digits and signs without a space, or nothing");
            }
            Rule::Redis => return "a URL such as redis://127.0.0.1:6379, or nothing".to_string(),
            Rule::Label { or_nothing } => {
                let or_nothing = if or_nothing { ", or nothing" } else { "" };
                return format!("1 to {LABEL_LEN} letters, digits, '.', '_' and '-'{or_nothing}");
            }
            _ => {}
        }
        let empty = if matches!(rule, Rule::Filled) { " that is not empty" } else { "" };
        format!("text{empty}, in quotes if it looks like a number, true, false or null")
    }

    fn scalar(&self) -> Scalar {
        Scalar::Text(self.clone())
    }
}

impl Field for bool {
    fn take(&mut self, value: &Scalar, _rule: Rule) -> bool {
        let Scalar::Flag(flag) = value else { return false };
        *self = *flag;
        true
    }

    fn expected(&self, _rule: Rule) -> String {
        "true or false".to_string()
    }

    fn scalar(&self) -> Scalar {
        Scalar::Flag(*self)
    }
}

impl<T: Word> Field for T {
    fn take(&mut self, value: &Scalar, _rule: Rule) -> bool {
        let Scalar::Text(text) = value else { return false };
        let Some((_, value)) = T::WORDS.iter().find(|(word, _)| word.eq_ignore_ascii_case(text)) else {
            return false;
        };
        *self = *value;
        true
    }

    fn expected(&self, _rule: Rule) -> String {
        let words: Vec<&str> =
            T::WORDS.iter().map(|(word, _)| if word.is_empty() { "\"\"" } else { word }).collect();
        format!("one of {}", words.join(", "))
    }

    fn scalar(&self) -> Scalar {
        let word = T::WORDS.iter().find(|(_, value)| value == self).map_or("", |(word, _)| word);
        Scalar::Text(word.to_string())
    }
}

macro_rules! whole_numbers {
    ($($number:ty),*) => {$(
        impl Field for $number {
            fn take(&mut self, value: &Scalar, rule: Rule) -> bool {
                let Scalar::Whole(number) = value else { return false };
                match Self::try_from(*number) {
                    Ok(fitting) if rule.fits(*number) => {
                        *self = fitting;
                        true
                    }
                    _ => false,
                }
            }

            fn expected(&self, rule: Rule) -> String {
                expected_number(rule, Self::MAX as u64)
            }

            fn scalar(&self) -> Scalar {
                Scalar::Whole(*self as u64)
            }
        }
    )*};
}

whole_numbers!(u16, u32, u64, usize);

fn expected_number(rule: Rule, largest: u64) -> String {
    match rule {
        Rule::From(min, max) => format!("a whole number from {min} to {}", max.min(largest)),
        Rule::ZeroOr(min, max) => format!("0 or a whole number from {min} to {}", max.min(largest)),
        _ => format!("a whole number from 0 to {largest}"),
    }
}

/// Whether a text may be an address or the name of a host: a colon is in IPv6 addresses only.
fn is_host(text: &str) -> bool {
    let (address, _zone) = text.split_once('%').unwrap_or((text, ""));
    let is_name = !text.is_empty() && !text.contains(|c: char| c == ':' || c == '/' || c.is_whitespace());
    is_name || address.parse::<Ipv6Addr>().is_ok()
}

/// Whether a text is an address or the name of a host, and a port.
fn is_endpoint(text: &str) -> bool {
    let Some((host, port)) = text.rsplit_once(':') else { return false };
    let in_brackets = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let is_address = match in_brackets {
        Some(address) => address.parse::<Ipv6Addr>().is_ok(),
        None => !host.contains(':') && is_host(host),
    };
    is_address && port.parse::<u16>().is_ok()
}

/// Whether a text can be a secret that goes into a header.
fn is_token(text: &str) -> bool {
    text.len() >= TOKEN_LEN && text.chars().all(|character| character.is_ascii_graphic())
}

/// Whether a text can be the URL of a Redis; whoever connects reads it more closely.
fn is_redis(text: &str) -> bool {
    let has_scheme = |(scheme, host): (&str, &str)| REDIS.contains(&scheme) && !host.is_empty();
    text.split_once("://").is_some_and(has_scheme) && text.chars().all(|one| one.is_ascii_graphic())
}

/// What such a URL begins with.
const REDIS: &[&str] = &["redis", "rediss", "redis+sentinel", "rediss+sentinel"];

fn is_label(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    (1..=LABEL_LEN).contains(&text.len()) && text.bytes().all(fits)
}

/// Characters of the name of a node, at most.
const LABEL_LEN: usize = 64;

/// Characters of a secret, at least.
const TOKEN_LEN: usize = 16;

/// Cuts a text from outside to what fits a line of a log.
pub(super) fn shorten(text: &str) -> String {
    let mut short: String = text.chars().take(SHOWN).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}

/// Characters of a text from outside that are shown.
const SHOWN: usize = 60;

#[cfg(test)]
mod tests {
    use super::super::choices::WorkerMode;
    use super::*;

    #[test]
    fn numbers_keep_their_range_and_their_type() {
        let mut port = 1_u16;
        assert!(port.take(&Scalar::Whole(65_535), Rule::Any));
        assert!(!port.take(&Scalar::Whole(65_536), Rule::Any));
        assert!(!port.take(&Scalar::Text("7".into()), Rule::Any));
        assert_eq!(port, 65_535);
        let mut stack = 0_usize;
        let rule = Rule::ZeroOr(16, 32);
        for (number, fits) in [(0, true), (15, false), (16, true), (32, true), (33, false), (u64::MAX, false)]
        {
            assert_eq!(stack.take(&Scalar::Whole(number), rule), fits, "{number}");
        }
        assert_eq!(stack, 32);
        assert_eq!(port.expected(Rule::From(1, 1 << 40)), "a whole number from 1 to 65535");
    }

    #[test]
    fn a_host_has_no_port_and_no_brackets() {
        let mut host = String::new();
        for fits in
            ["127.0.0.1", "0.0.0.0", "localhost", "game-1.example.com", "::", "::1", "fe80::1%eth0", "主机"]
        {
            assert!(host.take(&Scalar::Text(fits.into()), Rule::Host), "{fits}");
            assert_eq!(host, fits);
        }
        for not in
            ["", "127.0.0.1:7810", "localhost:7810", ":7810", "[::1]", "[::1]:7810", "tcp://a", "a b", "a/b"]
        {
            assert!(!host.take(&Scalar::Text(not.into()), Rule::Host), "{not}");
        }
    }

    #[test]
    fn words_in_any_case_and_the_empty_word() {
        let mut mode = WorkerMode::Hash;
        assert!(mode.take(&Scalar::Text("dynamicBind".into()), Rule::Any));
        assert_eq!(mode, WorkerMode::DynamicBind);
        assert!(mode.take(&Scalar::Text(String::new()), Rule::Any));
        assert_eq!(mode, WorkerMode::Hash);
        assert!(!mode.take(&Scalar::Text("udp".into()), Rule::Any));
        assert_eq!(mode.expected(Rule::Any), "one of Hash, Bind, DynamicBind, \"\"");
        assert_eq!(WorkerMode::Hash.scalar(), Scalar::Text("Hash".into()));
    }

    #[test]
    fn text_of_a_variable_is_read_as_the_field_needs_it() {
        assert_eq!(Scalar::like(&Scalar::Whole(0), "12"), Scalar::Whole(12));
        assert_eq!(Scalar::like(&Scalar::Whole(0), "12x"), Scalar::Text("12x".into()));
        assert_eq!(Scalar::like(&Scalar::Flag(true), "False"), Scalar::Flag(false));
        assert_eq!(Scalar::like(&Scalar::Text(String::new()), "12"), Scalar::Text("12".into()));
    }

    #[test]
    fn long_texts_are_cut_between_characters() {
        assert_eq!(Scalar::Text("é\n".into()).to_string(), "\"é\\n\"");
        assert_eq!(Scalar::Text("é".repeat(99)).to_string().chars().count(), 63);
    }
}
