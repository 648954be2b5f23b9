//! The commands of the READMEs, run as their reader runs them, and what they are said to print.

#![expect(clippy::disallowed_methods, reason = "tests are plain threads: they block nobody's worker")]

mod common;

use std::path::Path;

use common::{Server, watchdog, zinx};

#[test]
fn the_first_screen_of_the_readme_prints_what_it_says() {
    let _watchdog = watchdog();
    let server = Server::spawn(zinx().env("ZINX_TCPPORT", "0"));
    let printed = || {
        let sent = zinx().args(["send", &server.address, "1", "hello"]).output();
        String::from_utf8(sent.unwrap().stdout).unwrap()
    };
    for readme in ["README.md", "README.zh-CN.md"] {
        let text =
            std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(readme)).unwrap();
        assert!(text.contains("cargo run --release -- send 127.0.0.1:7777 1 hello\n"), "{readme}");
        let (_, said) = text.split_once("```text\n").unwrap();
        let (said, _) = said.split_once("```").unwrap();
        // Behind the first reply 300 ms are waited for the next: on a busy machine that may be too short once.
        let mut last = String::new();
        let is_so = (0..10).any(|_| {
            last = printed();
            last == said
        });
        assert!(is_so, "{readme} says {said:?}, and {last:?} was printed");
    }
    let (code, log) = server.interrupt();
    assert_eq!(code, Some(0), "{log}");
    assert!(log.trim_end().ends_with("ZinxServerApp stopped"), "{log}");
}
