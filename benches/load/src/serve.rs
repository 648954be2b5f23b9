//! How the servers of tokio answer: all frames of a read are parsed in place, and sent back by one write. No queue.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// Echoes frames until the peer ends.
pub async fn serve(mut stream: impl AsyncRead + AsyncWrite + Unpin) -> io::Result<()> {
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
            // A socket of TCP has nothing to flush.
            stream.flush().await?;
            answers.clear();
        }
    }
}
