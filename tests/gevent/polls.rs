//! `gevent.select`, and waiting for any descriptor.

use std::io::{ErrorKind, PipeWriter, Write, pipe};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::time::{Duration, Instant};

use zinx::green::{self, Events, Poll, UdpSocket};

use super::common::coroutines::LONG;
use super::{SHORT, test, until_it, waiting};

/// Fills a pipe; returns how much it took.
fn fill(writer: &PipeWriter) -> usize {
    let mut bytes = 0;
    while green::wait_write_timeout(writer, Duration::ZERO).unwrap() {
        bytes += rustix::io::write(writer, &[0; 4096]).unwrap();
    }
    bytes
}

/// Whether the flags of a descriptor say so, as the system shows them.
fn is_nonblocking(fd: &impl AsFd) -> bool {
    let path = format!("/proc/self/fdinfo/{}", fd.as_fd().as_raw_fd());
    let info = std::fs::read_to_string(path).unwrap();
    let flags = info.lines().find_map(|line| line.strip_prefix("flags:")).unwrap();
    u32::from_str_radix(flags.trim(), 8).unwrap() & 0o4000 != 0
}

#[test]
fn wait_read_waits_for_something_to_read_or_the_end() {
    test(|| {
        let (reader, mut writer) = pipe().unwrap();
        assert!(!green::wait_read_timeout(&reader, SHORT).unwrap());
        assert!(!green::wait_read_timeout(&reader, Duration::ZERO).unwrap());
        let theirs = reader.try_clone().unwrap();
        let waits = waiting(move || green::wait_read(&theirs));
        until_it(waits.coroutine(), "waits for a socket");
        writer.write_all(b"x").unwrap();
        waits.get().unwrap().unwrap();
        green::wait_read(&reader).unwrap();
        assert!(green::wait_read_timeout(&reader, LONG).unwrap(), "it stays ready until it is read");
        rustix::io::read(&reader, &mut [0; 8][..]).unwrap();
        drop(writer);
        green::run(move || green::wait_read(&reader)).unwrap();
    });
}

#[test]
fn wait_write_waits_for_room() {
    test(|| {
        let (reader, writer) = pipe().unwrap();
        green::wait_write(&writer).unwrap();
        let bytes = fill(&writer);
        assert!(bytes >= 4096);
        assert!(!green::run({
            let writer = writer.try_clone().unwrap();
            move || green::wait_write_timeout(&writer, SHORT).unwrap()
        }));
        let waits = waiting(move || green::wait_write(&writer));
        rustix::io::read(&reader, &mut vec![0; bytes][..]).unwrap();
        waits.get().unwrap().unwrap();
    });
}

#[test]
fn a_wait_changes_nothing_about_the_descriptor_and_can_be_killed() {
    test(|| {
        let (reader, mut writer) = pipe().unwrap();
        let before = is_nonblocking(&reader);
        let theirs = reader.try_clone().unwrap();
        let waits = waiting(move || green::wait_read(&theirs));
        waits.kill();
        let limited = green::spawn({
            let theirs = reader.try_clone().unwrap();
            move || green::with_timeout(SHORT, || green::wait_read(&theirs)).is_err()
        });
        assert!(limited.get().unwrap());
        assert_eq!(is_nonblocking(&reader), before);
        writer.write_all(b"x").unwrap();
        green::wait_read(&reader).unwrap();
    });
}

#[test]
fn regular_files_are_always_ready() {
    test(|| {
        let file = std::fs::File::open("/etc/hosts").unwrap();
        green::wait_read(&file).unwrap();
        assert!(green::wait_write_timeout(&file, Duration::ZERO).unwrap());
        let mut poll = Poll::new().unwrap();
        poll.register(&file, Events::READ).unwrap();
        assert_eq!(poll.poll().unwrap(), [(file.as_raw_fd(), Events::READ)]);
        poll.unregister(&file).unwrap();
        assert_eq!(poll.poll_timeout(SHORT).unwrap(), []);
        assert_eq!(poll.unregister(&file).unwrap_err().kind(), ErrorKind::NotFound);
    });
}

#[test]
fn select_says_which_are_ready_in_either_list() {
    test(|| {
        let ((one, mut to_one), (other, _keeps)) = (pipe().unwrap(), pipe().unwrap());
        let reads = [one.as_fd(), other.as_fd()];
        assert_eq!(green::select_timeout(&reads, &[], SHORT).unwrap(), (vec![], vec![]));
        assert_eq!(green::select(&reads, &[to_one.as_fd()]).unwrap(), (vec![], vec![0]));
        to_one.write_all(b"x").unwrap();
        assert_eq!(green::select(&reads, &[]).unwrap(), (vec![0], vec![]));
        assert_eq!(green::select(&[other.as_fd(), one.as_fd()], &[]).unwrap(), (vec![1], vec![]));
        let (socket, _peer) = green::socketpair().unwrap();
        let both = [socket.as_fd()];
        assert_eq!(green::select(&both, &both).unwrap(), (vec![], vec![0]));
        assert_eq!(green::select_timeout(&[], &[], SHORT).unwrap(), (vec![], vec![]));
        drop(to_one);
        rustix::io::read(&one, &mut [0; 8][..]).unwrap();
        assert_eq!(green::select(&[one.as_fd()], &[]).unwrap(), (vec![0], vec![]), "the end can be read");
    });
}

#[test]
fn select_names_all_that_are_ready_however_many() {
    test(|| {
        let pairs: Vec<_> = (0..100).map(|_| green::socketpair().unwrap()).collect();
        let writes: Vec<_> = pairs.iter().map(|(one, _)| one.as_fd()).collect();
        assert_eq!(green::select(&[], &writes).unwrap(), (vec![], (0..100).collect()));
    });
}

#[test]
fn a_number_that_a_closed_file_had_is_waited_for_as_what_it_is_now() {
    test(|| {
        let mut poll = Poll::new().unwrap();
        let file = std::fs::File::open("/etc/hosts").unwrap();
        let number = file.as_raw_fd();
        poll.register(&file, Events::READ).unwrap();
        // In the place of the file from now on.
        let (reader, _writer) = pipe().unwrap();
        let mut place = OwnedFd::from(file);
        rustix::io::dup2(&reader, &mut place).unwrap();
        assert_eq!(place.as_raw_fd(), number);
        poll.register(&place, Events::READ).unwrap();
        assert_eq!(poll.poll_timeout(SHORT).unwrap(), []);
    });
}

#[test]
fn select_in_a_coroutine_holds_nobody_up() {
    test(|| {
        let (reader, mut writer) = pipe().unwrap();
        let selects = waiting(move || green::select(&[reader.as_fd()], &[]).unwrap());
        assert_eq!(green::run(|| 7), 7);
        writer.write_all(b"x").unwrap();
        assert_eq!(selects.get().unwrap(), (vec![0], vec![]));
        let begun = Instant::now();
        let late = green::run(|| green::select_timeout(&[], &[], SHORT).unwrap());
        assert_eq!(late, (vec![], vec![]));
        assert!(begun.elapsed() >= SHORT);
    });
}

#[test]
fn a_poll_keeps_its_descriptors_and_can_change_them() {
    test(|| {
        let (one, other) = green::socketpair().unwrap();
        let mut poll = Poll::new().unwrap();
        poll.register(&one, Events::READ).unwrap();
        assert_eq!(poll.poll_timeout(Duration::ZERO).unwrap(), []);
        poll.register(&one, Events::BOTH).unwrap();
        assert_eq!(poll.poll().unwrap(), [(one.as_fd().as_raw_fd(), Events::WRITE)]);
        (&other).write_all(b"x").unwrap();
        assert_eq!(poll.poll().unwrap(), [(one.as_fd().as_raw_fd(), Events::BOTH)]);
        drop(other);
        let (_, events) = poll.poll().unwrap()[0];
        assert!(events.hangup && events.readable);
        poll.unregister(&one).unwrap();
        assert_eq!(poll.poll_timeout(SHORT).unwrap(), []);
        assert!(poll.unregister(&one).is_err());
        let (gone, _peer) = green::socketpair().unwrap();
        poll.register(&gone, Events::WRITE).unwrap();
        drop(gone);
        assert_eq!(poll.poll_timeout(SHORT).unwrap(), [], "one that is closed drops out");
    });
}

#[test]
fn a_poll_in_a_coroutine_is_woken_by_each_of_many() {
    test(|| {
        let sockets: Vec<_> = (0..20).map(|_| UdpSocket::bind("127.0.0.1:0").unwrap()).collect();
        let addresses: Vec<_> = sockets.iter().map(|socket| socket.local_addr().unwrap()).collect();
        let polls = waiting(move || {
            let mut poll = Poll::new().unwrap();
            for socket in &sockets {
                poll.register(socket, Events::READ).unwrap();
            }
            let mut heard = 0;
            while heard < 20 {
                for (fd, _) in poll.poll().unwrap() {
                    let ready = sockets.iter().find(|socket| socket.as_fd().as_raw_fd() == fd).unwrap();
                    ready.recv(&mut [0; 8]).unwrap();
                    heard += 1;
                }
            }
            heard
        });
        let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
        for address in addresses {
            sender.send_to(b"x", address).unwrap();
            green::yield_now();
        }
        assert_eq!(polls.get().unwrap(), 20);
    });
}
