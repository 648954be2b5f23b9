//! tokio in the shape that most servers with long connections have: a task that reads, a task that writes, and a bounded
//! channel between them, so that anybody can send to a connection.
//!
//! Run it: `tokio_split 7777`

use std::collections::HashMap;
use std::sync::{Arc, RwLock};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::mpsc::{Receiver, Sender, channel};

/// Every connection.
type All = Arc<RwLock<HashMap<u64, Sender<Bytes>>>>;

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let port = std::env::args().nth(1).and_then(|port| port.parse().ok()).unwrap_or(7777_u16);
    tokio::spawn(accept(TcpListener::bind(("0.0.0.0", port)).await?)).await?
}

async fn accept(listener: TcpListener) -> std::io::Result<()> {
    let all = All::default();
    for id in 0.. {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let (reader, writer) = stream.into_split();
        let (sender, receiver) = channel(1024);
        all.write().expect("nobody panics with it").insert(id, sender.clone());
        tokio::spawn(write(writer, receiver));
        let all = Arc::clone(&all);
        tokio::spawn(async move {
            let _ = read(reader, &sender, &all).await;
            all.write().expect("nobody panics with it").remove(&id);
        });
    }
    Ok(())
}

async fn write(mut stream: OwnedWriteHalf, mut frames: Receiver<Bytes>) -> std::io::Result<()> {
    let (mut taken, mut joined) = (Vec::new(), BytesMut::new());
    while frames.recv_many(&mut taken, 64).await > 0 {
        if let [frame] = &taken[..] {
            stream.write_all(frame).await?;
        } else {
            taken.iter().for_each(|frame| joined.extend_from_slice(frame));
            stream.write_all(&joined).await?;
            joined.clear();
        }
        taken.clear();
    }
    Ok(())
}

async fn read(mut stream: OwnedReadHalf, own: &Sender<Bytes>, all: &All) -> std::io::Result<()> {
    let mut buffer = BytesMut::with_capacity(4096);
    loop {
        while let Some(head) = buffer.first_chunk::<8>() {
            let [len, id] =
                [0, 4].map(|at| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]));
            if buffer.len() < 8 + len as usize {
                buffer.reserve(8 + len as usize - buffer.len());
                break;
            }
            buffer.advance(8);
            let data = buffer.split_to(len as usize).freeze();
            // Its writer has ended: so does this.
            if id == 1 && own.send(pack(1, &data)).await.is_err() {
                return Ok(());
            } else if id != 1 {
                let everybody: Vec<_> =
                    all.read().expect("nobody panics with it").values().cloned().collect();
                let frame = pack(id, &data);
                for one in everybody {
                    let _ = one.send(frame.clone()).await;
                }
            }
        }
        if buffer.capacity() - buffer.len() < 1024 {
            buffer.reserve(4096);
        }
        if stream.read_buf(&mut buffer).await? == 0 {
            return Ok(());
        }
    }
}

fn pack(id: u32, data: &[u8]) -> Bytes {
    let mut frame = BytesMut::with_capacity(8 + data.len());
    frame.put_u32_le(data.len() as u32);
    frame.put_u32_le(id);
    frame.put_slice(data);
    frame.freeze()
}
