//! Starts that fail: what a user is told, and the exit code.

use std::net::TcpListener;

use crate::common::process::{Process, SLACK, hook_command};

#[test]
fn port_in_use_is_one_line_and_exit_code_1() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let server =
        Process::spawn(hook_command().env("ZINX_TCPPORT", address.port().to_string()).env("RUST_LOG", "off"));
    let ended = server.end_within(SLACK);
    assert_eq!(ended.status.code(), Some(1));
    assert_eq!(ended.stderr.lines().count(), 1, "{}", ended.stderr);
    assert!(ended.stderr.contains(&address.to_string()), "{}", ended.stderr);
}

#[test]
fn bad_configuration_names_file_line_key_and_what_was_expected() {
    let file = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("signals-bad-zinx.yaml");
    std::fs::write(&file, "Name: fine\nTcpPort: 0\nMaxConn: many\nDrainMs: -1\n").unwrap();
    let server = Process::spawn(hook_command().env("ZINX_CONFIG_FILE_PATH", &file).env("RUST_LOG", "off"));
    let ended = server.end_within(SLACK);
    assert_eq!(ended.status.code(), Some(2), "{}", ended.stderr);
    let lines: Vec<_> = ended.stderr.lines().collect();
    assert_eq!(lines.len(), 2, "{lines:?}");
    let file = file.display();
    assert!(lines[0].starts_with(&format!("{file}:3: MaxConn: ")), "{}", lines[0]);
    assert!(lines[0].contains("many") && lines[0].contains("expected a whole number"), "{}", lines[0]);
    assert!(lines[1].starts_with(&format!("{file}:4: DrainMs: ")), "{}", lines[1]);
    assert!(lines[1].contains("-1") && lines[1].contains("expected"), "{}", lines[1]);
}
