//! The configuration is read again while the server runs.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use rustix::process::{Signal, getpid, kill_process};
use serde_json::{Value, json};
use zinx::prelude::*;
use zinx::zconf::TakesEffect;
use zinx::ziface::CloseReason;

use crate::common::child::in_child;
use crate::common::{ECHO, Peer, Running, frame, log_lines, start_alone, wait_until};
use crate::http::{get_json, post};

/// A message whose handler sends to its peer without an end.
const FLOOD: u32 = 30;

/// A configuration file that a test rewrites.
struct File(PathBuf);

impl File {
    fn new(test: &str, text: &str) -> Self {
        let file = Self(std::env::temp_dir().join(format!("zinx-{test}-{}.yaml", std::process::id())));
        file.write(text);
        file
    }

    fn write(&self, text: &str) {
        fs::write(&self.0, text).unwrap();
    }

    fn config(&self) -> Config {
        let mut config = Config::from_file(&self.0).unwrap();
        let set = crate::http::config();
        (config.tcp_port, config.workers) = (set.tcp_port, set.workers);
        (config.handle_signals, config.admin) = (set.handle_signals, set.admin);
        config
    }

    fn start(&self) -> Running {
        start_alone(self.config(), |_| {})
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

fn reload(running: &Running) -> Value {
    let answer = post(running, "/reload");
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.json()
}

fn value_of(running: &Running, key: &str) -> Value {
    let configuration = get_json(running, "/varz")["configuration"].as_array().unwrap().clone();
    configuration.into_iter().find(|entry| entry["key"] == key).unwrap()["value"].clone()
}

fn is_refused(running: &Running) -> bool {
    running.connect().read_to_end().is_empty()
}

#[test]
fn a_limit_changes_for_the_next_connection_and_open_ones_stay() {
    let file = File::new("reload-limit", "MaxConn: 3");
    let running = file.start();
    let mut peers: Vec<_> = (0..3).map(|_| running.connect()).collect();
    peers.iter_mut().for_each(Peer::check_echo);
    assert!(is_refused(&running));
    file.write("MaxConn: 4");
    let changed =
        json!([{ "key": "MaxConn", "old": "3", "new": "4", "takes_effect": "for_new_connections" }]);
    let answer = reload(&running);
    assert_eq!((&answer["changed"], &answer["unchanged"]), (&changed, &json!([])));
    assert!(answer["from"].as_str().unwrap().ends_with(".yaml"), "{answer}");
    peers.push(running.connect());
    peers[3].check_echo();
    file.write("MaxConn: 1");
    reload(&running);
    assert!(is_refused(&running));
    peers.iter_mut().for_each(Peer::check_echo);
    assert_eq!(value_of(&running, "MaxConn"), 1);
    assert_eq!(reload(&running)["changed"], json!([]), "the second time, nothing is new");
}

#[test]
fn a_timeout_that_is_shortened_holds_for_open_connections() {
    let file =
        File::new("reload-timeout", "FirstFrameTimeoutMs: 0\nWriteTimeoutMs: 3600000\nFrameTimeoutMs: 0");
    let running = file.start();
    let (mut idle, mut silent) = (running.connect(), running.connect());
    idle.check_echo();
    wait_until("both are connections", || get_json(&running, "/connz")["matched"] == 2);
    file.write("FirstFrameTimeoutMs: 100\nWriteTimeoutMs: 3600000\nFrameTimeoutMs: 0");
    reload(&running);
    assert!(silent.read_to_end().is_empty());
    silent.finish();
    assert_eq!(running.close_reason(silent.addr()), CloseReason::FirstFrameTimeout);
    idle.check_echo();
    file.write("FirstFrameTimeoutMs: 0\nIdleTimeoutMs: 100");
    reload(&running);
    assert!(idle.read_to_end().is_empty());
    idle.finish();
    assert_eq!(running.close_reason(idle.addr()), CloseReason::IdleTimeout);
}

#[test]
fn the_queue_and_the_rates_of_open_connections_change_at_once() {
    let file = File::new("reload-queue", "");
    // To peers that do not read, until it is an error or the queue is full.
    let flood = |request: &dyn IRequest| {
        let conn = request.get_connection();
        while conn.send_msg(7, vec![b'x'; 100_000]).is_ok() {}
        Ok(())
    };
    let running = start_alone(file.config(), |server| server.add_router(FLOOD, flood).unwrap());
    let (mut slow, mut peer) = (running.connect(), running.connect());
    peer.check_echo();
    file.write("QueueFull: disconnect\nMaxMsgChanBytes: 200000");
    assert_eq!(reload(&running)["changed"].as_array().unwrap().len(), 2);
    slow.send(&frame(FLOOD, b""));
    wait_until("its queue is full", || get_json(&running, "/connz/0")["state"] == "closed");
    assert_eq!(running.close_reason(slow.addr()), CloseReason::QueueFull);
    file.write("OverRate: close\nRateMessages: 2");
    assert_eq!(reload(&running)["changed"].as_array().unwrap().len(), 4);
    // Replies may be cut off with it.
    peer.send(&frame(ECHO, b"x").repeat(50));
    peer.read_to_end();
    peer.finish();
    assert_eq!(running.close_reason(peer.addr()), CloseReason::RateLimited);
}

#[test]
fn what_cannot_change_is_named_in_the_answer_and_the_log() {
    log_lines::keep();
    let file = File::new("reload-named", "Name: before\nMaxConn: 10");
    let running = file.start();
    file.write("Name: after\nMaxConn: 20\nWorkerPoolSize: 3\nTcpPort: 7");
    let answer = reload(&running);
    assert_eq!(answer["changed"].as_array().unwrap().len(), 1);
    let unchanged = json!([
        { "key": "TcpPort", "old": "0", "new": "7", "takes_effect": "set_in_code" },
        { "key": "Name", "old": "\"before\"", "new": "\"after\"", "takes_effect": "after_restart" },
        { "key": "WorkerPoolSize", "old": "0", "new": "3", "takes_effect": "after_restart" },
    ]);
    assert_eq!(answer["unchanged"], unchanged);
    let lines = log_lines::with("reload: Name: \"before\" stays, \"after\" needs a restart");
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert_eq!((value_of(&running, "Name"), value_of(&running, "MaxConn")), ("before".into(), 20.into()));
    // In code too.
    let again = running.server.reload().unwrap();
    let kinds: Vec<_> = again.unchanged().iter().map(|change| change.takes_effect()).collect();
    assert_eq!(kinds, [TakesEffect::SetInCode, TakesEffect::AfterRestart, TakesEffect::AfterRestart]);
}

#[test]
fn a_bad_file_changes_nothing_and_says_why() {
    log_lines::keep();
    let file = File::new("reload-bad", "MaxConn: 10");
    let running = file.start();
    let mut peer = running.connect();
    for (text, why) in [
        ("MaxConn: 20\nDrainMs: soon", "DrainMs: found \"soon\", expected a whole number"),
        ("MaxConn: 20\nMaxKon: 1", "MaxKon: found an unknown key"),
        ("MaxConn: 20\nProxyProtocol: true", "TrustedProxies: found"),
        ("MaxConn: [", "broken YAML"),
    ] {
        file.write(text);
        let answer = post(&running, "/reload");
        let error = answer.json()["error"].as_str().unwrap().to_string();
        assert!(answer.status == 422 && error.starts_with("nothing has changed: "), "{error}");
        assert!(error.contains(why), "{error}");
        assert!(!log_lines::with(&format!("ERROR reload: {error}")).is_empty(), "{error}");
        assert_eq!(value_of(&running, "MaxConn"), 10);
        peer.check_echo();
    }
    fs::remove_file(&file.0).unwrap();
    assert_eq!(post(&running, "/reload").status, 422, "a file that is gone is no empty file");
}

#[test]
fn a_configuration_made_in_code_has_nothing_to_read_again() {
    let running = start_alone(crate::http::config(), |_| {});
    assert_eq!(reload(&running), json!({ "from": "code", "changed": [], "unchanged": [] }));
}

#[test]
fn sighup_reads_the_configuration_again() {
    in_child("reload::sighup_reads_the_configuration_again", || {
        let file = File::new("reload-sighup", "MaxConn: 10");
        let mut config = file.config();
        config.handle_signals = true;
        let server = new_server_with_config(config).unwrap();
        let serving = server.clone();
        let served = std::thread::spawn(move || serving.serve());
        wait_until("it listens", || server.admin_addr().is_some() && server.local_addr().is_some());
        let max_conn = || {
            let plane = server.admin_addr().unwrap();
            crate::http::ask(plane, "GET", "/varz", "").json()["limits"]["max_conn"].clone()
        };
        let hang_up = || kill_process(getpid(), Signal::HUP).unwrap();
        for limit in [20, 30] {
            file.write(&format!("MaxConn: {limit}"));
            hang_up();
            wait_until("the limit changes", || max_conn() == limit);
        }
        file.write("MaxConn: 0");
        hang_up();
        kill_process(getpid(), Signal::TERM).unwrap();
        assert!(server.wait_stopped(Duration::from_secs(20)), "a bad file stops no later signal");
        served.join().unwrap().unwrap();
    });
}
