//! The calls that wait.

use std::io::{PipeReader, PipeWriter, Read, Write};
use std::net::TcpStream;
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use zinx::green::{
    self, AsyncResult, Barrier, BoundedSemaphore, Channel, Condition, Event, Events, Group, Poll, Pool,
    Queue, RLock, Select, Semaphore, StreamServer, ThreadPool, Timeout,
};
use zinx::prelude::*;
use zinx::znet::Call;
use zinx::ztimer::TimerScheduler;

use super::common::coroutines::LONG;
use super::common::{Peer, Running, comes_true, frame, start_alone};
use super::{LARGE, client_of, config, server};

type Begin = fn(Duration) -> Wait;

/// Each begins to wait for something.
pub(super) const WAITS: &[(&str, Begin)] = &[
    ("sleep", |d| {
        if d.is_zero() {
            return wait(
                move || {
                    green::sleep(d);
                    false
                },
                || {},
            );
        }
        until_killed(move || green::sleep(d))
    }),
    ("with_timeout", |d| {
        share(Event::new(), move |e| green::with_timeout(d, || e.wait()).is_ok(), Event::set)
    }),
    ("Event::wait_timeout", |d| share(Event::new(), move |e| e.wait_timeout(d), Event::set)),
    ("AsyncResult::wait_timeout", |d| {
        share(AsyncResult::<(), ()>::new(), move |r| r.wait_timeout(d), |r| assert!(r.set(())))
    }),
    ("AsyncResult::get_timeout", |d| {
        share(AsyncResult::<(), ()>::new(), move |r| r.get_timeout(d).is_some(), |r| assert!(r.set(())))
    }),
    ("Semaphore::acquire_timeout", |d| {
        share(Semaphore::new(0), move |s| s.acquire_timeout(d).is_some(), Semaphore::release)
    }),
    ("BoundedSemaphore::acquire_timeout", |d| {
        let semaphore = BoundedSemaphore::new(1);
        let permit = semaphore.acquire();
        wait(move || semaphore.acquire_timeout(d).is_some(), || drop(permit))
    }),
    ("RLock::acquire_timeout", |d| {
        let lock: &'static RLock = Box::leak(Box::default());
        let held = lock.acquire();
        wait(move || lock.acquire_timeout(d).is_some(), || drop(held))
    }),
    ("Condition::acquire_timeout", |d| {
        let condition: &'static Condition = Box::leak(Box::default());
        let held = condition.acquire();
        wait(move || condition.acquire_timeout(d).is_some(), || drop(held))
    }),
    ("ConditionGuard::wait_timeout", |d| {
        share(
            Condition::new(AtomicBool::new(false)),
            move |c| {
                let held = c.acquire();
                held.store(true, Ordering::Relaxed);
                held.wait_timeout(d)
            },
            |c| {
                // It lets the lock go when it waits.
                comes_true(LONG, || c.acquire().load(Ordering::Relaxed));
                c.acquire().notify(1);
            },
        )
    }),
    ("ConditionGuard::wait_for_timeout", |d| {
        share(
            Condition::new(AtomicBool::new(false)),
            move |c| c.acquire().wait_for_timeout(|set| set.load(Ordering::Relaxed), d),
            |c| {
                let held = c.acquire();
                held.store(true, Ordering::Relaxed);
                held.notify_all();
            },
        )
    }),
    ("Barrier::wait_timeout", |d| {
        share(Barrier::new(2), move |b| b.wait_timeout(d).is_ok(), |b| assert!(b.wait().is_ok()))
    }),
    ("Queue::get_timeout", |d| {
        share(Queue::bounded(1), move |q| q.get_timeout(d).is_ok(), |q| q.put(1).unwrap())
    }),
    ("Queue::peek_timeout", |d| {
        share(Queue::bounded(1), move |q| q.peek_timeout(d).is_ok(), |q| q.put(1).unwrap())
    }),
    ("Queue::put_timeout", |d| {
        let queue = Queue::bounded(1);
        queue.put(1).unwrap();
        share(queue, move |q| q.put_timeout(2, d).is_ok(), |q| assert!(q.get().is_some()))
    }),
    ("Queue::join_timeout", |d| {
        let queue = Queue::bounded(1);
        queue.put(1).unwrap();
        share(queue, move |q| q.join_timeout(d), Queue::task_done)
    }),
    ("Channel::get_timeout", |d| {
        share(Channel::new(), move |c| c.get_timeout(d).is_ok(), |c| c.put(1).unwrap())
    }),
    ("Channel::put_timeout", |d| {
        share(Channel::new(), move |c| c.put_timeout(1, d).is_ok(), |c| assert_eq!(c.get(), Some(1)))
    }),
    ("Coroutine::join_timeout", |d| for_the_end(move |waits| waits.coroutine().join_timeout(d))),
    ("Greenlet::join_timeout", |d| for_the_end(move |waits| waits.join_timeout(d))),
    ("Greenlet::get_timeout", |d| for_the_end(move |waits| waits.get_timeout(d).is_ok())),
    ("joinall_timeout", |d| for_the_end(move |waits| green::joinall_timeout(&[waits], d))),
    ("wait_any_timeout", |d| for_the_end(move |waits| green::wait_any_timeout(&[&waits], d).is_some())),
    ("wait_timeout", |d| for_the_end(move |waits| !green::wait_timeout(&[&waits], 1, d).is_empty())),
    ("IWaitAny::timeout", |d| {
        for_the_end(move |waits| green::iwait_any(&[&waits]).timeout(d).next().is_some())
    }),
    ("Timeout::new", |d| {
        share(
            Event::new(),
            move |e| {
                let timeout = Timeout::new(d);
                timeout.start();
                timeout.run(|| e.wait()).is_ok()
            },
            Event::set,
        )
    }),
    ("Timeout::start_new", |d| {
        share(Event::new(), move |e| Timeout::start_new(d).run(|| e.wait()).is_ok(), Event::set)
    }),
    ("Timeout::renew", |d| {
        let renewed = move |e: &Event| {
            let timeout = Timeout::start_new(LONG);
            timeout.renew(d);
            timeout.run(|| e.wait()).is_ok()
        };
        share(Event::new(), renewed, Event::set)
    }),
    ("Select::after", |d| {
        for_the_end(move |waits| Select::new().on(&waits, |()| true).after(d, || false).wait())
    }),
    ("Coroutine::kill_timeout", |d| {
        share(Arc::new(Event::new()), move |e| started(stubborn(e)).coroutine().kill_timeout(d), |e| e.set())
    }),
    ("Greenlet::kill_timeout", |d| {
        share(Arc::new(Event::new()), move |e| started(stubborn(e)).kill_timeout(d), |e| e.set())
    }),
    ("Greenlet::kill_with_timeout", |d| {
        let kills = move |e: &Arc<Event>| started(stubborn(e)).kill_with_timeout("it is time", d);
        share(Arc::new(Event::new()), kills, |e| e.set())
    }),
    ("killall_timeout", |d| {
        let kills = move |e: &Arc<Event>| green::killall_timeout(&[started(stubborn(e))], d);
        share(Arc::new(Event::new()), kills, |e| e.set())
    }),
    ("Pool::add_timeout", |d| {
        let (member, other) = (green::spawn(|| Event::new().wait()), green::spawn(|| Event::new().wait()));
        let full = Pool::new(1);
        full.add(member.coroutine());
        share(
            full,
            move |p| p.add_timeout(other.coroutine(), d),
            move |p| assert!(p.killone(member.coroutine())),
        )
    }),
    ("Pool::wait_available_timeout", |d| {
        let full = Pool::new(1);
        full.spawn(|| Event::new().wait());
        share(full, move |p| p.wait_available_timeout(d) > 0, Pool::kill)
    }),
    ("ThreadPool::join_timeout", |d| {
        share(Arc::new(Event::new()), move |e| thread_pool(e).join_timeout(d), |e| e.set())
    }),
    ("ThreadPool::kill_timeout", |d| {
        share(Arc::new(Event::new()), move |e| thread_pool(e).kill_timeout(d), |e| e.set())
    }),
    ("Group::join_timeout", |d| {
        share(Arc::new(Event::new()), move |e| group(e).join_timeout(d), |e| e.set())
    }),
    ("Group::kill_timeout", |d| {
        share(Arc::new(Event::new()), move |e| group(e).kill_timeout(d), |e| e.set())
    }),
    ("Pool::join_timeout", |d| share(Arc::new(Event::new()), move |e| pool(e).join_timeout(d), |e| e.set())),
    ("Pool::kill_timeout", |d| share(Arc::new(Event::new()), move |e| pool(e).kill_timeout(d), |e| e.set())),
    ("wait_read_timeout", |d| {
        let (reader, mut writer) = std::io::pipe().unwrap();
        wait(move || green::wait_read_timeout(&reader, d).unwrap(), move || writer.write_all(b"x").unwrap())
    }),
    ("wait_write_timeout", |d| {
        let (reader, writer) = full_pipe();
        wait(move || green::wait_write_timeout(&writer, d).unwrap(), move || empty(&reader))
    }),
    ("select_timeout", |d| {
        let (reader, mut writer) = std::io::pipe().unwrap();
        let selects = move || green::select_timeout(&[reader.as_fd()], &[], d).unwrap().0 == [0];
        wait(selects, move || writer.write_all(b"x").unwrap())
    }),
    ("Poll::poll_timeout", |d| {
        let (reader, mut writer) = std::io::pipe().unwrap();
        let polls = move || {
            let mut poll = Poll::new().unwrap();
            poll.register(&reader, Events::READ).unwrap();
            !poll.poll_timeout(d).unwrap().is_empty()
        };
        wait(polls, move || writer.write_all(b"x").unwrap())
    }),
    ("TcpStream::connect_timeout", |d| {
        // There is no answer while the backlog is full.
        let full = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        full.bind(&std::net::SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
        full.listen(0).unwrap();
        let address = full.local_addr().unwrap().as_socket().unwrap();
        let held = TcpStream::connect(address).unwrap();
        let connect = move || {
            let _kept = (&full, &held);
            green::TcpStream::connect_timeout(address, d).is_ok()
        };
        // Once there is room again, the system takes its time to try.
        if d.is_zero() { wait(connect, || {}) } else { until_killed(move || assert!(connect())) }
    }),
    ("Popen::wait_timeout", |d| {
        let mut cat = std::process::Command::new("cat");
        cat.stdin(std::process::Stdio::piped());
        let mut cat = green::subprocess::Popen::new(cat).unwrap();
        let stdin = cat.stdin.take();
        wait(move || cat.wait_timeout(d).unwrap().is_some(), move || drop(stdin))
    }),
    ("DatagramServer::stop", |d| {
        let (event, begun) = (Arc::new(Event::new()), Arc::new(Event::new()));
        let (theirs, tell) = (Arc::clone(&event), Arc::clone(&begun));
        let server = green::DatagramServer::bind("127.0.0.1:0").unwrap();
        server
            .start(move |_, _, _| {
                tell.set();
                theirs.wait();
                Ok(())
            })
            .unwrap();
        server.socket().send_to(b"x", server.local_addr()).unwrap();
        assert!(begun.wait_timeout(LONG));
        wait(move || server.stop(d), move || event.set())
    }),
    ("StreamServer::stop", |d| {
        let (event, begun) = (Arc::new(Event::new()), Arc::new(Event::new()));
        let (theirs, tell) = (Arc::clone(&event), Arc::clone(&begun));
        let server = StreamServer::bind("127.0.0.1:0").unwrap();
        let handler = move |_, _| {
            tell.set();
            theirs.wait();
            Ok(())
        };
        server.start(handler).unwrap();
        let peer = TcpStream::connect(server.local_addr()).unwrap();
        assert!(begun.wait_timeout(LONG));
        wait(
            move || server.stop(d),
            move || {
                event.set();
                drop(peer);
            },
        )
    }),
    ("Client::wait_connected", |d| {
        let running = start_alone(config(), |_| {});
        let client = client_of(&running);
        let theirs = client.clone();
        wait(move || theirs.wait_connected(d).is_some(), move || keep(running, || client.start().unwrap()))
    }),
    ("Client::wait_stopped", |d| {
        let running = start_alone(config(), |_| {});
        let client = client_of(&running);
        client.start().unwrap();
        let theirs = client.clone();
        wait(move || theirs.wait_stopped(d), move || keep(running, || client.stop()))
    }),
    ("Server::wait_stopped", |d| {
        let server = server();
        server.start().unwrap();
        share(server, move |s| s.wait_stopped(d), |s| s.stop())
    }),
    ("IConnection::wait_closed", |d| {
        on_connection(move |conn| conn.wait_closed(d).unwrap(), |_| {}, |peer| peer.finish())
    }),
    ("IContext::wait_done_timeout", |d| {
        on_connection(move |conn| conn.context().wait_done_timeout(d), |_| {}, |peer| peer.finish())
    }),
    ("IConnection::send_buff_msg_timeout", |d| {
        on_connection(move |conn| conn.send_buff_msg_timeout(6, vec![0; LARGE], d).is_ok(), fill, drain)
    }),
    ("IConnection::send_to_queue_timeout", |d| {
        on_connection(move |conn| conn.send_to_queue_timeout(vec![0; LARGE], d).is_ok(), fill, drain)
    }),
    ("IConnection::call", |d| on_connection(move |conn| conn.call(7, "?", 8, d).is_ok(), |_| {}, answer)),
    ("Cluster::run_on", |d| {
        let cluster = server().cluster();
        let event = Arc::new(Event::new());
        let theirs = Arc::clone(&event);
        let task = move |_: &zinx::znet::ClusterTask| {
            theirs.wait();
            Ok(Vec::new())
        };
        cluster.add_task(1, task).unwrap();
        wait(move || cluster.run_on(&cluster.node_name(), 1, "", d).is_ok(), move || event.set())
    }),
    ("Call::new", |d| in_handler(d, |conn, d| conn.call_with(7, "?", 8, Call::new(d)).is_ok(), answer)),
    ("Session::with_timeout", |d| {
        let (tell, ended) = mpsc::channel();
        let running = start_alone(config(), |server| {
            let session = move |s: &mut Session| {
                let _ = tell.send(s.with_timeout(d, |s| s.recv_id(5)).is_ok());
                Ok(())
            };
            server.on_session(session).unwrap();
        });
        let mut peer = running.connect();
        Wait { ended, end: Box::new(move || keep(running, || peer.send(&frame(5, b"")))) }
    }),
    ("RawStream::set_timeout", |d| {
        in_handler(
            d,
            |conn, d| {
                let read = conn.take_over(|stream| {
                    stream.set_timeout(Some(d));
                    Ok(stream.read(&mut [0; 1])?)
                });
                read.is_ok()
            },
            |peer| peer.stream.write_all(b"x").unwrap(),
        )
    }),
    ("TimerScheduler::stop", |d| {
        let (timers, event, begun) = (TimerScheduler::new(), Arc::new(Event::new()), Arc::new(Event::new()));
        let (theirs, tell) = (Arc::clone(&event), Arc::clone(&begun));
        let work = move || {
            tell.set();
            theirs.wait();
        };
        timers.create_timer_after(Duration::ZERO, work);
        assert!(begun.wait_timeout(LONG));
        wait(move || timers.stop(d), move || event.set())
    }),
];

/// A call that waits, and what gives it what it waits for.
pub(super) struct Wait {
    /// Whether that came, before the time was up.
    pub(super) ended: mpsc::Receiver<bool>,
    pub(super) end: Box<dyn FnOnce()>,
}

/// Begins a call on a coroutine.
fn wait(call: impl FnOnce() -> bool + Send + 'static, end: impl FnOnce() + 'static) -> Wait {
    let (tell, ended) = mpsc::channel();
    green::spawn(move || tell.send(call()));
    Wait { ended, end: Box::new(end) }
}

/// As [`wait`], for two that share a thing.
fn share<T: Send + Sync + 'static>(
    thing: T,
    call: impl FnOnce(&T) -> bool + Send + 'static,
    end: impl FnOnce(&T) + 'static,
) -> Wait {
    let thing = Arc::new(thing);
    let theirs = Arc::clone(&thing);
    wait(move || call(&theirs), move || end(&thing))
}

/// A call that is ended with the coroutine that waits: nothing else ends it.
fn until_killed(call: impl FnOnce() + Send + 'static) -> Wait {
    let (tell, ended) = mpsc::channel();
    let waits = green::spawn(call);
    waits.on_exit(move |exit| tell.send(exit == green::Exit::Killed).unwrap_or_default());
    Wait { ended, end: Box::new(move || waits.kill()) }
}

/// Coroutines that wait for an event.
fn waiting(event: &Arc<Event>) -> green::Greenlet<()> {
    let event = Arc::clone(event);
    green::spawn(move || event.wait())
}

/// A call that waits for, or kills, coroutines that will not end before a shielded part is done.
fn for_the_end(call: impl FnOnce(green::Greenlet<()>) -> bool + Send + 'static) -> Wait {
    let event = Arc::new(Event::new());
    let waits = waiting(&event);
    wait(move || call(waits), move || event.set())
}

/// A coroutine that takes no notice of a kill until the event is set.
fn stubborn(event: &Arc<Event>) -> impl FnOnce() + Send + 'static {
    let event = Arc::clone(event);
    move || {
        while !event.is_set() {
            let _ = std::panic::catch_unwind(green::yield_now);
        }
    }
}

/// A server whose handler of message 5 does `handle` with the time; the first message 5 has been sent.
fn in_handler(
    time: Duration,
    handle: impl Fn(&Arc<dyn IConnection>, Duration) -> bool + Send + Sync + 'static,
    end: impl FnOnce(&mut Peer) + 'static,
) -> Wait {
    let (tell, ended) = mpsc::channel();
    let running = start_alone(config(), |server| {
        let router = move |request: &dyn IRequest| {
            tell.send(handle(request.get_connection(), time)).map_err(|_| Error::Stopped)
        };
        server.add_router(5, router).unwrap();
    });
    let mut peer = running.connect();
    peer.send(&frame(5, b""));
    Wait { ended, end: Box::new(move || keep(running, || end(&mut peer))) }
}

/// A call on a server's connection, from elsewhere.
fn on_connection(
    call: impl FnOnce(Arc<dyn IConnection>) -> bool + Send + 'static,
    prepare: impl FnOnce(&Arc<dyn IConnection>),
    end: impl FnOnce(&mut Peer) + 'static,
) -> Wait {
    let running = start_alone(config(), |_| {});
    let mut peer = running.connect();
    let conn = running.conn(peer.addr());
    prepare(&conn);
    wait(move || call(conn), move || keep(running, || end(&mut peer)))
}

/// Answers the call, once it has come.
fn answer(peer: &mut Peer) {
    assert_eq!(peer.read_frame().0, 7);
    peer.send(&frame(8, b"!"));
}

/// Keeps a server until something is done, and longer: what was done is still to arrive.
fn keep(running: Running, act: impl FnOnce()) {
    act();
    std::thread::spawn(move || {
        std::thread::sleep(LONG);
        drop(running);
    });
}

/// Fills the queue of a connection whose peer does not read, and what the system keeps behind it.
fn fill(conn: &Arc<dyn IConnection>) {
    while comes_true(Duration::from_millis(200), || conn.try_send_msg(6, [0; 4000]).is_ok()) {}
}

/// Reads what there is, until nothing has come for a while.
fn drain(peer: &mut Peer) {
    let mut stream = peer.stream.try_clone().unwrap();
    std::thread::spawn(move || while stream.read(&mut [0; 65_536]).is_ok_and(|n| n > 0) {});
}

fn started(body: impl FnOnce() + Send + 'static) -> green::Greenlet<()> {
    let begun = Arc::new(Event::new());
    let tell = Arc::clone(&begun);
    let started = green::spawn(move || {
        tell.set();
        body();
    });
    begun.wait();
    started
}

fn group(event: &Arc<Event>) -> Group {
    let group = Group::new();
    let (begun, body) = (Arc::new(Event::new()), stubborn(event));
    let tell = Arc::clone(&begun);
    let member = move || {
        tell.set();
        body();
    };
    group.spawn(green::Builder::new(), member).unwrap();
    begun.wait();
    group
}

/// A pipe that takes nothing more.
fn full_pipe() -> (PipeReader, PipeWriter) {
    let (reader, writer) = std::io::pipe().unwrap();
    while green::wait_write_timeout(&writer, Duration::ZERO).unwrap() {
        (&writer).write_all(&[0; 4096]).unwrap();
    }
    (reader, writer)
}

/// Takes out of a pipe what it has.
fn empty(mut reader: &PipeReader) {
    // The end can be read forever.
    while green::wait_read_timeout(reader, Duration::ZERO).unwrap()
        && reader.read(&mut [0; 4096]).unwrap() > 0
    {}
}

fn thread_pool(event: &Arc<Event>) -> ThreadPool {
    let (pool, begun) = (ThreadPool::new(1), Arc::new(Event::new()));
    let (tell, event) = (Arc::clone(&begun), Arc::clone(event));
    pool.spawn(move || {
        tell.set();
        event.wait();
    });
    begun.wait();
    pool
}

fn pool(event: &Arc<Event>) -> Pool {
    let pool = Pool::new(1);
    let (begun, body) = (Arc::new(Event::new()), stubborn(event));
    let tell = Arc::clone(&begun);
    pool.spawn(move || {
        tell.set();
        body();
    });
    begun.wait();
    pool
}
