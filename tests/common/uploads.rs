//! A handler that takes the raw stream over, and the bytes that go with it, cut anywhere.

use std::io::{BufRead, Read, Write};

use zinx::prelude::*;

use super::wire::Wire;
use super::{ECHO, Peer, frame, pattern};

/// The id of what an [`upload`] says before, meanwhile and after.
const DONE: u32 = 5;

/// Reads a length in text and so many bytes, and sends them back without a frame around them.
pub(crate) fn upload(request: &dyn IRequest) -> Result<()> {
    let conn = request.get_connection();
    conn.send_msg(DONE, "before")?;
    conn.take_over(|stream| {
        let mut line = String::new();
        stream.by_byte().read_line(&mut line)?;
        let mut body = vec![0; line.trim().parse().map_err(Error::other)?];
        stream.read_exact(&mut body)?;
        conn.send_msg(DONE, "meanwhile")?;
        Ok(stream.write_all(&body)?)
    })?;
    conn.send_msg(DONE, "after")
}

/// Where to cut what [`check_upload`] sends for so many bytes.
pub(crate) fn cuts(len: usize) -> Vec<usize> {
    let all = stream(0, len).len();
    match all {
        short if short < 60 => (0..=short).collect(),
        long => vec![0, 20, 40, 2000, long / 2, long - 5, long],
    }
}

/// Sends so many bytes to an [`upload`] of id `begin`, an echo on either side of it, in two writes.
pub(crate) fn check_upload<S: Wire>(peer: &mut Peer<S>, begin: u32, len: usize, cut: usize) {
    let stream = stream(begin, len);
    let cut = cut.min(stream.len());
    peer.send(&stream[..cut]);
    peer.send(&stream[cut..]);
    assert_eq!(peer.read_frame(), (ECHO, b"1".to_vec()));
    assert_eq!(peer.read_frame(), (DONE, b"before".to_vec()));
    assert!(peer.read_exactly(len) == pattern(len), "{len} bytes, cut at {cut}");
    for expected in ["meanwhile", "after"] {
        assert_eq!(peer.read_frame(), (DONE, expected.as_bytes().to_vec()));
    }
    assert_eq!(peer.read_frame(), (ECHO, b"2".to_vec()));
}

fn stream(begin: u32, len: usize) -> Vec<u8> {
    let raw = [format!("{len}\n").as_bytes(), &pattern(len)].concat();
    [frame(ECHO, b"1"), frame(begin, b""), raw, frame(ECHO, b"2")].concat()
}
