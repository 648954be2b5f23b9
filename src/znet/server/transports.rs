//! What the configuration says of transports, before the start: whether each is built in, and its certificates.

use super::core::Core;
#[cfg(feature = "tls")]
use super::server::Server;
use crate::error::Result;
use crate::error::config::{ConfigErrors, ConfigProblem};
use crate::zconf::Config;
use crate::ziface::TransportKind;
#[cfg(feature = "tls")]
use crate::znet::transport::certificates::Certificates;

/// What the peers of `TcpPort` speak. Reads the certificates.
///
/// # Errors
///
/// [`Error::Config`](crate::Error::Config) if that is not built in; the file's if a certificate cannot be used.
pub(super) fn transport_of(core: &Core) -> Result<TransportKind> {
    let config = core.config();
    check(config)?;
    if config.cert_file.is_empty() {
        return Ok(TransportKind::Tcp);
    }
    load_certificates(core)?;
    Ok(TransportKind::Tls)
}

fn check(config: &Config) -> Result<()> {
    let (cert, key) = (&config.cert_file, &config.private_key_file);
    let mut problems = Vec::new();
    let mut problem = |key: &str, found: &str, expected: &str| {
        let (key, found) = (key.to_string(), format!("{found:?}"));
        problems.push(ConfigProblem {
            key,
            found,
            expected: expected.to_string(),
            ..ConfigProblem::default()
        });
    };
    if !cert.is_empty() && cfg!(not(feature = "tls")) {
        problem("CertFile", cert, "nothing, or zinx built with the cargo feature `tls`");
    } else if !cert.is_empty() && key.is_empty() {
        problem("PrivateKeyFile", key, "the file with the key of CertFile");
    } else if cert.is_empty() && !key.is_empty() {
        problem("CertFile", cert, "the file with the certificate of PrivateKeyFile");
    } else if cert.is_empty() && !config.client_ca_file.is_empty() {
        problem("CertFile", cert, "a certificate, because ClientCaFile asks clients for one");
    }
    ConfigErrors::none_of(problems)
}

#[cfg(feature = "tls")]
fn load_certificates(core: &Core) -> Result<()> {
    match core.certificates.get() {
        // A start that failed before.
        Some(certificates) => certificates.reload(),
        None => {
            if let Some(certificates) = Certificates::load(core.config())? {
                core.certificates.get_or_init(|| certificates);
            }
            Ok(())
        }
    }
}

#[cfg(not(feature = "tls"))]
const fn load_certificates(_: &Core) -> Result<()> {
    Ok(())
}

#[cfg(feature = "tls")]
impl Server {
    /// Reads the files of the certificates again. Without it, the server looks at most once a second, when a peer connects, whether
    /// they have been replaced. Connections that are open keep what they have. Before the start, which reads them, and without
    /// `CertFile` it does nothing.
    ///
    /// # Errors
    ///
    /// If a file cannot be read, or the key is not that of the certificate. The old certificates stay then.
    pub fn reload_certificates(&self) -> Result<()> {
        self.core().certificates.get().map_or(Ok(()), Certificates::reload)
    }
}
