//! A handler that overflows its stack: what `docs/safety.md` says of it, checked in a process of its own.

#![expect(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "tests are plain threads and speak raw sockets"
)]

#[expect(dead_code, reason = "each test file uses its share")]
mod common;

use std::hint::black_box;
use std::process::Command;

use common::{config, frame, start_alone};
use zinx::ziface::IRequest;

/// The message id whose handler never stops calling itself.
const OVERFLOW: u32 = 7;

#[test]
fn a_stack_overflow_in_a_handler_ends_the_process_with_exit_code_1() {
    const NAME: &str = "a_stack_overflow_in_a_handler_ends_the_process_with_exit_code_1";
    const CHILD: &str = "ZINX_TEST_OVERFLOW";
    if std::env::var_os(CHILD).is_some() {
        return overflow();
    }
    let mut child = Command::new(std::env::current_exe().unwrap());
    let output = child.args([NAME, "--exact", "--nocapture"]).env(CHILD, "1").output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{}: {said}", output.status);
    assert!(said.contains("has overflowed its stack"), "stderr does not say so: {said}");
}

/// A server whose handler overflows, until that has ended the process.
fn overflow() {
    let running = start_alone(config(), |server| {
        let router = |_: &dyn IRequest| {
            black_box(call_yourself(0));
            Ok(())
        };
        server.add_router(OVERFLOW, router).unwrap();
    });
    let mut peer = running.connect();
    peer.send(&frame(OVERFLOW, b""));
    peer.read_to_end();
    // Else the process would end by a failed test, with another code.
    std::process::exit(0);
}

#[expect(unconditional_recursion, reason = "that is the fault")]
fn call_yourself(depth: u64) -> u64 {
    let frame = black_box([depth; 64]);
    call_yourself(depth + 1) + frame[(depth % 64) as usize]
}
