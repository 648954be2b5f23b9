//! One bound over all memory that peers can make a server hold, whatever they make it hold, and which of them go when it is reached.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use zinx::ziface::{CloseReason, IRequest, IServer};
use zinx::znet::HeldBytes;
use zinx::{Config, Error, Server, green};

use crate::common::child::{in_child, resident_kib};
use crate::common::in_time::in_time;
use crate::common::phone::{OPEN, TOKEN};
use crate::common::process::processor_time;
use crate::common::{ECHO, Peer, Running, config, frame, start, start_alone, wait_until};

/// Asks for a reply of as many bytes as the payload says, or for several.
const WANT: u32 = 11;

/// Has no router.
const OTHER: u32 = 12;

const MIB: usize = 1 << 20;

#[test]
fn replies_that_nobody_reads_stay_under_the_bound_and_the_slowest_go() {
    // None of them is told that the queue is full: there is always one that goes for it.
    let fails = Arc::new(AtomicUsize::new(0));
    let running = serve_counting(&fails, 8 * MIB, |config| config.queue_wait_ms = 60_000);
    let mut peers: Vec<_> = (0..24).map(|_| deaf(&running)).collect();
    peers.iter_mut().for_each(|peer| peer.send(&want(3 * MIB)));
    wait_until("many evicted", || running.server.stats().evicted >= 12 || fails.load(Ordering::Relaxed) > 0);
    assert_eq!(fails.load(Ordering::Relaxed), 0);
    let stats = running.server.stats();
    assert!(stats.held_peak <= 8 * MIB, "{}", stats.held_peak);
    let evicted = || {
        let reasons = peers.iter().filter_map(|peer| why_closed(&running, peer));
        reasons.filter(|why| is_eviction(why, 8 * MIB)).count()
    };
    wait_until("their stop hooks", || evicted() >= 12);
    // A peer that reads is served beside them, however large the reply.
    unless_slow(|| {
        let (mut reader, mut reply) = (running.connect(), vec![0; 8 + 3 * MIB]);
        reader.send(&want(3 * MIB));
        reader.stream.read_exact(&mut reply)?;
        assert!(reply == frame(WANT, &vec![7; 3 * MIB]));
        Ok(())
    });
    nothing_is_left(running, peers);
}

#[test]
fn senders_that_wait_hold_a_quarter_more_than_the_bound_at_most() {
    in_child("bounds::senders_that_wait_hold_a_quarter_more_than_the_bound_at_most", || {
        let running = serve(16 * MIB, |config| config.queue_wait_ms = 60_000);
        running.connect().check_echo();
        let base = resident_kib();
        let mut peers: Vec<_> = (0..40).map(|_| deaf(&running)).collect();
        peers.iter_mut().for_each(|peer| peer.send(&want(4 * MIB)));
        let (mut peak, mut waiting) = (0, 0);
        wait_until("one waits, and many were evicted", || {
            peak = peak.max(resident_kib());
            waiting = waiting.max(running.server.stats().held.waiting);
            waiting >= 4 * MIB && running.server.stats().evicted >= 20
        });
        // What each worker is making or letting go, and 8 MiB for everything else.
        let most = base + ((16 + 4 + 2 * 4 * green::Runtime::current().unwrap().workers + 8) << 10);
        assert!(peak <= most, "{peak} KiB of a base of {base}, 160 MiB asked for");
        nothing_is_left(running, peers);
    });
}

#[test]
fn a_sender_whose_message_does_not_fit_costs_nothing_while_it_waits() {
    in_child("bounds::a_sender_whose_message_does_not_fit_costs_nothing_while_it_waits", || {
        let running = serve(256 * MIB, |config| {
            config.queue_wait_ms = 60_000;
            (config.max_msg_chan_bytes, config.worker_pool_size) = (16 * MIB, 2);
        });
        let mut peer = deaf(&running);
        // What the system does not take of the first is less than half of the room, so that a sender is woken; the second needs
        // nearly all of it.
        let lens = [6 * MIB, 15 * MIB];
        // Both by one handler: another does not begin while the reply before fills the socket.
        peer.send(&frame(WANT, &lens.map(|len| u32::try_from(len).unwrap().to_le_bytes()).concat()));
        wait_until("one waits", || running.server.stats().held.waiting >= 15 * MIB);
        let before = processor_time("self");
        std::thread::sleep(Duration::from_secs(2));
        let spent = processor_time("self") - before;
        assert!(spent < Duration::from_millis(500), "{spent:?} within two seconds");
        lens.iter().for_each(|len| assert_eq!(peer.read_frame().1.len(), *len));
        nothing_is_left(running, vec![peer]);
    });
}

#[test]
fn what_a_sender_holds_while_it_waits_for_a_slow_peer_counts_within_the_bound() {
    let running = serve(8 * MIB, |config| config.queue_wait_ms = 60_000);
    let mut peer = deaf(&running);
    peer.send(&want(MIB).repeat(8));
    let held = || running.server.stats().held;
    wait_until("one is queued and one waits", || held().waiting >= MIB - 4096);
    assert!(held().queued > 0 && running.server.stats().held_peak >= 2 * MIB - 8192, "{:?}", held());
    (0..8).for_each(|_| assert_eq!(peer.read_frame().1.len(), MIB));
    nothing_is_left(running, vec![peer]);
}

#[test]
fn a_reply_larger_than_the_bound_is_an_error_at_once() {
    let running = serve(2 * MIB, |_| {});
    let mut peer = running.connect();
    peer.send(&want(3 * MIB));
    assert_eq!(peer.read_frame(), (WANT, b"queue full".to_vec()));
    peer.check_echo();
    assert_eq!(running.stop().evicted, 0);
}

#[test]
fn a_large_broadcast_counts_once_however_many_do_not_read_it() {
    let running = serve(4 * MIB, |_| {});
    let mut peers: Vec<_> = (0..12).map(|_| deaf(&running)).collect();
    let conns: Vec<_> = peers.iter().map(|peer| running.conn(peer.addr())).collect();
    conns.iter().for_each(|conn| conn.join_group("all").unwrap());
    let group = conns[0].get_group("all");
    let sent = green::run(move || group.broadcast(OTHER, vec![7; 3 * MIB])).unwrap();
    assert_eq!((sent.queued, sent.missed), (12, 0));
    let held = running.server.stats().held;
    assert!((3 * MIB..4 * MIB).contains(&held.broadcasts) && held.queued == 0, "{held:?}");
    // The others still have it.
    drop(peers.split_off(6));
    wait_until("half gone", || running.server.stats().stop_hooks == 6);
    assert_eq!(running.server.stats().held.broadcasts, held.broadcasts);
    drop(conns);
    nothing_is_left(running, peers);
}

#[test]
fn frames_kept_for_a_resume_stay_under_the_bound() {
    let running = serve(2 * MIB, |config| config.resume_ms = 60_000);
    let peers: Vec<_> = (0..24)
        .map(|_| {
            let mut peer = running.connect();
            peer.send(&frame(OPEN, b""));
            assert_eq!(peer.read_frame().0, TOKEN);
            // It reads all and counts nothing.
            for _ in 0..8 {
                peer.send(&want(30_000));
                assert_eq!(peer.read_frame().1.len(), 30_000);
            }
            peer
        })
        .collect();
    let stats = running.server.stats();
    assert!(stats.evicted >= 12 && stats.held_peak <= 2 * MIB, "{stats:?}");
    assert!(stats.held.resume >= MIB, "{stats:?}");
    // Those that are away count as well: they are found too, and end.
    peers.into_iter().for_each(Peer::reset);
    let mut late = running.connect();
    late.send(&frame(OPEN, b""));
    late.read_frame();
    for _ in 0..30 {
        late.send(&want(30_000));
        assert_eq!(late.read_frame().1.len(), 30_000);
    }
    assert!(running.server.stats().held_peak <= 2 * MIB);
}

#[test]
fn messages_kept_for_a_waiting_handler_stay_under_the_bound() {
    in_child("bounds::messages_kept_for_a_waiting_handler_stay_under_the_bound", || {
        let running = keeping(8 * MIB);
        let base = resident_kib();
        let mut peers: Vec<_> = (0..60).map(|_| running.connect()).collect();
        let burst = frame(OTHER, &[7; 4000]).repeat(255);
        // The server may have disconnected it by then.
        peers.iter_mut().for_each(|peer| drop(peer.stream.write_all(&burst)));
        wait_until("many evicted", || running.server.stats().evicted >= 40);
        let stats = running.server.stats();
        assert!(stats.held_peak <= 8 * MIB, "{}", stats.held_peak);
        // The bound twice, and 12 MiB for everything else: buffers, stacks, what the allocator has not given back.
        let grown = resident_kib().saturating_sub(base);
        assert!(grown <= 28 << 10, "{grown} KiB for 60 MB sent");
        assert!(
            peers.iter().filter_map(|peer| why_closed(&running, peer)).all(|why| is_eviction(&why, 8 * MIB))
        );
        nothing_is_left(running, peers);
    });
}

#[test]
fn large_frames_that_never_end_stay_under_the_bound() {
    in_child("bounds::large_frames_that_never_end_stay_under_the_bound", || {
        // They are evicted, and not late with their frames, however long a busy machine takes.
        let running = serve(4 * MIB, |config| {
            (config.max_packet_size, config.frame_timeout_ms) = (4 << 20, 60_000);
        });
        let whole = frame(ECHO, &vec![7; MIB]);
        let mut peers: Vec<_> = (0..12)
            .map(|_| {
                let mut peer = running.connect();
                // The server may have disconnected it by then.
                drop(peer.stream.write_all(&whole[..MIB / 4 * 3]));
                peer
            })
            .collect();
        wait_until("many evicted", || running.server.stats().evicted >= 6);
        let stats = running.server.stats();
        assert!(stats.held_peak <= 4 * MIB, "{}", stats.held_peak);
        // A peer that sends all is served, and holds nothing afterwards.
        unless_slow(|| {
            let (mut sender, mut echo) = (running.connect(), vec![0; whole.len()]);
            let (begun, before) = (Instant::now(), processor_time("self"));
            sender.stream.write_all(&whole)?;
            sender.stream.read_exact(&mut echo)?;
            let (took, spent) = (begun.elapsed(), processor_time("self") - before);
            // While it waits for room that others take, it looks now and then.
            assert!(spent < took / 2 + Duration::from_millis(100), "{spent:?} of {took:?}");
            assert!(echo == whole);
            Ok(())
        });
        peers.truncate(6);
        nothing_is_left(running, peers);
    });
}

#[test]
fn requests_that_wait_for_a_worker_stay_under_half_the_bound_and_none_is_lost() {
    let gate = Arc::new(green::Event::new());
    let theirs = Arc::clone(&gate);
    let mut config = config();
    config.worker_pool_size = 1;
    config.max_worker_task_len = 100_000;
    config.max_queued_bytes = 2 * MIB;
    let running = start_alone(config, |server| {
        server
            .add_router(WANT, move |_: &dyn IRequest| {
                theirs.wait();
                Ok(())
            })
            .unwrap();
    });
    let mut first = running.connect();
    first.send(&frame(WANT, b""));
    let mut peers: Vec<_> = (0..8).map(|_| running.connect()).collect();
    let burst = [frame(OTHER, &[7; 4000]).repeat(150), frame(ECHO, b"end")].concat();
    let senders: Vec<_> = peers
        .iter_mut()
        .map(|peer| {
            let (mut stream, burst) = (peer.stream.try_clone().unwrap(), burst.clone());
            std::thread::spawn(move || stream.write_all(&burst).unwrap())
        })
        .collect();
    wait_until("half of the bound held", || running.server.stats().held.tasks > MIB - 100_000);
    std::thread::sleep(Duration::from_millis(100));
    let held = running.server.stats().held;
    assert!(held.tasks <= MIB + 64 * 1024 && held.total() == held.tasks, "{held:?}");
    gate.set();
    senders.into_iter().for_each(|sender| sender.join().unwrap());
    for peer in &mut peers {
        assert_eq!(peer.read_frame(), (ECHO, b"end".to_vec()));
    }
    let stats = running.server.stats();
    assert_eq!((stats.unknown_ids, stats.evicted), (8 * 150, 0));
    nothing_is_left(running, peers);
}

#[test]
fn read_buffers_of_handlers_that_wait_are_counted() {
    in_child("bounds::read_buffers_of_handlers_that_wait_are_counted", || {
        let gate = Arc::new(green::Event::new());
        let theirs = Arc::clone(&gate);
        let running = start_alone(config(), |server| {
            let waits = move |_: &dyn IRequest| {
                theirs.wait();
                Ok(())
            };
            server.add_router(WANT, waits).unwrap();
        });
        let mut peers: Vec<_> = (0..300).map(|_| running.connect()).collect();
        peers.iter_mut().for_each(|peer| peer.send(&frame(WANT, b"")));
        // The first 256 have large ones.
        let held = || running.server.stats().held;
        wait_until("44 small ones", || held().read_buffers >= 44 * 16 * 1024);
        assert_eq!(held().total(), held().read_buffers);
        gate.set();
        peers.iter_mut().for_each(Peer::check_echo);
        nothing_is_left(running, peers);
    });
}

#[test]
fn memory_goes_back_to_the_system_after_a_burst() {
    in_child("bounds::memory_goes_back_to_the_system_after_a_burst", || {
        let running = serve(512 * MIB, |_| {});
        (0..20).for_each(|_| running.connect().check_echo());
        let base = resident_kib();
        let mut peers: Vec<_> = (0..60).map(|_| deaf(&running)).collect();
        peers.iter_mut().for_each(|peer| (0..2).for_each(|_| peer.send(&want(3 * MIB))));
        let keepers = keeping(64 * MIB);
        let mut senders: Vec<_> = (0..40).map(|_| keepers.connect()).collect();
        let burst = frame(OTHER, &[7; 4000]).repeat(250);
        senders.iter_mut().for_each(|peer| peer.send(&burst));
        wait_until("much held", || {
            let held = |running: &Running| running.server.stats().held.total();
            held(&running) > 100 * MIB && held(&keepers) > 30 * MIB
        });
        assert!(resident_kib() > base + (130 << 10));
        drop((peers, senders, burst));
        let back = || resident_kib() <= base * 3 / 2;
        let came = crate::common::comes_true(Duration::from_secs(20), back);
        assert!(came, "{} KiB stay of a base of {base}", resident_kib());
    });
}

#[test]
fn memory_goes_back_to_the_system_also_if_the_server_stops_after_a_burst() {
    in_child("bounds::memory_goes_back_to_the_system_also_if_the_server_stops_after_a_burst", || {
        let (keepers, other) = (keeping(64 * MIB), serve(MIB, |_| {}));
        (0..20).for_each(|_| other.connect().check_echo());
        // As many sessions have been there before: their stacks belong to the base.
        let mut first: Vec<_> = (0..40).map(|_| keepers.connect()).collect();
        first.iter_mut().for_each(|peer| peer.send(&frame(OTHER, b"")));
        wait_until("a stack for each", || keepers.server.stats().stacks >= 40);
        drop(first);
        wait_until("the first gone", || keepers.server.stats().stop_hooks == 40);
        let base = resident_kib();
        let mut senders: Vec<_> = (0..40).map(|_| keepers.connect()).collect();
        let burst = frame(OTHER, &[7; 4000]).repeat(250);
        senders.iter_mut().for_each(|peer| peer.send(&burst));
        wait_until("much held", || keepers.server.stats().held.total() > 30 * MIB);
        drop((senders, burst));
        keepers.stop();
        let back = || resident_kib() <= base * 3 / 2;
        assert!(
            crate::common::comes_true(Duration::from_secs(20), back),
            "{} KiB of a base of {base}",
            resident_kib()
        );
        other.connect().check_echo();
    });
}

/// A server under such a bound that replies to [`WANT`]; with a healthy client beside all that the test does.
fn serve(bound: usize, change: impl FnOnce(&mut Config)) -> Running {
    serve_counting(&Arc::default(), bound, change)
}

/// As [`serve`]; counts the replies for which there was no room.
fn serve_counting(fails: &Arc<AtomicUsize>, bound: usize, change: impl FnOnce(&mut Config)) -> Running {
    let fails = Arc::clone(fails);
    let mut config = config();
    config.max_queued_bytes = bound;
    // Nobody is cut off for slowness, on however busy a machine.
    config.write_timeout_ms = 60_000;
    change(&mut config);
    start(config, |server| {
        server
            .add_router(WANT, move |request: &dyn IRequest| {
                let conn = request.get_connection();
                let lens = request.get_data().as_chunks::<4>().0;
                lens.iter().try_for_each(|len| {
                    match conn.send_msg(WANT, vec![7; u32::from_le_bytes(*len) as usize]) {
                        Err(Error::QueueFull { .. }) => {
                            fails.fetch_add(1, Ordering::Relaxed);
                            conn.send_msg(WANT, "queue full")
                        }
                        sent => sent,
                    }
                })
            })
            .unwrap();
    })
}

/// Tries until a peer is served. One that a busy machine holds up for a second counts as slow itself, and may be evicted.
fn unless_slow(attempt: impl Fn() -> io::Result<()>) {
    in_time(|| {
        let begun = Instant::now();
        let served = attempt();
        assert!(served.is_ok() || begun.elapsed() >= Duration::from_secs(1), "{served:?}");
        served.ok()
    });
}

/// A server whose handlers wait for a message that never comes.
fn keeping(bound: usize) -> Running {
    let mut config = config();
    config.max_queued_bytes = bound;
    let waits = |server: &Server| server.on_session(|session| session.recv_id(WANT).map(drop)).unwrap();
    start_alone(config, waits)
}

fn want(len: usize) -> Vec<u8> {
    frame(WANT, &u32::try_from(len).unwrap().to_le_bytes())
}

/// A peer that never reads, and whose system takes little for it.
fn deaf(running: &Running) -> Peer {
    let address = running.server.local_addr().unwrap();
    let socket =
        socket2::Socket::new(socket2::Domain::for_address(address), socket2::Type::STREAM, None).unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    socket.connect(&address.into()).unwrap();
    Peer { stream: TcpStream::from(socket.as_fd().try_clone_to_owned().unwrap()) }
}

fn why_closed(running: &Running, peer: &Peer) -> Option<CloseReason> {
    (running.stop_hooks(peer.addr()) > 0).then(|| running.close_reason(peer.addr()))
}

fn is_eviction(why: &CloseReason, bound: usize) -> bool {
    let says = why.to_string();
    matches!(why, CloseReason::HeldTooMuch { held, max } if *max == bound && *held > 0)
        && says.contains("MaxQueuedBytes")
}

/// Once all peers have gone, the ledger is empty.
fn nothing_is_left(running: Running, peers: Vec<Peer>) {
    drop(peers);
    wait_until("nothing held", || running.server.stats().held == HeldBytes::default());
    running.stop();
}
