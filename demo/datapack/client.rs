//! Chapter 5, messages: packs by hand, sends two messages glued together and one cut in two.
//!
//! Run it: `cargo run --example datapack_client -- 127.0.0.1:7777`

use std::io::Write;
use std::process::ExitCode;

use zinx::green::{self, TcpStream};
use zinx::ziface::{IDataPack, IMessage};
use zinx::zpack::read_message;
use zinx::{Error, Result, new_data_pack, new_message};

fn talk(address: String) -> Result<()> {
    let pack = new_data_pack();
    let ping = pack.pack(&new_message(1, "ping"))?;
    let hex: Vec<String> = ping.iter().map(|byte| format!("{byte:02x}")).collect();
    println!("a frame: {}", hex.join(" "));

    let connected = TcpStream::connect(address.clone());
    let mut stream = connected.map_err(|source| Error::io(format!("connect {address}"), source))?;
    let mut reading = stream.clone();
    let mut print_next = move || -> Result<()> {
        let Some(message) = read_message(&mut reading, &new_data_pack(), 4096)? else { return Ok(()) };
        println!("==> Recv Msg: ID={}, data={:?}", message.get_msg_id(), message.get_data());
        Ok(())
    };
    let cut = pack.pack(&new_message(1, "cut in two"))?;
    let (begin, end) = cut.split_at(11);
    // One write: two whole messages and the beginning of a third.
    stream.write_all(&[&ping[..], &pack.pack(&new_message(1, "pong"))?, begin].concat())?;
    print_next()?;
    print_next()?;
    // Both answers are here, so the server has read the beginning too. Now the rest.
    stream.write_all(end)?;
    print_next()
}

fn main() -> ExitCode {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:7777".to_string());
    zinx::exit(green::run(move || talk(address)))
}
