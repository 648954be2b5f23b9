//! Peers that share no code with us: `openssl s_client` and Python's `ssl`.

use std::io::Write;
use std::process::{Command, Stdio};

use crate::common::{frame, start_alone};
use crate::tls_peer::{config, pem};
use zinx::ziface::IServer;

#[test]
fn openssl_talks_to_the_server() {
    for version in ["-tls1_2", "-tls1_3"] {
        let running = start_alone(config(), |_| {});
        let address = running.server.local_addr().unwrap().to_string();
        let mut client = Command::new("openssl")
            .args(["s_client", "-connect", &address, "-servername", "localhost", "-verify_return_error"])
            .args(["-verify_hostname", "localhost", "-CAfile", &pem("ca.pem"), version, "-quiet"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let message = frame(1, b"from openssl");
        client.stdin.as_mut().unwrap().write_all(&message).unwrap();
        let mut echo = vec![0; message.len()];
        std::io::Read::read_exact(client.stdout.as_mut().unwrap(), &mut echo).unwrap();
        assert_eq!(echo, message, "{version}");
        client.kill().unwrap();
        client.wait().unwrap();
    }
}

#[test]
fn python_talks_to_the_server_and_both_say_farewell() {
    let running = start_alone(config(), |_| {});
    let address = running.server.local_addr().unwrap();
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
    let said = Command::new("python3")
        .args(["-c", script, &pem("ca.pem"), &address.port().to_string()])
        .output()
        .unwrap();
    let (out, err) = (String::from_utf8_lossy(&said.stdout), String::from_utf8_lossy(&said.stderr));
    assert_eq!(out.trim(), "over", "{err}");
}
