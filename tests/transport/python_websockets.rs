//! The library `websockets` of PyPI as the peer, in both directions. `ZINX_TEST_PYTHON` names a Python that has it.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use zinx::ziface::{IClient, TransportKind};
use zinx::znet::new_client_with_url;

use crate::common::{ECHO, Watchdog, start_alone};
use crate::greeting::greets;
use crate::ws_peer::{address, config};

#[test]
fn its_client_talks_to_our_server() {
    let Some(python) = python() else { return };
    let running = start_alone(config(), |_| {});
    let script = "
import asyncio, struct, sys, websockets
async def main(url):
    async with websockets.connect(url, compression='deflate', max_size=None) as socket:
        assert not socket.protocol.extensions, 'compression was agreed on'
        for size in (0, 1, 117, 118, 4096):
            message = struct.pack('<II', size, 1) + bytes(size)
            await socket.send(message)
            assert await socket.recv() == message, size
        message = struct.pack('<II', 10, 1) + bytes(10)
        await socket.send([message[:5], message[5:9], message[9:]])
        assert await socket.recv() == message, 'in pieces'
        await (await socket.ping(b'there?'))
        await socket.close(4000, 'bye')
        assert socket.close_code == 4000, socket.close_code
    async with websockets.connect(url) as socket:
        await socket.send('text')
        try:
            await socket.recv()
        except websockets.ConnectionClosed as closed:
            assert closed.rcvd.code == 1003, closed
    try:
        await websockets.connect(url + 'elsewhere')
    except websockets.InvalidStatus as refused:
        assert refused.response.status_code == 404
        print('over')
asyncio.run(main(sys.argv[1]))
";
    let url = format!("ws://{}/", address(&running.server, TransportKind::WebSocket));
    let said = Command::new(python).args(["-c", script, &url]).output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&said.stdout), String::from_utf8_lossy(&said.stderr));
    assert_eq!(out.trim(), "over", "{err}");
}

#[test]
fn our_client_talks_to_its_server() {
    let Some(python) = python() else { return };
    let _watchdog = Watchdog::start(Duration::from_secs(100));
    let script = "
import asyncio, websockets
async def echo(socket):
    async for message in socket:
        await socket.send(message)
        await (await socket.ping())
async def main():
    async with websockets.serve(echo, '127.0.0.1', 0) as server:
        print(server.sockets[0].getsockname()[1], flush=True)
        await asyncio.Future()
asyncio.run(main())
";
    let mut server = Killed(
        Command::new(python).args(["-c", script]).stdout(Stdio::piped()).spawn().expect("it has just run"),
    );
    let mut port = String::new();
    BufReader::new(server.0.stdout.take().unwrap()).read_line(&mut port).unwrap();
    let client = new_client_with_url(&format!("ws://127.0.0.1:{}/", port.trim())).unwrap();
    let heard = greets(&client);
    let conn = client.conn().unwrap();
    for len in [0, 1, 117, 118, 4096] {
        conn.send_msg(ECHO, vec![7; len]).unwrap();
        assert_eq!(heard.recv_timeout(Duration::from_secs(20)).unwrap(), vec![7; len]);
    }
    client.stop();
    assert!(client.wait_stopped(Duration::from_secs(20)));
}

/// Killed when the test is over.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A Python that has the library.
fn python() -> Option<String> {
    let python = std::env::var("ZINX_TEST_PYTHON").unwrap_or_else(|_| "python3".to_string());
    let has_it = Command::new(&python).args(["-c", "import websockets"]).stderr(Stdio::null()).status();
    if has_it.is_ok_and(|status| status.success()) {
        return Some(python);
    }
    eprintln!("skipped: websockets of PyPI, because {python} does not have it");
    None
}
