//! As `tokio_direct`, with TLS by tokio-rustls.
//!
//! Run it: `tokio_rustls 7777 server.pem server.key`

use std::sync::Arc;

use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

type Outcome = Result<(), Box<dyn std::error::Error + Send + Sync>>;

#[tokio::main]
async fn main() -> Outcome {
    let args: Vec<String> = std::env::args().collect();
    let builder = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let config = builder
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![CertificateDer::from_pem_file(&args[2])?], PrivateKeyDer::from_pem_file(&args[3])?)?;
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind(("0.0.0.0", args[1].parse()?)).await?;
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        tokio::spawn(serve(acceptor.clone(), stream));
    }
}

async fn serve(acceptor: TlsAcceptor, stream: TcpStream) -> Outcome {
    let mut stream = acceptor.accept(stream).await?;
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
            stream.flush().await?;
            answers.clear();
        }
    }
}
