//! From the core's TLS settings to a configuration of rustls with the cryptography of ring, and from its errors to one line that helps.
//!
//! reqwest gets the configuration ready-made. Left to itself it would look for a process-wide provider of cryptography, which is the
//! application's to install, and panic where there is none.

mod sessions;
mod verify;

use std::borrow::Cow;
use std::error::Error as StdError;
use std::sync::{Arc, OnceLock};

use client_core::{Capabilities, Capability, Error, ErrorKind, Identity, Result, RootCerts, TlsConfig, TlsVersion};
use reqwest::ClientBuilder;
use rustls::client::WebPkiServerVerifier;
use rustls::crypto::{CryptoProvider, ring};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{AlertDescription, CertificateError, ClientConfig, InconsistentKeys, KeyLogFile, RootCertStore, version};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use self::verify::{NotPinned, Trust, Verifier};
use crate::clients::Protocol;
use crate::http2;

pub(crate) const CAPABILITIES: Capabilities = Capabilities::NONE
    .with(Capability::Tls)
    .with(Capability::CustomRoots)
    .with(Capability::ClientIdentity)
    .with(Capability::SpkiPins);

/// The settings of an engine, and what was made of them.
#[derive(Default)]
pub(crate) struct Tls {
    config: TlsConfig,
    built: OnceLock<ClientConfig>,
}

impl Tls {
    pub(crate) fn new(config: TlsConfig) -> Self {
        Self {
            config,
            built: OnceLock::new(),
        }
    }

    /// Tells reqwest. What the user's own configuration says afterwards wins.
    pub(crate) fn prepare(&self, builder: ClientBuilder, protocol: Protocol) -> Result<ClientBuilder> {
        let mut config = match self.built.get() {
            Some(built) => built.clone(),
            // Clones share the platform's roots, once these are loaded, and the sessions to resume.
            None => {
                let built = build(&self.config)?;
                self.built.get_or_init(|| built).clone()
            }
        };
        // reqwest takes a ready-made configuration as it is, ALPN included.
        let alpn = match protocol {
            Protocol::Negotiated => http2::ALPN,
            Protocol::Http1 => &["http/1.1"],
            Protocol::Http2 => &["h2"],
        };
        config.alpn_protocols = alpn.iter().map(|&name| name.into()).collect();
        Ok(builder.tls_backend_preconfigured(config))
    }
}

fn build(config: &TlsConfig) -> Result<ClientConfig> {
    let provider = Arc::new(ring::default_provider());
    let versions = match config.get_min_version() {
        TlsVersion::Tls12 => rustls::ALL_VERSIONS,
        // A version that is newer than this code is at least this.
        _ => &[&version::TLS13],
    };
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(versions)
        .map_err(|error| unusable(error.to_string()).with_source(error))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier(config, &provider)?));
    let mut built = match config.get_identity() {
        Some(identity) => {
            let key = certified_key(identity, &provider)?;
            builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(key)))
        }
        None => builder.with_no_client_auth(),
    };
    built.resumption = sessions::resumption();
    if config.logs_keys() {
        built.key_log = Arc::new(KeyLogFile::new());
    }
    Ok(built)
}

fn verifier(config: &TlsConfig, provider: &Arc<CryptoProvider>) -> Result<Verifier> {
    let mut roots = Vec::new();
    let trust = match config.get_roots() {
        _ if config.accepts_invalid_certs() => Trust::Anybody,
        RootCerts::OnlyPem(pem) => {
            roots = certificates(pem, "the root certificates")?;
            let store = Arc::new(root_store(&roots)?);
            let verifier = WebPkiServerVerifier::builder_with_provider(store, Arc::clone(provider)).build();
            Trust::These(verifier.map_err(|error| unusable(error.to_string()))?)
        }
        RootCerts::Platform => Trust::Platform(OnceLock::new()),
        other => return Err(unusable(format!("root certificates of an unknown kind: {other:?}"))),
    };
    Ok(Verifier {
        trust,
        any_host: config.accepts_invalid_hostnames(),
        pins: config.pins().to_vec(),
        roots,
        provider: Arc::clone(provider),
    })
}

fn root_store(certificates: &[CertificateDer<'static>]) -> Result<RootCertStore> {
    let mut store = RootCertStore::empty();
    for (index, certificate) in certificates.iter().enumerate() {
        store.add(certificate.clone()).map_err(|error| {
            unusable(format!("certificate {} of the root certificates cannot be used: {error}", index + 1)).with_source(error)
        })?;
    }
    Ok(store)
}

fn certified_key(identity: &Identity, provider: &CryptoProvider) -> Result<CertifiedKey> {
    let chain = certificates(identity.chain_pem(), "the client identity")?;
    // The cause is not kept: it may quote the key.
    let key = PrivateKeyDer::from_pem_slice(identity.key_pem())
        .map_err(|_| unusable("the client identity has no private key that can be read (PEM: PKCS #8, PKCS #1 or SEC 1)"))?;
    CertifiedKey::from_der(chain, key, provider).map_err(|error| {
        let message = match &error {
            rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => {
                "the private key of the client identity does not belong to its first certificate".to_owned()
            }
            other => format!("the private key of the client identity cannot be used: {other}"),
        };
        unusable(message).with_source(error)
    })
}

fn certificates(pem: &[u8], of: &str) -> Result<Vec<CertificateDer<'static>>> {
    let certificates: Vec<_> = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<_, _>>()
        .map_err(|error| unusable(format!("{of} are no valid PEM: {error}")).with_source(error))?;
    match certificates.is_empty() {
        true => Err(unusable(format!("no certificate found in {of}: a PEM section BEGIN CERTIFICATE is missing"))),
        false => Ok(certificates),
    }
}

fn unusable(message: impl Into<Cow<'static, str>>) -> Error {
    Error::new(ErrorKind::InvalidRequest, message)
}

/// One of rustls' errors, as one line. `None` if it is none of its.
pub(crate) fn explain(error: &(dyn StdError + 'static)) -> Option<String> {
    use rustls::Error::{AlertReceived, InvalidCertificate, InvalidMessage, PeerIncompatible};
    Some(match error.downcast_ref::<rustls::Error>()? {
        InvalidCertificate(error) => certificate(error),
        AlertReceived(AlertDescription::CertificateRequired) => {
            "the server requires a client certificate; set TlsConfig::identity".to_owned()
        }
        AlertReceived(AlertDescription::ProtocolVersion) => {
            "the server refused the handshake: no version of TLS in common".to_owned()
        }
        AlertReceived(alert) => format!("the server refused the handshake with the alert {alert:?}"),
        PeerIncompatible(reason) => format!("nothing in common with the server: {reason:?}"),
        InvalidMessage(rustls::InvalidMessage::InvalidContentType) => "the server does not speak TLS on this port".to_owned(),
        other => format!("the handshake failed: {other}"),
    })
}

fn certificate(error: &CertificateError) -> String {
    match error {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => "the server's certificate has expired".to_owned(),
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "the server's certificate is not valid yet, by this machine's clock".to_owned()
        }
        CertificateError::NotValidForName => "the server's certificate is not valid for this host".to_owned(),
        CertificateError::NotValidForNameContext { expected, .. } => {
            format!("the server's certificate is not valid for the host {:?}", expected.to_str())
        }
        CertificateError::UnknownIssuer => {
            "the server's certificate is signed by an unknown authority; trust its root by TlsConfig::roots".to_owned()
        }
        CertificateError::Other(other) => match other.source().and_then(|cause| cause.downcast_ref::<NotPinned>()) {
            Some(not_pinned) => not_pinned.to_string(),
            None => format!("the server's certificate cannot be accepted: {other}"),
        },
        other => format!("the server's certificate cannot be accepted: {other}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mistakes_are_found_before_the_first_connection() {
        let pair = || {
            let made = rcgen::generate_simple_self_signed(["h.example".to_owned()]).unwrap();
            (made.cert.pem(), made.signing_key.serialize_pem())
        };
        let ((cert, key), (_, other)) = (pair(), pair());
        let roots = |pem: &str| TlsConfig::new().roots(RootCerts::only_pem(pem));
        let identity = |chain: &str, key: &str| roots(&cert).identity(Identity::from_pem(chain, key));
        assert!(build(&identity(&cert, &key)).is_ok());
        let table = [
            (roots(""), "no certificate found in the root certificates"),
            (
                roots("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"),
                "certificate 1 of the root certificates",
            ),
            (roots("-----BEGIN CERTIFICATE-----\nAAAA\n"), "no valid PEM"),
            (identity("", &key), "no certificate found in the client identity"),
            (identity(&cert, ""), "no private key"),
            (identity(&cert, &other), "does not belong to its first certificate"),
        ];
        for (config, expected) in table {
            let error = build(&config).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidRequest);
            assert!(error.to_string().contains(expected), "{error}");
        }
    }
}
