//! Chapter 7, reader and writer apart: one coroutine sends, another prints what comes back meanwhile.
//!
//! Run it: `cargo run --example read_write_client -- 127.0.0.1:7777`

use std::io::Write;
use std::process::ExitCode;

use zinx::green::{self, TcpStream};
use zinx::ziface::{IDataPack, IMessage};
use zinx::zpack::read_message;
use zinx::{Error, Result, new_data_pack, new_message};

fn talk(address: String) -> Result<()> {
    let connected = TcpStream::connect(address.clone());
    let mut stream = connected.map_err(|source| Error::io(format!("connect {address}"), source))?;
    let mut reading = stream.clone();
    let reader = green::spawn(move || print_all(&mut reading));
    for id in [0, 1] {
        let message = new_message(id, format!("Zinx client message of id {id}"));
        stream.write_all(&new_data_pack().pack(&message)?)?;
    }
    // The server answers what it has read, then closes its side too: that ends the reader.
    stream.shutdown_write();
    reader.get().unwrap_or_else(|panicked| Err(Error::other(panicked)))
}

fn print_all(stream: &mut TcpStream) -> Result<()> {
    while let Some(message) = read_message(stream, &new_data_pack(), 4096)? {
        println!("==> Recv Msg: ID={}, data={:?}", message.get_msg_id(), message.get_data());
    }
    Ok(())
}

fn main() -> ExitCode {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:7777".to_string());
    zinx::exit(green::run(move || talk(address)))
}
