//! Chapter 4, the configuration: asks how the server is configured, with messages of 64 and of 65 bytes.
//!
//! Run it: `cargo run --example globalobj_client -- 127.0.0.1:7777`

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
    for len in [64, 65] {
        stream.write_all(&pack.pack(&new_message(1, vec![b'.'; len]))?)?;
        match read_message(&mut stream, &pack, 4096)? {
            Some(message) => println!("{len} bytes: {:?}", message.get_data()),
            None => println!("{len} bytes: closed by the server"),
        }
    }
    Ok(())
}

fn main() -> ExitCode {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:7777".to_string());
    zinx::exit(green::run(move || talk(address)))
}
