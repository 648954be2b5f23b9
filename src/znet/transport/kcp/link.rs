//! A UDP socket that conversations share, with its clock, and how its thread is called.

use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, bind, connect, getsockname, recvfrom, send,
    sendto, socket_with,
};
use socket2::SockRef;

use super::fec::Fec;
use super::options::KcpOptions;
use super::session::Session;
use crate::green::stood_still;
use crate::lock::Lock;

/// A UDP socket, which conversations share.
pub(crate) struct Link {
    udp: OwnedFd,
    local: SocketAddr,
    /// Only this peer is heard.
    peer: Option<SocketAddr>,
    /// Ends the sleep of the thread.
    bell: OwnedFd,
    /// Until when it sleeps, in milliseconds of the clock; 0 while it is awake.
    sleeps_until: AtomicU64,
    /// Sessions that it is to look at.
    noted: Lock<Vec<Arc<Session>>>,
    closed: AtomicBool,
    ends: AtomicBool,
    is_cut: AtomicBool,
    /// The thread has ended.
    is_over: AtomicBool,
    began: Instant,
    stood_still: Duration,
    pub(super) options: KcpOptions,
    pub(super) fec: Option<Arc<Fec>>,
}

impl Link {
    /// Binds to the first of `addresses` that can be had.
    pub(crate) fn bind(addresses: Vec<SocketAddr>, options: KcpOptions) -> io::Result<Arc<Self>> {
        let mut last = io::ErrorKind::NotFound.into();
        for address in addresses {
            let bound = udp_socket(address).and_then(|udp| Ok(bind(&udp, &address).map(|()| udp)?));
            match bound {
                Ok(udp) => return Self::new(udp, None, options),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    /// Binds to any port, to speak to one peer.
    pub(crate) fn connect(peer: SocketAddr, options: KcpOptions) -> io::Result<Arc<Self>> {
        let udp = udp_socket(peer)?;
        connect(&udp, &peer)?;
        Self::new(udp, Some(peer), options)
    }

    fn new(udp: OwnedFd, peer: Option<SocketAddr>, options: KcpOptions) -> io::Result<Arc<Self>> {
        let fec = options.fec.and_then(|(data, parity)| Fec::new(data, parity));
        if options.fec.is_some() && fec.is_none() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "no such number of shards"));
        }
        // As much as the system allows: a burst of all peers has to wait here.
        let _ = SockRef::from(&udp).set_recv_buffer_size(RECV_BUFFER_BYTES);
        Ok(Arc::new(Self {
            local: SocketAddr::try_from(getsockname(&udp)?)?,
            udp,
            peer,
            bell: eventfd(0, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC)?,
            sleeps_until: AtomicU64::new(0),
            noted: Lock::default(),
            closed: AtomicBool::new(false),
            ends: AtomicBool::new(peer.is_some()),
            is_cut: AtomicBool::new(false),
            is_over: AtomicBool::new(false),
            began: Instant::now(),
            stood_still: stood_still(),
            options,
            fec,
        }))
    }

    pub(crate) const fn local_addr(&self) -> SocketAddr {
        self.local
    }

    pub(super) const fn peer(&self) -> Option<SocketAddr> {
        self.peer
    }

    /// Milliseconds in which the process has run.
    pub(super) fn now(&self) -> u64 {
        let stood_still = stood_still().saturating_sub(self.stood_still);
        let ran = self.began.elapsed().saturating_sub(stood_still);
        u64::try_from(ran.as_millis()).unwrap_or(u64::MAX)
    }

    /// Sends a datagram. One that the system does not take is lost, as any may be.
    pub(super) fn send(&self, datagram: &[u8], to: SocketAddr) {
        let _ = match self.peer {
            Some(_) => send(&self.udp, datagram, SEND),
            None => sendto(&self.udp, datagram, SEND, &to),
        };
    }

    /// The next datagram, without waiting: how long it is, and from whom.
    pub(super) fn receive(&self, buf: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        let (len, _, from) = recvfrom(&self.udp, buf, RecvFlags::DONTWAIT)?;
        let from = from.and_then(|from| SocketAddr::try_from(from).ok()).or(self.peer);
        Ok((len, from.ok_or(io::ErrorKind::Unsupported)?))
    }

    /// Has the thread look at a session that is not noted yet, and at those that are, at a time of the clock at the latest. From
    /// any thread.
    pub(super) fn note(&self, session: Option<Arc<Session>>, at: u64) {
        {
            let mut noted = self.noted.lock();
            // Under the lock: a session that is noted behind the end would hold the link, which it is held by, and its descriptors.
            if self.is_over.load(Ordering::SeqCst) {
                return;
            }
            noted.extend(session);
        }
        self.call_before(at);
    }

    fn call_before(&self, at: u64) {
        if at < self.sleeps_until.load(Ordering::SeqCst) {
            // Fails only once 2^64 rings were not heard.
            let _ = rustix::io::write(&self.bell, &1_u64.to_ne_bytes());
        }
    }

    pub(super) fn take_noted(&self) -> Vec<Arc<Session>> {
        std::mem::take(&mut *self.noted.lock())
    }

    /// Sleeps until something has come, somebody calls, or it is `until`. `false` if there is nothing to do any more: `is_empty`
    /// says whether there are no sessions. By the thread.
    pub(super) fn sleep(&self, until: u64, is_empty: bool) -> bool {
        self.sleeps_until.store(until.max(1), Ordering::SeqCst);
        if self.is_cut.load(Ordering::SeqCst) || is_empty && self.ends.load(Ordering::SeqCst) {
            return false;
        }
        let is_called = !self.noted.lock().is_empty();
        let left = if is_called { 0 } else { until.saturating_sub(self.now()).min(LONGEST_SLEEP) };
        let left = Duration::from_millis(left);
        let timeout = Timespec { tv_sec: left.as_secs().cast_signed(), tv_nsec: left.subsec_nanos().into() };
        let mut fds = [PollFd::new(&self.udp, PollFlags::IN), PollFd::new(&self.bell, PollFlags::IN)];
        // An interrupted one looks around, and comes back.
        let _ = poll(&mut fds, Some(&timeout));
        let is_rung = !fds[1].revents().is_empty();
        self.sleeps_until.store(0, Ordering::SeqCst);
        if is_rung {
            let _ = rustix::io::read(&self.bell, &mut [0; 8]);
        }
        true
    }

    /// The thread has ended: nobody is noted any more.
    pub(super) fn note_over(&self) {
        self.close();
        let noted = {
            let mut noted = self.noted.lock();
            self.is_over.store(true, Ordering::SeqCst);
            std::mem::take(&mut *noted)
        };
        drop(noted);
    }

    /// Lets nobody in from now on. Never waits.
    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::Release);
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// Has the thread end once all that was said has arrived.
    pub(crate) fn end(&self) {
        self.close();
        self.ends.store(true, Ordering::SeqCst);
        self.call_before(0);
    }

    /// Has the thread end now.
    pub(crate) fn cut(&self) {
        self.is_cut.store(true, Ordering::SeqCst);
        self.end();
    }
}

fn udp_socket(address: SocketAddr) -> io::Result<OwnedFd> {
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    Ok(socket_with(family, SocketType::DGRAM, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK, None)?)
}

const SEND: SendFlags = SendFlags::DONTWAIT.union(SendFlags::NOSIGNAL);

const RECV_BUFFER_BYTES: usize = 4 << 20;

/// In milliseconds.
const LONGEST_SLEEP: u64 = 60_000;
