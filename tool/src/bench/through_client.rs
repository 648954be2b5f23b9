//! Over every other transport: by the client of the library.

use std::sync::Arc;
use std::time::Instant;

use zinx::green;
use zinx::ziface::{IClient, IConnection, IRequest};
use zinx::znet::new_client_with_url;
use zinx::{Error, Result};

use super::lane::Lane;
use super::{Close, Order};

/// As for TCP.
pub(super) fn connect(order: &Arc<Order>, lane: &Arc<Lane>) -> Result<Close> {
    let client = new_client_with_url(&order.address)?;
    order.pack.set(&client)?;
    let payload: Arc<[u8]> = (0..order.size).map(|at| (at * 7 + 3) as u8).collect();
    let (ours, bytes, id, is_closed_loop) =
        (Arc::clone(lane), Arc::clone(&payload), order.id, order.rate.is_none());
    client.set_not_found(move |request: &dyn IRequest| {
        ours.answered(1);
        if is_closed_loop && !ours.tally.is_over() {
            ours.send(1, Instant::now());
            request.get_connection().send_msg(id, &*bytes)?;
        }
        Ok(())
    })?;
    client.start()?;
    let conn = client.conn().ok_or(Error::ConnectionClosed)?;
    lane.tally.opened();
    let (lane, order, theirs) = (Arc::clone(lane), Arc::clone(order), client.clone());
    green::spawn(move || {
        lane.tally.wait_begun();
        let loaded = load(&*conn, &order, &lane, &payload);
        theirs.wait_stopped(std::time::Duration::MAX);
        lane.tally.closed(|| match (loaded, conn.get_close_reason()) {
            (Err(error), _) => error.to_string(),
            (_, Some(reason)) => reason.to_string(),
            _ => "closed".to_string(),
        });
    });
    Ok(Box::new(move || client.stop()))
}

fn load(conn: &dyn IConnection, order: &Order, lane: &Lane, payload: &[u8]) -> Result<()> {
    let send = |count: usize| (0..count).try_for_each(|_| conn.send_msg(order.id, payload));
    match order.rate {
        Some(_) => lane.keep_pace(send),
        None => {
            lane.send(order.window as usize, Instant::now());
            send(order.window as usize)
        }
    }
}
