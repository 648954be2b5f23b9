//! What a reader of the tutorial brings: the `zinx.json` of its Go and Python versions, and the lines it prints.

#![expect(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "tests are plain threads: they block nobody's worker"
)]

#[expect(dead_code, reason = "every test file uses its part of them")]
mod common;

use std::path::Path;
use std::sync::{Mutex, Once, mpsc};
use std::time::Duration;

use common::{config, frame, start, start_alone, wait_until};
use zinx::ziface::{IRequest, IServer};
use zinx::{Config, Error};

#[test]
fn the_files_of_the_tutorials_load_unchanged() {
    for (file, name, port, max_conn, pool) in [
        ("go_chapter_4", "zinx v-0.4 demoApp", 7777, 3, 0),
        ("go_chapter_8", "zinx v-0.8 demoApp", 7777, 3, 10),
        ("go_chapter_10", "zinx v-0.10 demoApp", 7777, 3, 10),
        ("go_server", "zinx server Demo", 8999, 3, 10),
        ("python", "zinx python", 7777, 3, 10),
    ] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/tutorial/{file}.json"));
        let config = Config::from_file(&path).unwrap_or_else(|error| panic!("{file}: {error}"));
        assert_eq!(
            (config.name.as_str(), config.tcp_port, config.max_conn, config.worker_pool_size),
            (name, port, max_conn, pool)
        );
        assert_eq!(config.max_packet_size, 4096, "{file}");
    }
}

#[test]
fn a_server_runs_with_the_file_of_a_tutorial() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/tutorial/python.json");
    let mut loaded = Config::from_file(file).unwrap();
    let ours = config();
    (loaded.tcp_port, loaded.handle_signals, loaded.workers) =
        (ours.tcp_port, ours.handle_signals, ours.workers);
    let running = start_alone(loaded, |server| assert_eq!(server.server_name(), "zinx python"));
    let mut peer = running.connect();
    peer.check_echo();
    // `MaxConn` is 3.
    let _others = [running.connect(), running.connect()];
    wait_until("three connections", || running.server.get_conn_mgr().len() == 3);
    assert_eq!(running.connect().read_to_end(), b"");
}

#[test]
fn socket_options_are_set_while_the_connection_is_open() {
    let (tell, told) = mpsc::channel();
    let tell = Mutex::new(tell);
    let running = start(config(), |server| {
        let set = move |request: &dyn IRequest| {
            let conn = request.get_connection();
            let tcp = conn.get_tcp_connection();
            assert_eq!((tcp.local_addr(), tcp.peer_addr()), (conn.get_local_addr(), conn.get_remote_addr()));
            tcp.set_nodelay(false)?;
            tcp.set_nodelay(true)?;
            tcp.set_keepalive(Some(Duration::from_millis(1)))?;
            tcp.set_keepalive(None)?;
            tcp.set_recv_buffer_bytes(64 << 10)?;
            tcp.set_send_buffer_bytes(64 << 10)?;
            tell.lock().unwrap().send(conn.clone()).unwrap();
            conn.send_msg(2, "done")
        };
        server.add_router(2, set).unwrap();
    });
    let mut peer = running.connect();
    peer.send(&frame(2, b""));
    assert_eq!(peer.read_frame(), (2, b"done".to_vec()));
    let conn = told.recv_timeout(Duration::from_secs(10)).unwrap();
    drop(peer);
    assert!(conn.wait_closed(Duration::from_secs(10)).unwrap());
    assert!(matches!(conn.get_tcp_connection().set_nodelay(true), Err(Error::ConnectionClosed)));
}

#[test]
fn the_lines_of_the_tutorial_have_a_target_of_their_own() {
    Lines::listen();
    let running = start_alone(config(), |_| {});
    let mut peer = running.connect();
    peer.check_echo();
    let address = running.server.local_addr().unwrap();
    let me = peer.addr();
    drop(peer);
    wait_until("no connection", || running.server.get_conn_mgr().is_empty());
    let lines = [
        "[ROUTER] message id 1 added".to_string(),
        format!("[START] server \"ZinxServerApp\" accepts on {address}"),
        "[CONN] id 0 added to the manager, 1 open".to_string(),
        format!("[READER] conn id 0 runs, for {me}"),
        "[HOOK] conn id 0: call_on_conn_start".to_string(),
        "[HOOK] conn id 0: call_on_conn_stop".to_string(),
        "[READER] conn id 0 ends".to_string(),
        "[CONN] id 0 removed from the manager, 0 open".to_string(),
    ];
    for line in lines {
        wait_until(&line, || Lines::heard().contains(&line));
    }
}

/// What was logged under `zinx::tutorial`, all at level trace.
struct Lines;

impl Lines {
    fn listen() {
        static ONCE: Once = Once::new();
        ONCE.call_once(|| {
            log::set_logger(&Self).unwrap();
            log::set_max_level(log::LevelFilter::Trace);
        });
    }

    fn heard() -> Vec<String> {
        HEARD.lock().unwrap().clone()
    }
}

impl log::Log for Lines {
    fn enabled(&self, metadata: &log::Metadata<'_>) -> bool {
        metadata.target() == "zinx::tutorial"
    }

    fn log(&self, record: &log::Record<'_>) {
        if self.enabled(record.metadata()) {
            assert_eq!(record.level(), log::Level::Trace);
            HEARD.lock().unwrap().push(record.args().to_string());
        }
    }

    fn flush(&self) {}
}

static HEARD: Mutex<Vec<String>> = Mutex::new(Vec::new());
