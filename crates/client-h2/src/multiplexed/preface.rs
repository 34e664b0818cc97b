//! Whether a server begins as it has to: with SETTINGS (RFC 9113 §3.4). The `h2` crate does not look, and of a server that speaks HTTP/1.1 it would
//! only say that a frame has an invalid size.

use std::fmt;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use client_transport::monitored::Monitored;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::frames::{End, Fate};

/// A stream whose first frame is looked at as it is read. What ends it is kept: h2 hands on no more than the words.
pub(super) struct Preface {
    stream: Monitored,
    fate: Arc<Fate>,
    /// The head of the first frame (RFC 9113 §4.1), as far as it has come.
    head: [u8; 9],
    known: usize,
}

/// How a server began, other than it must.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Misfit {
    /// With the first letter of `HTTP/1.1`; no frame that may come first is so large.
    Http1,
    /// With something else.
    NoSettings,
}

impl Preface {
    pub(super) fn new(stream: Monitored, fate: Arc<Fate>) -> Self {
        Self {
            stream,
            fate,
            head: [0; 9],
            known: 0,
        }
    }

    fn look(&mut self, new: &[u8]) -> Result<(), Misfit> {
        let more = new.len().min(self.head.len() - self.known);
        self.head[self.known..self.known + more].copy_from_slice(&new[..more]);
        self.known += more;
        judge(&self.head[..self.known])
    }
}

fn judge(head: &[u8]) -> Result<(), Misfit> {
    const SETTINGS: u8 = 4;
    const ACK: u8 = 1;
    match *head {
        [b'H', ..] => Err(Misfit::Http1),
        [_, _, _, kind, ..] if kind != SETTINGS => Err(Misfit::NoSettings),
        [_, _, _, _, flags, ..] if flags & ACK != 0 => Err(Misfit::NoSettings),
        _ => Ok(()),
    }
}

impl fmt::Display for Misfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Http1 => "the server speaks HTTP/1.1, not HTTP/2",
            Self::NoSettings => "the server does not speak HTTP/2: it did not begin with SETTINGS",
        })
    }
}

impl AsyncRead for Preface {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        if let Err(error) = ready!(Pin::new(&mut self.stream).poll_read(cx, buf)) {
            let kind = error.kind();
            self.fate.ends(End::Below(error));
            return Poll::Ready(Err(kind.into()));
        }
        if self.known < self.head.len()
            && let Err(misfit) = self.look(&buf.filled()[before..])
        {
            self.fate.ends(End::Misfit(misfit));
            return Poll::Ready(Err(io::ErrorKind::InvalidData.into()));
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Preface {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bufs: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_frame_is_settings() {
        let settings = [0, 0, 6, 4, 0, 0, 0, 0, 0];
        for (head, expected) in [
            (&settings[..], Ok(())),
            (&settings[..4], Ok(())),
            (&[][..], Ok(())),
            (b"HTTP/1.1 ", Err(Misfit::Http1)),
            (b"H", Err(Misfit::Http1)),
            (&[0, 0, 0, 4, 1, 0, 0, 0, 0], Err(Misfit::NoSettings)),
            (&[0, 0, 8, 6, 0, 0, 0, 0, 0], Err(Misfit::NoSettings)),
            (b"220 smtp.", Err(Misfit::NoSettings)),
        ] {
            assert_eq!(judge(head), expected, "{head:?}");
        }
    }
}
