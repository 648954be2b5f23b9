//! What the system knows of this process: memory, descriptors, threads, processor time.

use std::fs;

/// What the system knows of this process; 0 for what cannot be read.
#[derive(Default)]
pub(super) struct Process {
    pub(super) open_files: usize,
    pub(super) resident_bytes: usize,
    pub(super) virtual_bytes: usize,
    pub(super) threads: usize,
    pub(super) cpu_seconds: f64,
}

/// What a thread of this process has had of the processors, in seconds.
pub(super) struct ThreadTime {
    pub(super) ran: f64,
    /// It could have run, but others had the processors.
    pub(super) delayed: f64,
}

/// What the system knows of a thread; `None` if it does not tell.
pub(super) fn thread_time(thread: i32) -> Option<ThreadTime> {
    let text = fs::read_to_string(format!("/proc/self/task/{thread}/schedstat")).ok()?;
    let mut seconds =
        text.split_whitespace().map(|nanos| nanos.parse::<u64>().map(|nanos| nanos as f64 / 1e9));
    Some(ThreadTime { ran: seconds.next()?.ok()?, delayed: seconds.next()?.ok()? })
}

/// Reads `/proc/self`.
pub(super) fn look() -> Process {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let mut process = parse(&stat, rustix::param::page_size(), rustix::param::clock_ticks_per_second());
    // One of them is for the listing itself.
    process.open_files = fs::read_dir("/proc/self/fd").map_or(0, |files| files.count().saturating_sub(1));
    process
}

fn parse(stat: &str, page: usize, ticks: u64) -> Process {
    // The name of the program, in parentheses, may hold anything.
    let fields: Vec<&str> = stat.rsplit(") ").next().unwrap_or_default().split(' ').collect();
    let field = |at: usize| fields.get(at - FIRST).and_then(|text| text.parse::<u64>().ok()).unwrap_or(0);
    Process {
        open_files: 0,
        resident_bytes: field(24) as usize * page,
        virtual_bytes: field(23) as usize,
        threads: field(20) as usize,
        cpu_seconds: (field(14) + field(15)) as f64 / ticks.max(1) as f64,
    }
}

/// The number that `proc(5)` gives to the first field behind the name.
const FIRST: usize = 3;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_counted_behind_a_name_of_any_kind() {
        let stat = "7 (a) b (c) S 1 7 7 0 -1 4194304 1 2 3 4 150 50 0 0 20 0 9 0 100 65536 12 1844";
        let process = parse(stat, 4096, 100);
        assert_eq!((process.threads, process.virtual_bytes, process.resident_bytes), (9, 65_536, 12 * 4096));
        assert!((process.cpu_seconds - 2.0).abs() < 1e-9);
        assert!(look().resident_bytes > 0 && look().open_files > 0);
    }
}
