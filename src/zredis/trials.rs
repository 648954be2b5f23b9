//! A link tried on what stands in for a Redis.

use std::io::{Read, Write};
use std::sync::Arc;
use std::time::Duration;

use redis::{Value, cmd};

use super::address::Address;
use super::link::{Link, MAX_BYTES, MAX_COMMANDS, Opening};
use super::slot::Failed;
use crate::green::{self, Event, Queue, TcpListener};

/// What stands for a Redis: reports how many `PING` each read has, and answers each command with `+OK`, if it is to.
fn stand_in(listener: TcpListener, reads: Arc<Queue<usize>>, answers: Arc<Event>) {
    green::spawn(move || {
        while let Ok((mut stream, _)) = listener.accept() {
            let mut buffer = vec![0; 1 << 20];
            while let Ok(len @ 1..) = stream.read(&mut buffer) {
                let pings = buffer[..len].windows(4).filter(|word| *word == b"PING").count();
                let _ = reads.try_put(pings);
                let commands = buffer[..len].iter().filter(|&&byte| byte == b'*').count();
                if !answers.is_set() {
                    break;
                }
                stream.write_all(&b"+OK\r\n".repeat(commands)).unwrap();
            }
        }
    });
}

#[test]
fn commands_of_one_turn_leave_in_one_write_and_none_is_sent_twice() {
    let (reads, answers, opened) =
        (Arc::new(Queue::unbounded()), Arc::new(Event::new()), Arc::new(Event::new()));
    answers.set();
    let listener = TcpListener::bind("127.0.0.1:0", 16).unwrap();
    let address = Address::parse(&format!("redis://{}", listener.local_addr())).unwrap();
    stand_in(listener, Arc::clone(&reads), Arc::clone(&answers));
    let tell = Arc::clone(&opened);
    let opening = Opening { commands: Box::new(|| vec![cmd("READY")]), opened: Arc::new(move || tell.set()) };
    let link = Link::begin("test", address, opening).unwrap();
    let long = Duration::from_secs(20);
    assert!(opened.wait_timeout(long));
    let commands = vec![cmd("PING"); 500];
    assert!(link.run_all(&commands).iter().all(|answer| *answer == Ok(Value::Okay)));
    // The connection ends before the answer: whether it was done is not known, and it is not sent again.
    answers.clear();
    opened.clear();
    let ended = link.run_within(&cmd("PING"), long);
    assert!(matches!(ended, Err(Failed::Unknown(_))), "{ended:?}");
    answers.set();
    // It connects again by itself.
    assert!(opened.wait_timeout(long));
    assert_eq!(link.run_within(&cmd("PING"), long), Ok(Value::Okay));
    let all = std::iter::from_fn(|| reads.try_get().ok());
    assert_eq!(all.filter(|&pings| pings > 0).collect::<Vec<_>>(), [500, 1, 1]);
    link.end();
    assert!(!link.is_up() && link.tell(&cmd("PING")).is_err());
}

/// Answers the opening, and as many more reads as there are answers.
fn deaf(answers: usize) -> (Link, Arc<Event>) {
    let listener = TcpListener::bind("127.0.0.1:0", 16).unwrap();
    let address = Address::parse(&format!("redis://{}", listener.local_addr())).unwrap();
    green::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let (mut buffer, mut left) = (vec![0; 64 << 10], answers + 1);
        while let Ok(len @ 1..) = stream.read(&mut buffer) {
            // What goes on with a command that has begun has no `*`.
            if left > 0 && buffer[..len].contains(&b'*') {
                left -= 1;
                stream.write_all(b"+OK\r\n").unwrap();
            }
        }
    });
    let opened = Arc::new(Event::new());
    let tell = Arc::clone(&opened);
    let opening = Opening { commands: Box::new(|| vec![cmd("READY")]), opened: Arc::new(move || tell.set()) };
    (Link::begin("test", address, opening).unwrap(), opened)
}

#[test]
fn one_command_may_be_larger_than_what_may_wait() {
    let (link, opened) = deaf(1);
    let long = Duration::from_secs(20);
    assert!(opened.wait_timeout(long));
    let large = cmd("PING").arg(vec![b'x'; MAX_BYTES + 1]).clone();
    assert_eq!(link.run_within(&large, long), Ok(Value::Okay));
    link.end();
}

#[test]
fn what_keeps_a_node_is_sent_also_while_too_many_commands_wait() {
    let (link, opened) = deaf(0);
    assert!(opened.wait_timeout(Duration::from_secs(20)));
    let told = std::iter::from_fn(|| link.tell(&cmd("PING")).ok()).count();
    assert_eq!(told, MAX_COMMANDS);
    assert!(matches!(link.run(&cmd("PING")), Err(Failed::NotSent(_))));
    // It is on its way, and has no answer.
    let renewed = link.run_always(&cmd("PING"));
    assert!(matches!(renewed, Err(Failed::Unknown(_))), "{renewed:?}");
    link.end();
}
