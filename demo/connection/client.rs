//! Chapter 2, the connection: opens two, one after the other, and asks on each who it is and for a farewell.
//!
//! Run it: `cargo run --example connection_client -- 127.0.0.1:7777`

use std::io::Write;
use std::process::ExitCode;

use zinx::green::{self, TcpStream};
use zinx::ziface::{IDataPack, IMessage};
use zinx::zpack::read_message;
use zinx::{Error, Result, new_data_pack, new_message};

fn talk(address: &str) -> Result<()> {
    let pack = new_data_pack();
    let connected = TcpStream::connect(address.to_string());
    let mut stream = connected.map_err(|source| Error::io(format!("connect {address}"), source))?;
    let me = stream.local_addr()?.to_string();
    for id in [1, 2] {
        stream.write_all(&pack.pack(&new_message(id, ""))?)?;
        let Some(message) = read_message(&mut stream, &pack, 4096)? else { return Ok(()) };
        // The port is another each time: what the server saw is compared here.
        let text = String::from_utf8_lossy(message.get_data()).replace(&me, "my own address");
        println!("==> Recv Msg: ID={}, data={text:?}", message.get_msg_id());
    }
    if read_message(&mut stream, &pack, 4096)?.is_none() {
        println!("closed by the server");
    }
    Ok(())
}

fn main() -> ExitCode {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:7777".to_string());
    zinx::exit(green::run(move || talk(&address).and_then(|()| talk(&address))))
}
