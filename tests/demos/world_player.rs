//! Players of the demo `world`, in raw frames.

use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpStream};
use std::process::Command;
use std::time::Duration;

use prost::Message;
use rustix::process::Signal;

use crate::common::process::{Process, example};
use crate::common::wire::Wire;
use crate::common::ws_wire::WsWire;
use crate::common::{Peer, frame};

#[path = "../../demo/world/message.rs"]
pub(crate) mod message;
use message::{
    BROAD_CAST, BroadCast, Data, GONE, HAS_MOVED, IS_SEEN, MOVE, Position, SYNC_PID, SYNC_PLAYERS, SyncPid,
    SyncPlayers, TALK, TALKS, Talk,
};

/// The demo's server.
pub(crate) struct World {
    server: Process,
    pub(crate) tcp: SocketAddr,
    pub(crate) websocket: SocketAddr,
}

impl World {
    pub(crate) fn start(workers: &str) -> Self {
        let mut command = Command::new(example("world_server"));
        command.envs([("ZINX_HOST", "127.0.0.1"), ("ZINX_TCPPORT", "0"), ("ZINX_WSPORT", "0")]);
        command.envs([("ZINX_WORKERS", workers), ("ZINX_RESUMEMS", "30000"), ("RUST_LOG", "info,may=warn")]);
        let server = Process::spawn(&mut command);
        let address = || {
            let line = server.wait_for("listening on ");
            let (_, address) = line.split_once("listening on ").unwrap();
            address.split(',').next().unwrap().parse().unwrap()
        };
        let (tcp, websocket) = (address(), address());
        Self { server, tcp, websocket }
    }

    /// Stops the server, which must end well.
    pub(crate) fn stop(self) {
        self.server.kill(Signal::TERM);
        let ended = self.server.end_within(Duration::from_secs(30));
        assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
        assert!(!ended.stderr.contains("panic"), "{}", ended.stderr);
    }

    /// A player over TCP.
    pub(crate) fn player(&self) -> Player {
        Player::enters(Peer::connect(self.tcp))
    }

    /// A player over TCP, who goes to a place at once.
    pub(crate) fn player_at(&self, x: f32, z: f32) -> Player {
        let mut player = self.player();
        player.walk(x, z);
        player
    }

    /// A stream of WebSocket that has not said anything.
    pub(crate) fn web(&self) -> WsWire<TcpStream> {
        web(self.websocket)
    }
}

pub(crate) fn web(server: SocketAddr) -> WsWire<TcpStream> {
    WsWire::over(Peer::connect(server).stream, "ws://localhost/").unwrap()
}

/// What a player is told.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum News {
    IsSeen(i32, [f32; 2]),
    HasMoved(i32, [f32; 2]),
    Says(i32, String),
    Gone(i32),
}

/// A player that has entered.
pub(crate) struct Player<S = TcpStream> {
    pub(crate) peer: Peer<S>,
    pub(crate) pid: i32,
    /// Whom it sees, and where, by all that it has been told so far.
    pub(crate) seen: BTreeMap<i32, [f32; 2]>,
}

impl<S: Wire> Player<S> {
    /// Reads what a player who enters is told: who it is, where it is, and whom it sees, itself among them.
    pub(crate) fn enters(mut peer: Peer<S>) -> Self {
        let (id, data) = peer.read_frame();
        assert_eq!(id, SYNC_PID);
        let pid = SyncPid::decode(&data[..]).unwrap().pid;
        let mut player = Self { peer, pid, seen: BTreeMap::new() };
        let mut at = None;
        let data = loop {
            match player.peer.read_frame() {
                (SYNC_PLAYERS, data) => break data,
                (id, data) => match news(id, &data) {
                    News::IsSeen(of, place) if of == pid => at = Some(place),
                    other => panic!("{other:?}"),
                },
            }
        };
        let seen = SyncPlayers::decode(&data[..]).unwrap().ps;
        player.seen = seen.iter().map(|seen| (seen.pid, ground(seen.p.unwrap()))).collect();
        assert_eq!(player.seen.get(&pid).copied(), at);
        player
    }

    /// Moves, and reads until it has seen itself move.
    pub(crate) fn walk(&mut self, x: f32, z: f32) {
        self.ask_to_walk(x, z);
        while !matches!(self.hear(), News::HasMoved(pid, _) if pid == self.pid) {}
    }

    pub(crate) fn ask_to_walk(&mut self, x: f32, z: f32) {
        self.peer.send(&frame(MOVE, &Position { x, z, y: 1.0, v: 90.0 }.encode_to_vec()));
    }

    pub(crate) fn say(&mut self, content: &str) {
        self.peer.send(&frame(TALK, &Talk { content: content.to_string() }.encode_to_vec()));
    }

    /// The next news, but for those who only [catch up](Self::catch_up).
    pub(crate) fn hear(&mut self) -> News {
        let own = self.pid;
        let all = std::iter::repeat_with(|| self.peer.read_frame()).map(|(id, data)| news(id, &data));
        let is_other = |news: &News| !matches!(news, News::Says(pid, said) if *pid != own && said == ASKED);
        let news = all.into_iter().find(is_other).unwrap();
        match &news {
            // Only those that are seen can move, and nobody is lost twice.
            News::HasMoved(pid, at) => drop(self.seen.insert(*pid, *at).expect("seen before")),
            News::IsSeen(pid, at) => drop(self.seen.insert(*pid, *at)),
            News::Gone(pid) => drop(self.seen.remove(pid).expect("seen before")),
            News::Says(..) => {}
        }
        news
    }

    /// Says something, and reads until it hears that: all that it was to be told before.
    pub(crate) fn catch_up(&mut self) -> Vec<News> {
        self.say(ASKED);
        let own = News::Says(self.pid, ASKED.to_string());
        let all = std::iter::repeat_with(|| self.hear());
        all.take_while(|news| *news != own).collect()
    }
}

/// What those say who only want to hear it.
const ASKED: &str = "?";

/// What a frame says.
pub(crate) fn news(id: u32, data: &[u8]) -> News {
    if id == GONE {
        return News::Gone(SyncPid::decode(data).unwrap().pid);
    }
    assert_eq!(id, BROAD_CAST);
    let BroadCast { pid, tp, data } = BroadCast::decode(data).unwrap();
    match (tp, data.unwrap()) {
        (TALKS, Data::Content(content)) => News::Says(pid, content),
        (IS_SEEN, Data::P(at)) => News::IsSeen(pid, ground(at)),
        (HAS_MOVED, Data::P(at)) => News::HasMoved(pid, ground(at)),
        other => panic!("{other:?}"),
    }
}

fn ground(at: Position) -> [f32; 2] {
    [at.x, at.z]
}
