//! What can be read and written: descriptors, which are waited for without holding their worker, and what never waits or
//! does so by itself.

use std::fs::File;
use std::io::{self, BufReader, Cursor, PipeReader, PipeWriter, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::{ChildStderr, ChildStdin, ChildStdout};

use crate::green::TcpStream;
use crate::green::net::descriptor;

/// What [`read`](super::read) reads from: pipes, standard input, a child's output, files, sockets, slices of bytes.
///
/// The descriptor itself is read: what [`Stdin`](io::Stdin) has buffered for `read_line` is not seen. One coroutine at a
/// time may read one descriptor.
#[diagnostic::on_unimplemented(
    message = "`bluelet::read` does not know how to wait for `{Self}`",
    note = "implement `Readable` for it; what never waits, or waits as a coroutine does, may call `Read::read`"
)]
pub trait Readable {
    /// Reads once into `buf`, as [`Read::read`] does; waits without holding the worker. Returns 0 at the end.
    ///
    /// # Errors
    ///
    /// Those of the system.
    fn read_some(&mut self, buf: &mut [u8]) -> io::Result<usize>;
}

/// What [`write`](super::write) writes to: pipes, standard output, a child's input, files, sockets, vectors of bytes.
///
/// What was printed before is flushed first.
#[diagnostic::on_unimplemented(
    message = "`bluelet::write` does not know how to wait for `{Self}`",
    note = "implement `Writable` for it; what never waits, or waits as a coroutine does, may call `Write::write_all`"
)]
pub trait Writable {
    /// Writes all of `data`; waits without holding the worker.
    ///
    /// # Errors
    ///
    /// Those of the system; some of it may have been written.
    fn write_whole(&mut self, data: &[u8]) -> io::Result<()>;
}

impl<T: Readable + ?Sized> Readable for &mut T {
    fn read_some(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        (**self).read_some(buf)
    }
}

impl<T: Readable + ?Sized> Readable for Box<T> {
    fn read_some(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        (**self).read_some(buf)
    }
}

impl<T: Readable + Read> Readable for BufReader<T> {
    fn read_some(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if self.buffer().is_empty() { self.get_mut().read_some(buf) } else { self.read(buf) }
    }
}

impl<T: Writable + ?Sized> Writable for &mut T {
    fn write_whole(&mut self, data: &[u8]) -> io::Result<()> {
        (**self).write_whole(data)
    }
}

impl<T: Writable + ?Sized> Writable for Box<T> {
    fn write_whole(&mut self, data: &[u8]) -> io::Result<()> {
        (**self).write_whole(data)
    }
}

macro_rules! read_descriptors {
    ($($source:ty),*) => {$(
        impl Readable for $source {
            fn read_some(&mut self, buf: &mut [u8]) -> io::Result<usize> {
                descriptor::read(self.as_fd(), buf)
            }
        }
    )*};
}

macro_rules! write_descriptors {
    ($($sink:ty),*) => {$(
        impl Writable for $sink {
            fn write_whole(&mut self, data: &[u8]) -> io::Result<()> {
                self.flush()?;
                descriptor::write_all(self.as_fd(), data)
            }
        }
    )*};
}

macro_rules! read_at_once {
    ($($source:ty),*) => {$(
        impl Readable for $source {
            fn read_some(&mut self, buf: &mut [u8]) -> io::Result<usize> {
                self.read(buf)
            }
        }
    )*};
}

macro_rules! write_at_once {
    ($($sink:ty),*) => {$(
        impl Writable for $sink {
            fn write_whole(&mut self, data: &[u8]) -> io::Result<()> {
                self.write_all(data)
            }
        }
    )*};
}

read_descriptors!(OwnedFd, BorrowedFd<'_>, File, &File, PipeReader, &PipeReader, ChildStdout, ChildStderr);
read_descriptors!(io::Stdin, io::StdinLock<'_>, UnixStream, &UnixStream, ThreadStream, &ThreadStream);
read_at_once!(&[u8], Cursor<Vec<u8>>, Cursor<&[u8]>, io::Empty, TcpStream, &TcpStream);

write_descriptors!(File, &File, PipeWriter, &PipeWriter, ChildStdin, &ChildStdin);
write_descriptors!(io::Stdout, io::StdoutLock<'_>, io::Stderr, io::StderrLock<'_>);
write_descriptors!(UnixStream, &UnixStream, ThreadStream, &ThreadStream);
write_at_once!(Vec<u8>, Cursor<Vec<u8>>, Cursor<&mut Vec<u8>>, io::Sink, TcpStream, &TcpStream);

#[expect(clippy::disallowed_types, reason = "a stream of the program's own, which is waited for here")]
type ThreadStream = std::net::TcpStream;
