//! The server under a service manager, which a test plays: what it is told, and the sockets that it passes.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use zinx::prelude::*;

use crate::common::child::{as_child, in_child_with, is_child};
use crate::common::{Peer, frame, start_alone, wait_until};
use crate::http::config;

const BURN: u32 = 30;

fn has_thread(name: &str) -> bool {
    let threads = std::fs::read_dir("/proc/self/task").unwrap();
    let mut names =
        threads.filter_map(|thread| std::fs::read_to_string(thread.ok()?.path().join("comm")).ok());
    names.any(|found| found.trim() == name)
}

/// The socket at which the service manager hears.
struct Manager(UnixDatagram);

impl Manager {
    fn hear() -> Self {
        let path = std::env::var("NOTIFY_SOCKET").unwrap();
        let _ = std::fs::remove_file(&path);
        let socket = UnixDatagram::bind(&path).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        Self(socket)
    }

    fn next(&self) -> String {
        let mut words = [0; 1000];
        let n = self.0.recv(&mut words).unwrap();
        String::from_utf8(words[..n].to_vec()).unwrap()
    }

    /// The next that is not from the watchdog.
    fn next_state(&self) -> String {
        std::iter::repeat_with(|| self.next()).find(|words| words != "WATCHDOG=1").unwrap()
    }

    /// How many have come that were not heard yet.
    fn waiting(&self) -> usize {
        self.0.set_nonblocking(true).unwrap();
        let count = std::iter::from_fn(|| self.0.recv(&mut [0; 1000]).ok()).count();
        self.0.set_nonblocking(false).unwrap();
        count
    }
}

fn in_child_with_manager(name: &str, more: &[(&str, &str)], body: impl FnOnce()) {
    static MANAGERS: AtomicUsize = AtomicUsize::new(0);
    // The same program may run beside this one. Its whole name would be too long for a socket.
    let (program, number) = (std::process::id(), MANAGERS.fetch_add(1, Ordering::Relaxed));
    let socket = format!("{}/zinx-manager-{program}-{number}.sock", std::env::temp_dir().display());
    in_child_with(name, &[&[("NOTIFY_SOCKET", socket.as_str())], more].concat(), body);
    let _ = std::fs::remove_file(socket);
}

#[test]
fn the_manager_is_told_when_the_server_serves_reloads_and_stops() {
    in_child_with_manager(
        "service::the_manager_is_told_when_the_server_serves_reloads_and_stops",
        &[],
        || {
            let manager = Manager::hear();
            let server = new_server_with_config(config()).unwrap();
            server.reload().unwrap();
            let serving = server.clone();
            let served = std::thread::spawn(move || serving.serve());
            let ready = manager.next();
            let address = server.local_addr().unwrap();
            assert_eq!(
                ready,
                format!("READY=1\nSTATUS=listening on {address}"),
                "not by a reload before the start"
            );
            Peer::connect(address).send(&frame(1, b"x"));
            server.reload().unwrap();
            let reloading = manager.next();
            let micros = reloading.strip_prefix("RELOADING=1\nMONOTONIC_USEC=").unwrap();
            assert!(micros.parse::<u64>().unwrap() > 0);
            assert_eq!(manager.next(), "READY=1");
            server.stop();
            assert_eq!(manager.next(), "STOPPING=1");
            served.join().unwrap().unwrap();
            assert_eq!(manager.waiting(), 0, "without WATCHDOG_USEC there is no watchdog");
        },
    );
}

#[test]
fn the_watchdog_of_the_manager_hears_nothing_while_all_workers_are_held() {
    let name = "service::the_watchdog_of_the_manager_hears_nothing_while_all_workers_are_held";
    in_child_with_manager(name, &[("WATCHDOG_USEC", "400000")], || {
        let manager = Manager::hear();
        let (ends, burns) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        let mut config = config();
        config.workers = 1;
        let server = new_server_with_config(config).unwrap();
        let (until, begun) = (Arc::clone(&ends), Arc::clone(&burns));
        let burn = move |_: &dyn IRequest| {
            begun.store(true, Ordering::SeqCst);
            while !until.load(Ordering::Relaxed) {
                std::hint::spin_loop();
            }
            Ok(())
        };
        server.add_router(BURN, burn).unwrap();
        let serving = server.clone();
        let served = std::thread::spawn(move || serving.serve());
        assert!(manager.next().starts_with("READY=1"));
        (0..3).for_each(|_| assert_eq!(manager.next(), "WATCHDOG=1"));
        let mut peer = Peer::connect(server.local_addr().unwrap());
        peer.send(&frame(BURN, b""));
        wait_until("it burns", || burns.load(Ordering::SeqCst));
        // Half of the time passes, or more on a busy machine, until nothing is said any more.
        std::thread::sleep(Duration::from_millis(500));
        manager.waiting();
        wait_until("a second in which nothing is said", || {
            std::thread::sleep(Duration::from_secs(1));
            manager.waiting() == 0
        });
        ends.store(true, Ordering::Relaxed);
        assert_eq!(manager.next(), "WATCHDOG=1");
        server.stop();
        assert_eq!(manager.next_state(), "STOPPING=1");
        served.join().unwrap().unwrap();
    });
}

#[test]
fn a_socket_that_was_passed_is_used_and_goes_on_listening_when_the_server_has_stopped() {
    let name = "service::a_socket_that_was_passed_is_used_and_goes_on_listening_when_the_server_has_stopped";
    if is_child(name) {
        let address: SocketAddr = std::env::var("PASSED").unwrap().parse().unwrap();
        let mut config = config();
        config.tcp_port = address.port();
        let running = start_alone(config, |_| {});
        assert_eq!(running.server.local_addr(), Some(address));
        running.connect().check_echo();
        running.server.stop();
        assert!(running.server.wait_stopped(Duration::from_secs(20)));
        // One that still accepts would take a peer from the next server.
        wait_until("no acceptor that waits for a peer", || !has_thread("zinx-acceptor"));
        return;
    }
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let mut child = Command::new("sh");
    let pass = "exec 3<&0 0</dev/null; export LISTEN_PID=$$ LISTEN_FDS=1; exec \"$0\" \"$@\"";
    child.args(["-c", pass]).arg(std::env::current_exe().unwrap()).env("PASSED", address.to_string());
    child.stdin(Stdio::from(OwnedFd::from(listener.try_clone().unwrap())));
    let output = as_child(&mut child, name).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    // The next server finds those who have come meanwhile.
    let waits = TcpStream::connect(address).unwrap();
    let accepted = listener.accept().unwrap().1;
    assert_eq!(accepted, waits.local_addr().unwrap());
}
