//! Which sessions a link has, and what is known of peers that have none.

use std::collections::{HashMap, HashSet, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use super::session::Session;
use crate::znet::conn::addresses::network;

/// The address of a peer, and the number of its conversation.
pub(super) type Key = (SocketAddr, u32);

/// The sessions of a link. By address first: parity belongs to an address, and says nothing of a conversation.
#[derive(Default)]
pub(super) struct Sessions(HashMap<SocketAddr, Vec<Arc<Session>>>);

impl Sessions {
    pub(super) fn find(&self, (peer, conv): Key) -> Option<&Arc<Session>> {
        self.0.get(&peer)?.iter().find(|session| session.conv == conv)
    }

    /// The last one that began at an address.
    pub(super) fn last_of(&self, peer: SocketAddr) -> Option<&Arc<Session>> {
        self.0.get(&peer)?.last()
    }

    pub(super) fn add(&mut self, session: Arc<Session>) {
        self.0.entry(session.peer).or_default().push(session);
    }

    pub(super) fn remove(&mut self, (peer, conv): Key) {
        if let Some(sessions) = self.0.get_mut(&peer) {
            sessions.retain(|session| session.conv != conv);
            if sessions.is_empty() {
                self.0.remove(&peer);
            }
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &Arc<Session>> {
        self.0.values().flatten()
    }
}

/// The first datagrams of peers that have not shown yet that they receive at their address: kept so that they need not be sent
/// again. A peer whose datagrams are not kept sends them again.
pub(super) struct Early {
    most: usize,
    kept: HashMap<Key, Vec<Vec<u8>>>,
    /// By age.
    order: VecDeque<Key>,
    of_address: HashMap<IpAddr, usize>,
}

impl Early {
    pub(super) fn new(most: usize) -> Self {
        Self { most, kept: HashMap::new(), order: VecDeque::new(), of_address: HashMap::new() }
    }

    /// Keeps one, if there is room. The oldest peer makes room for a new one, if that is not one too many of its address.
    pub(super) fn keep(&mut self, key: Key, datagram: &[u8]) {
        if let Some(datagrams) = self.kept.get_mut(&key) {
            if datagrams.len() < DATAGRAMS_OF_A_PEER {
                datagrams.push(datagram.to_vec());
            }
            return;
        }
        let count = self.of_address.entry(network(key.0.ip())).or_default();
        if *count >= PEERS_OF_AN_ADDRESS {
            return;
        }
        *count += 1;
        self.kept.insert(key, vec![datagram.to_vec()]);
        self.order.push_back(key);
        if self.kept.len() > self.most
            && let Some(oldest) = self.order.front().copied()
        {
            self.take(oldest);
        }
    }

    pub(super) fn has(&self, key: Key) -> bool {
        self.kept.contains_key(&key)
    }

    /// Takes what is kept of a peer.
    pub(super) fn take(&mut self, key: Key) -> Vec<Vec<u8>> {
        let Some(datagrams) = self.kept.remove(&key) else { return Vec::new() };
        self.order.retain(|other| *other != key);
        let ip = network(key.0.ip());
        if let Some(count) = self.of_address.get_mut(&ip) {
            *count -= 1;
            if *count == 0 {
                self.of_address.remove(&ip);
            }
        }
        datagrams
    }
}

/// Conversations that ended a while ago: a datagram of one of them that comes late must not begin it again.
#[derive(Default)]
pub(super) struct Gone {
    keys: HashSet<Key>,
    /// When each ended, in milliseconds.
    order: VecDeque<(u64, Key)>,
}

impl Gone {
    pub(super) fn add(&mut self, key: Key, now: u64) {
        if self.keys.insert(key) {
            self.order.push_back((now, key));
        }
        if self.order.len() > MOST_GONE {
            self.forget_first();
        }
    }

    pub(super) fn has(&mut self, key: Key, now: u64) -> bool {
        while self.order.front().is_some_and(|(at, _)| at + REMEMBERED < now) {
            self.forget_first();
        }
        self.keys.contains(&key)
    }

    fn forget_first(&mut self) {
        if let Some((_, key)) = self.order.pop_front() {
            self.keys.remove(&key);
        }
    }
}

const DATAGRAMS_OF_A_PEER: usize = 4;

const PEERS_OF_AN_ADDRESS: usize = 32;

const MOST_GONE: usize = 16_384;

/// In milliseconds.
const REMEMBERED: u64 = 60_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn key(host: u8, port: u16) -> Key {
        (SocketAddr::from(([10, 0, 0, host], port)), 7)
    }

    #[test]
    fn what_is_kept_of_strangers_is_bounded_altogether_and_for_each_address() {
        let mut early = Early::new(40);
        for port in 0..1000 {
            early.keep(key(1, port), b"first");
        }
        assert_eq!(early.kept.len(), PEERS_OF_AN_ADDRESS);
        for host in 2..=9 {
            early.keep(key(host, 1), b"first");
        }
        for _ in 0..10 {
            early.keep(key(9, 1), b"more");
        }
        // The ninth address took the place of the oldest peer.
        early.keep(key(10, 1), b"first");
        assert!(
            (early.kept.len(), early.order.len()) == (40, 40)
                && !early.has(key(1, 0))
                && early.has(key(1, 1))
        );
        assert_eq!(early.take(key(9, 1)).len(), DATAGRAMS_OF_A_PEER);
        assert!(early.take(key(9, 1)).is_empty());
        for port in 0..1000 {
            early.take(key(1, port));
        }
        (2..=10).for_each(|host| drop(early.take(key(host, 1))));
        // On a socket for both, addresses of IPv4 come in the form of IPv6.
        for host in 0..64 {
            let peer = std::net::Ipv4Addr::new(10, 0, 0, host).to_ipv6_mapped();
            early.keep((SocketAddr::from((peer, 1)), 7), b"first");
        }
        assert_eq!(early.kept.len(), 40);
        for (key, _) in std::mem::take(&mut early.kept) {
            early.kept.insert(key, Vec::new());
            early.take(key);
        }
        assert!(early.kept.is_empty() && early.order.is_empty() && early.of_address.is_empty());
    }

    #[test]
    fn what_has_gone_is_remembered_for_a_while() {
        let mut gone = Gone::default();
        gone.add(key(1, 1), 0);
        assert!(gone.has(key(1, 1), REMEMBERED) && !gone.has(key(1, 2), 0));
        assert!(!gone.has(key(1, 1), REMEMBERED + 1));
        (0..50_000_u16).for_each(|port| gone.add(key(2, port), 0));
        assert!(gone.keys.len() == MOST_GONE && gone.order.len() == MOST_GONE && gone.has(key(2, 49_999), 0));
    }
}
