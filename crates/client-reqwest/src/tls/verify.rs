//! Whether a server's certificate is good: the authorities' word, the host's name, the pins. Nothing here is looser than what the settings
//! with `danger` in their names say.

use std::sync::{Arc, OnceLock};

use client_core::SpkiPin;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::hash::{Hash, HashAlgorithm};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::{CertificateError, DigitallySignedStruct, Error, OtherError, SignatureScheme, SupportedCipherSuite};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use webpki::{EndEntityCert, KeyUsage, anchor_from_trusted_cert};

/// Our part of the handshake.
#[derive(Debug)]
pub(super) struct Verifier {
    pub(super) trust: Trust,
    /// Whether a certificate of any host will do.
    pub(super) any_host: bool,
    pub(super) pins: Vec<SpkiPin>,
    /// The roots that were given as certificates: a pin may be one of theirs, and servers do not send roots.
    pub(super) roots: Vec<CertificateDer<'static>>,
    pub(super) provider: Arc<CryptoProvider>,
}

/// Whose word counts.
#[derive(Debug)]
pub(super) enum Trust {
    /// Any certificate is good.
    Anybody,
    /// The authorities that were given.
    These(Arc<WebPkiServerVerifier>),
    /// The platform's, loaded when they are first needed: plain HTTP has to work on a machine that has none.
    Platform(OnceLock<rustls_platform_verifier::Verifier>),
}

/// What rustls has no word for.
#[derive(Clone, Debug, thiserror::Error)]
#[error("no key of the server's certificate chain is pinned; its own is {0:?}")]
pub(super) struct NotPinned(SpkiPin);

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if let Some(authorities) = self.authorities()? {
            let verify = |name: &ServerName<'_>| authorities.verify_server_cert(end_entity, intermediates, name, ocsp, now);
            self.forgive_host(verify(name), end_entity, verify)?;
        }
        if !self.pins.is_empty() {
            self.verify_pins(end_entity, intermediates, now)?;
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

impl Verifier {
    fn authorities(&self) -> Result<Option<&dyn ServerCertVerifier>, Error> {
        Ok(match &self.trust {
            Trust::Anybody => None,
            Trust::These(verifier) => Some(verifier.as_ref()),
            Trust::Platform(loaded) => match loaded.get() {
                Some(verifier) => Some(verifier),
                None => {
                    let verifier = rustls_platform_verifier::Verifier::new(Arc::clone(&self.provider)).map_err(|error| {
                        let hint = "install this system's root certificates, or set TlsConfig::roots";
                        Error::General(format!("{error}; {hint}"))
                    })?;
                    Some(loaded.get_or_init(|| verifier))
                }
            },
        })
    }

    /// Where any host will do, forgives a wrong one, and nothing else.
    fn forgive_host(
        &self,
        outcome: Result<ServerCertVerified, Error>,
        end_entity: &CertificateDer<'_>,
        verify: impl Fn(&ServerName<'_>) -> Result<ServerCertVerified, Error>,
    ) -> Result<ServerCertVerified, Error> {
        match outcome {
            // Only webpki tells the names, and it looks at them last: all else was good.
            Err(Error::InvalidCertificate(CertificateError::NotValidForNameContext { .. })) if self.any_host => {
                Ok(ServerCertVerified::assertion())
            }
            // In a platform's verifier a wrong name may hide a worse fault: ask again, by a name that is in the certificate.
            Err(Error::InvalidCertificate(CertificateError::NotValidForName)) if self.any_host => match own_name(end_entity) {
                Some(name) => verify(&name),
                None => outcome,
            },
            outcome => outcome,
        }
    }

    /// One key of the chain has to be pinned (RFC 7469 §2.6).
    ///
    /// The chain that was sent is not the chain that was verified: anybody can add a pinned authority's certificate, which is public, to a
    /// chain of their own. So, unless it is the server's own, a pinned key counts only if it vouches for the server's: if a chain
    /// verifies with it as the only root.
    fn verify_pins(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<(), Error> {
        let leaf = EndEntityCert::try_from(end_entity).map_err(|_| CertificateError::BadEncoding)?;
        let own = self.pin_of(&leaf)?;
        if self.pins.contains(&own) {
            return Ok(());
        }
        let algorithms = self.provider.signature_verification_algorithms.all;
        let is_pinned = |certificate: &CertificateDer<'_>| {
            let pin = EndEntityCert::try_from(certificate).ok().and_then(|parsed| self.pin_of(&parsed).ok());
            pin.is_some_and(|pin| self.pins.contains(&pin))
        };
        let vouches = |certificate: &CertificateDer<'_>| {
            anchor_from_trusted_cert(certificate).is_ok_and(|anchor| {
                let usage = KeyUsage::server_auth();
                leaf.verify_for_usage(algorithms, &[anchor], intermediates, now, usage, None, None).is_ok()
            })
        };
        let mut authorities = intermediates.iter().chain(&self.roots);
        match authorities.any(|certificate| is_pinned(certificate) && vouches(certificate)) {
            true => Ok(()),
            false => Err(CertificateError::Other(OtherError(Arc::new(NotPinned(own)))).into()),
        }
    }

    fn pin_of(&self, certificate: &EndEntityCert<'_>) -> Result<SpkiPin, Error> {
        let hash = self.sha256().map(|hash| hash.hash(certificate.subject_public_key_info().as_ref()));
        let hash = hash.and_then(|hash| hash.as_ref().try_into().ok());
        hash.map(SpkiPin::sha256)
            .ok_or_else(|| Error::General("the cryptography in use lacks SHA-256".into()))
    }

    /// The provider's own, which every provider has for TLS.
    fn sha256(&self) -> Option<&'static dyn Hash> {
        self.provider.cipher_suites.iter().find_map(|suite| {
            let hash = match suite {
                SupportedCipherSuite::Tls13(suite) => suite.common.hash_provider,
                SupportedCipherSuite::Tls12(suite) => suite.common.hash_provider,
            };
            (hash.algorithm() == HashAlgorithm::SHA256).then_some(hash)
        })
    }
}

/// A name that the certificate is valid for.
fn own_name(end_entity: &CertificateDer<'_>) -> Option<ServerName<'static>> {
    let certificate = EndEntityCert::try_from(end_entity).ok()?;
    let name = certificate.valid_dns_names().next()?.replacen('*', "any", 1);
    ServerName::try_from(name).ok()
}
