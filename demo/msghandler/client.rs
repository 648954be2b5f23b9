//! Chapter 6, many routers: sends a message of id 1 and one of id 2, both in Chinese, and prints what comes back.
//!
//! Chapters 7, 9 and 10 run the same client. How many answers there are is up to the server: it ends its side when it has
//! sent them all.
//!
//! Run it: `cargo run --example msghandler_client -- 127.0.0.1:7777`

use std::io::Write;
use std::process::ExitCode;

use encoding_rs::GBK;
use zinx::green::{self, TcpStream};
use zinx::ziface::{IDataPack, IMessage};
use zinx::zpack::read_message;
use zinx::{Error, Result, new_data_pack, new_message};

fn talk(address: String) -> Result<()> {
    let pack = new_data_pack();
    let connected = TcpStream::connect(address.clone());
    let mut stream = connected.map_err(|source| Error::io(format!("connect {address}"), source))?;
    // The tutorial's clients and servers send text in GB2312.
    let (text, ..) = GBK.encode("你好,服务器");
    let [first, second] = [1, 2].map(|id| pack.pack(&new_message(id, text.to_vec())));
    stream.write_all(&[first?, second?].concat())?;
    stream.shutdown_write();
    let mut answers = 0;
    while let Ok(Some(message)) = read_message(&mut stream, &pack, 4096) {
        let (text, ..) = GBK.decode(message.get_data());
        println!("==> Recv Msg: ID={}, data={text:?}", message.get_msg_id());
        answers += 1;
    }
    if answers == 0 {
        println!("closed by the server");
    }
    Ok(())
}

pub(crate) fn main() -> ExitCode {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:7777".to_string());
    zinx::exit(green::run(move || talk(address)))
}
