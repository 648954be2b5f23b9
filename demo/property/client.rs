//! Chapter 11, properties: two connections, each counted and named for itself.
//!
//! Run it: `cargo run --example property_client -- 127.0.0.1:7777`

use std::io::Write;
use std::process::ExitCode;

use zinx::green::{self, TcpStream};
use zinx::ziface::{IDataPack, IMessage};
use zinx::zpack::read_message;
use zinx::{Error, Result, new_data_pack, new_message};

fn connect(address: &str) -> Result<TcpStream> {
    let connected = TcpStream::connect(address.to_string());
    connected.map_err(|source| Error::io(format!("connect {address}"), source))
}

fn ask(name: &str, stream: &mut TcpStream, id: u32) -> Result<()> {
    let pack = new_data_pack();
    stream.write_all(&pack.pack(&new_message(id, ""))?)?;
    let Some(message) = read_message(stream, &pack, 4096)? else { return Ok(()) };
    println!("{name}: ID={}, data={:?}", message.get_msg_id(), message.get_data());
    Ok(())
}

fn talk(address: &str) -> Result<()> {
    let mut first = connect(address)?;
    ask("first", &mut first, 1)?;
    let mut second = connect(address)?;
    ask("second", &mut second, 1)?;
    for id in [1, 2, 1] {
        ask("first", &mut first, id)?;
    }
    Ok(())
}

fn main() -> ExitCode {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:7777".to_string());
    zinx::exit(green::run(move || talk(&address)))
}
