//! TCP sockets: how they are set up, and what their failures mean. Names must never enter: they are addresses by now.

use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::net::{TcpSocket, TcpStream};

use crate::device;

/// Silence after which the kernel begins to probe the peer, and the time between probes: Go's default.
pub(crate) const KEEPALIVE: Duration = Duration::from_secs(15);

/// How a socket is set up before it connects.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Setup<'a> {
    pub(crate) local_address: Option<IpAddr>,
    pub(crate) interface: Option<&'a str>,
    /// `Some(None)` switches probing off.
    pub(crate) keepalive: Option<Option<Duration>>,
}

/// Connects. Dropping the future closes the socket.
pub(crate) async fn connect(address: SocketAddr, setup: Setup<'_>) -> io::Result<TcpStream> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    // A request is written whole: waiting for more to send (RFC 896) only adds the peer's delayed acknowledgement to it.
    socket.set_nodelay(true)?;
    if let Some(silence) = setup.keepalive.unwrap_or(Some(KEEPALIVE)) {
        SockRef::from(&socket).set_tcp_keepalive(&TcpKeepalive::new().with_time(silence).with_interval(silence))?;
    }
    if let Some(interface) = setup.interface {
        device::bind(&socket, interface)?;
    }
    if let Some(local) = setup.local_address {
        socket.bind(SocketAddr::new(local, 0))?;
    }
    socket.connect(address).await
}

/// A failure to connect as a phrase. A refused connection is called refused, and none is called a timeout: that word is for limits.
pub(crate) fn describe(address: SocketAddr, error: &io::Error) -> String {
    match error.kind() {
        ErrorKind::ConnectionRefused => format!("connection refused by {address}"),
        ErrorKind::ConnectionReset => format!("connection reset by {address}"),
        ErrorKind::TimedOut => format!("no answer from {address}"),
        ErrorKind::NetworkUnreachable => format!("no network route to {address}"),
        ErrorKind::HostUnreachable => format!("host {address} is unreachable"),
        _ => format!("cannot connect to {address}: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    async fn connected(setup: Setup<'_>) -> (TcpStream, SocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stream = connect(listener.local_addr().unwrap(), setup).await.unwrap();
        let (_, peer) = listener.accept().await.unwrap();
        (stream, peer)
    }

    #[tokio::test]
    async fn defaults() {
        let (stream, peer) = connected(Setup::default()).await;
        let socket = SockRef::from(&stream);
        assert!(socket.tcp_nodelay().unwrap());
        assert!(socket.keepalive().unwrap());
        assert_eq!(socket.tcp_keepalive_time().unwrap(), KEEPALIVE);
        assert_eq!(stream.local_addr().unwrap(), peer);
    }

    #[tokio::test]
    async fn keepalive_can_be_set_and_switched_off() {
        let of = |keepalive| Setup {
            keepalive: Some(keepalive),
            ..Setup::default()
        };
        let (stream, _) = connected(of(Some(Duration::from_secs(7)))).await;
        assert_eq!(SockRef::from(&stream).tcp_keepalive_time().unwrap(), Duration::from_secs(7));
        let (stream, _) = connected(of(None)).await;
        assert!(!SockRef::from(&stream).keepalive().unwrap());
    }

    #[tokio::test]
    #[cfg(target_os = "linux")]
    async fn local_address_and_interface() {
        let (stream, peer) = connected(Setup {
            // All of 127.0.0.0/8 is ours.
            local_address: Some([127, 0, 0, 9].into()),
            interface: Some("lo"),
            ..Setup::default()
        })
        .await;
        assert_eq!(peer.ip(), IpAddr::from([127, 0, 0, 9]));
        drop(stream);
        let nowhere = Setup {
            interface: Some("no-such-if"),
            ..Setup::default()
        };
        assert!(connect(peer, nowhere).await.is_err());
    }

    #[test]
    fn failures_by_name() {
        let address = "127.0.0.1:1".parse().unwrap();
        for (kind, expected) in [
            (ErrorKind::ConnectionRefused, "connection refused by 127.0.0.1:1"),
            (ErrorKind::TimedOut, "no answer from 127.0.0.1:1"),
            (ErrorKind::NetworkUnreachable, "no network route to 127.0.0.1:1"),
            (ErrorKind::PermissionDenied, "cannot connect to 127.0.0.1:1: permission denied"),
        ] {
            assert_eq!(describe(address, &kind.into()), expected);
        }
    }
}
