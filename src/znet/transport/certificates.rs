//! The certificates of a server, and what follows from them. They may change while the server runs.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::crypto::ring::{Ticketer, default_provider};
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ProducesTickets, WebPkiClientVerifier};
use rustls::{RootCertStore, ServerConfig};

use crate::error::{Error, Result};
use crate::lock::Lock;
use crate::log_line::{Throttle, throttled};
use crate::zconf::Config;

/// The certificates of a server, from the files that its configuration names.
pub(crate) struct Certificates {
    /// Whoever comes back with a ticket of it needs no whole handshake. It outlives a change of the certificates, unless they say who
    /// may come in.
    tickets: Arc<dyn ProducesTickets>,
    current: Lock<Current>,
    log: Throttle,
}

struct Files {
    cert: String,
    key: String,
    /// Empty: clients need no certificate.
    client_ca: String,
    client_cert_optional: bool,
    alpn: Vec<Vec<u8>>,
}

/// Certificates that have been read.
pub(crate) struct Current {
    files: Arc<Files>,
    config: Arc<ServerConfig>,
    stamps: Vec<Stamp>,
    looked_at: Instant,
}

/// Tells a file from the one that it replaced.
type Stamp = Option<(u64, u64, u64, i64, i64)>;

impl Certificates {
    /// Loads what the configuration names. `None` if it names nothing.
    ///
    /// # Errors
    ///
    /// If a file cannot be read, or the key is not that of the certificate.
    pub(crate) fn load(config: &Config) -> Result<Option<Self>> {
        if config.cert_file.is_empty() {
            return Ok(None);
        }
        let files = Arc::new(Files::of(config));
        let tickets = Ticketer::new().map_err(|source| files.refused(source))?;
        let current = Lock::new(Current::read(files, &tickets)?);
        Ok(Some(Self { tickets, current, log: Throttle::new() }))
    }

    /// What a new connection begins with. Looks now and then whether the files have been replaced; if the new ones cannot be used, the
    /// old certificates stay. It reads files, so only a plain thread may call it.
    pub(crate) fn current(&self) -> Arc<ServerConfig> {
        let (config, before, files) = {
            let mut current = self.current.lock();
            if current.looked_at.elapsed() < LOOK_EVERY {
                return Arc::clone(&current.config);
            }
            current.looked_at = Instant::now();
            (Arc::clone(&current.config), current.stamps.clone(), Arc::clone(&current.files))
        };
        let stamps = files.stamps();
        if stamps == before {
            return config;
        }
        if let Err(error) = self.reload() {
            // Perhaps only one of them has been replaced so far: the next change is looked at again. A file that could not be read may
            // be readable next time without a change that its stamp tells, once its owner is right or a descriptor free.
            if !could_not_read(&error) {
                self.current.lock().stamps = stamps;
            }
            throttled!(
                error,
                self.log,
                "the certificates have changed and cannot be used, the old ones stay: {error}"
            );
        }
        Arc::clone(&self.current.lock().config)
    }

    /// Reads the files again: connections to come have what is in them now.
    ///
    /// # Errors
    ///
    /// As [`load`](Self::load); the old ones stay then.
    pub(crate) fn reload(&self) -> Result<()> {
        let files = Arc::clone(&self.current.lock().files);
        self.read(files).map(|read| self.take(read))
    }

    /// Reads the files that another configuration names. Nothing changes yet.
    ///
    /// # Errors
    ///
    /// As [`load`](Self::load).
    pub(crate) fn prepare(&self, config: &Config) -> Result<Current> {
        self.read(Arc::new(Files::of(config)))
    }

    /// Connections to come have these.
    pub(crate) fn take(&self, read: Current) {
        log::info!("certificates read from {}", read.files.cert);
        let before = std::mem::replace(&mut *self.current.lock(), read);
        drop(before);
    }

    fn read(&self, files: Arc<Files>) -> Result<Current> {
        if files.client_ca.is_empty() {
            return Current::read(files, &self.tickets);
        }
        // Tickets of before would let in those whom the new files may not.
        let tickets = Ticketer::new().map_err(|source| files.refused(source))?;
        Current::read(files, &tickets)
    }
}

impl Current {
    fn read(files: Arc<Files>, tickets: &Arc<dyn ProducesTickets>) -> Result<Self> {
        let stamps = files.stamps();
        Ok(Self { config: files.load(tickets)?, files, stamps, looked_at: Instant::now() })
    }
}

impl Files {
    fn of(config: &Config) -> Self {
        Self {
            cert: config.cert_file.clone(),
            key: config.private_key_file.clone(),
            client_ca: config.client_ca_file.clone(),
            client_cert_optional: config.client_cert_optional,
            alpn: protocols(&config.alpn),
        }
    }

    fn stamps(&self) -> Vec<Stamp> {
        let stamp = |file: &String| {
            let about = fs::metadata(file).ok()?;
            Some((about.dev(), about.ino(), about.size(), about.mtime(), about.mtime_nsec()))
        };
        [&self.cert, &self.key, &self.client_ca].map(stamp).into()
    }

    fn load(&self, tickets: &Arc<dyn ProducesTickets>) -> Result<Arc<ServerConfig>> {
        let certificates = read_certificates(&self.cert)?;
        let key = read_key(&self.key)?;
        let provider = Arc::new(default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(|source| self.refused(source))?;
        let builder = if self.client_ca.is_empty() {
            builder.with_no_client_auth()
        } else {
            let roots = Arc::new(read_roots(&self.client_ca)?);
            let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider);
            let verifier =
                if self.client_cert_optional { verifier.allow_unauthenticated() } else { verifier };
            let verifier = verifier.build().map_err(|source| cannot_use(&self.client_ca, source))?;
            builder.with_client_cert_verifier(verifier)
        };
        let mut config =
            builder.with_single_cert(certificates, key).map_err(|source| self.refused(source))?;
        config.alpn_protocols.clone_from(&self.alpn);
        config.ticketer = Arc::clone(tickets);
        Ok(Arc::new(config))
    }

    fn refused(&self, source: rustls::Error) -> Error {
        cannot_use(&format!("{} with {}", self.cert, self.key), source)
    }
}

/// The names of protocols, from a list with commas.
pub(crate) fn protocols(list: &str) -> Vec<Vec<u8>> {
    list.split(',')
        .map(str::trim)
        .filter(|name| !name.is_empty())
        .map(|name| name.as_bytes().to_vec())
        .collect()
}

/// All certificates in a file.
pub(crate) fn read_certificates(path: &str) -> Result<Vec<CertificateDer<'static>>> {
    let open = File::open(path).map_err(|source| cannot_read(path, source))?;
    let read: std::result::Result<Vec<_>, pem::Error> = CertificateDer::pem_reader_iter(open).collect();
    let certificates = read.map_err(|source| cannot_use(path, source))?;
    if certificates.is_empty() {
        Err(cannot_use(path, "there is no certificate in it"))
    } else {
        Ok(certificates)
    }
}

/// The first private key in a file.
pub(crate) fn read_key(path: &str) -> Result<PrivateKeyDer<'static>> {
    let open = File::open(path).map_err(|source| cannot_read(path, source))?;
    PrivateKeyDer::from_pem_reader(open).map_err(|source| match source {
        pem::Error::NoItemsFound => cannot_use(path, "there is no private key in it"),
        source => cannot_use(path, source),
    })
}

/// The authorities that are trusted: the certificates in a file.
pub(crate) fn read_roots(path: &str) -> Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    for certificate in read_certificates(path)? {
        roots.add(certificate).map_err(|source| cannot_use(path, source))?;
    }
    Ok(roots)
}

fn cannot_read(path: impl AsRef<Path>, source: io::Error) -> Error {
    Error::io(format!("read {}", path.as_ref().display()), source)
}

/// Whether it is what [`cannot_read`] says.
fn could_not_read(error: &Error) -> bool {
    matches!(error, Error::Io { source, .. } if source.kind() != io::ErrorKind::InvalidData)
}

pub(super) fn cannot_use(what: &str, why: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    Error::io(format!("use {what}"), io::Error::new(io::ErrorKind::InvalidData, why))
}

/// How often it is looked whether the files have been replaced, while peers come in.
const LOOK_EVERY: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use rustix::process::Uid;
    use rustix::thread::set_thread_uid;

    use super::*;

    /// As one that is written by root, and given to the user of the server afterwards.
    #[test]
    fn a_file_that_could_not_be_read_is_read_once_it_can_be() {
        let folder = std::env::temp_dir().join(format!("zinx-unreadable-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let (cert, key) = (folder.join("cert.pem"), folder.join("key.pem"));
        let replace = |name: &str| {
            let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/tls");
            for (file, ends) in [(&cert, "pem"), (&key, "key")] {
                fs::copy(from.join(format!("{name}.{ends}")), file).unwrap();
            }
        };
        let may_be_read = |mode| fs::set_permissions(&key, fs::Permissions::from_mode(mode)).unwrap();
        replace("server");
        let mut config = Config::default();
        config.cert_file = cert.display().to_string();
        config.private_key_file = key.display().to_string();
        let certificates = Certificates::load(&config).unwrap().unwrap();
        let look = || {
            certificates.current.lock().looked_at = Instant::now().checked_sub(LOOK_EVERY).unwrap();
            certificates.current()
        };
        let before = look();
        replace("renewed");
        may_be_read(0);
        let seen = std::thread::scope(|scope| {
            let look_as_nobody = || {
                // Root reads anything. Whoever is somebody else already may not become nobody, and need not.
                let _ = set_thread_uid(Uid::from_raw(65_534));
                look()
            };
            scope.spawn(look_as_nobody).join().unwrap()
        });
        assert!(Arc::ptr_eq(&before, &seen));
        may_be_read(0o644);
        assert!(!Arc::ptr_eq(&before, &look()));
        fs::remove_dir_all(&folder).unwrap();
    }
}
