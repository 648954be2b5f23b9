//! A node in a process of its own, and what is asked of it.

use std::net::SocketAddr;
use std::process::Command;
use std::time::Duration;

use rustix::process::Signal;
use zinx::Server;
use zinx::prelude::*;
use zinx::znet::Delivery;

use crate::common::child::{as_child, is_child};
use crate::common::config;
use crate::common::process::Process;
use crate::wire::Wire;

/// Requests: a user; a user and a number; a number; nothing; users.
pub(crate) const LOGIN: u32 = 2;
pub(crate) const PUSH: u32 = 20;
pub(crate) const BROADCAST: u32 = 21;
pub(crate) const STATE: u32 = 22;
pub(crate) const ONLINE: u32 = 23;
pub(crate) const JOIN: u32 = 24;
/// What users and members get: a number.
pub(crate) const PUSHED: u32 = 30;
pub(crate) const TOLD_ALL: u32 = 31;

/// Is a node from now on, if this process was started by [`Member::start`] for the test of this name.
pub(crate) fn serve_as_child(test: &str) {
    if !is_child(test) {
        return;
    }
    env_logger::init();
    let mut config = config();
    config.cluster = std::env::var(URL).unwrap();
    config.node_name = std::env::var(NODE).unwrap();
    let server = new_server_with_config(config).unwrap();
    set_up(&server).unwrap();
    server.start().unwrap();
    loop {
        std::thread::park();
    }
}

fn set_up(server: &Server) -> Result<()> {
    server.add_router(LOGIN, |request: &dyn IRequest| {
        let conn = request.get_connection();
        let said = conn.login(request.text()?, OnDuplicate::KickOld);
        conn.send_msg(LOGIN, said.map_or_else(|error| error.to_string(), |()| "in".to_string()))
    })?;
    server.add_router(PUSH, |request: &dyn IRequest| {
        let conn = request.get_connection();
        let (user, number) = request.text()?.split_once(' ').ok_or("no number")?;
        let number: u32 = number.parse().map_err(|_| "no number")?;
        let said = match conn.cluster().user(user).push(PUSHED, number.to_le_bytes()) {
            Ok(Delivery::Delivered) => "delivered".to_string(),
            Ok(Delivery::Full) => "full".to_string(),
            Ok(Delivery::Offline) => "offline".to_string(),
            Ok(_) => "unknown".to_string(),
            Err(error) => error.to_string(),
        };
        conn.send_msg(PUSH, said)
    })?;
    server.add_router(BROADCAST, |request: &dyn IRequest| {
        let conn = request.get_connection();
        let said = conn.cluster().group("all").broadcast(TOLD_ALL, request.get_data())?;
        conn.send_msg(BROADCAST, said.others_told.to_string())
    })?;
    server.add_router(JOIN, |request: &dyn IRequest| {
        request.get_connection().join_group("all")?;
        request.get_connection().send_msg(JOIN, "")
    })?;
    server.add_router(ONLINE, |request: &dyn IRequest| {
        let conn = request.get_connection();
        let said = conn.cluster().online(request.text()?.split(' '));
        conn.send_msg(ONLINE, said.map_or_else(|error| error.to_string(), |online| format!("{online:?}")))
    })?;
    let state = state_of(server);
    server.add_router(STATE, move |request: &dyn IRequest| request.get_connection().send_msg(STATE, state()))
}

/// What is counted, and behind it the users that are logged in, one for each login.
fn state_of(server: &Server) -> impl Fn() -> String + use<> {
    let (sessions, cluster, conns) = (server.sessions(), server.cluster(), server.get_conn_mgr());
    move || {
        let stats = cluster.stats();
        let lost = stats.entries_lost + stats.entries_unsent + stats.leases_lost;
        let mut lines = vec![format!("{} {lost} {}", stats.is_connected, conns.len())];
        for user in sessions.users() {
            let logins = sessions.all_of(&user).into_iter().filter(|conn| conn.is_logged_in());
            lines.extend(logins.map(|_| user.to_string()));
        }
        lines.join("\n")
    }
}

/// A node in a process of its own, killed at the end of the test.
pub(crate) struct Member {
    test: &'static str,
    url: String,
    name: &'static str,
    process: Process,
}

/// What a node says of itself.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) is_connected: bool,
    pub(crate) connections: usize,
    /// Gaps of every kind.
    pub(crate) lost: usize,
    /// The user of each login.
    pub(crate) logins: Vec<String>,
}

impl Member {
    pub(crate) fn start(test: &'static str, url: String, name: &'static str) -> Self {
        let process = Self::process(test, &url, name);
        Self { test, url, name, process }
    }

    fn process(test: &str, url: &str, name: &str) -> Process {
        let mut command = Command::new(std::env::current_exe().unwrap());
        Process::listening(as_child(&mut command, test).env(URL, url).env(NODE, name))
    }

    /// Begins again, after it was killed: once the lease of its earlier life is over.
    pub(crate) fn start_again(&mut self) {
        self.process = Self::process(self.test, &self.url, self.name);
    }

    pub(crate) const fn address(&self) -> SocketAddr {
        self.process.address
    }

    pub(crate) fn signal(&self, signal: Signal) {
        self.process.kill(signal);
    }

    /// Its descriptors, without those of connections, and its memory in KiB.
    pub(crate) fn resources(&self) -> (usize, usize) {
        let connections = self.state().map_or(0, |state| state.connections);
        (self.process.open_files().saturating_sub(connections), self.process.resident_kib())
    }

    /// What it says of itself. `None` if it says nothing in time.
    pub(crate) fn state(&self) -> Option<State> {
        let said = Wire::open(self.address()).ok()?.ask(STATE, b"", MOMENT).ok()??;
        let mut lines = said.lines();
        let [is_connected, lost, connections] = lines.next()?.split(' ').collect::<Vec<_>>()[..] else {
            return None;
        };
        Some(State {
            is_connected: is_connected == "true",
            connections: connections.parse().ok()?,
            lost: lost.parse().ok()?,
            logins: lines.map(str::to_string).collect(),
        })
    }

    /// Which of these users are online, as it knows it.
    pub(crate) fn online(&self, users: &[String]) -> Option<String> {
        Wire::open(self.address()).ok()?.ask(ONLINE, users.join(" ").as_bytes(), MOMENT).ok()?
    }

    /// What becomes of a message that it sends to a user.
    pub(crate) fn push(&self, user: &str, number: u32) -> Option<String> {
        Wire::open(self.address()).ok()?.ask(PUSH, format!("{user} {number}").as_bytes(), MOMENT).ok()?
    }
}

const URL: &str = "ZINX_TEST_REDIS";
const NODE: &str = "ZINX_TEST_NODE";
const MOMENT: Duration = Duration::from_secs(5);
