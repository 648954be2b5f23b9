//! Where peers come in over KCP: they are not accepted from a listener, but appear as datagrams of a conversation that is new.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use super::entrance::Entrance;
use super::listener::cannot_listen;
use crate::error::{Error, Result};
use crate::green::{Event, Thread, Until};
use crate::zconf::Config;
use crate::ziface::TransportKind;
use crate::znet::conn::addresses::Addresses;
use crate::znet::transport::Transport;
use crate::znet::transport::kcp::Companion;
use crate::znet::transport::kcp::link::Link;
use crate::znet::transport::kcp::options::KcpOptions;
use crate::znet::transport::kcp::pump::{Admission, Door, Make, Pump};

/// A UDP socket whose conversations are connections, and its thread.
pub(crate) struct KcpDoor {
    link: Arc<Link>,
    thread: Thread,
}

impl KcpDoor {
    /// Binds to the first of `addresses` that can be had. Nobody is let in yet.
    pub(crate) fn bind(config: &Config, addresses: Vec<SocketAddr>) -> Result<Arc<Link>> {
        let port = addresses.first().map_or(0, SocketAddr::port);
        let bound = Link::bind(addresses, KcpOptions::of(config));
        bound.map_err(|source| cannot_listen(config, port, TransportKind::Kcp, source))
    }

    /// Lets peers in from now on.
    pub(crate) fn open(entrance: &Arc<Entrance>, link: Arc<Link>) -> Result<Self> {
        let (door, local) = (Arc::clone(entrance), link.local_addr());
        let pump = Pump::of_server(&link, Box::new(Entering { entrance: door, local }), {
            entrance.core().config().max_handshakes
        });
        let thread = Thread::start("zinx-kcp", move || pump.run());
        Ok(Self { link, thread: thread.map_err(|source| Error::io("start the thread of KCP", source))? })
    }

    /// Lets nobody in any more. Never waits.
    pub(crate) fn close(&self) {
        self.link.close();
    }

    /// Waits until all that connections have said has arrived, or the time is up, or it is to be hurried. Nobody is heard then.
    pub(crate) fn finish(&self, deadline: Until, hurried: &Event) {
        finish(&self.link, &self.thread, deadline, hurried);
    }
}

/// As [`KcpDoor::finish`], for any link.
pub(super) fn finish(link: &Link, thread: &Thread, deadline: Until, hurried: &Event) {
    link.end();
    while !thread.join_timeout(LOOK_EVERY) {
        if deadline.is_over() || hurried.is_set() {
            link.cut();
            thread.join_timeout(MOMENT);
            return;
        }
    }
}

/// The way from a link to the entrance of its server.
struct Entering {
    entrance: Arc<Entrance>,
    local: SocketAddr,
}

impl Door for Entering {
    fn admit(&self, peer: SocketAddr, make: &mut Make<'_>) -> Admission {
        let entrance = &self.entrance;
        if entrance.has_others_wait() {
            return Admission::Later;
        }
        if !entrance.core().lets_in(peer.ip()) {
            return Admission::Refused;
        }
        let Some(reserved) = entrance.reserve(KCP, None, peer) else { return Admission::Refused };
        let Some(member) = entrance.join_crowd(KCP, None, peer) else { return Admission::Refused };
        let companion = member.map(|member| Box::new(member) as Companion);
        match make(companion) {
            Ok(kcp) => {
                reserved.enter(None, Transport::Kcp(kcp), Addresses::new(self.local, peer));
                Admission::In
            }
            Err(error) => self.refuse(&error),
        }
    }

    fn note_bad(&self) {
        self.entrance.core().counters.bad_datagrams.add();
    }

    fn note_stranger(&self) {
        self.entrance.core().counters.unproved_datagrams.add();
    }

    fn max_conn(&self) -> usize {
        self.entrance.core().config().max_conn
    }
}

impl Entering {
    fn refuse(&self, error: &io::Error) -> Admission {
        self.entrance.core().log_refused(&format_args!("a KCP conversation: {error}"));
        Admission::Refused
    }
}

const KCP: TransportKind = TransportKind::Kcp;

/// How often to look whether the end is to be hurried.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// For a thread that has been told to end.
const MOMENT: Duration = Duration::from_millis(500);
