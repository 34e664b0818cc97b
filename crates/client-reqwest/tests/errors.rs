//! What goes wrong, and what it is called.

use client_conformance::servers::{Authority, Certificate, Raw, Script, Tls};
use client_core::{Body, Error, ErrorKind, HttpClient, Limits, Phase, Sent};
use client_reqwest::Reqwest;
use reqwest::dns::{Name, Resolve, Resolving};
use tokio::net::TcpListener;

fn client() -> HttpClient {
    HttpClient::new(Reqwest::new())
}

fn is(error: &Error, kind: ErrorKind, phase: Phase, sent: Sent) {
    assert_eq!((error.kind(), error.phase(), error.sent()), (kind, Some(phase), sent), "{error:?}");
    assert_eq!(error.engine(), Some("reqwest"));
}

async fn answered(reply: &'static str) -> Error {
    let server = Raw::start([Script::new().request().send(reply).close()]);
    match client().get(server.url("/?secret=1")).send().await {
        Ok(response) => response.bytes().await.unwrap_err(),
        Err(error) => error,
    }
}

#[tokio::test]
async fn connecting() {
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let error = client().get(format!("http://{nobody}/?secret=1")).send().await.unwrap_err();
    is(&error, ErrorKind::Connect, Phase::Connect, Sent::Nothing);
    assert!(error.to_string().to_lowercase().contains("refused"), "{error}");
    assert!(!format!("{error} {error:?}").contains("secret"), "{error:?}");

    let http = HttpClient::new(Reqwest::builder().config(|reqwest| reqwest.dns_resolver(NoNames)).build());
    let error = http.get("http://no.such.host.example/").send().await.unwrap_err();
    is(&error, ErrorKind::Resolve, Phase::Resolve, Sent::Nothing);
    assert!(error.to_string().contains("never heard of it"), "{error}");
}

struct NoNames;

impl Resolve for NoNames {
    fn resolve(&self, _: Name) -> Resolving {
        Box::pin(async { Err("never heard of it".into()) })
    }
}

#[tokio::test]
async fn certificates() {
    let engine = Reqwest::builder().tls(Authority::get().trusted()).build();
    let http = HttpClient::builder(engine).build().unwrap();
    let table = [
        (Certificate::Expired, "expired on 2001-01-01"),
        (Certificate::WrongHost, "not valid for \"localhost\", only for "),
        (Certificate::UnknownAuthority, "not signed by the authority that it names"),
        (Certificate::SelfSigned, "self-signed"),
    ];
    for (certificate, expected) in table {
        let server = Raw::start_tls(&Tls::new(certificate), [Script::new()]);
        let error = http.get(server.url("/")).send().await.unwrap_err();
        is(&error, ErrorKind::Tls, Phase::Tls, Sent::Nothing);
        assert!(error.to_string().contains(expected), "{error}");
    }
    let plain = Raw::start([Script::new().received("\x16").send("HTTP/1.1 400 Bad Request\r\n\r\n").close()]);
    let error = http.get(plain.url("/").replace("http:", "https:")).send().await.unwrap_err();
    is(&error, ErrorKind::Tls, Phase::Tls, Sent::Nothing);
    let closing = Raw::start([Script::new().received("\x16").close()]);
    let error = http.get(closing.url("/").replace("http:", "https:")).send().await.unwrap_err();
    is(&error, ErrorKind::Tls, Phase::Tls, Sent::Nothing);
    let good = Raw::start_tls(&Tls::new(Certificate::Good), [Script::reply("HTTP/1.1 204 No Content\r\n\r\n")]);
    assert_eq!(http.get(good.url("/")).send().await.unwrap().status(), 204);
}

#[tokio::test]
async fn closed_early() {
    is(&answered("").await, ErrorKind::Closed, Phase::Head, Sent::Maybe);
    is(&answered("HTTP/1.1 200 OK\r\nContent-").await, ErrorKind::Closed, Phase::Head, Sent::Maybe);
    is(
        &answered("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello").await,
        ErrorKind::Closed,
        Phase::Body,
        Sent::Answered,
    );
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n";
    is(&answered(chunked).await, ErrorKind::Closed, Phase::Body, Sent::Answered);
    let server = Raw::start([Script::new().request().reset()]);
    let error = client().post(server.url("/")).body("a").send().await.unwrap_err();
    is(&error, ErrorKind::Closed, Phase::Head, Sent::Maybe);
}

#[tokio::test]
async fn malformed() {
    for reply in [
        "SSH-2.0-OpenSSH\r\n\r\n",
        "HTTP/1.1 99999 OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\nbad field\r\n\r\n",
    ] {
        is(&answered(reply).await, ErrorKind::Protocol, Phase::Head, Sent::Maybe);
    }
    let lengths = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!";
    assert_eq!(answered(lengths).await.kind(), ErrorKind::Protocol);
    let chunk = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\nhello\r\n0\r\n\r\n";
    is(&answered(chunk).await, ErrorKind::Protocol, Phase::Body, Sent::Answered);
    let switched = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n";
    is(&answered(switched).await, ErrorKind::Protocol, Phase::Head, Sent::Answered);
}

#[tokio::test]
async fn too_large() {
    let fields: String = (0..300).map(|n| format!("x-{n}: {n}\r\n")).collect();
    let reply = format!("HTTP/1.1 200 OK\r\n{fields}Content-Length: 0\r\n\r\n");
    let server = Raw::start([Script::reply(reply.clone()), Script::reply(reply).repeat()]);
    let get = |limits: fn(Limits) -> Limits| client().get(server.url("/")).limits(limits).send();
    let error = get(|limits| limits).await.unwrap_err();
    is(&error, ErrorKind::TooLarge, Phase::Head, Sent::Answered);
    assert!(error.to_string().contains("301 fields, more than the limit of 256"), "{error}");
    assert_eq!(get(|limits| limits.head_fields(301)).await.unwrap().headers().len(), 301);
    assert_eq!(
        get(|limits| limits.head_fields(301).head_bytes(2000)).await.unwrap_err().kind(),
        ErrorKind::TooLarge
    );

    // More than hyper itself reads, in fields and in bytes.
    let many: String = (0..600).map(|n| format!("x-{n}: {n}\r\n")).collect();
    for fields in [many, format!("x: {}\r\n", "a".repeat(500 << 10))] {
        let server = Raw::start([Script::reply(format!("HTTP/1.1 200 OK\r\n{fields}Content-Length: 0\r\n\r\n"))]);
        let error = client()
            .get(server.url("/"))
            .limits(|limits| limits.head_fields(9999).head_bytes(9 << 20))
            .send()
            .await;
        assert_eq!(error.unwrap_err().kind(), ErrorKind::TooLarge);
    }
}

#[tokio::test]
async fn a_producer_that_fails() {
    let server = Raw::start([Script::new()]);
    let body = || {
        let pieces = [Ok("a"), Err(std::io::Error::other("the disk is gone"))];
        Body::stream(futures::stream::iter(pieces))
    };
    let error = client().post(server.url("/")).body(body()).send().await.unwrap_err();
    assert_eq!((error.kind(), error.sent()), (ErrorKind::Body, Sent::Maybe), "{error:?}");
    assert!(error.to_string().contains("the disk is gone"), "{error}");
    server.connection(0).closed_by_client().await;
}

#[tokio::test]
async fn proxies_that_refuse() {
    let refusing = Raw::start([Script::new().head().send("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")]);
    let deaf = Raw::start([Script::new().received("\x05").send(&b"\x05\xff"[..]).close()]);
    for (scheme, proxy) in [("http", &refusing), ("socks5h", &deaf)] {
        let proxy = reqwest::Proxy::all(format!("{scheme}://{}", proxy.addr())).unwrap();
        let http = HttpClient::new(Reqwest::builder().config(move |reqwest| reqwest.proxy(proxy.clone())).build());
        let error = http.get("https://origin.example/").send().await.unwrap_err();
        is(&error, ErrorKind::Proxy, Phase::Proxy, Sent::Nothing);
    }
}

#[tokio::test]
async fn a_stale_connection_is_replaced_where_that_is_safe() {
    let ok = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    // The first connection answers once, and closes on the second request without a word.
    let script = || [Script::reply(ok).request().close(), Script::reply(ok)];
    let (get, post) = (Raw::start(script()), Raw::start(script()));
    let http = client();
    for _ in 0..2 {
        assert_eq!(http.get(get.url("/")).send().await.unwrap().text().await.unwrap(), "ok");
    }
    assert_eq!(get.counts().accepted, 2);
    http.get(post.url("/")).send().await.unwrap().text().await.unwrap();
    let error = http.post(post.url("/")).body("a").send().await.unwrap_err();
    is(&error, ErrorKind::Closed, Phase::Head, Sent::Maybe);
}
