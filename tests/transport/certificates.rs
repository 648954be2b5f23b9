//! The certificates of a server: those of clients, and a change while it runs.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use zinx::{Config, Error};

use crate::common::{Running, comes_true, start_alone, wait_until};
use crate::tls_peer::{TlsPeer, client_config, client_config_with, config, pem};

#[test]
fn a_client_without_the_certificate_that_is_asked_for_is_refused() {
    let mut config = config();
    config.client_ca_file = pem("ca.pem");
    let running = start_alone(config, |_| {});
    TlsPeer::connect_with(&running, client_config_with("client")).check_echo();
    refuses(&running, client_config(|_| {}), "CertificateRequired");
    refuses(&running, client_config_with("stranger"), "UnknownCA");
    wait_until("the counter", || running.server.stats().handshakes_failed == 2);
    assert_eq!(running.server.stats().start_hooks, 1);
}

#[test]
fn a_client_may_come_without_a_certificate_if_that_is_optional() {
    let mut config = config();
    config.client_ca_file = pem("ca.pem");
    config.client_cert_optional = true;
    let running = start_alone(config, |_| {});
    TlsPeer::connect_with(&running, client_config_with("client")).check_echo();
    TlsPeer::connect(&running).check_echo();
    refuses(&running, client_config_with("stranger"), "UnknownCA");
}

fn refuses(running: &Running, config: Arc<rustls::ClientConfig>, alert: &str) {
    let mut peer = TlsPeer::connect_with(running, config);
    let error = peer.read_to_end().unwrap_err().to_string();
    assert!(error.contains(alert), "{error}");
}

#[test]
fn certificates_change_while_the_server_runs() {
    let files = Files::new("reload");
    let running = start_alone(files.config(), |_| {});
    let mut before = TlsPeer::connect(&running);
    before.check_echo();
    assert_eq!(shown(&mut before), der("server"));

    files.replace("renewed");
    running.server.reload_certificates().unwrap();
    let mut after = TlsPeer::connect(&running);
    assert_eq!(shown(&mut after), der("renewed"));
    // The old connection keeps what it has.
    before.check_echo();

    // What cannot be used changes nothing.
    fs::write(&files.cert, "no certificate").unwrap();
    let error = running.server.reload_certificates().unwrap_err();
    assert!(error.to_string().contains("no certificate in it"), "{error}");
    fs::copy(pem("server.pem"), &files.cert).unwrap();
    assert!(running.server.reload_certificates().is_err(), "the key is another's");
    assert_eq!(shown(&mut TlsPeer::connect(&running)), der("renewed"));
}

#[test]
fn a_reload_takes_other_files_and_what_clients_have_to_show() {
    let files = Files::new("other");
    let yaml = files.cert.with_file_name("zinx.yaml");
    let write = |cert: String, key: String, more: &str| {
        fs::write(&yaml, format!("CertFile: {cert}\nPrivateKeyFile: {key}\n{more}")).unwrap();
    };
    let at = |file: &PathBuf| file.display().to_string();
    write(at(&files.cert), at(&files.key), "");
    let mut read = Config::from_file(&yaml).unwrap();
    let others = config();
    (read.tcp_port, read.workers, read.handle_signals) =
        (others.tcp_port, others.workers, others.handle_signals);
    let running = start_alone(read, |_| {});
    assert_eq!(shown(&mut TlsPeer::connect(&running)), der("server"));

    // The same names, but what is in the files has changed.
    files.replace("renewed");
    assert_eq!(running.server.reload().unwrap().changed(), []);
    assert_eq!(shown(&mut TlsPeer::connect(&running)), der("renewed"));

    write(pem("server.pem"), pem("server.key"), &format!("ClientCaFile: {}", pem("ca.pem")));
    let mut before = TlsPeer::connect(&running);
    before.check_echo();
    assert_eq!(running.server.reload().unwrap().changed().len(), 3);
    refuses(&running, client_config(|_| {}), "CertificateRequired");
    let mut known = TlsPeer::connect_with(&running, client_config_with("client"));
    assert_eq!(shown(&mut known), der("server"));
    before.check_echo();

    // What cannot be used changes nothing, other keys neither.
    write(pem("server.pem"), pem("client.key"), "MaxConn: 1");
    assert!(running.server.reload().is_err(), "the key is another's");
    let mut more = TlsPeer::connect_with(&running, client_config_with("client"));
    assert_eq!(shown(&mut more), der("server"));
}

#[test]
fn files_that_are_replaced_are_noticed() {
    let files = Files::new("noticed");
    let running = start_alone(files.config(), |_| {});
    assert_eq!(shown(&mut TlsPeer::connect(&running)), der("server"));
    files.replace("renewed");
    let is_there = || shown(&mut TlsPeer::connect(&running)) == der("renewed");
    assert!(comes_true(Duration::from_secs(20), is_there));
}

#[test]
fn a_start_says_what_is_wrong_with_the_files() {
    let start = |change: &dyn Fn(&mut Config)| {
        let mut config = config();
        change(&mut config);
        zinx::new_server_with_config(config).and_then(|server| {
            use zinx::ziface::IServer;
            server.start()
        })
    };
    let missing = start(&|config| config.cert_file = "/no/such/file.pem".into()).unwrap_err();
    assert!(missing.to_string().starts_with("read /no/such/file.pem: "), "{missing}");
    let other = start(&|config| config.private_key_file = pem("client.key")).unwrap_err();
    assert!(matches!(&other, Error::Io { .. }), "{other}");
    for empty in ["cert_file", "private_key_file"] {
        let half = start(&|config| match empty {
            "cert_file" => config.cert_file.clear(),
            _ => config.private_key_file.clear(),
        });
        assert!(matches!(half.unwrap_err(), Error::Config(_)), "{empty}");
    }
    let no_key = start(&|config| config.private_key_file = pem("server.pem")).unwrap_err();
    assert!(no_key.to_string().contains("no private key in it"), "{no_key}");
}

/// Certificate and key in a folder of their own.
struct Files {
    cert: PathBuf,
    key: PathBuf,
}

impl Files {
    fn new(test: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("zinx-{test}-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let files = Self { cert: folder.join("cert.pem"), key: folder.join("key.pem") };
        files.replace("server");
        files
    }

    fn replace(&self, name: &str) {
        fs::copy(pem(&format!("{name}.key")), &self.key).unwrap();
        fs::copy(pem(&format!("{name}.pem")), &self.cert).unwrap();
    }

    fn config(&self) -> Config {
        let mut config = config();
        config.cert_file = self.cert.display().to_string();
        config.private_key_file = self.key.display().to_string();
        config
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(self.cert.parent().unwrap());
    }
}

fn shown(peer: &mut TlsPeer) -> Vec<u8> {
    peer.check_echo();
    peer.stream.conn.peer_certificates().unwrap()[0].to_vec()
}

fn der(name: &str) -> Vec<u8> {
    use rustls::pki_types::CertificateDer;
    use rustls::pki_types::pem::PemObject;
    CertificateDer::from_pem_file(pem(&format!("{name}.pem"))).unwrap().to_vec()
}
