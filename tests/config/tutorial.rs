//! What a reader of the tutorial brings: the `zinx.json` of its Go and Python versions, and the lines it prints.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::{Mutex, mpsc};
use std::time::Duration;

use crate::common::child::in_child;
use crate::common::{Peer, config, frame, start, start_alone, wait_until};
use zinx::ziface::{IRequest, IServer};
use zinx::{Config, Error, Server, new_server_with_config};

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
fn the_lines_of_the_tutorial_are_those_of_the_python_tutorial_under_a_target_of_their_own() {
    in_child(
        "tutorial::the_lines_of_the_tutorial_are_those_of_the_python_tutorial_under_a_target_of_their_own",
        || {
            Lines::listen();
            let server = new_server_with_config(config()).unwrap();
            server
                .add_router(1, |request: &dyn IRequest| request.get_connection().send_msg(1, "pong"))
                .unwrap();
            let me = talk(&server);
            let lines = [
                "[ROUTER] message id 1 added".to_string(),
                "[启动] ZinxServerApp服务启动成功,监听中......".to_string(),
                "[START] version V1.0, MaxConn 12000, MaxPacketSize 4096".to_string(),
                "链接添加至链接管理成功,当前数量 = 1".to_string(),
                "链接开启,ID= 0".to_string(),
                "开启写业务".to_string(),
                "链接关闭,ID= 0".to_string(),
                format!("('127.0.0.1', {}) 写业务退出", me.port()),
                "链接移除成功ConnID= 0 ,当前数量 = 0".to_string(),
                "服务停止".to_string(),
                "清除所有链接: 当前数量 = 0".to_string(),
            ];
            // The last two are said by two threads, of which the second does not wait long for the first on a busy machine.
            wait_until("all lines", || Lines::but("开启接收").len() >= lines.len());
            let mut heard = Lines::but("开启接收");
            heard[lines.len() - 2..].sort_by_key(|line| line != "服务停止");
            assert_eq!(heard, lines);
            // Before the connection; and before the next one, unless the stop came first.
            let waits = Lines::heard().len() - lines.len();
            assert!((1..=2).contains(&waits), "{waits}");
        },
    );
}

#[test]
fn the_line_of_a_hook_is_logged_where_the_hook_is_set_and_only_there() {
    in_child("tutorial::the_line_of_a_hook_is_logged_where_the_hook_is_set_and_only_there", || {
        Lines::listen();
        for (start, stop) in [(false, false), (true, false), (false, true), (true, true)] {
            let server = new_server_with_config(config()).unwrap();
            server
                .add_router(1, |request: &dyn IRequest| request.get_connection().send_msg(1, "pong"))
                .unwrap();
            if start {
                server.set_on_conn_start(|_| Ok(()));
            }
            if stop {
                server.set_on_conn_stop(|_| Ok(()));
            }
            talk(&server);
            let hooks = Lines::heard().iter().filter(|line| *line == "---> CallOnConnStart....").count();
            assert_eq!(hooks, usize::from(start) + usize::from(stop), "{start}, {stop}");
            HEARD.lock().unwrap().clear();
        }
    });
}

#[test]
fn what_remove_and_clear_conn_take_out_is_said_at_once_in_the_words_of_the_python_tutorial() {
    in_child(
        "tutorial::what_remove_and_clear_conn_take_out_is_said_at_once_in_the_words_of_the_python_tutorial",
        || {
            Lines::listen();
            let running = start_alone(config(), |_| {});
            let mut peers = [running.connect(), running.connect(), running.connect()];
            peers.iter_mut().for_each(Peer::check_echo);
            let manager = running.server.get_conn_mgr();
            assert!(manager.remove(1));
            let said = "链接移除成功ConnID= 1 ,当前数量 = 2";
            assert!(Lines::heard().iter().any(|line| line == said));
            manager.clear_conn();
            let heard = Lines::heard();
            let taken = ["链接移除成功ConnID= 0 ,当前数量 = 1", "链接移除成功ConnID= 2 ,当前数量 = 0"];
            let cleared = heard.iter().position(|line| line == "清除所有链接: 当前数量 = 0").unwrap();
            assert!(taken.iter().all(|line| heard[..cleared].iter().any(|heard| heard == line)), "{heard:?}");
            drop(running);
            let removed = Lines::heard().iter().filter(|line| line.starts_with("链接移除成功")).count();
            assert_eq!(removed, 3, "each once");
        },
    );
}

/// Starts a server, talks to it, leaves, and stops it. Returns the client's address.
fn talk(server: &Server) -> SocketAddr {
    server.start().unwrap();
    let mut stream = TcpStream::connect(server.local_addr().unwrap()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let me = stream.local_addr().unwrap();
    stream.write_all(&frame(1, b"ping")).unwrap();
    stream.read_exact(&mut [0; 12]).unwrap();
    drop(stream);
    // Said after it has been removed.
    wait_until("no connection", || {
        Lines::heard().iter().any(|line| line.starts_with("链接移除成功")) && server.get_conn_mgr().is_empty()
    });
    server.stop();
    assert!(server.wait_stopped(Duration::from_secs(20)));
    me
}

/// What was logged under `zinx::tutorial`, all at level trace.
struct Lines;

impl Lines {
    fn listen() {
        log::set_logger(&Self).unwrap();
        log::set_max_level(log::LevelFilter::Trace);
    }

    fn heard() -> Vec<String> {
        HEARD.lock().unwrap().clone()
    }

    /// All but those that say this: when they come is left to chance.
    fn but(what: &str) -> Vec<String> {
        Self::heard().into_iter().filter(|line| line != what).collect()
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
