//! Running a connection's hooks: on its own coroutine, and contained.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::error::Result;
use crate::green::{contain, cuttable};
use crate::log_line::throttled;
use crate::ziface::{CloseReason, IConnection};
use crate::znet::conn::asked::Asked;
use crate::znet::conn::connection::Connection;
use crate::znet::conn::position::Code;
use crate::znet::server::core::IdleAction;

pub(crate) fn start_hook(conn: &Connection, shared: &Arc<dyn IConnection>) {
    conn.core().counters.start_hooks.add();
    let core = conn.core();
    if !conn.contain("start hook", || core.call_start_hook(shared)) {
        conn.stop_because(CloseReason::StartHookFailed);
    }
}

/// Runs the hooks that the sweeper has asked for.
pub(crate) fn run_hooks(conn: &Connection) {
    if conn.asked().take(Asked::IDLE) {
        conn.idle_hook();
    }
    if conn.asked().take(Asked::NOT_ALIVE) {
        conn.not_alive();
    }
}

impl Connection {
    pub(crate) fn stop_hook(&self, shared: &Arc<dyn IConnection>) {
        self.core().counters.stop_hooks.add();
        let core = self.core();
        // It begins whole, also where what was before it was cut short.
        cuttable(|| self.contain("stop hook", || core.call_stop_hook(shared)));
    }

    fn idle_hook(&self) {
        let Some(hook) = self.core().hooks().idle else { return };
        let mut action = IdleAction::Close;
        self.contain("idle hook", || {
            action = hook(&(self.arc() as Arc<dyn IConnection>));
            Ok(())
        });
        match action {
            IdleAction::Close => self.stop_because(CloseReason::IdleTimeout),
            IdleAction::Keep => self.times().active.store(self.core().clock().now(), Ordering::Relaxed),
        }
    }

    /// Runs a hook. `false` if it failed or panicked; either is logged.
    pub(crate) fn contain(&self, which: &str, hook: impl FnOnce() -> Result<()>) -> bool {
        let (id, core) = (self.id(), self.core());
        let (log, code) = match which {
            "start hook" => (&core.start_hook_log, Code::StartHook),
            "stop hook" => (&core.stop_hook_log, Code::StopHook),
            _ => (&core.hook_log, Code::Hook),
        };
        let _code = self.enter_code(code);
        let went_well = contain(|| {
            let outcome = hook();
            outcome
                .inspect_err(|error| throttled!(warn, log, "connection {id}: the {which} failed: {error}"))
                .is_ok()
        });
        went_well.unwrap_or_else(|words| {
            core.counters.hook_panics.add();
            throttled!(error, log, "connection {id}: the {which} panicked: {words}");
            false
        })
    }
}
