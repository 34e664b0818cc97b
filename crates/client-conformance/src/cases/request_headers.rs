//! The fields of a request (RFC 9110 §5, RFC 9112 §5): what the user set, as it was set, and nothing else.

use client_core::{Body, ErrorKind, HeaderValue, Method};

use super::peer::Peer;
use super::probe::OK;
use crate::case::{Outcome, Stop, ensure, ensure_eq};
use crate::ctx::{Ctx, Expect};
use crate::servers::{ReceivedRequest, Script, h2};

cases! {
    request_headers(ctx): "The fields of a request";

    get_sends_host_only [Http1] "DESIGN: nothing that was not asked for", "A bare GET has one field: Host" =>
        exactly(ctx, Method::GET, "", &["host"]);
    head_sends_host_only [Http1] "DESIGN: nothing that was not asked for", "A bare HEAD has one field: Host" =>
        exactly(ctx, Method::HEAD, "", &["host"]);
    delete_without_body [Http1] "RFC 9110 §8.6; Ktor KTOR-9588", "A DELETE without a body announces none" =>
        exactly(ctx, Method::DELETE, "", &["host"]);
    options_without_body [Http1] "RFC 9110 §8.6", "An OPTIONS without a body announces none" =>
        exactly(ctx, Method::OPTIONS, "", &["host"]);
    post_without_body [Http1] "RFC 9110 §8.6; Ktor KTOR-556", "A POST without a body says Content-Length: 0" =>
        exactly(ctx, Method::POST, "", &["content-length", "host"]);
    put_without_body [Http1] "RFC 9110 §8.6", "A PUT without a body says Content-Length: 0" =>
        exactly(ctx, Method::PUT, "", &["content-length", "host"]);
    post_with_body [Http1] "RFC 9112 §6.2", "A POST with a body has Host and Content-Length, and no Content-Type of ours" =>
        exactly(ctx, Method::POST, "hello", &["content-length", "host"]);
    delete_with_body [Http1] "RFC 9112 §6.3; Ktor KTOR-8924", "A DELETE with a body has one framing field, not two" =>
        exactly(ctx, Method::DELETE, "hello", &["content-length", "host"]);
    streamed_body [Http1, StreamingUpload] "RFC 9112 §6.1", "A body of unknown length is chunked, and has no Content-Length" =>
        streamed(ctx);

    nothing_added [Http1, ExactHeaders] "DESIGN: nothing that was not asked for", "An engine that promises it adds nothing, or says what it adds" =>
        nothing_added(ctx);
    http2_exactly [Http2] "DESIGN: nothing that was not asked for", "A bare GET over HTTP/2 has the pseudo-header fields and no other" => over_http2(ctx);
    added_by_user [Http1] "RFC 9110 §12.5, §10.1.5", "What libraries like to add is sent once if the user sets it: his" => added_by_user(ctx);

    host_has_port [Http1] "RFC 9110 §7.2; Ktor #1295", "Host names the port, where it is not the default" => host(ctx);
    host_of_user [Http1] "RFC 9110 §7.2; Ktor KTOR-379, KTOR-7416", "A Host of the user's replaces ours" => host_of_user(ctx);
    two_hosts [Http1] "RFC 9112 §3.2", "Two Host fields are refused" => two_hosts(ctx);
    values_as_set [Http1] "RFC 9110 §5.5", "Values arrive as they were set" => value(ctx, b"a b\t\"c\"; d=e,f");
    empty_value [Http1] "RFC 9110 §5.5", "A value may be empty" => value(ctx, b"");
    obs_text [Http1] "RFC 9110 §5.5", "Bytes beyond ASCII arrive as they were set" => value(ctx, b"caf\xc3\xa9 \xe9\xff");
    long_value [Http1] "RFC 9110 §5.4; Ktor: longHeadersTest", "A value of 16 KiB arrives whole" => value(ctx, &[b'x'; 16 << 10]);
    repeated [Http1] "RFC 9110 §5.3", "Repeated fields keep their order" => repeated(ctx);
    many [Http1] "RFC 9110 §5.4", "A hundred fields arrive" => many(ctx);
    names_of_any_case [Http1] "RFC 9110 §5.1", "A field is found whatever the case of its name" => names(ctx);
    connection_close [Http1] "RFC 9112 §9.6", "Connection: close of the user's is sent, and the connection is not used again" =>
        connection_close(ctx);
    credentials [Http1] "RFC 7617 §2", "Userinfo in a URL becomes Basic credentials, and is not in the target" =>
        credentials(ctx);
    accept_encoding [Http1] "DESIGN: nothing that was not asked for", "Accept-Encoding is sent only if the user sets it" =>
        accept_encoding(ctx);
    expect_only_if_asked [Http1] "RFC 9110 §10.1.1", "A large body does not bring Expect unless it was asked for" =>
        no_expect(ctx);

    injection_in_value [Http1] "RUSTSEC-2017-0002, CVE-2020-26137", "Line breaks in a value are refused, and nothing is sent" =>
        injection(ctx, "x-a", "1\r\nX-Injected: 1");
    injection_of_lf [Http1] "RFC 9110 §5.5", "A line feed in a value is refused" => injection(ctx, "x-a", "1\nX-Injected: 1");
    injection_of_nul [Http1] "RFC 9110 §5.5", "A NUL in a value is refused" => injection(ctx, "x-a", "1\u{0}2");
    injection_in_name [Http1] "RFC 9110 §5.1", "A name that is no token is refused" =>
        injection(ctx, "x-a: 1\r\nX-Injected", "1");
    space_in_name [Http1] "RFC 9112 §5.1", "A name with a space is refused" => injection(ctx, "x a", "1");
    empty_name [Http1] "RFC 9110 §5.1", "An empty name is refused" => injection(ctx, "", "1");
    transfer_encoding_of_user [Http1] "RFC 9112 §6.1: request smuggling", "Transfer-Encoding of the user's is refused" =>
        injection(ctx, "transfer-encoding", "chunked");
    content_length_of_user [Http1] "CVE-2026-1525", "A Content-Length of the user's that is wrong is refused" =>
        injection(ctx, "content-length", "7");
}

/// Sends a request and returns it as the server saw it.
async fn seen(ctx: &Ctx, method: Method, fields: &[(&str, HeaderValue)], body: &'static str) -> Result<ReceivedRequest, Stop> {
    // An answer to HEAD has no body; an answer to anything else has.
    let reply = if method == Method::HEAD {
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n"
    } else {
        OK
    };
    let expected = if method == Method::HEAD { "" } else { "ok" };
    let server = ctx.raw(Script::reply(reply));
    let request = ctx.client()?.request(method, server.url("/x")).body(body);
    let request = fields.iter().fold(request, |request, (name, value)| request.header(*name, value.clone()));
    ctx.wait("the answer has arrived", request.send()).await.expect_body(expected).await?;
    let mut requests = server.requests();
    ensure_eq!(requests.len(), 1, "number of requests");
    Ok(requests.remove(0))
}

async fn exactly(ctx: Ctx, method: Method, body: &'static str, names: &[&str]) -> Outcome {
    let request = seen(&ctx, method, &[], body).await?;
    ensure_eq!(ctx.names(&request.fields), names, "the names of all fields");
    ensure_eq!(request.body, body.as_bytes(), "body");
    Ok(())
}

/// The one case that allows no additions; its other side is in `refusal.rs`.
async fn nothing_added(ctx: Ctx) -> Outcome {
    ensure_eq!(ctx.subject().additions(), [], "additions of an engine that promises to make none");
    for method in [Method::GET, Method::DELETE] {
        ensure_eq!(seen(&ctx, method, &[], "").await?.names(), ["host"], "the names of all fields");
    }
    Ok(())
}

async fn over_http2(ctx: Ctx) -> Outcome {
    let peer = Peer::start(&ctx, [h2::Script::reply("ok")])?;
    peer.answers(peer.get("/"), "ok").await?;
    let names = ctx.names(&peer.server.requests()[0].fields);
    ensure_eq!(names, [":authority", ":method", ":path", ":scheme"], "the names of all fields");
    Ok(())
}

async fn added_by_user(ctx: Ctx) -> Outcome {
    let usual = ["accept", "accept-encoding", "accept-language", "user-agent"];
    let names = || usual.iter().copied().chain(ctx.subject().additions().iter().map(|(name, _)| *name));
    let fields: Vec<_> = names().map(|name| (name, HeaderValue::from_static("mine/1"))).collect();
    let request = seen(&ctx, Method::GET, &fields[..usual.len()], "").await?;
    for name in usual {
        ensure_eq!(request.values(name), [b"mine/1"], "every {name}");
    }
    Ok(())
}

async fn streamed(ctx: Ctx) -> Outcome {
    let server = ctx.raw(Script::reply(OK));
    let chunks = futures_util::stream::iter([Ok::<_, std::io::Error>("hel"), Ok("lo")]);
    let request = ctx.client()?.post(server.url("/")).body(Body::stream(chunks));
    ctx.wait("the answer has arrived", request.send()).await.expect_body("ok").await?;
    let request = &server.requests()[0];
    ensure_eq!(ctx.names(&request.fields), ["host", "transfer-encoding"], "the names of all fields");
    ensure_eq!(request.body, b"hello", "body");
    Ok(())
}

async fn host(ctx: Ctx) -> Outcome {
    let server = ctx.raw(Script::reply(OK));
    ctx.wait("the answer has arrived", ctx.client()?.get(server.url("/")).send())
        .await
        .expect_body("ok")
        .await?;
    ensure_eq!(server.requests()[0].field("host"), Some(server.addr().to_string()), "Host");
    Ok(())
}

async fn host_of_user(ctx: Ctx) -> Outcome {
    let request = seen(&ctx, Method::GET, &[("host", HeaderValue::from_static("virtual.example"))], "").await?;
    ensure_eq!(request.values("host"), [b"virtual.example"], "every Host");
    Ok(())
}

async fn two_hosts(ctx: Ctx) -> Outcome {
    let server = ctx.raw(Script::reply(OK));
    let request = ctx.client()?.get(server.url("/")).header("host", "a.example").header("host", "b.example");
    let sent = ctx.wait("it is refused", request.send()).await;
    ensure_eq!(sent.map(drop).map_err(|error| error.kind()), Err(ErrorKind::InvalidRequest), "outcome");
    Ok(())
}

async fn value(ctx: Ctx, value: &[u8]) -> Outcome {
    let set = HeaderValue::from_bytes(value).map_err(|error| Stop::failed(error.to_string()))?;
    let request = seen(&ctx, Method::GET, &[("x-value", set)], "").await?;
    ensure_eq!(request.values("x-value"), [value], "X-Value");
    Ok(())
}

async fn repeated(ctx: Ctx) -> Outcome {
    let fields = ["1", "3", "2", "1"].map(|value| ("x-repeated", HeaderValue::from_static(value)));
    let request = seen(&ctx, Method::GET, &fields, "").await?;
    // One line each, or one for all: the same to every recipient (RFC 9110 §5.3).
    ensure_eq!(request.field("x-repeated").as_deref(), Some("1, 3, 2, 1"), "X-Repeated");
    Ok(())
}

async fn many(ctx: Ctx) -> Outcome {
    let names: Vec<String> = (0..100).map(|index| format!("x-{index:03}")).collect();
    let fields: Vec<_> = names.iter().map(|name| (name.as_str(), HeaderValue::from_static("1"))).collect();
    let request = seen(&ctx, Method::GET, &fields, "").await?;
    let arrived: Vec<_> = request.names().into_iter().filter(|name| name.starts_with("x-")).collect();
    ensure_eq!(arrived, names, "fields");
    Ok(())
}

async fn names(ctx: Ctx) -> Outcome {
    let request = seen(&ctx, Method::GET, &[("X-MiXeD", HeaderValue::from_static("1"))], "").await?;
    ensure_eq!(request.values("x-mixed"), [b"1"], "X-Mixed");
    Ok(())
}

async fn connection_close(ctx: Ctx) -> Outcome {
    // A server that does not do as it is told.
    let server = ctx.raws([
        Script::reply(OK).request().send(super::probe::SAME),
        Script::reply(super::probe::FRESH),
    ]);
    let request = ctx.client()?.get(server.url("/")).header("connection", "close");
    ctx.wait("the answer has arrived", request.send()).await.expect_body("ok").await?;
    let said = server.requests()[0].field("connection").unwrap_or_default();
    ensure!(said.eq_ignore_ascii_case("close"), "Connection: {said:?}");
    ensure_eq!(super::probe::next(&ctx, &server).await?, "fresh", "the connection of the next exchange");
    Ok(())
}

async fn credentials(ctx: Ctx) -> Outcome {
    let server = ctx.raw(Script::reply(OK));
    let url = server.url("/x").replace("http://", "http://user:p%40ss@");
    ctx.wait("the answer has arrived", ctx.client()?.get(url).send()).await.expect_body("ok").await?;
    let request = &server.requests()[0];
    ensure_eq!(request.target, "/x", "target");
    ensure_eq!(request.field("authorization").as_deref(), Some("Basic dXNlcjpwQHNz"), "Authorization");
    ensure_eq!(request.field("host"), Some(server.addr().to_string()), "Host");
    Ok(())
}

async fn accept_encoding(ctx: Ctx) -> Outcome {
    let bare = seen(&ctx, Method::GET, &[], "").await?;
    ensure_eq!(bare.field("accept-encoding"), None, "Accept-Encoding");
    let set = seen(&ctx, Method::GET, &[("accept-encoding", HeaderValue::from_static("br"))], "").await?;
    ensure_eq!(set.field("accept-encoding").as_deref(), Some("br"), "Accept-Encoding");
    Ok(())
}

async fn no_expect(ctx: Ctx) -> Outcome {
    let server = ctx.raw(Script::reply(OK));
    let request = ctx.client()?.post(server.url("/")).body(vec![b'x'; 2 << 20]);
    ctx.wait("the answer has arrived", request.send()).await.expect_body("ok").await?;
    ensure_eq!(server.requests()[0].field("expect"), None, "Expect");
    Ok(())
}

async fn injection(ctx: Ctx, name: &'static str, value: &'static str) -> Outcome {
    let server = ctx.raw(Script::reply(OK));
    let request = ctx.client()?.get(server.url("/")).header(name, value);
    let sent = ctx.wait("it is refused", request.send()).await;
    ensure_eq!(sent.map(drop).map_err(|error| error.kind()), Err(ErrorKind::InvalidRequest), "outcome");
    Ok(())
}
