//! Telling users: connections under ids of the program's own (users, devices), to send to one or to all.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, MutexGuard};

use crate::error::{Error, Result};
use crate::lock::Lock;
use crate::ziface::{IConnection, Payload};

/// Connections by an id that the program chooses. An entry goes when its connection closes. Clones share the entries.
///
/// # Examples
///
/// ```
/// use zinx::Error;
/// use zinx::znotify::ZNotify;
///
/// let users = ZNotify::new();
/// // In the handler of a login: users.set_notify_id(user, request.get_connection())?;
/// assert!(matches!(users.notify_to_conn_by_id(7, 1, "hello"), Err(Error::ConnectionNotFound { conn_id: 7 })));
/// assert_eq!(users.notify_all(1, "hello, all"), 0);
/// ```
#[derive(Clone)]
pub struct ZNotify {
    entries: Arc<Lock<Entries>>,
    /// Names our close callbacks: a connection may have entries in several.
    handler: String,
}

type Entries = HashMap<u64, Arc<dyn IConnection>>;

impl Default for ZNotify {
    fn default() -> Self {
        Self::new()
    }
}

impl ZNotify {
    /// No entries.
    #[doc(alias = "NewZNotify")]
    pub fn new() -> Self {
        static MADE: AtomicU64 = AtomicU64::new(0);
        let handler = format!("znotify {}", MADE.fetch_add(1, Ordering::Relaxed));
        Self { entries: Arc::default(), handler }
    }

    /// Enters a connection under `id`, in place of the one there was; a connection may have several ids.
    ///
    /// # Errors
    ///
    /// [`ConnectionClosed`](Error::ConnectionClosed) where the connection has closed: there is no entry then.
    #[doc(alias = "SetNotifyID")]
    pub fn set_notify_id(&self, id: u64, conn: &Arc<dyn IConnection>) -> Result<()> {
        let replaced = self.lock().insert(id, Arc::clone(conn));
        if let Some(replaced) = replaced {
            replaced.remove_close_callback(&self.handler, &id.to_string());
        }
        let (entries, closing) = (Arc::downgrade(&self.entries), Arc::downgrade(conn));
        let added = conn.add_close_callback(&self.handler, &id.to_string(), move || {
            if let (Some(entries), Some(conn)) = (entries.upgrade(), closing.upgrade()) {
                forget(&entries, id, &conn);
            }
        });
        added.inspect_err(|_| forget(&self.entries, id, conn))
    }

    /// The connection under `id`.
    #[doc(alias = "GetNotifyByID")]
    pub fn get_notify_by_id(&self, id: u64) -> Option<Arc<dyn IConnection>> {
        self.lock().get(&id).cloned()
    }

    /// Takes the entry out; the connection stays open. `false` if there is none.
    #[doc(alias = "DelNotifyByID")]
    pub fn del_notify_by_id(&self, id: u64) -> bool {
        let removed = self.lock().remove(&id);
        let Some(conn) = removed else { return false };
        conn.remove_close_callback(&self.handler, &id.to_string());
        true
    }

    /// Whether there is an entry under `id`.
    #[doc(alias = "HasIdConn")]
    pub fn has_id_conn(&self, id: u64) -> bool {
        self.lock().contains_key(&id)
    }

    /// How many entries there are.
    #[doc(alias = "ConnNums")]
    pub fn conn_nums(&self) -> usize {
        self.lock().len()
    }

    /// Sends to the connection under `id`, as [`send_msg`](../ziface/trait.IConnection.html#method.send_msg).
    ///
    /// # Errors
    ///
    /// [`ConnectionNotFound`](Error::ConnectionNotFound) with `id` if there is no entry; else those of `send_msg`.
    #[doc(alias = "NotifyToConnByID")]
    #[doc(alias = "NotifyBuffToConnByID")]
    pub fn notify_to_conn_by_id<'a>(&self, id: u64, msg_id: u32, data: impl Into<Payload<'a>>) -> Result<()> {
        let conn = self.get_notify_by_id(id).ok_or(Error::ConnectionNotFound { conn_id: id })?;
        conn.send_msg(msg_id, data)
    }

    /// Sends to all, without waiting for any of them; returns how many took it. One that has no room is left out, or
    /// fares as its queue's policy says.
    #[doc(alias = "NotifyAll")]
    #[doc(alias = "NotifyBuffAll")]
    pub fn notify_all<'a>(&self, msg_id: u32, data: impl Into<Payload<'a>>) -> usize {
        let data = data.into();
        let conns: Vec<_> = self.lock().values().cloned().collect();
        conns.iter().filter(|conn| conn.try_send_msg(msg_id, data.reborrow()).is_ok()).count()
    }

    fn lock(&self) -> MutexGuard<'_, Entries> {
        self.entries.lock()
    }
}

impl std::fmt::Debug for ZNotify {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ZNotify").field("conn_nums", &self.conn_nums()).finish()
    }
}

/// Takes an entry out, unless another connection has come under its id.
fn forget(entries: &Lock<Entries>, id: u64, conn: &Arc<dyn IConnection>) {
    let mut entries = entries.lock();
    let is_it = |entry: &Arc<dyn IConnection>| std::ptr::addr_eq(Arc::as_ptr(entry), Arc::as_ptr(conn));
    if entries.get(&id).is_some_and(is_it) {
        let removed = entries.remove(&id);
        drop(entries);
        drop(removed);
    }
}
