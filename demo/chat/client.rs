//! Ann and Bob meet in a room; then Ann logs in from another place.
//!
//! Run it: `cargo run --example chat_client -- 127.0.0.1:7777`

use std::io::Write;
use std::process::ExitCode;

use zinx::green::{self, TcpStream};
use zinx::prelude::*;
use zinx::zpack::read_message;

struct Person {
    who: &'static str,
    stream: TcpStream,
}

impl Person {
    fn connect(who: &'static str, address: &str) -> Result<Self> {
        Ok(Self { who, stream: TcpStream::connect(address.to_string())? })
    }

    /// Sends a message, and prints the line that it becomes.
    fn send(&mut self, msg_id: u32, text: &'static str) -> Result<()> {
        self.stream.write_all(&new_data_pack().pack(&new_message(msg_id, text))?)?;
        self.hear()
    }

    fn hear(&mut self) -> Result<()> {
        match read_message(&mut self.stream, &new_data_pack(), 4096)? {
            Some(line) => println!("{} reads: {}", self.who, String::from_utf8_lossy(line.get_data())),
            None => println!("{} is disconnected", self.who),
        }
        Ok(())
    }
}

fn talk(address: String) -> Result<()> {
    let mut ann = Person::connect("Ann", &address)?;
    ann.send(11, "hello?")?;
    ann.send(1, "ann")?;
    ann.send(10, "lobby")?;
    let mut bob = Person::connect("Bob", &address)?;
    bob.send(1, "bob")?;
    bob.send(10, "lobby")?;
    bob.hear()?;
    ann.hear()?;
    bob.send(11, "hello, Ann")?;
    ann.hear()?;
    bob.send(12, "carol are you there?")?;
    bob.stream.write_all(&new_data_pack().pack(&new_message(12, "ann psst"))?)?;
    ann.hear()?;
    let mut phone = Person::connect("Ann's phone", &address)?;
    phone.send(1, "ann")?;
    ann.hear()?;
    ann.hear()?;
    bob.hear()
}

fn main() -> ExitCode {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:7777".to_string());
    exit(green::run(move || talk(address)))
}
