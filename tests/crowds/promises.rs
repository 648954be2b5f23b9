//! What Zinx promises about sending and stopping, at the sizes at which it has been seen to break.

use std::thread;
use std::time::{Duration, Instant};

use crate::common::{ECHO, config, frame, start, start_alone, wait_until};
use zinx::ziface::CloseReason;

#[test]
fn a_stop_closes_a_connection_whatever_its_peer_does() {
    let mut config = config();
    config.drain_ms = 300;
    let running = start(config, |_| {});
    // One never reads and never closes, with more queued to it than its socket takes.
    let peer = running.connect();
    let conn = running.conn(peer.addr());
    let data = vec![0; 32 << 10];
    let mut accepted = 0;
    wait_until("a full queue", || match conn.try_send_msg(9, data.as_slice()) {
        Ok(()) => {
            accepted += 1;
            false
        }
        Err(_) => true,
    });
    let begun = Instant::now();
    conn.stop();
    assert!(conn.wait_closed(Duration::from_secs(10)).unwrap());
    // A server that waited for the peer would wait forever.
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    assert_eq!(conn.get_close_reason(), Some(CloseReason::Stopped));
    let unsent = conn.get_unsent();
    assert!(unsent.messages > 0 && unsent.messages < accepted, "{unsent:?} of {accepted}");
    drop(peer);
}

#[test]
fn ten_thousand_messages_sent_before_a_stop_all_arrive() {
    let mut config = config();
    config.max_msg_chan_len = 20_000;
    let running = start(config, |_| {});
    let mut peer = running.connect();
    let conn = running.conn(peer.addr());
    for n in 0..10_000_u32 {
        conn.send_msg(9, n.to_le_bytes()).unwrap();
    }
    conn.stop();
    let expected: Vec<u8> = (0..10_000_u32).flat_map(|n| frame(9, &n.to_le_bytes())).collect();
    assert!(peer.read_to_end() == expected, "what arrived is not what was sent");
    drop(peer);
    assert!(conn.wait_closed(Duration::from_secs(10)).unwrap());
    assert_eq!(conn.get_unsent().messages, 0);
}

#[test]
fn many_senders_on_one_connection_send_whole_frames_each_in_its_order() {
    let running = start_alone(config(), |_| {});
    let mut peer = running.connect();
    let conn = running.conn(peer.addr());
    thread::scope(|scope| {
        for sender in 0..SENDERS {
            let conn = &conn;
            scope.spawn(move || {
                for n in 0..EACH {
                    // From a few bytes to more than a socket takes at once.
                    let data = [&n.to_le_bytes()[..], &vec![sender as u8; n as usize % 20_000]].concat();
                    match n % 3 {
                        0 => conn.send_msg(sender, &data),
                        1 => conn.send_buff_msg(sender, &data),
                        _ => conn.send(frame(sender, &data)),
                    }
                    .unwrap();
                }
            });
        }
        let mut next = [0; SENDERS as usize];
        for _ in 0..SENDERS * EACH {
            let (sender, data) = peer.read_frame();
            let n = u32::from_le_bytes(data[..4].try_into().unwrap());
            assert_eq!((n, data.len()), (next[sender as usize], 4 + n as usize % 20_000), "sender {sender}");
            assert!(data[4..].iter().all(|&byte| byte == sender as u8));
            next[sender as usize] += 1;
        }
    });
    peer.send(&frame(ECHO, b"all there"));
    assert_eq!(peer.read_frame(), (ECHO, b"all there".to_vec()));
}

const SENDERS: u32 = 4;
const EACH: u32 = 1000;
