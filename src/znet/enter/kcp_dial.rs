//! How a client comes in over KCP: with a UDP socket of its own, and a conversation whose peer answers.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use super::kcp_door::finish;
use super::target::Shaking;
use crate::green::{Alarm, Event, Readiness, Thread, Until};
use crate::lock::Lock;
use crate::znet::conn::addresses::Addresses;
use crate::znet::transport::Transport;
use crate::znet::transport::kcp::Kcp;
use crate::znet::transport::kcp::link::Link;
use crate::znet::transport::kcp::options::KcpOptions;
use crate::znet::transport::kcp::pump::Pump;

/// The links of a client: that of its connection, and those that still say what was to be said.
pub(crate) struct KcpDial {
    options: KcpOptions,
    links: Lock<Vec<(Arc<Link>, Thread)>>,
}

impl KcpDial {
    pub(crate) fn new(options: KcpOptions) -> Self {
        Self { options, links: Lock::default() }
    }

    /// Begins a conversation with the first of `addresses` that answers, in the coroutine that calls. `Interrupted` once it is
    /// called off.
    pub(super) fn dial(
        &self,
        addresses: &[SocketAddr],
        until: Until,
        shaking: &Shaking,
    ) -> io::Result<(Transport, Addresses)> {
        let mut last = io::ErrorKind::NotFound.into();
        for (tried, address) in addresses.iter().enumerate() {
            let left = u32::try_from(addresses.len() - tried).unwrap_or(u32::MAX);
            let share = until.left().map_or(Until::never(), |time| Until::after(time / left));
            match self.dial_one(*address, share, shaking) {
                Err(error) if error.kind() != io::ErrorKind::Interrupted => last = error,
                ended => return ended,
            }
        }
        Err(last)
    }

    fn dial_one(
        &self,
        address: SocketAddr,
        until: Until,
        shaking: &Shaking,
    ) -> io::Result<(Transport, Addresses)> {
        let link = Link::connect(address, self.options.clone())?;
        let (pump, kcp) = Pump::of_client(&link, conversation_number())?;
        let thread = Thread::start("zinx-kcp", move || pump.run())?;
        let local = link.local_addr();
        let mut links = self.links.lock();
        links.retain(|(_, thread)| !thread.join_timeout(Duration::ZERO));
        links.push((link, thread));
        drop(links);
        shaking.note(Some(kcp.socket()));
        let opened = wait_until_open(&kcp, until, shaking);
        shaking.note(None);
        opened.map(|()| (Transport::Kcp(kcp), Addresses::new(local, address)))
    }

    /// Waits until all that was said has arrived, or the time is up, or it is to be hurried.
    pub(crate) fn finish(&self, deadline: Until, hurried: &Event) {
        let links = std::mem::take(&mut *self.links.lock());
        for (link, thread) in &links {
            finish(link, thread, deadline, hurried);
        }
    }
}

fn wait_until_open(kcp: &Kcp, until: Until, shaking: &Shaking) -> io::Result<()> {
    let mut alarm = None;
    while !kcp.is_open()? {
        if shaking.is_off() {
            return Err(io::ErrorKind::Interrupted.into());
        }
        if until.is_over() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        Alarm::keep(&mut alarm, kcp.socket(), until);
        kcp.socket().wait_unless_unwinding(Readiness::ANY)?;
    }
    Ok(())
}

/// A number that no other conversation of this address had lately; the keys of a hasher are as random as the system can make them.
fn conversation_number() -> u32 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one(0_u8) as u32
}
