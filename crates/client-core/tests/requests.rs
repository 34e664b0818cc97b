//! What the user writes and what the engine gets. Mistakes surface at `send`: never a panic, never a request.

use std::error::Error as _;
use std::time::Duration;

use client_core::{
    Body, Capability, Engine, ErrorKind, HeaderMap, HeaderValue, HttpClient, Method, RequestBuilder, RequestTarget, Sent, Uri,
    Version,
};
use client_mock::{Mock, Recorded, Reply};

const URL: &str = "http://h.example/";

/// What the engine gets.
#[track_caller]
fn sent(build: impl FnOnce(&HttpClient) -> RequestBuilder) -> Recorded {
    let mock = Mock::with(|_| Reply::new());
    mock.run(build(&HttpClient::new(mock.clone())).send()).unwrap();
    mock.requests().remove(0)
}

fn body_of(pieces: &'static [&'static str]) -> Body {
    Body::stream(futures::stream::iter(pieces.iter().map(|piece| Ok::<_, std::io::Error>(*piece))))
}

#[test]
fn methods() {
    type Shorthand = fn(&HttpClient, &'static str) -> RequestBuilder;
    let shorthands: [(Shorthand, &str); 7] = [
        (HttpClient::get, "GET"),
        (HttpClient::head, "HEAD"),
        (HttpClient::post, "POST"),
        (HttpClient::put, "PUT"),
        (HttpClient::patch, "PATCH"),
        (HttpClient::delete, "DELETE"),
        (HttpClient::options, "OPTIONS"),
    ];
    for (shorthand, name) in shorthands {
        assert_eq!(sent(|http| shorthand(http, URL)).method, name);
    }
    for name in ["PROPFIND", "get", "M-SEARCH", "!#$%&'*+-.^_`|~"] {
        assert_eq!(sent(|http| http.request(name, URL)).method, name);
    }
    assert_eq!(sent(|http| http.request(Method::TRACE, URL)).method, "TRACE");
}

#[test]
fn every_mistake_surfaces_at_send() {
    type Mistake = fn(&HttpClient) -> RequestBuilder;
    let cases: [(Mistake, &str); 21] = [
        (|http| http.request("NO SPACE", URL), "method: invalid HTTP method"),
        (|http| http.request("", URL), "method: invalid HTTP method"),
        (|http| http.get("/path"), "an absolute URL is needed"),
        (|http| http.get(""), "an absolute URL is needed"),
        (|http| http.get("http://"), "empty host"),
        (|http| http.get("http://exa mple/"), "invalid international domain name"),
        (|http| http.get("ftp://h/"), "unsupported scheme \"ftp\""),
        (|http| http.get("localhost:8080"), "a URL begins with http:// or https://"),
        (|http| http.get(Uri::from_static("/only/a/path")), "an absolute URL is needed"),
        (|http| http.get(URL).header("no name", "a"), "header name: invalid HTTP header name"),
        (|http| http.get(URL).header("", "a"), "header name: invalid HTTP header name"),
        (
            |http| http.get(URL).header("x-a", "a\r\nb: c"),
            "value of header x-a: failed to parse header value (control",
        ),
        (|http| http.get(URL).basic_auth("a:b", "c"), "a user name has no colon"),
        // What ends up as user "a" with the password "b:c".
        (|http| http.get("http://a%3Ab:c@h.example/"), "a user name has no colon"),
        (|http| http.get(URL).bearer_auth("a\nb"), "the Bearer token has characters that no header may have"),
        (|http| http.get(URL).query([("a", "x".repeat(70_000))]), "query: "),
        (
            |http| http.get(URL).header("transfer-encoding", "chunked"),
            "transfer-encoding is set by the engine",
        ),
        (|http| http.get(URL).header("host", "a").header("host", "b"), "2 Host headers"),
        (|http| http.post(URL).header("content-length", "4").body("abc"), "says 4, but the body has 3 bytes"),
        (|http| http.post(URL).header("content-length", "x").body("abc"), "must be one decimal number"),
        (|http| http.request("TRACE", URL).body("abc"), "a TRACE request has no body"),
    ];
    for (mistake, says) in cases {
        let mock = Mock::with(|_| Reply::new());
        let error = mock.run(mistake(&HttpClient::new(mock.clone())).send()).unwrap_err();
        assert_eq!((error.kind(), error.sent()), (ErrorKind::InvalidRequest, Sent::Nothing));
        assert!(error.to_string().contains(says), "{says:?} is not in: {error}");
        assert!(mock.requests().is_empty(), "{says}");
    }
}

#[test]
fn the_first_mistake_counts() {
    let mock = Mock::new();
    let request = HttpClient::new(mock.clone())
        .request("B D", "no url")
        .header("", "")
        .query([("a", "b")])
        .basic_auth(":", "");
    let error = mock.run(request.body("x").send()).unwrap_err();
    assert!(error.to_string().contains("method"), "{error}");
    assert!(error.source().is_some());
}

#[test]
fn more_headers_than_there_can_be() {
    let mock = Mock::with(|_| Reply::new());
    let request = HttpClient::new(mock.clone()).get(URL);
    let request = (0..40_000).fold(request, |request, n| request.header(format!("x-{n}"), "1"));
    assert_eq!(mock.run(request.send()).unwrap_err().kind(), ErrorKind::InvalidRequest);
    assert!(mock.requests().is_empty());
}

/// A map holds 24,576 names and panics at the next one, unless asked politely; whoever fills it is told.
#[test]
fn no_way_to_add_a_header_panics() {
    type Add = fn(RequestBuilder) -> RequestBuilder;
    let full = full();
    let adds: [Add; 4] = [
        |request| request.headers(HeaderMap::from_iter([("x-more".parse().unwrap(), HeaderValue::from_static("1"))])),
        |request| request.basic_auth("user", "password"),
        |request| request.bearer_auth("token"),
        |request| request.form([("a", "b")]),
    ];
    let mock = Mock::with(|_| Reply::new());
    let http = HttpClient::new(mock.clone());
    for add in adds {
        let request = add(http.get(URL).headers(full.clone()));
        assert_eq!(mock.run(request.send()).unwrap_err().kind(), ErrorKind::InvalidRequest);
    }
    // By the URL of a request made elsewhere.
    let mut request = http::Request::get("http://user:password@h.example/").body(()).unwrap();
    *request.headers_mut() = full.clone();
    assert_eq!(mock.run(http.execute(request)).unwrap_err().kind(), ErrorKind::InvalidRequest);
    // By default.
    let http = HttpClient::builder(mock.clone()).default_header("x-more", "1").build().unwrap();
    assert_eq!(mock.run(http.get(URL).headers(full).send()).unwrap_err().kind(), ErrorKind::InvalidRequest);
    let builder = (0..40_000).fold(HttpClient::builder(mock.clone()), |b, n| b.default_header(format!("x-{n}"), "1"));
    assert_eq!(builder.build().unwrap_err().kind(), ErrorKind::InvalidRequest);
    assert!(mock.requests().is_empty());
}

/// As many headers as there can be.
fn full() -> HeaderMap {
    let mut headers = HeaderMap::new();
    let mut names = (0..).map(|n| format!("x-{n}").parse::<http::HeaderName>().unwrap());
    while headers.try_insert(names.next().unwrap(), HeaderValue::from_static("1")).is_ok() {}
    headers
}

#[test]
fn a_mistake_in_a_default_surfaces_at_build() {
    for builder in [
        HttpClient::builder(Mock::new()).default_header("no name", "a"),
        HttpClient::builder(Mock::new()).default_header("a", "\n").default_header("b", "fine"),
        HttpClient::builder(Mock::new()).user_agent("\0"),
    ] {
        assert_eq!(builder.build().unwrap_err().kind(), ErrorKind::InvalidRequest);
    }
}

#[test]
fn urls_are_sent_as_a_browser_would() {
    for (url, expected) in [
        ("http://h.example", "http://h.example/"),
        ("HTTP://H.example:80/a b?c d#frag", "http://h.example/a%20b?c%20d"),
        ("https://bücher.example/ü", "https://xn--bcher-kva.example/%C3%BC"),
        ("http://[::1]:8080/%2F%2e", "http://[::1]:8080/%2F%2e"),
    ] {
        assert_eq!(sent(|http| http.get(url)).uri, expected, "{url}");
    }
    let parsed = url::Url::parse("http://h.example/a?b#c").unwrap();
    assert_eq!(sent(|http| http.get(&parsed)).uri, "http://h.example/a?b");
    assert_eq!(sent(|http| http.get(Uri::from_static("http://h.example/a?b"))).uri, "http://h.example/a?b");
    assert_eq!(sent(|http| http.get(String::from(URL))).uri, URL);
}

#[test]
fn queries_are_added_form_encoded() {
    let odd = [("a b", "ä&=+%"), ("", ""), ("ok", "*-._~")];
    let encoded = "a+b=%C3%A4%26%3D%2B%25&=&ok=*-._%7E";
    for (url, expected) in [
        ("http://h.example/p", format!("/p?{encoded}")),
        ("http://h.example/p?", format!("/p?{encoded}")),
        ("http://h.example/p?x=%20+y&&z#frag", format!("/p?x=%20+y&&z&{encoded}")),
    ] {
        let uri = sent(|http| http.get(url).query(odd)).uri;
        assert_eq!(uri.path_and_query().unwrap().as_str(), expected);
    }
    let owned = vec![(String::from("a"), String::from("1"))];
    assert_eq!(sent(|http| http.get(URL).query(&owned).query([("b", "2")])).uri, "http://h.example/?a=1&b=2");
    assert_eq!(sent(|http| http.get(URL).query([("", ""); 0])).uri, URL);
}

#[test]
fn forms() {
    let request = sent(|http| http.post(URL).form([("name", "J. Ü"), ("a&b", "1=2\n")]));
    assert_eq!(request.text(), "name=J.+%C3%9C&a%26b=1%3D2%0A");
    assert_eq!(request.header("content-type"), Some("application/x-www-form-urlencoded"));
    let typed = sent(|http| http.post(URL).header("content-type", "text/x-mine").form([("a", "b")]));
    assert_eq!(typed.header("content-type"), Some("text/x-mine"));
}

#[test]
fn nothing_is_sent_that_was_not_asked_for() {
    let request = sent(|http| http.post(URL).body("abc"));
    assert!(request.headers.is_empty(), "{:?}", request.headers);
    assert_eq!((request.body.len(), request.trailers, request.version), (3, None, None));
}

#[test]
fn headers_are_appended_or_replaced() {
    let request = sent(|http| {
        let replacing = HeaderMap::from_iter([(http::header::ACCEPT, HeaderValue::from_static("c"))]);
        let first = http.get(URL).header("accept", "a").header("Accept", "b").header("x-kept", "1");
        first.headers(replacing).header("accept", "d")
    });
    let values = |name| request.headers.get_all(name).iter().collect::<Vec<_>>();
    assert_eq!(values("accept"), ["c", "d"]);
    assert_eq!(values("x-kept"), ["1"]);
}

#[test]
fn defaults_fill_what_the_request_leaves_open() {
    let mock = Mock::with(|_| Reply::new());
    let builder = HttpClient::builder(mock.clone())
        .user_agent("mine/1")
        .default_header("accept", "a")
        .default_header("accept", "b");
    let http = builder.build().unwrap();
    mock.run(async {
        http.get(URL).send().await.unwrap();
        http.get(URL).header("accept", "only").send().await.unwrap();
    });
    let requests = mock.requests();
    let accepts: Vec<Vec<_>> = requests.iter().map(|request| request.headers.get_all("accept").iter().collect()).collect();
    assert_eq!(accepts, [vec!["a", "b"], vec!["only"]]);
    assert_eq!(requests[1].header("user-agent"), Some("mine/1"));
}

#[test]
fn credentials_are_marked_sensitive() {
    for (request, expected) in [
        (
            sent(|http| http.get(URL).basic_auth("Aladdin", "open sesame")),
            "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==",
        ),
        (sent(|http| http.get(URL).basic_auth("ü", "p:w")), "Basic w7w6cDp3"),
        (sent(|http| http.get(URL).basic_auth("", "")), "Basic Og=="),
        (sent(|http| http.get(URL).bearer_auth("t")), "Bearer t"),
        // The last one counts: a request has one Authorization.
        (sent(|http| http.get(URL).bearer_auth("t").basic_auth("a", "b")), "Basic YTpi"),
        (sent(|http| http.get("http://us%65r:p%40ss@h.example/")), "Basic dXNlcjpwQHNz"),
        (sent(|http| http.get("http://user@h.example/")), "Basic dXNlcjo="),
        (sent(|http| http.get("http://user:pw@h.example/").bearer_auth("t")), "Bearer t"),
    ] {
        let values: Vec<_> = request.headers.get_all("authorization").iter().collect();
        assert_eq!(values, [expected]);
        assert!(values[0].is_sensitive());
        assert_eq!(request.uri, URL);
    }
}

#[test]
fn bodies_of_every_kind() {
    for (body, len, text) in [
        (Body::from(()), Some(0), ""),
        (Body::from("text"), Some(4), "text"),
        (Body::from(vec![b'v', b'e', b'c']), Some(3), "vec"),
        (Body::reopen(Some(6), || body_of(&["re", "open"])), Some(6), "reopen"),
        (
            Body::sized_stream(5, futures::stream::iter(["si", "zed"].map(Ok::<_, std::io::Error>))),
            Some(5),
            "sized",
        ),
        (body_of(&["str", "", "eam"]), None, "stream"),
    ] {
        assert_eq!(body.len(), len);
        assert_eq!(sent(|http| http.put(URL).body(body)).text(), text);
    }
}

#[test]
fn a_declared_length_is_held_to_be_true() {
    for (declared, fails) in [("6", false), ("5", true), ("7", true)] {
        let mock = Mock::with(|_| Reply::new());
        let request = HttpClient::new(mock.clone())
            .put(URL)
            .header("content-length", declared)
            .body(body_of(&["str", "eam"]));
        let answer = mock.run(request.send());
        assert_eq!(answer.err().map(|error| error.kind()), fails.then_some(ErrorKind::Body), "{declared}");
    }
}

#[test]
fn a_request_that_was_made_elsewhere() {
    #[derive(Clone, Debug, PartialEq)]
    struct Setting(u8);
    let mock = Mock::with(|_| Reply::new());
    let http = HttpClient::builder(mock.clone()).default_header("x-default", "1").build().unwrap();
    let request = http::Request::builder()
        .method("PURGE")
        .uri("http://me:pw@h.example/?q#frag")
        .version(Version::HTTP_2)
        .header("x-a", "1")
        .extension(Setting(7))
        .body("body")
        .unwrap();
    mock.run(http.execute(request)).unwrap();
    let own = http::Request::builder()
        .uri("http://me:pw@h.example/")
        .header("authorization", "Mine x")
        .body(())
        .unwrap();
    mock.run(http.execute(own)).unwrap();
    let requests = mock.requests();
    assert_eq!(
        (requests[0].method.as_str(), requests[0].uri.to_string().as_str()),
        ("PURGE", "http://h.example/?q")
    );
    assert_eq!((requests[0].header("x-a"), requests[0].header("x-default")), (Some("1"), Some("1")));
    assert_eq!(requests[0].header("authorization"), Some("Basic bWU6cHc="));
    assert_eq!((requests[0].version, requests[0].text().as_str()), (Some(Version::HTTP_2), "body"));
    assert_eq!(requests[0].extensions.get(), Some(&Setting(7)));
    assert_eq!((requests[1].header("authorization"), requests[1].version), (Some("Mine x"), None));
}

/// A promise that is not made is refused before the engine sees anything.
#[test]
fn what_the_engine_lacks_is_refused_by_name() {
    type Ask = fn(&HttpClient) -> RequestBuilder;
    let cases: [(Capability, Ask); 15] = [
        (Capability::Tls, |http| http.get("https://h.example/")),
        (Capability::Http1, |http| http.get(URL).version(Version::HTTP_11)),
        (Capability::Http1, |http| http.get(URL).version(Version::HTTP_10)),
        (Capability::Http2, |http| http.get("https://h.example/").version(Version::HTTP_2)),
        (Capability::Http2PriorKnowledge, |http| http.get(URL).version(Version::HTTP_2)),
        (Capability::Http3, |http| http.get(URL).version(Version::HTTP_3)),
        (Capability::ConnectTimeout, |http| http.get(URL).timeout(|t| t.connect(Duration::from_secs(1)))),
        (Capability::SocketTimeout, |http| http.get(URL).timeout(|t| t.socket(Duration::from_secs(1)))),
        (Capability::Upgrade, |http| http.get(URL).header("upgrade", "websocket")),
        (Capability::Tunnel, |http| http.request(Method::CONNECT, URL)),
        (Capability::AsteriskForm, |http| http.options(URL).target(RequestTarget::Asterisk)),
        (Capability::ExpectContinue, |http| http.post(URL).header("expect", "100-continue").body("a")),
        (Capability::StreamingUpload, |http| http.post(URL).body(body_of(&["a"]))),
        (Capability::StreamingUpload, |http| http.post(URL).body(Body::reopen(None, || body_of(&["a"])))),
        (Capability::RequestTrailers, |http| {
            http.post(URL).body(Body::from("a").with_trailers(HeaderMap::new()))
        }),
    ];
    let played = Mock::new().capabilities();
    for (capability, ask) in cases {
        let lacking = Mock::builder().capabilities(played.without(capability)).handler(|_| Reply::new()).build();
        let error = lacking.run(ask(&HttpClient::new(lacking.clone())).send()).unwrap_err();
        assert_eq!((error.kind(), error.capability()), (ErrorKind::Unsupported, Some(capability)));
        assert_eq!((error.sent(), error.engine()), (Sent::Nothing, Some("mock")));
        assert!(error.uri().is_some());
        assert!(lacking.requests().is_empty(), "{}", capability.id());
        // And with it, it works.
        sent(ask);
    }
}

#[test]
fn a_request_does_nothing_until_it_is_polled() {
    let mock = Mock::with(|_| Reply::new());
    drop(HttpClient::new(mock.clone()).get(URL).send());
    assert!(mock.requests().is_empty());
}

#[test]
fn debug_keeps_secrets() {
    let http = HttpClient::new(Mock::new());
    let request = http.get("http://user:secret@h.example/path?token=secret").bearer_auth("secret");
    assert_eq!(format!("{request:?}"), "RequestBuilder(GET http://h.example/path)");
}

/// RFC 9110 §10.1.1: once more, without the expectation.
#[test]
fn an_expectation_that_fails_is_dropped() {
    let mock = Mock::new();
    mock.enqueue(Reply::status(417).early());
    mock.enqueue(Reply::text("fine"));
    let http = HttpClient::new(mock.clone());
    let call = http.post("http://h.example/").header("expect", "100-continue").body("abc").send();
    assert_eq!(mock.run(call).unwrap().status(), 200);
    let seen: Vec<_> = mock.requests().iter().map(|request| request.headers.contains_key("expect")).collect();
    assert_eq!(seen, [true, false]);
    assert_eq!(mock.requests()[1].text(), "abc");
}

/// A stream may have been begun: its 417 is the caller's.
#[test]
fn an_expectation_of_a_stream_is_not_repeated() {
    let mock = Mock::new();
    mock.enqueue(Reply::status(417).early());
    let http = HttpClient::new(mock.clone());
    let stream = Body::stream(futures::stream::iter([Ok::<_, std::io::Error>("abc")]));
    let call = http.post("http://h.example/").header("expect", "100-continue").body(stream).send();
    assert_eq!(mock.run(call).unwrap().status(), 417);
    mock.assert_done();
}
