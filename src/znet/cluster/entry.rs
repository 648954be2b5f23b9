//! What nodes write into each other's streams: fields of one letter.
//!
//! `k` is what it is, `i` the incarnation it is for. A request has `f` and `j`, the node that asks and its incarnation, and `r`, its
//! number, for an answer; and what it needs of `u` (user or group), `m` (id of message or task), `a` (id of the answer), `t` (milliseconds),
//! `w` (id of a filter), `v` (what that is told) and `d` (payload). A replaced login has `l` (login) and `c` (connection); a kick of a user
//! has `g`, the generation of the newest login that it is for. A connection that comes and is in Redis has `b`: what it was called there.

use redis::Value;

/// An entry of a stream.
#[derive(Debug, Default)]
pub(super) struct Entry {
    /// Milliseconds and number: they only go up.
    pub(super) id: (u64, u64),
    fields: Vec<(u8, Vec<u8>)>,
}

impl Entry {
    pub(super) fn bytes(&self, name: u8) -> &[u8] {
        self.fields.iter().find(|(known, _)| *known == name).map_or(&[], |(_, value)| value)
    }

    pub(super) fn text(&self, name: u8) -> &str {
        std::str::from_utf8(self.bytes(name)).unwrap_or_default()
    }

    /// `None` if it has none.
    pub(super) fn number<T: std::str::FromStr>(&self, name: u8) -> Option<T> {
        self.text(name).parse().ok()
    }

    pub(super) fn kind(&self) -> u8 {
        self.bytes(KIND).first().copied().unwrap_or_default()
    }
}

/// What a node answers.
#[derive(Debug)]
pub(super) enum Said {
    Delivered,
    Full,
    Offline,
    /// The answer of a user or a task: message id and payload.
    Answer(u32, Vec<u8>),
    TimedOut,
    NoTask,
    Failed(String),
}

impl Said {
    /// As the fields `s`, `m` and `d` of an entry.
    pub(super) fn fields(self) -> (&'static str, u32, Vec<u8>) {
        match self {
            Self::Delivered => ("d", 0, Vec::new()),
            Self::Full => ("f", 0, Vec::new()),
            Self::Offline => ("o", 0, Vec::new()),
            Self::Answer(msg_id, data) => ("a", msg_id, data),
            Self::TimedOut => ("t", 0, Vec::new()),
            Self::NoTask => ("n", 0, Vec::new()),
            Self::Failed(words) => ("e", 0, words.into_bytes()),
        }
    }

    pub(super) fn of(entry: &Entry) -> Option<Self> {
        Some(match entry.text(STATUS) {
            "d" => Self::Delivered,
            "f" => Self::Full,
            "o" => Self::Offline,
            "a" => Self::Answer(entry.number(MESSAGE)?, entry.bytes(DATA).to_vec()),
            "t" => Self::TimedOut,
            "n" => Self::NoTask,
            "e" => Self::Failed(String::from_utf8_lossy(entry.bytes(DATA)).into_owned()),
            _ => return None,
        })
    }
}

/// The entries in an answer to `XREAD` of one stream; none in one that timed out. What is no entry is left out.
pub(super) fn entries(value: Value) -> Vec<Entry> {
    let streams = items(value);
    let Some(stream) = streams.into_iter().next() else { return Vec::new() };
    let entries = items(stream).into_iter().nth(1).map(items).unwrap_or_default();
    entries.into_iter().filter_map(entry).collect()
}

/// The entries in an answer to `XRANGE`.
pub(super) fn range(value: Value) -> Vec<Entry> {
    items(value).into_iter().filter_map(entry).collect()
}

fn entry(value: Value) -> Option<Entry> {
    let mut parts = items(value).into_iter();
    let id = id(&text(&parts.next()?)?)?;
    let fields = items(parts.next()?);
    let pairs = fields.chunks_exact(2).filter_map(|pair| match pair {
        [Value::BulkString(name), Value::BulkString(value)] => Some((*name.first()?, value.clone())),
        _ => None,
    });
    Some(Entry { id, fields: pairs.collect() })
}

/// The id of an entry, from its text.
pub(super) fn id(text: &str) -> Option<(u64, u64)> {
    let (time, number) = text.split_once('-')?;
    Some((time.parse().ok()?, number.parse().ok()?))
}

pub(super) fn items(value: Value) -> Vec<Value> {
    match value {
        Value::Array(items) => items,
        _ => Vec::new(),
    }
}

pub(super) fn text(value: &Value) -> Option<String> {
    match value {
        Value::BulkString(bytes) => String::from_utf8(bytes.clone()).ok(),
        Value::SimpleString(text) => Some(text.clone()),
        Value::Int(number) => Some(number.to_string()),
        _ => None,
    }
}

pub(super) fn number(value: &Value) -> Option<u64> {
    text(value)?.parse().ok()
}

pub(super) const KIND: u8 = b'k';
pub(super) const INCARNATION: u8 = b'i';
pub(super) const FROM: u8 = b'f';
pub(super) const FROM_INCARNATION: u8 = b'j';
pub(super) const REQUEST: u8 = b'r';
pub(super) const USER: u8 = b'u';
pub(super) const MESSAGE: u8 = b'm';
pub(super) const REPLY: u8 = b'a';
pub(super) const TIME: u8 = b't';
pub(super) const DATA: u8 = b'd';
pub(super) const LOGIN: u8 = b'l';
pub(super) const CONNECTION: u8 = b'c';
pub(super) const STATUS: u8 = b's';
pub(super) const FILTER: u8 = b'w';
pub(super) const ABOUT: u8 = b'v';
pub(super) const GENERATION: u8 = b'g';
pub(super) const BEFORE: u8 = b'b';

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_of_redis_becomes_entries_and_nonsense_none() {
        let text = b"*1\r\n*2\r\n$1\r\ns\r\n*1\r\n*2\r\n$3\r\n7-2\r\n*4\r\n$1\r\nk\r\n$1\r\np\r\n$1\r\nm\r\n$2\r\n20\r\n";
        let read = entries(redis::parse_redis_value(text).unwrap());
        let [entry] = &read[..] else { panic!("{read:?}") };
        assert_eq!((entry.id, entry.kind(), entry.number::<u32>(MESSAGE)), ((7, 2), b'p', Some(20)));
        assert_eq!((entry.bytes(DATA), entry.number::<u32>(DATA)), (&b""[..], None));
        for nonsense in
            [&b"*-1\r\n"[..], b"*1\r\n:1\r\n", b"*1\r\n*2\r\n:1\r\n*1\r\n*1\r\n$1\r\nx\r\n", b"+OK\r\n"]
        {
            assert!(entries(redis::parse_redis_value(nonsense).unwrap()).is_empty());
        }
    }

    #[test]
    fn what_is_said_comes_across() {
        let all = || {
            let failed = Said::Failed("no".to_string());
            [
                Said::Delivered,
                Said::Full,
                Said::Offline,
                Said::Answer(7, vec![1]),
                Said::TimedOut,
                Said::NoTask,
                failed,
            ]
        };
        for (said, expected) in all().into_iter().zip(all()) {
            let (status, msg_id, data) = said.fields();
            let fields = vec![
                (STATUS, status.as_bytes().to_vec()),
                (MESSAGE, msg_id.to_string().into_bytes()),
                (DATA, data),
            ];
            let read = Said::of(&Entry { id: (0, 0), fields }).unwrap();
            assert_eq!(format!("{read:?}"), format!("{expected:?}"));
        }
        assert!(Said::of(&Entry::default()).is_none());
    }
}
