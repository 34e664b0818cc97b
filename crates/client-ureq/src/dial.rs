//! From an origin to a TCP connection.
//!
//! What must never enter this file: HTTP.

use std::fmt;
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use client_core::{Error, ErrorKind, Instant, Phase, Result};
use socket2::{Domain, Protocol, Socket as RawSocket, Type};
use ureq::unversioned::resolver::{ArrayVec, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{ConnectionDetails, NextTimeout};

use crate::call::{Call, Interrupt, cancelled};
use crate::connections::Connections;
use crate::names::Names;
use crate::socket::Socket;

/// Where nothing limits a connect, the system does, after minutes; this only has to be longer.
const NO_LIMIT: Duration = Duration::from_secs(24 * 60 * 60);

/// Name and TCP.
#[derive(Debug)]
pub(crate) struct Dial {
    names: Names,
    /// Where they are limited.
    connections: Option<Arc<Connections>>,
}

impl Dial {
    pub(crate) fn new(names: Names, connections: Option<Arc<Connections>>) -> Self {
        Self { names, connections }
    }

    /// A connection to where a request goes.
    ///
    /// # Errors
    /// Of the lookup, of the connect, the connect timeout, or that the call was cancelled.
    pub(crate) fn dial(&self, details: &ConnectionDetails<'_>, call: &Arc<Call>) -> Result<Socket> {
        call.update(|progress| progress.dialing_since = Some(Instant::now()));
        let host = details.uri.host().unwrap_or_default();
        let port = details.uri.port_u16().unwrap_or(if details.needs_tls() { 443 } else { 80 });
        let addresses = match self.names.known(host, port) {
            Some(addresses) => addresses,
            None => {
                call.enter(Phase::Resolve);
                self.names.look_up(host, port, call)?
            }
        };
        call.enter(Phase::Connect);
        let seat = self.connections.as_ref().map(Connections::admit);
        let stream = connect(&addresses, call)?;
        let _ = stream.set_nodelay(true);
        let (remote, local) = (stream.peer_addr().ok(), stream.local_addr().ok());
        call.update(|progress| {
            progress.remote_addr = remote;
            progress.local_addr = local;
        });
        let stream = Arc::new(stream);
        call.hold(Arc::clone(&stream) as Arc<dyn Interrupt>)?;
        Ok(Socket::new(stream, seat))
    }
}

/// One address after the other, each with its share of the time that is left.
fn connect(addresses: &[SocketAddr], call: &Call) -> Result<TcpStream> {
    let mut failure = call.error(ErrorKind::Resolve, "the host's name has no address");
    for (index, address) in addresses.iter().enumerate() {
        let remaining = u32::try_from(addresses.len() - index).unwrap_or(u32::MAX);
        loop {
            let patience = call.patience(Instant::now());
            let left = patience
                .map(|patience| patience.left(Instant::now()).ok_or_else(|| patience.error(call)))
                .transpose()?;
            match attempt(*address, left.map_or(NO_LIMIT, |left| left / remaining), call) {
                Ok(stream) => return Ok(stream),
                Err(_) if call.is_cancelled() => return Err(cancelled()),
                // Ours, not the system's, which has a number. The last address has all of the rest.
                Err(error) if error.kind() == std::io::ErrorKind::TimedOut && error.raw_os_error().is_none() => {
                    if remaining == 1 {
                        continue;
                    }
                }
                Err(error) => {
                    failure = call.error(ErrorKind::Connect, format!("{address}: {error}")).with_source(error);
                }
            }
            break;
        }
    }
    Err(failure)
}

fn attempt(address: SocketAddr, limit: Duration, call: &Call) -> std::io::Result<TcpStream> {
    let socket = Arc::new(RawSocket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?);
    call.hold(Arc::clone(&socket) as Arc<dyn Interrupt>).map_err(std::io::Error::other)?;
    socket.connect_timeout(&address.into(), limit)?;
    // A second handle: the first may be in the hands of whoever cancels just now.
    Ok(socket.try_clone()?.into())
}

/// ureq asks for addresses before it looks into its pool. Here it gets none: [`Dial`] looks names up when a connection is made, so
/// that a warm one costs no lookup.
#[derive(Debug)]
pub(crate) struct Later;

impl Resolver for Later {
    fn resolve(&self, _: &http::Uri, _: &ureq::config::Config, _: NextTimeout) -> Result<ResolvedSocketAddrs, ureq::Error> {
        Ok(ArrayVec::from_fn(|_| SocketAddr::from(([0, 0, 0, 0], 0))))
    }
}

impl fmt::Debug for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call").finish_non_exhaustive()
    }
}

/// Used where a setting is wrong: nothing was dialed.
pub(crate) fn misconfigured(message: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    Error::new(ErrorKind::InvalidRequest, message)
}
