//! Chapter 9, the connection manager: opens two connections one after the other, and asks on both how many are open.
//!
//! Run it: `cargo run --example connmanager_client -- 127.0.0.1:7777`

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

/// Asks and waits for the answer. One connection too many is closed without a word, before or after we ask.
fn ask(name: &str, stream: &mut TcpStream) {
    let pack = new_data_pack();
    let asked = pack.pack(&new_message(1, "how many?")).and_then(|frame| Ok(stream.write_all(&frame)?));
    match asked.and_then(|()| read_message(stream, &pack, 4096)) {
        Ok(Some(message)) => println!("{name}: {:?}", message.get_data()),
        _ => println!("{name}: closed by the server"),
    }
}

fn talk(address: &str) -> Result<()> {
    let mut first = connect(address)?;
    ask("first", &mut first);
    let mut second = connect(address)?;
    ask("second", &mut second);
    ask("first", &mut first);
    Ok(())
}

fn main() -> ExitCode {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:7777".to_string());
    zinx::exit(green::run(move || talk(&address)))
}
