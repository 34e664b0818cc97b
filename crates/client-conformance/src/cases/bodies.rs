//! The content of a response as its reader gets it: whole, untouched, at the reader's pace, and no further than he wants.

use std::time::Duration;

use client_core::{ErrorKind, HeaderValue};

use super::probe::{brings, next, server};
use crate::case::{Outcome, Stop, ensure, ensure_eq};
use crate::ctx::{Ctx, Expect};
use crate::servers::{Gate, Script, pattern};

cases! {
    bodies(ctx): "The content of a response";

    empty [] "RFC 9110 §6.4", "An empty body arrives" => sized(ctx, 0);
    one_byte [] "Ktor: sizes around buffer edges", "A body of 1 byte arrives" => sized(ctx, 1);
    size_4095 [] "Ktor: sizes around buffer edges", "A body of 4095 bytes arrives" => sized(ctx, 4095);
    size_4096 [] "Ktor: sizes around buffer edges", "A body of 4096 bytes arrives" => sized(ctx, 4096);
    size_4097 [] "Ktor: sizes around buffer edges", "A body of 4097 bytes arrives" => sized(ctx, 4097);
    size_8175 [] "Ktor: download of 8175 bytes", "A body of 8175 bytes arrives, a hundred times" => hundred(ctx);
    size_65535 [] "RFC 9113 §6.9.2: the initial window", "A body of 65535 bytes arrives" => sized(ctx, 65535);
    size_65537 [] "RFC 9113 §6.9.2: the initial window", "A body of 65537 bytes arrives" => sized(ctx, 65537);
    size_mebibytes [] "Ktor: sizes around buffer edges", "A body of 4 MiB and 1 byte arrives" => sized(ctx, (4 << 20) + 1);
    unsized_empty [] "RFC 9112 §7.1", "An empty body of unknown length arrives" => of_unknown_length(ctx, 0);
    unsized_small [] "RFC 9112 §7.1", "A body of unknown length arrives" => of_unknown_length(ctx, 999);
    unsized_large [] "RFC 9112 §7.1", "A large body of unknown length arrives" => of_unknown_length(ctx, 300_001);
    until_close_large [Http1] "RFC 9112 §6.3 rule 8", "A large body that lasts until the server closes arrives" =>
        until_close(ctx);
    byte_by_byte [] "Ktor: trickled body", "A body that comes byte by byte arrives" => drip(ctx);
    as_it_comes [Http1] "DESIGN: returns at the headers", "The head is there before the body, a piece before the next one" =>
        as_it_comes(ctx);
    length_is_known [] "RFC 9110 §8.6", "The length that was announced is told, and counts down" => length_is_known(ctx);
    length_is_unknown [] "RFC 9112 §7.1", "Where none was announced, no length is told" => length_is_unknown(ctx);
    end_stays_the_end [] "http-body: polled after its end", "Asking again after the end is the end again" => end_stays(ctx);
    echo [StreamingUpload] "RFC 9110 §9.3.3", "What was sent comes back" => echo(ctx);
    not_decoded [] "DESIGN: decoding is a plugin's; Ktor KTOR-7943", "A gzip body arrives as it was sent, with its fields" =>
        not_decoded(ctx);
    announced_but_not_decoded [] "DESIGN: decoding is a plugin's", "It is not decoded either if Accept-Encoding was set" =>
        asked_for_gzip(ctx);
    trailers [ResponseTrailers] "RFC 9110 §6.5", "Trailers are there after the body" => trailers(ctx);
    trailers_raw [Http1, ResponseTrailers] "RFC 9112 §7.1.2", "Trailers that were not announced are there too" =>
        trailers_raw(ctx);
    back_pressure [Http1] "Ktor KTOR-9527: back-pressure never wired", "A body that is not read is not sent" =>
        back_pressure(ctx);
    slow_reader [Http1] "Ktor: DownloadTest with a slow consumer", "A reader who pauses loses nothing" => slow_reader(ctx);
    too_large_announced [] "Limits::body_bytes", "A body whose announced length is over the limit is not read" =>
        too_large(ctx, "/bytes/5001");
    too_large_unannounced [] "Limits::body_bytes", "A body that turns out longer than the limit is not read on" =>
        too_large(ctx, "/chunked/5001");
    as_large_as_allowed [] "Limits::body_bytes", "A body as long as the limit is read" => as_large_as_allowed(ctx);
    announced_8_gib [Http1] "Ktor KTOR-6851: beyond 32 bits", "A body of 8 GiB can be begun and left" => huge(ctx);
    unread [] "Ktor: testIgnoreBody", "Bodies that are never read are in nobody's way" => unread(ctx);
    partly_read [] "Ktor: read a little and leave", "Bodies that are half read are in nobody's way" => partly_read(ctx);
    dropped_late [] "DESIGN: cancellation is drop", "A response may be dropped long after its body has arrived" =>
        dropped_late(ctx);
}

async fn sized(ctx: Ctx, size: usize) -> Outcome {
    brings(&ctx, &ctx.app().url(&format!("/bytes/{size}")), pattern(size)).await
}

async fn hundred(ctx: Ctx) -> Outcome {
    for _ in 0..100 {
        brings(&ctx, &ctx.app().url("/bytes/8175"), pattern(8175)).await?;
    }
    Ok(())
}

async fn of_unknown_length(ctx: Ctx, size: usize) -> Outcome {
    brings(&ctx, &ctx.app().url(&format!("/chunked/{size}")), pattern(size)).await
}

async fn until_close(ctx: Ctx) -> Outcome {
    let size = 1 << 20;
    let server = ctx.raw(Script::reply("HTTP/1.1 200 OK\r\n\r\n").send(pattern(size)).half_close());
    brings(&ctx, &server.url("/"), pattern(size)).await
}

async fn drip(ctx: Ctx) -> Outcome {
    brings(&ctx, &ctx.app().url("/drip/50/1"), pattern(50)).await
}

/// The server sends each part only when the reader has seen the one before.
async fn as_it_comes(ctx: Ctx) -> Outcome {
    let (head_seen, first_seen) = (Gate::new(), Gate::new());
    let script = Script::reply("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n").wait(&head_seen).send("first");
    let server = ctx.raw(script.wait(&first_seen).send("other"));
    let mut response = ctx.wait("the head is there before the body", ctx.client()?.get(server.url("/")).send()).await?;
    head_seen.open();
    let first = ctx.wait("the first piece is there before the second", response.chunk()).await?;
    ensure_eq!(first.as_deref(), Some(&b"first"[..]), "first piece");
    first_seen.open();
    let rest = ctx.wait("the rest is there", response.bytes()).await?;
    ensure_eq!(rest, "other", "rest");
    Ok(())
}

async fn length_is_known(ctx: Ctx) -> Outcome {
    let sent = ctx.client()?.get(ctx.app().url("/bytes/5000")).send();
    let mut response = ctx.wait("the head has arrived", sent).await?;
    ensure_eq!(response.content_length(), Some(5000), "length");
    let mut left = 5000;
    while let Some(chunk) = ctx.wait("the next piece has arrived", response.chunk()).await? {
        left -= chunk.len() as u64;
        ensure_eq!(response.content_length(), Some(left), "length that is left");
    }
    Ok(())
}

async fn length_is_unknown(ctx: Ctx) -> Outcome {
    let response = ctx.wait("the head has arrived", ctx.client()?.get(ctx.app().url("/chunked/5000")).send()).await?;
    ensure_eq!(response.content_length(), None, "length");
    ensure_eq!(response.bytes().await?, pattern(5000), "body");
    Ok(())
}

async fn end_stays(ctx: Ctx) -> Outcome {
    for path in ["/bytes/10", "/chunked/10", "/status/204"] {
        let mut response = ctx.wait("the head has arrived", ctx.client()?.get(ctx.app().url(path)).send()).await?;
        while ctx.wait("the next piece has arrived", response.chunk()).await?.is_some() {}
        for _ in 0..3 {
            ensure_eq!(ctx.wait("the end is the end again", response.chunk()).await?, None, "after the end of {path}");
        }
    }
    Ok(())
}

async fn echo(ctx: Ctx) -> Outcome {
    let pieces: Vec<_> = (0..50).map(|index| Ok::<_, std::io::Error>(pattern(index * 37))).collect();
    let expected: Vec<u8> = pieces.iter().flatten().flat_map(|piece| piece.to_vec()).collect();
    let body = client_core::Body::stream(futures_util::stream::iter(pieces));
    let sent = ctx.client()?.post(ctx.app().url("/echo")).body(body).send();
    let answer = ctx.wait("the answer has arrived", sent).await;
    ctx.wait("the body has arrived", answer.expect_body(expected)).await
}

async fn not_decoded(ctx: Ctx) -> Outcome {
    gzip(&ctx, ctx.client()?.get(ctx.app().url("/gzip"))).await
}

async fn asked_for_gzip(ctx: Ctx) -> Outcome {
    gzip(&ctx, ctx.client()?.get(ctx.app().url("/gzip")).header("accept-encoding", "gzip")).await
}

async fn gzip(ctx: &Ctx, request: client_core::RequestBuilder) -> Outcome {
    let response = ctx.wait("the answer has arrived", request.send()).await?;
    ensure_eq!(
        response.headers().get("content-encoding"),
        Some(&HeaderValue::from_static("gzip")),
        "Content-Encoding"
    );
    ensure_eq!(response.headers().get("content-length"), Some(&HeaderValue::from_static("28")), "Content-Length");
    let body = response.bytes().await?;
    ensure_eq!((body.len(), body.starts_with(b"\x1f\x8b\x08")), (28, true), "length, and whether it is gzip");
    Ok(())
}

async fn trailers(ctx: Ctx) -> Outcome {
    // A client says that it wants them (RFC 9110 §10.1.4); over HTTP/2 servers send them anyway.
    let request = ctx.client()?.get(ctx.app().url("/trailers")).header("te", "trailers").header("connection", "te");
    let mut response = ctx.wait("the head has arrived", request.send()).await?;
    let mut body = Vec::new();
    while let Some(chunk) = ctx.wait("the body has arrived", response.chunk()).await? {
        body.extend_from_slice(&chunk);
    }
    ensure_eq!(body, b"hello", "body");
    let sum = response.trailers().and_then(|trailers| trailers.get("x-checksum"));
    ensure_eq!(sum, Some(&HeaderValue::from_static("5d41402a")), "the trailer X-Checksum");
    Ok(())
}

async fn trailers_raw(ctx: Ctx) -> Outcome {
    let reply = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX-Sum: 1\r\nX-Sum: 2\r\n\r\n";
    let server = server(&ctx, Script::reply(reply));
    let mut response = ctx.wait("the head has arrived", ctx.client()?.get(server.url("/")).send()).await?;
    let mut body = Vec::new();
    while let Some(chunk) = ctx.wait("the body has arrived", response.chunk()).await? {
        body.extend_from_slice(&chunk);
    }
    ensure_eq!(body, b"hello", "body");
    let trailers = response.trailers().ok_or_else(|| Stop::failed("no trailers"))?;
    ensure_eq!(trailers.get_all("x-sum").iter().collect::<Vec<_>>(), ["1", "2"], "the trailers X-Sum");
    next(&ctx, &server).await.map(drop)
}

/// What the kernels of both sides and an engine's own buffers may hold.
const BOUND: usize = 48 << 20;

async fn back_pressure(ctx: Ctx) -> Outcome {
    let server = ctx.raw(Script::reply("HTTP/1.1 200 OK\r\n\r\n").flood(pattern(64 << 10)));
    let response = ctx.wait("the head has arrived", ctx.client()?.get(server.url("/")).send()).await?;
    let connection = server.connection(0);
    // Held back: nothing more is taken, for as long as no healthy download would pause.
    loop {
        let before = connection.sent();
        ensure!(before < BOUND, "the engine took {before} bytes that nobody reads");
        ctx.sleep(Duration::from_millis(300)).await;
        if connection.sent() == before {
            break;
        }
    }
    drop(response);
    ctx.wait("the engine closes the connection", connection.closed_by_client()).await;
    Ok(())
}

async fn slow_reader(ctx: Ctx) -> Outcome {
    let size = 8 << 20;
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {size}\r\n\r\n");
    let server = ctx.raw(Script::reply(head).send(pattern(size)));
    let mut response = ctx.wait("the head has arrived", ctx.client()?.get(server.url("/")).send()).await?;
    let mut got = Vec::new();
    let mut pause_at = 0;
    while let Some(chunk) = ctx.wait("the next piece has arrived", response.chunk()).await? {
        got.extend_from_slice(&chunk);
        if got.len() >= pause_at {
            ctx.sleep(Duration::from_millis(5)).await;
            pause_at += 1 << 20;
        }
    }
    ensure_eq!(got.len(), size, "length");
    ensure!(got == pattern(size), "the body differs");
    Ok(())
}

async fn too_large(ctx: Ctx, path: &'static str) -> Outcome {
    let request = ctx.client()?.get(ctx.app().url(path)).limits(|limits| limits.body_bytes(5000));
    let response = ctx.wait("the head has arrived", request.send()).await?;
    let outcome = ctx.wait("the body is refused", response.bytes()).await;
    ensure_eq!(outcome.map_err(|error| error.kind()), Err(ErrorKind::TooLarge), "outcome");
    Ok(())
}

async fn as_large_as_allowed(ctx: Ctx) -> Outcome {
    for path in ["/bytes/5000", "/chunked/5000"] {
        let request = ctx.client()?.get(ctx.app().url(path)).limits(|limits| limits.body_bytes(5000));
        ctx.wait("the answer has arrived", request.send()).await.expect_body(pattern(5000)).await?;
    }
    Ok(())
}

async fn huge(ctx: Ctx) -> Outcome {
    let reply = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", 8u64 << 30);
    let server = ctx.raws([
        Script::reply(reply).flood(pattern(64 << 10)),
        Script::reply(super::probe::FRESH),
    ]);
    let mut response = ctx.wait("the head has arrived", ctx.client()?.get(server.url("/")).send()).await?;
    ensure_eq!(response.content_length(), Some(8 << 30), "length");
    let first = ctx.wait("the first piece has arrived", response.chunk()).await?;
    ensure!(first.is_some_and(|chunk| chunk[0] == 0), "the first piece differs");
    drop(response);
    ctx.wait("the engine closes the connection", server.connection(0).closed_by_client()).await;
    ensure_eq!(next(&ctx, &server).await?, "fresh", "the connection of the next exchange");
    Ok(())
}

async fn unread(ctx: Ctx) -> Outcome {
    for size in [10, 5000, 500_000] {
        for path in [format!("/bytes/{size}"), format!("/chunked/{size}")] {
            let response = ctx.wait("the head has arrived", ctx.client()?.get(ctx.app().url(&path)).send()).await?;
            drop(response);
            brings(&ctx, &ctx.app().url("/"), "hello").await?;
        }
    }
    Ok(())
}

async fn partly_read(ctx: Ctx) -> Outcome {
    for path in ["/bytes/500000", "/chunked/500000", "/drip/1000/1"] {
        let mut response = ctx.wait("the head has arrived", ctx.client()?.get(ctx.app().url(path)).send()).await?;
        let chunk = ctx.wait("a piece has arrived", response.chunk()).await?;
        ensure!(chunk.is_some_and(|chunk| chunk[0] == 0), "the first piece of {path} differs");
        drop(response);
        brings(&ctx, &ctx.app().url("/"), "hello").await?;
    }
    Ok(())
}

async fn dropped_late(ctx: Ctx) -> Outcome {
    let server = ctx.app();
    let response = ctx.wait("the head has arrived", ctx.client()?.get(server.url("/bytes/100")).send()).await?;
    brings(&ctx, &server.url("/bytes/200"), pattern(200)).await?;
    drop(response);
    brings(&ctx, &server.url("/bytes/300"), pattern(300)).await
}
