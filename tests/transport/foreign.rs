//! Programs in other languages as peers: what runs them, and what says that one is not there.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use zinx::ziface::IClient;
use zinx::znet::{WsOptions, new_ws_client_with_options};
use zinx::{Client, Config};

use crate::common::{ECHO, Watchdog};
use crate::greeting::greets;

/// A program that has what a line of it asks for. `None`, with a word, if there is none.
pub(crate) fn program(variable: &str, usual: &str, what: &str, asks: &[&str]) -> Option<String> {
    let program = std::env::var(variable).unwrap_or_else(|_| usual.to_string());
    let asked = Command::new(&program).args(asks).stdout(Stdio::null()).stderr(Stdio::null()).status();
    if asked.is_ok_and(|status| status.success()) {
        return Some(program);
    }
    eprintln!("skipped: {what}, because {program} does not have it");
    None
}

/// Runs a script to its end; it says `over` if all went as it should.
pub(crate) fn run(program: &str, arguments: &[&str]) {
    let said = Command::new(program).args(arguments).output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&said.stdout), String::from_utf8_lossy(&said.stderr));
    assert_eq!(out.trim(), "over", "{err}");
}

/// A server that says its port in its first line. Killed when the test is over.
pub(crate) struct Server {
    child: Child,
    pub(crate) port: u16,
}

impl Server {
    pub(crate) fn start(program: &str, arguments: &[&str]) -> Self {
        let mut child =
            Command::new(program).args(arguments).stdout(Stdio::piped()).spawn().expect("it has just run");
        let mut port = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut port).unwrap();
        Self { port: port.trim().parse().unwrap(), child }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Our client at a server that echoes messages of WebSocket as they are: frames with heads, and texts without.
pub(crate) fn talk_to(server: &Server, mut config: Config) {
    const TEXT: u32 = 2;
    let _watchdog = Watchdog::start(Duration::from_secs(100));
    config.ws_text_msg_id = TEXT;
    let url = format!("ws://127.0.0.1:{}/", server.port);
    let client = new_ws_client_with_options(&url, &WsOptions::new(), config).unwrap();
    let (said, texts) = std::sync::mpsc::channel();
    let said = std::sync::Mutex::new(said);
    let note = move |request: &dyn zinx::ziface::IRequest| {
        said.lock().unwrap().send(request.get_data().to_vec()).unwrap();
        Ok(())
    };
    client.add_router(TEXT, note).unwrap();
    let heard = greets(&client);
    let conn = client.conn().unwrap();
    for len in [0, 1, 117, 118, 4096] {
        conn.send_msg(ECHO, vec![7; len]).unwrap();
        assert_eq!(heard.recv_timeout(Duration::from_secs(20)).unwrap(), vec![7; len]);
    }
    for text in ["", "κόσμε"] {
        conn.send_msg(TEXT, text).unwrap();
        assert_eq!(texts.recv_timeout(Duration::from_secs(20)).unwrap(), text.as_bytes());
    }
    stop(&client);
}

pub(crate) fn stop(client: &Client) {
    client.stop();
    assert!(client.wait_stopped(Duration::from_secs(20)));
}
