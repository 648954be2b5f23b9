//! Sends a position, prints the one that comes back, then sends what is none and is thrown out.
//!
//! Run it: `cargo run --features protobuf --example protobuf_client -- 127.0.0.1:7777`

use std::io::Write;
use std::process::ExitCode;

use position::Position;
use prost::Message;
use zinx::green::{self, TcpStream};
use zinx::ziface::{IDataPack, IMessage};
use zinx::zpack::read_message;
use zinx::{Error, Result, new_data_pack, new_message};

mod position;

fn talk(address: &str) -> Result<()> {
    let connected = TcpStream::connect(address.to_string());
    let mut stream = connected.map_err(|source| Error::io(format!("connect {address}"), source))?;
    let here = Position { x: 2, y: -1, name: "ann".to_string() };
    for payload in [here.encode_to_vec(), b"no position".to_vec()] {
        stream.write_all(&new_data_pack().pack(&new_message(1, payload))?)?;
        match read_message(&mut stream, &new_data_pack(), 4096)? {
            Some(message) => println!("{:?}", Position::decode(&message.get_data()[..]).expect("a position")),
            None => println!("closed by the server"),
        }
    }
    Ok(())
}

fn main() -> ExitCode {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:7777".to_string());
    zinx::exit(green::run(move || talk(&address)))
}
