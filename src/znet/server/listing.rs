//! The writers of all connections, as `green::dump` lists them.
//!
//! A writer is no coroutine for most of its life: it is the queue of its connection, and whoever sends from it. It is listed
//! as what it is to a program: beside its reader, with what it waits for.

use super::core::Core;
use crate::green::{Awaits, Lists};

impl Lists for Core {
    fn list(&self, line: &mut dyn FnMut(&str, Awaits)) {
        self.manager().each(|conn| {
            let conn = conn.connection();
            let awaits = conn.outbox().lock().awaits();
            line(&format!("writer of connection {}", conn.id()), awaits);
            true
        });
    }
}
