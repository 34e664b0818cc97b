//! What only cio's own settings can say of proxies: another one for each request. The rest is in the conformance suite.

use client_cio::Cio;
use client_conformance::servers::{App, ProxyPlan};
use client_core::{HttpClient, StatusCode};
use client_transport::proxy::Proxy;
use client_transport::route::RouteOptions;

/// curl: CVE-2022-27782, CVE-2026-3784.
#[tokio::test]
async fn requests_with_other_credentials_never_share_a_connection() {
    let (app, proxy) = (App::start(), ProxyPlan::http().asks("alice", "right").start());
    let client = HttpClient::builder(Cio::new()).build().unwrap();
    let get = |password: &'static str| {
        let through = Proxy::new(&proxy.setting().url).unwrap().credentials("alice", password).unwrap();
        client.get(app.url("/")).extension(RouteOptions::new().proxy(through)).send()
    };
    for (password, expected) in [
        ("right", StatusCode::OK),
        ("wrong", StatusCode::PROXY_AUTHENTICATION_REQUIRED),
        ("right", StatusCode::OK),
        ("wrong", StatusCode::PROXY_AUTHENTICATION_REQUIRED),
    ] {
        let response = get(password).await.unwrap();
        assert_eq!(response.status(), expected);
        response.bytes().await.unwrap();
    }
    assert_eq!(proxy.counts().accepted, 2, "one connection for each, used twice");
    for index in 0..2 {
        let requests = proxy.connection(index).requests();
        let credentials: Vec<_> = requests.iter().map(|request| request.field("proxy-authorization")).collect();
        assert_eq!(credentials.len(), 2);
        assert_eq!(credentials[0], credentials[1]);
    }
    assert_eq!(client.get(app.url("/")).send().await.unwrap().status(), StatusCode::OK);
    assert_eq!(proxy.counts().accepted, 2, "without the setting the way is direct");
}
