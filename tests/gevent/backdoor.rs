//! `gevent.backdoor`. A plain thread types what a person would.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use zinx::green::{self, BackdoorServer, Builder, Event, Runtime};

use super::common::coroutines::LONG;
use super::common::port::ReservedPort;
use super::{SHORT, comes_true, test, until_it};

/// Who types.
struct Person(TcpStream);

impl Person {
    /// Connects, and hears the banner.
    fn at(backdoor: &BackdoorServer) -> (Self, String) {
        let mut person = Self::before(backdoor.local_addr());
        let banner = person.hear();
        (person, banner)
    }

    fn before(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(LONG)).unwrap();
        Self(stream)
    }

    /// Types a line, and hears what is answered up to the next prompt.
    fn ask(&mut self, line: &str) -> String {
        self.type_(line);
        self.hear()
    }

    fn type_(&mut self, line: &str) {
        self.0.write_all(format!("{line}\r\n").as_bytes()).unwrap();
    }

    fn hear(&mut self) -> String {
        let mut heard = Vec::new();
        while !heard.ends_with(PROMPT) {
            let mut byte = [0];
            self.0.read_exact(&mut byte).unwrap();
            heard.push(byte[0]);
        }
        heard.truncate(heard.len() - PROMPT.len());
        String::from_utf8(heard).unwrap()
    }

    /// Hears all up to the end of the session.
    fn hear_out(mut self) -> String {
        let mut heard = Vec::new();
        // Hung up on with something unread, the system may reset the connection behind what was said.
        let _ = self.0.read_to_end(&mut heard);
        String::from_utf8(heard).unwrap()
    }
}

const PROMPT: &[u8] = b">>> ";

fn backdoor() -> BackdoorServer {
    let backdoor = BackdoorServer::bind("127.0.0.1:0").unwrap();
    backdoor.start().unwrap();
    backdoor
}

/// A coroutine of this name that waits for an event, and ends when it is set.
fn waiter(name: &'static str) -> (green::Greenlet<()>, Arc<Event>) {
    let event = Arc::new(Event::new());
    let theirs = Arc::clone(&event);
    let greenlet = Builder::new().name(name).spawn(move || theirs.wait()).unwrap();
    until_it(greenlet.coroutine(), "waits for an event");
    (greenlet, event)
}

#[test]
fn the_backdoor_says_what_coroutines_do() {
    test(|| {
        let backdoor = backdoor();
        let (first, open) = waiter("backdoor waiter 1");
        let (second, also_open) = waiter("backdoor waiter 2");
        let (mut person, banner) = Person::at(&backdoor);
        assert!(banner.contains("backdoor") && banner.contains("help"), "{banner}");
        assert_eq!(person.ask("ls backdoor waiter").trim(), "2  \"backdoor waiter N\" waits for an event");
        let ids = [&first, &second].map(|greenlet| greenlet.coroutine().id());
        let expected = format!(
            "{} \"backdoor waiter 1\" waits for an event\n{} \"backdoor waiter 2\" waits for an event\n",
            ids[0], ids[1]
        );
        assert_eq!(person.ask("dump backdoor waiter"), expected);
        assert!(person.ask("dump").contains(&expected[..expected.len() / 2]));
        assert!(person.ask("ls").contains("\"backdoor waiter N\""));
        assert_eq!(person.ask("ls nobody has this in a name"), "");
        open.set();
        also_open.set();
        first.join();
        second.join();
        assert_eq!(person.ask("dump backdoor waiter"), "");
        assert!(backdoor.stop(LONG));
    });
}

#[test]
fn the_backdoor_kills_by_name_or_number_and_never_the_wrong_one() {
    test(|| {
        let backdoor = backdoor();
        let (named, _open) = waiter("backdoor victim");
        let (twin, _open) = waiter("backdoor twin");
        let (other, _open) = waiter("backdoor twin");
        let (mut person, _) = Person::at(&backdoor);
        let said = person.ask("kill \"backdoor victim\"");
        assert!(said.ends_with("waits for an event: killed\n"), "{said}");
        assert_eq!(named.coroutine().kill_reason().as_deref(), Some("killed at the backdoor"));
        assert!(named.get().is_err());
        let said = person.ask("kill backdoor twin");
        assert!(said.starts_with("2 are called so, take a number: "), "{said}");
        assert!(!twin.ready() && !other.ready());
        let number = other.coroutine().id();
        assert!(said.contains(&number.to_string()), "{said}");
        assert!(person.ask(&format!("kill {number}")).contains("killed"));
        assert!(other.ready() && !twin.ready());
        assert_eq!(person.ask("kill backdoor victim"), "no coroutine is called \"backdoor victim\"\n");
        assert!(person.ask("kill").starts_with("which one?"));
        // The poller of a worker is the runtime's own.
        let pollers = person.ask("dump poller");
        let poller = pollers.split(' ').next().unwrap();
        assert!(person.ask(&format!("kill {poller}")).contains("it is not killed"), "{pollers}");
        twin.kill();
        assert!(backdoor.stop(LONG));
    });
}

#[test]
fn a_kill_at_the_backdoor_of_one_that_never_waits_is_not_waited_for() {
    test(|| {
        let backdoor = backdoor();
        let ends = Arc::new(AtomicBool::new(false));
        let theirs = Arc::clone(&ends);
        let computes = Builder::new().name("backdoor computer").spawn(move || spin_until(&theirs)).unwrap();
        until_it(computes.coroutine(), "runs");
        let (mut person, _) = Person::at(&backdoor);
        let said = person.ask("kill backdoor computer");
        assert!(said.contains("asked to end, which it has not within 1s: it runs"), "{said}");
        ends.store(true, Ordering::Relaxed);
        computes.join();
        assert!(backdoor.stop(LONG));
    });
}

#[test]
fn the_backdoor_traces_a_coroutine_to_its_end() {
    test(|| {
        let backdoor = backdoor();
        let (traced, open) = waiter("backdoor traced");
        let (mut person, _) = Person::at(&backdoor);
        person.type_("trace backdoor traced");
        let mut heard = String::new();
        while !heard.contains("waits for an event") {
            let mut buf = [0; 256];
            let n = person.0.read(&mut buf).unwrap();
            assert!(n > 0, "{heard}");
            heard += std::str::from_utf8(&buf[..n]).unwrap();
        }
        assert!(heard.starts_with("looks every 10 ms for 30 s"), "{heard}");
        open.set();
        assert!(person.hear().contains("has returned"));
        traced.join();
        let (endless, _open) = waiter("backdoor endless");
        person.type_("trace backdoor endless");
        let said = person.ask("");
        assert!(
            said.contains("waits for an event") && !said.contains("no command"),
            "a line ends it: {said}"
        );
        assert!(person.ask("trace nobody").starts_with("no coroutine is called"));
        endless.kill();
        assert!(backdoor.stop(LONG));
    });
}

#[test]
fn the_backdoor_counts_and_helps() {
    test(|| {
        let backdoor = BackdoorServer::bind("localhost:0").unwrap().banner("the chat server");
        let backdoor = backdoor.stats(|| "rooms 3\nevil \u{1b}[2J".to_string());
        backdoor.start().unwrap();
        let (mut person, banner) = Person::at(&backdoor);
        assert_eq!(banner, "the chat server\n");
        let said = person.ask("stats");
        for line in ["coroutines ", "fair yields ", "stalls ", "rooms 3\n", "evil \\u{1b}[2J\n"] {
            assert!(said.contains(line), "{line}: {said}");
        }
        let help = person.ask("help");
        for command in ["ls", "dump", "trace NAME", "kill NAME", "stats", "quit"] {
            assert!(help.lines().any(|line| line.starts_with(command)), "{command}: {help}");
        }
        assert_eq!(person.ask("?"), help);
        assert_eq!(person.ask(""), "");
        assert_eq!(person.ask("reboot now"), "no command \"reboot\": type help\n");
        person.type_("quit");
        assert_eq!(person.hear_out(), "");
        comes_true(|| backdoor.is_empty());
        let panics = backdoor.stats(|| panic!("no numbers today"));
        let (mut person, _) = Person::at(&panics);
        assert!(person.ask("stats").contains("the program's stats panicked: no numbers today"));
        assert!(panics.stop(LONG));
    });
}

/// Names may come from peers.
#[test]
fn the_backdoor_escapes_what_would_steer_a_terminal() {
    test(|| {
        let backdoor = backdoor();
        let (named, _open) = waiter("backdoor \u{1b}[31m\r\nred\u{202e}");
        let (mut person, _) = Person::at(&backdoor);
        let said = person.ask("dump backdoor \\u{1b}") + &person.ask("ls backdoor \\u{1b}");
        assert_eq!(said.lines().count(), 2, "{said:?}");
        assert!(said.chars().all(|c| c == '\n' || !c.is_control() && c != '\u{202e}'), "{said:?}");
        let said = person.ask("\u{1b}[2Jls");
        assert_eq!(said, "no command \"\\u{1b}[2Jls\": type help\n");
        assert!(
            person.ask("kill backdoor \\u{1b}[31m\\r\\nred\\u{202e}").contains("killed"),
            "as it is printed"
        );
        assert!(named.ready() && backdoor.stop(LONG));
    });
}

#[test]
fn a_backdoor_is_for_this_machine_alone() {
    test(|| {
        for open in ["0.0.0.0:0", "[::]:0", "192.0.2.1:0", "[::ffff:127.0.0.1]:0"] {
            let refused = BackdoorServer::bind(open).unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::InvalidInput, "{open}");
            assert!(refused.to_string().contains("no password"), "{refused}");
        }
        assert!(backdoor().local_addr().ip().is_loopback());
        assert_eq!(BackdoorServer::bind(&[][..]).unwrap_err().kind(), ErrorKind::NotFound);
    });
}

#[test]
fn a_backdoor_hangs_up_on_those_who_type_too_much_or_nothing() {
    test(|| {
        let backdoor = backdoor();
        let (mut person, _) = Person::at(&backdoor);
        assert!(person.ask(&"x".repeat(1000)).starts_with("no command"));
        let (mut person, _) = Person::at(&backdoor);
        person.0.write_all(&[b'x'; 1200]).unwrap();
        assert_eq!(person.hear_out(), "a line has at most 1024 bytes\n");
        let (mut browser, _) = Person::at(&backdoor);
        browser.type_("POST / HTTP/1.1");
        assert_eq!(browser.hear_out(), "this is no web server\n");
        let (mut person, _) = Person::at(&backdoor);
        person.0.write_all(b"\xff\xfd\x01no\xc3telnet\n").unwrap();
        assert!(person.hear().starts_with("no command"));
        let backdoor = backdoor.idle(SHORT);
        let (person, _) = Person::at(&backdoor);
        assert_eq!(person.hear_out(), "no line for 20ms\n");
        assert!(backdoor.stop(LONG));
    });
}

#[test]
fn a_backdoor_has_room_for_a_few() {
    test(|| {
        let backdoor = backdoor().max_sessions(2);
        let (first, _) = Person::at(&backdoor);
        let (mut second, _) = Person::at(&backdoor);
        assert_eq!(backdoor.len(), 2);
        let refused = Person::before(backdoor.local_addr()).hear_out();
        assert_eq!(refused, "2 sessions are open already, as many as may be\n");
        assert!(second.ask("help").contains("quit"));
        drop(first);
        comes_true(|| backdoor.len() == 1);
        let (mut third, _) = Person::at(&backdoor);
        assert!(third.ask("help").contains("quit"));
        assert!(backdoor.stop(LONG));
    });
}

#[test]
fn a_backdoor_stops_with_its_sessions_and_starts_again() {
    test(|| {
        let port = ReservedPort::new();
        let backdoor = BackdoorServer::bind(port.address).unwrap();
        backdoor.start().unwrap();
        backdoor.start().unwrap();
        let (person, _) = Person::at(&backdoor);
        assert!(backdoor.stop(LONG) && backdoor.stop(LONG) && backdoor.is_empty());
        assert_eq!(person.hear_out(), "");
        assert!(TcpStream::connect(backdoor.local_addr()).is_err());
        backdoor.start().unwrap();
        let (mut person, _) = Person::at(&backdoor);
        assert!(person.ask("help").contains("quit"));
        assert_eq!(BackdoorServer::bind(backdoor.local_addr()).unwrap_err().kind(), ErrorKind::AddrInUse);
        assert!(format!("{backdoor:?}").contains("sessions: 1"));
        assert!(backdoor.stop(LONG));
    });
}

#[test]
fn a_backdoor_that_is_stopped_waits_for_no_code_of_the_program() {
    test(|| {
        let (entered, open) = (Arc::new(Event::new()), Arc::new(Event::new()));
        let (tells, gate) = (Arc::clone(&entered), Arc::clone(&open));
        let backdoor = backdoor().stats(move || {
            tells.set();
            gate.wait();
            String::new()
        });
        let (mut person, _) = Person::at(&backdoor);
        person.type_("stats");
        entered.wait();
        assert!(!backdoor.stop(SHORT));
        open.set();
        comes_true(|| backdoor.is_empty());
        assert!(backdoor.stop(Duration::ZERO));
    });
}

/// That is when it is needed.
#[test]
fn the_backdoor_answers_while_every_worker_is_held() {
    test(|| {
        let backdoor = backdoor();
        let (workers, ends) = (Runtime::current().unwrap().workers, Arc::new(AtomicBool::new(false)));
        // Twice as many: some may begin on one worker.
        let holders: Vec<_> = (0..2 * workers)
            .map(|_| {
                let ends = Arc::clone(&ends);
                Builder::new().name("backdoor holder").spawn(move || spin_until(&ends)).unwrap()
            })
            .collect();
        let (mut person, _) = Person::at(&backdoor);
        while person.ask("dump backdoor holder").matches("runs").count() < workers {}
        assert!(person.ask("stats").contains("runs "));
        ends.store(true, Ordering::Relaxed);
        holders.iter().for_each(green::Greenlet::join);
        assert!(backdoor.stop(LONG));
    });
}

/// Computes, and gives up its worker for nobody.
fn spin_until(ends: &AtomicBool) {
    while !ends.load(Ordering::Relaxed) {
        std::thread::yield_now();
    }
}
