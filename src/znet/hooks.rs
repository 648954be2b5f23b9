//! Running a connection's hooks: on its own coroutine, and contained.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::connection::Connection;
use super::core::IdleAction;
use crate::error::Result;
use crate::green::Panicked;
use crate::ziface::{CloseReason, IConnection};

impl Connection {
    /// Runs the hooks that the sweeper has asked for.
    pub(crate) fn run_hooks(&self) {
        if self.take_idle() {
            self.idle_hook();
        }
        if self.take_not_alive() {
            self.not_alive();
        }
    }

    pub(super) fn start_hook(&self, shared: &Arc<dyn IConnection>) {
        self.core().counters.start_hooks.add();
        let core = self.core();
        if !self.contain("start", || core.call_start_hook(shared)) {
            self.stop_because(CloseReason::StartHookFailed);
        }
    }

    pub(crate) fn stop_hook(&self, shared: &Arc<dyn IConnection>) {
        self.core().counters.stop_hooks.add();
        let core = self.core();
        self.contain("stop", || core.call_stop_hook(shared));
    }

    fn idle_hook(&self) {
        let Some(hook) = self.core().hooks().idle else { return };
        let mut action = IdleAction::Close;
        self.enter_user_code(self.outbox().lock());
        self.contain("idle", || {
            action = hook(&(self.arc() as Arc<dyn IConnection>));
            Ok(())
        });
        match action {
            IdleAction::Close => self.stop_because(CloseReason::IdleTimeout),
            IdleAction::Keep => self.times().active.store(self.core().clock().now(), Ordering::Relaxed),
        }
    }

    /// Runs a hook. `false` where it failed or panicked; either is logged.
    pub(super) fn contain(&self, which: &str, hook: impl FnOnce() -> Result<()>) -> bool {
        match catch_unwind(AssertUnwindSafe(hook)) {
            Ok(Ok(())) => true,
            Ok(Err(error)) => {
                log::warn!("connection {}: {which} hook: {error}", self.id());
                false
            }
            Err(payload) => {
                self.core().counters.hook_panics.add();
                log::error!("connection {}: {which} hook panicked: {}", self.id(), Panicked::new(payload));
                false
            }
        }
    }
}
