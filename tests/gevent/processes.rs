//! `gevent.subprocess`, and `gevent.signal`.

use std::io::ErrorKind;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use signal_hook::consts::{SIGKILL, SIGTERM, SIGUSR1, SIGWINCH};
use signal_hook::low_level::raise;
use zinx::green::subprocess::{self, CheckError, Popen};
use zinx::green::{self, Queue, bluelet};

use super::common::child::in_child;
use super::common::coroutines::LONG;
use super::{Count, SHORT, comes_true, test, waiting};

fn sh(script: &str) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", script]);
    command
}

fn piped(mut command: Command) -> Popen {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    Popen::new(command).unwrap()
}

/// Whether the system still knows the process, if only as a zombie.
fn is_known(pid: u32) -> bool {
    std::path::Path::new(&format!("/proc/{pid}")).exists()
}

#[test]
fn a_process_is_started_waited_for_and_has_a_return_code() {
    test(|| {
        let mut process = Popen::new(sh("exit 3")).unwrap();
        assert_eq!(process.returncode(), None);
        assert!(process.pid() > 0);
        let status = green::run(move || {
            let status = process.wait().unwrap();
            assert_eq!(process.wait().unwrap(), status, "twice");
            assert_eq!((process.poll().unwrap(), process.returncode()), (Some(status), Some(3)));
            assert_eq!(process.wait_timeout(Duration::ZERO).unwrap(), Some(status));
            process.kill().unwrap();
            status
        });
        assert_eq!(status.code(), Some(3));
        assert_eq!(Popen::new(Command::new("/no/such/program")).unwrap_err().kind(), ErrorKind::NotFound);
    });
}

#[test]
fn signals_end_a_process_and_show_in_its_return_code() {
    test(|| {
        let mut process = Popen::new(sh("exec sleep 1000")).unwrap();
        assert_eq!(process.poll().unwrap(), None);
        assert_eq!(process.wait_timeout(SHORT).unwrap(), None);
        process.terminate().unwrap();
        assert_eq!(process.wait().unwrap().signal(), Some(SIGTERM));
        assert_eq!(process.returncode(), Some(-SIGTERM));
        process.terminate().unwrap();
        let mut process = Popen::new(sh("exec sleep 1000")).unwrap();
        process.send_signal(SIGKILL).unwrap();
        assert_eq!(process.wait_timeout(LONG).unwrap().unwrap().signal(), Some(SIGKILL));
        let mut process = Popen::new(sh("exec sleep 1000")).unwrap();
        assert_eq!(process.send_signal(12345).unwrap_err().kind(), ErrorKind::InvalidInput);
        process.kill().unwrap();
        process.wait().unwrap();
    });
}

#[test]
fn pipes_are_read_and_written_without_holding_a_worker() {
    test(|| {
        let mut process = piped(Command::new("cat"));
        let (stdin, mut stdout) = (process.stdin.take().unwrap(), process.stdout.take().unwrap());
        let reader = waiting(move || bluelet::read(&mut stdout, Some(100)).unwrap());
        assert!(green::run(|| true), "others go on");
        bluelet::write(stdin, "through cat").unwrap();
        assert_eq!(reader.get().unwrap(), b"through cat");
        assert!(process.wait().unwrap().success());
    });
}

#[test]
fn communicate_deals_with_more_than_a_pipe_holds_in_all_directions() {
    test(|| {
        let large = vec![b'x'; 1 << 20];
        let input = large.clone();
        let output = green::run(move || piped(sh("tee /dev/stderr")).communicate(&input).unwrap());
        assert!(output.status.success());
        assert!(output.stdout == large && output.stderr == large);
        let output = piped(sh("exit 0")).communicate(&large).unwrap();
        assert!(output.status.success(), "one that does not read is no error");
        let mut silent = Popen::new(sh("exit 4")).unwrap();
        let output = silent.communicate(b"").unwrap();
        assert_eq!((output.status.code(), output.stdout.len()), (Some(4), 0));
    });
}

#[test]
fn the_short_forms_do_as_pythons_do() {
    test(|| {
        assert_eq!(subprocess::call(sh("exit 5")).unwrap().code(), Some(5));
        assert!(subprocess::check_call(sh("true")).is_ok());
        let failed = subprocess::check_call(sh("exit 6")).unwrap_err();
        assert_eq!(failed.to_string(), "the process failed: exit status: 6");
        assert_eq!(subprocess::check_output(sh("printf hello")).unwrap(), b"hello");
        match subprocess::check_output(sh("printf half; exit 7")).unwrap_err() {
            CheckError::Failed { status, stdout } => {
                assert_eq!((status.code(), stdout), (Some(7), b"half".to_vec()));
            }
            CheckError::Io(error) => panic!("{error}"),
        }
        assert!(matches!(subprocess::check_output(Command::new("/no/such")), Err(CheckError::Io(_))));
        let output = subprocess::run(sh("cat; printf oops >&2"), b"in").unwrap();
        assert_eq!((output.stdout, output.stderr), (b"in".to_vec(), b"oops".to_vec()));
    });
}

#[test]
fn a_call_that_is_cut_short_kills_its_process_and_leaves_no_zombie() {
    test(|| {
        let begun = Instant::now();
        let pids = Arc::new(Queue::unbounded());
        let tells = Arc::clone(&pids);
        let late = green::spawn(move || {
            let mut process = Popen::new(sh("exec sleep 1000")).unwrap();
            tells.put(process.pid()).unwrap();
            green::with_timeout(Duration::from_millis(300), move || {
                let _ = subprocess::call(sh("exec sleep 1000"));
                process.kill().unwrap();
            })
            .is_err()
        });
        assert!(late.get().unwrap() && begun.elapsed() < LONG);
        let abandoned = pids.get().unwrap();
        assert!(is_known(abandoned), "one that is not waited for goes on");
        rustix::process::kill_process(
            rustix::process::Pid::from_raw(abandoned as i32).unwrap(),
            rustix::process::Signal::KILL,
        )
        .unwrap();
        comes_true(|| !is_known(abandoned));
    });
}

#[test]
fn a_process_whose_start_is_cut_short_is_not_started() {
    in_child("processes::a_process_whose_start_is_cut_short_is_not_started", || {
        test(|| {
            let (reader, writer) = std::io::pipe().unwrap();
            let tells = || {
                let mut command = sh("printf started");
                command.stdout(writer.try_clone().unwrap());
                command
            };
            // No thread of `blocking` is left to start a process.
            let go_on = Arc::new(std::sync::Barrier::new(17));
            let holders: Vec<_> = (0..16)
                .map(|_| {
                    let go_on = Arc::clone(&go_on);
                    waiting(move || green::blocking(move || go_on.wait().is_leader()))
                })
                .collect();
            let (call, begin) = (tells(), tells());
            let call = waiting(move || subprocess::call(call).is_ok());
            let begin = waiting(move || Popen::new(begin).is_ok());
            green::killall(&[call, begin]);
            go_on.wait();
            assert!(green::joinall(holders).is_ok());
            drop(writer);
            let said = green::spawn(move || bluelet::read(reader, None)).get().unwrap().unwrap();
            assert_eq!(said, b"");
        });
    });
}

#[test]
fn many_processes_at_once_are_all_reaped() {
    test(|| {
        let all: Vec<_> = (0..10)
            .map(|n| green::spawn(move || subprocess::call(sh(&format!("exit {n}"))).unwrap().code()))
            .collect();
        let codes = green::joinall(all).unwrap();
        assert_eq!(codes, (0..10).map(Some).collect::<Vec<_>>());
        let dropped: Vec<_> = (0..5).map(|_| Popen::new(sh("true")).unwrap().pid()).collect();
        comes_true(|| !dropped.iter().any(|pid| is_known(*pid)));
    });
}

#[test]
fn a_signal_calls_its_handlers_each_on_a_coroutine() {
    test(|| {
        let (seen, other) = (Count::default(), Count::default());
        let (one, two) = (seen.clone(), other.clone());
        let first = green::signal(SIGWINCH, move || {
            assert!(green::current().is_some());
            green::sleep(Duration::from_millis(1));
            one.up();
        });
        let first = first.unwrap();
        let second = green::signal(SIGWINCH, move || two.up()).unwrap();
        raise(SIGWINCH).unwrap();
        comes_true(|| seen.get() == 1 && other.get() == 1);
        drop(first);
        raise(SIGWINCH).unwrap();
        comes_true(|| other.get() == 2);
        assert_eq!(seen.get(), 1, "its handle is dropped");
        drop(second);
        assert_eq!(green::signal(SIGKILL, || ()).unwrap_err().kind(), ErrorKind::InvalidInput);
    });
}

#[test]
fn a_signal_that_would_end_the_process_is_caught_meanwhile() {
    test(|| {
        let seen = Count::default();
        for round in 1..=2 {
            let counts = seen.clone();
            let handler = green::signal(SIGUSR1, move || counts.up()).unwrap();
            raise(SIGUSR1).unwrap();
            comes_true(|| seen.get() == round);
            assert!(format!("{handler:?}").contains("number: 10"));
        }
    });
}
