//! What tokio can do at best: one task for each connection, all frames of a read parsed in place, one write. No queue.
//!
//! Run it: `tokio_direct 7777`

use serve::serve;
use tokio::net::TcpListener;

#[path = "../serve.rs"]
mod serve;

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let port = std::env::args().nth(1).and_then(|port| port.parse().ok()).unwrap_or(7777_u16);
    tokio::spawn(accept(TcpListener::bind(("0.0.0.0", port)).await?)).await?
}

async fn accept(listener: TcpListener) -> std::io::Result<()> {
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        tokio::spawn(serve(stream));
    }
}
