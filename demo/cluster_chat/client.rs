//! Ann, Bob and Cid meet in a room, each on a server of their own; then Ann logs in on Cid's.
//!
//! Run it: `cargo run --example cluster_chat_client -- 127.0.0.1:7777`, or with the addresses of three servers.

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

    fn send(&mut self, msg_id: u32, text: &'static str) -> Result<()> {
        Ok(self.stream.write_all(&new_data_pack().pack(&new_message(msg_id, text))?)?)
    }

    fn hear(&mut self) -> Result<()> {
        match read_message(&mut self.stream, &new_data_pack(), 4096)? {
            Some(line) => println!("{} reads: {}", self.who, String::from_utf8_lossy(line.get_data())),
            None => println!("{} is disconnected", self.who),
        }
        Ok(())
    }
}

/// The last of these people comes into the room, and all of them hear it.
fn come_in(people: &mut [Person]) -> Result<()> {
    if let Some(last) = people.last_mut() {
        last.send(10, "lobby")?;
    }
    people.iter_mut().try_for_each(Person::hear)
}

fn talk(addresses: &[String; 3]) -> Result<()> {
    let mut people = Vec::new();
    for ((who, name), address) in [("Ann", "ann"), ("Bob", "bob"), ("Cid", "cid")].into_iter().zip(addresses)
    {
        let mut person = Person::connect(who, address)?;
        person.send(1, name)?;
        person.hear()?;
        people.push(person);
    }
    // Each waits for an invitation: one who came earlier might still hear that the one before has come.
    come_in(&mut people[..1])?;
    people[0].send(12, "bob come in")?;
    people[1].hear()?;
    come_in(&mut people[..2])?;
    people[1].send(12, "cid come in")?;
    people[2].hear()?;
    come_in(&mut people)?;
    people[1].send(11, "hello, all")?;
    people.iter_mut().try_for_each(Person::hear)?;
    people[2].send(12, "ann psst")?;
    people[0].hear()?;
    people[2].send(12, "dan are you there?")?;
    people[2].hear()?;
    let mut phone = Person::connect("Ann's phone", &addresses[2])?;
    phone.send(1, "ann")?;
    phone.hear()?;
    people[0].hear()?;
    people.iter_mut().try_for_each(Person::hear)
}

fn main() -> ExitCode {
    let mut addresses: Vec<_> = std::env::args().skip(1).collect();
    if addresses.is_empty() {
        addresses.push("127.0.0.1:7777".to_string());
    }
    let of = |n: usize| addresses[n % addresses.len()].clone();
    let three = [of(0), of(1), of(2)];
    exit(green::run(move || talk(&three)))
}
