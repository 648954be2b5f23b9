//! Whom a client trusts, and how it shows itself, when it speaks TLS.

use std::path::Path;
use std::sync::Arc;

use rustls::crypto::ring::default_provider;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};

use super::certificates::{cannot_use, protocols, read_certificates, read_key, read_roots};
use crate::error::Result;

/// Whom a client trusts, and how it shows itself, when it speaks TLS. The default trusts the authorities that this machine trusts, and
/// demands the name that it connects to.
///
/// There is no way to trust everybody: a server with a certificate of its own making is trusted by
/// [`ca_file`](Self::ca_file) with that very certificate.
#[derive(Clone, Debug, Default)]
pub struct TlsOptions {
    ca_file: Option<String>,
    server_name: Option<String>,
    certificate: Option<(String, String)>,
    alpn: String,
}

impl TlsOptions {
    /// The default.
    pub fn new() -> Self {
        Self::default()
    }

    /// Trusts the authorities in this file alone, in PEM. The last call counts.
    #[must_use]
    pub fn ca_file(mut self, path: impl Into<String>) -> Self {
        self.ca_file = Some(path.into());
        self
    }

    /// Demands a certificate for this name, in place of that of the address: needed if that is an IP address for which the server has
    /// none.
    #[must_use]
    pub fn server_name(mut self, name: impl Into<String>) -> Self {
        self.server_name = Some(name.into());
        self
    }

    /// Shows this certificate to a server that asks for one: two files in PEM, the second with its key.
    #[must_use]
    pub fn certificate(mut self, cert_file: impl Into<String>, private_key_file: impl Into<String>) -> Self {
        self.certificate = Some((cert_file.into(), private_key_file.into()));
        self
    }

    /// Names the protocols that the client speaks (ALPN), best first, with commas between them. A server that speaks none of them
    /// refuses.
    #[must_use]
    pub fn alpn(mut self, protocols: impl Into<String>) -> Self {
        self.alpn = protocols.into();
        self
    }

    /// What connections to `host` begin with.
    pub(crate) fn target(&self, host: &str) -> Result<TlsTarget> {
        let config = self.config()?;
        let name = self.server_name.as_deref().unwrap_or(host);
        let name = ServerName::try_from(name.to_string())
            .map_err(|source| cannot_use(&format!("the server name {name}"), source))?;
        Ok(TlsTarget { config, name })
    }

    /// Whom connections trust, and what they show.
    pub(crate) fn config(&self) -> Result<Arc<ClientConfig>> {
        let roots = match &self.ca_file {
            Some(path) => read_roots(path)?,
            None => roots_of_the_machine()?,
        };
        let builder = ClientConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|source| cannot_use("TLS", source))?
            .with_root_certificates(roots);
        let mut config = match &self.certificate {
            None => builder.with_no_client_auth(),
            Some((cert, key)) => builder
                .with_client_auth_cert(read_certificates(cert)?, read_key(key)?)
                .map_err(|source| cannot_use(&format!("{cert} with {key}"), source))?,
        };
        config.alpn_protocols = protocols(&self.alpn);
        Ok(Arc::new(config))
    }
}

/// What a connection of a client begins with.
pub(crate) struct TlsTarget {
    pub(crate) config: Arc<ClientConfig>,
    pub(crate) name: ServerName<'static>,
}

/// The authorities that the machine trusts: the file that `SSL_CERT_FILE` names, else where the distributions have it.
fn roots_of_the_machine() -> Result<RootCertStore> {
    if let Ok(path) = std::env::var("SSL_CERT_FILE") {
        return read_roots(&path);
    }
    let found = BUNDLES.iter().find(|path| Path::new(path).exists());
    let path = found.ok_or_else(|| {
        cannot_use(
            "the authorities of this machine",
            "no file with them is where it is looked for: name one with ca_file",
        )
    })?;
    let mut roots = RootCertStore::empty();
    // A few that cannot be understood are no reason to trust none.
    roots.add_parsable_certificates(read_certificates(path)?);
    Ok(roots)
}

/// Debian and Alpine, Fedora, openSUSE, OpenBSD and others.
const BUNDLES: &[&str] = &[
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];
