//! Messages of WebSocket that are messages of the program as they are: texts, and binary ones if the program wants them so.

use std::time::Duration;

use tungstenite::protocol::frame::coding::{Data, OpCode};
use tungstenite::protocol::frame::{Frame, FrameHeader};
use tungstenite::{Message, Utf8Bytes};
use zinx::Config;
use zinx::ziface::{CloseReason, IClient, IServer, TransportKind};
use zinx::znet::{WsOptions, new_ws_client_with_options};
use zinx::zpack::new_delimiter_decoder;

use crate::common::in_time::in_time;
use crate::common::{ECHO, Running, pattern, start_alone, wait_until};
use crate::greeting::hears;
use crate::ws_peer::{WsPeer, address, config};

const BINARY: u32 = 2;

fn text_config() -> Config {
    let mut config = config();
    (config.ws_text_msg_id, config.ws_binary_msg_id) = (ECHO, BINARY);
    config
}

fn echo_texts(config: Config) -> Running {
    start_alone(config, |server| {
        let echo = |request: &dyn zinx::ziface::IRequest| {
            request.get_connection().send_msg(BINARY, request.get_data())
        };
        server.add_router(BINARY, echo).unwrap();
    })
}

fn send_in_frames(peer: &mut WsPeer, kind: Data, parts: &[&[u8]]) {
    for (n, part) in parts.iter().enumerate() {
        let opcode = OpCode::Data(if n == 0 { kind } else { Data::Continue });
        let is_final = n + 1 == parts.len();
        let head = FrameHeader { opcode, is_final, mask: Some([1, 2, 3, 4]), ..FrameHeader::default() };
        peer.socket.send(Message::Frame(Frame::from_payload(head, part.to_vec().into()))).unwrap();
    }
}

#[test]
fn a_text_is_a_message_and_its_answer_a_text() {
    let running = echo_texts(text_config());
    let mut peer = WsPeer::connect(&running);
    for text in ["", "hello", "κόσμε", &"long ".repeat(800)] {
        peer.socket.send(Message::Text(text.into())).unwrap();
        assert_eq!(peer.socket.read().unwrap(), Message::Text(text.into()));
    }
    for len in [0, 1, 125, 4096] {
        peer.send(&pattern(len));
        assert!(peer.read() == pattern(len));
    }
}

#[test]
fn a_text_in_pieces_is_one_message_whatever_comes_between_them() {
    let running = echo_texts(text_config());
    let mut peer = WsPeer::connect(&running);
    let text = "Hello-µ@ßöäüàá-UTF-8!!".as_bytes();
    for at in 0..=text.len() {
        send_in_frames(&mut peer, Data::Text, &[&text[..at], b"", &text[at..]]);
    }
    for _ in 0..=text.len() {
        let echo = peer.socket.read().unwrap();
        assert_eq!(echo, Message::Text(Utf8Bytes::try_from(text.to_vec()).unwrap()));
    }
    // Many at once, of both kinds, in order.
    for n in 0..300_u32 {
        peer.socket.write(Message::Text(n.to_string().into())).unwrap();
        peer.socket.write(Message::Binary(n.to_le_bytes().to_vec().into())).unwrap();
    }
    peer.socket.flush().unwrap();
    for n in 0..300_u32 {
        assert_eq!(peer.socket.read().unwrap(), Message::Text(n.to_string().into()));
        assert_eq!(peer.read(), n.to_le_bytes());
    }
}

/// Also if what shows it is a frame that is not the last, and after messages that are answered.
#[test]
fn a_text_that_is_no_utf8_ends_the_connection_at_once() {
    let running = echo_texts(text_config());
    let cases: [&[&[u8]]; 5] =
        [&[b"a\xff"], &[b"a\xff", b"b"], &[b"\xce"], &[b"\xce", b""], &[b"\xf4", b"\x90"]];
    for parts in cases {
        let mut peer = WsPeer::connect(&running);
        peer.socket.send(Message::Text("before".into())).unwrap();
        send_in_frames(&mut peer, Data::Text, parts);
        assert_eq!(peer.socket.read().unwrap(), Message::Text("before".into()));
        assert_eq!(peer.read_close(), 1007, "{parts:x?}");
        let reason = running.close_reason(peer.addr());
        assert!(matches!(&reason, CloseReason::Failed { error } if error.contains("UTF-8")), "{reason:?}");
    }
}

#[test]
fn a_text_that_is_too_large_is_told_so_before_it_comes() {
    let running = echo_texts(text_config());
    for parts in [&[&pattern(5000)[..]][..], &[&pattern(3000), &pattern(2000), b""]] {
        let mut peer = WsPeer::connect(&running);
        send_in_frames(&mut peer, Data::Binary, parts);
        assert_eq!(peer.read_close(), 1009);
        let reason = running.close_reason(peer.addr());
        assert_eq!(reason, CloseReason::PacketTooLarge { len: 5000, max: 4096 });
    }
}

/// As a frame with a head that does not come to its end.
#[test]
fn a_text_that_never_ends_is_given_up_and_counted_meanwhile() {
    let mut config = text_config();
    (config.max_packet_size, config.frame_timeout_ms) = (1 << 20, 2000);
    let running = echo_texts(config);
    let arriving = || running.server.stats().held.arriving;
    // On a busy machine it may be given up before anybody has looked.
    in_time(|| {
        let mut peer = WsPeer::connect(&running);
        // Also in the middle of it.
        begin_text(&mut peer, &[b'a'; 300_000]);
        let mut are_counted = false;
        wait_until("its bytes to count", || {
            are_counted = arriving() >= 290_000;
            are_counted || running.stop_hooks(peer.addr()) > 0
        });
        assert_eq!(running.close_reason(peer.addr()), CloseReason::FrameTimeout);
        wait_until("its bytes to be given back", || arriving() == 0);
        are_counted.then_some(())
    });
}

#[test]
fn a_peer_that_vanishes_within_a_text_is_told_apart() {
    let running = echo_texts(text_config());
    let mut peer = WsPeer::connect(&running);
    peer.socket.send(Message::Text("whole".into())).unwrap();
    assert_eq!(peer.socket.read().unwrap(), Message::Text("whole".into()));
    assert!(begin_text(&mut peer, &[b'a'; 9]));
    let addr = peer.addr();
    drop(peer);
    assert_eq!(running.close_reason(addr), CloseReason::PeerClosedInFrame { received: 9 });
}

/// A text that goes on in another frame. Whether all of this one has left.
fn begin_text(peer: &mut WsPeer, part: &[u8]) -> bool {
    let (opcode, mask) = (OpCode::Data(Data::Text), Some([0; 4]));
    let head = FrameHeader { opcode, is_final: false, mask, ..FrameHeader::default() };
    peer.socket.send(Message::Frame(Frame::from_payload(head, part.to_vec().into()))).is_ok()
}

#[test]
fn our_client_speaks_texts_too() {
    let running = echo_texts(text_config());
    let url = format!("ws://{}/", address(&running.server, TransportKind::WebSocket));
    let client = new_ws_client_with_options(&url, &WsOptions::new(), text_config()).unwrap();
    let heard = hears(&client);
    client.start().unwrap();
    client.conn().unwrap().send_msg(ECHO, "a text").unwrap();
    assert_eq!(heard.recv_timeout(Duration::from_secs(20)).unwrap(), b"a text");
    client.stop();
    assert!(client.wait_stopped(Duration::from_secs(20)));
}

#[test]
fn a_server_whose_format_has_no_room_for_bare_messages_does_not_start() {
    let mut same = text_config();
    same.ws_binary_msg_id = ECHO;
    let server = zinx::new_server_with_config(same).unwrap();
    assert!(server.start().unwrap_err().to_string().contains("WsBinaryMsgId"));
    let server = zinx::new_server_with_config(text_config()).unwrap();
    server.set_decoder(new_delimiter_decoder("\n", 100, ECHO).unwrap()).unwrap();
    assert!(server.start().unwrap_err().to_string().contains("decoder"));
}
