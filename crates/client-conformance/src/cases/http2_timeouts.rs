//! Each time limit at each place where a server of HTTP/2 can lose time, in frames, set in each way. What comes before the first frame is in
//! `timeout_grid.rs`.

use std::time::Duration;

use client_core::Body;
use futures_util::future::{Either, select};
use futures_util::{FutureExt as _, stream};

use super::limits::{ANY, BODY, CONNECT, HEAD, Limited, REQUEST, SOCKET, Scene, is_no_total, strikes};
use super::peer::Peer;
use crate::case::{Stop, ensure};
use crate::ctx::Ctx;
use crate::servers::h2::{Frame, Script};
use crate::servers::{Gate, pattern};

const HEADERS: &[(&str, &str)] = &[(":status", "200")];
const REDIRECT: &[(&str, &str)] = &[(":status", "302"), ("location", "/next")];

limit_cases! {
    http2_timeouts(ctx, way): "Each time limit, at each place where a server of HTTP/2 loses time, set in each way";

    request_before_head [Http2] "HttpTimeout: request covers everything", "HEADERS never come: the request limit" =>
        strikes(ctx, way, REQUEST, HEAD, before_head);
    request_in_head [Http2] "HttpTimeout: request covers everything", "CONTINUATION never comes: the request limit" =>
        strikes(ctx, way, REQUEST, HEAD, in_head);
    request_after_informational [Http2] "RFC 9113 §8.1", "A 103 and then nothing: the request limit" =>
        strikes(ctx, way, REQUEST, HEAD, after_informational);
    request_before_body [Http2] "HttpTimeout: request covers everything", "DATA never comes: the request limit" =>
        strikes(ctx, way, REQUEST, BODY, before_body);
    request_in_body [Http2] "HttpTimeout: request covers everything", "DATA stops: the request limit" =>
        strikes(ctx, way, REQUEST, BODY, in_body);
    request_in_frame [Http2] "HttpTimeout: request covers everything", "A DATA frame stops half-way: the request limit" =>
        strikes(ctx, way, REQUEST, BODY, in_frame);
    request_before_trailers [Http2] "HttpTimeout: request covers everything", "The trailers never come: the request limit" =>
        strikes(ctx, way, REQUEST, BODY, before_trailers);
    request_in_upload [Http2, StreamingUpload] "HttpTimeout: request covers everything",
        "No window for an upload: the request limit" => strikes(ctx, way, REQUEST, HEAD, upload);
    request_in_redirects [Http2] "Ktor: testRedirectRequestTimeoutOnSecondStep",
        "Redirects take too long together: the request limit" => strikes(ctx, way, REQUEST, ANY, redirects);
    request_in_trickle [Http2] "Ktor: limit is total, not per packet", "DATA trickles for too long: the request limit" =>
        strikes(ctx, way, REQUEST, BODY, trickles_on);

    socket_before_head [Http2, SocketTimeout] "HttpTimeout: socket", "HEADERS never come: the socket limit" =>
        strikes(ctx, way, SOCKET, HEAD, before_head);
    socket_in_head [Http2, SocketTimeout] "HttpTimeout: socket", "CONTINUATION never comes: the socket limit" =>
        strikes(ctx, way, SOCKET, HEAD, in_head);
    socket_after_informational [Http2, SocketTimeout] "RFC 9113 §8.1", "A 103 and then nothing: the socket limit" =>
        strikes(ctx, way, SOCKET, HEAD, after_informational);
    socket_before_body [Http2, SocketTimeout] "HttpTimeout: socket", "DATA never comes: the socket limit" =>
        strikes(ctx, way, SOCKET, BODY, before_body);
    socket_in_body [Http2, SocketTimeout] "HttpTimeout: socket", "DATA stops: the socket limit" =>
        strikes(ctx, way, SOCKET, BODY, in_body);
    socket_in_frame [Http2, SocketTimeout] "HttpTimeout: socket", "A DATA frame stops half-way: the socket limit" =>
        strikes(ctx, way, SOCKET, BODY, in_frame);
    socket_before_trailers [Http2, SocketTimeout] "HttpTimeout: socket", "The trailers never come: the socket limit" =>
        strikes(ctx, way, SOCKET, BODY, before_trailers);
    socket_in_upload [Http2, SocketTimeout, StreamingUpload] "HttpTimeout: socket", "No window for an upload: the socket limit" =>
        strikes(ctx, way, SOCKET, HEAD, upload);
    socket_in_continue [Http2, SocketTimeout, ExpectContinue] "RFC 9110 §10.1.1",
        "Neither 100 nor an answer: the socket limit, before the body is sent unasked" =>
            strikes(ctx, way, SOCKET, HEAD, in_continue);

    trickled_body_is_no_silence [Http2, SocketTimeout] "HttpTimeout: not a limit of bandwidth",
        "DATA trickles, for longer than the socket limit" => is_no_total(ctx, way, SOCKET, trickled);
    trickle_is_connected [Http2, ConnectTimeout] "HttpTimeout: connect", "DATA trickles, for longer than the connect limit" =>
        is_no_total(ctx, way, CONNECT, trickled);
}

/// The first connection follows `script`, which waits at the gate; afterwards it answers whatever comes.
fn stuck(ctx: &Ctx, limited: Limited, gate: Gate, script: Script, answer: Option<&'static str>) -> Result<Scene, Stop> {
    on(Peer::after(ctx, script)?, limited, gate, answer)
}

fn on(mut peer: Peer, limited: Limited, gate: Gate, answer: Option<&'static str>) -> Result<Scene, Stop> {
    peer.client = limited.of_client(&peer.client)?;
    let connection = peer.connection();
    Ok(Scene {
        request: limited.of_request(peer.get("/")),
        next: peer.get("/next"),
        client: peer.client,
        gate,
        answer,
        // A connection that has been silent altogether may be closed instead.
        gone: async move {
            let (reset, closed) = (Box::pin(connection.reset(0)), Box::pin(connection.closed_by_client()));
            match select(reset, closed).await {
                Either::Left(_) | Either::Right(_) => Ok(()),
            }
        }
        .boxed(),
    })
}

fn before_head(ctx: &Ctx, limited: Limited) -> Result<Scene, Stop> {
    let gate = Gate::new();
    let script = Script::new().request().wait(&gate).answer("ok");
    stuck(ctx, limited, gate, script, Some("ok"))
}

fn in_head(ctx: &Ctx, limited: Limited) -> Result<Scene, Stop> {
    let gate = Gate::new();
    let script = Script::new().request().send(Frame::headers(HEADERS).to_be_continued()).wait(&gate);
    let script = script.send(Frame::continuation(&[("x", "1")])).last_data("ok");
    stuck(ctx, limited, gate, script, Some("ok"))
}

fn after_informational(ctx: &Ctx, limited: Limited) -> Result<Scene, Stop> {
    let gate = Gate::new();
    let script = Script::new().request().headers(&[(":status", "103")]).wait(&gate).answer("ok");
    stuck(ctx, limited, gate, script, Some("ok"))
}

fn before_body(ctx: &Ctx, limited: Limited) -> Result<Scene, Stop> {
    let gate = Gate::new();
    let script = Script::new().request().headers(HEADERS).wait(&gate).last_data("ok");
    stuck(ctx, limited, gate, script, Some("ok"))
}

fn in_body(ctx: &Ctx, limited: Limited) -> Result<Scene, Stop> {
    let gate = Gate::new();
    let script = Script::new().request().headers(HEADERS).data("o").wait(&gate).last_data("k");
    stuck(ctx, limited, gate, script, Some("ok"))
}

/// The frame is on stream 1, the first of a client's (RFC 9113 §5.1.1).
fn in_frame(ctx: &Ctx, limited: Limited) -> Result<Scene, Stop> {
    let gate = Gate::new();
    let script = Script::new().request().headers(HEADERS).bytes(&b"\0\0\x02\0\0\0\0\0\x01o"[..]).wait(&gate);
    let script = script.bytes(&b"k"[..]).send(Frame::data("").end_stream());
    stuck(ctx, limited, gate, script, Some("ok"))
}

fn before_trailers(ctx: &Ctx, limited: Limited) -> Result<Scene, Stop> {
    let gate = Gate::new();
    let script = Script::new().request().headers(HEADERS).data("ok").wait(&gate);
    stuck(ctx, limited, gate, script.send(Frame::headers(&[("x", "1")]).end_stream()), Some("ok"))
}

/// The server never grants more than the first window (RFC 9113 §6.9.2).
fn upload(ctx: &Ctx, limited: Limited) -> Result<Scene, Stop> {
    let piece = pattern(16 << 10);
    let endless = stream::repeat_with(move || Ok::<_, std::io::Error>(piece.clone()));
    let gate = Gate::new();
    let scene = stuck(ctx, limited, gate.clone(), Script::new().stingy().head().wait(&gate), None)?;
    let request = scene.request.body(Body::stream(endless));
    Ok(Scene { request, ..scene })
}

fn redirects(ctx: &Ctx, limited: Limited) -> Result<Scene, Stop> {
    let hop = |script: Script, _| script.request().pause(limited.limit * 2 / 5).send(Frame::headers(REDIRECT).end_stream());
    let hops = (0..8).fold(Script::new(), hop);
    let scene = stuck(ctx, limited, Gate::new(), hops.request().answer("ok"), Some("ok"))?;
    // Whichever stream it was: it is over, or the next call would have to wait for it.
    let gone = std::future::ready(Ok(())).boxed();
    Ok(Scene { gone, ..scene })
}

fn trickles_on(ctx: &Ctx, limited: Limited) -> Result<Scene, Stop> {
    let trickle = |script: Script, _| script.pause(limited.limit / 8).data("x");
    let script = (0..64).fold(Script::new().request().headers(HEADERS), trickle);
    stuck(ctx, limited, Gate::new(), script, None)
}

/// The server says nothing at all, and so must not be sent a body.
fn in_continue(ctx: &Ctx, limited: Limited) -> Result<Scene, Stop> {
    let gate = Gate::new();
    let script = Script::new().head().wait(&gate).headers(&[(":status", "100")]).request_end().answer("ok");
    let peer = Peer::after(ctx, script)?;
    let connection = peer.connection();
    let scene = on(peer, limited, gate, Some("ok"))?;
    let request = scene.request.header("expect", "100-continue").body("the announced body");
    let gone = async move {
        scene.gone.await?;
        let is_sent = connection.requests().iter().any(|request| !request.body.is_empty());
        ensure!(!is_sent, "the body was sent, unasked, before the limit struck");
        Ok(())
    };
    Ok(Scene {
        request,
        gone: gone.boxed(),
        ..scene
    })
}

fn trickled(ctx: &Ctx, limited: Limited, pause: Duration) -> Result<Scene, Stop> {
    let piece = |script: Script, piece: &'static str| script.pause(pause).data(piece);
    let pieces = ["hel", "lo", ",", " ", "w", "o", "r", "l", "d", "!", "!", "!"];
    let script = pieces.into_iter().fold(Script::new().request().headers(HEADERS), piece);
    stuck(ctx, limited, Gate::new(), script.last_data(""), Some("hello, world!!!"))
}
