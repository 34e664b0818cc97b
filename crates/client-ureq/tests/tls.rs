//! `https`: whom the engine trusts, how it identifies itself, and what it says when that fails.
#![cfg(feature = "tls")]

mod support;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread;

use client_core::{ErrorKind, HttpClient, Identity, Phase, RootCerts, Sent, SpkiPin, TlsConfig, TlsVersion};
use client_ureq::Ureq;
use futures::executor::block_on;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, ServerConnection, StreamOwned};
use support::{client, default, get, text};

/// An authority of our own, and what it has signed.
struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "tests");
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    fn roots(&self) -> RootCerts {
        RootCerts::only_pem(self.0.pem())
    }

    fn sign(&self, name: &str) -> (rcgen::Certificate, KeyPair) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new([name.to_owned()]).unwrap();
        (params.signed_by(&key, &self.0).unwrap(), key)
    }

    /// A server of this name, that may ask for a client certificate, and closes as rudely as it is told.
    fn serve(&self, name: &str, asks: bool, answer: &'static str, says_goodbye: bool) -> SocketAddr {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(self.0.der().clone()).unwrap();
        let builder = match asks {
            true => builder.with_client_cert_verifier(
                WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap(),
            ),
            false => builder.with_no_client_auth(),
        };
        let (certificate, key) = self.sign(name);
        let key = PrivateKeyDer::from_pem_slice(key.serialize_pem().as_bytes()).unwrap();
        let config = Arc::new(builder.with_single_cert(vec![certificate.der().clone()], key).unwrap());
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let connection = ServerConnection::new(Arc::clone(&config)).unwrap();
                let mut stream = StreamOwned::new(connection, stream.unwrap());
                thread::spawn(move || {
                    let mut buffer = [0; 4096];
                    while let Ok(1..) = stream.read(&mut buffer) {
                        stream.write_all(answer.as_bytes()).unwrap();
                        if !answer.contains("Content-Length") {
                            if says_goodbye {
                                stream.conn.send_close_notify();
                                let _ = stream.flush();
                            }
                            return;
                        }
                    }
                });
            }
        });
        address
    }
}

fn url(name: &str, address: SocketAddr) -> String {
    format!("https://{name}:{}/", address.port())
}

#[test]
fn trust_is_what_was_configured() {
    let (ours, other) = (Authority::new(), Authority::new());
    let address = ours.serve("localhost", false, support::OK, true);
    let trusting = client(Ureq::builder().tls(TlsConfig::new().roots(ours.roots())));
    for n in 0..3 {
        let response = get(&trusting, url("localhost", address)).unwrap();
        assert_eq!(response.connection().unwrap().reused, n > 0, "TLS connections are used again");
        assert_eq!(block_on(response.text()).unwrap(), "ok");
    }
    let wrong_name = get(&trusting, url("127.0.0.1", address));
    let unknown = get(&client(Ureq::builder().tls(TlsConfig::new().roots(other.roots()))), url("localhost", address));
    for error in [wrong_name.unwrap_err(), unknown.unwrap_err()] {
        assert_eq!(
            (error.kind(), error.phase(), error.sent()),
            (ErrorKind::Tls, Some(Phase::Tls), Sent::Nothing),
            "{error}"
        );
        assert!(std::error::Error::source(&error).is_some());
    }
    let blind = client(Ureq::builder().tls(TlsConfig::new().danger_accept_invalid_certs(true)));
    assert_eq!(text(&blind, url("127.0.0.1", address)).unwrap(), "ok");
}

#[test]
fn the_platform_does_not_trust_us() {
    let address = Authority::new().serve("localhost", false, support::OK, true);
    assert_eq!(get(&default(), url("localhost", address)).unwrap_err().kind(), ErrorKind::Tls);
}

#[test]
fn an_identity_is_shown_where_it_is_asked_for() {
    let authority = Authority::new();
    let address = authority.serve("localhost", true, support::OK, true);
    let tls = TlsConfig::new().roots(authority.roots());
    let (certificate, key) = authority.sign("me");
    let known = client(Ureq::builder().tls(tls.clone().identity(Identity::from_pem(certificate.pem(), key.serialize_pem()))));
    assert_eq!(text(&known, url("localhost", address)).unwrap(), "ok");
    let error = get(&client(Ureq::builder().tls(tls)), url("localhost", address)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Tls);
    assert!(error.to_string().contains("requires a client certificate"), "{error}");
}

#[test]
fn plain_http_is_no_tls() {
    let server = support::Server::start(|mut peer, _| {
        peer.send("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
        peer.closed();
    });
    let error = get(&default(), server.url("/").replace("http:", "https:")).unwrap_err();
    assert_eq!((error.kind(), error.phase()), (ErrorKind::Tls, Some(Phase::Tls)));
}

#[test]
fn mistakes_surface_when_the_client_is_built() {
    let broken = TlsConfig::new().identity(Identity::from_pem("", ""));
    let error = HttpClient::builder(Ureq::builder().tls(broken).build()).build().unwrap_err();
    assert_eq!((error.kind(), error.engine()), (ErrorKind::InvalidRequest, Some("ureq")));
}

#[test]
fn what_was_agreed_upon_is_told() {
    let authority = Authority::new();
    let address = authority.serve("localhost", false, support::OK, true);
    let http = client(Ureq::builder().tls(TlsConfig::new().roots(authority.roots())));
    for reused in [false, true] {
        let response = get(&http, url("localhost", address)).unwrap();
        let connection = response.connection().unwrap().clone();
        let tls = connection.tls.unwrap();
        assert_eq!((connection.reused, tls.version, tls.peer_certificates.len()), (reused, TlsVersion::Tls13, 1));
        assert!(tls.cipher.starts_with("TLS_"), "{}", tls.cipher);
        block_on(response.text()).unwrap();
    }
}

/// A pin is a promise now; that it is kept on every engine, the suite shows. Here: that a mistake tells what would be right.
#[test]
fn a_pin_that_does_not_fit_tells_the_one_that_would() {
    let authority = Authority::new();
    let address = authority.serve("localhost", false, support::OK, true);
    let tls = TlsConfig::new().roots(authority.roots()).pin(SpkiPin::sha256([7; 32]));
    let error = get(&client(Ureq::builder().tls(tls)), url("localhost", address)).unwrap_err();
    assert_eq!((error.kind(), error.phase()), (ErrorKind::Tls, Some(Phase::Tls)));
    assert!(error.to_string().contains("the server's own is SpkiPin("), "{error}");
}

/// RFC 8446 §6.1: without close_notify, a body that ends with its connection may have been cut short.
#[test]
fn a_body_that_ends_with_its_connection_needs_a_goodbye() {
    for says_goodbye in [true, false] {
        let authority = Authority::new();
        let address = authority.serve("localhost", false, "HTTP/1.1 200 OK\r\n\r\nto the end", says_goodbye);
        let http = client(Ureq::builder().tls(TlsConfig::new().roots(authority.roots())));
        let read = text(&http, url("localhost", address));
        match says_goodbye {
            true => assert_eq!(read.unwrap(), "to the end"),
            false => assert_eq!(read.unwrap_err().kind(), ErrorKind::Closed),
        }
    }
}
