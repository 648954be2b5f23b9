//! A customer who buys twice, and confirms only once.
//!
//! Run it: `cargo run --example ask_client -- 127.0.0.1:7777`

use std::io::Write;
use std::process::ExitCode;

use zinx::green::{self, TcpStream};
use zinx::prelude::*;
use zinx::zpack::read_message;

fn talk(address: String) -> Result<()> {
    let (pack, mut stream) = (new_data_pack(), TcpStream::connect(address)?);
    // Both at once: the second is handled when the first is done.
    for what in ["apples", "pears"] {
        stream.write_all(&pack.pack(&new_message(1, what))?)?;
    }
    let mut answers = ["yes", "no"].into_iter();
    for _ in 0..6 {
        let Some(message) = read_message(&mut stream, &pack, 4096)? else { break };
        println!("{}", message.get_data().escape_ascii());
        let answer = match message.get_msg_id() {
            10 => new_message(11, "7"),
            12 => new_message(13, answers.next().unwrap_or("no")),
            _ => continue,
        };
        stream.write_all(&pack.pack(&answer)?)?;
    }
    Ok(())
}

fn main() -> ExitCode {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:7777".to_string());
    exit(green::run(move || talk(address)))
}
