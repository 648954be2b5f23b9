//! The end of what does not end by itself: at the drain deadline, or earlier, if a second signal asks for it.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::core::Core;
use super::doing::Doing;
use crate::green::{Group, Select, Until};
use crate::znet::conn::asked::Asked;
use crate::znet::conn::connection::Connection;

impl Core {
    /// Lets a stop wait no longer for what is still open.
    pub(crate) fn hurry(&self) {
        self.hurried.set();
        self.unpaced.set();
    }

    /// Waits until the members of a group have ended. `false` if some are left at the deadline, or the stop must not wait
    /// any longer.
    pub(crate) fn join_in_time(&self, group: &Group, deadline: Until) -> bool {
        // The deadline may move.
        while !deadline.is_over() && !self.hurried.is_set() {
            let left = deadline.left().unwrap_or(Duration::MAX);
            let ended =
                Select::new().on(group, |()| true).on(&self.hurried, |()| false).after(left, || false).wait();
            if ended {
                return true;
            }
        }
        group.is_empty()
    }

    /// Cuts off what is still open, and gives it a moment to run its stop hooks. What has not ended by then never waits:
    /// it is left behind, and named.
    pub(crate) fn cut_off(&self) {
        self.cut_off_now();
        let moment = Until::after(GRACE);
        let ended = |group: &&Group| group.join_timeout(moment.left().unwrap_or_default());
        if self.groups().iter().all(ended) {
            return;
        }
        let left = self.groups().into_iter().flat_map(Group::coroutines);
        log_names("left behind", left.map(|one| format!("{} ({})", one.name(), one.activity())).collect());
        // A stop hook that waits is cut short as well.
        self.groups().into_iter().for_each(Group::cut);
    }

    /// Cuts off what is still open: it is counted and named, its connections are aborted, and its handlers end at the wait
    /// they are in, or at their next.
    pub(crate) fn cut_off_now(&self) {
        let open = self.open_connections();
        let cut: Vec<_> = open.iter().filter(|conn| conn.asked().set(Asked::CUT_OFF)).collect();
        self.counters.forced.fetch_add(cut.len(), Ordering::AcqRel);
        let doing = Doing::look(self);
        let when = if self.hurried.is_set() { "" } else { " at the drain deadline" };
        let connections = if cut.len() == 1 { "connection" } else { "connections" };
        let what = format!("cut off {} open {connections}{when}", cut.len());
        log_names(&what, cut.into_iter().map(|conn| doing.name(conn)).collect());
        for conn in open {
            conn.abort_because(self.stop_reason().clone());
        }
        self.groups().into_iter().for_each(Group::cut);
        self.handler().workers().close();
        self.kill_tasks(when);
    }

    fn open_connections(&self) -> Vec<Arc<Connection>> {
        let mut open = Vec::new();
        self.manager().each(|conn| {
            open.push(conn.connection().arc());
            true
        });
        open
    }

    /// All coroutines that the stop waits for.
    fn groups(&self) -> [&Group; 3] {
        [self.group(), self.handler().workers().group(), self.tasks()]
    }
}

/// Logs names, if there are any: ten to a line, and not more than a hundred.
fn log_names(what: &str, names: Vec<String>) {
    for (line, some) in names[..names.len().min(MOST_NAMED)].chunks(NAMED_IN_A_LINE).enumerate() {
        let also = if line == 0 { "" } else { ", also" };
        log::warn!("{what}{also}: {}", some.join(", "));
    }
    if names.len() > MOST_NAMED {
        log::warn!("{what}: {} more", names.len() - MOST_NAMED);
    }
}

/// What is cut off gets this long to end.
const GRACE: Duration = Duration::from_millis(500);

const MOST_NAMED: usize = 100;
const NAMED_IN_A_LINE: usize = 10;
