//! A limit on a peer counts time in which nothing moved although the process ran.

use std::io::Read;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use crate::common::child::in_child;
use crate::common::in_time::in_time;
use crate::common::phone::Phone;
use crate::common::{ECHO, Peer, config, frame, start, start_alone, wait_until};
use zinx::ziface::{
    CloseReason, HeartBeatDirection, HeartBeatOption, IClient, IConnection, IMessage, IRequest, IServer,
};
use zinx::{Config, Result, Server, green, new_client_with_config};

/// How a peer reads: so many bytes, then a pause, for so long; then all that is left.
const PACES: [(usize, Duration, Duration); 2] = [
    // Without a pause worth the name, to the end: it takes four times the write timeout.
    (15_000, Duration::from_millis(5), Duration::from_secs(60)),
    // So slowly that the socket has room long before it tells, which is when half of what it may hold unsent has left.
    (10_000, Duration::from_millis(50), Duration::from_secs(5)),
];

#[test]
fn a_peer_that_reads_steadily_is_not_cut_however_slowly_it_reads() {
    const FLOOD: u32 = 2;
    let mut config = config();
    config.write_timeout_ms = 1000;
    let running = start(config, |server| {
        let flood = |request: &dyn IRequest| request.get_connection().send_msg(FLOOD, vec![7; 12_000_000]);
        server.add_router(FLOOD, flood).unwrap();
    });
    // `None` if it was cut after a busy machine had kept it from reading steadily.
    let read = |(bytes, pause, long)| {
        let mut peer = running.connect();
        peer.send(&frame(FLOOD, b""));
        let (begun, mut buffer, mut left) = (Instant::now(), vec![0; bytes], 12_000_008);
        let (mut last, mut was_late) = (begun, false);
        while left > 0 && begun.elapsed() < long {
            let read = peer.stream.read(&mut buffer);
            was_late |= std::mem::replace(&mut last, Instant::now()).elapsed() > LATE;
            let Ok(read @ 1..) = read else {
                assert!(was_late, "{read:?} of {left} bytes left");
                return None;
            };
            left -= read;
            thread::sleep(pause);
        }
        let rest = peer.stream.read_exact(&mut vec![0; left]);
        assert!(rest.is_ok() || was_late || last.elapsed() > LATE, "{rest:?} of {left} bytes left");
        rest.ok()?;
        peer.check_echo();
        assert!(begun.elapsed() > Duration::from_secs(3), "too fast to tell");
        Some(())
    };
    thread::scope(|scope| {
        PACES.into_iter().for_each(|pace| drop(scope.spawn(move || in_time(|| read(pace)))));
    });
}

/// A pause in which a peer reads nothing for so long is not steady: with what the socket holds back, the limit may be near.
const LATE: Duration = Duration::from_millis(250);

const ASK: u32 = 3;
const ANSWER: u32 = 4;
const DONE: u32 = 5;
const FLOOD: u32 = 6;
const STOP: u32 = 7;

/// What every limit is in the next test, and how much longer than that its process is stopped.
const ALLOWED: Duration = Duration::from_secs(6);
const STOPPED: Duration = Duration::from_secs(9);

/// The server and its peers are one process. The peers are within their limits before it is stopped, and afterwards.
#[test]
fn no_peer_is_cut_for_time_in_which_the_process_was_stopped() {
    in_child("standstill::no_peer_is_cut_for_time_in_which_the_process_was_stopped", || {
        let running = start_alone(all_limits(), set_up_for_a_stop);
        let address = running.server.local_addr().unwrap();
        let mut away = Phone::open(address);
        let conn = running.conn(away.stream.local_addr().unwrap());
        away.send(ECHO, b"before");
        away.receive();
        let [
            mut with_deadline,
            mut silent,
            mut in_frame,
            mut asked,
            mut asked_by_another,
            mut slow,
            mut stopping,
        ] = std::array::from_fn(|_| running.connect());
        let mut peers = [
            &mut with_deadline,
            &mut silent,
            &mut in_frame,
            &mut asked,
            &mut asked_by_another,
            &mut slow,
            &mut stopping,
        ];
        peers.iter_mut().for_each(|peer| peer.check_echo());
        in_frame.send(&frame(ECHO, b"in two parts")[..12]);
        asked.send(&frame(ASK, b""));
        asked_by_another.send(&frame(ASK, b"by another"));
        for peer in [&mut asked, &mut asked_by_another] {
            assert_eq!(peer.read_frame().0, ASK);
        }
        // Its handler waits for room in a full queue,
        slow.send(&frame(FLOOD, b""));
        // and this one's connection for its queue to leave, before the drain deadline.
        stopping.send(&frame(STOP, b""));
        for peer in [&slow, &stopping] {
            let conn = running.conn(peer.addr());
            wait_until("a full queue", || conn.try_send_msg(FLOOD, vec![0; FLOOD_BYTES]).is_err());
        }
        away.lose(false);
        wait_until("the loss", || conn.is_away());
        let mut late = running.connect();
        let has_deadline = running.conn(with_deadline.addr());
        has_deadline.set_read_deadline(Instant::now() + ALLOWED);

        stop_this_process_for(STOPPED);

        // First: its peer has been away the longest.
        away.resume();
        away.send(ECHO, b"and on");
        assert_eq!(away.receive(), (ECHO, b"and on".to_vec()));
        with_deadline.check_echo();
        has_deadline.set_read_deadline(None);
        late.check_echo();
        silent.check_echo();
        in_frame.send(&frame(ECHO, b"in two parts")[12..]);
        assert_eq!(in_frame.read_frame(), (ECHO, b"in two parts".to_vec()));
        for peer in [&mut asked, &mut asked_by_another] {
            peer.send(&frame(ANSWER, b"yes"));
            assert_eq!(peer.read_frame(), (DONE, b"yes".to_vec()));
        }
        assert!(std::iter::repeat_with(|| slow.read_frame().0).any(|id| id == DONE));
        slow.check_echo();
        assert!(!stopping.read_to_end().is_empty());
        assert_eq!(running.close_reason(stopping.addr()), CloseReason::Stopped);
        let stats = running.server.stats();
        // That of the peer that came back, and the one that asked to be stopped.
        assert_eq!((stats.stop_hooks, stats.unsent_messages), (2, 0));
        // The limits hold as before: one that the standstill still put off would be over later.
        let begun = Instant::now();
        assert_eq!(running.close_reason(silent.addr()), CloseReason::IdleTimeout);
        assert!(begun.elapsed() < 2 * ALLOWED, "{:?}", begun.elapsed());
    });
}

/// Then no thread waits for a time that is near, and what the process has not run is told all the same.
#[test]
fn nor_if_the_process_was_stopped_in_the_middle_of_a_look_at_the_limits() {
    in_child("standstill::nor_if_the_process_was_stopped_in_the_middle_of_a_look_at_the_limits", || {
        let (beat, hold) = held_beat();
        let running = start_alone(all_limits(), |server| {
            let option = HeartBeatOption::new().direction(HeartBeatDirection::SendOnly).heart_beat_func(beat);
            server.start_heart_beat_with_option(ALLOWED / 60, option).unwrap();
            server.add_router(ASK, ask).unwrap();
        });
        let (mut silent, mut asked) = (running.connect(), running.connect());
        silent.check_echo();
        asked.send(&frame(ASK, b""));
        assert_eq!(asked.read_frame().0, ASK);
        let held = hold.begin();

        stop_this_process_for(STOPPED);

        held.end();
        asked.send(&frame(ANSWER, b"yes"));
        assert_eq!(asked.read_frame(), (DONE, b"yes".to_vec()));
        silent.check_echo();
        running.stop();
    });
}

/// The sweeper reads the clock that says when a peer has spoken.
#[test]
fn nor_for_time_in_which_only_the_sweeper_stood_still() {
    const LIMIT: Duration = Duration::from_secs(2);
    let mut config = config();
    (config.idle_timeout_ms, config.frame_timeout_ms) = (LIMIT.as_millis() as u64, LIMIT.as_millis() as u64);
    let (beat, hold) = held_beat();
    // With a healthy client, to which there is always a heartbeat to be held.
    let running = start(config, |server| {
        let option = HeartBeatOption::new().direction(HeartBeatDirection::SendOnly).heart_beat_func(beat);
        server.start_heart_beat_with_option(ALLOWED / 60, option).unwrap();
    });
    // On a busy machine they may be idle before the sweeper stands still.
    let (mut idle, mut in_frame, held) = in_time(|| {
        let mut peers = [running.connect(), running.connect()];
        let conns = peers.each_ref().map(|peer| running.conn(peer.addr()));
        peers.iter_mut().all(Peer::is_answered).then_some(())?;
        let held = hold.begin();
        if conns.iter().any(|conn| conn.context().is_done()) {
            held.end();
            return None;
        }
        let [idle, in_frame] = peers;
        Some((idle, in_frame, held))
    });
    thread::sleep(LIMIT);
    idle.send(&frame(ECHO, b"late"));
    in_frame.send(&[frame(ECHO, b"late"), frame(ECHO, b"in two parts")[..12].to_vec()].concat());
    let spoken = Instant::now();
    for peer in [&mut idle, &mut in_frame] {
        assert_eq!(peer.read_frame(), (ECHO, b"late".to_vec()));
    }
    held.end();
    for (peer, reason) in [(idle, CloseReason::IdleTimeout), (in_frame, CloseReason::FrameTimeout)] {
        assert_eq!(running.close_reason(peer.addr()), reason);
        // The clock counts whole milliseconds.
        assert!(spoken.elapsed() >= LIMIT - Duration::from_millis(2), "{:?}", spoken.elapsed());
    }
}

/// All clients share one.
#[test]
fn nor_for_time_in_which_another_client_held_the_sweeper() {
    in_child("standstill::nor_for_time_in_which_another_client_held_the_sweeper", || {
        const LIMIT: Duration = Duration::from_secs(2);
        let running = start_alone(config(), |_| {});
        let port = running.server.local_addr().unwrap().port();
        let client = |config| new_client_with_config("127.0.0.1", port, config).unwrap();
        let (beat, hold) = held_beat();
        let holding = client(config());
        let option = HeartBeatOption::new().direction(HeartBeatDirection::SendOnly).heart_beat_func(beat);
        holding.start_heart_beat_with_option(ALLOWED / 60, option).unwrap();
        holding.start().unwrap();
        let mut its_config = config();
        its_config.idle_timeout_ms = LIMIT.as_millis() as u64;
        let heard = Arc::new(AtomicBool::new(false));
        // On a busy machine it may be idle before the sweeper stands still.
        let (_other, conn, theirs, held) = in_time(|| {
            let (other, hears) = (client(its_config.clone()), Arc::clone(&heard));
            let hear = move |_: &dyn IRequest| {
                hears.store(true, Ordering::Release);
                Ok(())
            };
            other.add_router(ECHO, hear).unwrap();
            other.start().unwrap();
            let conn = other.conn()?;
            let theirs = running.conn(conn.get_local_addr());
            let held = hold.begin();
            if conn.context().is_done() {
                held.end();
                return None;
            }
            Some((other, conn, theirs, held))
        });
        thread::sleep(LIMIT);
        theirs.send_msg(ECHO, "late").unwrap();
        wait_until("what it says", || heard.load(Ordering::Acquire));
        let spoken = Instant::now();
        held.end();
        assert!(conn.wait_closed(Duration::from_secs(30)).unwrap());
        assert_eq!(conn.get_close_reason(), Some(CloseReason::IdleTimeout));
        // What was heard was heard a moment before.
        assert!(spoken.elapsed() >= LIMIT - Duration::from_millis(100), "{:?}", spoken.elapsed());
        holding.stop();
    });
}

/// A heartbeat that can be held, and with it the sweeper.
fn held_beat() -> (impl Fn(&Arc<dyn IConnection>) -> Result<()> + Send + Sync + 'static, Hold) {
    let ((say, said), (go_on, goes_on)) = (mpsc::channel(), mpsc::channel());
    let (wanted, goes_on) = (Arc::new(AtomicBool::new(false)), Mutex::new(goes_on));
    let holds = Arc::clone(&wanted);
    let beat = move |_: &Arc<dyn IConnection>| {
        if holds.swap(false, Ordering::AcqRel) {
            say.send(()).unwrap();
            goes_on.lock().unwrap().recv().unwrap();
        }
        Ok(())
    };
    (beat, Hold { wanted, said, go_on })
}

struct Hold {
    wanted: Arc<AtomicBool>,
    said: mpsc::Receiver<()>,
    go_on: mpsc::Sender<()>,
}

impl Hold {
    /// Holds the next heartbeat, once it is due.
    fn begin(&self) -> &Self {
        self.wanted.store(true, Ordering::Release);
        self.said.recv_timeout(ALLOWED).unwrap();
        self
    }

    fn end(&self) {
        self.go_on.send(()).unwrap();
    }
}

const FLOOD_BYTES: usize = 64 << 10;

/// A configuration in which every limit on a peer is [`ALLOWED`].
fn all_limits() -> Config {
    let mut config = config();
    let ms = ALLOWED.as_millis() as u64;
    (config.first_frame_timeout_ms, config.frame_timeout_ms, config.idle_timeout_ms) = (ms, ms, ms);
    (config.write_timeout_ms, config.queue_wait_ms, config.drain_ms, config.resume_ms) = (ms, ms, ms, ms);
    config.max_msg_chan_bytes = 4 * FLOOD_BYTES;
    config
}

fn set_up_for_a_stop(server: &Server) {
    let option = HeartBeatOption::new().direction(HeartBeatDirection::WatchOnly).misses(10);
    server.start_heart_beat_with_option(ALLOWED / 10, option).unwrap();
    server.add_router(ASK, ask).unwrap();
    let flood = |request: &dyn IRequest| {
        (0..512).try_for_each(|_| request.get_connection().send_msg(FLOOD, vec![0; FLOOD_BYTES]))?;
        request.get_connection().send_msg(DONE, "")
    };
    server.add_router(FLOOD, flood).unwrap();
    let stop = |request: &dyn IRequest| {
        let conn = request.get_connection();
        while conn.try_send_msg(FLOOD, vec![0; FLOOD_BYTES]).is_ok() {}
        conn.stop();
        Ok(())
    };
    server.add_router(STOP, stop).unwrap();
}

/// Asks the peer, or has another green thread ask it.
fn ask(request: &dyn IRequest) -> Result<()> {
    let conn = Arc::clone(request.get_connection());
    let ask = move || {
        let answer = conn.call(ASK, "", ANSWER, ALLOWED)?;
        conn.send_msg(DONE, answer.get_data())
    };
    if request.get_data().is_empty() {
        return ask();
    }
    green::spawn(move || ask().unwrap());
    Ok(())
}

/// Another process stops this one, and lets it go on.
fn stop_this_process_for(time: Duration) {
    let script = format!("kill -STOP $0; sleep {}; kill -CONT $0", time.as_secs());
    let begun = Instant::now();
    let mut other = std::process::Command::new("sh");
    assert!(other.args(["-c", &script, &std::process::id().to_string()]).status().unwrap().success());
    assert!(begun.elapsed() >= time);
}
