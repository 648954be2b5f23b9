//! A conversation that is cut anywhere and resumed: nothing is lost or doubled, and the order stays.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use zinx::prelude::*;

use super::frame;
use super::phone::{BYE, Cut, Phone, WHOLE, WasCut};
use super::random::Random;
use super::wire::Wire;

pub(crate) const SAY: u32 = 2;
pub(crate) const SAID: u32 = 3;

/// What the server has handled, by connection.
pub(crate) type Heard = Arc<Mutex<HashMap<u64, Vec<u8>>>>;

/// Adds a handler that notes what it hears and says it twice: to who said it, and to the group it is in.
pub(crate) fn add_say(server: &Server, heard: &Heard) {
    let noted = Arc::clone(heard);
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
    server.add_router(SAY, say).unwrap();
}

/// Says four things; the connection is cut as `cuts` say, one after the other, and the last is whole.
pub(crate) fn talk<S: Wire>(mut phone: Phone<S>, heard: &Heard, cuts: &[Cut]) {
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

/// A cut anywhere, or behind all that is said.
pub(crate) fn random_cut(random: &mut Random) -> Cut {
    Cut {
        write: random.below(2 * SAY_BYTES as u64) as usize,
        read: random.below(2 * SAID_BYTES as u64) as usize,
        reset: random.below(2) == 0,
    }
}

const SAYS: u8 = 4;

/// Four heads, and 1 + 2 + 3 + 4 bytes.
pub(crate) const SAY_BYTES: usize = 42;

/// The same, and four times a head and 3 bytes.
pub(crate) const SAID_BYTES: usize = SAY_BYTES + 44;
