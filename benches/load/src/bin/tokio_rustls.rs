//! As `tokio_direct`, with TLS by tokio-rustls.
//!
//! Run it: `tokio_rustls 7777 server.pem server.key`

use std::io;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serve::serve;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

#[path = "../serve.rs"]
mod serve;

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
        tokio::spawn(open(acceptor.clone(), stream));
    }
}

async fn open(acceptor: TlsAcceptor, stream: TcpStream) -> io::Result<()> {
    serve(acceptor.accept(stream).await?).await
}
