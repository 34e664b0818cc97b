//! Scheme × kind of proxy × credentials × redirect to another origin: no secret ever arrives where it should not. Looked at in the bytes that arrive,
//! at both origins and at the proxy.

use client_conformance::servers::{App, Authority, Certificate, Proxy as Server, ProxyPlan, Tls};
use client_transport::proxy::Proxy;
use client_transport::route::RouteOptions;

use super::{Asked, ENGINES, client};

const USER: &str = "matrix-user";
const PASSWORD: &str = "matrix-password";
/// Both, as Basic sends them (RFC 7617).
const BASIC: &str = "bWF0cml4LXVzZXI6bWF0cml4LXBhc3N3b3Jk";
const OF_ORIGIN: &str = "secret-of-origin";

type Plan = fn() -> ProxyPlan;

const KINDS: [(&str, Plan); 6] = [
    ("http", ProxyPlan::http),
    ("https", || ProxyPlan::https(&Tls::new(Certificate::Good))),
    ("socks4", ProxyPlan::socks4),
    ("socks4a", ProxyPlan::socks4a),
    ("socks5", ProxyPlan::socks5),
    ("socks5h", ProxyPlan::socks5h),
];

fn origin(secure: bool) -> App {
    if secure { App::start_tls(&Tls::new(Certificate::Good)) } else { App::start() }
}

fn at_origin(app: &App) -> Vec<u8> {
    (0..app.counts().accepted).flat_map(|index| app.connection(index).received()).collect()
}

fn at_proxy(proxy: &Server) -> Vec<u8> {
    (0..proxy.counts().accepted).flat_map(|index| proxy.connection(index).received()).collect()
}

fn holds(bytes: &[u8], text: &str) -> bool {
    bytes
        .to_ascii_lowercase()
        .windows(text.len())
        .any(|window| window == text.to_ascii_lowercase().as_bytes())
}

#[tokio::test]
async fn no_secret_arrives_where_it_should_not() {
    for (engine, make) in ENGINES {
        for (kind, plan) in KINDS {
            for (from, to) in [(false, false), (false, true), (true, false), (true, true)] {
                for authenticated in [false, true] {
                    let row = format!("{engine} {kind} {from} {to} {authenticated}");
                    // SOCKS4 has no passwords.
                    let password = if kind.starts_with("socks4") { "" } else { PASSWORD };
                    let plan = if authenticated { plan().asks(USER, password) } else { plan() };
                    let (server, first, other) = (plan.start(), origin(from), origin(to));
                    let proxy = Proxy::new(&server.setting().url).unwrap().tls(Authority::get().trusted());
                    let proxy = if authenticated { proxy.credentials(USER, password).unwrap() } else { proxy };
                    let asked = Asked {
                        route: RouteOptions::new().tls(Authority::get().trusted()).proxy(proxy),
                        ..Asked::default()
                    };
                    let http = client(make, asked);
                    let location = other.url("/inspect");
                    let sent = http
                        .get(first.url(&format!("/redirect-to?302&{location}")))
                        .redirect(client_core::Redirect::default().allow_https_downgrade(true))
                        .bearer_auth(OF_ORIGIN)
                        .header("cookie", format!("session={OF_ORIGIN}"))
                        .send();
                    let response = sent.await.unwrap_or_else(|error| panic!("{row}: {error:?}"));
                    assert_eq!(response.status(), 200, "{row}");
                    let shown = format!("{http:?} {response:?}");
                    response.bytes().await.unwrap();

                    let (at_first, at_other, at_proxy) = (at_origin(&first), at_origin(&other), at_proxy(&server));
                    assert!(holds(&at_first, OF_ORIGIN), "{row}: the first origin gets what is its own");
                    assert!(!at_other.is_empty() && !holds(&at_other, OF_ORIGIN), "{row}: the other origin");
                    for secret in [USER, PASSWORD, BASIC, "proxy-authorization"] {
                        assert!(!holds(&at_first, secret) && !holds(&at_other, secret), "{row}: {secret} at an origin");
                        assert!(!holds(shown.as_bytes(), secret), "{row}: {secret} is shown");
                    }
                    let name = if kind.starts_with("http") { BASIC } else { USER };
                    assert_eq!(holds(&at_proxy, name), authenticated, "{row}: the proxy gets what is its own");
                    // What a proxy forwards it can read. What it tunnels by TLS it cannot; and nothing of it is in CONNECT.
                    assert_eq!(holds(&at_proxy, OF_ORIGIN), !from, "{row}: the first origin's secrets at the proxy");
                    for request in server.requests() {
                        let is_to_other = request.target.contains(&format!(":{}", other.addr().port()));
                        if request.method == "CONNECT" || is_to_other && !request.target.contains("redirect-to") {
                            let text = format!("{request:?}");
                            assert!(!holds(text.as_bytes(), OF_ORIGIN), "{row}: {text}");
                        }
                    }
                }
            }
        }
    }
}
