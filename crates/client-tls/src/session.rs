//! The two ends of a handshake: the name to ask for, and what was agreed upon.

use client_core::{Bytes, Error, ErrorKind, Result, TlsInfo, TlsVersion};
use rustls::{CommonState, ProtocolVersion};
use rustls_pki_types::ServerName;

/// The name that a server has to prove, from a URL's host: a DNS name, or an IP address without brackets. For an address no SNI is
/// sent (RFC 6066 §3), and the certificate has to name the address.
///
/// # Errors
/// [`ErrorKind::InvalidRequest`] for what is neither.
pub fn server_name(host: &str) -> Result<ServerName<'static>> {
    // A certificate names hosts without the dot of the root.
    let name = ServerName::try_from(host.strip_suffix('.').unwrap_or(host).to_owned());
    name.map_err(|error| Error::new(ErrorKind::InvalidRequest, format!("no TLS server can be named {host:?}")).with_source(error))
}

/// What a handshake that is complete has agreed upon; a [`rustls::ClientConnection`] derefs to its state.
pub fn info(session: &CommonState) -> TlsInfo {
    let version = match session.protocol_version() {
        Some(ProtocolVersion::TLSv1_2) => TlsVersion::Tls12,
        _ => TlsVersion::Tls13,
    };
    let suite = session.negotiated_cipher_suite().map(|suite| suite.suite());
    // rustls calls the suites of TLS 1.3 "TLS13_AES_…", the registry "TLS_AES_…".
    let cipher = suite.and_then(|suite| suite.as_str()).unwrap_or_default().replacen("TLS13_", "TLS_", 1);
    let mut info = TlsInfo::new(version, cipher);
    let certificates = session.peer_certificates().unwrap_or_default();
    info.peer_certificates = certificates.iter().map(|der| Bytes::copy_from_slice(der)).collect();
    info
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for (host, expected) in [
            ("a.example", Some("a.example")),
            ("a.example.", Some("a.example")),
            ("127.0.0.1", Some("127.0.0.1")),
            ("::1", Some("::1")),
            ("", None),
            ("a b", None),
        ] {
            assert_eq!(server_name(host).ok().map(|name| name.to_str().into_owned()).as_deref(), expected, "{host:?}");
        }
    }
}
