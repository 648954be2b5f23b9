//! What tokio can do at best: one task for each connection, all frames of a read parsed in place, one write. No queue.
//!
//! Run it: `tokio_direct 7777`

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

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

async fn serve(mut stream: TcpStream) -> std::io::Result<()> {
    let (mut buffer, mut filled) = (vec![0; 4096], 0);
    let mut answers = Vec::with_capacity(4096);
    loop {
        match stream.read(&mut buffer[filled..]).await? {
            0 => return Ok(()),
            read => filled += read,
        }
        let mut at = 0;
        while let Some((head, rest)) = buffer[at..filled].split_first_chunk::<8>() {
            let len = u32::from_le_bytes([head[0], head[1], head[2], head[3]]) as usize;
            if rest.len() < len {
                let needed = buffer.len().max(8 + len);
                buffer.resize(needed, 0);
                break;
            }
            answers.extend_from_slice(&buffer[at..at + 8 + len]);
            at += 8 + len;
        }
        buffer.copy_within(at..filled, 0);
        filled -= at;
        if !answers.is_empty() {
            stream.write_all(&answers).await?;
            answers.clear();
        }
    }
}
