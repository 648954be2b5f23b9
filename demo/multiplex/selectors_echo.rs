//! The server of `selectors`, which registers a call-back for each socket; here the call-back is the loop it stood for.
//!
//! Run it: `cargo run --example multiplex_selectors_echo [port]`, and beside it `nc localhost 9999`.

use std::error::Error;
use std::io::{self, Read, Write};
use std::net::SocketAddr;

use zinx::green::{StreamServer, TcpStream};

fn echo(mut stream: TcpStream, peer: SocketAddr) -> io::Result<()> {
    println!("accepted {peer}");
    let mut buffer = [0; 1024];
    loop {
        let n = stream.read(&mut buffer)?;
        if n == 0 {
            println!("closing {peer}");
            return Ok(());
        }
        stream.write_all(&buffer[..n])?;
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let port = std::env::args().nth(1).map_or(Ok(9999), |port| port.parse())?;
    let server = StreamServer::bind(SocketAddr::from(([0, 0, 0, 0], port)))?;
    eprintln!("listening on {}", server.local_addr());
    Ok(server.serve(echo)?)
}
