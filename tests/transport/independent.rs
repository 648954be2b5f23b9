//! Peers that share no code with us: `openssl` and Python's `ssl`, in both directions.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use zinx::ziface::{IClient, IServer};
use zinx::znet::{TlsOptions, new_tls_client_with_options};

use crate::common::port::ReservedPort;
use crate::common::{self, ECHO, Watchdog, comes_true, frame, start_alone};
use crate::foreign::{Server, program, run, stop};
use crate::greeting::{greets, hears};
use crate::tls_peer::{config, pem};

#[test]
fn openssl_talks_to_the_server() {
    let Some(openssl) = openssl() else { return };
    for version in ["-tls1_2", "-tls1_3"] {
        let running = start_alone(config(), |_| {});
        let address = running.server.local_addr().unwrap().to_string();
        let mut client = Killed(
            Command::new(&openssl)
                .args(["s_client", "-connect", &address, "-servername", "localhost", "-verify_return_error"])
                .args(["-verify_hostname", "localhost", "-CAfile", &pem("ca.pem"), version, "-quiet"])
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .stderr(Stdio::null())
                .spawn()
                .unwrap(),
        );
        let message = frame(ECHO, b"from openssl");
        client.0.stdin.as_mut().unwrap().write_all(&message).unwrap();
        let mut echo = vec![0; message.len()];
        client.0.stdout.as_mut().unwrap().read_exact(&mut echo).unwrap();
        assert_eq!(echo, message, "{version}");
    }
}

/// What `openssl` hears it writes to its output, and what comes in there it sends.
#[test]
fn our_client_talks_to_openssl() {
    let Some(openssl) = openssl() else { return };
    let _watchdog = Watchdog::start(Duration::from_secs(100));
    for version in ["-tls1_2", "-tls1_3"] {
        let port = ReservedPort::new();
        let (number, cert, key) = (port.number().to_string(), pem("server.pem"), pem("server.key"));
        let mut server = Killed(
            Command::new(&openssl)
                .args(["s_server", "-accept", &number, "-cert", &cert, "-key", &key, version, "-quiet"])
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .stderr(Stdio::null())
                .spawn()
                .unwrap(),
        );
        let listens = || TcpStream::connect(("127.0.0.1", port.number())).is_ok();
        assert!(comes_true(Duration::from_secs(20), listens), "openssl does not listen");
        let options = TlsOptions::new().ca_file(pem("ca.pem"));
        let config = common::config();
        let client = new_tls_client_with_options("127.0.0.1", port.number(), &options, config).unwrap();
        let heard = hears(&client);
        client.start().unwrap();
        let conn = client.conn().unwrap();
        let message = frame(ECHO, b"to openssl");
        conn.send_msg(ECHO, "to openssl").unwrap();
        let mut came = vec![0; message.len()];
        server.0.stdout.as_mut().unwrap().read_exact(&mut came).unwrap();
        assert_eq!(came, message, "{version}");
        server.0.stdin.as_mut().unwrap().write_all(&message).unwrap();
        assert_eq!(heard.recv_timeout(Duration::from_secs(20)).unwrap(), b"to openssl");
        stop(&client);
    }
}

#[test]
fn python_talks_to_the_server_and_both_say_farewell() {
    let Some(python) = python() else { return };
    let running = start_alone(config(), |_| {});
    let port = running.server.local_addr().unwrap().port().to_string();
    let script = "
import socket, ssl, struct, sys
context = ssl.create_default_context(cafile=sys.argv[1])
raw = socket.create_connection(('127.0.0.1', int(sys.argv[2])), timeout=20)
stream = context.wrap_socket(raw, server_hostname='localhost', suppress_ragged_eofs=False)
for size in (0, 1, 4096):
    message = struct.pack('<II', size, 1) + bytes(size)
    stream.sendall(message)
    echo = b''
    while len(echo) < len(message):
        echo += stream.recv(65536)
    assert echo == message, size
stream.unwrap()
print('over')
";
    run(&python, &["-c", script, &pem("ca.pem"), &port]);
}

/// And says farewell: Python would raise an error without.
#[test]
fn our_client_talks_to_pythons_server() {
    let Some(python) = python() else { return };
    let _watchdog = Watchdog::start(Duration::from_secs(100));
    let script = "
import socket, ssl, sys
context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
context.load_cert_chain(sys.argv[1], sys.argv[2])
listener = socket.create_server(('127.0.0.1', 0))
print(listener.getsockname()[1], flush=True)
stream = context.wrap_socket(listener.accept()[0], server_side=True, suppress_ragged_eofs=False)
while data := stream.recv(65536):
    stream.sendall(data)
open(sys.argv[3], 'w').write('an end in order')
";
    let note = std::env::temp_dir().join(format!("zinx_python_ssl_{}", std::process::id()));
    let note_name = note.display().to_string();
    let server = Server::start(&python, &["-c", script, &pem("server.pem"), &pem("server.key"), &note_name]);
    let options = TlsOptions::new().ca_file(pem("ca.pem"));
    let client = new_tls_client_with_options("127.0.0.1", server.port, &options, common::config()).unwrap();
    let heard = greets(&client);
    let conn = client.conn().unwrap();
    for len in [0, 1, 4096] {
        conn.send_msg(ECHO, vec![7; len]).unwrap();
        assert_eq!(heard.recv_timeout(Duration::from_secs(20)).unwrap(), vec![7; len]);
    }
    stop(&client);
    let noted = || std::fs::read(&note).is_ok_and(|note| note == b"an end in order");
    assert!(comes_true(Duration::from_secs(20), noted), "the client has left without a farewell");
    let _ = std::fs::remove_file(&note);
}

/// Killed when the test is over.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn openssl() -> Option<String> {
    program("ZINX_TEST_OPENSSL", "openssl", "TLS with openssl", &["version"])
}

fn python() -> Option<String> {
    program("ZINX_TEST_PYTHON", "python3", "TLS with Python", &["-c", "import ssl"])
}
