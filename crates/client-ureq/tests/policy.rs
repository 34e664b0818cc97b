//! What goes over the wire, and what comes back: nothing is added, followed, kept or decoded.

mod support;

use std::sync::Mutex;
use std::sync::mpsc::channel;

use client_core::{HeaderValue, RequestBuilder, Version};
use futures::executor::block_on;
use support::{OK, Server, default, get, pieces, text};

/// What the server receives of a request, up to `mark`.
fn sent(mark: &'static str, request: impl FnOnce(String) -> RequestBuilder) -> String {
    let (tell, told) = channel();
    let tell = Mutex::new(tell);
    let server = Server::start(move |mut peer, _| {
        if let Some(seen) = peer.until(mark) {
            tell.lock().unwrap().send(seen).unwrap();
            peer.send(OK);
            peer.closed();
        }
    });
    block_on(request(server.url("/p?q=1")).send()).unwrap();
    told.recv().unwrap().replace(&server.address.to_string(), "HOST")
}

#[test]
fn a_request_has_only_what_it_needs() {
    let http = default();
    assert_eq!(sent("\r\n\r\n", |url| http.get(url)), "GET /p?q=1 HTTP/1.1\r\nhost: HOST\r\n\r\n");
    assert_eq!(
        sent("abc", |url| http.post(url).body("abc")),
        "POST /p?q=1 HTTP/1.1\r\nhost: HOST\r\ncontent-length: 3\r\n\r\nabc"
    );
    assert_eq!(
        sent("\r\n\r\n", |url| http.post(url)),
        "POST /p?q=1 HTTP/1.1\r\nhost: HOST\r\ncontent-length: 0\r\n\r\n"
    );
    assert_eq!(sent("\r\n\r\n", |url| http.delete(url)), "DELETE /p?q=1 HTTP/1.1\r\nhost: HOST\r\n\r\n");
    assert_eq!(
        sent("0\r\n\r\n", |url| http.put(url).body(pieces(2, b"abc"))),
        "PUT /p?q=1 HTTP/1.1\r\nhost: HOST\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n3\r\nabc\r\n0\r\n\r\n"
    );
}

#[test]
fn any_method_and_any_method_with_a_body() {
    let http = default();
    for method in ["PROPFIND", "PURGE", "TRACE", "OPTIONS", "get", "M-SEARCH"] {
        let seen = sent("\r\n\r\n", |url| http.request(method, url));
        assert_eq!(seen, format!("{method} /p?q=1 HTTP/1.1\r\nhost: HOST\r\n\r\n"));
    }
    for method in ["GET", "DELETE", "PROPFIND", "HEAD"] {
        let seen = sent("abc", |url| http.request(method, url).body("abc"));
        assert_eq!(seen, format!("{method} /p?q=1 HTTP/1.1\r\nhost: HOST\r\ncontent-length: 3\r\n\r\nabc"));
    }
}

#[test]
fn fields_arrive_as_they_are() {
    let http = default();
    let odd = HeaderValue::from_bytes(b"caf\xe9 \xff").unwrap();
    let seen = sent("\r\n\r\n", |url| {
        http.get(url)
            .header("x-a", "1")
            .header("host", "other.example")
            .header("x-b", odd)
            .header("x-a", "2")
            .header("x-c", "")
    });
    assert!(seen.starts_with("GET /p?q=1 HTTP/1.1\r\nx-a: 1\r\nx-a: 2\r\nhost: other.example\r\n"), "{seen}");
    assert!(seen.ends_with("\r\nx-b: caf\u{e9} \u{ff}\r\nx-c: \r\n\r\n"), "{seen}");
    let long = "v".repeat(100_000);
    let seen = sent("\r\n\r\n", |url| http.get(format!("{url}&{}", "q".repeat(40_000))).header("x-long", &long));
    assert!(seen.ends_with(&format!("x-long: {long}\r\n\r\n")));
}

#[test]
fn versions() {
    let http = default();
    let seen = sent("\r\n\r\n", |url| http.get(url).version(Version::HTTP_10));
    assert_eq!(seen, "GET /p?q=1 HTTP/1.0\r\nhost: HOST\r\n\r\n");
    let refused = block_on(http.post("http://127.0.0.1:1/").version(Version::HTTP_10).body(pieces(1, b"a")).send());
    assert!(refused.unwrap_err().to_string().contains("declare the length"));
}

#[test]
fn redirects_and_errors_are_responses() {
    for status in [301, 302, 303, 304, 307, 308, 400, 404, 500, 999] {
        let server = Server::always(format!("HTTP/1.1 {status} X\r\nLocation: /next\r\nContent-Length: 0\r\n\r\n"));
        let response = get(&default(), server.url("/")).unwrap();
        assert_eq!(response.status().as_u16(), status);
        assert_eq!(response.headers()["location"], "/next");
        assert_eq!(server.accepted(), 1);
    }
    // Also one that goes on after its head.
    let server = Server::always("HTTP/1.1 302 Found\r\nLocation: /next\r\nContent-Length: 4\r\n\r\nbody");
    assert_eq!(text(&default(), server.url("/")).unwrap(), "body");
}

/// This test binary is built with ureq's features `cookies`, `gzip` and `charset` on.
#[test]
fn nothing_is_kept_decoded_or_transcoded() {
    let (tell, told) = channel();
    let tell = Mutex::new(tell);
    let server = Server::start(move |mut peer, _| {
        while let Some(head) = peer.head() {
            tell.lock().unwrap().send(head).unwrap();
            peer.send(
                "HTTP/1.1 200 OK\r\nSet-Cookie: a=1; Path=/\r\nContent-Encoding: gzip\r\nSET-COOKIE: b=2\r\nX: y\r\n\
                 Content-Type: text/plain; charset=iso-8859-1\r\nContent-Length: 4\r\n\r\n",
            );
            peer.send(b"\xe9\x1f\x8b!");
        }
    });
    let http = default();
    for _ in 0..2 {
        let response = get(&http, server.url("/")).unwrap();
        let names: Vec<_> = response.headers().keys().map(ToString::to_string).collect();
        assert_eq!(names, ["set-cookie", "content-encoding", "x", "content-type", "content-length"]);
        assert_eq!(response.headers()["content-encoding"], "gzip");
        assert_eq!(response.headers()["content-type"], "text/plain; charset=iso-8859-1");
        assert_eq!(response.headers().get_all("set-cookie").iter().collect::<Vec<_>>(), ["a=1; Path=/", "b=2"]);
        assert_eq!(response.content_length(), Some(4));
        assert_eq!(&*block_on(response.bytes()).unwrap(), b"\xe9\x1f\x8b!");
        assert!(!told.recv().unwrap().contains("cookie"));
    }
}

/// The environment can be set only for a process of its own: this test runs itself once more.
#[test]
fn the_environment_names_no_proxy() {
    const CHILD: &str = "CLIENT_UREQ_TEST_CHILD";
    if let Ok(url) = std::env::var(CHILD) {
        assert_eq!(text(&default(), url).unwrap(), "ok");
        return;
    }
    let server = Server::always(OK);
    let run = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "the_environment_names_no_proxy"])
        .env(CHILD, server.url("/"))
        .envs(["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"].map(|name| (name, "http://127.0.0.1:9")))
        .output()
        .unwrap();
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stdout));
    assert_eq!(server.accepted(), 1);
}

#[test]
fn responses_without_a_body() {
    let table = [
        ("HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n"),
        ("HEAD", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"),
        ("GET", "HTTP/1.1 204 No Content\r\n\r\n"),
        ("GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 100\r\n\r\n"),
        ("GET", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
        ("GET", "HTTP/1.1 205 Reset Content\r\nContent-Length: 0\r\n\r\n"),
    ];
    for (method, answer) in table {
        let server = Server::always(answer);
        let http = default();
        for _ in 0..2 {
            let response = block_on(http.request(method, server.url("/")).send()).unwrap();
            assert!(block_on(response.bytes()).unwrap().is_empty(), "{answer}");
        }
        assert_eq!(server.accepted(), 1, "the connection is used again: {answer}");
    }
}
