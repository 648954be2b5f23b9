//! How much of its stack a connection's coroutine uses on the deepest ways through the library: a third must be left for
//! the user's own code. `-- --nocapture` prints the figures; they differ between debug and release.

#![expect(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "tests are plain threads and speak raw sockets"
)]

#[expect(dead_code, reason = "each test file uses its share")]
mod common;

use std::fs::{self, File};
use std::hint::black_box;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, AtomicUsize, Ordering};
use std::time::Duration;

use zinx::green::Runtime;
use zinx::prelude::*;
use zinx::ziface::IChain;
use zinx::znet::{OnDuplicate, Refusal, router_recovery, router_time};
use zinx::{green, handlers, new_client_with_config, zlog};

use common::child::in_child_with;
use common::{config, frame, start_alone};

#[test]
fn a_handler_that_logs_leaves_a_third_of_the_stack() {
    check("a_handler_that_logs_leaves_a_third_of_the_stack", |request| {
        log::info!("{:?} has said {:?}", request.get_connection(), request.get_bytes());
        Ok(())
    });
}

#[test]
fn a_handler_that_asks_its_peer_leaves_a_third_of_the_stack() {
    check("a_handler_that_asks_its_peer_leaves_a_third_of_the_stack", |request| {
        let conn = request.get_connection();
        conn.join_group("all").unwrap();
        let answer = conn.call(QUESTION, "?", ANSWER, LONG).unwrap();
        conn.get_group("all").broadcast(DONE, answer.get_data()).map(drop)
    });
}

#[test]
fn a_panic_with_its_backtrace_leaves_a_third_of_the_stack() {
    check(PANICS, |request| panic!("{:?} has panicked, as it should", request.get_connection()));
}

#[test]
fn a_handler_that_connects_by_name_leaves_a_third_of_the_stack() {
    check("a_handler_that_connects_by_name_leaves_a_third_of_the_stack", |_| {
        let port = PORT.load(Ordering::Relaxed);
        assert!(!green::resolve("localhost", port).unwrap().is_empty());
        green::TcpStream::connect(("127.0.0.1", port)).unwrap();
        Ok(())
    });
}

#[test]
fn a_client_within_a_handler_leaves_a_third_of_either_stack() {
    check("a_client_within_a_handler_leaves_a_third_of_either_stack", |_| {
        let client = new_client_with_config("localhost", PORT.load(Ordering::Relaxed), config()).unwrap();
        client.set_on_conn_stop(|_| measure());
        client.start().unwrap();
        client.stop();
        assert!(client.wait_stopped(LONG));
        Ok(())
    });
}

#[test]
fn a_handler_that_reads_a_configuration_leaves_a_third_of_the_stack() {
    check("a_handler_that_reads_a_configuration_leaves_a_third_of_the_stack", |_| {
        Config::from_yaml(include_str!("../zinx.yaml")).unwrap();
        assert!(Config::from_yaml(&format!("{}nosuch: 1", include_str!("../zinx.yaml"))).is_err());
        Ok(())
    });
}

#[test]
fn a_handler_whose_log_file_is_set_aside_leaves_a_third_of_the_stack() {
    const NAME: &str = "a_handler_whose_log_file_is_set_aside_leaves_a_third_of_the_stack";
    check_with(NAME, log_to_files, b"", |request| {
        (0..50).for_each(|n| log::info!("{n}: {:?}", request.get_connection()));
        log::logger().flush();
        Ok(())
    });
    // The child has removed it already.
    let _ = fs::remove_dir_all(LOG_FOLDER);
}

/// A type that holds itself, in the form that takes the most stack to read.
#[cfg(feature = "json")]
#[derive(serde::Deserialize)]
#[serde(untagged)]
#[expect(dead_code, reason = "only read")]
enum Tree {
    Leaf(u32),
    Branch(Vec<Self>),
}

#[cfg(feature = "json")]
#[test]
fn the_deepest_json_leaves_a_third_of_the_stack() {
    const NAME: &str = "the_deepest_json_leaves_a_third_of_the_stack";
    let deepest = "[".repeat(64) + &"]".repeat(64);
    check_with(NAME, env_logger::init, deepest.as_bytes(), |request| {
        request.json::<Tree>().unwrap();
        Ok(())
    });
}

#[cfg(feature = "protobuf")]
#[derive(Clone, PartialEq, prost::Message)]
struct Nested {
    #[prost(message, optional, boxed, tag = "11")]
    inner: Option<Box<Self>>,
}

#[cfg(feature = "protobuf")]
#[test]
fn the_deepest_protobuf_leaves_a_third_of_the_stack() {
    const NAME: &str = "the_deepest_protobuf_leaves_a_third_of_the_stack";
    let mut deepest = Nested::default();
    for _ in 0..99 {
        deepest = Nested { inner: Some(Box::new(deepest)) };
    }
    check_with(NAME, env_logger::init, &prost::Message::encode_to_vec(&deepest), |request| {
        request.proto::<Nested>().unwrap();
        Ok(())
    });
}

/// Runs `deep` in a handler behind everything that may stand before one, within the wait of a session, with every line
/// logged.
fn check(name: &str, deep: fn(&dyn IRequest) -> Result<()>) {
    check_with(name, env_logger::init, b"as deep as it goes", deep);
}

/// As [`check`], with this logger and this payload. In a process of its own, since a stack is used again.
fn check_with(name: &str, set_up_logging: fn(), payload: &[u8], deep: fn(&dyn IRequest) -> Result<()>) {
    let env = [("RUST_BACKTRACE", "full"), ("RUST_LOG", "trace")];
    in_child_with(name, &env, || {
        set_up_logging();
        let running = start_alone(config(), |server| set_up(server, deep));
        PORT.store(running.server.local_addr().unwrap().port(), Ordering::Relaxed);
        let mut peer = running.connect();
        peer.send(&[frame(DEEP, payload), frame(ANSWER, b"yes")].concat());
        peer.finish();
        peer.read_to_end();
        let panics = running.stop().handler_panics;
        assert_eq!(panics, usize::from(name == PANICS), "the handler has failed");
        let (used, size) = (USED.load(Ordering::Relaxed), Runtime::current().unwrap().stack_bytes);
        eprintln!("{name}: {used} of {size} bytes");
        assert!(used > 1024, "nothing was measured");
        assert!(size - used >= size / 3, "{used} of {size} bytes of stack are used");
    });
}

fn log_to_files() {
    let mut config = config();
    (config.log_dir, config.log_file, config.log_file_size) = (LOG_FOLDER.into(), "zinx.log".into(), 1000);
    zlog::init(&config).unwrap();
}

fn set_up(server: &Server, deep: fn(&dyn IRequest) -> Result<()>) {
    for _ in 0..3 {
        server.add_interceptor(|chain: &dyn IChain| chain.proceed(chain.request())).unwrap();
    }
    server.use_(handlers![router_recovery, router_time]).unwrap();
    server.add_router_slices(DEEP, handlers![deep]).unwrap();
    server.require_login(DEEP..=DEEP, Refusal::answer(DONE, "who are you?")).unwrap();
    server.set_on_conn_start(|conn: &Arc<dyn IConnection>| conn.login("me", OnDuplicate::Multi));
    server.on_session(|session| session.recv_id(DONE).map(drop)).unwrap();
    server.set_on_conn_stop(|_| measure());
}

/// Notes how far down the stack of the running coroutine was ever written to: its lowest word that is not zero.
fn measure() -> Result<()> {
    let mark = 0_u8;
    let here = std::ptr::from_ref(black_box(&mark)).addr();
    let size = Runtime::current().unwrap().stack_bytes;
    let maps = fs::read_to_string("/proc/self/maps").unwrap();
    let address = |text: &str| usize::from_str_radix(text, 16).unwrap();
    let mut starts = maps.lines().filter_map(|line| {
        let (start, end) = line.split(' ').next()?.split_once('-')?;
        (address(start)..address(end)).contains(&here).then(|| address(start))
    });
    let start = starts.next().unwrap();
    assert!(here - start < size, "this is no stack of a coroutine");
    let mut words = vec![0; size];
    File::open("/proc/self/mem").unwrap().read_exact_at(&mut words, start as u64).unwrap();
    // `generator` marks the bottom, each release in its own way.
    let mark = &words[..8];
    let unused = words.chunks(8).position(|word| word != [0; 8] && word != mark).unwrap() * 8;
    USED.fetch_max(size - unused, Ordering::Relaxed);
    Ok(())
}

/// The most that was used of a stack, in bytes.
static USED: AtomicUsize = AtomicUsize::new(0);
static PORT: AtomicU16 = AtomicU16::new(0);

const PANICS: &str = "a_panic_with_its_backtrace_leaves_a_third_of_the_stack";
const LOG_FOLDER: &str = concat!(env!("CARGO_TARGET_TMPDIR"), "/stack_depth");

const DEEP: u32 = 20;
const QUESTION: u32 = 21;
const ANSWER: u32 = 22;
const DONE: u32 = 23;
const LONG: Duration = Duration::from_secs(20);
