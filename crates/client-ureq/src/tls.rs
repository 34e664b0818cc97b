//! The link of ureq's connector chain that encrypts: rustls over any transport, by the configuration that `client-tls` makes. ureq's own
//! takes no `rustls::ClientConfig`, so that pins and a key log could not be set.
//!
//! What must never enter this file: decisions about certificates.

use std::fmt;
use std::io::{self, Read, Write};
use std::sync::Arc;

use client_core::{Capabilities, Error, ErrorKind, Phase, Result, TlsConfig};
use rustls::{ClientConfig, ClientConnection, StreamOwned};
use ureq::unversioned::transport::{
    Buffers, ConnectionDetails, Connector, Either, LazyBuffers, NextTimeout, Transport, TransportAdapter,
};

use crate::call::{self, Call};
use crate::error::{carry, of_read};
use crate::socket::BUFFER_SIZE;

pub(crate) use client_tls::classify;

/// What is promised.
pub(crate) const CAPABILITIES: Capabilities = client_tls::CAPABILITIES;

/// The link.
pub(crate) struct Tls(Arc<ClientConfig>);

impl Tls {
    /// With these settings, for every connection.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidRequest`] for PEM that cannot be read and a key that does not fit.
    pub(crate) fn new(settings: &TlsConfig) -> Result<Self> {
        let mut config = client_tls::client_config(settings)?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self(Arc::new(config)))
    }

    fn handshake<In: Transport>(&self, below: In, details: &ConnectionDetails<'_>, call: &Call) -> Result<Encrypted> {
        call.enter(Phase::Tls);
        let host = details.uri.host().unwrap_or_default();
        let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        let name = client_tls::server_name(host)?;
        let session = ClientConnection::new(Arc::clone(&self.0), name);
        let mut session = session.map_err(|error| client_tls::handshake(host, io::Error::other(error)))?;
        let mut below = TransportAdapter::new(Box::new(below) as Box<dyn Transport>, Arc::clone(&details.current_time));
        session.complete_io(&mut below).map_err(|error| failed(host, error, call))?;
        call.set_tls(Some(Arc::new(client_tls::info(&session))));
        Ok(Encrypted {
            stream: StreamOwned::new(session, below),
            buffers: LazyBuffers::new(BUFFER_SIZE, BUFFER_SIZE),
        })
    }
}

impl<In: Transport> Connector<In> for Tls {
    type Out = Either<In, Encrypted>;

    fn connect(&self, details: &ConnectionDetails<'_>, chained: Option<In>) -> Result<Option<Self::Out>, ureq::Error> {
        let call = call::current()?;
        match chained {
            Some(below) if details.needs_tls() => {
                let encrypted = self.handshake(below, details, &call).map_err(carry)?;
                Ok(Some(Either::B(encrypted)))
            }
            chained => Ok(chained.map(Either::A)),
        }
    }
}

/// What a handshake failed of: TLS, or whatever the socket has classified.
fn failed(host: &str, error: io::Error, call: &Call) -> Error {
    if classify(&error).is_some() || error.kind() == io::ErrorKind::UnexpectedEof {
        return client_tls::handshake(host, error);
    }
    match of_read(error, call) {
        lost if lost.kind() == ErrorKind::Closed && !call.is_cancelled() => client_tls::handshake(host, io::Error::other(lost)),
        other => other,
    }
}

/// A connection on which all is encrypted.
pub(crate) struct Encrypted {
    stream: StreamOwned<ClientConnection, TransportAdapter>,
    buffers: LazyBuffers,
}

impl Transport for Encrypted {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), ureq::Error> {
        self.stream.sock.set_timeout(timeout);
        Ok(self.stream.write_all(&self.buffers.output()[..amount])?)
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, ureq::Error> {
        self.stream.sock.set_timeout(timeout);
        let n = self.stream.read(self.buffers.input_append_buf())?;
        self.buffers.input_appended(n);
        Ok(n > 0)
    }

    fn is_open(&mut self) -> bool {
        self.stream.sock.get_mut().is_open()
    }

    fn is_tls(&self) -> bool {
        true
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tls")
    }
}

impl fmt::Debug for Encrypted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Encrypted").field(&self.stream.sock.inner()).finish()
    }
}
