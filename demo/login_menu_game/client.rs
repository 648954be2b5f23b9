//! A player who types a password wrong, plays once and leaves.
//!
//! Run it: `cargo run --example login_menu_game_client -- 127.0.0.1:7777`

use std::io::Write;
use std::process::ExitCode;

use zinx::green::{self, TcpStream};
use zinx::prelude::*;
use zinx::zpack::read_message;

fn talk(address: String) -> Result<()> {
    let (pack, mut stream) = (new_data_pack(), TcpStream::connect(address)?);
    let mut typed = ["ann", "ann", "ann", "ann123", "2", "1", "50", "x", "40", "42", "2", "3"].into_iter();
    while let Some(message) = read_message(&mut stream, &pack, 4096)? {
        let shown = String::from_utf8_lossy(message.get_data()).into_owned();
        // A question is answered with the next line.
        let is_question = shown.ends_with('?') || shown.ends_with("leave");
        match is_question.then(|| typed.next()).flatten() {
            Some(line) => {
                println!("{shown} {line}");
                stream.write_all(&pack.pack(&new_message(2, line))?)?;
            }
            None => println!("{shown}"),
        }
    }
    Ok(())
}

fn main() -> ExitCode {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:7777".to_string());
    exit(green::run(move || talk(address)))
}
