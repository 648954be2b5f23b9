//! The hook server against a client in another language, which knows the protocol and nothing else of us.

#![expect(clippy::disallowed_methods, reason = "tests are plain threads")]

use std::io::{BufRead, BufReader, ErrorKind, Read};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;

#[test]
fn python_client_gets_the_bytes_of_the_tutorial_in_ltv_little_endian() {
    talk_in("ltv_little_endian", "ltv");
}

#[test]
fn python_client_gets_the_bytes_of_the_tutorial_in_tlv_big_endian() {
    talk_in("tlv_big_endian", "tlv");
}

/// Every wait of the client has a deadline of its own, so it ends.
fn talk_in(data_pack: &str, order: &str) {
    let server = Server::start(data_pack);
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/interop/client.py");
    match Command::new("python3").arg(script).arg(&server.address).arg(order).output() {
        Ok(output) => {
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        }
        Err(error) if error.kind() == ErrorKind::NotFound => {
            eprintln!("skipped: interop in {data_pack}, for want of python3");
            assert!(std::env::var_os("CI").is_none(), "CI must have python3");
        }
        Err(error) => panic!("{error}"),
    }
}

/// A hook server that ends with the test.
struct Server {
    child: Child,
    address: String,
}

impl Server {
    fn start(data_pack: &str) -> Self {
        let mut child = Command::new(example("hook_server"))
            .current_dir(env!("CARGO_TARGET_TMPDIR"))
            .env("ZINX_TCPPORT", "0")
            .env("ZINX_HOST", "127.0.0.1")
            .env("ZINX_DATAPACK", data_pack)
            .env("RUST_LOG", "info")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap());
        let mut heard = String::new();
        let address = loop {
            let start = heard.len();
            assert_ne!(lines.read_line(&mut heard).unwrap(), 0, "it has ended: {heard}");
            if let Some((_, address)) = heard[start..].split_once("listening on ") {
                break address.trim().to_string();
            }
        };
        // A full pipe would stop it.
        thread::spawn(move || lines.read_to_end(&mut Vec::new()));
        Self { child, address }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn example(name: &str) -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let profile = test.parent().and_then(|deps| deps.parent()).unwrap();
    profile.join("examples").join(name)
}
