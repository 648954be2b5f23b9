//! The server of `selectors`, which registers a callback for each socket. Here the callbacks of one client are one loop on
//! a coroutine of its own.
//!
//! Run it: `cargo run --example multiplex_selectors_echo`, and in a second terminal `nc localhost 9999`. Another port:
//! `cargo run --example multiplex_selectors_echo [port]`; `RUST_LOG=info` tells the address.

use std::error::Error;
use std::io::{self, Read, Write};
use std::net::SocketAddr;

use zinx::green::{StreamServer, TcpStream};

fn accept(mut conn: TcpStream, addr: SocketAddr) -> io::Result<()> {
    println!("已经注册sel数量:");
    println!("accept: {conn:?} from: ('{}', {})", addr.ip(), addr.port());
    let mut buffer = [0; 1024];
    loop {
        let n = conn.read(&mut buffer)?;
        println!("已经注册sel数量:");
        if n == 0 {
            println!("close: {conn:?}");
            return Ok(());
        }
        let data = &buffer[..n];
        println!("recv data: b'{}' conn: {conn:?}", data.escape_ascii());
        conn.write_all(data)?;
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    env_logger::init();
    let port = std::env::args().nth(1).map_or(Ok(9999), |port| port.parse())?;
    let server = StreamServer::bind(("0.0.0.0", port))?;
    log::info!("listening on {}", server.local_addr());
    Ok(server.serve(accept)?)
}
