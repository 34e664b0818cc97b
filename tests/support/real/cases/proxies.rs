//! Exchanges through proxies, with the suite's own server behind them.

use client_conformance::servers::{App, pattern};
use client_core::{Error, ErrorKind, HttpClient, Response, Result};

use super::real_cases;
use crate::real::place::{FORBIDDEN, PASSWORD, Place, USER};
use crate::real::run::Visit;
use crate::real::{Endpoint, Feature, Kind};

real_cases! {
    "proxy";
    forward [Http1] "A GET is forwarded, and the origin learns no secret of the proxy's", is_http;
    forward_name [Http1] "The name of an origin is resolved by the proxy", is_http;
    forward_post [Http1] "A body is forwarded, and comes back", is_http;
    forward_large [Http1] "A megabyte is forwarded whole", is_http;
    forward_reuse [Http1, ConnectionReuse] "Ten calls are carried by one connection to the proxy", |at| is_http(at) && at.has(Feature::KeepAlive);
    forward_forbidden [Http1] "403 of the proxy's own is the response", is_http;
    forward_unreachable [Http1] "That the proxy cannot reach an origin is the response", is_http;
    forward_unknown [Http1] "Without credentials, or with wrong ones, the proxy's refusal is the response", |at| is_http(at) && asks(at);
    tunnel [Tls, CustomRoots] "https goes through a tunnel, and neither side learns a secret of the other's", is_http;
    tunnel_post [Tls, CustomRoots] "A megabyte goes through a tunnel and comes back", is_http;
    tunnel_reuse [Tls, CustomRoots, ConnectionReuse] "Ten calls are carried by one tunnel", is_http;
    tunnel_forbidden [Tls, CustomRoots] "403 to CONNECT is an error of the proxy", is_http;
    tunnel_unreachable [Tls, CustomRoots] "An origin that the proxy cannot reach is an error of the proxy", is_http;
    tunnel_unknown [Tls, CustomRoots] "Without credentials, or with wrong ones, a refused CONNECT is an error of the proxy", |at| is_http(at) && asks(at);
    socks [] "http goes through SOCKS, and the origin learns no secret of the proxy's", is_socks;
    socks_post [] "A megabyte goes through SOCKS and comes back", is_socks;
    socks_reuse [ConnectionReuse] "Ten calls are carried by one connection through SOCKS", is_socks;
    socks_tls [Tls, CustomRoots] "https goes through SOCKS", is_socks;
    socks_unreachable [] "An origin that a SOCKS proxy cannot reach is an error of the proxy", is_socks;
    socks_unknown [] "Without credentials, or with wrong ones, a SOCKS proxy's refusal is an error of the proxy", |at| is_socks(at) && asks(at);
}

fn is_http(at: &Endpoint) -> bool {
    matches!(at.kind, Kind::HttpProxy { .. } | Kind::HttpsProxy)
}

fn is_socks(at: &Endpoint) -> bool {
    matches!(at.kind, Kind::Socks5 { .. } | Kind::Socks4)
}

fn asks(at: &Endpoint) -> bool {
    matches!(at.kind, Kind::HttpProxy { asks: true } | Kind::Socks5 { asks: true } | Kind::HttpsProxy)
}

/// How strangers are refused: those without credentials, and those with wrong ones. tinyproxy says 401 to the latter.
const REFUSED: [&[&str]; 2] = [&["407"], &["407", "401"]];

/// The client sent `user:password` as this (RFC 7617).
const BASIC: &str = "cHJveHktdXNlcjpzM2NyZXQtb2YtdGhlLXByb3h5";

/// Status 200 and this body.
async fn expect(response: Result<Response>, body: &[u8]) -> Result<()> {
    let response = response?;
    assert_eq!(response.status(), 200, "status");
    let got = response.bytes().await?;
    assert_eq!(got.len(), body.len(), "length of the body");
    assert!(got == body, "the body has the right length and other bytes");
    Ok(())
}

/// Nothing at the origin tells of the proxy's credentials.
fn keeps_secrets(visit: &Visit) -> Result<()> {
    let Place { app, secure_app, .. } = visit.place();
    for app in [app, secure_app] {
        for index in 0..app.counts().accepted {
            let received = app.connection(index).received();
            let received = String::from_utf8_lossy(&received).to_ascii_lowercase();
            for secret in ["proxy-authorization", USER, PASSWORD, BASIC] {
                let learns = received.contains(&secret.to_ascii_lowercase());
                assert!(!learns, "the origin learns a secret of the proxy's");
            }
        }
    }
    Ok(())
}

async fn brings(client: &HttpClient, app: &App) -> Result<()> {
    expect(client.get(app.url("/")).send().await, b"hello").await
}

async fn echoes(visit: &Visit, app: &App, size: usize) -> Result<()> {
    let sent = visit.client()?.post(app.url("/echo")).body(pattern(size)).send();
    expect(sent.await, &pattern(size)).await
}

async fn forward(visit: Visit) -> Result<()> {
    brings(&visit.client()?, &visit.place().app).await?;
    let requests = visit.place().app.requests();
    assert!(requests.iter().all(|request| request.target.starts_with('/')), "the origin is asked in origin-form");
    keeps_secrets(&visit)
}

async fn forward_name(visit: Visit) -> Result<()> {
    let url = format!("http://localhost:{}/", visit.place().app.addr().port());
    expect(visit.client()?.get(url).send().await, b"hello").await
}

async fn forward_post(visit: Visit) -> Result<()> {
    echoes(&visit, &visit.place().app, 1003).await
}

async fn forward_large(visit: Visit) -> Result<()> {
    echoes(&visit, &visit.place().app, 1_000_003).await
}

async fn forward_reuse(visit: Visit) -> Result<()> {
    reuses(&visit, &visit.place().app).await
}

async fn reuses(visit: &Visit, app: &App) -> Result<()> {
    let client = visit.client()?;
    for _ in 0..10 {
        brings(&client, app).await?;
    }
    assert_eq!(visit.relay().counts().accepted, 1, "connections to the proxy");
    Ok(())
}

async fn forward_forbidden(visit: Visit) -> Result<()> {
    let response = visit.client()?.get(format!("http://{FORBIDDEN}/")).send().await?;
    assert_eq!(response.status(), 403, "status");
    response.bytes().await.map(drop)
}

async fn forward_unreachable(visit: Visit) -> Result<()> {
    let response = visit.client()?.get(format!("http://127.0.0.1:{}/", nobody())).send().await?;
    assert!(response.status().is_server_error(), "{}", response.status());
    response.bytes().await.map(drop)
}

async fn forward_unknown(visit: Visit) -> Result<()> {
    for (client, statuses) in visit.strangers()?.iter().zip(REFUSED) {
        let response = client.get(visit.place().app.url("/")).send().await?;
        assert!(statuses.contains(&response.status().as_str()), "{}", response.status());
        response.bytes().await?;
    }
    Ok(())
}

async fn tunnel(visit: Visit) -> Result<()> {
    brings(&visit.client()?, &visit.place().secure_app).await?;
    keeps_secrets(&visit)
}

async fn tunnel_post(visit: Visit) -> Result<()> {
    echoes(&visit, &visit.place().secure_app, 1_000_003).await
}

async fn tunnel_reuse(visit: Visit) -> Result<()> {
    reuses(&visit, &visit.place().secure_app).await
}

async fn tunnel_forbidden(visit: Visit) -> Result<()> {
    refused_with(&visit.client()?, format!("https://{FORBIDDEN}/"), &["403"]).await;
    Ok(())
}

async fn tunnel_unreachable(visit: Visit) -> Result<()> {
    refused_with(&visit.client()?, format!("https://127.0.0.1:{}/", nobody()), &["500", "502", "503", "504"]).await;
    Ok(())
}

async fn tunnel_unknown(visit: Visit) -> Result<()> {
    for (client, statuses) in visit.strangers()?.iter().zip(REFUSED) {
        let error = refused_with(client, visit.place().secure_app.url("/"), statuses).await;
        assert!(!format!("{error} {error:?}").contains("wrong-password"), "the error shows a secret: {error:?}");
    }
    Ok(())
}

async fn refused(client: &HttpClient, url: String) -> Error {
    let error = client.get(url).send().await.map(drop).expect_err("a refusal of the proxy's");
    assert_eq!(error.kind(), ErrorKind::Proxy, "{error:?}");
    error
}

async fn socks(visit: Visit) -> Result<()> {
    brings(&visit.client()?, &visit.place().app).await?;
    keeps_secrets(&visit)
}

async fn socks_post(visit: Visit) -> Result<()> {
    echoes(&visit, &visit.place().app, 1_000_003).await
}

async fn socks_reuse(visit: Visit) -> Result<()> {
    reuses(&visit, &visit.place().app).await
}

async fn socks_tls(visit: Visit) -> Result<()> {
    brings(&visit.client()?, &visit.place().secure_app).await?;
    keeps_secrets(&visit)
}

async fn socks_unreachable(visit: Visit) -> Result<()> {
    refused(&visit.client()?, format!("http://127.0.0.1:{}/", nobody())).await;
    Ok(())
}

async fn socks_unknown(visit: Visit) -> Result<()> {
    for client in visit.strangers()? {
        refused(&client, visit.place().app.url("/")).await;
    }
    Ok(())
}

/// The same, and it names one of these statuses.
async fn refused_with(client: &HttpClient, url: String, statuses: &[&str]) -> Error {
    let error = refused(client, url).await;
    let message = error.to_string();
    let mut words = message.split(|c: char| c.is_whitespace() || c == ':');
    assert!(words.any(|word| statuses.contains(&word)), "{message}");
    error
}

/// A port that nobody listens on.
fn nobody() -> u16 {
    let socket = std::net::TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr());
    socket.expect("a free port").port()
}
