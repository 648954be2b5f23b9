//! Dynamic binding: three connections wait for slow answers, a fourth is answered meanwhile.
//!
//! Run it: `cargo run --example dynamic_bind_client -- 127.0.0.1:7777`

use std::io::Write;
use std::process::ExitCode;

use zinx::green::{self, TcpStream};
use zinx::ziface::{IDataPack, IMessage};
use zinx::zpack::read_message;
use zinx::{Error, Result, new_data_pack, new_message};

fn ask(address: &str, id: u32) -> Result<TcpStream> {
    let connected = TcpStream::connect(address.to_string());
    let mut stream = connected.map_err(|source| Error::io(format!("connect {address}"), source))?;
    stream.write_all(&new_data_pack().pack(&new_message(id, ""))?)?;
    Ok(stream)
}

fn print_answer(mut stream: TcpStream) -> Result<()> {
    if let Some(message) = read_message(&mut stream, &new_data_pack(), 4096)? {
        println!("==> Recv Msg: ID={}, data={:?}", message.get_msg_id(), message.get_data());
    }
    Ok(())
}

fn talk(address: String) -> Result<()> {
    let slow: Vec<_> = (0..3).map(|_| ask(&address, 1)).collect::<Result<_>>()?;
    print_answer(ask(&address, 2)?)?;
    slow.into_iter().try_for_each(print_answer)
}

fn main() -> ExitCode {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:7777".to_string());
    zinx::exit(green::run(move || talk(address)))
}
