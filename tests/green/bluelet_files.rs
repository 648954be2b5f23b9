//! `bluelet::read` and `write`: of descriptors that others share, without holding a worker and without changing them.

use std::fs::{self, File};
use std::io::{self, BufReader, PipeReader, PipeWriter, Read, Seek, Write};
use std::os::fd::AsRawFd;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use crate::common::child::in_child;
use crate::common::coroutines::{LONG, runtime, within};
use crate::common::pattern;
use zinx::green::{self, bluelet};

const SOON: Duration = Duration::from_millis(5);

#[test]
fn readers_of_pipes_hold_no_worker() {
    within(60, || {
        let (readers, writers): (Vec<_>, Vec<_>) = (0..more_than_workers())
            .map(|_| {
                let (reader, writer) = io::pipe().unwrap();
                (green::spawn(move || bluelet::read(reader, Some(10))), writer)
            })
            .unzip();
        assert!(!green::joinall_timeout(&readers[..1], SOON));
        assert_eq!(green::run(|| green::spawn(|| 7).get().unwrap()), 7, "others run");
        for (reader, mut writer) in readers.into_iter().zip(writers) {
            writer.write_all(b"hello").unwrap();
            assert_eq!(reader.get().unwrap().unwrap(), b"hello");
        }
    });
}

#[test]
fn writers_to_pipes_hold_no_worker_and_lose_no_byte() {
    within(60, || {
        let data = Arc::new(pattern(1 << 20));
        let (readers, writers): (Vec<PipeReader>, Vec<_>) = (0..more_than_workers())
            .map(|_| {
                let (reader, writer) = io::pipe().unwrap();
                let data = Arc::clone(&data);
                (reader, green::spawn(move || bluelet::write(writer, &*data)))
            })
            .unzip();
        assert!(!green::joinall_timeout(&writers[..1], SOON));
        assert_eq!(green::run(|| green::spawn(|| 7).get().unwrap()), 7, "others run");
        let reading = readers.into_iter().map(|reader| green::spawn(move || bluelet::read(reader, None)));
        for read in green::joinall(reading.collect::<Vec<_>>()).unwrap() {
            assert!(read.unwrap() == *data);
        }
        writers.into_iter().for_each(|writer| writer.get().unwrap().unwrap());
    });
}

#[test]
fn a_read_cut_short_loses_nothing_and_the_end_is_empty() {
    within(60, || {
        green::run(|| {
            let (reader, mut writer) = io::pipe().unwrap();
            assert!(green::with_timeout(SOON, || bluelet::read(&reader, Some(10))).is_err());
            let reader = Arc::new(reader);
            let theirs = Arc::clone(&reader);
            let killed = green::spawn(move || bluelet::read(&*theirs, Some(10)));
            assert!(!killed.join_timeout(SOON));
            killed.kill();
            writer.write_all(b"all of it").unwrap();
            assert_eq!(bluelet::read(&*reader, Some(3)).unwrap(), b"all");
            assert_eq!(bluelet::read(&*reader, Some(0)).unwrap(), b"");
            assert_eq!(bluelet::read(&*reader, Some(100)).unwrap(), b" of it");
            drop(writer);
            assert_eq!(bluelet::read(&*reader, Some(100)).unwrap(), b"");
            assert_eq!(bluelet::read(&*reader, None).unwrap(), b"");
        });
    });
}

#[test]
fn a_write_to_nobody_is_an_error() {
    within(60, || {
        for on_coroutine in [true, false] {
            let (reader, writer) = io::pipe().unwrap();
            drop(reader);
            let write = move || bluelet::write(writer, "x");
            let error = if on_coroutine { green::run(write) } else { write() }.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
        }
    });
}

#[test]
fn on_a_plain_thread_they_block_it() {
    within(60, || {
        let (reader, writer) = io::pipe().unwrap();
        let reading = thread::spawn(move || bluelet::read(reader, None));
        let data = pattern(200_000);
        bluelet::write(writer, &data).unwrap();
        assert!(reading.join().unwrap().unwrap() == data);
    });
}

#[test]
fn a_descriptor_stays_as_it_was() {
    within(60, || {
        let (reader, writer) = io::pipe().unwrap();
        let before = (flags(&reader), flags(&writer));
        let (reader, writer) = green::run(move || {
            bluelet::write(&writer, "x").unwrap();
            bluelet::read(&reader, Some(1)).unwrap();
            assert!(green::with_timeout(SOON, || bluelet::read(&reader, Some(1))).is_err());
            (reader, writer)
        });
        assert_eq!((flags(&reader), flags(&writer)), before);
        // And if it is non-blocking already, that is no error.
        rustix::io::ioctl_fionbio(&reader, true).unwrap();
        let reading = green::spawn(move || bluelet::read(reader, None));
        assert!(!reading.join_timeout(SOON));
        rustix::io::ioctl_fionbio(&writer, true).unwrap();
        let data = pattern(200_000);
        let written = data.clone();
        green::run(move || bluelet::write(writer, written)).unwrap();
        assert!(reading.get().unwrap().unwrap() == data);
    });
}

#[test]
fn a_regular_file_is_read_and_written_on_the_pool() {
    in_child("bluelet_files::a_regular_file_is_read_and_written_on_the_pool", || {
        runtime();
        let path = scratch("file");
        let mut file =
            File::options().read(true).write(true).create(true).truncate(true).open(&path).unwrap();
        assert_eq!(pool_threads(), 0);
        let data = pattern(300_000);
        let written = data.clone();
        let mut file = green::run(move || {
            bluelet::write(&file, written).unwrap();
            file.rewind().unwrap();
            file
        });
        assert!(pool_threads() > 0);
        let read = green::run(move || {
            let first = bluelet::read(&file, Some(1000)).unwrap();
            let rest = bluelet::read(&file, None).unwrap();
            assert_eq!(bluelet::read(&mut file, Some(10)).unwrap(), b"");
            [first, rest]
        });
        assert_eq!(read[0].len(), 1000);
        assert!(read.concat() == data);
        fs::remove_file(path).unwrap();
        let no_file = green::run(|| bluelet::read(File::open("/").unwrap(), Some(1))).unwrap_err();
        assert_eq!(no_file.kind(), io::ErrorKind::IsADirectory);
    });
}

#[test]
fn what_a_buffered_reader_has_is_read_first() {
    within(60, || {
        let (reader, mut writer) = io::pipe().unwrap();
        writer.write_all(b"one two").unwrap();
        green::run(move || {
            let mut buffered = BufReader::new(reader);
            let mut one = [0; 3];
            buffered.read_exact(&mut one).unwrap();
            assert_eq!(bluelet::read(&mut buffered, Some(100)).unwrap(), b" two", "without waiting");
            assert!(green::with_timeout(SOON, || bluelet::read(&mut buffered, Some(1))).is_err());
            writer.write_all(b"!").unwrap();
            assert_eq!(bluelet::read(&mut buffered, Some(100)).unwrap(), b"!");
        });
    });
}

#[test]
fn standard_input_and_output_hold_no_worker() {
    if std::env::var("ZINX_TEST_STDIN").is_ok() {
        return child_that_answers();
    }
    within(60, || {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["bluelet_files::standard_input_and_output_hold_no_worker", "--exact", "--nocapture"])
            .env("ZINX_TEST_STDIN", "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (mut to, from) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        // All at once: what one read leaves must be there for the next.
        bluelet::write(&mut to, "hello world").unwrap();
        drop(to);
        let said = green::run(move || bluelet::read(from, None)).unwrap();
        let said = String::from_utf8_lossy(&said);
        assert!(said.contains("printed\n[hello][ worl][d][]"), "{said}");
        assert!(child.wait().unwrap().success());
    });
}

fn child_that_answers() {
    runtime();
    // The only worker, perhaps, has others to run meanwhile.
    let waiting: Vec<_> = (0..more_than_workers())
        .map(|_| {
            let (reader, writer) = io::pipe().unwrap();
            (green::spawn(move || bluelet::read(reader, Some(1))), writer)
        })
        .collect();
    green::run(|| {
        println!("printed");
        for _ in 0..4 {
            let heard = bluelet::read(io::stdin(), Some(5)).unwrap();
            let heard = [b"[", &heard[..], b"]"].concat();
            bluelet::write(io::stdout(), heard).unwrap();
        }
    });
    for (reader, writer) in waiting {
        drop::<PipeWriter>(writer);
        assert!(reader.join_timeout(LONG));
    }
}

fn more_than_workers() -> usize {
    runtime().workers + 2
}

/// The flags of the open file, which all who share it share.
fn flags(file: &impl AsRawFd) -> String {
    let info = fs::read_to_string(format!("/proc/self/fdinfo/{}", file.as_raw_fd())).unwrap();
    info.lines().find(|line| line.starts_with("flags:")).unwrap().to_string()
}

fn scratch(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}", std::process::id()))
}

fn pool_threads() -> usize {
    let tasks = fs::read_dir("/proc/self/task").unwrap();
    let names = tasks.map(|task| fs::read_to_string(task.unwrap().path().join("comm")).unwrap_or_default());
    names.filter(|name| name.trim() == "zinx-blocking").count()
}
