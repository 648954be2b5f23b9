//! A stream server on a Unix socket: what only Unix sockets have. What it shares with TCP is in `server`.

use std::fs::{self, File};
use std::io::{ErrorKind, Read, Write};
use std::path::PathBuf;
use std::sync::Arc;

use crate::common::coroutines::{LONG, within};
use crate::places::name;
use zinx::green::{self, AsyncResult, StreamServer, UnixListener, UnixStream};

#[test]
fn the_file_is_there_while_the_server_listens_and_no_longer() {
    within(60, || {
        let path = path();
        let server = bind(&path);
        assert!(path.exists(), "clients can connect before the start");
        server.start(|mut stream, _| stream.write_all(b"hello")).unwrap();
        assert_eq!(said_at(&path), "hello");
        server.stop_accepting();
        assert!(!path.exists());
        server.restart().unwrap();
        assert_eq!(said_at(&path), "hello");
        assert!(server.stop(LONG) && server.stop(LONG));
        assert!(!path.exists());

        let theirs = server.clone();
        server.restart().unwrap();
        drop(theirs);
        assert!(path.exists(), "a clone that goes ends nothing");
        assert!(server.stop(LONG));

        drop(bind(&path));
        assert!(!path.exists(), "one that was never started gives it back too");
    });
}

#[test]
fn a_file_that_has_taken_the_place_of_the_servers_own_stays() {
    within(60, || {
        let path = path();
        let server = bind(&path);
        server.start(|_, _| Ok(())).unwrap();
        fs::remove_file(&path).unwrap();
        let other = UnixListener::bind(&path, 1).unwrap();
        assert!(server.stop(LONG));
        assert!(path.exists());
        assert_eq!(server.restart().unwrap_err().kind(), ErrorKind::AddrInUse);
        drop(other);
        assert!(path.exists(), "a listener without a server leaves its file");
        assert_eq!(StreamServer::bind_unix(&path).unwrap_err().kind(), ErrorKind::AddrInUse);
        fs::remove_file(&path).unwrap();
        File::create(&path).unwrap();
        assert_eq!(StreamServer::bind_unix(&path).unwrap_err().kind(), ErrorKind::AddrInUse);
        fs::remove_file(&path).unwrap();
        server.restart().unwrap();
        assert!(server.stop(LONG));
    });
}

#[test]
fn the_handler_is_given_the_peers_path_which_is_empty_if_it_has_none() {
    within(60, || {
        for is_abstract in [true, false] {
            let path = if is_abstract { PathBuf::from(format!("\0{}", name())) } else { path() };
            let server = bind(&path);
            assert_eq!(server.local_addr(), path);
            assert!(format!("{server:?}").contains("zinx-server-"));
            let heard = Arc::new(AsyncResult::<PathBuf>::new());
            let tells = Arc::clone(&heard);
            let handler = move |stream: UnixStream, peer: PathBuf| {
                assert_eq!(stream.peer_addr()?, peer);
                tells.set(peer);
                Ok(())
            };
            server.start(handler).unwrap();
            let _nameless = UnixStream::connect(&path).unwrap();
            assert_eq!(heard.get().unwrap(), PathBuf::new());
            assert!(server.stop(LONG));
        }
    });
}

#[test]
fn the_backlog_bounds_those_who_wait_to_be_accepted() {
    within(60, || {
        let path = path();
        let server = bind(&path).backlog(0).unwrap();
        let mut first = UnixStream::connect(&path).unwrap();
        let theirs = path.clone();
        let second = green::spawn(move || said_at(&theirs));
        assert!(!second.join_timeout(std::time::Duration::from_millis(20)), "the system has no room for it");
        server.start(|mut stream, _| stream.write_all(b"hello")).unwrap();
        assert_eq!(second.get().unwrap(), "hello");
        let mut said = String::new();
        first.read_to_string(&mut said).unwrap();
        assert_eq!(said, "hello");
        assert!(server.stop(LONG));
    });
}

#[test]
fn a_path_that_cannot_be_bound_says_why() {
    within(60, || {
        let missing = path().join("no such folder");
        assert_eq!(StreamServer::bind_unix(missing).unwrap_err().kind(), ErrorKind::NotFound);
        let long = std::env::temp_dir().join("x".repeat(200));
        assert!(StreamServer::bind_unix(long).is_err());
    });
}

fn bind(path: &PathBuf) -> StreamServer<UnixStream> {
    StreamServer::bind_unix(path).unwrap()
}

/// What a server says to one that connects.
fn said_at(path: &PathBuf) -> String {
    let mut said = String::new();
    UnixStream::connect(path).unwrap().read_to_string(&mut said).unwrap();
    said
}

fn path() -> PathBuf {
    std::env::temp_dir().join(name())
}
