//! A peer that speaks TLS by `rustls`' own buffers, which the server does not use.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use zinx::Config;

use crate::common::{self, ECHO, Running, frame};

/// A file of the test certificates.
pub(crate) fn pem(name: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/tls");
    folder.join(name).display().to_string()
}

/// A server's configuration, with a certificate for this machine.
pub(crate) fn config() -> Config {
    let mut config = common::config();
    (config.cert_file, config.private_key_file) = (pem("server.pem"), pem("server.key"));
    config
}

/// What a client trusts: the authority of the test certificates.
pub(crate) fn client_config(change: impl FnOnce(&mut ClientConfig)) -> Arc<ClientConfig> {
    let mut config = builder().with_no_client_auth();
    change(&mut config);
    Arc::new(config)
}

/// The same, with a certificate of its own.
pub(crate) fn client_config_with(certificate: &str) -> Arc<ClientConfig> {
    let chain = CertificateDer::from_pem_file(pem(&format!("{certificate}.pem"))).unwrap();
    let key = PrivateKeyDer::from_pem_file(PathBuf::from(pem(&format!("{certificate}.key")))).unwrap();
    Arc::new(builder().with_client_auth_cert(vec![chain], key).unwrap())
}

fn builder() -> rustls::ConfigBuilder<ClientConfig, rustls::client::WantsClientCert> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(pem("ca.pem")).unwrap()).unwrap();
    let builder = ClientConfig::builder_with_provider(Arc::new(default_provider()));
    builder.with_safe_default_protocol_versions().unwrap().with_root_certificates(roots)
}

/// A peer that speaks TLS and waits at most ten seconds for each answer.
pub(crate) struct TlsPeer {
    pub(crate) stream: StreamOwned<ClientConnection, TcpStream>,
}

impl TlsPeer {
    pub(crate) fn connect(running: &Running) -> Self {
        Self::connect_with(running, client_config(|_| {}))
    }

    pub(crate) fn connect_with(running: &Running, config: Arc<ClientConfig>) -> Self {
        Self::over(running.connect().stream, config)
    }

    pub(crate) fn over(stream: TcpStream, config: Arc<ClientConfig>) -> Self {
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        Self { stream: StreamOwned::new(ClientConnection::new(config, name).unwrap(), stream) }
    }

    pub(crate) fn addr(&self) -> SocketAddr {
        self.stream.sock.local_addr().unwrap()
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
        self.stream.flush().unwrap();
    }

    pub(crate) fn read_exactly(&mut self, len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        self.stream.read_exact(&mut bytes).unwrap();
        bytes
    }

    /// Reads until the server says that it sends nothing more; an error if it ends without that.
    pub(crate) fn read_to_end(&mut self) -> std::io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.stream.read_to_end(&mut bytes).map(|_| bytes)
    }

    pub(crate) fn check_echo(&mut self) {
        self.check_echo_of(b"still there?");
    }

    pub(crate) fn check_echo_of(&mut self, data: &[u8]) {
        let message = frame(ECHO, data);
        self.send(&message);
        assert!(self.read_exactly(message.len()) == message, "{} bytes", data.len());
    }

    /// Says that nothing more is sent.
    pub(crate) fn finish(&mut self) {
        self.stream.conn.send_close_notify();
        self.stream.flush().unwrap();
    }
}
