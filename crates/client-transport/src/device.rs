//! Binding a socket to a network interface, where the system can.

use std::io;

use tokio::net::TcpSocket;

pub(crate) const SUPPORTED: bool = true;

pub(crate) fn bind(socket: &TcpSocket, interface: &str) -> io::Result<()> {
    socket.bind_device(Some(interface.as_bytes()))
}
