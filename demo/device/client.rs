//! A charging pile that does not hear the first command, sends two readings, and then one with a wrong CRC.
//!
//! Run it: `cargo run --example device_client -- 127.0.0.1:7777`

use std::io::{Read, Write};
use std::process::ExitCode;

use zinx::green::{self, TcpStream};
use zinx::prelude::*;
use zinx::zpack::crc16_modbus;

fn frame(command: u8, body: &[u8]) -> Vec<u8> {
    let len = u8::try_from(body.len() + 2).expect("short bodies");
    [&[0x68, command, len], body, &crc16_modbus(body).to_le_bytes()].concat()
}

/// The command and the body of the next frame; `None` where the gateway has closed.
fn read_frame(stream: &mut TcpStream) -> Result<Option<(u8, Vec<u8>)>> {
    let mut head = [0; 3];
    if stream.read(&mut head[..1])? == 0 {
        return Ok(None);
    }
    stream.read_exact(&mut head[1..])?;
    let mut body = vec![0; usize::from(head[2])];
    stream.read_exact(&mut body)?;
    body.truncate(body.len().saturating_sub(2));
    Ok(Some((head[1], body)))
}

fn talk(address: String) -> Result<()> {
    let mut stream = TcpStream::connect(address)?;
    stream.write_all(&frame(0x01, b"pile-7"))?;
    for heard in [false, true] {
        let Some((command, body)) = read_frame(&mut stream)? else { return Ok(()) };
        println!("command {command:#x}, {}, heard: {heard}", body.escape_ascii());
    }
    stream.write_all(&frame(0x11, b"port 1, 32 A"))?;
    stream.write_all(&frame(0x02, b"0.5"))?;
    stream.write_all(&frame(0x02, b"1.0"))?;
    let mut damaged = frame(0x02, b"1.5");
    damaged[3] ^= 1;
    stream.write_all(&damaged)?;
    println!("closed by the gateway: {}", read_frame(&mut stream)?.is_none());
    Ok(())
}

fn main() -> ExitCode {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:7777".to_string());
    exit(green::run(move || talk(address)))
}
