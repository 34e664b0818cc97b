//! HTTP/2: many streams on one connection, and how each of them and the connection end (RFC 9113 §5, §6.4, §6.8, §6.9, §8.7).

use std::time::Duration;

use client_core::{Body, Capability, ErrorKind, Sent, TimeoutKind};
use futures_util::future::{join, join_all};
use futures_util::{StreamExt, stream};

use super::peer::{Peer, accepts};
use crate::case::{Outcome, Stop, ensure, ensure_eq};
use crate::ctx::Ctx;
use crate::servers::h2::{Frame, Received, Script, code, flag, kind, setting};
use crate::servers::{Gate, pattern};

const OK: (&str, &str) = (":status", "200");
const MAX_STREAMS: u16 = setting::MAX_CONCURRENT_STREAMS;
const WINDOW: u16 = setting::INITIAL_WINDOW_SIZE;
/// A limit that is to strike.
const SHORT: Duration = Duration::from_millis(100);

cases! {
    http2_streams(ctx): "HTTP/2: streams, windows, and how they end";

    one_after_the_other [Http2] "RFC 9113 §9.1", "Fifty calls, one after the other, take one connection" => sequence(ctx);
    abreast [Http2] "RFC 9113 §9.1", "Calls at the same time share a connection, also while it is made" => abreast(ctx);
    answered_backwards [Http2] "RFC 9113 §5", "Answers may come in any order" => backwards(ctx);
    interleaved [Http2] "RFC 9113 §5", "Bodies may come in turns, and none gets another's" => interleaved(ctx);
    limit [Http2] "RFC 9113 §5.1.2: MUST NOT exceed", "No more streams at a time than the server allows, and all calls are answered" => limited(ctx);
    limit_from_the_start [Http2] "RFC 9113 §5.1.2, §8.7", "Streams that were begun before the limit was known, and refused, are repeated" => refused_excess(ctx);
    limit_lowered [Http2] "RFC 9113 §5.1.2", "A limit that is lowered in use is respected" => lowered(ctx);
    limit_raised [Http2] "RFC 9113 §5.1.2", "A limit that is raised lets the waiting calls begin" => raised(ctx);
    reset_frees_a_stream [Http2] "RFC 9113 §5.1.2", "A cancelled call gives its stream back to those that wait" => reset_frees(ctx);

    slow_reader [Http2] "RFC 9113 §6.9; Go, hyper", "A body that nobody reads does not stall another, and is not taken in without end" => slow_reader(ctx);
    upload_waits [Http2] "RFC 9113 §6.9.1: MUST NOT", "An upload stops at the server's window, and goes on when it opens" => upload_waits(ctx);
    upload_beside_stalled_one [Http2] "RFC 9113 §6.9.1", "An upload that waits for its window does not hold up another call" => upload_beside(ctx);
    small_window [Http2] "RFC 9113 §6.9.2", "An upload through a window of ten bytes arrives" => small_window(ctx);
    window_shrinks [Http2] "RFC 9113 §6.9.2", "A window that becomes negative in use is respected" => shrinks(ctx);
    window_grows_by_settings [Http2] "RFC 9113 §6.9.2", "SETTINGS that enlarge the window let an upload go on" => grows(ctx);
    large_server_frames [Http2] "RFC 9113 §4.2", "An upload stays within the frame size, though the server allows more" => large_frames(ctx);
    cancelled_gives_window_back [Http2] "h2 0.4.14: leaked capacity", "Bodies that are dropped unread give the connection's window back" => gives_back(ctx);

    cancel_before_head [Http2] "RFC 9113 §5.4.2; DESIGN: cancellation is drop", "A call dropped before its head: its stream is reset" => cancel_before_head(ctx);
    cancel_in_body [Http2] "RFC 9113 §5.4.2; DESIGN: cancellation is drop", "A body dropped half-read: its stream is reset" => cancel_in_body(ctx);
    cancel_in_upload [Http2, StreamingUpload] "RFC 9113 §5.4.2; DESIGN: cancellation is drop", "A call dropped in its upload: its stream is reset" => cancel_in_upload(ctx);
    producer_fails [Http2, StreamingUpload] "RFC 9113 §8.1.1", "A producer that fails half-way resets the stream: no request is completed" => producer_fails(ctx);
    request_timeout [Http2] "HttpTimeout: request", "The request limit resets the stream, and leaves the connection" => timeout(ctx, TimeoutKind::Request);
    socket_timeout [Http2, SocketTimeout] "HttpTimeout: socket", "The socket limit strikes on a stream that stalls" => timeout(ctx, TimeoutKind::Socket);
    socket_timeout_in_body [Http2, SocketTimeout] "HttpTimeout: socket", "The socket limit strikes in a body that stalls" => timeout_in_body(ctx);

    early_answer [Http2, StreamingUpload] "RFC 9113 §8.1", "An answer before the end of the upload, then RST_STREAM with NO_ERROR: it is whole" => early_answer(ctx, true);
    early_answer_alone [Http2, StreamingUpload, Duplex] "RFC 9113 §8.1", "An answer before the end of the upload is whole, and the connection serves on" => early_answer(ctx, false);
    duplex [Http2, StreamingUpload, Duplex] "RFC 9113 §5.1", "Request and response may be in progress together" => duplex(ctx);
    reset_after_answer [Http2] "RFC 9113 §8.1", "RST_STREAM with NO_ERROR after a whole response takes nothing away" =>
        accepts(ctx, Script::new().request().answer("ok").send(Frame::reset(code::NO_ERROR)), "ok");

    reset_cancel [Http2] "RFC 9113 §6.4", "RST_STREAM with CANCEL fails the call" => reset(ctx, code::CANCEL);
    reset_internal_error [Http2] "RFC 9113 §6.4", "RST_STREAM with INTERNAL_ERROR fails the call" => reset(ctx, code::INTERNAL_ERROR);
    reset_calm [Http2] "RFC 9113 §6.4", "RST_STREAM with ENHANCE_YOUR_CALM fails the call" => reset(ctx, code::ENHANCE_YOUR_CALM);
    reset_no_error [Http2] "RFC 9113 §8.1", "RST_STREAM with NO_ERROR, but without a response, fails the call" => reset(ctx, code::NO_ERROR);
    reset_unknown [Http2] "RFC 9113 §7", "RST_STREAM with an unknown code fails the call" => reset(ctx, 0xdead_beef);
    reset_in_body [Http2] "RFC 9113 §8.1", "RST_STREAM in a body is never its end" => reset_in_body(ctx, code::INTERNAL_ERROR);
    reset_no_error_in_body [Http2, StrictHttp2] "RFC 9113 §8.1", "RST_STREAM with NO_ERROR in a body is not its end either" => reset_in_body(ctx, code::NO_ERROR);
    reset_leaves_others [Http2] "RFC 9113 §5.4.2", "A stream that is reset leaves the others alone" => reset_leaves_others(ctx);
    refused_post [Http2] "RFC 9113 §8.7", "A POST that was refused (REFUSED_STREAM) is sent again, whole" => refused_post(ctx);
    refused_for_ever [Http2] "RFC 9113 §8.7", "A server that refuses every stream is not asked for ever" => refused_for_ever(ctx);

    go_away_after [Http2] "RFC 9113 §6.8", "GOAWAY: streams up to the last one finish, new calls take another connection" => go_away_after(ctx, None);
    go_away_graceful [Http2] "RFC 9113 §6.8", "A GOAWAY that names the last stream of all: no new ones on this connection" => go_away_after(ctx, Some(0x7fff_ffff));
    go_away_before [Http2] "RFC 9113 §6.8, §8.7", "GOAWAY: a POST above the last stream is repeated on another connection" => go_away_before(ctx);
    go_away_with_error [Http2] "RFC 9113 §6.8", "GOAWAY with an error, then a close, fails the call" => go_away_with_error(ctx);
    go_away_when_idle [Http2] "RFC 9113 §6.8", "After a GOAWAY on an idle connection the next call takes another" => go_away_when_idle(ctx);
    close_before_head [Http2] "RFC 9113 §9.1", "A connection that closes before a head: no answer is made up" => closes(ctx, Script::new().request().close());
    close_in_body [Http2] "RFC 9113 §8.1", "A connection that closes in a body: the call fails" => closes(ctx, Script::new().request().headers(&[OK]).data("hello").close());
    abort_in_body [Http2] "RFC 9113 §8.1", "A connection that is reset (TCP) in a body: the call fails" =>
        closes(ctx, Script::new().request().headers(&[OK]).data("hello").abort());
    close_when_idle [Http2] "RFC 9113 §9.1", "A connection that closed while idle: the next call is answered by another" => close_when_idle(ctx);
    close_under_post [Http2] "RFC 9110 §9.2.2: MUST NOT", "A POST that may have been processed is not sent again" => close_under_post(ctx);
    close_fails_all [Http2] "RFC 9113 §9.1", "A connection that closes fails every call on it" => close_fails_all(ctx);
}

async fn sequence(ctx: Ctx) -> Outcome {
    let peer = Peer::start(&ctx, [Script::reply("ok").repeat()])?;
    for _ in 0..50 {
        peer.brings("/", "ok").await?;
    }
    ensure_eq!(peer.server.counts().accepted, 1, "connections");
    Ok(())
}

async fn all(calls: impl IntoIterator<Item = impl Future<Output = Outcome>>) -> Outcome {
    join_all(calls).await.into_iter().collect()
}

/// Waits until all are there, then answers each: `n` requests at a time.
fn together(n: usize) -> Script {
    let all_here = (0..n).fold(Script::new(), |script, request| script.nth(request).request_end());
    (0..n).fold(all_here, |script, request| script.nth(request).answer("ok"))
}

async fn abreast(ctx: Ctx) -> Outcome {
    let peer = Peer::start(&ctx, [together(10)])?;
    all((0..10).map(|_| peer.brings("/", "ok"))).await?;
    ensure_eq!(peer.server.counts().accepted, 1, "connections");
    Ok(())
}

async fn backwards(ctx: Ctx) -> Outcome {
    // Each answer lets the next one be sent: out of order, or not at all.
    let gates: Vec<_> = (0..4).map(|_| Gate::new()).collect();
    let script = (0..5).fold(Script::new(), |script, _| script.request());
    let script = (0..5).rev().fold(script, |script, request| {
        let script = if request == 4 { script } else { script.wait(&gates[request]) };
        script.nth(request).answer("ok")
    });
    let peer = Peer::start(&ctx, [script])?;
    let call = async |path: usize| {
        let connection = peer.connection();
        if path > 0 {
            // One after the other, so that the server knows them by their order.
            ctx.wait("the request before is there", connection.until(path - 1, |_| true)).await;
        }
        peer.brings(&format!("/{path}"), "ok").await?;
        if path > 0 {
            gates[path - 1].open();
        }
        Ok(())
    };
    all((0..5).map(call)).await
}

async fn interleaved(ctx: Ctx) -> Outcome {
    let script = Script::new().nth(0).headers(&[OK]).nth(1).headers(&[OK]);
    let script = (0..100).fold(script, |script, _| script.nth(0).data("one").nth(1).data("other"));
    let peer = Peer::start(&ctx, [script.nth(1).last_data("").nth(0).last_data("")])?;
    let calls = [peer.get("/"), peer.get("/")].map(|call| peer.whole(call));
    let mut bodies = Vec::new();
    for got in join_all(calls).await {
        bodies.push(got?.body);
    }
    bodies.sort_unstable_by_key(|body| body.len());
    ensure!(bodies == ["one".repeat(100), "other".repeat(100)], "the bodies are mixed");
    Ok(())
}

async fn limited(ctx: Ctx) -> Outcome {
    let script = Script::reply("ok").settings(&[(MAX_STREAMS, 3)]).repeat();
    let peer = Peer::start(&ctx, [script])?;
    // Now the limit is known.
    peer.brings("/", "ok").await?;
    all((0..50).map(|_| peer.brings("/", "ok"))).await?;
    for index in 0..peer.server.counts().accepted {
        let peak = peer.server.connection(index).peak();
        ensure!(peak <= 3, "{peak} streams at a time on connection {index}");
    }
    Ok(())
}

async fn refused_excess(ctx: Ctx) -> Outcome {
    let peer = Peer::start(&ctx, [Script::reply("ok").settings(&[(MAX_STREAMS, 2)]).repeat()])?;
    all((0..20).map(|_| peer.answers(peer.post("/").body("order"), "ok"))).await?;
    let orders = peer.server.requests();
    ensure_eq!(orders.len(), 20, "requests that the server has acted on");
    ensure!(orders.iter().all(|request| request.body == b"order"), "a body differs");
    Ok(())
}

async fn lowered(ctx: Ctx) -> Outcome {
    let lower = Frame::settings(&[(MAX_STREAMS, 1)]);
    let script = Script::reply("ok").settings(&[(MAX_STREAMS, 10)]).send(lower).acknowledged();
    let peer = Peer::start(&ctx, [script.followed_by(Script::reply("ok").repeat())])?;
    all((0..5).map(|_| peer.brings("/", "ok"))).await?;
    // That of the server, which holds the client to it, is not changed by anything.
    all((0..20).map(|_| peer.brings("/", "ok"))).await
}

async fn raised(ctx: Ctx) -> Outcome {
    let gate = Gate::new();
    let first = Script::reply("ok").settings(&[(MAX_STREAMS, 1)]);
    let held = first.request().wait(&gate).send(Frame::settings(&[(MAX_STREAMS, 10)])).answer("ok");
    let others = Script::reply("ok").settings(&[(MAX_STREAMS, 1)]).repeat();
    let peer = Peer::start(&ctx, [held.followed_by(Script::reply("ok").repeat()), others])?;
    peer.brings("/known", "ok").await?;
    let calls = all((0..5).map(|_| peer.brings("/", "ok")));
    let raise = async {
        ctx.wait("a second request is there", peer.connection().until(1, |request| request.ended)).await;
        gate.open();
        Ok(())
    };
    let (answered, raised) = join(calls, raise).await;
    answered.and(raised)
}

async fn reset_frees(ctx: Ctx) -> Outcome {
    let script = Script::reply("ok").settings(&[(MAX_STREAMS, 1)]).head().reset_by_client();
    let peer = Peer::start(&ctx, [script.followed_by(Script::reply("ok").repeat()), Script::reply("ok").repeat()])?;
    peer.brings("/known", "ok").await?;
    let connection = peer.connection();
    let hangs = peer.get("/hangs").send();
    peer.cut(hangs, connection.until(1, |_| true)).await?;
    ctx.wait("the stream is reset", connection.reset(1)).await;
    peer.brings("/then", "ok").await
}

async fn slow_reader(ctx: Ctx) -> Outcome {
    /// More than any window that a peer opens for one stream.
    const MOST: usize = 64 << 20;
    let peer = Peer::start(&ctx, [Script::new().request().headers(&[OK]).fill(MOST).request().answer(pattern(1 << 20))])?;
    let unread = peer.head(peer.get("/unread")).await?;
    peer.brings("/read", pattern(1 << 20)).await?;
    let sent = peer.connection().sent();
    ensure!(sent < MOST, "{sent} bytes were taken in, though nobody reads them");
    drop(unread);
    Ok(())
}

async fn upload_waits(ctx: Ctx) -> Outcome {
    let gate = Gate::new();
    let peer = Peer::after(&ctx, Script::new().stingy().head().wait(&gate).grant(1 << 20).request_end().answer("ok"))?;
    let upload = peer.answers(peer.post("/").body(pattern(200_000)), "ok");
    let open = async {
        // What is beyond the window the server would take for a violation.
        let connection = peer.connection();
        ctx.wait("the window is used up", connection.until(0, |request| request.body.len() >= 65_535)).await;
        gate.open();
        Ok(())
    };
    let (uploaded, opened) = join(upload, open).await;
    uploaded.and(opened)?;
    ensure!(peer.server.requests()[0].body == pattern(200_000), "the body differs");
    peer.next_is_same().await
}

async fn upload_beside(ctx: Ctx) -> Outcome {
    let gate = Gate::new();
    let script = Script::new().stingy().nth(0).send(Frame::window_update(1 << 20).on_connection());
    let script = script.nth(1).answer("ok").wait(&gate).nth(0).grant(1 << 20).request_end().answer("ok");
    let peer = Peer::start(&ctx, [script])?;
    let upload = peer.answers(peer.post("/stalled").body(pattern(200_000)), "ok");
    let beside = async {
        let connection = peer.connection();
        ctx.wait("the window is used up", connection.until(0, |request| request.body.len() >= 65_535)).await;
        peer.answers(peer.post("/beside").body("small"), "ok").await?;
        gate.open();
        Ok(())
    };
    let (uploaded, beside) = join(upload, beside).await;
    uploaded.and(beside)
}

async fn small_window(ctx: Ctx) -> Outcome {
    let peer = Peer::start(
        &ctx,
        [Script::new()
            .settings(&[(WINDOW, 10)])
            .acknowledged()
            .request()
            .answer("known")
            .request()
            .answer("ok")],
    )?;
    peer.brings("/", "known").await?;
    peer.answers(peer.post("/").body(pattern(1000)), "ok").await?;
    ensure!(peer.server.requests()[1].body == pattern(1000), "the body differs");
    Ok(())
}

async fn shrinks(ctx: Ctx) -> Outcome {
    let (gate, produce, more) = (Gate::new(), Gate::new(), Gate::new());
    // 1000 bytes have come in a window of 65,535, which then becomes one of 500: that is -500, and 501 more allow one byte.
    let script = Script::new().stingy().head().wait(&gate).send(Frame::settings(&[(WINDOW, 500)])).acknowledged();
    let script = script.send(Frame::window_update(501)).wait(&more).grant(10_000).request_end().answer("ok");
    let peer = Peer::start(&ctx, [script])?;
    let (first, rest) = (pattern(1000), pattern(5000));
    let of_producer = produce.clone();
    let rest_later = stream::once(async move {
        of_producer.opened().await;
        Ok::<_, std::io::Error>(rest)
    });
    let body = Body::sized_stream(6000, stream::iter([Ok(first)]).chain(Box::pin(rest_later)));
    let upload = peer.answers(peer.post("/").body(body), "ok");
    let shrink = async {
        let connection = peer.connection();
        ctx.wait("the first bytes are there", connection.until(0, |request| request.body.len() == 1000))
            .await;
        gate.open();
        let acknowledges = |frame: &&Received| frame.kind == kind::SETTINGS && frame.has(flag::ACK);
        let acknowledged = connection.until_frames(|frames| frames.iter().filter(acknowledges).count() == 2);
        ctx.wait("the smaller window is acknowledged", acknowledged).await;
        produce.open();
        // What is beyond it the server would take for a violation.
        ctx.wait("the one byte is there", connection.until(0, |request| request.body.len() > 1000)).await;
        more.open();
        Ok(())
    };
    let (uploaded, shrunk) = join(upload, shrink).await;
    uploaded.and(shrunk)
}

async fn grows(ctx: Ctx) -> Outcome {
    let gate = Gate::new();
    let script = Script::new().stingy().head().wait(&gate).send(Frame::window_update(1 << 20).on_connection());
    let peer = Peer::start(&ctx, [script.send(Frame::settings(&[(WINDOW, 1 << 20)])).request_end().answer("ok")])?;
    let upload = peer.answers(peer.post("/").body(pattern(200_000)), "ok");
    let grow = async {
        ctx.wait("the window is used up", peer.connection().until(0, |request| request.body.len() >= 65_535))
            .await;
        gate.open();
        Ok(())
    };
    let (uploaded, grown) = join(upload, grow).await;
    uploaded.and(grown)
}

async fn large_frames(ctx: Ctx) -> Outcome {
    let script = Script::new()
        .settings(&[(setting::MAX_FRAME_SIZE, 1 << 20)])
        .acknowledged()
        .request()
        .answer("known")
        .request()
        .answer("ok");
    let peer = Peer::start(&ctx, [script])?;
    peer.brings("/", "known").await?;
    peer.answers(peer.post("/").body(pattern(300_000)), "ok").await?;
    ensure!(peer.server.requests()[1].body == pattern(300_000), "the body differs");
    Ok(())
}

async fn gives_back(ctx: Ctx) -> Outcome {
    const BODIES: usize = 40;
    let unread = Script::new().request().headers(&[OK]).fill(1 << 20).reset_by_client();
    let bodies = || (0..BODIES).fold(Script::new(), |script, _| script.followed_by(unread.clone()));
    if !ctx.has(Capability::StrictHttp2)? {
        // It may take what still arrives of them for an attack, and the next connection; the calls go on.
        let peer = Peer::start(&ctx, [bodies()])?;
        for _ in 0..BODIES {
            drop(peer.head(peer.get("/unread")).await?);
        }
        return Ok(());
    }
    let peer = Peer::after(&ctx, bodies())?;
    for body in 0..BODIES {
        let response = peer.head(peer.get("/unread")).await?;
        ctx.wait("a good part of the body has been sent", peer.connection().until_sent(1 << 14)).await;
        drop(response);
        ctx.wait("the stream is reset", peer.connection().reset(body)).await;
    }
    peer.next_is_same().await
}

async fn cancel_before_head(ctx: Ctx) -> Outcome {
    let peer = Peer::after(&ctx, Script::new().head().reset_by_client())?;
    let connection = peer.connection();
    let call = peer.get("/first").send();
    peer.cut(call, connection.until(0, |_| true)).await?;
    is_cancelled(&peer).await
}

/// The stream is reset, by an engine that is strict as given up (RFC 9113 §7), and the connection serves on.
async fn is_cancelled(peer: &Peer) -> Outcome {
    let found = peer.ctx.wait("the stream is reset", peer.connection().reset(0)).await;
    // The codes are for those who read logs: no clause demands one of them.
    let is_fitting = [code::CANCEL, code::NO_ERROR].contains(&found) || !peer.ctx.has(Capability::StrictHttp2)?;
    ensure!(is_fitting, "reset with the code {found}");
    peer.next_is_same().await
}

async fn cancel_in_body(ctx: Ctx) -> Outcome {
    let peer = Peer::after(&ctx, Script::new().request().headers(&[OK]).data("hello").reset_by_client())?;
    let mut response = peer.head(peer.get("/first")).await?;
    ensure_eq!(ctx.wait("a piece has arrived", response.chunk()).await?.as_deref(), Some(&b"hello"[..]), "piece");
    drop(response);
    is_cancelled(&peer).await
}

/// The first piece of an upload that never ends.
fn endless(first: &'static str) -> Body {
    Body::stream(stream::iter([Ok::<_, std::io::Error>(first)]).chain(stream::pending()))
}

async fn cancel_in_upload(ctx: Ctx) -> Outcome {
    let peer = Peer::after(&ctx, Script::new().head().reset_by_client())?;
    let connection = peer.connection();
    let call = peer.post("/first").body(endless("first")).send();
    peer.cut(call, connection.until(0, |request| request.body == b"first")).await?;
    is_cancelled(&peer).await
}

async fn producer_fails(ctx: Ctx) -> Outcome {
    let peer = Peer::after(&ctx, Script::new().head().reset_by_client())?;
    let body = stream::iter([Ok("first"), Err(std::io::Error::other("out of paper"))]);
    match peer.whole(peer.post("/first").body(Body::stream(body))).await {
        Ok(got) => return Err(Stop::failed(format!("it is answered, with {}", got.status))),
        Err(error) => ensure_eq!(error.kind(), ErrorKind::Body, "kind of {error:?}"),
    }
    ctx.wait("the stream is reset", peer.connection().reset(0)).await;
    ensure!(!peer.server.requests()[0].ended, "the request was completed");
    peer.next_is_same().await
}

async fn timeout(ctx: Ctx, kind: TimeoutKind) -> Outcome {
    let peer = Peer::after(&ctx, Script::new().request().reset_by_client())?;
    let call = peer.get("/first").timeout(|t| match kind {
        TimeoutKind::Socket => t.socket(SHORT),
        _ => t.request(SHORT),
    });
    peer.fails(call, &[ErrorKind::Timeout(kind)]).await?;
    after_timeout(&peer, kind).await
}

/// A request that took too long says nothing of its connection; a silent socket may be dead as a whole.
async fn after_timeout(peer: &Peer, kind: TimeoutKind) -> Outcome {
    match kind {
        TimeoutKind::Socket => peer.next().await.map(drop),
        _ => is_cancelled(peer).await,
    }
}

async fn timeout_in_body(ctx: Ctx) -> Outcome {
    let peer = Peer::after(&ctx, Script::new().request().headers(&[OK]).data("hello").reset_by_client())?;
    let call = peer.get("/first").timeout(|t| t.socket(SHORT));
    peer.fails(call, &[ErrorKind::Timeout(TimeoutKind::Socket)]).await?;
    after_timeout(&peer, TimeoutKind::Socket).await
}

async fn early_answer(ctx: Ctx, is_reset: bool) -> Outcome {
    let script = Script::new().head().answer("enough");
    let script = if is_reset { script.send(Frame::reset(code::NO_ERROR)) } else { script };
    let peer = Peer::after(&ctx, script)?;
    peer.answers(peer.post("/first").body(endless("first")), "enough").await?;
    peer.next_is_same().await
}

async fn duplex(ctx: Ctx) -> Outcome {
    let peer = Peer::after(&ctx, Script::new().head().headers(&[OK]).echo())?;
    let (gates, last) = ((0..3).map(|_| Gate::new()).collect::<Vec<_>>(), 3);
    let of_producer = gates.clone();
    // A piece leaves when the one before has come back.
    let pieces = stream::iter(0..=last).then(move |piece: usize| {
        let gate = piece.checked_sub(1).map(|before| of_producer[before].clone());
        async move {
            if let Some(gate) = gate {
                gate.opened().await;
            }
            Ok::<_, std::io::Error>(format!("piece {piece};"))
        }
    });
    let mut response = peer.head(peer.post("/first").body(Body::stream(pieces))).await?;
    let mut got = String::new();
    while let Some(chunk) = ctx.wait("the next piece has come back", response.chunk()).await? {
        got.push_str(&String::from_utf8_lossy(&chunk));
        let whole = got.matches(';').count();
        gates.iter().take(whole).for_each(Gate::open);
    }
    ensure_eq!(got, "piece 0;piece 1;piece 2;piece 3;", "what came back");
    drop(response);
    peer.next_is_same().await
}

async fn reset(ctx: Ctx, code: u32) -> Outcome {
    let peer = Peer::after(&ctx, Script::new().request().send(Frame::reset(code)))?;
    peer.fails(peer.post("/first").body("order"), &[ErrorKind::Closed]).await?;
    peer.next_is_same().await?;
    let orders = peer.server.requests().iter().filter(|request| request.body == b"order").count();
    ensure_eq!(orders, 1, "orders that the server has seen");
    Ok(())
}

async fn reset_in_body(ctx: Ctx, code: u32) -> Outcome {
    let peer = Peer::after(&ctx, Script::new().request().headers(&[OK]).data("hello").send(Frame::reset(code)))?;
    peer.fails(peer.get("/first"), &[ErrorKind::Closed]).await?;
    peer.next_is_same().await
}

async fn reset_leaves_others(ctx: Ctx) -> Outcome {
    let script = Script::new().nth(0).headers(&[OK]).data("half").nth(1).send(Frame::reset(code::INTERNAL_ERROR));
    let gate = Gate::new();
    let peer = Peer::start(&ctx, [script.wait(&gate).nth(0).last_data(" a body")])?;
    let response = peer.head(peer.get("/whole")).await?;
    peer.fails(peer.get("/reset"), &[ErrorKind::Closed]).await?;
    gate.open();
    ensure_eq!(ctx.wait("the other body has arrived", response.bytes()).await?, "half a body", "body");
    Ok(())
}

async fn refused_post(ctx: Ctx) -> Outcome {
    let peer = Peer::after(&ctx, Script::new().request().send(Frame::reset(code::REFUSED_STREAM)))?;
    let got = peer.whole(peer.post("/order").body("two pizzas")).await?;
    ensure!(got.body == "same" || got.body == "fresh", "body {:?}", got.body);
    let orders = peer.server.requests();
    ensure_eq!(orders.len(), 2, "requests that the server has seen");
    ensure!(orders.iter().all(|request| request.body == b"two pizzas"), "a body differs");
    Ok(())
}

async fn refused_for_ever(ctx: Ctx) -> Outcome {
    let peer = Peer::start(&ctx, [Script::new().request().send(Frame::reset(code::REFUSED_STREAM)).repeat()])?;
    match peer.whole(peer.get("/")).await {
        Ok(got) => return Err(Stop::failed(format!("it is answered, with {}", got.status))),
        Err(error) => {
            ensure_eq!(error.kind(), ErrorKind::Closed, "kind of {error:?}");
            ensure_eq!(error.sent(), Sent::Nothing, "what the server has acted on");
        }
    }
    let requests = peer.server.requests().len();
    ensure!(requests <= 10, "it was asked {requests} times");
    Ok(())
}

async fn go_away_after(ctx: Ctx, last: Option<u32>) -> Outcome {
    let go_away = match last {
        Some(last) => Frame::go_away(last, code::NO_ERROR),
        None => Frame::go_away_after(code::NO_ERROR),
    };
    let gate = Gate::new();
    let script = Script::new().request().send(go_away).headers(&[OK]).data("half").wait(&gate).last_data(" a body");
    let peer = Peer::after(&ctx, script)?;
    let response = peer.head(peer.get("/first")).await?;
    peer.next_is_fresh().await?;
    gate.open();
    ensure_eq!(ctx.wait("the body has arrived", response.bytes()).await?, "half a body", "body");
    ctx.wait("the engine closes the connection that went away", peer.connection().closed_by_client())
        .await;
    Ok(())
}

async fn go_away_before(ctx: Ctx) -> Outcome {
    let peer = Peer::after(&ctx, Script::new().request().send(Frame::go_away_before(code::NO_ERROR)))?;
    peer.answers(peer.post("/order").body("two pizzas"), "fresh").await?;
    let orders = peer.server.requests();
    ensure_eq!(orders.len(), 2, "requests that the server has seen");
    ensure_eq!(orders[1].body, b"two pizzas", "the body that is sent again");
    Ok(())
}

async fn go_away_with_error(ctx: Ctx) -> Outcome {
    let script = Script::new().request().send(Frame::go_away_after(code::ENHANCE_YOUR_CALM)).half_close();
    let peer = Peer::after(&ctx, script)?;
    peer.fails(peer.post("/order").body("two pizzas"), &[ErrorKind::Closed]).await?;
    ensure_eq!(peer.server.requests().len(), 1, "requests that the server has seen");
    peer.next_is_fresh().await
}

async fn go_away_when_idle(ctx: Ctx) -> Outcome {
    let (gate, gone) = (Gate::new(), Gate::new());
    let go_away = Script::reply("first").wait(&gate).send(Frame::go_away_after(code::NO_ERROR));
    let peer = Peer::after(&ctx, go_away.half_close().opens(&gone))?;
    peer.brings("/first", "first").await?;
    gate.open();
    ctx.wait("the server has said that it goes away", gone.opened()).await;
    peer.next_is_fresh().await?;
    // When it notices is its own affair: at once, or when it needs a connection.
    ctx.wait("the engine closes the connection that went away", peer.connection().closed_by_client())
        .await;
    Ok(())
}

async fn closes(ctx: Ctx, script: Script) -> Outcome {
    let peer = Peer::after(&ctx, script)?;
    peer.fails(peer.post("/order").body("two pizzas"), &[ErrorKind::Closed]).await?;
    ensure_eq!(peer.server.requests().len(), 1, "requests that the server has seen");
    peer.next_is_fresh().await
}

async fn close_when_idle(ctx: Ctx) -> Outcome {
    let peer = Peer::after(&ctx, Script::reply("first").half_close())?;
    peer.brings("/first", "first").await?;
    peer.next_is_fresh().await
}

async fn close_under_post(ctx: Ctx) -> Outcome {
    let peer = Peer::after(&ctx, Script::reply("first").request().close())?;
    peer.brings("/first", "first").await?;
    peer.fails(peer.post("/order").body("two pizzas"), &[ErrorKind::Closed]).await?;
    let orders = peer.server.requests().iter().filter(|request| request.path() == "/order").count();
    ensure_eq!(orders, 1, "orders that the server has seen");
    peer.next_is_fresh().await
}

async fn close_fails_all(ctx: Ctx) -> Outcome {
    let script = (0..5).fold(Script::new(), |script, request| script.nth(request).request_end());
    let peer = Peer::after(&ctx, script.close())?;
    let kinds = [ErrorKind::Closed];
    all((0..5).map(|_| async { peer.fails(peer.post("/order").body("two pizzas"), &kinds).await.map(drop) })).await?;
    ensure_eq!(peer.server.requests().len(), 5, "requests that the server has seen");
    peer.next_is_fresh().await
}
