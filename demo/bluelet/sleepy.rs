//! bluelet's sleepers: four coroutines sleep at once, so all of it takes as long as the longest.
//!
//! Run it: `cargo run --example bluelet_sleepy [milliseconds]`, the length of its seconds; 1000 by default.

use std::num::ParseIntError;
use std::time::Duration;

use zinx::green::bluelet;

fn sleeper(seconds: u32, second: Duration) {
    println!("Going to sleep for {seconds} seconds...");
    bluelet::sleep(second * seconds);
    println!("...woke up after {seconds} seconds.");
}

fn main() -> Result<(), ParseIntError> {
    let milliseconds = std::env::args().nth(1).map_or(Ok(1000), |length| length.parse())?;
    let second = Duration::from_millis(milliseconds);
    bluelet::run(move || {
        for seconds in [0, 1, 3, 5] {
            bluelet::spawn(move || sleeper(seconds, second));
        }
    });
    Ok(())
}
