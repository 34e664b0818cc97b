//! Policy is the core's: reqwest adds nothing, follows nothing, decodes nothing, whatever its configuration says.

use std::io::Error as IoError;

use client_conformance::servers::{App, Raw, Script};
use client_core::http::HeaderValue;
use client_core::{Body, HeaderMap, HttpClient, Redirect, Version};
use client_reqwest::Reqwest;

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

fn client() -> HttpClient {
    HttpClient::new(Reqwest::new())
}

#[tokio::test]
async fn no_field_that_was_not_asked_for() {
    let server = Raw::start([Script::reply(OK).repeat()]);
    let http = client();
    let stream = || Body::stream(futures::stream::iter([Ok::<_, IoError>("ab"), Ok("c")]));
    http.get(server.url("/")).header("accept", "text/html").send().await.unwrap().bytes().await.unwrap();
    http.post(server.url("/"))
        .header("accept", "a/b")
        .body("abc")
        .send()
        .await
        .unwrap()
        .bytes()
        .await
        .unwrap();
    http.post(server.url("/"))
        .header("accept", "a/b")
        .body(stream())
        .send()
        .await
        .unwrap()
        .bytes()
        .await
        .unwrap();
    // The one deviation: what an absent Accept means (RFC 9110 §12.5.1), reqwest says.
    http.get(server.url("/")).send().await.unwrap().bytes().await.unwrap();
    let requests = server.requests();
    let names: Vec<_> = requests.iter().map(|request| request.names().join(" ")).collect();
    assert_eq!(
        names,
        [
            "accept host",
            "accept content-length host",
            "accept host transfer-encoding",
            "accept host"
        ]
    );
    assert_eq!(requests[0].field("accept").unwrap(), "text/html");
    assert_eq!(requests[3].field("accept").unwrap(), "*/*");
    assert_eq!((requests[1].body.as_slice(), requests[2].body.as_slice()), (&b"abc"[..], &b"abc"[..]));
}

#[tokio::test]
async fn the_users_own_configuration_cannot_bring_policy_back() {
    let app = App::start();
    let engine = Reqwest::builder().config(|reqwest| {
        let redirect = reqwest::redirect::Policy::limited(5);
        reqwest
            .redirect(redirect)
            .referer(true)
            .retry(reqwest::retry::for_host("127.0.0.1").classify_fn(|seen| seen.retryable()))
    });
    let http = HttpClient::new(engine.build());
    let moved = http.get(app.url("/redirect/2")).redirect(Redirect::none()).send().await.unwrap();
    assert_eq!((moved.status().as_u16(), moved.headers()["location"].as_bytes()), (302, &b"/redirect/1"[..]));
    moved.bytes().await.unwrap();
    let coded = http.get(app.url("/gzip")).send().await.unwrap();
    assert_eq!(coded.headers()["content-encoding"], "gzip");
    assert!(coded.bytes().await.unwrap().starts_with(b"\x1f\x8b"));
    http.get(app.url("/cookies")).send().await.unwrap().bytes().await.unwrap();
    let seen = http.get(app.url("/inspect")).send().await.unwrap().text().await.unwrap();
    assert!(!seen.contains("cookie") && !seen.contains("referer"), "{seen}");
    assert_eq!(http.get(app.url("/status/503")).send().await.unwrap().status(), 503);
    assert_eq!(app.requests().len(), 5, "one request for each call, none repeated");
}

#[tokio::test]
async fn framing_that_hyper_would_leave_out() {
    let server = Raw::start([Script::reply(OK).repeat()]);
    let http = client();
    http.post(server.url("/")).send().await.unwrap().bytes().await.unwrap();
    let stream = Body::stream(futures::stream::iter([Ok::<_, IoError>("abc")]));
    http.get(server.url("/")).body(stream).send().await.unwrap().bytes().await.unwrap();
    let mut trailers = HeaderMap::new();
    trailers.insert("x-sum", HeaderValue::from_static("6"));
    let body = Body::from("abcdef").with_trailers(trailers);
    http.put(server.url("/")).body(body).send().await.unwrap().bytes().await.unwrap();
    http.get(server.url("/")).version(Version::HTTP_10).send().await.unwrap().bytes().await.unwrap();
    let requests = server.requests();
    assert_eq!(requests[0].field("content-length").unwrap(), "0");
    assert_eq!(requests[1].body, b"abc", "the streamed body of a GET is not dropped");
    assert_eq!(requests[2].trailers, [("x-sum".to_owned(), b"6".to_vec())]);
    assert_eq!(requests[3].version, "HTTP/1.0");
}

#[tokio::test]
async fn a_given_client_that_follows_redirects_is_found_out() {
    let app = App::start();
    let reqwest = |policy| reqwest::ClientBuilder::new().redirect(policy).tls_backend_preconfigured(tls()).build().unwrap();
    let stubborn = Reqwest::builder().preconfigured(reqwest(reqwest::redirect::Policy::limited(5))).build();
    let request = HttpClient::new(stubborn).get(app.url("/redirect/1")).send().await;
    assert!(request.unwrap_err().to_string().contains("redirect::Policy::none()"));
    let obedient = Reqwest::builder().preconfigured(reqwest(reqwest::redirect::Policy::none())).build();
    let http = HttpClient::builder(obedient).build().unwrap();
    assert_eq!(http.get(app.url("/redirect/1")).redirect(Redirect::none()).send().await.unwrap().status(), 302);
    let both = Reqwest::builder()
        .preconfigured(reqwest(reqwest::redirect::Policy::none()))
        .system_proxy(true)
        .build();
    assert!(HttpClient::builder(both).build().is_err(), "settings that come too late are refused");
}

fn tls() -> rustls::ClientConfig {
    let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    builder.with_root_certificates(rustls::RootCertStore::empty()).with_no_client_auth()
}
