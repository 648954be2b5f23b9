//! A chat: a login, rooms with a history, private messages. A second login of a user closes the older connection.
//!
//! What one client sends is shown to others, so it is cut to a line without control characters, and an empty room is
//! forgotten: no member can write into another's terminal, or fill the memory with rooms.
//!
//! Run it: `cargo run --example chat_server`, and in a second terminal `cargo run --example chat_client`

use std::collections::{HashMap, VecDeque};
use std::process::ExitCode;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use zinx::green::RLock;
use zinx::prelude::*;
use zinx::ziface::CloseReason;

mod text;
use text::text;

/// What clients send: a name; a room; a line; a name, a space and a line; nothing.
const LOGIN: u32 = 1;
const JOIN: u32 = 10;
const SAY: u32 = 11;
const WHISPER: u32 = 12;
const LEAVE: u32 = 13;
/// What they get: lines.
const LINE: u32 = 20;

/// Lines a room remembers, characters of a name, and rooms.
const HISTORY: usize = 20;
const LONGEST_NAME: usize = 32;
const MOST_ROOMS: usize = 1000;

#[derive(Clone, Default)]
struct Chat {
    /// Held by a member that joins or speaks, so that all hear what is remembered, in one order.
    turn: Arc<RLock>,
    history: Arc<Mutex<HashMap<String, VecDeque<String>>>>,
}

impl Chat {
    fn login(request: &dyn IRequest) -> Result<()> {
        let (conn, name) = (request.get_connection(), text(request));
        if name.is_empty() || name.contains(char::is_whitespace) || name.chars().count() > LONGEST_NAME {
            return conn.send_msg(LINE, format!("a name is one word of at most {LONGEST_NAME} letters"));
        }
        conn.login(&name, OnDuplicate::KickOld)?;
        conn.send_msg(LINE, format!("welcome, {name}"))
    }

    fn join(&self, request: &dyn IRequest) -> Result<()> {
        let (conn, room) = (request.get_connection(), text(request));
        self.leave(conn, "has left")?;
        let _turn = self.turn.acquire();
        let known = self.history().get(&room).cloned();
        if known.is_none() && self.history().len() >= MOST_ROOMS {
            return conn.send_msg(LINE, "there are too many rooms: join one that is there");
        }
        for line in known.into_iter().flatten() {
            conn.try_send_msg(LINE, line)?;
        }
        conn.join_group(&room)?;
        self.tell(conn, &room, "has come")
    }

    fn say(&self, request: &dyn IRequest) -> Result<()> {
        let conn = request.get_connection();
        match conn.get_groups().first() {
            Some(room) => self.tell(conn, room, &format!("says: {}", text(request))),
            None => conn.send_msg(LINE, "join a room first"),
        }
    }

    fn whisper(request: &dyn IRequest) -> Result<()> {
        let (conn, text) = (request.get_connection(), text(request));
        let (to, line) = text.split_once(' ').unwrap_or((&text, ""));
        match conn.sessions().by_user(to) {
            Some(other) => other.try_send_msg(LINE, format!("{} whispers: {line}", name(conn))),
            None => conn.send_msg(LINE, format!("{to} is not here")),
        }
    }

    /// Leaves the room, and tells those who stay. The last one forgets its history.
    fn leave(&self, conn: &Arc<dyn IConnection>, what: &str) -> Result<()> {
        let _turn = self.turn.acquire();
        for room in conn.get_groups() {
            conn.leave_group(&room);
            conn.get_group(&room).broadcast(LINE, format!("{} {what}", name(conn)))?;
            if conn.get_group(&room).is_empty() {
                self.history().remove(&*room);
            }
        }
        Ok(())
    }

    /// The last words to those who stay, and to one who was thrown out.
    fn goodbye(&self, conn: &Arc<dyn IConnection>) -> Result<()> {
        self.leave(conn, "has gone")?;
        match conn.get_close_reason() {
            Some(reason @ CloseReason::LoggedInElsewhere) => conn.send_msg(LINE, reason.to_string()),
            _ => Ok(()),
        }
    }

    /// Tells all in a room, and those that join later.
    fn tell(&self, conn: &Arc<dyn IConnection>, room: &str, what: &str) -> Result<()> {
        let _turn = self.turn.acquire();
        let line = format!("{} {what}", name(conn));
        conn.get_group(room).broadcast(LINE, &line)?;
        let mut history = self.history();
        let lines = history.entry(room.to_string()).or_default();
        lines.push_back(line);
        lines.drain(..lines.len().saturating_sub(HISTORY));
        Ok(())
    }

    fn history(&self) -> MutexGuard<'_, HashMap<String, VecDeque<String>>> {
        self.history.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn name(conn: &Arc<dyn IConnection>) -> String {
    conn.get_user().map_or_else(|| "somebody".to_string(), |uid| uid.to_string())
}

fn serve() -> Result<()> {
    let (server, chat) = (new_server()?, Chat::default());
    let (joining, saying, leaving, going) = (chat.clone(), chat.clone(), chat.clone(), chat);
    server.add_router(LOGIN, Chat::login)?;
    server.require_login(JOIN..=LEAVE, Refusal::answer(LINE, "log in first"))?;
    server.add_router(JOIN, move |request: &dyn IRequest| joining.join(request))?;
    server.add_router(SAY, move |request: &dyn IRequest| saying.say(request))?;
    server.add_router(WHISPER, Chat::whisper)?;
    server.add_router(LEAVE, move |request: &dyn IRequest| {
        leaving.leave(request.get_connection(), "has left")
    })?;
    server.set_on_conn_stop(move |conn| going.goodbye(conn));
    server.serve()
}

fn main() -> ExitCode {
    env_logger::Builder::from_env(env_logger::Env::default().default_filter_or("info,may=warn")).init();
    exit(serve())
}
