//! Our own client resumes by itself: its connection stays the same one while its sockets come and go.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use zinx::prelude::*;
use zinx::ziface::{CloseReason, HeartBeatDirection, HeartBeatOption, ResumeRefusal};
use zinx::znet::Reconnect;

use crate::common::phone::{COUNT, OPEN, REFUSED, RESUME, TOKEN};
use crate::common::random::Random;
use crate::common::{Peer, Running, config, frame, start_alone, wait_until};

const SAY: u32 = 2;
const SAID: u32 = 3;
const ASK: u32 = 4;
const ANSWER: u32 = 5;
const SOON: Duration = Duration::from_secs(10);

fn resuming() -> Config {
    let mut config = config();
    config.resume_ms = 20_000;
    config
}

type Noted = Arc<Mutex<Vec<u32>>>;

fn number(request: &dyn IRequest) -> u32 {
    u32::from_le_bytes(request.get_data()[..4].try_into().unwrap())
}

/// A server that notes what is said, and says it back.
fn serve(config: Config) -> (Running, Noted) {
    let heard = Noted::default();
    let noted = Arc::clone(&heard);
    let say = move |request: &dyn IRequest| {
        noted.lock().unwrap().push(number(request));
        request.get_connection().send_msg(SAID, request.get_data())
    };
    (start_alone(config, |server| server.add_router(SAY, say).unwrap()), heard)
}

/// A client of that address which notes what it is told, and how often its hooks have run.
fn client(address: SocketAddr, config: Config) -> (Client, Noted, Arc<[AtomicUsize; 2]>) {
    let client = new_client_with_config("127.0.0.1", address.port(), config).unwrap();
    let (told, hooks) = (Noted::default(), Arc::new([const { AtomicUsize::new(0) }; 2]));
    let noted = Arc::clone(&told);
    client
        .add_router(SAID, move |request: &dyn IRequest| {
            noted.lock().unwrap().push(number(request));
            Ok(())
        })
        .unwrap();
    client
        .add_router(ASK, |request: &dyn IRequest| request.get_connection().send_msg(ANSWER, "here"))
        .unwrap();
    let (started, stopped) = (Arc::clone(&hooks), Arc::clone(&hooks));
    client.set_on_conn_start(move |_| {
        started[0].fetch_add(1, Ordering::Relaxed);
        Ok(())
    });
    client.set_on_conn_stop(move |_| {
        stopped[1].fetch_add(1, Ordering::Relaxed);
        Ok(())
    });
    client.set_reconnect(Reconnect { first_pause: Duration::from_millis(1), ..Reconnect::default() });
    (client, told, hooks)
}

/// Between client and server: cuts each connection after a random number of bytes.
struct Cutter {
    address: SocketAddr,
    cuts: Arc<AtomicUsize>,
    /// Lets all through from now on.
    gentle: Arc<AtomicBool>,
    open: Arc<Mutex<Vec<TcpStream>>>,
}

impl Cutter {
    fn cut_now(&self) {
        for stream in self.open.lock().unwrap().drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

fn cutter(server: SocketAddr, seed: u64) -> Cutter {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (cuts, gentle) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
    let (counted, spares) = (Arc::clone(&cuts), Arc::clone(&gentle));
    let open = Arc::<Mutex<Vec<TcpStream>>>::default();
    let opened = Arc::clone(&open);
    thread::spawn(move || {
        let mut random = Random::new(seed);
        // The first lives until the token has come: 8 bytes ask for it, 44 bring it.
        let mut least = 60;
        for stream in listener.incoming() {
            let (near, far) = (stream.unwrap(), TcpStream::connect(server).unwrap());
            opened.lock().unwrap().extend([near.try_clone().unwrap(), far.try_clone().unwrap()]);
            let budgets = [0; 2].map(|_| least + random.below(400) as usize);
            least = 0;
            let reset = random.below(2) == 0;
            for (from, to, budget) in [(&near, &far, budgets[0]), (&far, &near, budgets[1])] {
                let (from, to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
                let (counted, spares) = (Arc::clone(&counted), Arc::clone(&spares));
                thread::spawn(move || {
                    if pump(&from, &to, budget, &spares) {
                        counted.fetch_add(1, Ordering::Relaxed);
                    }
                    if reset {
                        for stream in [&from, &to] {
                            socket2::SockRef::from(stream).set_linger(Some(Duration::ZERO)).unwrap();
                        }
                    }
                    let _ = from.shutdown(Shutdown::Both);
                    let _ = to.shutdown(Shutdown::Both);
                });
            }
        }
    });
    Cutter { address, cuts, gentle, open }
}

/// Passes on so many bytes. Returns whether they were too many.
fn pump(mut from: &TcpStream, mut to: &TcpStream, mut budget: usize, spares: &AtomicBool) -> bool {
    let mut buffer = [0; 64];
    loop {
        let Ok(n @ 1..) = from.read(&mut buffer) else { return false };
        let passed = if spares.load(Ordering::Relaxed) { n } else { n.min(budget) };
        if to.write_all(&buffer[..passed]).is_err() {
            return false;
        }
        if passed < n {
            return true;
        }
        budget = budget.saturating_sub(n);
    }
}

#[test]
fn nothing_is_lost_or_doubled_through_many_cuts() {
    for seed in 1..=4 {
        let (running, heard) = serve(resuming());
        let cutter = cutter(running.server.local_addr().unwrap(), seed);
        let (client, told, hooks) = client(cutter.address, resuming());
        client.start().unwrap();
        let conn = client.conn().unwrap();
        for n in 0..SAYS {
            conn.send_msg(SAY, n.to_le_bytes()).unwrap();
            if n % 16 == 0 {
                let told = Arc::clone(&told);
                // So that the cuts are spread over the conversation, and less is under way than is kept.
                wait_until("the answers", move || told.lock().unwrap().len() > n as usize);
            }
        }
        wait_until("all answers", || told.lock().unwrap().len() >= SAYS as usize);
        let all: Vec<_> = (0..SAYS).collect();
        assert_eq!((&*heard.lock().unwrap(), &*told.lock().unwrap()), (&all, &all), "seed {seed}");
        let cuts = cutter.cuts.load(Ordering::Relaxed);
        assert!(cuts >= 10, "seed {seed}: only {cuts} cuts");
        assert_eq!(client.conn().unwrap().get_conn_id(), conn.get_conn_id());
        assert_eq!(hooks.each_ref().map(|hook| hook.load(Ordering::Relaxed)), [1, 0], "one connection");
        cutter.gentle.store(true, Ordering::Relaxed);
        // There and back once more: a cut that was under way is over, and the goodbye finds its way.
        conn.send_msg(SAY, SAYS.to_le_bytes()).unwrap();
        wait_until("one more answer", || told.lock().unwrap().len() > SAYS as usize);
        client.stop();
        assert!(client.wait_stopped(SOON));
        wait_until("the server not to wait", || running.server.get_conn_mgr().is_empty());
    }
}

#[test]
fn a_server_that_closes_each_new_socket_is_not_asked_again_without_a_pause() {
    let (running, _) = serve(resuming());
    let server = running.server.local_addr().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let accepted = Arc::new(AtomicUsize::new(0));
    let (counted, (tell, first)) = (Arc::clone(&accepted), mpsc::channel());
    thread::spawn(move || {
        for near in listener.incoming() {
            let near = near.unwrap();
            if counted.fetch_add(1, Ordering::Relaxed) > 0 {
                // As a server does that is full.
                continue;
            }
            let far = TcpStream::connect(server).unwrap();
            for (from, to) in [(&near, &far), (&far, &near)] {
                let (from, to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
                thread::spawn(move || pump(&from, &to, usize::MAX, &AtomicBool::new(true)));
            }
            tell.send([near, far]).unwrap();
        }
    });
    let (client, told, _) = client(address, resuming());
    client.set_reconnect(Reconnect { first_pause: Duration::from_millis(200), ..Reconnect::default() });
    client.start().unwrap();
    client.conn().unwrap().send_msg(SAY, [0; 4]).unwrap();
    wait_until("the token and an answer", || told.lock().unwrap().len() == 1);
    let lost = Instant::now();
    for stream in first.recv().unwrap() {
        let _ = stream.shutdown(Shutdown::Both);
    }
    // At once, and after pauses of at least 100, 200 and 400 ms.
    wait_until("four more sockets", || accepted.load(Ordering::Relaxed) > 4);
    assert!(lost.elapsed() >= Duration::from_millis(700), "{:?}", lost.elapsed());
    client.stop();
    assert!(client.wait_stopped(SOON));
}

#[test]
fn a_client_that_stops_says_so_and_nobody_waits_for_it() {
    let (running, _) = serve(resuming());
    let (client, told, _) = client(running.server.local_addr().unwrap(), resuming());
    client.start().unwrap();
    client.conn().unwrap().send_msg(SAY, [0; 4]).unwrap();
    wait_until("the token and an answer", || told.lock().unwrap().len() == 1);
    client.stop();
    assert!(client.wait_stopped(SOON));
    wait_until("the end", || running.server.get_conn_mgr().is_empty());
}

#[test]
fn what_is_asked_while_the_client_is_away_is_answered_when_it_is_back() {
    let (running, _) = serve(resuming());
    let cutter = cutter(running.server.local_addr().unwrap(), 1);
    cutter.gentle.store(true, Ordering::Relaxed);
    let (client, told, _) = client(cutter.address, resuming());
    client.start().unwrap();
    let ours = client.conn().unwrap();
    ours.send_msg(SAY, [0; 4]).unwrap();
    wait_until("the token and an answer", || told.lock().unwrap().len() == 1);
    let theirs = running.server.get_conn_mgr().get(0).unwrap();
    cutter.cut_now();
    // What is said meanwhile, on both sides, is kept.
    ours.send_msg(SAY, [1, 0, 0, 0]).unwrap();
    assert_eq!(theirs.call(ASK, "there?", ANSWER, SOON).unwrap().get_data(), "here");
    wait_until("the answer", || told.lock().unwrap().len() == 2);
    assert_eq!(running.server.stats().resumed, 1);
    client.stop();
    assert!(client.wait_stopped(SOON));
}

#[test]
fn refused_a_client_begins_again_where_it_reconnects() {
    let (running, _) = serve(resuming());
    let (client, told, hooks) = client(running.server.local_addr().unwrap(), resuming());
    client.start().unwrap();
    let first = client.conn().unwrap();
    first.send_msg(SAY, [0; 4]).unwrap();
    wait_until("the token and an answer", || told.lock().unwrap().len() == 1);
    let theirs = running.conn(first.get_local_addr());
    theirs.stop();
    // Closed on purpose, said the server: there is nothing to resume.
    assert!(first.wait_closed(SOON).unwrap());
    assert_eq!(first.get_close_reason(), Some(CloseReason::PeerClosed));
    wait_until("another connection", || client.conn().is_some_and(|conn| conn.get_conn_id() == 1));
    assert_eq!(hooks[1].load(Ordering::Relaxed), 1);
    let second = client.conn().unwrap();
    second.send_msg(SAY, [1, 0, 0, 0]).unwrap();
    wait_until("an answer", || told.lock().unwrap().len() == 2);
    let theirs = running.conn(second.get_local_addr());
    theirs.abort();
    assert!(second.wait_closed(SOON).unwrap());
    let why = ResumeRefusal::Gone;
    assert_eq!(second.get_close_reason(), Some(CloseReason::ResumeRefused { why }));
    client.stop();
    assert!(client.wait_stopped(SOON));
}

/// A server of which the test plays each step.
struct Played(TcpListener);

impl Played {
    fn listen() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        Self(listener)
    }

    fn address(&self) -> SocketAddr {
        self.0.local_addr().unwrap()
    }

    fn accept(&self) -> Peer {
        let mut accepted = None;
        wait_until("a socket", || {
            accepted = self.0.accept().ok();
            accepted.is_some()
        });
        let (stream, _) = accepted.unwrap();
        stream.set_nonblocking(false).unwrap();
        stream.set_read_timeout(Some(SOON)).unwrap();
        Peer { stream }
    }

    /// A client has a token, and has lost its first socket.
    fn open_and_lose(&self, window_ms: u32, told: &Noted) {
        let mut server = self.accept();
        assert_eq!(server.read_frame(), (OPEN, Vec::new()));
        server.send(&[granted(1, window_ms), frame(SAID, &[0; 4])].concat());
        wait_until("the token and a message", || told.lock().unwrap().len() == 1);
    }
}

/// The token is so many equal bytes. Nothing has been received.
fn granted(token: u8, window_ms: u32) -> Vec<u8> {
    frame(TOKEN, &[&[token; 24][..], &0_u64.to_le_bytes(), &window_ms.to_le_bytes()].concat())
}

/// The first token, and one frame received.
fn asked() -> (u32, Vec<u8>) {
    (RESUME, [&[1; 24][..], &1_u64.to_le_bytes()].concat())
}

#[test]
fn a_client_that_is_refused_as_busy_tries_the_same_token_again() {
    let played = Played::listen();
    let (client, told, hooks) = client(played.address(), resuming());
    client.start().unwrap();
    let conn = client.conn().unwrap();
    played.open_and_lose(20_000, &told);
    for _ in 0..2 {
        let mut server = played.accept();
        assert_eq!(server.read_frame(), asked());
        server.send(&frame(REFUSED, b"\x07busy"));
    }
    let mut server = played.accept();
    assert_eq!(server.read_frame(), asked());
    server.send(&[granted(2, 20_000), frame(SAID, &[1, 0, 0, 0])].concat());
    assert_eq!(server.read_frame(), (COUNT, 1_u64.to_le_bytes().to_vec()));
    wait_until("the other message", || *told.lock().unwrap() == [0, 1]);
    assert!(conn.is_alive() && client.conn().unwrap().get_conn_id() == conn.get_conn_id());
    assert_eq!(hooks.each_ref().map(|hook| hook.load(Ordering::Relaxed)), [1, 0], "one connection");
    client.stop();
    assert!(client.wait_stopped(SOON));
}

#[test]
fn a_client_whose_server_does_not_answer_gives_up_when_its_time_is_over() {
    let played = Played::listen();
    let (client, told, _) = client(played.address(), resuming());
    client.start().unwrap();
    let first = client.conn().unwrap();
    played.open_and_lose(3_000, &told);
    let mut silent = played.accept();
    assert_eq!(silent.read_frame(), asked());
    assert!(first.wait_closed(SOON).unwrap());
    assert_eq!(first.get_close_reason(), Some(CloseReason::PeerClosed));
    // Another connection, with another token.
    let mut server = played.accept();
    assert_eq!(server.read_frame(), (OPEN, Vec::new()));
    client.stop();
    assert!(client.wait_stopped(SOON));
}

#[test]
fn a_heartbeat_finds_a_server_that_does_not_answer_and_the_client_asks_again() {
    const BEAT: Duration = Duration::from_millis(100);
    let played = Played::listen();
    let (client, told, _) = client(played.address(), resuming());
    let option = HeartBeatOption::new().misses(600).direction(HeartBeatDirection::WatchOnly);
    client.start_heart_beat_with_option(BEAT, option).unwrap();
    client.start().unwrap();
    let conn = client.conn().unwrap();
    played.open_and_lose(600_000, &told);
    // From now on: a busy machine may keep the server from issuing a token as soon.
    assert!(conn.set_heart_beat(BEAT, Some(3 * BEAT)));
    // Until one of them answers, in time.
    let mut silent = Vec::new();
    for _ in 0..2 {
        let mut server = played.accept();
        assert_eq!(server.read_frame(), asked());
        silent.push(server);
    }
    assert!(conn.is_away() && conn.get_close_reason().is_none());
    client.stop();
    assert!(client.wait_stopped(SOON));
}

#[test]
fn a_server_that_knows_nothing_of_it_is_an_ordinary_server() {
    let (running, _) = serve(config());
    let (client, told, hooks) = client(running.server.local_addr().unwrap(), resuming());
    client.start().unwrap();
    let first = client.conn().unwrap();
    first.send_msg(SAY, [0; 4]).unwrap();
    wait_until("an answer", || told.lock().unwrap().len() == 1);
    running.conn(first.get_local_addr()).stop();
    assert!(first.wait_closed(SOON).unwrap());
    wait_until("another connection", || client.conn().is_some());
    assert_eq!(hooks[1].load(Ordering::Relaxed), 1);
    client.stop();
    assert!(client.wait_stopped(SOON));
}

const SAYS: u32 = 400;
