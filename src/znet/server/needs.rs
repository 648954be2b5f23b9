//! What a configuration needs of the machine: one formula for open files, stacks and memory maps, which
//! `docs/operations.md` states too.

use crate::green::{self, Runtime};
use crate::zconf::{Config, WorkerMode};

/// What a server needs for all the connections that its configuration allows, while no handler waits: a connection that
/// rests has no stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Needs {
    files: usize,
    coroutines: usize,
}

impl Needs {
    /// With so many threads that run coroutines.
    fn of(config: &Config, threads: usize) -> Self {
        // Without a socket, so none of these has a descriptor.
        let away = match (config.resume_ms, config.max_away) {
            (0, _) => 0,
            (_, 0) => config.max_conn,
            (_, most) => most,
        };
        let connections = config.max_conn.saturating_add(away);
        let workers = match (config.worker_pool_size, config.worker_mode) {
            (0, _) => 0,
            (size, WorkerMode::Hash) => size,
            // One for each connection, away or not.
            (size, WorkerMode::Bind | WorkerMode::DynamicBind) => size.max(connections),
        };
        Self {
            files: config.max_conn.saturating_add(SPARE_FILES.max(16 + FILES_PER_THREAD * threads)),
            coroutines: workers.saturating_add(SPARE_COROUTINES),
        }
    }

    const fn maps(self) -> usize {
        self.coroutines.saturating_mul(2).saturating_add(SPARE_MAPS)
    }
}

/// Raises the limit of open files, and says in one line for each limit that is too low what to set.
pub(crate) fn check_limits(config: &Config) {
    let threads = Runtime::current().map_or(0, |runtime| runtime.workers);
    let (max_conn, needs) = (config.max_conn, Needs::of(config, threads));
    let files = green::raise_open_files(needs.files);
    if files < needs.files {
        let set = needs.files;
        log::warn!("MaxConn is {max_conn} but only {files} files may be open: set ulimit -n {set}");
    }
    let coroutines = green::max_coroutines();
    if coroutines < needs.coroutines {
        let (needed, set) = (needs.coroutines, needs.maps());
        let (has_room, set) = match config.max_stacks {
            most if most == coroutines => ("MaxStacks is", format!("it to {needed}")),
            _ => ("the machine has room for", format!("sysctl vm.max_map_count={set}")),
        };
        log::warn!(
            "{needed} stacks may be needed, most of them for workers, but {has_room} {coroutines}: set {set}"
        );
    }
}

/// Descriptors beside those of the connections, up to 16 threads: an epoll instance and two eventfds for each, the
/// listener, files of the program.
const SPARE_FILES: usize = 64;
const FILES_PER_THREAD: usize = 3;

/// Coroutines beside those: a writer for each connection whose peer does not read, handlers that wait, the server's own.
const SPARE_COROUTINES: usize = 256;

/// Maps beside the two of each coroutine: code, libraries, threads, the allocator's.
const SPARE_MAPS: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    fn needs(change: impl FnOnce(&mut Config), threads: usize) -> (usize, usize, usize) {
        let mut config = Config::default();
        config.max_conn = 1000;
        change(&mut config);
        let needs = Needs::of(&config, threads);
        (needs.files, needs.coroutines, needs.maps())
    }

    #[test]
    fn a_connection_needs_a_descriptor_and_no_stack() {
        assert_eq!(needs(|_| {}, 2), (1064, 256, 4608));
        assert_eq!(needs(|_| {}, 16), (1064, 256, 4608));
        assert_eq!(needs(|_| {}, 32), (1112, 256, 4608));
    }

    #[test]
    fn connections_that_are_away_need_neither() {
        assert_eq!(needs(|config| config.resume_ms = 1, 2), (1064, 256, 4608));
    }

    #[test]
    fn workers_are_coroutines_too() {
        let workers = |mode, size, resume_ms| {
            let change = |config: &mut Config| {
                (config.worker_mode, config.worker_pool_size, config.resume_ms) = (mode, size, resume_ms);
            };
            needs(change, 2).1
        };
        assert_eq!(workers(WorkerMode::Hash, 10, 0), 266);
        assert_eq!(workers(WorkerMode::Hash, 0, 0), 256);
        for mode in [WorkerMode::Bind, WorkerMode::DynamicBind] {
            assert_eq!(workers(mode, 10, 0), 1256);
            assert_eq!(workers(mode, 10, 1), 2256);
            assert_eq!(workers(mode, 5000, 0), 5256);
            assert_eq!(workers(mode, 0, 1), 256);
        }
    }
}
