//! The commands that steer a running server.

#![expect(clippy::disallowed_methods, reason = "tests are plain threads")]

#[expect(dead_code, reason = "each test program uses its share")]
mod common;

use std::fs;

use common::{Server, watchdog, zinx};

#[test]
fn a_server_reads_its_configuration_again_and_the_command_says_what_has_changed() {
    let _watchdog = watchdog();
    let folder = std::env::temp_dir().join(format!("zinx-tool-reload-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let file = folder.join("zinx.yaml");
    let write = |text: &str| fs::write(&file, format!("TcpPort: 0\nAdmin: 127.0.0.1:0\n{text}")).unwrap();
    write("MaxConn: 10");
    let server = Server::spawn(zinx().current_dir(&folder));
    let (_, plane) = server.said.split_once("admin plane on http://").expect("it has one");
    let plane = plane.split_whitespace().next().unwrap().to_string();
    let reload = || {
        let done = zinx().args(["reload", "--admin", &plane]).output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (done.status.code(), text(done.stdout), text(done.stderr))
    };
    write("MaxConn: 20\nName: other\nIdleTimeoutMs: 60000");
    let (code, out, err) = reload();
    let lines: Vec<_> = out.lines().skip(1).collect();
    let changes = [
        "MaxConn: 10, now 20, for new connections",
        "IdleTimeoutMs: 0, now 60000",
        "Name: \"ZinxServerApp\" stays, \"other\" needs a restart",
    ];
    assert_eq!((code, lines, err.as_str()), (Some(0), changes.to_vec(), ""), "{out}");
    write("MaxConn: many");
    let (code, out, err) = reload();
    assert!(code == Some(1) && out.is_empty() && err.contains("zinx.yaml:3: MaxConn: found"), "{err}");
    fs::remove_dir_all(&folder).unwrap();
}
