//! A process that has no memory for another thread.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::thread::gettid;

use super::wait_until;

/// Does `work` while there is no room for the stack of another thread. In a process of its own.
pub(crate) fn without_room_for_a_thread<T>(work: impl FnOnce() -> T) -> T {
    // One that has its stack, and finds no room for the little that it needs besides, ends the process.
    wait_until("all other threads to have begun", || others_are_asleep() && others_are_asleep());
    let limit = getrlimit(Resource::As);
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: u64 = pages.split_whitespace().next().unwrap().parse().unwrap();
    // Far less than a stack of two megabytes, also with what others give back meanwhile.
    let short = pages * rustix::param::page_size() as u64 + 300_000;
    setrlimit(Resource::As, Rlimit { current: Some(short), ..limit }).unwrap();
    let done = work();
    setrlimit(Resource::As, limit).unwrap();
    done
}

fn others_are_asleep() -> bool {
    let own = gettid().as_raw_nonzero().to_string();
    let tasks = std::fs::read_dir("/proc/self/task").unwrap().map(|task| task.unwrap());
    tasks.filter(|task| task.file_name().to_str() != Some(&own)).all(|task| {
        // One that has ended meanwhile needs nothing.
        let stat = std::fs::read_to_string(task.path().join("stat")).unwrap_or_default();
        stat.rsplit_once(") ").is_none_or(|(_, state)| state.starts_with('S'))
    })
}
