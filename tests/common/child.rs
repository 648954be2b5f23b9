//! Tests that need a process to themselves.

use std::process::Command;

/// Runs a test in a process of its own: what it measures or exhausts belongs to the whole process.
pub(crate) fn in_child(name: &str, body: impl FnOnce()) {
    in_child_with(name, &[], body);
}

/// As [`in_child`], with these variables in its environment.
pub(crate) fn in_child_with(name: &str, env: &[(&str, &str)], body: impl FnOnce()) {
    const CHILD: &str = "ZINX_TEST_CHILD";
    if std::env::var(CHILD).is_ok_and(|child| child == name) {
        return body();
    }
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.args([name, "--exact", "--nocapture"]).env(CHILD, name).envs(env.iter().copied());
    let output = child.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    eprint!("{said}");
    assert!(output.status.success(), "{}", output.status);
}

/// Resident memory of this process.
pub(crate) fn resident_kib() -> usize {
    resident_kib_of("self")
}

/// Resident memory of a process.
pub(super) fn resident_kib_of(process: &str) -> usize {
    let statm = std::fs::read_to_string(format!("/proc/{process}/statm")).unwrap();
    statm.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() * rustix::param::page_size() / 1024
}

/// Descriptors of this process.
pub(crate) fn open_files() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}
