//! What a peer speaks through: a stream of bytes, whatever carries it.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use socket2::{Domain, SockRef, Socket, Type};

/// Such a stream.
pub(crate) trait Wire: Read + Write {
    /// Says that nothing more is sent; answers can still be read.
    fn finish(&mut self);

    /// Is gone, without a word. Nothing can be read or written afterwards.
    fn cut(&mut self);
}

impl Wire for TcpStream {
    fn finish(&mut self) {
        // It may have been ended from the other side.
        let _ = self.shutdown(Shutdown::Write);
    }

    fn cut(&mut self) {
        SockRef::from(&*self).set_linger(Some(Duration::ZERO)).unwrap();
        // The reset leaves as the old one is closed. The new one is connected to nobody.
        *self = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap().into();
    }
}
