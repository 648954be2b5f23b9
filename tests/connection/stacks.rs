//! `MaxStacks`: while all stacks are in use, connections wait for their turn; none is refused. Datagrams are lost.

use std::net::UdpSocket;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::common::child::in_child;
use crate::common::{config, frame, log_lines, start_alone, wait_until};
use zinx::green::{self, Builder, DatagramServer, Event};
use zinx::ziface::IRequest;

/// The message id whose handler waits.
const WAIT: u32 = 3;

const MAX_STACKS: usize = 24;

#[test]
fn while_all_stacks_are_in_use_connections_wait_for_their_turn() {
    in_child("stacks::while_all_stacks_are_in_use_connections_wait_for_their_turn", || {
        log_lines::keep();
        let (go_on, waiting) = (Arc::new(Event::new()), Arc::new(AtomicUsize::new(0)));
        let (until, count) = (Arc::clone(&go_on), Arc::clone(&waiting));
        let mut config = config();
        config.max_stacks = MAX_STACKS;
        let running = start_alone(config, move |server| {
            let wait = move |request: &dyn IRequest| {
                count.fetch_add(1, Ordering::AcqRel);
                until.wait();
                request.get_connection().send_msg(WAIT, request.get_data())
            };
            server.add_router(WAIT, wait).unwrap();
        });
        assert_eq!(green::max_coroutines(), MAX_STACKS);
        let begun = Instant::now();
        let mut peers: Vec<_> = (0..2 * MAX_STACKS).map(|_| running.connect()).collect();
        for (n, peer) in peers.iter_mut().enumerate() {
            peer.send(&frame(WAIT, &n.to_le_bytes()));
        }
        let lines = || log_lines::with("rides wait for a carrier: ");
        wait_until("a second line", || lines().len() > 1);
        assert!(lines().len() as u64 <= begun.elapsed().as_secs() + 1, "one a second");
        assert!(lines()[0].contains("24 are the most: raise MaxStacks"), "{:?}", lines());
        let begun = waiting.load(Ordering::Acquire);
        assert!((MAX_STACKS / 2..MAX_STACKS).contains(&begun), "{begun} handlers have a stack");
        assert_eq!((running.server.stats().stacks, running.server.stats().refused), (MAX_STACKS, 0));
        // It is accepted all the same, and has its turn later.
        let mut late = running.connect();
        wait_until("one more", || running.server.stats().accepted == 2 * MAX_STACKS + 1);
        late.send(&frame(WAIT, b"late"));
        go_on.set();
        for (n, peer) in peers.iter_mut().enumerate() {
            assert_eq!(peer.read_frame(), (WAIT, n.to_le_bytes().to_vec()));
        }
        assert_eq!(late.read_frame(), (WAIT, b"late".to_vec()));
        wait_until("stacks that are not needed to go", || running.server.stats().stacks < MAX_STACKS / 2);
        peers.iter_mut().for_each(crate::common::Peer::check_echo);
    });
}

#[test]
fn a_datagram_for_which_there_is_no_stack_is_lost_and_the_next_one_is_answered() {
    in_child("stacks::a_datagram_for_which_there_is_no_stack_is_lost_and_the_next_one_is_answered", || {
        log_lines::keep();
        let mut config = config();
        config.max_stacks = MAX_STACKS;
        let _running = start_alone(config, |_| {});
        let server = DatagramServer::bind("127.0.0.1:0").unwrap();
        server.start(|socket, data, peer| socket.send_to(&data, peer).map(drop)).unwrap();
        let client = UdpSocket::bind("127.0.0.1:0").unwrap();
        client.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
        let send = || client.send_to(b"hello", server.local_addr()).unwrap();
        let is_answered = || {
            send();
            client.recv(&mut [0; 5]).is_ok()
        };
        wait_until("an answer", is_answered);
        let go_on = Arc::new(Event::new());
        let wait = || {
            let until = Arc::clone(&go_on);
            Builder::new().spawn(move || until.wait()).ok()
        };
        let mut waiting = Vec::new();
        wait_until("a lost datagram", || {
            // Again each time: an answer to an earlier one may still have had a stack.
            waiting.extend(std::iter::repeat_with(wait).map_while(|started| started));
            send();
            !log_lines::with("no coroutine for a datagram of ").is_empty()
        });
        assert!(!waiting.is_empty());
        go_on.set();
        wait_until("an answer again", is_answered);
    });
}
