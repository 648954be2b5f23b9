//! A connection over a limit is told so, and what it may make the server hold is bounded.

use std::time::{Duration, Instant};

use zinx::ziface::{CloseReason, IRequest};
use zinx::znet::OverRate;
use zinx::{Config, Error, Result};

use crate::common::{ECHO, Peer, comes_true, config, frame, shortest, start_alone};

const JOIN: u32 = 2;
const LAST_WORD: u32 = 99;

fn join(request: &dyn IRequest) -> Result<()> {
    let conn = request.get_connection();
    match conn.join_group(&String::from_utf8_lossy(request.get_data())) {
        Ok(()) => Ok(()),
        Err(error @ Error::TooManyGroups { .. }) => conn.send_msg(JOIN, error.to_string()),
        Err(error) => Err(error),
    }
}

#[test]
fn a_connection_is_in_so_many_groups_and_no_more() {
    let mut config = config();
    config.max_groups_per_conn = 3;
    let running = start_alone(config, |server| server.add_router(JOIN, join).unwrap());
    let mut peer = running.connect();
    peer.send(&["a", "b", "c", "b", "d"].map(|name| frame(JOIN, name.as_bytes())).concat());
    assert_eq!(peer.read_frame().0, JOIN);
    let conn = running.conn(peer.addr());
    assert_eq!(conn.get_groups().iter().map(|name| &**name).collect::<Vec<_>>(), ["a", "b", "c"]);
    assert!(conn.leave_group("b") && !conn.leave_group("b"));
    peer.send(&frame(JOIN, b"d"));
    peer.check_echo();
    assert_eq!(conn.get_groups().iter().map(|name| &**name).collect::<Vec<_>>(), ["a", "c", "d"]);
}

#[test]
fn joining_many_groups_takes_a_time_that_grows_with_their_number_only() {
    let mut config = config();
    config.max_groups_per_conn = 1 << 20;
    let running = start_alone(config, |server| server.add_router(JOIN, join).unwrap());
    let mut peer = running.connect();
    let mut begin = 0;
    let mut time_of = |count: u32| {
        let names = (begin..begin + count).flat_map(|n| frame(JOIN, n.to_string().as_bytes()));
        let (names, begun) = (names.collect::<Vec<u8>>(), Instant::now());
        begin += count;
        peer.send(&names);
        peer.check_echo();
        begun.elapsed()
    };
    let first = time_of(5_000);
    let _ = time_of(40_000);
    // They were nine times as slow, and more.
    let limit = first * 4 + Duration::from_secs(1);
    let last = shortest(limit, || time_of(5_000));
    assert!(last < limit, "{first:?} {last:?}");
}

/// The last frame that a peer gets, in words, and the end behind it.
fn last_word(peer: &mut Peer) -> String {
    let (id, words) = peer.read_frame();
    assert_eq!((id, peer.read_to_end()), (LAST_WORD, Vec::new()));
    String::from_utf8(words).unwrap()
}

fn telling(set: impl FnOnce(&mut Config)) -> Config {
    let mut config = config();
    config.last_word_msg_id = LAST_WORD;
    set(&mut config);
    config
}

#[test]
fn a_peer_over_a_limit_is_told_which_if_the_program_wants_it() {
    let running = start_alone(telling(|config| config.first_frame_timeout_ms = 100), |_| {});
    assert_eq!(last_word(&mut running.connect()), CloseReason::FirstFrameTimeout.to_string());
    let running = start_alone(telling(|config| config.max_packet_size = 10), |_| {});
    let mut peer = running.connect();
    peer.send(&frame(ECHO, &[7; 11]));
    assert_eq!(last_word(&mut peer), CloseReason::PacketTooLarge { len: 11, max: 10 }.to_string());
    let over_rate = |config: &mut Config| (config.over_rate, config.rate_messages) = (OverRate::Close, 1);
    let running = start_alone(telling(over_rate), |_| {});
    let word_of_one_over_it = |_| {
        let mut peer = running.connect();
        peer.send(&[frame(ECHO, b""), frame(ECHO, b"")].concat());
        assert_eq!([peer.read_frame().0, peer.read_frame().0], [ECHO, ECHO]);
        // A busy machine may have a second between the two: then they are within the rate.
        let is_closed = comes_true(Duration::from_secs(3), || running.stop_hooks(peer.addr()) == 1);
        is_closed.then(|| last_word(&mut peer))
    };
    let word = (0..10).find_map(word_of_one_over_it);
    assert_eq!(word, Some(CloseReason::RateLimited.to_string()));
}

#[test]
fn a_peer_turned_away_is_told_so_too() {
    for set in
        [|config: &mut Config| config.max_conn = 1, |config: &mut Config| config.max_conn_per_address = 1]
    {
        let running = start_alone(telling(set), |_| {});
        let mut first = running.connect();
        first.check_echo();
        let words = last_word(&mut running.connect());
        assert!(words.ends_with("are open"), "{words}");
        first.check_echo();
    }
}
