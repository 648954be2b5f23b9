//! Interceptors: sends three messages, of which two are answered.
//!
//! Run it: `cargo run --example interceptor_client -- 127.0.0.1:7777`

use std::io::Write;
use std::process::ExitCode;

use zinx::green::{self, TcpStream};
use zinx::ziface::{IDataPack, IMessage};
use zinx::zpack::read_message;
use zinx::{Error, Result, new_data_pack, new_message};

fn talk(address: String) -> Result<()> {
    let pack = new_data_pack();
    let connected = TcpStream::connect(address.clone());
    let mut stream = connected.map_err(|source| Error::io(format!("connect {address}"), source))?;
    for text in ["hello", "buy this", "goodbye"] {
        stream.write_all(&pack.pack(&new_message(1, text))?)?;
    }
    stream.shutdown_write();
    while let Some(message) = read_message(&mut stream, &pack, 4096)? {
        println!("==> Recv Msg: ID={}, data={:?}", message.get_msg_id(), message.get_data());
    }
    Ok(())
}

fn main() -> ExitCode {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:7777".to_string());
    zinx::exit(green::run(move || talk(address)))
}
