//! The library `websockets` of PyPI as the peer, in both directions. `ZINX_TEST_PYTHON` names a Python that has it.

use zinx::ziface::TransportKind;

use crate::common::{self, ECHO, start_alone};
use crate::foreign::{Server, program, run, talk_to};
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
    run(&python, &["-c", script, &format!("ws://{}/", address(&running.server, TransportKind::WebSocket))]);
}

#[test]
fn its_client_sends_texts_to_our_server() {
    let Some(python) = python() else { return };
    let mut config = config();
    config.ws_text_msg_id = ECHO;
    let running = start_alone(config, |_| {});
    let script = "
import asyncio, sys, websockets
async def main(url):
    async with websockets.connect(url) as socket:
        for text in ('', 'hello', 'κόσμε', 'x' * 4096):
            await socket.send(text)
            assert await socket.recv() == text, text
        await socket.send(['in ', 'pieces'])
        assert await socket.recv() == 'in pieces'
        print('over')
asyncio.run(main(sys.argv[1]))
";
    run(&python, &["-c", script, &format!("ws://{}/", address(&running.server, TransportKind::WebSocket))]);
}

#[test]
fn our_client_talks_to_its_server() {
    let Some(python) = python() else { return };
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
    talk_to(&Server::start(&python, &["-c", script]), common::config());
}

/// A Python that has the library.
fn python() -> Option<String> {
    program("ZINX_TEST_PYTHON", "python3", "websockets of PyPI", &["-c", "import websockets"])
}
