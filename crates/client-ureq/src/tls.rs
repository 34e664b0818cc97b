//! The core's TLS settings as ureq's; what ureq cannot do is refused. The cryptography is ring's, whatever else the program has.
//!
//! What must never enter this file: verification of our own.

use std::sync::Arc;

use client_core::{Capability, Error, ErrorKind, Identity, Result, RootCerts, TlsConfig, TlsVersion};
use rustls::crypto::{CryptoProvider, ring};
use ureq::config::ConfigBuilder;
use ureq::tls::{Certificate, ClientCert, PemItem, PrivateKey, RootCerts as UreqRoots, TlsProvider, parse_pem};
use ureq::typestate::AgentScope;

pub(crate) use ureq::unversioned::transport::RustlsConnector as Tls;

/// What is promised.
pub(crate) const CAPABILITIES: &[Capability] = &[Capability::Tls, Capability::CustomRoots, Capability::ClientIdentity];

/// Sets `tls`.
///
/// # Errors
/// [`ErrorKind::Unsupported`] for what ureq's connector does not know; [`ErrorKind::InvalidRequest`] for PEM that cannot be read.
pub(crate) fn configure(config: ConfigBuilder<AgentScope>, tls: &TlsConfig) -> Result<ConfigBuilder<AgentScope>> {
    refuse(tls)?;
    let mut builder = ureq::tls::TlsConfig::builder()
        .provider(TlsProvider::Rustls)
        .unversioned_rustls_crypto_provider(Arc::new(provider(tls.get_min_version())))
        .root_certs(roots(tls.get_roots())?)
        .disable_verification(tls.accepts_invalid_certs());
    if let Some(identity) = tls.get_identity() {
        builder = builder.client_cert(Some(client_cert(identity)?));
    }
    Ok(config.tls_config(builder.build()))
}

fn refuse(tls: &TlsConfig) -> Result<()> {
    if !tls.pins().is_empty() {
        return Err(Error::unsupported(Capability::SpkiPins));
    }
    let refused = [
        (tls.logs_keys(), "TlsConfig::key_log"),
        // Together with any certificate, ureq accepts any host; it cannot tell the two apart.
        (
            tls.accepts_invalid_hostnames() && !tls.accepts_invalid_certs(),
            "TlsConfig::danger_accept_invalid_hostnames on its own",
        ),
    ];
    match refused.into_iter().find(|(asked, _)| *asked) {
        Some((_, setting)) => {
            Err(Error::new(ErrorKind::Unsupported, format!("{setting}: ureq's TLS connector has no such setting")))
        }
        None => Ok(()),
    }
}

/// ureq offers every version for which the provider has a cipher suite.
fn provider(min: TlsVersion) -> CryptoProvider {
    let mut provider = ring::default_provider();
    if min > TlsVersion::Tls12 {
        provider.cipher_suites.retain(|suite| suite.tls13().is_some());
    }
    provider
}

fn roots(roots: &RootCerts) -> Result<UreqRoots> {
    match roots {
        RootCerts::Platform => Ok(UreqRoots::PlatformVerifier),
        RootCerts::OnlyPem(pem) => {
            let certificates = certificates(pem, "TlsConfig::roots")?;
            // ureq would pass over what is no certificate, and trust nobody.
            let mut store = rustls::RootCertStore::empty();
            for certificate in &certificates {
                store.add(certificate.der().to_vec().into()).map_err(|error| {
                    Error::new(ErrorKind::InvalidRequest, format!("TlsConfig::roots: {error}")).with_source(error)
                })?;
            }
            Ok(UreqRoots::new_with_certs(&certificates))
        }
        other => Err(Error::new(ErrorKind::Unsupported, format!("TlsConfig::roots: {other:?} is unknown to this engine"))),
    }
}

fn client_cert(identity: &Identity) -> Result<ClientCert> {
    let chain = certificates(identity.chain_pem(), "Identity::from_pem, its chain")?;
    let key = PrivateKey::from_pem(identity.key_pem()).map_err(|_| {
        // Its error may quote what it read.
        Error::new(ErrorKind::InvalidRequest, "Identity::from_pem: no private key can be read in the PEM text")
    })?;
    check_pair(identity)?;
    Ok(ClientCert::new_with_certs(&chain, key))
}

/// ureq hands the pair to rustls when it first connects, and panics if rustls refuses it.
fn check_pair(identity: &Identity) -> Result<()> {
    use rustls_pki_types::pem::PemObject;
    use rustls_pki_types::{CertificateDer, PrivateKeyDer};

    let mistake = |why: String| Error::new(ErrorKind::InvalidRequest, format!("Identity::from_pem: {why}"));
    let chain = CertificateDer::pem_slice_iter(identity.chain_pem()).collect::<Result<Vec<_>, _>>();
    let chain = chain.map_err(|error| mistake(error.to_string()))?;
    let key = PrivateKeyDer::from_pem_slice(identity.key_pem()).map_err(|_| mistake("the key cannot be read".into()))?;
    let provider = Arc::new(ring::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let builder = builder.map_err(|error| mistake(error.to_string()))?;
    let config = builder.with_root_certificates(rustls::RootCertStore::empty()).with_client_auth_cert(chain, key);
    config.map(drop).map_err(|error| mistake(error.to_string()))
}

fn certificates(pem: &[u8], setting: &str) -> Result<Vec<Certificate<'static>>> {
    let mistake = |why: &str| Error::new(ErrorKind::InvalidRequest, format!("{setting}: {why}"));
    let mut found = Vec::new();
    for item in parse_pem(pem) {
        if let PemItem::Certificate(certificate) = item.map_err(|error| mistake(&error.to_string()))? {
            found.push(certificate);
        }
    }
    if found.is_empty() {
        Err(mistake("no certificate in the PEM text"))
    } else {
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use client_core::SpkiPin;
    use ureq::Agent;

    use super::*;

    fn refused(tls: TlsConfig) -> Error {
        configure(Agent::config_builder(), &tls).err().expect("refused")
    }

    #[test]
    fn what_ureq_cannot_do_is_refused_by_name() {
        assert_eq!(refused(TlsConfig::new().pin(SpkiPin::sha256([0; 32]))).capability(), Some(Capability::SpkiPins));
        assert!(refused(TlsConfig::new().key_log(true)).to_string().contains("key_log"));
        assert!(refused(TlsConfig::new().danger_accept_invalid_hostnames(true)).to_string().contains("hostnames"));
    }

    #[test]
    fn what_cannot_be_read_is_refused_before_it_is_used() {
        let bogus = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        for pem in ["", "no pem", bogus] {
            assert_eq!(refused(TlsConfig::new().roots(RootCerts::only_pem(pem))).kind(), ErrorKind::InvalidRequest, "{pem}");
        }
        let mine = rcgen::generate_simple_self_signed(["a.example".into()]).unwrap();
        let other = rcgen::KeyPair::generate().unwrap();
        for key in [String::new(), other.serialize_pem()] {
            let error = refused(TlsConfig::new().identity(Identity::from_pem(mine.cert.pem(), &key)));
            assert_eq!(error.kind(), ErrorKind::InvalidRequest);
        }
        let pair = Identity::from_pem(mine.cert.pem(), mine.signing_key.serialize_pem());
        assert!(configure(Agent::config_builder(), &TlsConfig::new().identity(pair)).is_ok());
    }
}
