//! The library `ws` of npm as the peer, in both directions. `NODE_PATH` names a folder in which `node` finds it.

use zinx::ziface::TransportKind;

use crate::common::{self, start_alone};
use crate::foreign::{Server, program, run, talk_to};
use crate::ws_peer::{address, config};

#[test]
fn its_client_talks_to_our_server() {
    let Some(node) = node() else { return };
    let mut config = config();
    config.ws_text_msg_id = 2;
    let echo = |request: &dyn zinx::ziface::IRequest| {
        request.get_connection().send_msg(request.get_msg_id(), request.get_data())
    };
    let running = start_alone(config, |server| server.add_router(2, echo).unwrap());
    let script = "
const { once } = require('events'), assert = require('assert'), WebSocket = require('ws');
const frame = (size) => {
    const bytes = Buffer.alloc(8 + size, 7);
    bytes.writeUInt32LE(size, 0), bytes.writeUInt32LE(1, 4);
    return bytes;
};
(async () => {
    const url = process.argv[1], socket = new WebSocket(url, { perMessageDeflate: true });
    await once(socket, 'open');
    assert.equal(socket.extensions, '');
    const echoed = async (expected, isBinary) => {
        const [data, binary] = await once(socket, 'message');
        assert.ok(binary === isBinary && Buffer.compare(data, Buffer.from(expected)) === 0);
    };
    for (const size of [0, 1, 117, 118, 4096]) {
        socket.send(frame(size));
        await echoed(frame(size), true);
    }
    for (const text of ['', 'hello', 'κόσμε']) {
        socket.send(text);
        await echoed(text, false);
    }
    socket.send('in ', { fin: false }), socket.send('pieces', { fin: true });
    await echoed('in pieces', false);
    socket.ping('there?');
    assert.equal(String((await once(socket, 'pong'))[0]), 'there?');
    socket.close(4000, 'bye');
    assert.equal((await once(socket, 'close'))[0], 4000);
    const refused = new WebSocket(url + 'elsewhere');
    const [error] = await once(refused, 'error');
    assert.match(error.message, /404/);
    console.log('over');
})().catch((error) => { console.error(error); process.exit(1); });
";
    run(&node, &["-e", script, &format!("ws://{}/", address(&running.server, TransportKind::WebSocket))]);
}

#[test]
fn our_client_talks_to_its_server() {
    let Some(node) = node() else { return };
    let script = "
const { WebSocketServer } = require('ws');
const server = new WebSocketServer({ host: '127.0.0.1', port: 0, perMessageDeflate: true }, () =>
    console.log(server.address().port));
server.on('connection', (socket) =>
    socket.on('message', (data, binary) => { socket.send(data, { binary }); socket.ping(); }));
";
    talk_to(&Server::start(&node, &["-e", script]), common::config());
}

/// A Node.js that has the library.
fn node() -> Option<String> {
    program("ZINX_TEST_NODE", "node", "ws of npm", &["-e", "require('ws')"])
}
