//! Closures queued to a connection: one earns points, another gives, the first hears of it in order.
//!
//! Run it: `cargo run --example func_request_client -- 127.0.0.1:7777`

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

fn ask(stream: &mut TcpStream, id: u32) -> Result<()> {
    stream.write_all(&new_data_pack().pack(&new_message(id, ""))?)?;
    Ok(())
}

fn print_answer(stream: &mut TcpStream) -> Result<()> {
    if let Some(message) = read_message(stream, &new_data_pack(), 4096)? {
        println!("==> Recv Msg: ID={}, data={:?}", message.get_msg_id(), message.get_data());
    }
    Ok(())
}

fn talk(address: &str) -> Result<()> {
    let (mut player, mut giver) = (connect(address)?, connect(address)?);
    ask(&mut player, 1)?;
    print_answer(&mut player)?;
    ask(&mut giver, 2)?;
    print_answer(&mut giver)?;
    print_answer(&mut player)?;
    ask(&mut player, 1)?;
    print_answer(&mut player)
}

fn main() -> ExitCode {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:7777".to_string());
    zinx::exit(green::run(move || talk(&address)))
}
