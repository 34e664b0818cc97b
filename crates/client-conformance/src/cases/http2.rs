//! HTTP/2: what a request is on the wire, and what a response is made of (RFC 9113 §3, §8). On all of these servers the client is held to
//! the rules of RFC 9113: pseudo-header fields, lower case, windows, states of streams.
//!
//! Longer than most because the table of its cases is a third of it, and a topic is one file.

use std::sync::{Arc, Mutex, PoisonError};

use client_core::header::{CONNECTION, TE};
use client_core::{
    Body, Capability, ErrorKind, Event, HeaderMap, HeaderName, HeaderValue, Method, Redirect, RequestTarget, Sent, Version,
};
use futures_util::{AsyncReadExt, AsyncWriteExt, stream};

use super::peer::{Peer, accepts};
use crate::case::{Outcome, Stop, ensure, ensure_eq};
use crate::ctx::Ctx;
use crate::servers::h2::{Frame, Request, Script, flag, incremental, indexed, kind, setting, table_size};
use crate::servers::{Certificate, Script as RawScript, Tls, pattern};

const OK: (&str, &str) = (":status", "200");

cases! {
    http2(ctx): "HTTP/2: requests and responses";

    version [Http2] "RFC 9113 §3", "A response by HTTP/2 says so" => version(ctx);
    over_tls [Http2, Tls, CustomRoots] "RFC 9113 §3.2", "Over TLS, HTTP/2 is agreed upon by ALPN" => over_tls(ctx);
    either_by_alpn [Http2, Tls, CustomRoots] "RFC 7301 §3.2", "A server that offers both versions is understood in the one that was chosen" => either(ctx);
    version_is_kept_apart [Http1, Http2PriorKnowledge] "DESIGN: the version is part of the pool's key", "A connection of another version does not serve" => apart(ctx);
    http1_by_alpn [Http2, Tls, CustomRoots] "RFC 9113 §3.2", "A server that chooses HTTP/1.1 by ALPN: HTTP/2 is an error, not a fallback" => not_by_alpn(ctx, &["http/1.1"]);
    nothing_by_alpn [Http2, Tls, CustomRoots] "RFC 9113 §3.2", "A server without ALPN: HTTP/2 is an error, not a fallback" => not_by_alpn(ctx, &[]);
    http1_answers [Http2PriorKnowledge] "RFC 9113 §3.4", "A server that answers the preface by HTTP/1.1 is an error at once, that says so" => http1_answers(ctx);
    closed_at_preface [Http2PriorKnowledge] "RFC 9113 §3.4", "A server that closes at the preface is an error at once" => closed_at_preface(ctx);

    no_push [Http2] "RFC 9113 §6.5.2", "Push is switched off in the first SETTINGS" => no_push(ctx);
    settings_acknowledged [Http2] "RFC 9113 §6.5.3", "SETTINGS are acknowledged" => acknowledged(ctx);
    ping_answered [Http2] "RFC 9113 §6.7", "A PING is answered with its own content" => ping(ctx);
    unknown_settings [Http2] "RFC 9113 §6.5.2: MUST ignore", "Unknown settings are ignored" =>
        accepts(ctx, Script::new().settings(&[(0xabcd, 7), (0x8, 1)]).request().answer("ok"), "ok");
    unknown_frames [Http2] "RFC 9113 §5.5: MUST ignore", "Unknown types of frames are ignored" => unknown_frames(ctx);
    unknown_flags [Http2] "RFC 9113 §4.1: MUST ignore", "Flags without a meaning are ignored" => unknown_flags(ctx);
    priority_frames [Http2] "RFC 9113 §5.3.2", "PRIORITY frames and fields are ignored" => priority(ctx);
    bytewise [Http2] "RFC 9113 §4.1", "Frames may arrive byte by byte" => bytewise(ctx);

    pseudo_headers [Http2] "RFC 9113 §8.3.1", "Method, scheme, authority and path are as in the URL" => pseudo(ctx, "/a/b?c=d&e", "/a/b?c=d&e");
    root_path [Http2] "RFC 9113 §8.3.1", "A URL without a path asks for /" => pseudo(ctx, "", "/");
    query_without_path [Http2] "RFC 9113 §8.3.1", "A URL with a query but no path asks for /?" => pseudo(ctx, "?a", "/?a");
    asterisk [Http2, AsteriskForm] "RFC 9113 §8.3.1", "OPTIONS * has the path *" => asterisk(ctx);
    any_method [Http2] "RFC 9110 §9.1", "A method of the user's own is sent as it is" => method(ctx);
    lower_case [Http2] "RFC 9113 §8.2: MUST", "Names are sent in lower case" => sends(ctx, &[("X-Custom-Name", "Value")], "x-custom-name", Some("Value"));
    empty_value [Http2] "RFC 9110 §5.5", "An empty value is sent" => sends(ctx, &[("x-empty", "")], "x-empty", Some(""));
    repeated [Http2] "RFC 9110 §5.3", "Repeated fields keep their order" => sends(ctx, &[("x-list", "a"), ("x-list", "b"), ("x-list", "c")], "x-list", Some("a, b, c"));
    non_ascii [Http2] "RFC 9110 §5.5", "obs-text is sent as it is" => sends(ctx, &[("x-text", "é")], "x-text", Some("é"));
    no_connection_field [Http2] "RFC 9113 §8.2.2: MUST NOT", "Connection is never sent" => forbidden(ctx, CONNECTION, "close");
    no_keep_alive_field [Http2] "RFC 9113 §8.2.2: MUST NOT", "Keep-Alive is never sent" => forbidden(ctx, HeaderName::from_static("keep-alive"), "timeout=5");
    no_proxy_connection_field [Http2] "RFC 9113 §8.2.2: MUST NOT", "Proxy-Connection is never sent" =>
        forbidden(ctx, HeaderName::from_static("proxy-connection"), "keep-alive");
    no_te_but_trailers [Http2] "RFC 9113 §8.2.2: MUST NOT", "TE other than trailers is never sent" => forbidden(ctx, TE, "gzip");
    te_trailers [Http2] "RFC 9113 §8.2.2", "TE: trailers may be sent" => sends(ctx, &[("te", "trailers")], "te", Some("trailers"));
    no_upgrade [Http2, Upgrade] "RFC 9113 §8.6", "An upgrade by HTTP/2 is refused" => upgrade(ctx);
    host_is_authority [Http2] "RFC 9113 §8.3.1",
        "A Host of the user's is the :authority; where fields are not sent exactly as set, it may be refused" => host(ctx, "other.test:81");
    no_userinfo [Http2] "RFC 9113 §8.3.1: MUST NOT", "Userinfo of the URL is not in :authority" => userinfo(ctx);
    cookies [Http2] "RFC 9113 §8.2.3", "Cookies arrive, in one field or in several" =>
        sends(ctx, &[("cookie", "a=1; b=2"), ("cookie", "c=3")], "cookie", Some("a=1; b=2; c=3"));
    large_head [Http2] "RFC 9113 §6.10", "A head larger than a frame arrives whole" => large_head(ctx);
    many_fields [Http2] "RFC 7541 §4.4", "Fields that outgrow the dynamic table arrive, call after call" => many_fields(ctx);

    get_has_no_body [Http2] "RFC 9113 §8.1", "A GET ends with its head, and has no Content-Length" => no_body(ctx);
    post_has_length [Http2] "RFC 9110 §8.6", "A body in memory has its Content-Length" => post(ctx, 5);
    post_large [Http2] "RFC 9113 §6.9", "A body of a mebibyte arrives whole" => post(ctx, (1 << 20) + 1);
    post_window_edge [Http2] "RFC 9113 §6.9.2", "A body of exactly the initial window arrives whole" => post(ctx, 65_535);
    post_empty [Http2] "RFC 9113 §8.1", "An empty POST ends" => post(ctx, 0);
    post_stream [Http2, StreamingUpload] "RFC 9113 §8.1", "A streamed body arrives, and ends" => streamed(ctx);
    request_trailers [Http2, RequestTrailers, Http2RequestTrailers] "RFC 9113 §8.1", "Trailers of a request end its stream" => request_trailers(ctx);

    continuation [Http2] "RFC 9113 §6.10", "A head may come in any number of frames" => continuation(ctx);
    empty_continuation [Http2] "RFC 9113 §6.10", "A CONTINUATION may be empty" => empty_continuation(ctx);
    padding [Http2] "RFC 9113 §6.1, §6.2", "Padding is no content" => accepts(ctx,
        Script::new().request().send(Frame::headers(&[OK]).padded(7)).send(Frame::data("hel").padded(255)).send(Frame::data("lo").padded(0).end_stream()), "hello");
    only_padding [Http2] "RFC 9113 §6.1", "A frame of nothing but padding is no content" => accepts(ctx,
        Script::new().request().headers(&[OK]).send(Frame::data("").padded(100)).send(Frame::data("ok").end_stream()), "ok");
    many_pieces [Http2] "RFC 9113 §6.1", "A body may come in any number of frames" => pieces(ctx);
    empty_last_frame [Http2] "RFC 9113 §8.1", "A body may end with an empty frame" => accepts(ctx,
        Script::new().request().headers(&[OK, ("content-length", "2")]).data("ok").last_data(""), "ok");
    ends_with_head [Http2] "RFC 9113 §8.1", "A response may end with its head" => accepts(ctx, Script::new().request().send(Frame::headers(&[OK]).end_stream()), "");
    without_length [Http2] "RFC 9113 §8.1.1", "A body needs no Content-Length" => accepts(ctx, Script::new().request().headers(&[OK]).last_data("hello"), "hello");
    large_body [Http2] "RFC 9113 §6.9", "A body larger than any window arrives whole" => large_body(ctx);
    head_with_length [Http2] "RFC 9113 §8.1.1", "A response to HEAD has no body, whatever its Content-Length" => bodiless(ctx, Method::HEAD, "200");
    not_modified_with_length [Http2] "RFC 9113 §8.1.1", "304 has no body; its Content-Length is that of another response" => bodiless(ctx, Method::GET, "304");
    no_content [Http2] "RFC 9110 §15.3.5", "204 ends with its head" => no_content(ctx);
    informational [Http2] "RFC 9113 §8.1; RFC 8297", "Informational responses come first, and are events" => informational(ctx);
    response_trailers [Http2, ResponseTrailers] "RFC 9113 §8.1", "Trailers end a response" => trailers(ctx, "hello");
    trailers_only [Http2, ResponseTrailers] "RFC 9113 §8.1", "Trailers may follow a head without content" => trailers(ctx, "");
    repeated_response_field [Http2] "RFC 9110 §5.3", "Repeated fields of a response keep their order" => repeated_response(ctx);
    hpack_dynamic [Http2] "RFC 7541 §2.3.2", "Fields of the dynamic table are understood, call after call" => dynamic_table(ctx);
    hpack_huffman [Http2] "RFC 7541 appendix C.6", "The responses of RFC 7541 are understood" => huffman(ctx);
    tunnel [Http2, Tunnel] "RFC 9113 §8.5", "CONNECT has an authority only, and its stream is the tunnel" => tunnel(ctx);
    tunnel_refused [Http2, Tunnel] "RFC 9113 §8.5", "A CONNECT that is refused is a response like any other" => tunnel_refused(ctx);
}

async fn version(ctx: Ctx) -> Outcome {
    by_http2(&Peer::start(&ctx, [Script::reply("ok")])?).await
}

async fn over_tls(ctx: Ctx) -> Outcome {
    let peer = Peer::start_tls(&ctx, [Script::reply("ok")])?;
    by_http2(&peer).await?;
    ensure_eq!(peer.server.requests()[0].field(":scheme").as_deref(), Some("https"), ":scheme");
    Ok(())
}

async fn by_http2(peer: &Peer) -> Outcome {
    let response = peer.head(peer.get("/")).await?;
    ensure_eq!(response.version(), Version::HTTP_2, "version");
    ensure_eq!(peer.ctx.wait("the body has arrived", response.bytes()).await?, "ok", "body");
    Ok(())
}

async fn either(ctx: Ctx) -> Outcome {
    let app = ctx.app_tls(&Tls::new(Certificate::Good).alpn(&["h2", "http/1.1"]));
    let client = ctx.client_with(&ctx.trusting())?;
    let response = ctx.wait("the head has arrived", client.get(app.url("/inspect")).send()).await?;
    let told = response.version();
    let text = ctx.wait("the body has arrived", response.text()).await?;
    ensure!(
        text.lines().next().is_some_and(|line| line.ends_with(&format!("{told:?}"))),
        "the client says {told:?}, the server {text:?}"
    );
    let asked = ctx.wait("the head has arrived", client.get(app.url("/")).version(Version::HTTP_2).send()).await?;
    ensure_eq!(asked.version(), Version::HTTP_2, "version when it is asked for");
    Ok(())
}

async fn apart(ctx: Ctx) -> Outcome {
    let app = ctx.app();
    for version in [Version::HTTP_11, Version::HTTP_2, Version::HTTP_11, Version::HTTP_2] {
        let call = ctx.client()?.get(app.url("/")).version(version).send();
        let response = ctx.wait("the head has arrived", call).await?;
        ensure_eq!(response.version(), version, "version");
        ensure_eq!(ctx.wait("the body has arrived", response.bytes()).await?, "hello", "body");
    }
    Ok(())
}

async fn not_by_alpn(ctx: Ctx, offered: &'static [&'static str]) -> Outcome {
    let reply = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    let server = ctx.raw_tls(&Tls::new(Certificate::Good).alpn(offered), RawScript::reply(reply).repeat());
    let call = ctx.client_with(&ctx.trusting())?.get(server.url("/")).version(Version::HTTP_2).send();
    match ctx.wait("the call is over", call).await {
        Ok(response) => return Err(Stop::failed(format!("it is answered, by {:?}", response.version()))),
        // Where the client offers h2 alone, the handshake itself fails (RFC 7301 §3.2): that is no matter of TLS either.
        Err(error) => {
            ensure_eq!(error.kind(), ErrorKind::Protocol, "kind of {error:?}");
            ensure!(error.to_string().contains("HTTP/2"), "the error does not say what was expected: {error}");
        }
    }
    ensure_eq!(server.requests().len(), 0, "requests by HTTP/1.1");
    Ok(())
}

async fn http1_answers(ctx: Ctx) -> Outcome {
    let reply = "HTTP/1.1 400 Bad Request\r\nContent-Length: 3\r\n\r\nbad";
    let server = ctx.raw(RawScript::new().received("SM\r\n\r\n").send(reply));
    let call = ctx.client()?.get(server.url("/")).version(Version::HTTP_2).send();
    let error = match ctx.wait("the call is over", call).await {
        Ok(response) => return Err(Stop::failed(format!("it is answered, by {:?}", response.version()))),
        Err(error) => error,
    };
    ensure_eq!(error.kind(), ErrorKind::Protocol, "kind of {error:?}");
    ensure!(error.to_string().contains("HTTP/2"), "the error does not say what was expected: {error}");
    Ok(())
}

async fn closed_at_preface(ctx: Ctx) -> Outcome {
    let server = ctx.raw(RawScript::new().received("SM\r\n\r\n").close());
    let call = ctx.client()?.get(server.url("/")).version(Version::HTTP_2).send();
    let kind = ctx.wait("the call is over", call).await.map(drop).map_err(|error| error.kind());
    ensure!(matches!(kind, Err(ErrorKind::Protocol | ErrorKind::Closed)), "outcome {kind:?}");
    Ok(())
}

async fn no_push(ctx: Ctx) -> Outcome {
    let peer = Peer::start(&ctx, [Script::reply("ok")])?;
    peer.brings("/", "ok").await?;
    let frames = peer.connection().frames();
    let push = frames[0].payload.chunks_exact(6).find(|pair| pair[..2] == setting::ENABLE_PUSH.to_be_bytes());
    ensure_eq!(push.map(|pair| &pair[2..]), Some(&[0, 0, 0, 0][..]), "ENABLE_PUSH");
    Ok(())
}

async fn acknowledged(ctx: Ctx) -> Outcome {
    let peer = Peer::start(
        &ctx,
        [Script::new()
            .acknowledged()
            .request()
            .answer("first")
            .send(Frame::settings(&[(setting::MAX_CONCURRENT_STREAMS, 50)]))
            .acknowledged()
            .request()
            .answer("second")],
    )?;
    peer.brings("/", "first").await?;
    peer.brings("/", "second").await
}

async fn ping(ctx: Ctx) -> Outcome {
    let peer = Peer::start(&ctx, [Script::new().request().send(Frame::ping()).answer("ok")])?;
    peer.brings("/", "ok").await?;
    let is_answer =
        |frame: &crate::servers::h2::Received| frame.kind == kind::PING && frame.has(flag::ACK) && *frame.payload == *b"how fast";
    let answered = peer.connection();
    ctx.wait("the PING is answered", answered.until_frames(|frames| frames.iter().any(is_answer))).await;
    Ok(())
}

async fn unknown_frames(ctx: Ctx) -> Outcome {
    let unknown = || Frame::new(0xfa, 0xff, "?".repeat(100));
    let script = Script::new()
        .send(unknown().on_connection())
        .request()
        .send(unknown())
        .headers(&[OK])
        .send(unknown());
    accepts(ctx, script.data("ok").send(unknown().on_connection()).last_data(""), "ok").await
}

async fn unknown_flags(ctx: Ctx) -> Outcome {
    let script = Script::new()
        .request()
        .send(Frame::headers(&[OK]).flags(0xd2))
        .send(Frame::data("ok").end_stream().flags(0xf6));
    accepts(ctx, script, "ok").await
}

async fn priority(ctx: Ctx) -> Outcome {
    // Five bytes of priority, then `:status: 200`.
    let head = Frame::block([0, 0, 0, 0, 15, 0x88]).flags(flag::PRIORITY);
    let script = Script::new().request().send(Frame::new(kind::PRIORITY, 0, [0, 0, 0, 0, 7])).send(head);
    accepts(ctx, script.send(Frame::new(kind::PRIORITY, 0, [0, 0, 0, 0, 9]).on_stream(11)).last_data("ok"), "ok").await
}

async fn bytewise(ctx: Ctx) -> Outcome {
    let frames = vec![
        Frame::ping(),
        Frame::headers(&[OK, ("x-a", "b")]),
        Frame::data("hel"),
        Frame::data("lo").end_stream(),
    ];
    accepts(ctx, Script::new().request().trickle(frames), "hello").await
}

async fn pseudo(ctx: Ctx, path: &'static str, expected: &'static str) -> Outcome {
    let peer = Peer::start(&ctx, [Script::reply("ok")])?;
    peer.brings(path, "ok").await?;
    let request = &peer.server.requests()[0];
    let url = peer.server.url("");
    let (scheme, authority) = url.split_once("://").unwrap_or_default();
    ensure_eq!(request.field(":method").as_deref(), Some("GET"), ":method");
    ensure_eq!(request.field(":scheme").as_deref(), Some(scheme), ":scheme");
    ensure_eq!(request.field(":authority").as_deref(), Some(authority), ":authority");
    ensure_eq!(request.path(), expected, ":path");
    Ok(())
}

async fn asterisk(ctx: Ctx) -> Outcome {
    let peer = Peer::start(&ctx, [Script::reply("ok")])?;
    peer.answers(peer.request(Method::OPTIONS, "/").target(RequestTarget::Asterisk), "ok").await?;
    ensure_eq!(peer.server.requests()[0].path(), "*", ":path");
    Ok(())
}

async fn method(ctx: Ctx) -> Outcome {
    let peer = Peer::start(&ctx, [Script::reply("ok")])?;
    let purge = Method::from_bytes(b"Purge").expect("a token");
    peer.answers(peer.request(purge, "/"), "ok").await?;
    ensure_eq!(peer.server.requests()[0].field(":method").as_deref(), Some("Purge"), ":method");
    Ok(())
}

/// One call with these fields, as the server saw it.
async fn with_fields(ctx: &Ctx, fields: &[(&str, &str)]) -> Result<Request, Stop> {
    let peer = Peer::start(ctx, [Script::reply("ok")])?;
    let request = fields.iter().fold(peer.get("/"), |request, (name, value)| request.header(*name, value.as_bytes()));
    peer.answers(request, "ok").await?;
    Ok(peer.server.requests().swap_remove(0))
}

async fn sends(
    ctx: Ctx,
    fields: &'static [(&'static str, &'static str)],
    name: &'static str,
    value: Option<&'static str>,
) -> Outcome {
    ensure_eq!(with_fields(&ctx, fields).await?.field(name).as_deref(), value, "{name}");
    Ok(())
}

async fn host(ctx: Ctx, value: &'static str) -> Outcome {
    let peer = Peer::start(&ctx, [Script::reply("ok")])?;
    match peer.whole(peer.get("/").header("host", value)).await {
        Ok(got) => {
            ensure_eq!(got.body, "ok", "body");
            let request = &peer.server.requests()[0];
            ensure_eq!(request.field(":authority").as_deref(), Some(value), ":authority");
        }
        Err(error) => {
            ensure!(
                !ctx.has(Capability::ExactHeaders)?,
                "it is refused, though fields are promised to be sent: {error:?}"
            );
            ensure_eq!(
                (error.kind(), error.sent()),
                (ErrorKind::InvalidRequest, Sent::Nothing),
                "kind and sent of {error:?}"
            );
            ensure_eq!(peer.server.requests().len(), 0, "requests");
        }
    }
    Ok(())
}

/// Either removed or refused; that it is not sent, the server sees to.
async fn forbidden(ctx: Ctx, name: HeaderName, value: &'static str) -> Outcome {
    let peer = Peer::start(&ctx, [Script::reply("ok")])?;
    match peer.whole(peer.get("/").header(&name, value)).await {
        Ok(got) => {
            ensure_eq!(got.body, "ok", "body");
            ensure_eq!(peer.server.requests()[0].field(name.as_str()), None, "{name}");
        }
        Err(error) => {
            ensure_eq!(error.kind(), ErrorKind::InvalidRequest, "kind of {error:?}");
            ensure_eq!(peer.server.requests().len(), 0, "requests");
        }
    }
    Ok(())
}

async fn upgrade(ctx: Ctx) -> Outcome {
    let peer = Peer::start(&ctx, [Script::reply("ok")])?;
    let request = peer.get("/").header("connection", "upgrade").header("upgrade", "echo");
    match peer.whole(request).await {
        Ok(got) => Err(Stop::failed(format!("it is answered, with {}", got.status))),
        Err(error) => {
            ensure!(
                matches!(error.kind(), ErrorKind::InvalidRequest | ErrorKind::Unsupported),
                "kind {:?}: {error:?}",
                error.kind()
            );
            ensure_eq!(peer.server.requests().len(), 0, "requests");
            Ok(())
        }
    }
}

async fn userinfo(ctx: Ctx) -> Outcome {
    let peer = Peer::start(&ctx, [Script::reply("ok")])?;
    let url = peer.server.url("/").replace("://", "://user:secret@");
    peer.answers(peer.client.get(url).version(Version::HTTP_2), "ok").await?;
    let authority = peer.server.requests()[0].field(":authority").unwrap_or_default();
    ensure!(peer.server.url("/").contains(&format!("//{authority}/")), ":authority is {authority:?}");
    Ok(())
}

async fn large_head(ctx: Ctx) -> Outcome {
    let peer = Peer::start(&ctx, [Script::reply("ok").repeat()])?;
    let (long, longer) = ("a".repeat(20_000), "0~".repeat(15_000));
    for _ in 0..2 {
        peer.answers(peer.get("/").header("x-long", &long).header("x-longer", &longer), "ok").await?;
    }
    for request in peer.server.requests() {
        ensure!(request.field("x-long").as_ref() == Some(&long), "x-long differs");
        ensure!(request.field("x-longer").as_ref() == Some(&longer), "x-longer differs");
    }
    Ok(())
}

async fn many_fields(ctx: Ctx) -> Outcome {
    let peer = Peer::start(&ctx, [Script::reply("ok").repeat()])?;
    for call in 0..5 {
        let request = (0..60).fold(peer.get("/"), |request, field| {
            request.header(format!("x-{}", field + call * 20), "v".repeat(field))
        });
        peer.answers(request, "ok").await?;
    }
    for (call, request) in peer.server.requests().iter().enumerate() {
        for field in 0..60 {
            ensure_eq!(
                request.field(&format!("x-{}", field + call * 20)),
                Some("v".repeat(field)),
                "field {field} of call {call}"
            );
        }
    }
    Ok(())
}

async fn no_body(ctx: Ctx) -> Outcome {
    let request = with_fields(&ctx, &[]).await?;
    ensure_eq!(request.field("content-length"), None, "content-length");
    ensure_eq!(request.body, b"", "body");
    Ok(())
}

async fn post(ctx: Ctx, size: usize) -> Outcome {
    let peer = Peer::start(&ctx, [Script::reply("ok")])?;
    peer.answers(peer.post("/").body(pattern(size)), "ok").await?;
    let request = &peer.server.requests()[0];
    ensure_eq!(request.body.len(), size, "length of the body");
    ensure!(request.body == pattern(size), "the body differs");
    if size > 0 {
        ensure_eq!(request.field("content-length"), Some(size.to_string()), "content-length");
    }
    Ok(())
}

async fn streamed(ctx: Ctx) -> Outcome {
    let peer = Peer::start(&ctx, [Script::reply("ok")])?;
    let pieces = stream::iter((0..300).map(|piece| Ok::<_, std::io::Error>(pattern(piece))));
    peer.answers(peer.post("/").body(Body::stream(pieces)), "ok").await?;
    let expected: Vec<u8> = (0..300).flat_map(pattern).collect();
    let request = &peer.server.requests()[0];
    ensure!(request.body == expected, "the body differs: {} bytes of {}", request.body.len(), expected.len());
    ensure_eq!(request.field("content-length"), None, "content-length");
    Ok(())
}

async fn request_trailers(ctx: Ctx) -> Outcome {
    let peer = Peer::start(&ctx, [Script::reply("ok")])?;
    let mut trailers = HeaderMap::new();
    trailers.insert("x-checksum", HeaderValue::from_static("5d41402a"));
    peer.answers(peer.post("/").body(Body::from("hello").with_trailers(trailers)), "ok").await?;
    let request = &peer.server.requests()[0];
    ensure_eq!(request.body, b"hello", "body");
    ensure_eq!(request.trailers, [("x-checksum".to_owned(), b"5d41402a".to_vec())], "trailers");
    Ok(())
}

async fn continuation(ctx: Ctx) -> Outcome {
    let rest = |name| Frame::continuation(&[(name, "1")]);
    let frames = vec![
        Frame::headers(&[OK]).to_be_continued(),
        rest("x-a").to_be_continued(),
        rest("x-b").to_be_continued(),
        rest("x-c"),
    ];
    let peer = Peer::after(&ctx, Script::new().request().sends(frames).last_data("ok"))?;
    let got = peer.whole(peer.get("/first")).await?;
    let names: Vec<_> = got.headers.keys().map(HeaderName::as_str).collect();
    ensure_eq!(names, ["x-a", "x-b", "x-c"], "names of the fields");
    peer.next_is_same().await
}

async fn empty_continuation(ctx: Ctx) -> Outcome {
    let frames = vec![
        Frame::headers(&[OK]).to_be_continued(),
        Frame::continuation(&[]).to_be_continued(),
        Frame::continuation(&[]),
    ];
    accepts(ctx, Script::new().request().sends(frames).last_data("ok"), "ok").await
}

async fn pieces(ctx: Ctx) -> Outcome {
    let body = pattern(2000);
    let script = body
        .chunks(7)
        .fold(Script::new().request().headers(&[OK]), |script, piece| script.data(piece.to_vec()));
    accepts(ctx, script.last_data(""), body.clone()).await
}

async fn large_body(ctx: Ctx) -> Outcome {
    let body = pattern(8 << 20);
    accepts(ctx, Script::reply(body.clone()), body).await
}

async fn bodiless(ctx: Ctx, method: Method, status: &'static str) -> Outcome {
    let head = Frame::headers(&[(":status", status), ("content-length", "150")]).end_stream();
    let peer = Peer::after(&ctx, Script::new().request().send(head))?;
    let got = peer.whole(peer.request(method, "/first")).await?;
    ensure_eq!(got.status.as_str(), status, "status");
    ensure_eq!(got.headers.get("content-length"), Some(&HeaderValue::from_static("150")), "content-length");
    ensure_eq!(got.body, "", "body");
    peer.next_is_same().await
}

async fn no_content(ctx: Ctx) -> Outcome {
    let peer = Peer::after(&ctx, Script::new().request().send(Frame::headers(&[(":status", "204")]).end_stream()))?;
    let got = peer.whole(peer.get("/first")).await?;
    ensure_eq!((got.status.as_u16(), &got.body[..]), (204, &b""[..]), "status and body");
    peer.next_is_same().await
}

async fn informational(ctx: Ctx) -> Outcome {
    let hints = [(":status", "103"), ("link", "</a.css>")];
    let script = Script::new().request().headers(&[(":status", "100")]).headers(&hints).headers(&hints).answer("ok");
    let peer = Peer::after(&ctx, script)?;
    let seen = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&seen);
    let request = peer.get("/first").observer(move |event: &Event<'_>| {
        if let Event::Informational { status, headers } = event {
            log.lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push((status.as_u16(), headers.contains_key("link")));
        }
    });
    let got = peer.whole(request).await?;
    ensure_eq!((got.status.as_u16(), &got.body[..]), (200, &b"ok"[..]), "status and body");
    ensure!(!got.headers.contains_key("link"), "a field of the 103 became one of the 200");
    if ctx.has(Capability::Informational)? {
        let seen = seen.lock().unwrap_or_else(PoisonError::into_inner).clone();
        ensure_eq!(seen, [(100, false), (103, true), (103, true)], "events");
    }
    peer.next_is_same().await
}

async fn trailers(ctx: Ctx, body: &'static str) -> Outcome {
    let script = Script::new().request().headers(&[OK]);
    let script = if body.is_empty() { script } else { script.data(body) };
    let peer = Peer::after(&ctx, script.send(Frame::headers(&[("x-checksum", "5d41402a")]).end_stream()))?;
    let mut response = peer.head(peer.get("/first")).await?;
    let mut got = Vec::new();
    while let Some(chunk) = ctx.wait("the body has arrived", response.chunk()).await? {
        got.extend_from_slice(&chunk);
    }
    ensure_eq!(got, body.as_bytes(), "body");
    let checksum = response.trailers().and_then(|trailers| trailers.get("x-checksum")).cloned();
    let expected = ctx.has(Capability::ResponseTrailers)?.then(|| HeaderValue::from_static("5d41402a"));
    ensure_eq!(checksum, expected, "x-checksum");
    drop(response);
    peer.next_is_same().await
}

async fn repeated_response(ctx: Ctx) -> Outcome {
    let fields = [OK, ("set-cookie", "a=1"), ("x-empty", ""), ("set-cookie", "b=2")];
    let peer = Peer::start(&ctx, [Script::new().request().send(Frame::headers(&fields).end_stream())])?;
    let got = peer.whole(peer.get("/")).await?;
    ensure_eq!(got.headers.get_all("set-cookie").iter().collect::<Vec<_>>(), ["a=1", "b=2"], "set-cookie");
    ensure_eq!(got.headers.get("x-empty"), Some(&HeaderValue::from_static("")), "x-empty");
    Ok(())
}

async fn dynamic_table(ctx: Ctx) -> Outcome {
    let learn = [indexed(8), incremental("x-first", "1"), incremental("x-second", "2")].concat();
    let recall = [indexed(8), indexed(62), indexed(63)].concat();
    let forget = [
        table_size(0),
        table_size(4096),
        indexed(8),
        incremental("x-first", "3"),
        indexed(62),
    ]
    .concat();
    let script = [learn, recall, forget]
        .into_iter()
        .fold(Script::new(), |script, block| script.request().send(Frame::block(block).end_stream()));
    let peer = Peer::start(&ctx, [script])?;
    for expected in [("1", "2"), ("1", "2"), ("33", "")] {
        let headers = peer.whole(peer.get("/")).await?.headers;
        let values = |name| headers.get_all(name).iter().filter_map(|value| value.to_str().ok()).collect::<String>();
        ensure_eq!((&*values("x-first"), &*values("x-second")), expected, "x-first and x-second");
    }
    ensure_eq!(peer.server.counts().accepted, 1, "connections");
    Ok(())
}

async fn huffman(ctx: Ctx) -> Outcome {
    const FIRST: &[u8] =
        b"\x48\x82\x64\x02\x58\x85\xae\xc3\x77\x1a\x4b\x61\x96\xd0\x7a\xbe\x94\x10\x54\xd4\x44\xa8\x20\x05\x95\x04\x0b\
        \x81\x66\xe0\x82\xa6\x2d\x1b\xff\x6e\x91\x9d\x29\xad\x17\x18\x63\xc7\x8f\x0b\x97\xc8\xe9\xae\x82\xae\x43\xd3";
    const SECOND: &[u8] = b"\x48\x83\x64\x0e\xff\xc1\xc0\xbf";
    let script = [FIRST, SECOND]
        .iter()
        .fold(Script::new(), |script, block| script.request().send(Frame::block(*block).end_stream()));
    let peer = Peer::start(&ctx, [script])?;
    for status in [302, 307] {
        let got = peer.whole(peer.get("/").redirect(Redirect::none())).await?;
        ensure_eq!(got.status.as_u16(), status, "status");
        for (name, value) in [
            ("cache-control", "private"),
            ("date", "Mon, 21 Oct 2013 20:13:21 GMT"),
            ("location", "https://www.example.com"),
        ] {
            ensure_eq!(got.headers.get(name), Some(&HeaderValue::from_static(value)), "{name}");
        }
    }
    Ok(())
}

async fn tunnel(ctx: Ctx) -> Outcome {
    let peer = Peer::start(&ctx, [Script::new().head().headers(&[OK]).data("hello").echo()])?;
    let target = "far.test:7".parse().expect("an authority");
    let request = peer.request(Method::CONNECT, "/").target(RequestTarget::Authority(target));
    let mut stream = peer.head(request).await?.upgrade()?;
    let mut answer = [0; 9];
    ctx.wait("the first bytes have come through the tunnel", stream.read_exact(&mut answer[..5]))
        .await?;
    for _ in 0..2 {
        ctx.wait("the tunnel takes bytes", async {
            stream.write_all(b"ping").await?;
            stream.flush().await
        })
        .await?;
        ctx.wait("they have come back", stream.read_exact(&mut answer[5..])).await?;
        ensure_eq!(answer, *b"helloping", "what came through the tunnel");
    }
    ctx.wait("the tunnel is closed", stream.close()).await?;
    let mut rest = Vec::new();
    ctx.wait("the other side has closed, too", stream.read_to_end(&mut rest)).await?;
    ensure_eq!(rest, b"", "what came at last");
    let request = &peer.server.requests()[0];
    ensure_eq!(request.field(":authority").as_deref(), Some("far.test:7"), ":authority");
    Ok(())
}

async fn tunnel_refused(ctx: Ctx) -> Outcome {
    let script = Script::new().head().headers(&[(":status", "403"), ("content-length", "2")]).last_data("no");
    let peer = Peer::after(&ctx, script)?;
    let response = peer.head(peer.request(Method::CONNECT, "/")).await?;
    ensure_eq!(response.status(), 403, "status");
    ensure_eq!(ctx.wait("the body has arrived", response.bytes()).await?, "no", "body");
    peer.next_is_same().await
}
