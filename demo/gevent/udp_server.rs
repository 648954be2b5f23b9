//! gevent's `examples/udp_server.py`: for every datagram it sends a reply back.
//!
//! Run it: `cargo run --example gevent_udp_server [port]`, 9000 by default, then `echo hello | nc -u -w1 127.0.0.1 9000`.

use std::io;

use zinx::green::DatagramServer;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let port: u16 = std::env::args().nth(1).map_or(Ok(9000), |port| port.parse())?;
    let server = DatagramServer::bind(("127.0.0.1", port))?;
    eprintln!("listening on {}", server.local_addr());
    server.serve(|socket, data, address| -> io::Result<()> {
        println!("{}: got {:?}", address.ip(), String::from_utf8_lossy(&data));
        socket.send_to(format!("Received {} bytes", data.len()).as_bytes(), address).map(drop)
    })?;
    Ok(())
}
