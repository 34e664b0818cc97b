//! The content of a request: it arrives whole, or the call fails; and the server is never told otherwise (RFC 9112 §6, §8).

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use client_core::{Body, ErrorKind, HeaderMap, HeaderValue};
use futures_util::{StreamExt, stream};

use super::probe::OK;
use crate::case::{Outcome, Stop, ensure, ensure_eq};
use crate::ctx::{Ctx, Expect};
use crate::servers::{Gate, Raw, Script, pattern};

cases! {
    request_bodies(ctx): "The content of a request";

    empty [Http1] "RFC 9112 §6.2", "An empty body arrives" => full(ctx, 0);
    one_byte [Http1] "Ktor: sizes around buffer edges", "A body of 1 byte arrives" => full(ctx, 1);
    size_4095 [Http1] "Ktor: sizes around buffer edges", "A body of 4095 bytes arrives" => full(ctx, 4095);
    size_4096 [Http1] "Ktor: sizes around buffer edges", "A body of 4096 bytes arrives" => full(ctx, 4096);
    size_4097 [Http1] "Ktor: sizes around buffer edges", "A body of 4097 bytes arrives" => full(ctx, 4097);
    size_8175 [Http1] "Ktor: download of 8175 bytes", "A body of 8175 bytes arrives" => full(ctx, 8175);
    size_65535 [Http1] "RFC 9113 §6.9.2: the initial window", "A body of 65535 bytes arrives" => full(ctx, 65535);
    size_65537 [Http1] "RFC 9113 §6.9.2: the initial window", "A body of 65537 bytes arrives" => full(ctx, 65537);
    size_mebibyte [Http1] "Ktor: sizes around buffer edges", "A body of 1 MiB and 1 byte arrives" => full(ctx, (1 << 20) + 1);
    streamed_empty [Http1, StreamingUpload] "RFC 9112 §7.1", "A streamed body may turn out empty" => streamed(ctx, 0, 1);
    streamed_in_bytes [Http1, StreamingUpload] "RFC 9112 §7.1", "A streamed body may come byte by byte" => streamed(ctx, 300, 1);
    streamed_edges [Http1, StreamingUpload] "Ktor: sizes around buffer edges",
        "A streamed body may come in pieces around a buffer's size" => streamed(ctx, 65537, 4097);
    streamed_mebibyte [Http1, StreamingUpload] "Ktor: sizes around buffer edges", "A streamed body of 1 MiB arrives" =>
        streamed(ctx, 1 << 20, 65536);
    empty_pieces [Http1, StreamingUpload] "RFC 9112 §7.1: a chunk of size 0 ends the body",
        "Empty pieces of a stream do not end the body" => empty_pieces(ctx);
    sized_stream [Http1] "RFC 9112 §6.2", "A stream of known length is sent with Content-Length" => sized(ctx, 10_000, 10_000);
    sized_too_short [Http1] "RFC 9112 §8", "A stream shorter than declared fails the call" => lies(ctx, 9_000);
    sized_too_long [Http1] "RFC 9112 §8: request smuggling", "A stream longer than declared: not a byte more is sent" =>
        lies(ctx, 11_000);
    declared_by_user [Http1] "RFC 9112 §6.2", "A Content-Length of the user's is the length of his stream" => declared(ctx);
    reopened [Http1] "DESIGN: bodies know whether they can be replayed", "A body that is made when it is sent arrives" =>
        reopened(ctx);
    producer_fails_early [Http1, StreamingUpload] "RFC 9112 §8",
        "A producer that fails at once fails the call as its own failure" => producer_fails(ctx, 0);
    producer_fails_halfway [Http1, StreamingUpload] "RFC 9112 §8; Ktor KTOR-5518",
        "A producer that fails half-way: no request is completed" => producer_fails(ctx, 10);
    sent_as_produced [Http1, StreamingUpload] "DESIGN: bodies are sent as they are produced",
        "A piece leaves before the next one is there" => as_produced(ctx);
    bounded_upload [Http1, StreamingUpload] "Ktor KTOR-6185: out of memory",
        "A server that reads nothing holds the producer back" => bounded(ctx);
    answer_before_end [Http1, StreamingUpload, Duplex] "RFC 9112 §9.5", "An answer is there before the upload is over" =>
        duplex(ctx);
    early_answer_and_close [Http1] "RFC 9112 §9.5; curl, hyper#2431",
        "413 in the middle of an upload is read, though the server then closes" => early_answer(ctx);
    trailers [Http1, RequestTrailers] "RFC 9112 §7.1.2", "Trailers follow the body" => trailers(ctx);
    trailers_announced [Http1, RequestTrailers] "RFC 9110 §6.6.2", "A Trailer field of the user's is not repeated" => announced(ctx);
    trailers_after_nothing [Http1, RequestTrailers] "RFC 9112 §7.1.2", "Trailers may follow an empty body" => trailers_only(ctx);
    producer_is_dropped [Http1, StreamingUpload] "DESIGN: cancellation is drop", "A cancelled upload drops its producer" =>
        dropped(ctx);
}

type Piece = io::Result<Bytes>;

fn in_pieces(bytes: Bytes, size: usize) -> impl futures_util::Stream<Item = Piece> + Send + 'static {
    stream::iter(bytes.chunks(size).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect::<Vec<_>>())
}

/// Posts the body and returns what the server took it for.
async fn arrives(ctx: &Ctx, body: Body, expected: &[u8]) -> Result<Arc<Raw>, Stop> {
    let server = ctx.raw(Script::reply(OK));
    let sent = ctx.client()?.post(server.url("/")).body(body).send();
    ctx.wait("the answer has arrived", sent).await.expect_body("ok").await?;
    let requests = server.requests();
    ensure_eq!(requests.len(), 1, "number of requests");
    ensure_eq!(requests[0].body.len(), expected.len(), "length of the body");
    ensure!(requests[0].body == expected, "the body differs");
    Ok(server)
}

async fn full(ctx: Ctx, size: usize) -> Outcome {
    let server = arrives(&ctx, Body::from(pattern(size)), &pattern(size)).await?;
    ensure_eq!(server.requests()[0].field("content-length"), Some(size.to_string()), "Content-Length");
    Ok(())
}

async fn streamed(ctx: Ctx, size: usize, piece: usize) -> Outcome {
    let body = Body::stream(in_pieces(pattern(size), piece));
    arrives(&ctx, body, &pattern(size)).await.map(drop)
}

async fn empty_pieces(ctx: Ctx) -> Outcome {
    let pieces = ["", "a", "", "", "b", ""].map(Ok::<_, io::Error>);
    arrives(&ctx, Body::stream(stream::iter(pieces)), b"ab").await.map(drop)
}

async fn sized(ctx: Ctx, declared: u64, size: usize) -> Outcome {
    let body = Body::sized_stream(declared, in_pieces(pattern(size), 999));
    let server = arrives(&ctx, body, &pattern(size)).await?;
    ensure_eq!(server.requests()[0].field("content-length"), Some(declared.to_string()), "Content-Length");
    Ok(())
}

async fn lies(ctx: Ctx, size: usize) -> Outcome {
    let server = ctx.raw(Script::reply(OK));
    let body = Body::sized_stream(10_000, in_pieces(pattern(size), 1000));
    let sent = ctx.client()?.post(server.url("/")).body(body).send();
    match ctx.wait("the call is over", sent).await {
        Err(error) => ensure_eq!(error.kind(), ErrorKind::Body, "kind of {error:?}"),
        // Whoever has sent what was declared need not ask whether there is more.
        Ok(_) => ensure!(size > 10_000, "the call succeeds"),
    }
    // Not one byte more than was declared, whatever the producer makes.
    let received = server.connection(0).received();
    let head = received.windows(4).position(|window| window == b"\r\n\r\n").map_or(received.len(), |at| at + 4);
    ensure!(received.len() - head <= 10_000, "{} bytes of body were sent", received.len() - head);
    Ok(())
}

async fn declared(ctx: Ctx) -> Outcome {
    let server = ctx.raw(Script::reply(OK));
    let body = Body::stream(in_pieces(pattern(5000), 999));
    let request = ctx.client()?.post(server.url("/")).header("content-length", "5000").body(body);
    ctx.wait("the answer has arrived", request.send()).await.expect_body("ok").await?;
    let request = &server.requests()[0];
    ensure_eq!(ctx.names(&request.fields), ["content-length", "host"], "the names of all fields");
    ensure!(request.body == pattern(5000), "the body differs");
    Ok(())
}

async fn reopened(ctx: Ctx) -> Outcome {
    let body = Body::reopen(Some(5000), || Body::stream(in_pieces(pattern(5000), 999)));
    arrives(&ctx, body, &pattern(5000)).await.map(drop)
}

async fn producer_fails(ctx: Ctx, pieces: usize) -> Outcome {
    let server = ctx.raw(Script::reply(OK));
    let good = stream::iter((0..pieces).map(|_| Ok(pattern(1000))).collect::<Vec<_>>());
    let bad = stream::iter([Err(io::Error::other("disk on fire"))]);
    let sent = ctx.client()?.post(server.url("/")).body(Body::stream(good.chain(bad))).send();
    let Err(error) = ctx.wait("the call fails", sent).await else {
        return Err(Stop::failed("the call succeeds"));
    };
    ensure_eq!(error.kind(), ErrorKind::Body, "kind of {error:?}");
    ensure!(format!("{error}").contains("disk on fire"), "the producer's own words are lost: {error}");
    ensure_eq!(server.requests().len(), 0, "number of complete requests");
    Ok(())
}

async fn as_produced(ctx: Ctx) -> Outcome {
    let first_is_here = Gate::new();
    let server = ctx.raw(Script::reply(OK));
    let held = first_is_here.clone();
    let second = stream::once(async move {
        held.opened().await;
        Ok::<_, io::Error>("second")
    });
    let body = Body::stream(stream::iter([Ok("first")]).chain(Box::pin(second)));
    let sent = ctx.client()?.post(server.url("/")).body(body).send();
    let connection = server.connection(0);
    let watching = async {
        ctx.wait(
            "the first piece is there, before there is a second",
            connection.until_received(|bytes| contains(bytes, b"first")),
        )
        .await;
        first_is_here.open();
    };
    let (answer, ()) = futures_util::future::join(sent, watching).await;
    ctx.wait("the answer has arrived", answer.expect_body("ok")).await
}

pub(super) fn contains(bytes: &[u8], needle: &[u8]) -> bool {
    bytes.windows(needle.len()).any(|window| window == needle)
}

/// An engine may buffer, but not without end.
async fn bounded(ctx: Ctx) -> Outcome {
    const BOUND: usize = 64 << 20;
    let is_over = Gate::new();
    let server = ctx.raw(Script::new().stop_reading().wait(&is_over).read_again());
    let (produced, mut watched) = tokio::sync::watch::channel(0usize);
    let piece = pattern(64 << 10);
    let endless = stream::unfold(produced, move |produced| {
        let piece = piece.clone();
        async move {
            produced.send_modify(|total| *total += piece.len());
            // The most that is tolerated; whoever comes here has failed.
            let total = *produced.borrow();
            (total < BOUND).then_some((Ok::<_, io::Error>(piece), produced))
        }
    });
    let sent = ctx.client()?.post(server.url("/")).body(Body::stream(endless)).send();
    // Held back: nothing more is asked for, for as long as no healthy upload would pause.
    let held_back = async {
        loop {
            let grown = Box::pin(watched.changed());
            match futures_util::future::select(grown, Box::pin(ctx.sleep(Duration::from_millis(500)))).await {
                futures_util::future::Either::Left((Ok(()), _)) => {}
                _ => break,
            }
        }
    };
    futures_util::future::select(Box::pin(sent), Box::pin(held_back)).await;
    is_over.open();
    let total = *watched.borrow();
    ensure!(total < BOUND, "the engine took {total} bytes that nobody read");
    Ok(())
}

async fn duplex(ctx: Ctx) -> Outcome {
    let answered = Gate::new();
    let script = Script::new()
        .received("first")
        .send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n");
    let server = ctx.raw(script.received("0\r\n\r\n").send("0\r\n\r\n"));
    let held = answered.clone();
    let second = stream::once(async move {
        held.opened().await;
        Ok::<_, io::Error>("second")
    });
    let body = Body::stream(stream::iter([Ok("first")]).chain(Box::pin(second)));
    let sent = ctx.client()?.post(server.url("/")).body(body).send();
    let mut response = ctx.wait("the answer is there before the upload is over", sent).await?;
    let chunk = ctx.wait("a part of the answer is there before the upload is over", response.chunk()).await?;
    ensure_eq!(chunk.as_deref(), Some(&b"hello"[..]), "chunk");
    answered.open();
    let rest = ctx.wait("the answer ends after the upload", response.chunk()).await?;
    ensure_eq!(rest, None, "rest");
    ensure_eq!(server.requests()[0].body, b"firstsecond", "body of the request");
    Ok(())
}

/// The server reads the head and some of the body, answers, and says that it will close; what it does not read is lost.
async fn early_answer(ctx: Ctx) -> Outcome {
    let reply = "HTTP/1.1 413 Content Too Large\r\nConnection: close\r\nContent-Length: 8\r\n\r\ntoo much";
    let server = ctx.raw(Script::new().head().send(reply).half_close());
    let sent = ctx.client()?.post(server.url("/")).body(pattern(4 << 20)).send();
    let response = ctx.wait("the early answer has arrived", sent).await?;
    ensure_eq!(response.status(), 413, "status");
    let body = ctx.wait("its body has arrived", response.bytes()).await?;
    ensure_eq!(body, "too much", "body");
    Ok(())
}

fn sum() -> HeaderMap {
    HeaderMap::from_iter([(client_core::HeaderName::from_static("x-sum"), HeaderValue::from_static("1"))])
}

async fn trailers(ctx: Ctx) -> Outcome {
    let server = arrives(&ctx, Body::from("hello").with_trailers(sum()), b"hello").await?;
    ensure_eq!(server.requests()[0].trailers, [("x-sum".to_owned(), b"1".to_vec())], "trailers");
    Ok(())
}

async fn announced(ctx: Ctx) -> Outcome {
    let server = ctx.raw(Script::reply(OK));
    let body = Body::from("hello").with_trailers(sum());
    let sent = ctx.client()?.post(server.url("/")).header("trailer", "X-Sum").body(body).send();
    ctx.wait("the answer has arrived", sent).await.expect_body("ok").await?;
    let requests = server.requests();
    ensure_eq!(
        requests[0].field("trailer").map(|names| names.to_ascii_lowercase()),
        Some("x-sum".to_owned()),
        "Trailer"
    );
    ensure_eq!(requests[0].trailers, [("x-sum".to_owned(), b"1".to_vec())], "trailers");
    Ok(())
}

async fn trailers_only(ctx: Ctx) -> Outcome {
    let server = arrives(&ctx, Body::empty().with_trailers(sum()), b"").await?;
    ensure_eq!(server.requests()[0].trailers, [("x-sum".to_owned(), b"1".to_vec())], "trailers");
    Ok(())
}

async fn dropped(ctx: Ctx) -> Outcome {
    let alive = Arc::new(());
    let watched = Arc::downgrade(&alive);
    let server = ctx.raw(Script::new());
    let first = stream::iter([Ok::<_, io::Error>("first")]);
    let for_ever = stream::once(async move {
        std::future::pending::<()>().await;
        drop(alive);
        Ok("never")
    });
    let sent = ctx.client()?.post(server.url("/")).body(Body::stream(first.chain(Box::pin(for_ever)))).send();
    let connection = server.connection(0);
    let begun = connection.until_received(|bytes| contains(bytes, b"first"));
    futures_util::future::select(Box::pin(sent), Box::pin(begun)).await;
    ctx.wait("the engine closes the connection", connection.closed_by_client()).await;
    // Whoever closes the connection has let go of the producer before, or does so next.
    while watched.upgrade().is_some() {
        ctx.wait("the producer is dropped", ctx.sleep(Duration::from_millis(1))).await;
    }
    Ok(())
}
