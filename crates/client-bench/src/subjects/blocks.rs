//! A body of a given length, made of one block again and again, for each way in which clients want theirs.

use std::io::{self, Read};
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::io::AsyncRead;
use futures_util::{Stream, stream};
use http_body::Frame;
use http_body_util::StreamBody;

use super::BLOCK;

/// As a stream; clones of the block cost nothing.
pub(super) fn stream(len: u64) -> impl Stream<Item = io::Result<Bytes>> + Send + Sync + 'static {
    let block = Bytes::from(vec![b'x'; BLOCK]);
    let mut left = len;
    stream::iter(std::iter::from_fn(move || {
        let part = usize::try_from(left).unwrap_or(BLOCK).min(BLOCK);
        left -= part as u64;
        (part > 0).then(|| Ok(block.slice(..part)))
    }))
}

/// As an [`http_body::Body`].
pub(super) fn body(len: u64) -> impl http_body::Body<Data = Bytes, Error = io::Error> + Send + Sync + 'static {
    use futures_util::TryStreamExt as _;
    StreamBody::new(stream(len).map_ok(Frame::data))
}

/// As a reader, blocking or not.
pub(super) struct Reader(pub(super) u64);

impl Read for Reader {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let part = usize::try_from(self.0).unwrap_or(buf.len()).min(buf.len());
        buf[..part].fill(b'x');
        self.0 -= part as u64;
        Ok(part)
    }
}

impl AsyncRead for Reader {
    fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(Read::read(self.get_mut(), buf))
    }
}
