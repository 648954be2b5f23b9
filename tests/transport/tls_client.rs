//! A client that speaks TLS.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use zinx::ziface::{IClient, IServer, TransportKind};
use zinx::znet::{Reconnect, TlsOptions, new_tls_client_with_options};
use zinx::{Client, Error};

use crate::common::{self, ECHO, Running, Watchdog, start_alone, wait_until};
use crate::cutter::Cutter;
use crate::greeting::{greets, hears};
use crate::tls_peer::{config, pem};

fn client(running: &Running, host: &str, options: &TlsOptions) -> Client {
    let port = running.server.local_addr().unwrap().port();
    new_tls_client_with_options(host, port, options, common::config()).unwrap()
}

fn trusting() -> TlsOptions {
    TlsOptions::new().ca_file(pem("ca.pem"))
}

#[test]
fn a_client_talks_to_a_server_that_it_trusts() {
    let running = start_alone(config(), |_| {});
    for host in ["localhost", "127.0.0.1"] {
        let client = client(&running, host, &trusting());
        let heard = greets(&client);
        let conn = client.conn().unwrap();
        assert_eq!(conn.get_transport(), TransportKind::Tls);
        conn.send_msg(ECHO, vec![7; 4000]).unwrap();
        assert_eq!(heard.recv_timeout(Duration::from_secs(20)).unwrap(), vec![7; 4000]);
        client.stop();
        assert!(client.wait_stopped(Duration::from_secs(20)));
    }
    wait_until("the stop hooks", || running.server.stats().stop_hooks == 2);
}

/// Go's client trusts everybody.
#[test]
fn a_client_does_not_talk_to_a_server_that_it_does_not_trust() {
    let running = start_alone(config(), |_| {});
    let stranger = TlsOptions::new().ca_file(pem("other_ca.pem"));
    let other_name = trusting().server_name("elsewhere.example");
    for (options, expected) in [(stranger, "UnknownIssuer"), (other_name, "not valid for name")] {
        let error = client(&running, "localhost", &options).start().unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
        assert!(matches!(error, Error::Io { .. }));
    }
    assert_eq!(running.server.stats().start_hooks, 0);
}

#[test]
fn a_client_shows_its_certificate() {
    let mut config = config();
    config.client_ca_file = pem("ca.pem");
    let running = start_alone(config, |_| {});
    let options = trusting().certificate(pem("client.pem"), pem("client.key"));
    let client = client(&running, "localhost", &options);
    client.start().unwrap();
    wait_until("the start hook", || running.server.stats().start_hooks == 1);
    let der = |name: &str| CertificateDer::from_pem_file(pem(name)).unwrap().to_vec();
    let conn = client.conn().unwrap();
    let (ours, theirs) = (running.conn(conn.get_local_addr()).get_tls_info(), conn.get_tls_info());
    assert_eq!(ours.unwrap().peer_certificates, [der("client.pem")]);
    assert_eq!(theirs.unwrap().peer_certificates[0], der("server.pem"));
    client.stop();
    assert!(client.wait_stopped(Duration::from_secs(20)));
}

#[test]
fn a_server_that_does_not_answer_the_handshake_costs_the_dial_timeout() {
    let _watchdog = Watchdog::start(Duration::from_secs(60));
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = silent.local_addr().unwrap().port();
    let client = new_tls_client_with_options("localhost", port, &trusting(), common::config()).unwrap();
    client.set_dial_timeout(Duration::from_millis(300));
    let error = client.start().unwrap_err();
    assert!(error.to_string().contains("timed out"), "{error}");
    assert!(client.wait_stopped(Duration::from_secs(20)));
}

#[test]
fn a_stop_interrupts_the_handshake_of_a_client() {
    let _watchdog = Watchdog::start(Duration::from_secs(60));
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = silent.local_addr().unwrap().port();
    let client = new_tls_client_with_options("localhost", port, &trusting(), common::config()).unwrap();
    client.set_dial_timeout(Duration::from_secs(50));
    let starting = client.clone();
    let started = std::thread::spawn(move || starting.start());
    // Its hello has come, so it waits for the answer.
    let (mut peer, _) = silent.accept().unwrap();
    peer.read_exact(&mut [0; 5]).unwrap();
    let begun = Instant::now();
    client.stop();
    assert!(client.wait_stopped(Duration::from_secs(20)));
    assert!(started.join().unwrap().is_err());
    assert!(begun.elapsed() < Duration::from_secs(15), "{:?}", begun.elapsed());
}

#[test]
fn a_client_that_meets_plain_text_says_so() {
    let _watchdog = Watchdog::start(Duration::from_secs(60));
    let plain = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = plain.local_addr().unwrap().port();
    std::thread::spawn(move || {
        let (mut peer, _) = plain.accept().unwrap();
        let _ = peer.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
        let _ = peer.read(&mut [0; 1000]);
    });
    let client = new_tls_client_with_options("localhost", port, &trusting(), common::config()).unwrap();
    let error = client.start().unwrap_err();
    assert!(error.to_string().contains("corrupt message"), "{error}");
    assert!(error.to_string().ends_with("the peer does not speak TLS"), "{error}");
}

/// Made by the command of `docs/transports.md`, and without the part that makes it one of a server.
#[test]
fn a_certificate_of_ones_own_is_trusted_unless_it_is_that_of_an_authority() {
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/transports.md")).unwrap();
    let command = page
        .split("```sh\n")
        .find_map(|rest| rest.split("```").next().filter(|c| c.starts_with("openssl req")));
    let command = command.unwrap();
    let for_a_server = "-addext basicConstraints=critical,CA:FALSE";
    for (n, command) in [command.to_string(), command.replace(for_a_server, "")].iter().enumerate() {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("own-certificate-{n}"));
        std::fs::create_dir_all(&folder).unwrap();
        let made = Command::new("sh").args(["-c", command]).current_dir(&folder).output().unwrap();
        if !made.status.success() {
            return eprintln!("skipped: a certificate of one's own, because openssl does not make it");
        }
        let file = |name: &str| folder.join(name).display().to_string();
        let mut config = config();
        (config.cert_file, config.private_key_file) = (file("cert.pem"), file("key.pem"));
        let running = start_alone(config, |_| {});
        let client = client(&running, "localhost", &TlsOptions::new().ca_file(file("cert.pem")));
        match client.start() {
            Ok(()) => assert_eq!(n, 0),
            Err(error) => assert!(n == 1 && error.to_string().ends_with("(CA:TRUE)"), "{n}: {error}"),
        }
        client.stop();
        assert!(client.wait_stopped(Duration::from_secs(20)));
    }
}

#[test]
fn a_client_connects_again_and_resumes_over_tls() {
    let mut config = config();
    config.resume_ms = 20_000;
    let running = start_alone(config, |_| {});
    let cutter = Cutter::before(running.server.local_addr().unwrap());
    let mut its_config = common::config();
    its_config.resume_ms = 20_000;
    let port = cutter.address.port();
    let client = new_tls_client_with_options("localhost", port, &trusting(), its_config).unwrap();
    client.set_reconnect(Reconnect { first_pause: Duration::from_millis(10), ..Reconnect::default() });
    let heard = hears(&client);
    client.start().unwrap();
    let conn = client.wait_connected(Duration::from_secs(20)).unwrap();
    for round in 0..3_u8 {
        conn.send_msg(ECHO, [round]).unwrap();
        assert_eq!(heard.recv_timeout(Duration::from_secs(20)).unwrap(), [round]);
        let resumed = running.server.stats().resumed;
        cutter.cut();
        wait_until("the client to come back", || running.server.stats().resumed > resumed);
    }
    client.stop();
    assert!(client.wait_stopped(Duration::from_secs(20)));
}
