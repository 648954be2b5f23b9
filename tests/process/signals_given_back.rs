//! Signals are caught as long as the program wants them, and do afterwards what they did before.

use std::net::TcpListener;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread;
use std::time::Duration;

use crate::common::child::in_child;
use crate::common::coroutines::LONG;
use crate::common::wait_until;
use rustix::process::{Signal, getpid, kill_process};
use zinx::green::{self, on_terminate};
use zinx::ziface::IServer;
use zinx::{Config, new_server_with_config};

/// What gives the signals back, and whether they end the process then.
const GIVEN_BACK: [(&str, bool); 8] = [
    ("a handle dropped", true),
    ("two handles dropped", true),
    ("a handle again", true),
    ("a port that is taken", true),
    ("serve returned", true),
    ("serve killed", true),
    ("one of two handles dropped", false),
    ("a handler of its own", false),
];

#[test]
fn signals_are_given_back_when_nobody_catches_them_any_more() {
    let name = "signals_given_back::signals_are_given_back_when_nobody_catches_them_any_more";
    if let Ok(case) = std::env::var("ZINX_TEST_SIGNALS") {
        let (how, signal) = case.split_once(", signal ").unwrap();
        return child_gives_back(how, signal.parse().unwrap());
    }
    let signals = [Signal::TERM, Signal::INT, Signal::QUIT, Signal::HUP, Signal::USR1, Signal::USR2];
    let mut children: Vec<_> = GIVEN_BACK
        .iter()
        .flat_map(|(how, ends)| signals.map(|signal| (*how, *ends, signal.as_raw())))
        .map(|(how, ends, signal)| {
            let case = format!("{how}, signal {signal}");
            let mut child = Command::new(std::env::current_exe().unwrap());
            child.args([name, "--exact"]).env("ZINX_TEST_SIGNALS", &case);
            child.stdout(Stdio::null()).stderr(Stdio::null());
            (case, (ends && !is_ignored(signal)).then_some(signal), child)
        })
        .collect();
    // A few at a time: each is a process.
    for few in children.chunks_mut(8) {
        let started: Vec<_> = few.iter_mut().map(|(_, _, child)| child.spawn().unwrap()).collect();
        for ((case, signal, _), mut child) in few.iter().zip(started) {
            let status = child.wait().unwrap();
            assert_eq!((status.signal(), status.success()), (*signal, signal.is_none()), "{case}: {status}");
        }
    }
}

/// Whether this process was started with a signal ignored, as by `nohup`. Then it is ignored again.
fn is_ignored(signal: i32) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:")).unwrap();
    u64::from_str_radix(mask.trim(), 16).unwrap() & (1 << (signal - 1)) != 0
}

#[test]
fn a_signal_that_was_ignored_is_ignored_again() {
    let name = "signals_given_back::a_signal_that_was_ignored_is_ignored_again";
    if std::env::var("ZINX_TEST_IGNORED").is_ok() {
        drop(on_terminate().unwrap());
        kill_process(getpid(), Signal::TERM).unwrap();
        return thread::sleep(Duration::from_millis(100));
    }
    let mut child = Command::new("sh");
    child.args(["-c", "trap '' TERM; exec \"$0\" \"$@\""]).arg(std::env::current_exe().unwrap());
    let output = child.args([name, "--exact"]).env("ZINX_TEST_IGNORED", "1").output().unwrap();
    assert!(output.status.success(), "{}", output.status);
}

#[test]
fn each_of_several_who_catch_signals_gets_all_that_end_and_none_that_are_ignored() {
    in_child(
        "signals_given_back::each_of_several_who_catch_signals_gets_all_that_end_and_none_that_are_ignored",
        || {
            let several = [on_terminate().unwrap(), on_terminate().unwrap()];
            for signal in [Signal::HUP, Signal::USR1, Signal::USR2, Signal::TERM, Signal::INT, Signal::QUIT] {
                kill_process(getpid(), signal).unwrap();
                let ends = matches!(signal, Signal::TERM | Signal::INT | Signal::QUIT);
                for one in several.iter().filter(|_| ends) {
                    assert_eq!(one.queue().get_timeout(LONG), Ok(signal.as_raw()));
                }
            }
            assert!(several.iter().all(|one| one.queue().is_empty()));
            let queue = several[0].queue();
            drop(several);
            assert_eq!(queue.get(), None, "it closes with the handle");
        },
    );
}

/// Has signals caught and given back, and then gets one.
fn child_gives_back(how: &str, signal: i32) {
    let mut kept = None;
    match how {
        "a handle dropped" => drop(on_terminate().unwrap()),
        "two handles dropped" => drop([on_terminate().unwrap(), on_terminate().unwrap()]),
        "a handle again" => (0..3).for_each(|_| drop(on_terminate().unwrap())),
        "one of two handles dropped" => {
            kept = Some(on_terminate().unwrap());
            drop(on_terminate().unwrap());
        }
        "a handler of its own" => {
            signal_hook::flag::register(signal, Arc::new(AtomicBool::new(false))).unwrap();
            drop(on_terminate().unwrap());
        }
        _ => serve_and_return(how),
    }
    kill_process(getpid(), Signal::from_named_raw(signal).unwrap()).unwrap();
    if how == "a handler of its own" || kept.is_some() {
        // What would end the process ends it before.
        return thread::sleep(Duration::from_millis(100));
    }
    thread::sleep(LONG);
}

fn serve_and_return(how: &str) {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut config = Config::default();
    config.tcp_port = if how == "a port that is taken" { taken.local_addr().unwrap().port() } else { 0 };
    let server = new_server_with_config(config).unwrap();
    if how == "a port that is taken" {
        assert!(server.serve().is_err());
        return;
    }
    let theirs = server.clone();
    let serving = green::spawn(move || theirs.serve());
    wait_until("the start", || server.local_addr().is_some());
    if how == "serve killed" {
        serving.kill();
    } else {
        server.stop();
        serving.get().unwrap().unwrap();
    }
}
