//! The same requests on every engine, compared as a server sees them: method, target, authority, fields as a set, and body. What one
//! engine sends and another does not is a failure of one of them; what is expected is written down here, so that an engine that is tried
//! alone is compared as well. Only what belongs to a connection is left out: it differs by the version.

use std::collections::BTreeSet;

use client_core::{Body, Capability, HttpClient, Method, RequestBuilder};
use futures_util::stream;

use crate::case::{Outcome, Stop, ensure_eq};
use crate::ctx::{Ctx, Expect};
use crate::servers::{ReceivedRequest, Script, h2, pattern};

cases! {
    differential(ctx): "The same request is the same on the wire, whichever engine and version carries it";

    get [] "RFC 9110 §9.3.1", "A GET" => same(ctx, "/", |http, url| http.get(url), SEEN);
    query [] "RFC 3986 §3.4", "A query, with what may stand in one" =>
        same(ctx, "/a;b=c/~d?e=1&f=%20g&h=i/j?k&l", |http, url| http.get(url),
            Seen { target: "/a;b=c/~d?e=1&f=%20g&h=i/j?k&l", ..SEEN });
    percent [] "RFC 3986 §2.1: %2F is not /", "Escapes stay as they are written" =>
        same(ctx, "/%2e%2F%7e%C3%a9/x", |http, url| http.get(url), Seen { target: "/%2e%2F%7e%C3%a9/x", ..SEEN });
    empty_query [] "RFC 3986 §6.2.3", "An empty query is not no query" =>
        same(ctx, "/a?", |http, url| http.get(url), Seen { target: "/a?", ..SEEN });
    fragment [] "RFC 9110 §7.1", "A fragment is not sent" =>
        same(ctx, "/a?b#c", |http, url| http.get(url), Seen { target: "/a?b", ..SEEN });
    no_path [] "RFC 9112 §3.2.1", "No path is /" => same(ctx, "", |http, url| http.get(url), SEEN);
    query_pairs [] "URL standard, application/x-www-form-urlencoded", "Pairs are added to a query" =>
        same(ctx, "/a?b=c", |http, url| http.get(url).query([("d", "e f"), ("g", "ä&")]),
            Seen { target: "/a?b=c&d=e+f&g=%C3%A4%26", ..SEEN });
    head [] "RFC 9110 §9.3.2", "A HEAD" => same(ctx, "/", |http, url| http.head(url), Seen { method: "HEAD", ..SEEN });
    options [] "RFC 9110 §9.3.7", "An OPTIONS" => same(ctx, "/", |http, url| http.options(url), Seen { method: "OPTIONS", ..SEEN });
    delete [] "RFC 9110 §9.3.5", "A DELETE without content" =>
        same(ctx, "/a", |http, url| http.delete(url), Seen { method: "DELETE", target: "/a", ..SEEN });
    delete_with_body [] "RFC 9110 §9.3.5", "A DELETE with content" =>
        same(ctx, "/a", |http, url| http.delete(url).body("which"),
            Seen { method: "DELETE", target: "/a", fields: &["content-length: 5"], body: b"which" });
    method [] "RFC 9110 §9.1", "A method of the user's own" =>
        same(ctx, "/a", |http, url| http.request(Method::from_bytes(b"REPORT").expect("a token"), url),
            Seen { method: "REPORT", target: "/a", ..SEEN });
    post [] "RFC 9110 §9.3.3", "A POST with text" =>
        same(ctx, "/a", |http, url| http.post(url).header("content-type", "text/plain").body("text"),
            Seen { method: "POST", target: "/a", fields: &["content-length: 4", "content-type: text/plain"], body: b"text" });
    post_empty [] "RFC 9110 §8.6: SHOULD send", "A POST without content has a length" =>
        same(ctx, "/a", |http, url| http.post(url), Seen { method: "POST", target: "/a", fields: &["content-length: 0"], body: b"" });
    put [] "RFC 9110 §9.3.4", "A PUT of binary content" =>
        same(ctx, "/a", |http, url| http.put(url).body(pattern(300)),
            Seen { method: "PUT", target: "/a", fields: &["content-length: 300"], body: &PATTERN });
    patch [] "RFC 5789", "A PATCH" =>
        same(ctx, "/a", |http, url| http.patch(url).body("[]"),
            Seen { method: "PATCH", target: "/a", fields: &["content-length: 2"], body: b"[]" });
    stream [StreamingUpload] "RFC 9112 §6.1; RFC 9113 §8.1.1", "A body of unknown length has none" =>
        same(ctx, "/a", |http, url| http.post(url).body(pieces()),
            Seen { method: "POST", target: "/a", fields: &[], body: b"in three pieces" });
    sized_stream [StreamingUpload] "RFC 9110 §8.6", "A stream of known length has it" =>
        same(ctx, "/a", |http, url| http.post(url).body(Body::sized_stream(15, stream::iter(PIECES.map(Ok::<_, std::io::Error>)))),
            Seen { method: "POST", target: "/a", fields: &["content-length: 15"], body: b"in three pieces" });
    user_agent [] "RFC 9110 §10.1.5", "User-Agent and Accept-Encoding are the user's" =>
        same(ctx, "/", |http, url| http.get(url).header("user-agent", "mine/1").header("accept-encoding", "br"),
            Seen { fields: &["user-agent: mine/1", "accept-encoding: br"], ..SEEN });
    repeated [] "RFC 9110 §5.3", "Repeated fields stay apart, or are joined in order" =>
        same(ctx, "/", |http, url| http.get(url).header("x-list", "a").header("x-list", "b, c"),
            Seen { fields: &["x-list: a, b, c"], ..SEEN });
    values [] "RFC 9110 §5.5", "Odd values: empty, obs-text, inner white space" =>
        same(ctx, "/", |http, url| http.get(url).header("x-empty", "").header("x-text", "é").header("x-space", "a \t b"),
            Seen { fields: &["x-empty: ", "x-text: é", "x-space: a \t b"], ..SEEN });
    cookies [] "RFC 6265 §5.4; RFC 9113 §8.2.3", "Cookies" =>
        same(ctx, "/", |http, url| http.get(url).header("cookie", "a=1; b=2"), Seen { fields: &["cookie: a=1; b=2"], ..SEEN });
    conditional [] "RFC 9110 §13.1", "Conditions and ranges" =>
        same(ctx, "/", |http, url| http.get(url).header("if-none-match", "\"a\", W/\"b\"").header("range", "bytes=0-1,3-"),
            Seen { fields: &["if-none-match: \"a\", W/\"b\"", "range: bytes=0-1,3-"], ..SEEN });
    basic_auth [] "RFC 7617", "Credentials" =>
        same(ctx, "/", |http, url| http.get(url).basic_auth("user", "pass:word"),
            Seen { fields: &["authorization: Basic dXNlcjpwYXNzOndvcmQ="], ..SEEN });
    userinfo [] "RFC 9110 §4.2.4", "Credentials of the URL" =>
        same(ctx, "/", |http, url| http.get(url.replace("://", "://user:pass%3Aword@")),
            Seen { fields: &["authorization: Basic dXNlcjpwYXNzOndvcmQ="], ..SEEN });
    form [] "URL standard, application/x-www-form-urlencoded", "A form" =>
        same(ctx, "/a", |http, url| http.post(url).form([("a", "b c"), ("d", "é")]), Seen {
            method: "POST",
            target: "/a",
            fields: &["content-type: application/x-www-form-urlencoded", "content-length: 14"],
            body: b"a=b+c&d=%C3%A9",
        });
}

/// A request as its server saw it.
struct Seen {
    method: &'static str,
    target: &'static str,
    /// Those that belong to the request: without the authority, and without `accept`, which every case sets.
    fields: &'static [&'static str],
    body: &'static [u8],
}

const SEEN: Seen = Seen {
    method: "GET",
    target: "/",
    fields: &[],
    body: b"",
};

const PATTERN: [u8; 300] = {
    let mut bytes = [0; 300];
    let mut index = 0;
    while index < bytes.len() {
        bytes[index] = (index % 251) as u8;
        index += 1;
    }
    bytes
};

const PIECES: [&str; 3] = ["in ", "three ", "pieces"];

fn pieces() -> Body {
    Body::stream(stream::iter(PIECES.map(Ok::<_, std::io::Error>)))
}

/// What belongs to a connection, or to one version (RFC 9110 §7.6.1, RFC 9113 §8.2.2).
const OF_CONNECTION: [&str; 6] = ["connection", "host", "keep-alive", "te", "trailer", "transfer-encoding"];

async fn same(ctx: Ctx, path: &str, request: fn(&HttpClient, String) -> RequestBuilder, expected: Seen) -> Outcome {
    let client = ctx.client()?;
    // A library that cannot be kept from adding an Accept of its own adds none to this.
    let send = |url| request(&client, url).header("accept", "a/b").send();
    if !ctx.has(Capability::Http1)? && !ctx.has(Capability::Http2PriorKnowledge)? {
        return Err(Stop::skipped("it promises no version of HTTP"));
    }
    let (mut seen, authority) = if ctx.has(Capability::Http1)? {
        let server = ctx.raw(Script::reply("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").repeat());
        ctx.wait("the answer has arrived", send(server.url(path))).await.expect_body("").await?;
        let request = server.requests().pop().ok_or_else(|| Stop::failed("there was no request"))?;
        (request, server.addr())
    } else {
        let server = ctx.h2(h2::Server::start([h2::Script::reply("").repeat()]));
        ctx.wait("the answer has arrived", send(server.url(path))).await.expect_body("").await?;
        let request = server.requests().pop().ok_or_else(|| Stop::failed("there was no request"))?;
        (as_http1(&request), server.addr())
    };
    ensure_eq!(seen.field("host"), Some(authority.to_string()), "authority");
    seen.fields.retain(|(name, _)| !OF_CONNECTION.contains(&name.to_ascii_lowercase().as_str()));
    ensure_eq!((&*seen.method, &*seen.target), (expected.method, expected.target), "method and target");
    let names: BTreeSet<_> = seen.names().into_iter().collect();
    let fields: BTreeSet<_> = names.iter().map(|name| format!("{name}: {}", seen.field(name).unwrap_or_default())).collect();
    let wanted: BTreeSet<_> = ["accept: a/b"].iter().chain(expected.fields).map(|&field| field.to_owned()).collect();
    ensure_eq!(fields, wanted, "fields, as a set");
    ensure_eq!(seen.body.escape_ascii().to_string(), expected.body.escape_ascii().to_string(), "body");
    Ok(())
}

/// A request of HTTP/2 in the words of HTTP/1.1.
fn as_http1(request: &h2::Request) -> ReceivedRequest {
    let pseudo = |name: &str| request.field(name).unwrap_or_default();
    let mut received = ReceivedRequest::of_http2(pseudo(":method"), request.path());
    let is_regular = |field: &&(String, Vec<u8>)| !field.0.starts_with(':') && field.0 != "cookie";
    received.fields.push(("host".to_owned(), pseudo(":authority").into_bytes()));
    received.fields.extend(request.fields.iter().filter(is_regular).cloned());
    // Cookies may come in pieces.
    received
        .fields
        .extend(request.field("cookie").map(|cookie| ("cookie".to_owned(), cookie.into_bytes())));
    received.body.clone_from(&request.body);
    received
}
