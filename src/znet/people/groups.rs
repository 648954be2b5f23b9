//! Groups: connections by a name, to send to all of them.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;

use crate::error::Result;
use crate::green::fairness_point;
use crate::ziface::{IConnection, Payload, SendWait};
use crate::znet::conn::connection::Connection;
use crate::znet::server::core::Core;
use crate::znet::server::server::Server;
use crate::znet::write::frame_queue::SHARED_FROM;
use crate::znet::write::ledger::{Kind, Share};
use crate::znet::write::outbox::State;
use crate::zpack::new_message;

impl Server {
    /// The group of this name, with or without members.
    pub fn get_group(&self, name: &str) -> Group {
        Group::of(self.core(), name)
    }

    /// The names of all groups that have members, in no order.
    pub fn get_groups(&self) -> Vec<Arc<str>> {
        self.core().talk().groups.lock().keys().cloned().collect()
    }
}

impl dyn IConnection {
    /// Makes the connection a member of a group, until it [leaves](#method.leave_group) or is closed; the stop hook
    /// still finds it there. Joining twice is the same as once.
    ///
    /// # Errors
    ///
    /// [`ConnectionClosed`](crate::Error::ConnectionClosed) after the stop hook;
    /// [`TooManyGroups`](crate::Error::TooManyGroups) if it is in `MaxGroupsPerConn` others.
    ///
    /// # Examples
    ///
    /// ```
    /// use zinx::prelude::*;
    ///
    /// fn say(request: &dyn IRequest) -> zinx::Result<()> {
    ///     let conn = request.get_connection();
    ///     conn.join_group("lobby")?;
    ///     conn.get_group("lobby").broadcast_except(conn.get_conn_id(), 2, request.get_data())?;
    ///     Ok(())
    /// }
    /// ```
    pub fn join_group(&self, name: &str) -> Result<()> {
        let conn = self.connection();
        // One lock within the other, so that a connection that closes leaves whatever it has joined.
        let max = conn.core().config().max_groups_per_conn;
        conn.membership()
            .change(|places| places.join(name, max, || conn.core().talk().groups.add(name, conn.arc())))??;
        conn.note_standing();
        Ok(())
    }

    /// Ends the membership. `false` if there was none.
    pub fn leave_group(&self, name: &str) -> bool {
        let conn = self.connection();
        // One lock within the other, so that whoever joins meanwhile is not taken out again.
        let leave = conn.membership().change(|places| {
            let left = places.leave(name);
            if left {
                conn.core().talk().groups.remove(name, conn.id());
            }
            left
        });
        let has_left = leave.unwrap_or(false);
        if has_left {
            conn.note_standing();
        }
        has_left
    }

    /// Whether the connection is in the group of this name. Once it is closed it is in none.
    ///
    /// # Examples
    ///
    /// ```
    /// use zinx::prelude::*;
    ///
    /// fn say(request: &dyn IRequest) -> zinx::Result<()> {
    ///     let conn = request.get_connection();
    ///     if !conn.is_in_group("lobby") {
    ///         return conn.send_msg(3, "join first");
    ///     }
    ///     conn.get_group("lobby").broadcast(2, request.get_data())?;
    ///     Ok(())
    /// }
    /// ```
    pub fn is_in_group(&self, name: &str) -> bool {
        self.connection().on_demand().is_some_and(|on_demand| on_demand.membership.is_in_group(name))
    }

    /// The names of the groups the connection is in.
    pub fn get_groups(&self) -> Vec<Arc<str>> {
        self.connection().on_demand().map_or_else(Vec::new, |on_demand| on_demand.membership.groups())
    }

    /// The group of this name on the connection's server, with or without members.
    pub fn get_group(&self, name: &str) -> Group {
        Group::of(self.connection().core(), name)
    }
}

/// A group of connections. The handle stays good when members join or leave.
#[derive(Clone)]
pub struct Group {
    core: Arc<Core>,
    name: Arc<str>,
}

/// How many members a message was queued for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Broadcast {
    /// Members for whom it was queued.
    pub queued: usize,
    /// Members that were closing, or whose queue was full.
    pub missed: usize,
}

impl Group {
    pub(crate) fn of(core: &Arc<Core>, name: &str) -> Self {
        Self { core: Arc::clone(core), name: name.into() }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How many members it has.
    pub fn len(&self) -> usize {
        self.core.talk().groups.lock().get(&self.name).map_or(0, BTreeMap::len)
    }

    /// Whether it has no member.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Its members now, by connection id.
    pub fn members(&self) -> Vec<Arc<dyn IConnection>> {
        self.core.group_members(&self.name)
    }

    /// Sends a message to every member. It is packed once, and never waits: if a member's queue is full, the
    /// member's `QueueFull` policy acts (`wait` and `fail`: the member misses it), and no other member notices.
    ///
    /// Messages sent to a group by one coroutine reach each member in their order.
    ///
    /// # Errors
    ///
    /// If the wire format cannot carry the message. What happens to a single member is not an error but a
    /// [count](Broadcast).
    pub fn broadcast<'a>(&self, msg_id: u32, data: impl Into<Payload<'a>>) -> Result<Broadcast> {
        self.broadcast_if(msg_id, data, |_| true)
    }

    /// As [`broadcast`](Self::broadcast), but not to the connection with this id.
    ///
    /// # Errors
    ///
    /// As [`broadcast`](Self::broadcast).
    pub fn broadcast_except<'a>(
        &self,
        conn_id: u64,
        msg_id: u32,
        data: impl Into<Payload<'a>>,
    ) -> Result<Broadcast> {
        self.broadcast_if(msg_id, data, |conn| conn.get_conn_id() != conn_id)
    }

    /// As [`broadcast`](Self::broadcast), to those members that `filter` accepts. No lock is held while it runs.
    ///
    /// # Errors
    ///
    /// As [`broadcast`](Self::broadcast).
    pub fn broadcast_if<'a>(
        &self,
        msg_id: u32,
        data: impl Into<Payload<'a>>,
        filter: impl Fn(&Arc<dyn IConnection>) -> bool,
    ) -> Result<Broadcast> {
        self.core.send_to_all(self.members(), msg_id, data.into(), filter)
    }
}

impl std::fmt::Debug for Group {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Group").field("name", &self.name).field("len", &self.len()).finish()
    }
}

impl Core {
    /// The members of a group now, by connection id.
    pub(crate) fn group_members(&self, name: &str) -> Vec<Arc<dyn IConnection>> {
        let groups = self.talk().groups.lock();
        groups.get(name).map_or_else(Vec::new, |members| members.values().cloned().collect())
    }

    /// Sends a message to those of these connections that `filter` accepts. It is packed once, and never waits.
    pub(crate) fn send_to_all(
        self: &Arc<Self>,
        conns: Vec<Arc<dyn IConnection>>,
        msg_id: u32,
        data: Payload<'_>,
        filter: impl Fn(&Arc<dyn IConnection>) -> bool,
    ) -> Result<Broadcast> {
        let frame = Bytes::from(self.pack().pack(&new_message(msg_id, data))?);
        let (frame, granted) = self.share_frame(frame);
        let mut sent = Broadcast::default();
        for conn in conns {
            if filter(&conn) {
                match conn.connection().send_packed(&frame, granted) {
                    Ok(()) => sent.queued += 1,
                    Err(_) => sent.missed += 1,
                }
            }
            fairness_point();
        }
        Ok(sent)
    }

    /// Grants a frame once for all queues that will share it, if it is large enough to be shared and there is room.
    /// Given back with the last of them.
    fn share_frame(self: &Arc<Self>, frame: Bytes) -> (Bytes, bool) {
        let mut share = Share::new();
        if frame.len() < SHARED_FROM || !share.cover(&self.bounds().ledger, Kind::Shared, frame.len()) {
            return (frame, false);
        }
        let core = Arc::clone(self);
        (Bytes::from_owner(SharedFrame { frame, core, share }), true)
    }
}

/// A frame in the queues of many connections, and what was granted for it.
struct SharedFrame {
    frame: Bytes,
    core: Arc<Core>,
    share: Share,
}

impl AsRef<[u8]> for SharedFrame {
    fn as_ref(&self) -> &[u8] {
        &self.frame
    }
}

impl Drop for SharedFrame {
    fn drop(&mut self) {
        self.share.give_back(&self.core.bounds().ledger, Kind::Shared);
    }
}

impl Connection {
    /// Queues a frame that is packed already, without waiting. `granted`: so is its memory.
    fn send_packed(&self, frame: &Bytes, granted: bool) -> Result<()> {
        let bounds = self.core().bounds();
        let append = |state: &mut State| {
            if granted {
                return state.append_shared(bounds, frame);
            }
            state.append_with(bounds, frame.len(), |queue| {
                queue.push_packed(frame);
                Ok(())
            })
        };
        self.send_with(frame.len(), SendWait::Never, append).map(drop)
    }
}
