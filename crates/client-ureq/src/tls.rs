//! rustls over a socket, by the configuration that `client-tls` makes. ureq's own takes no `rustls::ClientConfig`, so that pins and a key
//! log could not be set.
//!
//! What must never enter this file: decisions about certificates.

use std::fmt;
use std::io;
use std::sync::Arc;

use client_core::{Capabilities, Error, ErrorKind, Phase, Result, TlsConfig};
use rustls::{ClientConfig, ClientConnection, StreamOwned};

use crate::call::Call;
use crate::error::of_read;
use crate::socket::{Socket, Stream};

pub(crate) use client_tls::classify;

/// What is promised.
pub(crate) const CAPABILITIES: Capabilities = client_tls::CAPABILITIES;

/// What turns a socket into a TLS connection.
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

    /// A connection on which all is encrypted.
    ///
    /// # Errors
    /// Of the handshake, and of the socket.
    pub(crate) fn handshake(&self, mut below: Socket, host: &str, call: &Call) -> Result<Box<dyn Stream>> {
        call.enter(Phase::Tls);
        let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        let name = client_tls::server_name(host)?;
        let session = ClientConnection::new(Arc::clone(&self.0), name);
        let mut session = session.map_err(|error| client_tls::handshake(host, io::Error::other(error)))?;
        session.complete_io(&mut below).map_err(|error| failed(host, error, call))?;
        call.set_tls(Some(Arc::new(client_tls::info(&session))));
        Ok(Box::new(StreamOwned::new(session, below)))
    }
}

impl Stream for StreamOwned<ClientConnection, Socket> {
    fn socket(&mut self) -> &mut Socket {
        &mut self.sock
    }

    /// What came along with the end of a response, in a record of its own, is decrypted already.
    fn holds_more(&mut self) -> bool {
        self.conn.process_new_packets().map_or(true, |state| state.plaintext_bytes_to_read() > 0)
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

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tls")
    }
}
