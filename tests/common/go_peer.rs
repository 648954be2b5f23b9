//! A peer written against Go Zinx itself, in `tests/interop/go`: its last release, or the one in the folder that
//! `ZINX_TEST_GO_ZINX` names.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

use super::port::ReservedPort;

/// Builds the peer, once; `None`, with a word, if there is no `go`.
pub(crate) fn peer() -> Option<PathBuf> {
    static PEER: OnceLock<Option<PathBuf>> = OnceLock::new();
    let peer = PEER.get_or_init(build).clone();
    if peer.is_none() {
        eprintln!("skipped: {}", std::thread::current().name().unwrap_or("a test"));
    }
    peer
}

fn build() -> Option<PathBuf> {
    let program = Path::new(env!("CARGO_TARGET_TMPDIR")).join("zinx_go_peer");
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/interop/go");
    let mut command = Command::new("go");
    command.current_dir(folder).args(["build", "-o"]).arg(&program);
    if let Some(other) = std::env::var_os("ZINX_TEST_GO_ZINX") {
        command.arg(format!("-modfile={}", with_other(folder, &other.into_string().unwrap())));
    }
    match command.arg(".").output() {
        Ok(output) if output.status.success() => Some(program),
        Ok(output) => {
            let why = String::from_utf8_lossy(&output.stderr);
            assert!(std::env::var_os("CI").is_none(), "the Go peer cannot be built: {why}");
            eprintln!("the Go peer cannot be built: {why}");
            None
        }
        Err(error) if error.kind() == ErrorKind::NotFound => {
            eprintln!("there is no go");
            None
        }
        Err(error) => panic!("{error}"),
    }
}

/// The file of the module, with another Go Zinx.
fn with_other(folder: &str, other: &str) -> String {
    let place = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let read = |name: &str| std::fs::read_to_string(Path::new(folder).join(name)).unwrap();
    let module = read("go.mod") + &format!("\nreplace github.com/aceld/zinx => {other}\n");
    for (name, text) in [("other.mod", module), ("other.sum", read("go.sum"))] {
        std::fs::write(place.join(name), text).unwrap();
    }
    place.join("other.mod").display().to_string()
}

/// Runs a Go client to its end. Every wait of it has a deadline.
pub(crate) fn talk(peer: &Path, arguments: &[&str], expected: &str) {
    assert!(try_to_talk(peer, arguments, expected), "not {expected:?}");
}

/// The same, for one whose end the machine may be too busy for. Whether it ended as expected; if not, what it said is printed.
pub(crate) fn try_to_talk(peer: &Path, arguments: &[&str], expected: &str) -> bool {
    let output = Command::new(peer).args(["-role", "client"]).args(arguments).output().unwrap();
    let (said, complained) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let as_expected = output.status.success() && said.lines().last() == Some(expected);
    if !as_expected {
        eprintln!("{}: {said}{complained}", output.status);
    }
    as_expected
}

/// A Go server on a port of its own; ends with the test.
pub(crate) struct GoServer {
    child: Child,
    pub(crate) port: ReservedPort,
}

impl GoServer {
    pub(crate) fn start(peer: &Path, arguments: &[&str]) -> Self {
        let port = ReservedPort::new();
        let child = Command::new(peer)
            .args(["-role", "server", "-port", &port.number().to_string()])
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            // It complains that it has no configuration file.
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Self { child, port }
    }
}

impl Drop for GoServer {
    fn drop(&mut self) {
        // Both fail if it has ended, which is as well.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
