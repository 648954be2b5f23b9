//! The PROXY protocol, versions 1 and 2: a header before all else, in which a proxy says whom it speaks for.
//!
//! Exactly the header is read, because what follows belongs to the transport. Our own parser: it needs no more of a header than one
//! address, and the crate `ppp` expects bytes in which the end of the header has been found.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use crate::green::{Socket, TcpStream};

/// The header of a connection, as it comes.
pub(super) struct ProxyHeader {
    stream: TcpStream,
    socket: Arc<Socket>,
    came: Vec<u8>,
}

/// What has come of a header.
#[derive(Debug, PartialEq, Eq)]
enum Came {
    /// So many bytes are missing, if not more.
    Part(usize),
    /// All. `None`: the proxy speaks for itself, or does not know for whom.
    Whole(Option<SocketAddr>),
}

impl ProxyHeader {
    pub(super) fn new(stream: TcpStream) -> Self {
        let socket = stream.clone().into_socket();
        Self { stream, socket, came: Vec::new() }
    }

    pub(super) const fn socket(&self) -> &Arc<Socket> {
        &self.socket
    }

    /// What follows the header.
    pub(super) fn stream(&self) -> TcpStream {
        self.stream.clone()
    }

    /// Goes on, without waiting. `None` while some of it is missing; then whom the proxy speaks for, if it says that.
    ///
    /// # Errors
    ///
    /// If it is no header.
    pub(super) fn go_on(&mut self) -> io::Result<Option<Option<SocketAddr>>> {
        loop {
            let missing = match parse(&self.came) {
                Ok(Came::Whole(client)) => return Ok(Some(client)),
                Ok(Came::Part(missing)) => missing,
                Err(why) => return Err(io::Error::new(io::ErrorKind::InvalidData, why)),
            };
            let mut room = [0; READ_BYTES];
            let room = &mut room[..missing.min(READ_BYTES)];
            match self.socket.try_recv(room) {
                Ok(0) => {
                    let why = "the proxy ended the stream before its PROXY header did";
                    return Err(io::Error::new(io::ErrorKind::UnexpectedEof, why));
                }
                Ok(n) => self.came.extend_from_slice(&room[..n]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
                Err(error) => return Err(error),
            }
        }
    }
}

/// Reads the header with which a stream begins: `came` holds no byte behind it.
fn parse(came: &[u8]) -> Result<Came, &'static str> {
    if is_beginning(came, SIGNATURE) {
        parse_binary(came)
    } else if is_beginning(came, WORD) {
        parse_line(came)
    } else {
        Err("it does not begin with a PROXY header")
    }
}

fn is_beginning(came: &[u8], of: &[u8]) -> bool {
    came.starts_with(of) || of.starts_with(came)
}

/// Version 2.
fn parse_binary(came: &[u8]) -> Result<Came, &'static str> {
    let Some((&[.., version_and_command, kind, high, low], rest)) = came.split_first_chunk::<FIXED_BYTES>()
    else {
        // No header of version 1 is shorter than this either.
        let needed = if came.len() < SIGNATURE.len() { SIGNATURE.len() } else { FIXED_BYTES };
        return Ok(Came::Part(needed - came.len()));
    };
    let len = usize::from(u16::from_be_bytes([high, low]));
    if version_and_command >> 4 != 2 {
        return Err("a PROXY header of a version that there is not");
    }
    if len > MAX_REST_BYTES {
        return Err("a PROXY header that is too long");
    }
    if rest.len() < len {
        return Ok(Came::Part(len - rest.len()));
    }
    let client = match (version_and_command & 0xf, kind) {
        (0, _) => None,
        (1, TCP_OVER_V4) => {
            let Some((&[a, b, c, d, _, _, _, _, high, low, _, _], _)) = rest.split_first_chunk() else {
                return Err("a PROXY header without room for its addresses");
            };
            Some((Ipv4Addr::new(a, b, c, d).into(), [high, low]))
        }
        (1, TCP_OVER_V6) => {
            let Some((addresses, _)) = rest.split_first_chunk::<36>() else {
                return Err("a PROXY header without room for its addresses");
            };
            let (source, ports) = (addresses.first_chunk::<16>(), addresses.last_chunk::<4>());
            let (Some(source), Some(&[high, low, ..])) = (source, ports) else {
                return Err("a PROXY header without room for its addresses");
            };
            Some((IpAddr::from(*source), [high, low]))
        }
        (1, kind) if kind & 0xf == 2 => return Err("a PROXY header of datagrams"),
        // Unknown, or a socket of the proxy's machine.
        (1, _) => None,
        _ => return Err("a PROXY header with a command that there is not"),
    };
    Ok(Came::Whole(client.map(|(ip, port)| SocketAddr::new(ip, u16::from_be_bytes(port)))))
}

/// Version 1.
fn parse_line(came: &[u8]) -> Result<Came, &'static str> {
    let Some(line) = came.strip_suffix(b"\r\n") else {
        return match came {
            _ if came.len() >= MAX_LINE_BYTES => Err("a PROXY header that is too long"),
            _ if came.len() < SIGNATURE.len() => Ok(Came::Part(SIGNATURE.len() - came.len())),
            [.., b'\r'] => Ok(Came::Part(1)),
            _ => Ok(Came::Part(2)),
        };
    };
    if came.len() > MAX_LINE_BYTES {
        return Err("a PROXY header that is too long");
    }
    let line = std::str::from_utf8(line).map_err(|_| "a PROXY header that is no text")?;
    let words: Vec<&str> = line.split(' ').collect();
    let client = match words[..] {
        [_, "UNKNOWN", ..] => return Ok(Came::Whole(None)),
        [_, "TCP4", source, target, from, to] => {
            let [source, target] = [source, target].map(|word| word.parse::<Ipv4Addr>().ok().map(IpAddr::V4));
            (source, target, port(from), port(to))
        }
        [_, "TCP6", source, target, from, to] => {
            let [source, target] = [source, target].map(|word| word.parse::<Ipv6Addr>().ok().map(IpAddr::V6));
            (source, target, port(from), port(to))
        }
        _ => return Err("a PROXY header of a form that there is not"),
    };
    match client {
        (Some(source), Some(_), Some(from), Some(_)) => Ok(Came::Whole(Some(SocketAddr::new(source, from)))),
        _ => Err("a PROXY header with an address that is none"),
    }
}

fn port(word: &str) -> Option<u16> {
    let is_number = !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_digit());
    word.parse().ok().filter(|_| is_number)
}

/// With which version 2 begins.
const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// With which version 1 begins.
const WORD: &[u8] = b"PROXY ";

/// A header of version 2 up to what may be of any length.
const FIXED_BYTES: usize = 16;

/// The longest line, with its end.
const MAX_LINE_BYTES: usize = 107;

/// The most that may follow the fixed part: what proxies add to the addresses, such as names of certificates, is passed over.
const MAX_REST_BYTES: usize = 4096;

const TCP_OVER_V4: u8 = 0x11;
const TCP_OVER_V6: u8 = 0x21;

const READ_BYTES: usize = 512;

#[cfg(test)]
mod tests {
    use super::*;

    fn binary(version_and_command: u8, kind: u8, rest: &[u8]) -> Vec<u8> {
        let len = u16::try_from(rest.len()).unwrap().to_be_bytes();
        [SIGNATURE, &[version_and_command, kind], &len, rest].concat()
    }

    /// Reads as a connection does; nothing behind the header may be asked for.
    fn read(stream: &[u8], piece: usize) -> Result<(Option<SocketAddr>, usize), &'static str> {
        let mut at = 0;
        loop {
            match parse(&stream[..at])? {
                Came::Whole(client) => return Ok((client, at)),
                Came::Part(missing) if at == stream.len() => {
                    assert!(missing > 0);
                    return Err("cut");
                }
                Came::Part(missing) => at = (at + missing.min(piece)).min(stream.len()),
            }
        }
    }

    #[test]
    fn headers_are_read_up_to_their_end_and_no_further() {
        let (v4, v6) = ("1.2.3.4:56324", "[2001:db8::1]:4242");
        let six = [
            &"2001:db8::1".parse::<Ipv6Addr>().unwrap().octets()[..],
            &[9; 16],
            &4242_u16.to_be_bytes(),
            &[1, 187],
        ];
        let four = [1, 2, 3, 4, 5, 6, 7, 8, 0xdc, 0x04, 1, 187];
        let cases: [(Vec<u8>, Option<&str>); 9] = [
            (b"PROXY TCP4 1.2.3.4 5.6.7.8 56324 443\r\n".to_vec(), Some(v4)),
            (b"PROXY TCP6 2001:db8::1 ::1 4242 443\r\n".to_vec(), Some(v6)),
            (b"PROXY UNKNOWN\r\n".to_vec(), None),
            (b"PROXY UNKNOWN ffff:: ffff:: 65535 65535\r\n".to_vec(), None),
            (binary(0x21, 0x11, &four), Some(v4)),
            (binary(0x21, 0x11, &[&four[..], &[4; 300]].concat()), Some(v4)),
            (binary(0x21, 0x21, &six.concat()), Some(v6)),
            (binary(0x20, 0x00, b""), None),
            (binary(0x21, 0x31, &[0; 216]), None),
        ];
        for (header, client) in cases {
            let client = client.map(|client| client.parse().unwrap());
            for piece in [1, 2, 3, 1000] {
                let stream = [&header[..], b"what follows"].concat();
                assert_eq!(read(&stream, piece), Ok((client, header.len())), "{header:x?}");
                for cut in 0..header.len() {
                    assert_eq!(read(&stream[..cut], piece), Err("cut"), "{header:x?} cut at {cut}");
                }
            }
        }
    }

    #[test]
    fn what_is_no_header_is_refused() {
        let long = [b"PROXY UNKNOWN ".to_vec(), vec![b'a'; 200]].concat();
        let cases: [Vec<u8>; 16] = [
            b"GET / HTTP/1.1\r\n\r\n".to_vec(),
            b"PROXYTCP4 1.2.3.4 5.6.7.8 1 2\r\n".to_vec(),
            b"PROXY TCP4 1.2.3.4 5.6.7.8 1\r\n".to_vec(),
            b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2 3\r\n".to_vec(),
            b"PROXY TCP4 ::1 5.6.7.8 1 2\r\n".to_vec(),
            b"PROXY TCP6 1.2.3.4 ::1 1 2\r\n".to_vec(),
            b"PROXY TCP4 1.2.3.4 x 1 2\r\n".to_vec(),
            b"PROXY TCP4 1.2.3.4 5.6.7.8 65536 2\r\n".to_vec(),
            b"PROXY TCP4 1.2.3.4 5.6.7.8 +1 2\r\n".to_vec(),
            b"PROXY UDP4 1.2.3.4 5.6.7.8 1 2\r\n".to_vec(),
            b"PROXY TCP4 1.2.3.4 5.6.7.8 1 \xff\r\n".to_vec(),
            long,
            binary(0x31, 0x11, &[0; 12]),
            binary(0x22, 0x11, &[0; 12]),
            binary(0x21, 0x11, &[0; 11]),
            binary(0x21, 0x12, &[0; 12]),
        ];
        for stream in cases {
            let refused = read(&stream, 1000).unwrap_err();
            assert_ne!(refused, "cut", "{:?}", String::from_utf8_lossy(&stream));
        }
        let huge = [SIGNATURE, &[0x21, 0x11, 0xff, 0xff]].concat();
        assert_eq!(parse(&huge), Err("a PROXY header that is too long"));
    }
}
