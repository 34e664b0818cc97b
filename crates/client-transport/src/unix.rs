//! Unix domain sockets.

use std::io;
use std::mem::MaybeUninit;
use std::path::Path;

use socket2::SockRef;

pub(crate) use tokio::net::UnixStream;

pub(crate) async fn connect(path: &Path) -> io::Result<UnixStream> {
    UnixStream::connect(path).await
}

/// Reads without taking, from the socket itself.
pub(crate) fn peek(unix: &UnixStream, buf: &mut [MaybeUninit<u8>]) -> io::Result<usize> {
    SockRef::from(unix).peek(buf)
}
