//! HTTP/2 over TLS: agreed upon by ALPN, or not at all.

use client_conformance::servers::{App, Authority, Certificate, Tls};
use client_core::{ErrorKind, HttpClient, Version};
use client_h2::H2;

fn client() -> HttpClient {
    HttpClient::builder(H2::builder().tls(Authority::get().trusted()).build()).build().unwrap()
}

#[tokio::test]
async fn agreed_by_alpn() {
    let app = App::start_tls(&Tls::new(Certificate::Good).alpn(&["http/1.1", "h2"]));
    let http = client();
    for reused in [false, true] {
        let response = http.get(app.url("/")).send().await.unwrap();
        assert_eq!(response.version(), Version::HTTP_2);
        assert_eq!(response.connection().unwrap().reused, reused);
        assert!(response.connection().unwrap().tls.is_some());
        assert_eq!(response.text().await.unwrap(), "hello");
    }
}

#[tokio::test]
async fn no_fallback() {
    let silent = App::start_tls(&Tls::new(Certificate::Good));
    let error = client().get(silent.url("/")).send().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Protocol);
    assert!(error.to_string().contains("the server does not speak HTTP/2"), "{error}");
    // A server that insists on HTTP/1.1 breaks off the handshake (RFC 7301 §3.2).
    let old = App::start_tls(&Tls::new(Certificate::Good).alpn(&["http/1.1"]));
    let error = client().get(old.url("/")).send().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Protocol);
    assert!(error.to_string().contains("does not speak HTTP/2 (by ALPN)"), "{error}");
}
