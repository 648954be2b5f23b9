//! Framing without a head: sends lines and records in pieces that have nothing to do with their ends.
//!
//! Run it: `cargo run --example framing_client -- 127.0.0.1:7777 127.0.0.1:7778`

use std::io::{BufRead, BufReader, Read, Write};
use std::process::ExitCode;

use zinx::green::{self, TcpStream};
use zinx::{Error, Result};

fn connect(address: &str) -> Result<TcpStream> {
    let connected = TcpStream::connect(address.to_string());
    connected.map_err(|source| Error::io(format!("connect {address}"), source))
}

fn lines(address: &str) -> Result<()> {
    let mut stream = connect(address)?;
    for piece in ["he", "llo\nwor", "ld\n\nbye\n"] {
        stream.write_all(piece.as_bytes())?;
    }
    for answer in BufReader::new(stream).lines().take(4) {
        println!("a line: {:?}", answer?);
    }
    Ok(())
}

fn records(address: &str) -> Result<()> {
    let mut stream = connect(address)?;
    let all = [1_u32, 1000, 1_000_000].map(u32::to_be_bytes).concat();
    stream.write_all(&all[..5])?;
    stream.write_all(&all[5..])?;
    for _ in 0..3 {
        let mut answer = [0; 4];
        stream.read_exact(&mut answer)?;
        println!("a record: {}", u32::from_be_bytes(answer));
    }
    Ok(())
}

fn main() -> ExitCode {
    let address = |n| std::env::args().nth(n);
    let first = address(1).unwrap_or_else(|| "127.0.0.1:7777".to_string());
    let second = address(2).unwrap_or_else(|| "127.0.0.1:7778".to_string());
    zinx::exit(green::run(move || lines(&first).and_then(|()| records(&second))))
}
