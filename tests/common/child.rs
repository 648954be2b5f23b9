//! Tests that need a process to themselves.

use std::process::Command;

/// Runs a test in a process of its own: what it measures or exhausts belongs to the whole process. In a group the name of a
/// test begins with its module: `limits::the_test`.
pub(crate) fn in_child(name: &str, body: impl FnOnce()) {
    in_child_with(name, &[], body);
}

/// As [`in_child`], with these variables in its environment.
pub(crate) fn in_child_with(name: &str, env: &[(&str, &str)], body: impl FnOnce()) {
    if is_child(name) {
        return body();
    }
    drop(run_child(name, child_with(env)));
}

/// As [`in_child`], once for each of these variables.
pub(crate) fn in_children(name: &str, envs: &[(&str, &str)], body: impl FnOnce()) {
    if is_child(name) {
        return body();
    }
    for env in envs {
        run_child(name, child_with(&[*env]));
    }
}

/// As [`in_child_with`]. Returns in the parent, with what the child has written to stderr.
pub(crate) fn stderr_of_child(name: &str, env: &[(&str, &str)], body: impl FnOnce()) -> String {
    if is_child(name) {
        body();
        std::process::exit(0);
    }
    run_child(name, child_with(env))
}

/// As [`in_child`], within a program that gives it a world of its own (`unshare`), in which a line of shell runs before.
/// Where the machine does not allow that, the test is left out, and says so.
pub(crate) fn in_child_after(name: &str, within: &[&str], prepare: &str, body: impl FnOnce()) {
    if is_child(name) {
        return body();
    }
    let mut allowed = Command::new(within[0]);
    allowed.args(&within[1..]).args(["sh", "-c", prepare]);
    if !allowed.output().is_ok_and(|output| output.status.success()) {
        return eprintln!("skipped: this machine does not allow {}", within.join(" "));
    }
    let mut child = Command::new(within[0]);
    child.args(&within[1..]).args(["sh", "-c", &format!("{prepare} && exec \"$0\" \"$@\"")]);
    child.arg(std::env::current_exe().unwrap());
    drop(run_child(name, child));
}

fn child_with(env: &[(&str, &str)]) -> Command {
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.envs(env.iter().copied());
    child
}

/// Whether this is the process of the test with this name.
pub(crate) fn is_child(name: &str) -> bool {
    std::env::var(CHILD).is_ok_and(|child| child == name)
}

/// Has a command that starts this program run the test with this name, as a child.
pub(crate) fn as_child<'a>(command: &'a mut Command, name: &str) -> &'a mut Command {
    command.args([name, "--exact", "--nocapture"]).env(CHILD, name)
}

fn run_child(name: &str, mut child: Command) -> String {
    let output = as_child(&mut child, name).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    eprint!("{said}");
    assert!(output.status.success(), "{}", output.status);
    // A name that no test has would pass.
    let ran = String::from_utf8_lossy(&output.stdout).contains("running 1 test");
    assert!(ran, "there is no test {name} in this program");
    said
}

const CHILD: &str = "ZINX_TEST_CHILD";

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
