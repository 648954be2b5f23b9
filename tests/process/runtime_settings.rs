//! `Workers` and `StackBytes`: what the first server of a process asks for is what its coroutines get.

use std::time::Duration;

use crate::common::process::Process;
use crate::common::wait_until;
use rustix::process::Signal;

#[test]
fn a_server_that_serves_has_the_workers_it_asks_for() {
    let one = Process::hook_server(&[("ZINX_WORKERS", "1"), ("ZINX_STACKBYTES", "131072")]);
    let four = Process::hook_server(&[("ZINX_WORKERS", "4")]);
    wait_until("three threads more", || four.threads() == one.threads() + 3);
    for server in [one, four] {
        server.kill(Signal::TERM);
        let ended = server.end_within(Duration::from_secs(20));
        assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
    }
}
