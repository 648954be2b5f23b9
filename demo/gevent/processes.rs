//! gevent's `examples/processes.py`: two programs at the same time, and what they have printed within two seconds.
//!
//! Run it: `cargo run --example gevent_processes`.

use std::process::Command;
use std::time::Duration;

use zinx::green::{self, Greenlet, subprocess};

fn job(program: &'static str) -> Greenlet<Vec<u8>> {
    green::spawn(move || subprocess::check_output(Command::new(program)).unwrap())
}

fn main() {
    // Run 2 jobs in parallel.
    let (uname, ls) = (job("uname"), job("ls"));
    green::wait_timeout(&[&uname, &ls], 2, Duration::from_secs(2));
    // Print the results (if available).
    for (name, job) in [("uname", uname), ("ls", ls)] {
        match job.try_get() {
            Ok(printed) => println!("{name}: {:?}", String::from_utf8_lossy(&printed.unwrap())),
            Err(_) => println!("{name}: job is still running"),
        }
    }
}
