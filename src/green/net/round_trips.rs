//! How long the round trip to the peer of a TCP socket takes, as the system has measured it.
//!
//! `getsockopt(TCP_INFO)` would need `unsafe`. The system tells the same over a netlink socket (`sock_diag(7)`), in two calls.

use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use rustix::net::netlink::SOCK_DIAG;
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, getpeername, getsockname, recv, send,
    socket_with,
};

use super::socket::Socket;

/// A way to ask the system for round trips.
pub(crate) struct RoundTrips(Option<OwnedFd>);

impl RoundTrips {
    /// Where the system lets nobody ask, as in some containers, it knows none.
    pub(crate) fn new() -> Self {
        let socket =
            socket_with(AddressFamily::NETLINK, SocketType::DGRAM, SocketFlags::CLOEXEC, Some(SOCK_DIAG));
        Self(socket.ok())
    }

    /// The smoothed round trip to the peer of a TCP socket; `None` if it is not known.
    pub(crate) fn of(&self, socket: &Socket) -> Option<Duration> {
        let diag = self.0.as_ref()?;
        let local = SocketAddr::try_from(getsockname(socket.as_fd()).ok()?).ok()?;
        let peer = SocketAddr::try_from(getpeername(socket.as_fd()).ok()??).ok()?;
        send(diag, &question(local, peer), SendFlags::empty()).ok()?;
        let mut answer = [0; ANSWER_BYTES];
        // The answer is there when the question has been sent.
        let (len, _) = recv(diag, &mut answer, RecvFlags::DONTWAIT).ok()?;
        round_trip(answer.get(..len)?)
    }
}

/// `struct nlmsghdr` and `struct inet_diag_req_v2`: asks for the `tcp_info` of one socket.
fn question(local: SocketAddr, peer: SocketAddr) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(QUESTION_BYTES);
    bytes.extend((QUESTION_BYTES as u32).to_ne_bytes());
    bytes.extend(SOCK_DIAG_BY_FAMILY.to_ne_bytes());
    bytes.extend(NLM_F_REQUEST.to_ne_bytes());
    // Sequence and port: there is one question at a time.
    bytes.extend([0; 8]);
    let family = if local.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    bytes.extend([family.as_raw() as u8, IPPROTO_TCP, 1 << (INET_DIAG_INFO - 1), 0]);
    // In any state.
    bytes.extend(u32::MAX.to_ne_bytes());
    bytes.extend(local.port().to_be_bytes());
    bytes.extend(peer.port().to_be_bytes());
    for address in [local, peer] {
        let mut field = [0; 16];
        match address.ip() {
            IpAddr::V4(ip) => field[..4].copy_from_slice(&ip.octets()),
            IpAddr::V6(ip) => field = ip.octets(),
        }
        bytes.extend(field);
    }
    let interface = if let SocketAddr::V6(local) = local { local.scope_id() } else { 0 };
    bytes.extend(interface.to_ne_bytes());
    // INET_DIAG_NOCOOKIE
    bytes.extend([0xff; 8]);
    bytes
}

/// The field `tcpi_rtt` of an answer.
fn round_trip(answer: &[u8]) -> Option<Duration> {
    let number = |bytes: &[u8]| bytes.try_into().map(u16::from_ne_bytes).ok();
    if number(answer.get(4..6)?)? != SOCK_DIAG_BY_FAMILY {
        return None;
    }
    let mut attributes = answer.get(HEAD_BYTES + SOCKET_BYTES..)?;
    loop {
        let len = usize::from(number(attributes.get(..2)?)?);
        let value = attributes.get(4..len)?;
        if number(attributes.get(2..4)?)? == INET_DIAG_INFO {
            let micros = u32::from_ne_bytes(value.get(RTT_AT..RTT_AT + 4)?.try_into().ok()?);
            return (micros > 0).then(|| Duration::from_micros(micros.into()));
        }
        attributes = attributes.get(len.next_multiple_of(4)..)?;
    }
}

const SOCK_DIAG_BY_FAMILY: u16 = 20;
const NLM_F_REQUEST: u16 = 1;
const INET_DIAG_INFO: u16 = 2;
const IPPROTO_TCP: u8 = 6;

/// Sizes of `nlmsghdr`, of the question with it, and of `inet_diag_msg`.
const HEAD_BYTES: usize = 16;
const QUESTION_BYTES: usize = HEAD_BYTES + 56;
const SOCKET_BYTES: usize = 72;

/// Where `tcpi_rtt` is in `tcp_info`.
const RTT_AT: usize = 68;

/// More than an answer has.
const ANSWER_BYTES: usize = 2048;

#[cfg(test)]
#[expect(clippy::disallowed_types, reason = "a plain thread asks for its own sockets")]
mod tests {
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn a_socket_over_ipv4_and_over_ipv6_has_a_round_trip() {
        let trips = RoundTrips::new();
        for (listens, peer) in [("127.0.0.1:0", "127.0.0.1"), ("[::]:0", "::1"), ("[::]:0", "127.0.0.1")] {
            let Ok(listener) = TcpListener::bind(listens) else {
                println!("skipped: there is no {listens}");
                continue;
            };
            let address: IpAddr = peer.parse().unwrap();
            let mut client = TcpStream::connect((address, listener.local_addr().unwrap().port())).unwrap();
            let (mut served, _) = listener.accept().unwrap();
            client.write_all(b"?").unwrap();
            served.read_exact(&mut [0]).unwrap();
            served.write_all(b"!").unwrap();
            client.read_exact(&mut [0]).unwrap();
            let ends = [client, served].map(|end| Socket::new(OwnedFd::from(end)).unwrap());
            for end in &ends {
                let trip = trips.of(end).expect("it is known");
                assert!(trip > Duration::ZERO && trip < Duration::from_secs(10), "{trip:?}");
            }
        }
    }

    #[test]
    fn what_is_no_tcp_connection_has_none() {
        let trips = RoundTrips::new();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        assert_eq!(trips.of(&Socket::new(OwnedFd::from(listener)).unwrap()), None);
        let (unix, _other) = std::os::unix::net::UnixStream::pair().unwrap();
        let unix = Socket::new(OwnedFd::from(unix)).unwrap();
        assert_eq!((trips.of(&unix), RoundTrips(None).of(&unix)), (None, None));
    }

    #[test]
    fn an_answer_that_is_cut_anywhere_has_none() {
        let mut answer = vec![0; HEAD_BYTES + SOCKET_BYTES];
        answer[4..6].copy_from_slice(&SOCK_DIAG_BY_FAMILY.to_ne_bytes());
        let mut attribute = |kind: u16, value: &[u8]| {
            answer.extend((4 + value.len() as u16).to_ne_bytes());
            answer.extend(kind.to_ne_bytes());
            answer.extend(value);
            answer.resize(answer.len().next_multiple_of(4), 0);
        };
        attribute(8, &[7]);
        let mut info = [0; 80];
        info[RTT_AT..RTT_AT + 4].copy_from_slice(&1234_u32.to_ne_bytes());
        attribute(INET_DIAG_INFO, &info);
        let whole = answer.len();
        assert_eq!(round_trip(&answer), Some(Duration::from_micros(1234)));
        (0..whole).for_each(|cut| assert_eq!(round_trip(&answer[..cut]), None, "{cut}"));
        answer[4..6].copy_from_slice(&2_u16.to_ne_bytes());
        assert_eq!(round_trip(&answer), None, "an error");
    }
}
