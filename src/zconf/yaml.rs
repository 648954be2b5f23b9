//! YAML text to the keys and values on its top level. The only place that names `serde_yaml`.
//!
//! Keys come out in the order of the file, repeated ones too. `serde_yaml` tells lines only in errors, so
//! [`line_of`] reads the text once more and fails at the wanted key: exact for every way of quoting, and paid for
//! only when there is a problem to report.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{
    self, DeserializeSeed, Deserializer, EnumAccess, IgnoredAny, MapAccess, SeqAccess, Unexpected,
    VariantAccess, Visitor,
};

use super::field::{Scalar, shorten};

/// Takes away what editors and programs write that YAML does not know: a byte order mark in front, and in a text that
/// would be broken otherwise, characters that JSON writes as two escapes (`\ud83c\udfae`).
pub(super) fn tidy(text: &str) -> Cow<'_, str> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if text.contains("\\u") && entries(text).is_err() {
        let joined = join_surrogates(text);
        if entries(&joined).is_ok() {
            return Cow::Owned(joined);
        }
    }
    Cow::Borrowed(text)
}

/// Reads the keys and values of the top level; an empty text has none.
pub(super) fn entries(text: &str) -> Result<Vec<(String, Scalar)>, Broken> {
    let broken = |error: serde_yaml::Error| Broken {
        line: error.location().map(|location| location.line()),
        what: error.to_string(),
    };
    serde_yaml::Deserializer::from_str(text).deserialize_any(Entries).map_err(broken)
}

/// Finds the line, from 1, of the entry with this index.
pub(super) fn line_of(text: &str, index: usize) -> Option<usize> {
    let stopped = serde_yaml::Deserializer::from_str(text).deserialize_any(StopAt(index)).err()?;
    Some(stopped.location()?.line())
}

/// Writes every pair of escaped surrogates as the one character that it means. Lines stay where they are.
fn join_surrogates(text: &str) -> String {
    let mut joined = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        let (before, from) = rest.split_at(at);
        joined.push_str(before);
        rest = if let Some((character, after)) = surrogate_pair(from) {
            joined.push(character);
            after
        } else {
            // The character after a backslash is no beginning of another escape.
            let after = from.char_indices().nth(2).map_or(from.len(), |(after, _)| after);
            joined.push_str(&from[..after]);
            &from[after..]
        };
    }
    joined + rest
}

/// The character that a text begins with as two escapes, and what comes after.
fn surrogate_pair(text: &str) -> Option<(char, &str)> {
    let (high, low) = (escaped_unit(text)?, escaped_unit(text.get(ESCAPE_LEN..)?)?);
    let character = char::decode_utf16([high, low]).next()?.ok()?;
    // Without a second half, the first is a character of its own or none.
    (character.len_utf16() == 2).then(|| (character, &text[2 * ESCAPE_LEN..]))
}

/// The number of the escape `\uXXXX` that a text begins with.
fn escaped_unit(text: &str) -> Option<u16> {
    let digits = text.get(..ESCAPE_LEN)?.strip_prefix("\\u")?;
    u16::from_str_radix(digits, 16).ok()
}

const ESCAPE_LEN: usize = r"\uXXXX".len();

/// A text that is no YAML, or not a list of keys.
pub(super) struct Broken {
    pub(super) line: Option<usize>,
    pub(super) what: String,
}

struct Entries;

impl<'de> Visitor<'de> for Entries {
    type Value = Vec<(String, Scalar)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("keys with values")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut entries = Vec::new();
        while let Some((key, value)) = map.next_entry::<Scalar, Scalar>()? {
            entries.push((key_name(key), value));
        }
        Ok(entries)
    }

    // Another program's file, which may be long.
    fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
        Err(E::invalid_type(Unexpected::Str(&shorten(text)), &self))
    }

    // A text of comments only.
    fn visit_none<E>(self) -> Result<Self::Value, E> {
        Ok(Vec::new())
    }

    // `---` or `null`.
    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Vec::new())
    }
}

/// Skips this many entries and fails at the next key.
struct StopAt(usize);

impl<'de> Visitor<'de> for StopAt {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("keys with values")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        for _ in 0..self.0 {
            map.next_entry::<IgnoredAny, IgnoredAny>()?;
        }
        map.next_key_seed(Stop)?;
        Ok(())
    }
}

/// Fails wherever it stands: none of its `visit` methods accepts anything.
struct Stop;

impl<'de> DeserializeSeed<'de> for Stop {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl Visitor<'_> for Stop {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("nothing")
    }
}

fn key_name(key: Scalar) -> String {
    match key {
        Scalar::Text(text) => text,
        other => other.to_string(),
    }
}

// Not by way of `serde_yaml::Value`, which refuses the whole text for one number that is too large.
impl<'de> Deserialize<'de> for Scalar {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyValue)
    }
}

struct AnyValue;

impl<'de> Visitor<'de> for AnyValue {
    type Value = Scalar;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Scalar, E> {
        Ok(Scalar::Nothing)
    }

    fn visit_bool<E>(self, flag: bool) -> Result<Scalar, E> {
        Ok(Scalar::Flag(flag))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Scalar, E> {
        Ok(Scalar::Whole(number))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Scalar, E> {
        Ok(Scalar::Other(number.to_string()))
    }

    fn visit_u128<E>(self, number: u128) -> Result<Scalar, E> {
        Ok(Scalar::Other(number.to_string()))
    }

    fn visit_i128<E>(self, number: i128) -> Result<Scalar, E> {
        Ok(Scalar::Other(number.to_string()))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Scalar, E> {
        Ok(Scalar::Other(format!("{number:?}")))
    }

    fn visit_str<E>(self, text: &str) -> Result<Scalar, E> {
        Ok(Scalar::Text(text.to_string()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Scalar, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Scalar::Other("a list".to_string()))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Scalar, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Scalar::Other("a map".to_string()))
    }

    fn visit_enum<A: EnumAccess<'de>>(self, tagged: A) -> Result<Scalar, A::Error> {
        let (_tag, value) = tagged.variant::<IgnoredAny>()?;
        value.newtype_variant::<IgnoredAny>()?;
        Ok(Scalar::Other("a tagged value".to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys_and_lines(text: &str) -> Vec<(String, Option<usize>)> {
        let entries = entries(text).unwrap_or_else(|broken| panic!("{text}: {}", broken.what));
        entries.into_iter().enumerate().map(|(index, (key, _))| (key, line_of(text, index))).collect()
    }

    #[test]
    fn lines_are_found_for_every_way_of_writing() {
        let text = "# comment\n---\n'a b': |\n  c: 1\n  d: 2\n\"e\": [1,\n  2]\n? f\n: {g: 1}\nh: \"x\n  y\"\na b: 1\n1: 2\n";
        let found = keys_and_lines(text);
        let expected = [("a b", 3), ("e", 6), ("f", 8), ("h", 10), ("a b", 12), ("1", 13)];
        assert_eq!(found, expected.map(|(key, line)| (key.to_string(), Some(line))));
    }

    #[test]
    fn json_on_one_line_and_on_many() {
        assert_eq!(keys_and_lines(r#"{"a":1,"b":"{,"}"#), [("a".into(), Some(1)), ("b".into(), Some(1))]);
        assert_eq!(
            keys_and_lines("{\r\n\"a\":1,\r\n\"b\":2}"),
            [("a".into(), Some(2)), ("b".into(), Some(3))]
        );
    }

    #[test]
    fn a_text_without_keys_is_empty() {
        for text in ["", "\n\n", "# only a comment\n", "---\n", "null", "{}", "\u{feff}"] {
            assert_eq!(keys_and_lines(text), [], "{text:?}");
        }
        assert_eq!(line_of("a: 1", 1), None);
    }

    #[test]
    fn values_keep_their_kind() {
        let text = "a:\nb: true\nc: 1\nd: -1\ne: 1.5\nf: x\ng: []\nh: {}\ni: !t 1\nj: '1'\nk: 99999999999999999999\n";
        let values: Vec<Scalar> = entries(text).ok().unwrap().into_iter().map(|(_, value)| value).collect();
        let shown: Vec<String> = values.iter().map(Scalar::to_string).collect();
        assert_eq!(shown[..6], ["nothing", "true", "1", "-1", "1.5", "\"x\""]);
        assert_eq!(shown[6..10], ["a list", "a map", "a tagged value", "\"1\""]);
        assert_eq!(values[10], Scalar::Other("99999999999999999999".to_string()));
    }

    #[test]
    fn two_escapes_that_are_one_character_are_joined() {
        let joined = [
            (r#"{"Name": "\ud83c\udfae!"}"#, "🎮!"),
            (r#"{"Name": "\\\uD83C\uDFAE\u4f60 \\ud83c"}"#, "\\🎮你 \\ud83c"),
            (r#"Name: "\ud83c\udfae\ud83c\udfae""#, "🎮🎮"),
            // These are no escapes.
            (r#"{"Name": "\\ud83c\\udfae"}"#, r"\ud83c\udfae"),
            (r"{'Name': '\ud83c\udfae'}", r"\ud83c\udfae"),
            (r"Name: \ud83c\udfae", r"\ud83c\udfae"),
        ];
        for (text, name) in joined {
            let found = entries(&tidy(text)).unwrap_or_else(|broken| panic!("{text}: {}", broken.what));
            assert_eq!(found, [("Name".to_string(), Scalar::Text(name.to_string()))], "{text}");
        }
        for half in [r#"{"Name": "\ud83c"}"#, r#"{"Name": "\udfae\ud83c"}"#, r#"{"Name": "\ud83c\"#] {
            assert!(entries(&tidy(half)).is_err(), "{half}");
        }
    }

    #[test]
    fn what_json_allows_can_be_read() {
        let text = "{\r\n\t\"a\": \"b\\/\\u0041\\n\",\t\"c\":true , \"d\" : null}\r\n";
        let found = entries(text).unwrap_or_else(|broken| panic!("{}", broken.what));
        let expected =
            [("a", Scalar::Text("b/A\n".to_string())), ("c", Scalar::Flag(true)), ("d", Scalar::Nothing)];
        assert_eq!(found, expected.map(|(key, value)| (key.to_string(), value)));
    }

    #[test]
    fn broken_text_gives_its_line() {
        for (text, line) in [("a: 1\nb: [\n", 3), ("a: 1\n b: 2\n", 2), ("a: 1\nb: *x\n", 2), ("\n- 1\n", 2)]
        {
            assert_eq!(entries(text).err().and_then(|broken| broken.line), Some(line), "{text:?}");
        }
    }
}
