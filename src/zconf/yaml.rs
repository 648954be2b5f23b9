//! YAML text to the keys and values on its top level. The only place that names `serde_yaml`.
//!
//! Keys come out in the order of the file, repeated ones too. `serde_yaml` tells lines only in errors, so
//! [`line_of`] reads the text once more and fails at the wanted key: exact for every way of quoting, and paid for
//! only when there is a problem to report.

use std::fmt;

use serde::Deserialize;
use serde::de::{
    self, DeserializeSeed, Deserializer, EnumAccess, IgnoredAny, MapAccess, SeqAccess, Unexpected,
    VariantAccess, Visitor,
};

use super::field::{Scalar, shorten};

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
    fn broken_text_gives_its_line() {
        for (text, line) in [("a: 1\nb: [\n", 3), ("a: 1\n b: 2\n", 2), ("a: 1\nb: *x\n", 2), ("\n- 1\n", 2)]
        {
            assert_eq!(entries(text).err().and_then(|broken| broken.line), Some(line), "{text:?}");
        }
    }
}
