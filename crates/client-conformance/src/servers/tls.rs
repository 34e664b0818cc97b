//! TLS for the servers: a certificate authority and a matrix of certificates, made when they are first needed, good ones and each
//! way of being bad.

use std::sync::{Arc, LazyLock};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, date_time_ymd,
};
use rustls::crypto::ring;
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, SupportedProtocolVersion, version};
use tokio_rustls::TlsAcceptor;

use client_core::{Identity, RootCerts, TlsConfig};

/// What a server shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Certificate {
    /// For `localhost`, by the suite's authority, valid today.
    Good,
    /// For the IP address 127.0.0.1 (RFC 9110 §4.3.5).
    IpAddress,
    /// For `*.suite.test`.
    Wildcard,
    /// For `localhost`, over since 2001.
    Expired,
    /// For `localhost`, valid from 4000 on.
    NotYetValid,
    /// For `other.test`.
    WrongHost,
    /// For `localhost`, but only as the common name: no subject alternative name (RFC 9110 §4.3.4).
    CommonNameOnly,
    /// For `localhost`, by an authority of the same name but another key.
    UnknownAuthority,
    /// For `localhost`, by itself.
    SelfSigned,
    /// For `localhost`, by a certificate that is no authority.
    IssuedByLeaf,
    /// For `localhost`, but for clients only (RFC 5280 §4.2.1.12).
    WrongPurpose,
}

impl Certificate {
    /// Every one of them.
    pub const ALL: &'static [Self] = &[
        Self::Good,
        Self::IpAddress,
        Self::Wildcard,
        Self::Expired,
        Self::NotYetValid,
        Self::WrongHost,
        Self::CommonNameOnly,
        Self::UnknownAuthority,
        Self::SelfSigned,
        Self::IssuedByLeaf,
        Self::WrongPurpose,
    ];
}

/// How a server speaks TLS.
#[derive(Clone, Debug)]
#[must_use]
pub struct Tls {
    certificate: Certificate,
    host: &'static str,
    versions: Vec<&'static SupportedProtocolVersion>,
    wants_client: bool,
    alpn: Vec<Vec<u8>>,
}

impl Tls {
    /// TLS 1.2 and 1.3 with `certificate`, reached as `localhost`.
    pub fn new(certificate: Certificate) -> Self {
        let host = match certificate {
            Certificate::IpAddress => "127.0.0.1",
            Certificate::Wildcard => "a.suite.test",
            _ => "localhost",
        };
        Self {
            certificate,
            host,
            versions: vec![&version::TLS12, &version::TLS13],
            wants_client: false,
            alpn: Vec::new(),
        }
    }

    /// Is reached as `host`, which the engine has to be told where to find.
    pub fn as_host(mut self, host: &'static str) -> Self {
        self.host = host;
        self
    }

    /// TLS 1.2 only.
    pub fn only_tls12(mut self) -> Self {
        self.versions = vec![&version::TLS12];
        self
    }

    /// TLS 1.3 only.
    pub fn only_tls13(mut self) -> Self {
        self.versions = vec![&version::TLS13];
        self
    }

    /// Demands a certificate of the client's, by the suite's authority.
    pub fn wants_client(mut self) -> Self {
        self.wants_client = true;
        self
    }

    /// Offers these protocols (RFC 7301).
    pub fn alpn(mut self, protocols: &[&str]) -> Self {
        self.alpn = protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
        self
    }

    /// The name that the server is reached as.
    pub fn host(&self) -> &str {
        self.host
    }

    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        let issued = Authority::get().issue(self.certificate);
        let builder = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(&self.versions)
            .expect("the provider knows these versions");
        let builder = if self.wants_client {
            let mut roots = RootCertStore::empty();
            roots.add(Authority::get().root.der().clone()).expect("our own root is well-formed");
            let verifier =
                WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::new(ring::default_provider())).build();
            builder.with_client_cert_verifier(verifier.expect("one root is enough"))
        } else {
            builder.with_no_client_auth()
        };
        let chain = issued.chain.iter().map(|one| one.der().clone()).collect();
        let key = PrivatePkcs8KeyDer::from(issued.key.serialize_der());
        let mut config = builder.with_single_cert(chain, key.into()).expect("the key fits the certificate");
        config.alpn_protocols.clone_from(&self.alpn);
        TlsAcceptor::from(Arc::new(config))
    }
}

/// The suite's own certificate authority.
pub struct Authority {
    root: rcgen::Certificate,
    issuer: Issuer<'static, KeyPair>,
}

/// A server's certificate, before those that lead to the root, and its key.
struct Issued {
    chain: Vec<rcgen::Certificate>,
    key: KeyPair,
}

impl Authority {
    /// The one of this process.
    pub fn get() -> &'static Self {
        static AUTHORITY: LazyLock<Authority> = LazyLock::new(Authority::new);
        &AUTHORITY
    }

    fn new() -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "Conformance Suite Authority");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = key();
        Self {
            root: params.self_signed(&key).expect("a certificate"),
            issuer: Issuer::new(params, key),
        }
    }

    /// Its root certificate.
    pub fn pem(&self) -> String {
        self.root.pem()
    }

    /// The root certificate of an authority that has signed nothing.
    pub fn unrelated_pem() -> String {
        Self::new().pem()
    }

    /// Trust in this authority and in no other.
    pub fn trusted(&self) -> TlsConfig {
        TlsConfig::new().roots(RootCerts::only_pem(self.pem()))
    }

    /// A certificate and its key as PEM, for a server that is not the suite's own: the chain first, the server's own certificate at its
    /// beginning, then the private key.
    pub fn issue_pem(&self, certificate: Certificate) -> (String, String) {
        let issued = self.issue(certificate);
        let chain = issued.chain.iter().map(rcgen::Certificate::pem).collect();
        (chain, issued.key.serialize_pem())
    }

    /// A client certificate by this authority.
    pub fn identity(&self) -> Identity {
        let (certificate, key) = self.identity_pem();
        Identity::from_pem(certificate, key)
    }

    /// The same as PEM: certificate and private key.
    pub fn identity_pem(&self) -> (String, String) {
        let mut params = params(&["client.test"]);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let key = key();
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate");
        (certificate.pem(), key.serialize_pem())
    }

    fn issue(&self, certificate: Certificate) -> Issued {
        let mut params = match certificate {
            Certificate::IpAddress => params(&["127.0.0.1"]),
            Certificate::Wildcard => params(&["*.suite.test"]),
            Certificate::WrongHost => params(&["other.test"]),
            Certificate::CommonNameOnly => params(&[]),
            _ => params(&["localhost"]),
        };
        let key = key();
        let mut chain = Vec::new();
        let issued = match certificate {
            Certificate::Expired => {
                (params.not_before, params.not_after) = (date_time_ymd(2000, 1, 1), date_time_ymd(2001, 1, 1));
                params.signed_by(&key, &self.issuer)
            }
            Certificate::NotYetValid => {
                (params.not_before, params.not_after) = (date_time_ymd(4000, 1, 1), date_time_ymd(4001, 1, 1));
                params.signed_by(&key, &self.issuer)
            }
            Certificate::CommonNameOnly => {
                params.distinguished_name.push(DnType::CommonName, "localhost");
                params.signed_by(&key, &self.issuer)
            }
            Certificate::WrongPurpose => {
                params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
                params.signed_by(&key, &self.issuer)
            }
            Certificate::UnknownAuthority => params.signed_by(&key, &Self::new().issuer),
            Certificate::SelfSigned => params.self_signed(&key),
            Certificate::IssuedByLeaf => {
                let leaf_key = self::key();
                let leaf = self::params(&["leaf.test"]);
                let leaf_certificate = leaf.signed_by(&leaf_key, &self.issuer).expect("a certificate");
                chain.push(leaf_certificate);
                params.signed_by(&key, &Issuer::new(leaf, leaf_key))
            }
            Certificate::Good | Certificate::IpAddress | Certificate::Wildcard | Certificate::WrongHost => {
                params.signed_by(&key, &self.issuer)
            }
        };
        chain.insert(0, issued.expect("a certificate"));
        Issued { chain, key }
    }
}

/// A server's certificate for these names, from yesterday's century to 2049, the last year that UTCTime can say.
fn params(names: &[&str]) -> CertificateParams {
    let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
    let mut params = CertificateParams::new(names).expect("well-formed names");
    params.not_before = date_time_ymd(2020, 1, 1);
    params.not_after = date_time_ymd(2049, 1, 1);
    params.use_authority_key_identifier_extension = true;
    params.distinguished_name.push(DnType::CommonName, "Conformance Suite");
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params
}

fn key() -> KeyPair {
    KeyPair::generate().expect("the system's source of randomness")
}
