//! Ways through proxies of every kind. Each proxy and the origin keep what they receive, so that a test can see where a secret has gone.

use std::collections::HashMap;
use std::error::Error as _;
use std::sync::Arc;

use client_core::{Error, ErrorKind, Phase, RootCerts, Sent, TlsConfig, Trace};
use client_transport::dial::{Dialed, Dialer};
use client_transport::dns::{Overrides, System};
use client_transport::egress::deny_private_networks;
use client_transport::proxy::{Proxy, ProxyRefusal};
use client_transport::route::{Origin, Route, RouteOptions, Versions};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::certs::Authority;
use crate::fakes::{Behaviour, FakeOrigin, FakeProxy};

/// One authority for every server of a test.
struct World {
    authority: Authority,
}

impl World {
    fn new() -> Self {
        Self::of(Authority::new("root"))
    }

    fn of(authority: Authority) -> Self {
        Self { authority }
    }

    fn trust(&self) -> TlsConfig {
        TlsConfig::new().roots(RootCerts::only_pem(self.authority.pem()))
    }

    fn tls(&self, name: &str) -> Option<Arc<rustls::ServerConfig>> {
        Some(Arc::new(self.authority.sign_plain(&[name]).server()))
    }

    async fn origin(&self, secure: bool) -> FakeOrigin {
        FakeOrigin::start(self.tls("origin.example").filter(|_| secure)).await
    }

    fn proxy(&self, url: &str) -> Proxy {
        Proxy::new(url).unwrap().tls(self.trust())
    }

    fn route(&self, origin: &FakeOrigin, proxies: Vec<Proxy>) -> Route {
        let url = format!("{}://origin.example:{}/", if origin.secure { "https" } else { "http" }, origin.address.port());
        let options = RouteOptions::new().proxy_chain(proxies).tls(self.trust());
        Route::new(Origin::of(&url.parse().unwrap()).unwrap(), Versions::Http1).with_options(options.into())
    }
}

async fn dial(dialer: &Dialer, route: &Route) -> Result<Dialed, Error> {
    dialer.dial(route, &Trace::default()).await
}

/// Sends a request as an HTTP/1.1 driver would along this route, and reads the answer.
async fn exchange(dialed: &mut Dialed, route: &Route) -> String {
    let target = if route.absolute_form() {
        route.origin().to_string() + "/"
    } else {
        "/".to_owned()
    };
    let mut request = format!("GET {target} HTTP/1.1\r\nhost: {}\r\n", route.origin().authority());
    if let Some(value) = route.proxy_authorization() {
        request += &format!("proxy-authorization: {}\r\n", value.to_str().unwrap());
    }
    dialed.stream.write_all((request + "\r\n").as_bytes()).await.unwrap();
    let mut answer = vec![0; 2];
    dialed.stream.read_exact(&mut answer).await.unwrap();
    String::from_utf8(answer).unwrap()
}

fn contains(haystack: &[u8], needle: &str) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle.as_bytes())
}

/// Scheme × kind of proxy × credentials: the answer arrives, the proxy has its credentials, and the origin has none.
#[tokio::test]
async fn every_kind_of_proxy_reaches_every_kind_of_origin() {
    let world = World::new();
    for secure in [false, true] {
        for kind in ["http", "https", "socks4", "socks4a", "socks5", "socks5h"] {
            for credentials in [None, Some(("us%65r-1", "user-1", "pass-1"))] {
                let case = format!("{kind} {secure} {credentials:?}");
                let origin = world.origin(secure).await;
                let (userinfo, expected) = match credentials {
                    None => (String::new(), None),
                    Some((user, plain, _)) if kind.starts_with("socks4") => (format!("{user}@"), Some((plain, ""))),
                    Some((user, plain, password)) => (format!("{user}:{password}@"), Some((plain, password))),
                };
                let targets = HashMap::from([(format!("origin.example:{}", origin.address.port()), origin.address)]);
                let behaviour = Behaviour::new(kind, expected, targets);
                let proxy = FakeProxy::start(behaviour, world.tls("proxy.example").filter(|_| kind == "https")).await;
                let url = format!("{kind}://{userinfo}proxy.example:{}", proxy.address.port());
                let route = world.route(&origin, vec![world.proxy(&url)]);
                let resolver = Overrides::new(System)
                    .with("proxy.example", [proxy.address])
                    .with("origin.example", [origin.address]);
                let mut dialed = dial(&Dialer::new().resolver(resolver), &route).await.expect(&case);
                assert_eq!(exchange(&mut dialed, &route).await, "ok", "{case}");

                assert_eq!(dialed.info.remote_addr, Some(proxy.address), "{case}");
                assert_eq!(dialed.info.tls.is_some(), secure, "{case}: TLS with a proxy is none with the origin");
                // Who resolves the name is what the scheme says.
                let asked = proxy.asked();
                let named = format!("origin.example:{}", origin.address.port());
                let expected_target = if matches!(kind, "socks4" | "socks5") {
                    origin.address.to_string()
                } else {
                    named
                };
                assert_eq!(asked, [expected_target], "{case}");
                let at_origin = origin.received();
                assert!(contains(&at_origin, "host: origin.example"), "{case}");
                for secret in ["user-1", "pass-1", "dXNlci0x", "roxy-"] {
                    assert!(!contains(&at_origin, secret), "{case}: {secret} reached the origin");
                }
                if secure {
                    assert!(!contains(&proxy.received(), "host: origin.example"), "{case}: the proxy can read the request");
                }
            }
        }
    }
}

#[tokio::test]
async fn a_chain_of_proxies() {
    let world = World::new();
    for secure in [false, true] {
        let origin = world.origin(secure).await;
        let to_origin = HashMap::from([(format!("origin.example:{}", origin.address.port()), origin.address)]);
        let inner =
            FakeProxy::start(Behaviour::new("https", Some(("user-2", "pass-2")), to_origin), world.tls("inner.example")).await;
        let to_inner = HashMap::from([(format!("inner.example:{}", inner.address.port()), inner.address)]);
        let outer = FakeProxy::start(Behaviour::new("socks5h", Some(("user-1", "pass-1")), to_inner), None).await;
        let route = world.route(
            &origin,
            vec![
                world.proxy(&format!("socks5h://user-1:pass-1@{}", outer.address)),
                world.proxy(&format!("https://user-2:pass-2@inner.example:{}", inner.address.port())),
            ],
        );
        // No name is resolved here at all.
        let mut dialed = dial(&Dialer::new(), &route).await.unwrap();
        assert_eq!(exchange(&mut dialed, &route).await, "ok");
        assert!(contains(&inner.received(), "dXNlci0yOnBhc3MtMg=="));
        for (place, received, secrets) in [
            ("outer", outer.received(), ["user-2", "pass-2", "dXNlci0y"]),
            ("inner", inner.received(), ["user-1", "pass-1", "dXNlci0x"]),
            ("origin", origin.received(), ["pass-1", "pass-2", "roxy-"]),
        ] {
            for secret in secrets {
                assert!(!contains(&received, secret), "{secret} reached the {place}");
            }
        }
    }
}

#[track_caller]
fn refused(outcome: Result<Dialed, Error>, kind: ErrorKind, expected: &str) -> Error {
    let error = outcome.expect_err(expected);
    assert_eq!((error.kind(), error.sent()), (kind, Sent::Nothing), "{error}");
    assert!(error.to_string().contains(expected), "{error}");
    for secret in ["pass-1", "cGFzcy0x", "dXNlci0x"] {
        assert!(!format!("{error} {error:?} {:?}", error.source()).contains(secret), "{error:?}");
    }
    error
}

#[tokio::test]
async fn refusals_are_explained() {
    let world = World::new();
    let origin = world.origin(true).await;
    for (kind, url_kind, expected) in [
        ("http", "http", "407 Proxy Authentication Required: who are you?"),
        ("socks5", "socks5h", "it refused the credentials"),
        ("socks4", "socks4a", "it refused: the identd of this machine names another user (code 93)"),
    ] {
        let proxy = FakeProxy::start(Behaviour::new(kind, Some(("another", "")), HashMap::new()), None).await;
        let userinfo = if url_kind == "socks4a" { "user-1" } else { "user-1:pass-1" };
        let url = format!("{url_kind}://{userinfo}@{}", proxy.address);
        let error = refused(
            dial(&Dialer::new(), &world.route(&origin, vec![world.proxy(&url)])).await,
            ErrorKind::Proxy,
            expected,
        );
        assert_eq!(error.phase(), Some(Phase::Proxy));
        let place = format!("{url_kind}://{} did not connect to origin.example:{}", proxy.address, origin.address.port());
        assert!(error.to_string().contains(&place), "{error}");
        if kind == "http" {
            let refusal: &ProxyRefusal = error.source().unwrap().downcast_ref().unwrap();
            assert_eq!(refusal.status, 407);
        }
    }
    // A proxy that cannot reach the origin.
    for (kind, expected) in [
        ("http", "502 Bad Gateway"),
        ("socks5h", "host unreachable (code 4)"),
        ("socks4a", "rejected or failed (code 91)"),
    ] {
        let proxy = FakeProxy::start(Behaviour::new(kind, None, HashMap::new()), None).await;
        let route = world.route(&origin, vec![world.proxy(&format!("{kind}://{}", proxy.address))]);
        refused(dial(&Dialer::new(), &route).await, ErrorKind::Proxy, expected);
    }
}

#[tokio::test]
async fn a_proxy_that_is_not_there() {
    let world = World::new();
    let origin = world.origin(false).await;
    let gone = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let route = world.route(&origin, vec![world.proxy(&format!("http://user-1:pass-1@{gone}"))]);
    let expected = format!("connection refused by {gone} (the proxy http://{gone})");
    refused(dial(&Dialer::new(), &route).await, ErrorKind::Connect, &expected);
}

/// A proxy is verified by its own settings, and never by those of the origin.
#[tokio::test]
async fn an_https_proxy_is_verified() {
    let world = World::new();
    let origin = world.origin(true).await;
    let behaviour = || Behaviour::new("https", None, HashMap::new());
    let url = |proxy: &FakeProxy| format!("https://proxy.example:{}", proxy.address.port());
    let dialer = |proxy: &FakeProxy| Dialer::new().resolver(Overrides::new(System).with("proxy.example", [proxy.address]));

    let misnamed = FakeProxy::start(behaviour(), world.tls("other.example")).await;
    let route = world.route(&origin, vec![world.proxy(&url(&misnamed))]);
    let outcome = dial(&dialer(&misnamed), &route).await;
    refused(outcome, ErrorKind::Tls, "not valid for \"proxy.example\", only for other.example");

    let stranger = FakeProxy::start(behaviour(), World::of(Authority::new("stranger")).tls("proxy.example")).await;
    let route = world.route(&origin, vec![world.proxy(&url(&stranger))]);
    refused(
        dial(&dialer(&stranger), &route).await,
        ErrorKind::Tls,
        "\"proxy.example\" is signed by an unknown authority",
    );
    assert!(stranger.received().is_empty(), "nothing was said to it");
}

#[tokio::test]
#[cfg(unix)]
async fn tls_over_a_unix_socket() {
    let world = World::new();
    let origin = world.origin(true).await;
    let directory = std::env::temp_dir().join(format!("client-transport-tls-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    let path = directory.join("socket");
    let listener = tokio::net::UnixListener::bind(&path).unwrap();
    let address = origin.address;
    tokio::spawn(async move {
        let (mut unix, _) = listener.accept().await.unwrap();
        let mut tcp = tokio::net::TcpStream::connect(address).await.unwrap();
        let _ = tokio::io::copy_bidirectional(&mut unix, &mut tcp).await;
    });
    let route = world.route(&origin, vec![]);
    let options = route.options().clone().unix_socket(&path);
    let route = route.with_options(options.into());
    let mut dialed = dial(&Dialer::new(), &route).await.unwrap();
    assert_eq!(exchange(&mut dialed, &route).await, "ok");
    assert!(dialed.info.tls.is_some());
    std::fs::remove_dir_all(&directory).unwrap();
}

#[tokio::test]
async fn egress_sees_proxies_and_what_they_are_asked_for() {
    let world = World::new();
    for secure in [false, true] {
        let origin = world.origin(secure).await;
        let targets = HashMap::from([(format!("origin.example:{}", origin.address.port()), origin.address)]);
        for kind in ["http", "socks5h", "socks5"] {
            let proxy = FakeProxy::start(Behaviour::new(kind, None, targets.clone()), None).await;
            let route = world.route(&origin, vec![world.proxy(&format!("{kind}://{}", proxy.address))]);
            let resolver = || Overrides::new(System).with("origin.example", [origin.address]);
            let dialer = |policy| Dialer::new().resolver(resolver()).egress(policy);
            let here = || deny_private_networks().except(proxy.address.ip().into());

            let outcome = dial(&dialer(deny_private_networks()), &route).await;
            refused(
                outcome,
                ErrorKind::Connect,
                &format!("the egress policy forbids {}: a loopback address", proxy.address),
            );
            if kind == "socks5" {
                // The origin's address is known here, and allowed, as the proxy's.
                assert!(dial(&dialer(here()), &route).await.is_ok());
            } else {
                refused(
                    dial(&dialer(here()), &route).await,
                    ErrorKind::Connect,
                    "a proxy would resolve this name out of sight",
                );
                assert!(proxy.asked().is_empty());
                assert!(dial(&dialer(here().trust_proxies()), &route).await.is_ok());
            }

            // An address is checked, whoever connects to it.
            let literal = format!("{}://10.0.0.1/", if secure { "https" } else { "http" });
            let options = route.options().clone();
            let route = Route::new(Origin::of(&literal.parse().unwrap()).unwrap(), Versions::Http1).with_options(options.into());
            let outcome = dial(&dialer(here().trust_proxies()), &route).await;
            refused(outcome, ErrorKind::Connect, "a private address");
        }
    }
}
