//! Figures: what routes took, what has closed and why, metrics, and the dashboard that shows them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::Value;
use zinx::green;
use zinx::prelude::*;
use zinx::znet::router_recovery;

use crate::common::{ECHO, Running, frame, start_alone, wait_until};
use crate::http::{config, get, get_json, post};

const SLEEP: u32 = 12;
const FAIL: u32 = 13;
const PANIC: u32 = 14;
const CALL: u32 = 15;
const RECOVERS: u32 = 16;
const UNKNOWN: u32 = 99;

fn start(change: impl FnOnce(&mut Config)) -> Running {
    let mut config = config();
    change(&mut config);
    start_alone(config, |server| {
        let sleep = |request: &dyn IRequest| {
            green::sleep(Duration::from_millis(30));
            request.get_connection().send_msg(SLEEP, "")
        };
        server.add_router(SLEEP, sleep).unwrap();
        server.add_router(FAIL, |_: &dyn IRequest| Err(Error::other("no"))).unwrap();
        server.add_router(PANIC, |_: &dyn IRequest| panic!("on purpose")).unwrap();
        let recovers = zinx::handlers![router_recovery, |_: &dyn IRequest| panic!("on purpose")];
        server.add_router_slices(RECOVERS, recovers).unwrap();
        let call = |request: &dyn IRequest| {
            let conn = request.get_connection();
            // Only one that is not to be answered may be late.
            let limit = Duration::from_millis(if request.get_data().is_empty() { 50 } else { 60_000 });
            let answered = conn.call(7, "?", 8, limit).is_ok();
            conn.send_msg(CALL, if answered { "yes" } else { "no" })
        };
        server.add_router(CALL, call).unwrap();
    })
}

fn entries(running: &Running, path: &str) -> Vec<Value> {
    get_json(running, path)["entries"].as_array().unwrap().clone()
}

fn route(running: &Running, msg_id: u32) -> Value {
    entries(running, "/routez").into_iter().find(|row| row["route"] == msg_id).unwrap()
}

#[test]
fn routes_tell_how_often_and_how_long_their_handlers_ran() {
    for workers in [0, 2] {
        let running = start(|config| config.worker_pool_size = workers);
        let mut peer = running.connect();
        // Many at once, whose handlers do not wait, and one after the other, whose handlers do.
        peer.send(&frame(ECHO, b"x").repeat(1000));
        (0..1000).for_each(|_| drop(peer.read_frame()));
        for _ in 0..5 {
            peer.send(&[frame(ECHO, b"x"), frame(SLEEP, b"")].concat());
            (0..2).for_each(|_| drop(peer.read_frame()));
        }
        peer.send(&[FAIL, UNKNOWN, RECOVERS, PANIC].map(|id| frame(id, b"")).concat());
        peer.read_to_end();
        peer.finish();
        wait_until("it is closed", || entries(&running, "/connz?state=closed").len() == 1);
        let echo = route(&running, ECHO);
        let number = |row: &Value, name: &str| row[name].as_f64().unwrap();
        assert_eq!((&echo["messages"], &echo["errors"]), (&1005.into(), &0.into()), "{echo}");
        assert!(number(&echo, "p50_seconds") < 0.01 && number(&echo, "mean_seconds") > 0.0, "{echo}");
        let sleep = route(&running, SLEEP);
        assert_eq!(sleep["messages"], 5);
        assert!(number(&sleep, "mean_seconds") >= 0.03 && number(&sleep, "p50_seconds") >= 0.03, "{sleep}");
        assert_eq!(
            (&route(&running, FAIL)["errors"], &route(&running, PANIC)["panics"]),
            (&1.into(), &1.into())
        );
        assert_eq!(route(&running, RECOVERS)["panics"], 1);
        let unknown = entries(&running, "/routez").into_iter().find(|row| row["route"].is_null()).unwrap();
        assert_eq!(unknown["messages"], 1);
        let slow = entries(&running, "/slowz");
        let sleeps = slow.iter().filter(|row| row["route"] == SLEEP && row["connection"] == 0);
        assert_eq!(sleeps.count(), 5, "{slow:?}");
        assert!(slow[0]["seconds"].as_f64() >= slow[slow.len() - 1]["seconds"].as_f64());
    }
}

#[test]
fn closed_connections_are_remembered_with_their_reason() {
    let running = start(|_| {});
    let mut peers: Vec<_> = (0..4).map(|_| running.connect()).collect();
    peers.iter_mut().for_each(|peer| peer.check_echo());
    assert_eq!(post(&running, "/connz/1/kick").status, 200);
    peers[1].read_to_end();
    peers[2].send(&[0xff; 8]);
    peers[2].read_to_end();
    let fourth = peers[3].addr().to_string();
    peers.remove(3).finish();
    peers.iter().skip(1).for_each(|peer| peer.finish());
    wait_until("three are closed", || entries(&running, "/connz?state=closed").len() == 3);
    let closed = entries(&running, "/connz?state=closed");
    let reason = |id: u64| {
        let row = closed.iter().find(|row| row["id"] == id).unwrap();
        row["reason"].as_str().unwrap().to_string()
    };
    assert_eq!((reason(1).as_str(), reason(3).as_str()), ("closed by an operator", "the peer closed"));
    assert!(reason(2).contains("exceeds MaxPacketSize"), "{}", reason(2));
    let by_address = entries(&running, &format!("/connz?state=closed&address={fourth}"));
    assert_eq!((by_address.len(), &by_address[0]["bytes_in"]), (1, &20.into()));
    // The last of the others is noted as closed before its place is free.
    wait_until("one is left", || get_json(&running, "/connz")["matched"] == 1);
    let samples = samples(&running);
    for kind in ["kicked", "peer_closed", "packet_too_large"] {
        assert_eq!(samples[&format!("zinx_connections_closed_total{{reason=\"{kind}\"}}")], 1.0);
    }
}

#[test]
fn metrics_are_open_metrics_and_count_what_happened() {
    let running = start(|_| {});
    let mut peer = running.connect();
    (0..10).for_each(|_| peer.check_echo());
    peer.send(&frame(CALL, b"!"));
    assert_eq!(peer.read_frame().0, 7);
    peer.send(&frame(8, b"!"));
    assert_eq!(peer.read_frame(), (CALL, b"yes".to_vec()));
    peer.send(&frame(CALL, b""));
    assert_eq!((peer.read_frame().0, peer.read_frame()), (7, (CALL, b"no".to_vec())));
    let mut all = samples(&running);
    wait_until("all is counted", || {
        all = samples(&running);
        all["zinx_messages_received_total"] == 12.0 && all["zinx_messages_sent_total"] == 14.0
    });
    let expected = [
        ("zinx_connections", 1.0),
        ("zinx_connections_accepted_total", 1.0),
        ("zinx_handler_duration_seconds_count{route=\"1\"}", 10.0),
        ("zinx_handler_duration_seconds_bucket{le=\"+Inf\",route=\"15\"}", 2.0),
        ("zinx_calls_total{outcome=\"answered\"}", 1.0),
        ("zinx_calls_total{outcome=\"timed_out\"}", 1.0),
        ("zinx_received_bytes_total", 10.0 * 20.0 + 9.0 + 9.0 + 8.0),
        ("zinx_queue_messages", 0.0),
        ("zinx_held_max_bytes", 268_435_456.0),
    ];
    for (name, value) in expected {
        assert_eq!(all.get(name), Some(&value), "{name}");
    }
    assert!(all["process_resident_memory_bytes"] > 0.0 && all["process_open_fds"] > 3.0);
}

#[test]
fn a_route_table_of_any_size_has_a_bounded_number_of_labels() {
    let running = start_alone(config(), |server| {
        for msg_id in 1000..2000 {
            server.add_router(msg_id, |_: &dyn IRequest| Ok(())).unwrap();
        }
    });
    let mut peer = running.connect();
    peer.send(&[frame(1000, b""), frame(1998, b""), frame(1999, b"")].concat());
    peer.check_echo();
    wait_until("they are counted", || samples(&running)["zinx_messages_received_total"] == 4.0);
    let all = samples(&running);
    let counts: Vec<_> =
        all.keys().filter(|name| name.starts_with("zinx_handler_duration_seconds_count")).collect();
    assert_eq!(counts.len(), 201);
    assert_eq!(all["zinx_handler_duration_seconds_count{route=\"other\"}"], 2.0);
    assert_eq!(get_json(&running, "/routez?limit=10000")["matched"], 1001);
}

#[test]
fn the_dashboard_asks_for_metrics_that_there_are() {
    let running = start(|_| {});
    let mut peer = running.connect();
    peer.check_echo();
    peer.finish();
    wait_until("a connection has closed", || entries(&running, "/connz?state=closed").len() == 1);
    let names: BTreeSet<_> =
        samples(&running).into_keys().map(|name| name.split('{').next().unwrap().to_string()).collect();
    let dashboard: Value = serde_json::from_str(include_str!("../../docs/grafana.json")).unwrap();
    let mut queries = 0;
    for panel in dashboard["panels"].as_array().unwrap() {
        for target in panel["targets"].as_array().unwrap() {
            let query = target["expr"].as_str().unwrap();
            let words = query.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
            let asked: Vec<_> =
                words.filter(|word| word.starts_with("zinx_") || word.starts_with("process_")).collect();
            assert!(!asked.is_empty(), "{query}");
            for name in asked {
                assert!(names.contains(name), "{}: there is no {name}", panel["title"]);
            }
            queries += 1;
        }
    }
    assert!(queries >= 15, "{queries} queries");
}

/// All samples of `/metrics`, by name and labels. Checks on the way that the text is what OpenMetrics asks for: families one
/// after the other, each with its type before its samples, names with the ending of their type, no sample twice.
pub(crate) fn samples(running: &Running) -> BTreeMap<String, f64> {
    let answer = get(running, "/metrics");
    assert_eq!(answer.status, 200);
    assert!(answer.head.contains("Content-Type: application/openmetrics-text; version=1.0.0; charset=utf-8"));
    let text = answer.body.strip_suffix("# EOF\n").expect("it ends with # EOF");
    let (mut samples, mut families) = (BTreeMap::new(), BTreeSet::new());
    let (mut family, mut kind) = (String::new(), String::new());
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# ") {
            let words: Vec<_> = rest.splitn(3, ' ').collect();
            match words[0] {
                "HELP" => {
                    family = words[1].to_string();
                    assert!(families.insert(family.clone()), "{family} twice");
                }
                "TYPE" => kind = words[2].to_string(),
                "UNIT" => assert!(family.ends_with(words[2]), "{line}"),
                _ => panic!("{line}"),
            }
            assert_eq!(words[1], family, "{line}");
            continue;
        }
        let (name, value) = line.rsplit_once(' ').unwrap();
        let ending = name.split('{').next().unwrap().strip_prefix(family.as_str()).expect(line);
        let endings: &[&str] = match kind.as_str() {
            "counter" => &["_total"],
            "histogram" => &["_sum", "_count", "_bucket"],
            _ => &[""],
        };
        assert!(endings.contains(&ending), "{kind}: {line}");
        let value = value.parse().unwrap();
        assert_eq!(samples.insert(sorted(name), value), None, "{name} twice");
    }
    samples
}

/// A name with its labels in order.
fn sorted(name: &str) -> String {
    let Some((name, labels)) = name.split_once('{') else { return name.to_string() };
    let mut labels: Vec<_> = labels.trim_end_matches('}').split(',').collect();
    labels.sort_unstable();
    format!("{name}{{{}}}", labels.join(","))
}
