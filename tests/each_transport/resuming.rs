//! A peer that loses its connection anywhere comes back to it: nothing is lost or doubled, and the order stays.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use zinx::prelude::*;
use zinx::ziface::{CloseReason, TransportKind};

use crate::common::phone::{BYE, Cut, Phone, WHOLE, WasCut};
use crate::common::random::{Random, with_seeds};
use crate::common::{ECHO, frame, wait_until};
use crate::served::{Served, start_alone_with};
use crate::wires::AnyWire;

const SAY: u32 = 2;
const SAID: u32 = 3;
const SOON: Duration = Duration::from_secs(20);

/// What the server has handled, by connection.
type Heard = Arc<Mutex<std::collections::HashMap<u64, Vec<u8>>>>;

/// A server that notes what it hears and says it twice: to who said it, and to the group it is in.
fn serve(kind: TransportKind) -> (Served, Heard) {
    let heard = Heard::default();
    let noted = Arc::clone(&heard);
    let say = move |request: &dyn IRequest| {
        let conn = request.get_connection();
        let n = request.get_data()[0];
        noted.lock().unwrap().entry(conn.get_conn_id()).or_default().push(n);
        let group = format!("group of {}", conn.get_conn_id());
        conn.join_group(&group)?;
        conn.send_msg(SAID, request.get_data())?;
        conn.get_group(&group).broadcast(SAID, vec![n; 3])?;
        Ok(())
    };
    let resume = |config: &mut Config| config.resume_ms = 30_000;
    (start_alone_with(kind, resume, |server| server.add_router(SAY, say).unwrap()), heard)
}

/// Says four things; the connection is cut as `cuts` say, one after the other, and the last is whole.
fn talk(served: &Served, heard: &Heard, cuts: &[Cut]) {
    let mut phone = served.phone();
    let said: Vec<Vec<u8>> = (1..=SAYS).map(|n| vec![n; usize::from(n)]).collect();
    said.iter().for_each(|data| phone.note(SAY, data));
    let all: Vec<u8> = said.iter().flat_map(|data| frame(SAY, data)).collect();
    let count = 2 * said.len();
    let mut cuts = cuts.iter().copied();
    let mut outcome = phone.talk(&all, count, cuts.next().unwrap_or(WHOLE));
    while let Err(WasCut) = outcome {
        let cut = cuts.next().unwrap_or(WHOLE);
        outcome = phone.resume_cut(cut).and_then(|()| phone.talk(&[], count, cut));
    }
    let replies: Vec<_> =
        said.iter().flat_map(|data| [(SAID, data.clone()), (SAID, vec![data[0]; 3])]).collect();
    assert_eq!(phone.inbox, replies);
    let conn_id = u64::from_le_bytes(phone.token[..8].try_into().unwrap());
    assert_eq!(heard.lock().unwrap()[&conn_id], (1..=SAYS).collect::<Vec<_>>());
    // It does not come back: nothing waits for it.
    phone.write(&frame(BYE, b""));
}

pub(crate) fn nothing_is_lost_if_it_is_cut_after_any_byte_written(kind: TransportKind) {
    let (served, heard) = serve(kind);
    for write in 0..SAY_BYTES {
        talk(&served, &heard, &[Cut { write, reset: write % 2 == 0, ..WHOLE }]);
    }
    check(served, SAY_BYTES);
}

pub(crate) fn nothing_is_lost_if_it_is_cut_after_any_byte_read(kind: TransportKind) {
    let (served, heard) = serve(kind);
    for read in 0..SAID_BYTES {
        talk(&served, &heard, &[Cut { read, reset: read % 2 == 0, ..WHOLE }]);
    }
    check(served, SAID_BYTES);
}

pub(crate) fn nothing_is_lost_if_it_is_cut_again_and_again(kind: TransportKind) {
    let (served, heard) = serve(kind);
    with_seeds(30, |seed| {
        let mut random = Random::new(seed);
        let cut = |random: &mut Random| Cut {
            write: random.below(2 * SAY_BYTES as u64) as usize,
            read: random.below(2 * SAID_BYTES as u64) as usize,
            reset: random.below(2) == 0,
        };
        let cuts: Vec<_> = (0..1 + random.below(5)).map(|_| cut(&mut random)).collect();
        talk(&served, &heard, &cuts);
    });
    check(served, 10);
}

/// Each run has been resumed at least once. (Why one is refused, the phone looks at.)
fn check(served: Served, runs: usize) {
    let stats = served.stop();
    assert!(stats.resumed >= runs, "{runs}: {stats:?}");
}

fn open(served: &Served) -> (Phone<AnyWire>, Arc<dyn IConnection>) {
    let phone = served.phone();
    let conn = served.conn(phone.stream.addr());
    (phone, conn)
}

pub(crate) fn what_was_sent_while_it_was_away_comes_and_hooks_run_once(kind: TransportKind) {
    let (served, _) = serve(kind);
    let (mut phone, conn) = open(&served);
    let before = conn.get_remote_addr();
    phone.lose(false);
    wait_until("the loss", || conn.is_away());
    conn.send_msg(SAID, "while away").unwrap();
    phone.resume();
    assert_eq!(phone.receive(), (SAID, b"while away".to_vec()));
    assert!(!conn.is_away() && conn.get_transport() == kind);
    assert_eq!(conn.get_remote_addr(), phone.stream.addr());
    assert_ne!(conn.get_remote_addr(), before);
    // It comes back also before the server has noticed that it is gone.
    phone.stream = served.connect().stream;
    phone.resume();
    phone.send(ECHO, b"on");
    assert_eq!(phone.receive(), (ECHO, b"on".to_vec()));
    phone.write(&frame(BYE, b""));
    phone.lose(false);
    assert!(conn.wait_closed(SOON).unwrap());
    assert_eq!((conn.get_close_reason(), served.stop_hooks(before)), (Some(CloseReason::PeerClosed), 0));
    let stats = served.stop();
    assert_eq!((stats.resumed, stats.start_hooks, stats.stop_hooks), (2, 4, 4));
}

pub(crate) fn a_peer_that_comes_too_late_is_refused(kind: TransportKind) {
    let resume = |config: &mut Config| config.resume_ms = 50;
    let served = start_alone_with(kind, resume, |_| {});
    let (mut phone, conn) = open(&served);
    phone.lose(false);
    assert!(conn.wait_closed(SOON).unwrap());
    assert_eq!(conn.get_close_reason(), Some(CloseReason::PeerClosed));
    assert_eq!(phone.resume_refused(), GONE);
}

/// By number, as on the wire.
const GONE: u8 = 3;

const SAYS: u8 = 4;

/// Four heads, and 1 + 2 + 3 + 4 bytes.
const SAY_BYTES: usize = 42;

/// The same, and four times a head and 3 bytes.
const SAID_BYTES: usize = SAY_BYTES + 44;
