//! Code of the program that panics, and how its connection is to end.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use zinx::green;
use zinx::prelude::*;
use zinx::zasync_op::AsyncOpResult;
use zinx::ziface::{Decoded, Head, HeartBeatDirection, HeartBeatOption};
use zinx::znet::IdleAction;
use zinx::zpack::new_ltv_little_decoder;

use super::bad::{BadDecoder, BadPack, Bomb, Explosive, Unspeakable};
use crate::common::{Peer, frame};

/// Logs in, joins a group, adds a close callback.
pub(super) const ENTER: u32 = 2;
/// Lets the code of a case run.
pub(super) const BAD: u32 = 66;
pub(super) const ANSWER: u32 = 67;

pub(super) const LONG: Duration = Duration::from_secs(20);

/// What panics, what the server is told before its start, what its peer does once it has entered, and what the reason to
/// close says; empty if the connection stays open.
pub(super) struct Case(
    pub(super) &'static str,
    pub(super) fn(&Server),
    pub(super) fn(&mut Peer),
    pub(super) &'static str,
);

pub(super) fn send_bad(peer: &mut Peer) {
    peer.send(&frame(BAD, b""));
}

fn answer_badly(peer: &mut Peer) {
    send_bad(peer);
    assert_eq!(peer.read_frame().0, BAD);
    peer.send(&frame(ANSWER, b""));
}

fn does_nothing(_: &mut Peer) {}

/// Lets the router of [`BAD`] do this.
pub(super) fn on_bad(
    server: &Server,
    handle: impl Fn(&Arc<dyn IConnection>) -> Result<()> + Send + Sync + 'static,
) {
    server.add_router(BAD, move |request: &dyn IRequest| handle(request.get_connection())).unwrap();
}

fn unpacks(server: &Server, unpack: fn() -> Result<Head>) {
    server.set_packet(BadPack { unpack, pack: || Ok(()) }).unwrap();
}

/// Packs badly what the handler does.
fn packs(server: &Server, handle: impl Fn(&Arc<dyn IConnection>) -> Result<()> + Send + Sync + 'static) {
    let unpack = || Ok(Head { msg_id: BAD, data_len: 0 });
    server.set_packet(BadPack { unpack, pack: || panic!("on purpose") }).unwrap();
    on_bad(server, handle);
}

fn decodes(server: &Server, frame_len: fn() -> Result<Option<usize>>, decode: fn() -> Result<Decoded>) {
    server.set_decoder(BadDecoder { classic: new_ltv_little_decoder(4096), frame_len, decode }).unwrap();
}

fn call_badly(server: &Server, on_its_own: bool) {
    server.set_call_sequence(|_| panic!("on purpose")).unwrap();
    on_bad(server, move |conn| {
        let theirs = Arc::clone(conn);
        let call = move || theirs.call(BAD, "", ANSWER, LONG).map(drop);
        if on_its_own {
            return call();
        }
        green::spawn(call);
        Ok(())
    });
}

/// Intercepts messages of one id.
fn intercepts(server: &Server, intercept: fn() -> Result<()>) {
    let router = move |chain: &dyn IChain| {
        let request = chain.request();
        if request.get_msg_id() == BAD { intercept() } else { chain.proceed(request) }
    };
    server.add_interceptor(router).unwrap();
}

pub(super) const CASES: [Case; 34] = [
    Case(
        "unpack",
        |server| unpacks(server, || panic!("on purpose")),
        send_bad,
        "the wire format panicked: on purpose",
    ),
    Case(
        "the error of unpack",
        |server| unpacks(server, || Err(Error::other(Unspeakable))),
        send_bad,
        "the wire format panicked: on purpose, in display",
    ),
    Case(
        "pack",
        |server| packs(server, |conn| conn.send_msg(ANSWER, "")),
        send_bad,
        "the wire format panicked",
    ),
    Case(
        "pack, ignored",
        |server| packs(server, |conn| conn.send_msg(ANSWER, vec![7; 100_000]).or(Ok(()))),
        send_bad,
        "the wire format panicked",
    ),
    Case(
        "pack, in another coroutine",
        |server| {
            packs(server, |conn| {
                let theirs = Arc::clone(conn);
                green::spawn(move || theirs.send_msg(ANSWER, ""));
                Ok(())
            });
        },
        send_bad,
        "the wire format panicked",
    ),
    Case(
        "pack, of a question",
        |server| packs(server, |conn| conn.call(ANSWER, "", BAD, LONG).map(drop)),
        send_bad,
        "the wire format panicked",
    ),
    Case(
        "pack, of a broadcast",
        |server| packs(server, |conn| conn.get_group("room").broadcast(ANSWER, "").map(drop)),
        send_bad,
        "",
    ),
    Case(
        "the decoder's length",
        |server| decodes(server, || panic!("on purpose"), || Ok(Decoded::default())),
        send_bad,
        "the decoder panicked: on purpose",
    ),
    Case(
        "the decoder",
        |server| decodes(server, || Ok(Some(8)), || panic!("on purpose")),
        send_bad,
        "the decoder panicked: on purpose",
    ),
    Case(
        "the decoder's error",
        |server| decodes(server, || Ok(Some(8)), || Err(Error::other(Unspeakable))),
        send_bad,
        "the decoder panicked: on purpose, in display",
    ),
    Case(
        "a value of the decoder",
        |server| {
            decodes(server, || Ok(Some(8)), || Ok(Decoded::new(BAD, "").with_value(Bomb)));
            on_bad(server, |_| Ok(()));
        },
        send_bad,
        "",
    ),
    Case(
        "values of the decoder that are dropped together",
        |server| {
            decodes(server, || Ok(Some(8)), || Ok(Decoded::new(BAD, "").with_value(Bomb)));
            on_bad(server, |conn| {
                // The other two are kept meanwhile.
                let asked = conn.call(BAD, "", ANSWER, LONG / 400);
                conn.abort();
                asked.map(drop)
            });
        },
        |peer| peer.send(&frame(BAD, b"").repeat(3)),
        "aborted",
    ),
    Case(
        "the sequence function",
        |server| call_badly(server, true),
        answer_badly,
        "the sequence function panicked",
    ),
    Case(
        "the sequence function, for another coroutine",
        |server| call_badly(server, false),
        answer_badly,
        "the sequence function panicked",
    ),
    Case(
        "a handler",
        |server| on_bad(server, |_| panic!("on purpose")),
        send_bad,
        "the handler of message id 66",
    ),
    Case(
        "a handler, with a bomb",
        |server| on_bad(server, |_| std::panic::panic_any(Bomb)),
        send_bad,
        "the handler of message id 66",
    ),
    Case(
        "a handler's error",
        |server| on_bad(server, |_| Err(Error::other(Unspeakable))),
        send_bad,
        "the handler of message id 66",
    ),
    Case(
        "a handler's error, dropped",
        |server| on_bad(server, |_| Err(Error::other(Explosive(Bomb)))),
        send_bad,
        "the handler of message id 66",
    ),
    Case(
        "the name of a user",
        |server| on_bad(server, |conn| conn.login(Unspeakable, OnDuplicate::Multi)),
        send_bad,
        "the handler of message id 66",
    ),
    Case(
        "the filter of a broadcast",
        |server| {
            on_bad(server, |conn| {
                conn.get_group("room").broadcast_if(ANSWER, "", |_| panic!("on purpose")).map(drop)
            });
        },
        send_bad,
        "the handler of message id 66",
    ),
    Case(
        "the talk on a raw stream",
        |server| on_bad(server, |conn| conn.take_over(|_| panic!("on purpose"))),
        send_bad,
        "the handler of message id 66",
    ),
    Case("an interceptor", |server| intercepts(server, || panic!("on purpose")), send_bad, "id 66"),
    Case("its error", |server| intercepts(server, || Err(Error::other(Unspeakable))), send_bad, "id 66"),
    Case(
        "the values of a request",
        |server| {
            let keep = |request: &dyn IRequest| {
                request.set("one", Arc::new(Bomb));
                request.set("two", Arc::new(Bomb));
                request.set_response(Arc::new(Bomb));
                Ok(())
            };
            server.add_router(BAD, keep).unwrap();
        },
        send_bad,
        "",
    ),
    Case(
        "the result of an operation",
        |server| {
            on_bad(server, |conn| {
                let result = AsyncOpResult::new(conn);
                result.set_returned_obj(7);
                result.on_complete(|_| panic!("on purpose"));
                Ok(())
            });
        },
        send_bad,
        "the handler of message id 0",
    ),
    Case(
        "a large payload",
        |server| {
            struct Owner([u8; 20_000], Bomb);
            impl AsRef<[u8]> for Owner {
                fn as_ref(&self) -> &[u8] {
                    &self.0
                }
            }
            on_bad(server, |conn| conn.send_msg(ANSWER, Bytes::from_owner(Owner([7; 20_000], Bomb))));
        },
        |peer| {
            send_bad(peer);
            assert_eq!(peer.read_frame().1.len(), 20_000);
        },
        "",
    ),
    Case(
        "properties",
        |server| {
            on_bad(server, |conn| {
                conn.set_property("one", Arc::new(Bomb));
                conn.set_property("two", Arc::new(Bomb));
                Ok(())
            });
        },
        send_bad,
        "",
    ),
    Case(
        "close callbacks",
        |server| {
            on_bad(server, |conn| {
                conn.add_close_callback("test", "one", || panic!("on purpose"))?;
                let bomb = Bomb;
                conn.add_close_callback("test", "two", move || drop(bomb))
            });
        },
        send_bad,
        "",
    ),
    Case(
        "the idle hook",
        |server| {
            server
                .set_on_idle(|conn| if conn.is_logged_in() { panic!("on purpose") } else { IdleAction::Keep })
        },
        does_nothing,
        "nothing received within IdleTimeoutMs",
    ),
    Case(
        "the hook for silent peers",
        |server| {
            let hook =
                |conn: &Arc<dyn IConnection>| if conn.is_logged_in() { panic!("on purpose") } else { Ok(()) };
            let option = HeartBeatOption::new().direction(HeartBeatDirection::WatchOnly).misses(1);
            server.start_heart_beat_with_option(LONG / 200, option.on_remote_not_alive(hook)).unwrap();
        },
        does_nothing,
        "",
    ),
    Case(
        "the heartbeat",
        |server| {
            let beat =
                |conn: &Arc<dyn IConnection>| if conn.is_logged_in() { panic!("on purpose") } else { Ok(()) };
            let option = HeartBeatOption::new().direction(HeartBeatDirection::SendOnly);
            server.start_heart_beat_with_option(LONG / 200, option.heart_beat_func(beat)).unwrap();
        },
        does_nothing,
        "",
    ),
    Case(
        "the error of the heartbeat",
        |server| {
            let beat = |conn: &Arc<dyn IConnection>| match conn.is_logged_in() {
                true => Err(Error::other(Unspeakable)),
                false => Ok(()),
            };
            let option = HeartBeatOption::new().direction(HeartBeatDirection::SendOnly);
            server.start_heart_beat_with_option(LONG / 200, option.heart_beat_func(beat)).unwrap();
        },
        does_nothing,
        "",
    ),
    Case(
        "the error of a dialogue",
        |server| {
            let dialogue = |s: &mut Session| {
                s.recv_id(BAD)?;
                Err(Error::other(Unspeakable))
            };
            server.on_session(dialogue).unwrap();
        },
        send_bad,
        "the session failed: panicked: on purpose, in display",
    ),
    Case(
        "a dialogue",
        |server| {
            let dialogue = |s: &mut Session| {
                s.recv_id(BAD)?;
                panic!("on purpose")
            };
            server.on_session(dialogue).unwrap();
        },
        send_bad,
        "the session failed: panicked: on purpose",
    ),
];
