//! WebSocket by tokio-tungstenite: one task for each connection, each message echoed, sent once no further one is there.
//!
//! Run it: `tokio_tungstenite 7777`

use futures_util::{FutureExt, SinkExt, StreamExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::accept_async;
use tokio_tungstenite::tungstenite::Result;

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let port = std::env::args().nth(1).and_then(|port| port.parse().ok()).unwrap_or(7777_u16);
    let listener = TcpListener::bind(("0.0.0.0", port)).await?;
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        tokio::spawn(serve(stream));
    }
}

async fn serve(stream: TcpStream) -> Result<()> {
    let mut socket = accept_async(stream).await?;
    while let Some(message) = socket.next().await {
        socket.feed(message?).await?;
        while let Some(message) = socket.next().now_or_never().flatten() {
            socket.feed(message?).await?;
        }
        socket.flush().await?;
    }
    Ok(())
}
