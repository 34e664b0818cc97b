//! The byte stream that dialing yields, whatever it is made of. Protocols must never enter.

use std::fmt;
use std::io;
use std::mem::MaybeUninit;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use crate::tls::TlsStream;
use crate::unix::UnixStream;

/// A connected byte stream.
///
/// An enum behind the scenes, not a trait object: reading from a plain TCP connection costs one jump.
pub struct Stream(Layer);

enum Layer {
    Tcp(TcpStream),
    Tls(Box<TlsStream>),
    Unix(UnixStream),
    Boxed(Pin<Box<dyn Io>>),
}

/// What [`Stream::boxed`] takes: any byte stream.
pub trait Io: AsyncRead + AsyncWrite + Send {}

impl<T: AsyncRead + AsyncWrite + Send> Io for T {}

impl Stream {
    /// A stream of any type.
    pub fn boxed(io: impl Io + 'static) -> Self {
        Self(Layer::Boxed(Box::pin(io)))
    }

    /// The peer's address, where there is one.
    pub fn remote_addr(&self) -> Option<SocketAddr> {
        self.tcp().and_then(|tcp| tcp.peer_addr().ok())
    }

    /// Our own address, where there is one.
    pub fn local_addr(&self) -> Option<SocketAddr> {
        self.tcp().and_then(|tcp| tcp.local_addr().ok())
    }

    /// Whether a connection that lies idle must not be used any more: the peer has closed it, or sent something unasked. Never blocks.
    ///
    /// The runtime is asked first, which costs nothing and is as fresh as the last turn of its driver: what hyper and Go rely on. Only where
    /// that is not enough, because it says that there may be something, or because what is to be sent can be sent just once, is the socket
    /// itself asked, by one system call. Over TLS, a message that is not data (a session ticket) is taken in, and the connection stays good.
    pub fn is_stale(&mut self, must_be_sure: bool) -> bool {
        match &mut self.0 {
            Layer::Boxed(io) => has_input(io.as_mut()),
            // Where the socket is quiet, there is only what the session holds already.
            Layer::Tls(tls) if crate::tls::below(tls).is_quiet_tcp(must_be_sure) => crate::tls::holds_input(tls),
            // First what the session holds already or can take from the socket; then what is in the socket still.
            Layer::Tls(tls) => has_input(Pin::new(&mut **tls)) || crate::tls::below(tls).awaits_reading(must_be_sure),
            // Asks the runtime, and the socket only if that knows of something; what it takes then is lost, as the stream is.
            Layer::Tcp(tcp) if !must_be_sure => !would_block(&tcp.try_read(&mut [0])),
            Layer::Tcp(_) | Layer::Unix(_) => self.awaits_reading(must_be_sure),
        }
    }

    /// Whether the socket at the bottom has bytes, its end, or an error to be read. Takes nothing out of it. A stream of the user's cannot be
    /// asked without taking, and passes for quiet.
    fn awaits_reading(&self, must_be_sure: bool) -> bool {
        let mut cx = Context::from_waker(Waker::noop());
        let mut byte = [MaybeUninit::uninit()];
        let peeked = match &self.0 {
            Layer::Tcp(tcp) if !must_be_sure && tcp.poll_read_ready(&mut cx).is_pending() => return false,
            Layer::Tcp(tcp) => SockRef::from(tcp).peek(&mut byte),
            Layer::Unix(unix) => crate::unix::peek(unix, &mut byte),
            Layer::Tls(tls) => return crate::tls::below(tls).awaits_reading(must_be_sure),
            Layer::Boxed(_) => return false,
        };
        !would_block(&peeked)
    }

    fn is_quiet_tcp(&self, must_be_sure: bool) -> bool {
        matches!(self.0, Layer::Tcp(_)) && !self.awaits_reading(must_be_sure)
    }

    fn tcp(&self) -> Option<&TcpStream> {
        match &self.0 {
            Layer::Tcp(tcp) => Some(tcp),
            Layer::Tls(tls) => crate::tls::below(tls).tcp(),
            Layer::Unix(_) | Layer::Boxed(_) => None,
        }
    }
}

fn would_block(read: &io::Result<usize>) -> bool {
    read.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
}

/// Whether a read would yield anything at all. What it yields is lost: the stream is not used any more then.
fn has_input(io: Pin<&mut (impl AsyncRead + ?Sized)>) -> bool {
    let mut byte = [0];
    io.poll_read(&mut Context::from_waker(Waker::noop()), &mut ReadBuf::new(&mut byte)).is_ready()
}

impl From<TcpStream> for Stream {
    fn from(tcp: TcpStream) -> Self {
        Self(Layer::Tcp(tcp))
    }
}

impl From<UnixStream> for Stream {
    fn from(unix: UnixStream) -> Self {
        Self(Layer::Unix(unix))
    }
}

impl From<Box<TlsStream>> for Stream {
    fn from(tls: Box<TlsStream>) -> Self {
        Self(Layer::Tls(tls))
    }
}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match &self.0 {
            Layer::Tcp(_) => "Stream::Tcp",
            Layer::Tls(_) => "Stream::Tls",
            Layer::Unix(_) => "Stream::Unix",
            Layer::Boxed(_) => "Stream::Boxed",
        })
    }
}

macro_rules! delegate {
    ($this:ident.$method:ident($($argument:expr),*)) => {
        match &mut $this.get_mut().0 {
            Layer::Tcp(io) => Pin::new(io).$method($($argument),*),
            Layer::Tls(io) => Pin::new(&mut **io).$method($($argument),*),
            Layer::Unix(io) => Pin::new(io).$method($($argument),*),
            Layer::Boxed(io) => io.as_mut().$method($($argument),*),
        }
    };
}

impl AsyncRead for Stream {
    #[inline]
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        delegate!(self.poll_read(cx, buf))
    }
}

impl AsyncWrite for Stream {
    #[inline]
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        delegate!(self.poll_write(cx, buf))
    }

    fn poll_write_vectored(self: Pin<&mut Self>, cx: &mut Context<'_>, bufs: &[io::IoSlice<'_>]) -> Poll<io::Result<usize>> {
        delegate!(self.poll_write_vectored(cx, bufs))
    }

    fn is_write_vectored(&self) -> bool {
        match &self.0 {
            Layer::Tcp(io) => io.is_write_vectored(),
            Layer::Tls(io) => io.is_write_vectored(),
            Layer::Unix(io) => io.is_write_vectored(),
            Layer::Boxed(io) => io.is_write_vectored(),
        }
    }

    #[inline]
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        delegate!(self.poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        delegate!(self.poll_shutdown(cx))
    }
}
