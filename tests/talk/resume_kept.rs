//! What is kept for a peer that is away is counted: as held while it is, as unsent if it is never delivered.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use zinx::prelude::*;
use zinx::ziface::CloseReason;

use crate::common::phone::Phone;
use crate::common::{Running, frame, start_alone, wait_until};
use crate::resume::{open, resuming};

const SAID: u32 = 3;
const TAKE: u32 = 4;
const QUESTION: u32 = 100;
/// Has no router.
const UNKNOWN: u32 = 77;
const BAD_COUNT: u8 = 5;
const SOON: Duration = Duration::from_secs(10);

/// A peer that is away.
fn lost(running: &Running) -> (Phone, Arc<dyn IConnection>) {
    let (mut phone, conn) = open(running);
    phone.lose(true);
    wait_until("the loss", || conn.is_away());
    (phone, conn)
}

#[test]
fn what_was_kept_is_unsent_if_raw_bytes_end_the_keeping() {
    let running = start_alone(resuming(), |_| {});
    let (_phone, conn) = lost(&running);
    (0..3).for_each(|_| conn.send_msg(SAID, "kept").unwrap());
    assert_eq!(conn.get_unsent().messages, 0);
    conn.send(frame(SAID, b"raw")).unwrap();
    assert!(conn.wait_closed(SOON).unwrap(), "it cannot be resumed any more");
    let unsent = conn.get_unsent();
    assert_eq!(unsent.messages, 3 + 1, "{unsent:?}");
    let reason = conn.get_close_reason().unwrap();
    assert!(
        matches!(&reason, CloseReason::Failed { error } if error.starts_with("read: ")),
        "as it was lost: {reason}"
    );
    assert_eq!(running.stop().unsent_messages, 3 + 1);
}

#[test]
fn what_is_kept_counts_once_also_after_a_peer_was_refused() {
    let running = start_alone(resuming(), |_| {});
    let (mut phone, conn) = lost(&running);
    (0..20).for_each(|_| conn.send_msg(SAID, vec![7; 3000]).unwrap());
    let before = running.server.stats().held;
    assert!(before.resume >= 50_000 && before.queued == 0, "{before:?}");
    // More than there are.
    phone.inbox.extend((0..=20).map(|_| (SAID, b"never sent".to_vec())));
    assert_eq!(phone.resume_refused(), BAD_COUNT);
    let after = running.server.stats().held;
    assert_eq!((after.resume, after.queued), (before.resume, 0));
    phone.inbox.clear();
    phone.resume();
    (0..20).for_each(|_| assert_eq!(phone.receive(), (SAID, vec![7; 3000])));
}

#[test]
fn a_peer_that_sends_and_does_not_read_has_no_counts_queued() {
    let mut config = resuming();
    config.write_timeout_ms = 0;
    let running = start_alone(config, |_| {});
    let (mut phone, conn) = open(&running);
    // Not a reply, so it is no reason not to read from the peer. Much more than two sockets hold.
    conn.send_msg(SAID, vec![7; 24 << 20]).unwrap();
    let (frames, before) = (100_000, running.server.stats().unknown_ids);
    phone.write(&frame(UNKNOWN, b"").repeat(frames));
    wait_until("all to be read", || running.server.stats().unknown_ids == before + frames);
    assert!(conn.is_alive() && !conn.is_away());
    conn.abort();
    // The large one, and what was queued before it filled the socket.
    let unsent = conn.get_unsent();
    assert!((1..10).contains(&unsent.messages), "{unsent:?}");
}

#[test]
fn a_stream_that_cannot_be_taken_over_while_the_peer_is_away_costs_nothing() {
    let has_tried = Arc::new(AtomicBool::new(false));
    let tries = Arc::clone(&has_tried);
    let running = start_alone(resuming(), |server| {
        let take = move |request: &dyn IRequest| {
            let conn = request.get_connection();
            // Once it has been waited for, a peer that is away has no socket here.
            let policy = Call::new(Duration::from_millis(20)).grace(Duration::ZERO);
            let ask = |reply_id| conn.call_with(QUESTION, "", reply_id, policy);
            let mut reply_id = QUESTION;
            while !conn.is_away() {
                reply_id += 1;
                ask(reply_id).unwrap_err();
            }
            ask(reply_id + 1).unwrap_err();
            let taken = conn.take_over(|_| Ok(()));
            assert!(matches!(taken, Err(Error::ConnectionClosed)), "{taken:?}");
            conn.send_msg(SAID, "kept")?;
            tries.store(true, Ordering::Release);
            Ok(())
        };
        server.add_router(TAKE, take).unwrap();
    });
    let (mut phone, conn) = open(&running);
    phone.send(TAKE, b"");
    assert_eq!(phone.receive().0, QUESTION);
    phone.lose(true);
    wait_until("the handler", || has_tried.load(Ordering::Acquire));
    assert!(conn.is_away());
    phone.resume();
    let said = std::iter::repeat_with(|| phone.receive()).find(|(id, _)| *id != QUESTION);
    assert_eq!(said, Some((SAID, b"kept".to_vec())));
}
