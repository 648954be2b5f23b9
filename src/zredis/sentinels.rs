//! Which Redis is the master: its sentinels know, and elect another if it fails.

use redis::{Parser, Value, cmd};

use super::address::{Address, Host};
use super::link::{STACK_BYTES, say, within_limit};
use crate::green::Builder;

/// Where the master is. All sentinels are asked at once; the one that knows of the latest election is believed.
pub(super) fn master(address: &Address, sentinels: &[Host], service: &str) -> Result<Host, String> {
    let begin = |sentinel: &Host| {
        let (address, sentinel, service) = (address.clone(), sentinel.clone(), service.to_string());
        let ask = move || ask(&address, &sentinel, &service);
        Builder::new().name("redis sentinel").stack_size(STACK_BYTES).spawn(ask)
    };
    let asked: Vec<_> = sentinels.iter().map(begin).collect();
    let (mut latest, mut last) = (None, String::new());
    for answer in asked {
        let answer = answer.map_err(|error| error.to_string());
        match answer.and_then(|answer| answer.get().map_err(|error| error.to_string())?) {
            Ok(known) if latest.as_ref().is_none_or(|latest: &Known| latest.election < known.election) => {
                latest = Some(known);
            }
            Ok(_) => {}
            Err(why) => last = why,
        }
    }
    latest.map(|known| known.master).ok_or(last)
}

/// What a sentinel knows.
#[derive(Debug, PartialEq, Eq)]
struct Known {
    /// The number of the latest election.
    election: u64,
    /// The master since then.
    master: Host,
}

fn ask(address: &Address, sentinel: &Host, service: &str) -> Result<Known, String> {
    let socket = Address::connect(sentinel)?;
    within_limit(&socket.clone(), || {
        let stream = address.secure(sentinel, socket)?;
        let ask = |what: &str| cmd("SENTINEL").arg(what).arg(service).clone();
        let said = say(&stream, &mut Parser::new(), &[ask("GET-MASTER-ADDR-BY-NAME"), ask("MASTER")]);
        let known = said.and_then(|said| Known::of(said).ok_or_else(|| "it says nothing".to_string()));
        known.map_err(|why| format!("sentinel {}:{}: {service}: {why}", sentinel.0, sentinel.1))
    })
}

impl Known {
    /// From the answers to `SENTINEL GET-MASTER-ADDR-BY-NAME` and `SENTINEL MASTER`.
    fn of(said: Vec<Value>) -> Option<Self> {
        let mut said = said.into_iter().map(texts);
        let (master, facts) = (said.next()?, said.next()?);
        let [host, port] = &master[..] else { return None };
        let named = facts.chunks_exact(2).find(|pair| pair[0] == "config-epoch")?;
        Some(Self { election: named[1].parse().ok()?, master: (host.clone(), port.parse().ok()?) })
    }
}

fn texts(value: Value) -> Vec<String> {
    let Value::Array(items) = value else { return Vec::new() };
    let text = |item| match item {
        Value::BulkString(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        _ => String::new(),
    };
    items.into_iter().map(text).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn array(texts: &[&str]) -> Value {
        Value::Array(texts.iter().map(|text| Value::BulkString(text.as_bytes().to_vec())).collect())
    }

    #[test]
    fn what_a_sentinel_says_is_read_and_nonsense_is_none() {
        let facts = || array(&["name", "cache", "config-epoch", "7", "ip", "10.0.0.9"]);
        let known = Known { election: 7, master: ("10.0.0.5".to_string(), 6379) };
        assert_eq!(Known::of(vec![array(&["10.0.0.5", "6379"]), facts()]), Some(known));
        for nonsense in [
            vec![],
            vec![Value::Nil, facts()],
            vec![array(&["10.0.0.5", "70000"]), facts()],
            vec![array(&["10.0.0.5"]), facts()],
            vec![array(&["10.0.0.5", "6379"]), array(&["config-epoch"])],
            vec![array(&["10.0.0.5", "6379"]), Value::Okay],
        ] {
            assert_eq!(Known::of(nonsense), None);
        }
    }
}
