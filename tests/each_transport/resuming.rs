//! A peer that loses its connection anywhere comes back to it: nothing is lost or doubled, and the order stays.

use std::sync::Arc;
use std::time::Duration;

use zinx::prelude::*;
use zinx::ziface::{CloseReason, TransportKind};

use crate::common::phone::{BYE, Cut, Phone, WHOLE};
use crate::common::random::{Random, with_seeds};
use crate::common::saying::{self, Heard, SAID, SAID_BYTES, SAY_BYTES, add_say, random_cut};
use crate::common::{ECHO, frame, wait_until};
use crate::served::{Served, start_alone_with};
use crate::wires::AnyWire;

const SOON: Duration = Duration::from_secs(20);

fn serve(kind: TransportKind) -> (Served, Heard) {
    let heard = Heard::default();
    let resume = |config: &mut Config| config.resume_ms = 30_000;
    (start_alone_with(kind, resume, |server| add_say(server, &heard)), heard)
}

fn talk(served: &Served, heard: &Heard, cuts: &[Cut]) {
    saying::talk(served.phone(), heard, cuts);
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
        let cuts: Vec<_> = (0..1 + random.below(5)).map(|_| random_cut(&mut random)).collect();
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
