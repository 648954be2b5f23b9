//! Decoders: two frames of a device, the second with a damaged checksum.
//!
//! Run it: `cargo run --example decoder_client -- 127.0.0.1:7777`

use std::io::{Read, Write};
use std::process::ExitCode;

use zinx::green::{self, TcpStream};
use zinx::zpack::htlvcrc_frame;
use zinx::{Error, Result};

fn talk(address: String) -> Result<()> {
    let connected = TcpStream::connect(address.clone());
    let mut stream = connected.map_err(|source| Error::io(format!("connect {address}"), source))?;
    let mut frame = htlvcrc_frame(0xa2, 0x10, &[1, 2, 3])?;
    stream.write_all(&frame)?;
    let mut answer = [0; 6];
    stream.read_exact(&mut answer)?;
    println!("sent {frame:02x?}, received {answer:02x?}");
    frame[3] = 9;
    stream.write_all(&frame)?;
    match stream.read(&mut answer)? {
        0 => println!("sent {frame:02x?}, closed by the server"),
        n => println!("sent {frame:02x?}, received {:02x?}", &answer[..n]),
    }
    Ok(())
}

fn main() -> ExitCode {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:7777".to_string());
    zinx::exit(green::run(move || talk(address)))
}
