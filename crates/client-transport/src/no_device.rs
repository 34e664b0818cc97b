//! Binding a socket to a network interface, where the system has no simple way to: refused.

use std::io;

use tokio::net::TcpSocket;

pub(crate) const SUPPORTED: bool = false;

pub(crate) fn bind(_: &TcpSocket, interface: &str) -> io::Result<()> {
    let message = format!("cannot bind to the interface {interface:?}: this system lacks it; use a local address");
    Err(io::Error::new(io::ErrorKind::Unsupported, message))
}
