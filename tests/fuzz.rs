//! Every target of `fuzz/`, on its corpus and on what chance makes of it: always the same inputs. `fuzz/run` searches on.

#![expect(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "tests are plain threads and speak raw sockets"
)]

#[expect(dead_code, reason = "each test file uses its share")]
mod common;

#[expect(unreachable_pub, reason = "a crate of its own in `fuzz/`")]
#[path = "../fuzz/src/lib.rs"]
mod targets;

use std::fs;
use std::path::Path;
use std::time::Duration;

use common::Watchdog;
use common::random::{Random, with_seeds};
use targets::config::config;
use targets::decoders::{classic, delimiter, fixed_length, htlvcrc, length_field};
#[cfg(feature = "kcp")]
use targets::kcp::{kcp_datagrams, kcp_fec};
use targets::lines::lines;
use targets::proxy_header::proxy_header;
#[cfg(feature = "websocket")]
use targets::websocket::{websocket_frames, websocket_upgrade};

#[test]
fn classic_frames_are_the_same_however_they_are_cut_and_whatever_reads_them() {
    fuzz("classic", 2000, classic);
}

#[test]
fn htlvcrc_frames_are_the_same_however_they_are_cut() {
    fuzz("htlvcrc", 2000, htlvcrc);
}

#[test]
fn frames_of_any_length_field_are_the_same_however_they_are_cut() {
    fuzz("length_field", 4000, length_field);
}

#[test]
fn frames_up_to_any_delimiter_are_the_same_however_they_are_cut() {
    fuzz("delimiter", 2000, delimiter);
}

#[test]
fn frames_of_any_fixed_length_are_the_same_however_they_are_cut() {
    fuzz("fixed_length", 1000, fixed_length);
}

#[test]
fn any_text_is_a_configuration_within_limits_or_problems_of_a_line_each() {
    fuzz("config", 2000, config);
}

#[test]
fn lines_read_from_a_socket_are_the_same_however_they_arrive() {
    fuzz("lines", 1000, lines);
}

#[test]
fn what_a_proxy_says_is_the_same_however_it_arrives() {
    fuzz("proxy_header", 200, proxy_header);
}

#[cfg(feature = "websocket")]
#[test]
fn a_request_for_websocket_is_answered_the_same_however_it_arrives() {
    fuzz("websocket_upgrade", 200, websocket_upgrade);
}

#[cfg(feature = "websocket")]
#[test]
fn frames_of_websocket_are_the_same_however_they_arrive() {
    fuzz("websocket_frames", 400, websocket_frames);
}

#[cfg(feature = "kcp")]
#[test]
fn datagrams_of_any_kind_harm_nobody_and_are_answered_by_no_more() {
    fuzz("kcp_datagrams", 150, kcp_datagrams);
}

#[cfg(feature = "kcp")]
#[test]
fn shards_of_any_kind_harm_nobody_and_are_answered_by_no_more() {
    fuzz("kcp_fec", 150, kcp_fec);
}

#[test]
fn every_target_has_a_test_and_a_corpus() {
    let tests = fs::read_to_string(file!()).unwrap();
    for target in names("fuzz_targets") {
        let target = target.trim_end_matches(".rs");
        assert!(tests.contains(&format!("    fuzz(\"{target}\", ")), "{target} has no test");
        assert!(!names(&format!("corpus/{target}")).is_empty(), "{target} has no corpus");
    }
}

/// Gives a target its corpus, and then `rounds` inputs made from it.
fn fuzz(target: &str, rounds: u64, body: impl Fn(&[u8])) {
    let _watchdog = Watchdog::start(Duration::from_secs(120));
    let folder = format!("corpus/{target}");
    let corpus: Vec<_> = names(&folder)
        .iter()
        .map(|name| fs::read(Path::new(FUZZ).join(&folder).join(name)).unwrap())
        .collect();
    corpus.iter().for_each(|input| body(input));
    with_seeds(rounds, |seed| body(&made_from(&corpus, &mut Random::new(seed))));
}

/// An input of the corpus with a few changes, or a random one.
fn made_from(corpus: &[Vec<u8>], random: &mut Random) -> Vec<u8> {
    let mut input = if random.below(4) == 0 {
        // Few different bytes: so heads and delimiters come about.
        let kinds = [2, 5, 256][random.below(3) as usize];
        (0..random.below(600)).map(|_| random.below(kinds) as u8).collect()
    } else {
        corpus[random.below(corpus.len() as u64) as usize].clone()
    };
    for _ in 0..random.below(6) {
        change(&mut input, corpus, random);
    }
    input
}

fn change(input: &mut Vec<u8>, corpus: &[Vec<u8>], random: &mut Random) {
    let mut place = |len: usize| random.below(len as u64 + 1) as usize;
    let (at, to) = (place(input.len()), place(input.len()));
    let (from, to) = (at.min(to), at.max(to));
    match (random.below(6), input.get_mut(at)) {
        (0, Some(byte)) => *byte ^= 1 << random.below(8),
        (1, Some(byte)) => *byte = [0, 1, 4, 0x7F, 0x80, 0xFF][random.below(6) as usize],
        (2, _) => drop(input.drain(from..to.min(from + 8))),
        (3, _) => input.truncate(to),
        (4, _) => input.extend_from_within(from..to.min(from + 500)),
        (5, _) => {
            let other = &corpus[random.below(corpus.len() as u64) as usize];
            let from = random.below(other.len() as u64 + 1) as usize;
            input.truncate(at);
            input.extend(&other[from..]);
        }
        _ => {}
    }
}

/// What lies in a folder of `fuzz/`, in order.
fn names(folder: &str) -> Vec<String> {
    let entries = fs::read_dir(Path::new(FUZZ).join(folder)).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

const FUZZ: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz");
