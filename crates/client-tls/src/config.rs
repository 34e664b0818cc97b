//! From our TLS settings to a configuration of rustls.

use std::borrow::Cow;
use std::sync::Arc;

use client_core::{Error, ErrorKind, Identity, Result, RootCerts, Sent, TlsConfig, TlsVersion};
use rustls::client::WebPkiServerVerifier;
use rustls::crypto::CryptoProvider;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{ALL_VERSIONS, ClientConfig, InconsistentKeys, KeyLogFile, RootCertStore, SupportedProtocolVersion, version};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use crate::verify::{Platform, Trust, Verifier};

#[cfg(not(feature = "aws-lc-rs"))]
use rustls::crypto::ring as cryptography;

#[cfg(feature = "aws-lc-rs")]
use rustls::crypto::aws_lc_rs as cryptography;

/// Refuses settings that [`client_config`] would refuse.
///
/// # Errors
/// The same.
pub fn check(config: &TlsConfig) -> Result<()> {
    client_config(config).map(drop)
}

/// The configuration, without ALPN. Clones of it share the sessions to resume, and the roots.
///
/// The platform's roots are loaded when a certificate is first verified by them: plain HTTP has to work on a machine that has none.
///
/// # Errors
/// [`ErrorKind::InvalidRequest`] for certificates that cannot be read and a key that does not fit. The text of a key is never quoted.
pub fn client_config(config: &TlsConfig) -> Result<ClientConfig> {
    let provider = Arc::new(cryptography::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(versions(config.get_min_version()))
        .map_err(|error| Error::new(ErrorKind::Tls, error.to_string()).with_sent(Sent::Nothing).with_source(error))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier(config, Arc::clone(&provider))?));
    let mut built = match config.get_identity() {
        Some(identity) => {
            let key = certified_key(identity, &provider)?;
            builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(key)))
        }
        None => builder.with_no_client_auth(),
    };
    if config.logs_keys() {
        built.key_log = Arc::new(KeyLogFile::new());
    }
    Ok(built)
}

fn versions(min: TlsVersion) -> &'static [&'static SupportedProtocolVersion] {
    static ONLY_TLS13: &[&SupportedProtocolVersion] = &[&version::TLS13];
    match min {
        TlsVersion::Tls12 => ALL_VERSIONS,
        // A version that is newer than this code is at least this.
        _ => ONLY_TLS13,
    }
}

fn verifier(config: &TlsConfig, provider: Arc<CryptoProvider>) -> Result<Verifier> {
    let mut roots = Vec::new();
    if let RootCerts::OnlyPem(pem) = config.get_roots() {
        roots = certificates(pem, "the root certificates")?;
    }
    let trust = match config.get_roots() {
        RootCerts::OnlyPem(_) => {
            // Read even if nobody is asked: a mistake is a mistake.
            let store = Arc::new(root_store(&roots)?);
            let verifier = WebPkiServerVerifier::builder_with_provider(store, Arc::clone(&provider)).build();
            Trust::These(verifier.map_err(|error| unusable(error.to_string()))?)
        }
        RootCerts::Platform => Trust::Platform(Platform::default()),
        // What is added to `RootCerts` later is refused until it is read here.
        other => return Err(unusable(format!("root certificates of an unknown kind: {other:?}"))),
    };
    Ok(Verifier {
        trust: if config.accepts_invalid_certs() { Trust::Anybody } else { trust },
        any_host: config.accepts_invalid_hostnames(),
        pins: config.pins().to_vec(),
        roots,
        provider,
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
    // The cause is not kept: it may quote the text.
    let key = PrivateKeyDer::from_pem_slice(identity.key_pem()).map_err(|error| {
        unusable(match error {
            rustls_pki_types::pem::Error::NoItemsFound => {
                "no private key found in the client identity: a PEM section is missing (PKCS #8, PKCS #1 or SEC 1)"
            }
            _ => "the private key of the client identity is no valid PEM",
        })
    })?;
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
    if certificates.is_empty() {
        return Err(unusable(format!("no certificate found in {of}: a PEM section BEGIN CERTIFICATE is missing")));
    }
    Ok(certificates)
}

fn unusable(message: impl Into<Cow<'static, str>>) -> Error {
    Error::new(ErrorKind::InvalidRequest, message)
}

#[cfg(test)]
mod tests {
    use client_core::Identity;

    use super::*;

    fn pair() -> (String, String) {
        let made = rcgen::generate_simple_self_signed(["h.example".to_owned()]).unwrap();
        (made.cert.pem(), made.signing_key.serialize_pem())
    }

    #[track_caller]
    fn refused(config: &TlsConfig, expected: &str) {
        let error = check(config).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidRequest);
        assert!(error.to_string().contains(expected), "{error}");
    }

    #[test]
    fn mistakes_are_found_before_the_first_connection() {
        let (cert, key) = pair();
        let (_, other) = pair();
        let roots = |pem: &str| TlsConfig::new().roots(RootCerts::only_pem(pem));
        let identity = |chain: &str, key: &str| roots(&cert).identity(Identity::from_pem(chain, key));
        assert!(check(&identity(&cert, &key)).is_ok());
        refused(&roots(""), "no certificate found in the root certificates");
        refused(&roots(&key), "no certificate found in the root certificates");
        refused(
            &roots("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"),
            "certificate 1 of the root certificates",
        );
        refused(&roots("-----BEGIN CERTIFICATE-----\nAAAA\n"), "no valid PEM");
        refused(&identity("", &key), "no certificate found in the client identity");
        refused(&identity(&cert, ""), "no private key found in the client identity");
        refused(&identity(&cert, &other), "does not belong to its first certificate");
    }

    #[test]
    fn a_broken_key_is_never_quoted() {
        let (cert, key) = pair();
        let body = key.lines().nth(1).unwrap();
        let broken = format!("-----BEGIN PRIVATE KEY-----\n{body}!\n-----END PRIVATE KEY-----\n");
        let config = TlsConfig::new().roots(RootCerts::only_pem(&cert)).identity(Identity::from_pem(&cert, &broken));
        let error = check(&config).unwrap_err();
        assert!(!format!("{error} {error:?}").contains(&body[..20]));
    }
}
