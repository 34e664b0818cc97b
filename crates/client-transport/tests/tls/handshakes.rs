//! TLS against servers with certificates of every kind of fault, on the loopback interface.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use client_core::{Error, ErrorKind, Identity, RootCerts, Sent, SpkiPin, TlsConfig, TlsVersion, Trace};
use client_transport::dial::{Dialed, Dialer};
use client_transport::dns::{Overrides, System};
use client_transport::route::{Alpn, Origin, Route, RouteOptions, Versions};
use client_transport::tls::{TlsSettings, classify};
use rustls::ServerConfig;
use rustls::crypto::hash::HashAlgorithm;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use crate::certs::{Authority, Certified};

const HOST: &str = "h.example";

/// What a server saw of a handshake.
#[derive(Clone, Debug, Default, PartialEq)]
struct Seen {
    sni: Option<String>,
    has_client_certificate: bool,
    resumed: bool,
}

/// A server that echoes, and tells what it saw.
struct Server {
    address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Server {
    async fn start(config: ServerConfig) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (acceptor, seen) = (TlsAcceptor::from(Arc::new(config)), Arc::default());
        let log = Arc::clone(&seen);
        tokio::spawn(async move {
            while let Ok((tcp, _)) = listener.accept().await {
                let (acceptor, log) = (acceptor.clone(), Arc::<Mutex<Vec<Seen>>>::clone(&log));
                tokio::spawn(async move {
                    let Ok(mut tls) = acceptor.accept(tcp).await else { return };
                    let session = tls.get_ref().1;
                    log.lock().unwrap().push(Seen {
                        sni: session.server_name().map(str::to_owned),
                        has_client_certificate: session.peer_certificates().is_some(),
                        resumed: session.handshake_kind() == Some(rustls::HandshakeKind::Resumed),
                    });
                    let mut byte = [0];
                    while let Ok(1) = tls.read(&mut byte).await {
                        tls.write_all(&byte).await.unwrap();
                    }
                });
            }
        });
        Self { address, seen }
    }

    fn dialer(&self) -> Dialer {
        Dialer::new().resolver(Overrides::new(System).with(HOST, [self.address]))
    }

    async fn dial(&self, tls: impl Into<TlsSettings>) -> Result<Dialed, Error> {
        let options = RouteOptions::new().tls(tls);
        dial(&self.dialer(), &format!("https://{HOST}/"), options, Versions::Http1).await
    }
}

async fn dial(dialer: &Dialer, url: &str, options: RouteOptions, versions: Versions) -> Result<Dialed, Error> {
    let origin = Origin::of(&url.parse().unwrap()).unwrap();
    dialer.dial(&Route::new(origin, versions).with_options(options.into()), &Trace::default()).await
}

/// One byte there and back: proof that both sides hold the handshake for good.
async fn echo(dialed: &mut Dialed) -> std::io::Result<()> {
    dialed.stream.write_all(b"x").await?;
    dialed.stream.read_u8().await.map(drop)
}

fn trusting(authority: &Authority) -> TlsConfig {
    TlsConfig::new().roots(RootCerts::only_pem(authority.pem()))
}

fn pin(certificate: &[u8]) -> SpkiPin {
    let certificate = certificate.into();
    let parsed = webpki::EndEntityCert::try_from(&certificate).unwrap();
    let provider = rustls::crypto::ring::default_provider();
    let hashes = provider
        .cipher_suites
        .iter()
        .filter_map(|suite| suite.tls13())
        .map(|suite| suite.common.hash_provider);
    let hash = hashes.into_iter().find(|hash| hash.algorithm() == HashAlgorithm::SHA256).unwrap();
    SpkiPin::sha256(hash.hash(&parsed.subject_public_key_info()).as_ref().try_into().unwrap())
}

#[track_caller]
fn refused(outcome: Result<Dialed, Error>, expected: &str) {
    let error = outcome.expect_err(expected);
    assert_eq!(error.kind(), ErrorKind::Tls, "{error}");
    assert_eq!(error.sent(), Sent::Nothing);
    assert!(error.to_string().contains(expected), "{error}");
    assert!(std::error::Error::source(&error).is_some());
}

#[tokio::test]
async fn a_good_server() {
    let authority = Authority::new("root");
    let server = Server::start(authority.sign_plain(&[HOST]).server()).await;
    let mut dialed = server.dial(trusting(&authority)).await.unwrap();
    echo(&mut dialed).await.unwrap();
    let tls = dialed.info.tls.as_ref().unwrap();
    assert_eq!(tls.version, TlsVersion::Tls13);
    assert!(tls.cipher.starts_with("TLS_AES_"), "{}", tls.cipher);
    assert_eq!(tls.peer_certificates.len(), 1);
    assert_eq!(dialed.info.remote_addr, Some(server.address));
    assert_eq!(server.seen.lock().unwrap()[0].sni.as_deref(), Some(HOST));
    assert!(!dialed.stream.is_stale(true), "session tickets do not count");
}

/// More than was asked for may have come in one record: then the socket is quiet, and the connection is not clean.
#[tokio::test]
async fn what_the_session_holds_already_is_input() {
    let authority = Authority::new("root");
    let acceptor = TlsAcceptor::from(Arc::new(authority.sign_plain(&[HOST]).server()));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let dialer = Dialer::new().resolver(Overrides::new(System).with(HOST, [listener.local_addr().unwrap()]));
    let server = tokio::spawn(async move {
        let mut tls = acceptor.accept(listener.accept().await.unwrap().0).await.unwrap();
        tls.write_all(b"xy").await.unwrap();
        tls.read(&mut [0]).await
    });
    let options = RouteOptions::new().tls(trusting(&authority));
    let mut dialed = dial(&dialer, &format!("https://{HOST}/"), options, Versions::Http1).await.unwrap();
    assert_eq!(dialed.stream.read_u8().await.unwrap(), b'x');
    assert!(dialed.stream.is_stale(false) && dialed.stream.is_stale(true));
    assert_eq!(dialed.stream.read_u8().await.unwrap(), b'y', "asking takes nothing away");
    assert!(!dialed.stream.is_stale(false) && !dialed.stream.is_stale(true));
    drop(dialed);
    let _ = server.await.unwrap();
}

#[tokio::test]
async fn certificates_that_are_not_good() {
    let (authority, other) = (Authority::new("root"), Authority::new("other"));
    let long_ago = |params: &mut rcgen::CertificateParams| {
        params.not_before = rcgen::date_time_ymd(2019, 1, 1);
        params.not_after = rcgen::date_time_ymd(2020, 2, 3);
    };
    let far_off = |params: &mut rcgen::CertificateParams| params.not_before = rcgen::date_time_ymd(3000, 1, 2);
    for (certified, expected) in [
        (
            authority.sign(&[HOST], long_ago),
            "TLS: the certificate of \"h.example\" expired on 2020-02-03 00:00 UTC",
        ),
        (
            authority.sign(&[HOST], far_off),
            "the certificate of \"h.example\" is not valid before 3000-01-02 00:00 UTC",
        ),
        (
            authority.sign_plain(&["other.example", "*.x.example", "127.0.0.1"]),
            "the certificate is not valid for \"h.example\", only for other.example, *.x.example, 127.0.0.1",
        ),
        (other.sign_plain(&[HOST]), "\"h.example\" is signed by an unknown authority"),
        (Certified::self_signed(&[HOST]), "\"h.example\" is self-signed"),
    ] {
        let server = Server::start(certified.server()).await;
        refused(server.dial(trusting(&authority)).await, expected);
        let anybody = trusting(&authority).danger_accept_invalid_certs(true);
        assert!(server.dial(anybody).await.is_ok(), "{expected}");
    }
}

#[tokio::test]
async fn a_wrong_host_alone_can_be_accepted() {
    let (authority, other) = (Authority::new("root"), Authority::new("other"));
    let any_host = trusting(&authority).danger_accept_invalid_hostnames(true);
    for names in [&["other.example"][..], &["127.0.0.9"], &[]] {
        let server = Server::start(authority.sign_plain(names).server()).await;
        assert!(server.dial(any_host.clone()).await.is_ok());
    }
    let server = Server::start(other.sign_plain(&["other.example"]).server()).await;
    refused(server.dial(any_host).await, "unknown authority");
}

#[tokio::test]
async fn an_ip_address_needs_an_ip_san() {
    let authority = Authority::new("root");
    let url = |server: &Server| format!("https://{}/", server.address);
    let options = || RouteOptions::new().tls(trusting(&authority));
    let server = Server::start(authority.sign_plain(&["127.0.0.1"]).server()).await;
    let mut dialed = dial(&Dialer::new(), &url(&server), options(), Versions::Http1).await.unwrap();
    echo(&mut dialed).await.unwrap();
    assert_eq!(server.seen.lock().unwrap()[0].sni, None, "RFC 6066 §3: no SNI for an address");
    // A DNS name that looks like one does not do.
    let server = Server::start(authority.sign(&["127.0.0.2"], |_| {}).server()).await;
    refused(
        dial(&Dialer::new(), &url(&server), options(), Versions::Http1).await,
        "not valid for \"127.0.0.1\", only for 127.0.0.2",
    );
}

#[tokio::test]
async fn another_server_name() {
    let authority = Authority::new("root");
    let server = Server::start(authority.sign_plain(&["real.example"]).server()).await;
    let options = RouteOptions::new().tls(trusting(&authority)).server_name("real.example");
    let mut dialed = dial(&server.dialer(), &format!("https://{HOST}/"), options, Versions::Http1).await.unwrap();
    echo(&mut dialed).await.unwrap();
    assert_eq!(server.seen.lock().unwrap()[0].sni.as_deref(), Some("real.example"));
}

#[tokio::test]
async fn client_certificates() {
    let (authority, clients) = (Authority::new("root"), Authority::new("clients"));
    let certified = authority.sign_plain(&[HOST]);
    let client = clients.sign_plain(&["client"]);
    let identity = Identity::from_pem(&client.chain_pem, client.key.serialize_pem());
    for versions in [&[&rustls::version::TLS12][..], &[&rustls::version::TLS13]] {
        let server = Server::start(certified.server_of(versions, Some(&clients))).await;
        let mut dialed = server.dial(trusting(&authority).identity(identity.clone())).await.unwrap();
        echo(&mut dialed).await.unwrap();
        assert!(server.seen.lock().unwrap()[0].has_client_certificate);
    }
    // Without one: TLS 1.2 refuses in the handshake, TLS 1.3 after it.
    let server = Server::start(certified.server_of(&[&rustls::version::TLS12], Some(&clients))).await;
    refused(server.dial(trusting(&authority)).await, "client certificate");
    let server = Server::start(certified.server_of(&[&rustls::version::TLS13], Some(&clients))).await;
    let error = echo(&mut server.dial(trusting(&authority)).await.unwrap()).await.unwrap_err();
    assert!(classify(&error).unwrap().to_string().contains("requires a client certificate"), "{error}");
}

#[tokio::test]
async fn the_minimum_version() {
    let authority = Authority::new("root");
    let certified = authority.sign_plain(&[HOST]);
    let server = Server::start(certified.server_of(&[&rustls::version::TLS12], None)).await;
    let dialed = server.dial(trusting(&authority)).await.unwrap();
    assert_eq!(dialed.info.tls.unwrap().version, TlsVersion::Tls12);
    refused(
        server.dial(trusting(&authority).min_version(TlsVersion::Tls13)).await,
        "no version of TLS in common",
    );
}

#[tokio::test]
async fn alpn() {
    let authority = Authority::new("root");
    let start = async |offered: &[&[u8]]| {
        let mut config = authority.sign_plain(&[HOST]).server();
        config.alpn_protocols = offered.iter().map(|id| id.to_vec()).collect();
        Server::start(config).await
    };
    for (offered, versions, chosen) in [
        (&[&b"h2"[..], b"http/1.1"][..], Versions::Any, Some(Alpn::Http2)),
        (&[b"h2", b"http/1.1"], Versions::Http1, Some(Alpn::Http1)),
        (&[b"http/1.1"], Versions::Any, Some(Alpn::Http1)),
        (&[], Versions::Any, None),
    ] {
        let server = start(offered).await;
        let options = RouteOptions::new().tls(trusting(&authority));
        let dialed = dial(&server.dialer(), &format!("https://{HOST}/"), options, versions).await.unwrap();
        assert_eq!(dialed.alpn, chosen, "{versions:?}");
    }
    let server = start(&[b"http/1.1"]).await;
    let options = RouteOptions::new().tls(trusting(&authority));
    let outcome = dial(&server.dialer(), &format!("https://{HOST}/"), options, Versions::Http2).await;
    let error = outcome.expect_err("it speaks another protocol");
    assert_eq!((error.kind(), error.sent()), (ErrorKind::Protocol, Sent::Nothing), "{error}");
    assert!(error.to_string().contains("does not speak HTTP/2 (by ALPN)"), "{error}");
}

#[tokio::test]
async fn pins() {
    let (root, impostor) = (Authority::new("root"), Authority::new("impostor"));
    let intermediate = root.intermediate("intermediate");
    let certified = intermediate.sign_plain(&[HOST]);
    let own = pin(&certified.chain[0]);
    let server = Server::start(certified.with(&intermediate).server()).await;
    // Each key of the chain will do, also the root's, which is not sent.
    for good in [own, pin(&intermediate.der()), pin(&root.der())] {
        assert!(server.dial(trusting(&root).pin(SpkiPin::sha256([0; 32])).pin(good)).await.is_ok());
    }
    refused(
        server.dial(trusting(&root).pin(SpkiPin::sha256([7; 32]))).await,
        "no key of the certificate chain is pinned",
    );
    // A pinned authority's certificate is public: sending it along proves nothing.
    let forged = impostor.sign_plain(&[HOST]).with(&intermediate).with(&root);
    let server = Server::start(forged.server()).await;
    let both = TlsConfig::new().roots(RootCerts::only_pem(root.pem() + &impostor.pem()));
    assert!(server.dial(both.clone()).await.is_ok());
    for authority in [&intermediate, &root] {
        refused(server.dial(both.clone().pin(pin(&authority.der()))).await, "is pinned");
    }
}

#[tokio::test]
async fn a_pin_holds_also_where_any_certificate_will_do() {
    let certified = Certified::self_signed(&[HOST]);
    let anybody = TlsConfig::new().danger_accept_invalid_certs(true);
    let server = Server::start(certified.server()).await;
    assert!(server.dial(anybody.clone().pin(pin(&certified.chain[0]))).await.is_ok());
    refused(server.dial(anybody.pin(SpkiPin::sha256([7; 32]))).await, "is pinned");
}

#[tokio::test]
async fn sessions_are_resumed_within_one_configuration_only() {
    let authority = Authority::new("root");
    let server = Server::start(authority.sign_plain(&[HOST]).server()).await;
    let dialer = server.dialer();
    let ours = trusting(&authority);
    for tls in [ours.clone(), ours.clone(), ours.min_version(TlsVersion::Tls13)] {
        let options = RouteOptions::new().tls(tls);
        let mut dialed = dial(&dialer, &format!("https://{HOST}/"), options, Versions::Http1).await.unwrap();
        // The tickets come with the first answer.
        echo(&mut dialed).await.unwrap();
    }
    let resumed: Vec<_> = server.seen.lock().unwrap().iter().map(|seen| seen.resumed).collect();
    assert_eq!(resumed, [false, true, false]);
}

/// Run by [`session_keys_are_logged_only_when_that_is_switched_on`] in a process of its own, as the variable is the process's.
#[tokio::test]
#[ignore = "a part of another test"]
async fn logs_keys() {
    let Ok(is_on) = std::env::var("LOGS_KEYS") else { return };
    let authority = Authority::new("root");
    let server = Server::start(authority.sign_plain(&[HOST]).server()).await;
    let mut dialed = server.dial(trusting(&authority).key_log(is_on == "true")).await.unwrap();
    echo(&mut dialed).await.unwrap();
}

#[test]
fn session_keys_are_logged_only_when_that_is_switched_on() {
    for is_on in [false, true] {
        let file = std::env::temp_dir().join(format!("client-keys-{}-{is_on}", std::process::id()));
        let output = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "handshakes::logs_keys", "--ignored"])
            .env("SSLKEYLOGFILE", &file)
            .env("LOGS_KEYS", is_on.to_string())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && said.contains("1 passed"), "{said}");
        let logged = std::fs::read_to_string(&file).unwrap_or_default();
        let _ = std::fs::remove_file(&file);
        assert_eq!(logged.contains("CLIENT_TRAFFIC_SECRET_0"), is_on, "the variable alone does nothing: {logged:?}");
    }
}

#[tokio::test]
async fn what_was_agreed_upon_is_told() {
    let authority = Authority::new("root");
    let intermediate = authority.intermediate("intermediate");
    let certified = intermediate.sign_plain(&[HOST]).with(&intermediate);
    for (versions, version, cipher) in [
        (&[&rustls::version::TLS12][..], TlsVersion::Tls12, "TLS_ECDHE_"),
        (&[&rustls::version::TLS13], TlsVersion::Tls13, "TLS_AES_"),
    ] {
        let server = Server::start(certified.server_of(versions, None)).await;
        let dialed = server.dial(trusting(&authority)).await.unwrap();
        let tls = dialed.info.tls.as_ref().unwrap();
        assert_eq!(tls.version, version);
        assert!(tls.cipher.starts_with(cipher), "{}", tls.cipher);
        assert_eq!(tls.peer_certificates.len(), 2, "the server's own, and the intermediate");
        assert_eq!(tls.peer_certificates[1], intermediate.der().as_ref(), "its own comes first");
    }
}

/// A certificate of one request is for one origin, also where it lies within a configuration of rustls.
#[tokio::test]
async fn another_origin_does_not_learn_who_we_are() {
    let (authority, clients) = (Authority::new("root"), Authority::new("clients"));
    let client = clients.sign_plain(&["client"]);
    let server = Server::start(authority.sign_plain(&[HOST]).server_of(&[&rustls::version::TLS13], Some(&clients))).await;
    let ours = trusting(&authority).identity(Identity::from_pem(&client.chain_pem, client.key.serialize_pem()));
    let raw = Arc::new(client_tls::client_config(&ours).unwrap());
    let dialer = server.dialer();
    for options in [RouteOptions::new().tls(ours), RouteOptions::new().tls(raw)] {
        let url = format!("https://{HOST}/");
        let mut known = dial(&dialer, &url, options.clone(), Versions::Http1).await.unwrap();
        echo(&mut known).await.unwrap();
        // Not even by a session that was begun with the certificate.
        let mut unknown = dial(&dialer, &url, options.for_another_origin(), Versions::Http1).await.unwrap();
        assert!(echo(&mut unknown).await.is_err());
    }
    assert!(server.seen.lock().unwrap().iter().all(|seen| seen.has_client_certificate));
}

#[tokio::test]
async fn a_configuration_of_rustls_itself() {
    let authority = Authority::new("root");
    let mut config = authority.sign_plain(&[HOST]).server();
    config.alpn_protocols = vec![b"h2".to_vec()];
    let server = Server::start(config).await;
    let mut roots = rustls::RootCertStore::empty();
    roots.add(authority.der()).unwrap();
    let raw = rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let options = RouteOptions::new().tls(Arc::new(raw));
    let dialed = dial(&server.dialer(), &format!("https://{HOST}/"), options, Versions::Any).await.unwrap();
    assert_eq!(dialed.alpn, Some(Alpn::Http2));
}

#[tokio::test]
async fn no_tls_at_all() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}/", listener.local_addr().unwrap());
    tokio::spawn(async move {
        let (mut first, _) = listener.accept().await.unwrap();
        let _ = first.read(&mut [0; 512]).await;
        first.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
        let (mut second, _) = listener.accept().await.unwrap();
        let _ = second.read(&mut [0; 512]).await;
        drop((first, second));
    });
    let options = || RouteOptions::new().tls(TlsConfig::new().danger_accept_invalid_certs(true));
    refused(dial(&Dialer::new(), &url, options(), Versions::Http1).await, "does not speak TLS on this port");
    let error = dial(&Dialer::new(), &url, options(), Versions::Http1).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Tls);
    assert!(error.to_string().contains("during the handshake"), "{error}");
}
