//! What is this engine's own: who chooses the version, what users customize, and the wait for the pool.

use std::io::{Read as _, Write as _};
use std::time::Duration;

use client_conformance::servers::{App, Authority, Certificate, Tls};
use client_core::{AnyEngine, Body, ErrorKind, Exchange, HttpClient, Redirect, RedirectHistory, TimeoutKind, Version};
use client_hyper::{Hyper, HyperBuilder, VersionPolicy};
use http::header::HeaderValue;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

fn client(builder: HyperBuilder) -> HttpClient {
    HttpClient::builder(builder.tls(Authority::get().trusted()).build()).build().unwrap()
}

async fn version(http: &HttpClient, url: &str, asked: Option<Version>) -> Result<Version, ErrorKind> {
    let request = http.get(url);
    let request = match asked {
        Some(version) => request.version(version),
        None => request,
    };
    let response = request.send().await.map_err(|error| error.kind())?;
    let version = response.version();
    assert_eq!(response.text().await.unwrap(), "hello");
    Ok(version)
}

#[tokio::test]
async fn alpn_decides() {
    let both = App::start_tls(&Tls::new(Certificate::Good).alpn(&["h2", "http/1.1"]));
    let old = App::start_tls(&Tls::new(Certificate::Good).alpn(&["http/1.1"]));
    let silent = App::start_tls(&Tls::new(Certificate::Good));
    let http = client(Hyper::builder());
    assert_eq!(version(&http, &both.url("/"), None).await, Ok(Version::HTTP_2));
    assert_eq!(version(&http, &both.url("/"), Some(Version::HTTP_11)).await, Ok(Version::HTTP_11));
    assert_eq!(version(&http, &both.url("/"), Some(Version::HTTP_2)).await, Ok(Version::HTTP_2));
    assert_eq!(version(&http, &old.url("/"), None).await, Ok(Version::HTTP_11));
    assert_eq!(version(&http, &silent.url("/"), None).await, Ok(Version::HTTP_11));
    for server in [&old, &silent] {
        assert!(version(&http, &server.url("/"), Some(Version::HTTP_2)).await.is_err());
    }
    let error = http.get(silent.url("/")).version(Version::HTTP_2).send().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Protocol);
    assert!(error.to_string().contains("does not speak HTTP/2"), "{error}");
}

#[tokio::test]
async fn policies() {
    let (plain, tls) = (App::start(), App::start_tls(&Tls::new(Certificate::Good).alpn(&["h2", "http/1.1"])));
    for (policy, of_http, of_https) in [
        (VersionPolicy::Automatic, Version::HTTP_11, Version::HTTP_2),
        (VersionPolicy::Http1, Version::HTTP_11, Version::HTTP_11),
        (VersionPolicy::Http2, Version::HTTP_2, Version::HTTP_2),
        (VersionPolicy::PriorKnowledge, Version::HTTP_2, Version::HTTP_2),
    ] {
        let http = client(Hyper::builder().version(policy));
        assert_eq!(version(&http, &plain.url("/"), None).await, Ok(of_http), "{policy:?}");
        assert_eq!(version(&http, &tls.url("/"), None).await, Ok(of_https), "{policy:?}");
        // The request's word goes first, in a connection of its own.
        assert_eq!(version(&http, &plain.url("/"), Some(Version::HTTP_2)).await, Ok(Version::HTTP_2));
        assert_eq!(version(&http, &plain.url("/"), Some(Version::HTTP_11)).await, Ok(Version::HTTP_11));
    }
}

/// A server that answers the first request of a connection, and returns its head.
async fn one_exchange(listener: TcpListener) -> String {
    let (mut stream, _) = listener.accept().await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello").await.unwrap();
    String::from_utf8(head).unwrap()
}

#[tokio::test]
async fn customized() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let server = tokio::spawn(one_exchange(listener));
    let http = client(
        Hyper::builder()
            .customize_client(|connection| {
                connection.http1.title_case_headers(true);
            })
            .customize_request(|head| {
                let path = head.uri().path().to_owned();
                head.headers_mut().insert("x-path", HeaderValue::try_from(path).unwrap());
                // What frames the body is the engine's.
                head.headers_mut().insert("content-length", HeaderValue::from_static("7"));
                head.headers_mut().insert("transfer-encoding", HeaderValue::from_static("chunked"));
            }),
    );
    assert_eq!(version(&http, &format!("http://{addr}/a?b"), None).await, Ok(Version::HTTP_11));
    let head = server.await.unwrap();
    assert_eq!(head, format!("GET /a?b HTTP/1.1\r\nHost: {addr}\r\nX-Path: /a\r\nContent-Length: 0\r\n\r\n"));
}

/// What a parser makes room for is settled when a connection begins; a call that allows more fields does not get one that reads fewer.
#[tokio::test]
async fn as_many_fields_as_a_call_allows() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    tokio::spawn(async move {
        let fields: String = (0..2000).map(|n| format!("x-{n}: 1\r\n")).collect();
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let response = format!("HTTP/1.1 200 OK\r\n{fields}content-length: 0\r\n\r\n");
            tokio::spawn(async move {
                let mut head = [0; 1024];
                while stream.read(&mut head).await.is_ok_and(|n| n > 0) {
                    stream.write_all(response.as_bytes()).await.unwrap();
                }
            });
        }
    });
    let http = client(Hyper::builder());
    let of = async |fields: usize| {
        let response = http.get(&url).limits(|limits| limits.head_fields(fields)).send().await;
        response.map(|response| response.headers().len()).map_err(|error| error.kind())
    };
    assert_eq!(of(256).await, Err(ErrorKind::TooLarge));
    assert_eq!(of(2001).await, Ok(2001));
    assert_eq!(of(2000).await, Err(ErrorKind::TooLarge));
    assert_eq!(of(usize::MAX).await, Ok(2001));
}

#[tokio::test]
async fn customized_http2() {
    let app = App::start();
    let builder = Hyper::builder().version(VersionPolicy::Http2);
    let http = client(builder.customize_request(|head| {
        head.headers_mut().insert("x-added", HeaderValue::from_static("1"));
    }));
    let text = http.get(app.url("/inspect")).send().await.unwrap().text().await.unwrap();
    assert!(text.contains("x-added: 1"), "{text}");
}

/// What the engine answers by itself: status, and hops that it followed.
async fn alone(builder: HyperBuilder, request: http::Request<Body>) -> client_core::Result<(u16, usize)> {
    let engine = AnyEngine::new(builder.build());
    let response = engine.execute(&mut Exchange::new(request)).await?;
    let hops = response.extensions().get::<RedirectHistory>().map_or(0, |history| history.hops().len());
    Ok((response.status().as_u16(), hops))
}

#[tokio::test]
async fn follows_redirects_where_it_is_told_to() {
    let app = App::start();
    let request = |path: &str| http::Request::get(app.url(path)).body(Body::empty()).unwrap();
    assert_eq!(alone(Hyper::builder(), request("/redirect/3")).await.unwrap(), (302, 0));
    let follows = || Hyper::builder().follow_redirects(true);
    assert_eq!(alone(follows(), request("/redirect/3")).await.unwrap(), (200, 3));
    assert_eq!(alone(follows(), request("/redirect/11")).await.unwrap_err().kind(), ErrorKind::Redirect);
    let mut unwilling = request("/redirect/3");
    unwilling.extensions_mut().insert(Redirect::none());
    assert_eq!(alone(follows(), unwilling).await.unwrap(), (302, 0));
}

#[tokio::test]
async fn waiting_for_the_pool_has_a_limit() {
    let app = App::start();
    let limit = Duration::from_millis(100);
    let http = client(Hyper::builder().max_connections(1).connection_request_timeout(limit));
    let held = http.get(app.url("/drip/1000/1000")).send().await.unwrap();
    let error = http.get(app.url("/")).send().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout(TimeoutKind::ConnectionRequest));
    assert!(error.elapsed().unwrap().elapsed >= limit);
    drop(held);
    assert_eq!(version(&http, &app.url("/"), None).await, Ok(Version::HTTP_11));
}

/// A connection of HTTP/1.1 is closed when it is dropped, also where its runtime stands still.
#[test]
fn closes_without_its_runtime() {
    let app = App::start();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let http = client(Hyper::builder());
    assert_eq!(runtime.block_on(version(&http, &app.url("/"), None)), Ok(Version::HTTP_11));
    assert_eq!(app.counts().open, 1);
    drop(http);
    let other = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    other.block_on(async {
        let connection = app.connection(0);
        tokio::time::timeout(Duration::from_secs(20), connection.closed_by_client())
            .await
            .expect("it is closed");
    });
    drop(runtime);
}

/// The runtime that made the client's connections is gone; the client is not.
#[test]
fn second_runtime() {
    let app = App::start();
    let http = client(Hyper::builder());
    for _ in 0..2 {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        assert_eq!(runtime.block_on(version(&http, &app.url("/"), None)), Ok(Version::HTTP_11));
        drop(runtime);
    }
    assert_eq!(app.counts().accepted, 2);
}

/// Under an executor that makes no task pause, as tokio makes its own, a server that never comes to its answer must not keep it for ever.
#[test]
fn endless_informational_responses_under_another_executor() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        assert!(stream.read(&mut [0; 1024]).unwrap() > 0);
        let flood = "HTTP/1.1 102 Processing\r\n\r\n".repeat(1000);
        while stream.write_all(flood.as_bytes()).is_ok() {}
    });
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let http = client(Hyper::builder().dispatcher(runtime.handle().clone()));
    let error = futures::executor::block_on(http.get(url).send()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TooLarge, "{error:?}");
    server.join().unwrap();
}

/// The connections live on a runtime of their own; whoever calls may use any executor.
#[test]
fn dispatcher() {
    let app = App::start();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    for policy in [VersionPolicy::Http1, VersionPolicy::Http2] {
        let http = client(Hyper::builder().version(policy).dispatcher(runtime.handle().clone()));
        for _ in 0..2 {
            assert!(futures::executor::block_on(version(&http, &app.url("/"), None)).is_ok());
        }
        assert_eq!(http.pool().unwrap().opened, 1, "{policy:?}");
    }
}
