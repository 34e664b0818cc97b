//! Whether a server's certificate is good: the authorities' word, the host's name, and the pins. Nothing here is looser than what the settings
//! with `danger` in their names say.

use std::sync::{Arc, Mutex, PoisonError};

use client_core::SpkiPin;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::hash::HashAlgorithm;
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::{CertificateError, DigitallySignedStruct, Error, OtherError, SignatureScheme, SupportedCipherSuite};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use webpki::{EndEntityCert, KeyUsage, anchor_from_trusted_cert};

/// Our part of the handshake.
#[derive(Debug)]
pub(crate) struct Verifier {
    pub(crate) trust: Trust,
    /// Whether a certificate of any host will do.
    pub(crate) any_host: bool,
    pub(crate) pins: Vec<SpkiPin>,
    /// The roots that were given as certificates: a pin may be one of theirs, and servers do not send roots.
    pub(crate) roots: Vec<CertificateDer<'static>>,
    pub(crate) provider: Arc<CryptoProvider>,
}

/// Whose word counts.
#[derive(Debug)]
pub(crate) enum Trust {
    /// Any certificate is good.
    Anybody,
    /// The authorities that were given.
    These(Arc<WebPkiServerVerifier>),
    /// The platform's.
    Platform(Platform),
}

/// The platform's verifier, loaded when it is first needed, and asked for again if it could not be.
#[derive(Debug, Default)]
pub(crate) struct Platform(Mutex<Option<Arc<rustls_platform_verifier::Verifier>>>);

impl Platform {
    fn load(&self, provider: &Arc<CryptoProvider>) -> Result<Arc<rustls_platform_verifier::Verifier>, Error> {
        // Held while roots are loaded: whoever comes meanwhile needs them as well.
        let mut loaded = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(verifier) = &*loaded {
            return Ok(Arc::clone(verifier));
        }
        let verifier = rustls_platform_verifier::Verifier::new(Arc::clone(provider)).map_err(Refusal::NoRoots)?;
        Ok(Arc::clone(loaded.insert(Arc::new(verifier))))
    }
}

/// What rustls has no word for.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum Refusal {
    #[error("this system's root certificates cannot be used ({0}); install them (ca-certificates), or set TlsConfig::roots")]
    NoRoots(Error),
    #[error("the certificate is self-signed")]
    SelfSigned,
    #[error("no key of the certificate chain is pinned; the server's own is {0:?}")]
    NotPinned(SpkiPin),
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        Self::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(refusal))))
    }
}

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
            self.forgive_host(verify(name), end_entity, verify)
                .map_err(|error| name_self_signed(error, end_entity))?;
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
    fn authorities(&self) -> Result<Option<Arc<dyn ServerCertVerifier>>, Error> {
        Ok(match &self.trust {
            Trust::Anybody => None,
            Trust::These(verifier) => Some(Arc::clone(verifier) as _),
            Trust::Platform(platform) => Some(platform.load(&self.provider)?),
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
            // Only webpki tells names in its error, and it looks at them last: all else was good.
            Err(Error::InvalidCertificate(CertificateError::NotValidForNameContext { .. })) if self.any_host => {
                Ok(ServerCertVerified::assertion())
            }
            // In the verifiers of other platforms a wrong name may hide a worse fault: ask again, by a name that is in the certificate.
            Err(Error::InvalidCertificate(CertificateError::NotValidForName)) if self.any_host => match own_name(end_entity) {
                Some(name) => verify(&name),
                None => outcome,
            },
            outcome => outcome,
        }
    }

    /// One key of the chain has to be pinned (RFC 7469 §2.6).
    ///
    /// The chain that was sent is not the chain that was verified: anybody can add a pinned authority's certificate, which is public, to a chain
    /// of their own. So, unless it is the server's own, a pinned key counts only if it vouches for the server's: if a chain verifies
    /// with it as the only root.
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
        let vouches = |certificate: &CertificateDer<'_>| {
            anchor_from_trusted_cert(certificate).is_ok_and(|anchor| {
                leaf.verify_for_usage(algorithms, &[anchor], intermediates, now, KeyUsage::server_auth(), None, None)
                    .is_ok()
            })
        };
        let is_pinned = |certificate: &CertificateDer<'_>| {
            let pin = EndEntityCert::try_from(certificate).ok().and_then(|parsed| self.pin_of(&parsed).ok());
            pin.is_some_and(|pin| self.pins.contains(&pin))
        };
        let mut authorities = intermediates.iter().chain(&self.roots);
        match authorities.any(|certificate| is_pinned(certificate) && vouches(certificate)) {
            true => Ok(()),
            false => Err(Refusal::NotPinned(own).into()),
        }
    }

    fn pin_of(&self, certificate: &EndEntityCert<'_>) -> Result<SpkiPin, Error> {
        let hash = self.sha256(certificate.subject_public_key_info().as_ref());
        hash.map(SpkiPin::sha256)
            .ok_or_else(|| Error::General("the cryptography in use lacks SHA-256".into()))
    }

    /// By the provider's own implementation, which every provider has for TLS.
    fn sha256(&self, data: &[u8]) -> Option<[u8; 32]> {
        let hash = self.provider.cipher_suites.iter().find_map(|suite| {
            let provider = match suite {
                SupportedCipherSuite::Tls13(suite) => suite.common.hash_provider,
                SupportedCipherSuite::Tls12(suite) => suite.common.hash_provider,
            };
            (provider.algorithm() == HashAlgorithm::SHA256).then_some(provider)
        })?;
        hash.hash(data).as_ref().try_into().ok()
    }
}

/// A host that the certificate is for.
fn own_name(certificate: &CertificateDer<'_>) -> Option<ServerName<'static>> {
    let parsed = EndEntityCert::try_from(certificate).ok()?;
    let name = parsed.valid_dns_names().next()?.replacen('*', "any", 1);
    ServerName::try_from(name).ok()
}

/// Of unknown authorities, the one that people meet most often has a name of its own.
fn name_self_signed(error: Error, certificate: &CertificateDer<'_>) -> Error {
    let is_unknown = matches!(error, Error::InvalidCertificate(CertificateError::UnknownIssuer));
    let is_own = || EndEntityCert::try_from(certificate).is_ok_and(|parsed| parsed.issuer() == parsed.subject());
    if is_unknown && is_own() {
        return Refusal::SelfSigned.into();
    }
    error
}
