//! Cancellation is drop: at every stage it frees the connection, and what was half-used is never used again.

use std::future::Future;
use std::sync::Arc;

use client_core::{Body, HttpClient};
use futures_util::future::{self, Either};
use futures_util::stream;

use super::probe::{FRESH, OK, brings, next};
use super::request_bodies::contains;
use crate::case::{Outcome, Stop, ensure, ensure_eq};
use crate::ctx::{Ctx, Expect};
use crate::servers::{BlackHole, Gate, Raw, Script};
use crate::subject::Settings;

cases! {
    cancellation(ctx): "Cancellation is drop";

    never_polled [Http1] "DESIGN: cancellation is drop", "A call that is never polled sends nothing" => never_polled(ctx);
    while_connecting [] "Ktor KTOR-5289", "A call may be dropped while it connects" => while_connecting(ctx);
    in_tls_handshake [Tls] "DESIGN: at every await point", "Dropped in the TLS handshake: the connection is closed" =>
        in_handshake(ctx);
    before_head [Http1] "DESIGN: at every await point", "Dropped before the head: the connection is closed" =>
        at(ctx, Script::new(), "\r\n\r\n");
    in_head [Http1] "DESIGN: at every await point", "Dropped in the middle of the head: the connection is closed" =>
        at(ctx, Script::reply("HTTP/1.1 200 OK\r\nContent-"), "\r\n\r\n");
    after_informational [Http1] "DESIGN: at every await point", "Dropped after a 103: the connection is closed" =>
        at(ctx, Script::reply("HTTP/1.1 103 Early Hints\r\nX: 1\r\n\r\n"), "\r\n\r\n");
    before_body [Http1] "Ktor KTOR-9546", "A response dropped before its body: the connection is closed" => in_body(ctx, 0);
    in_body [Http1] "Ktor KTOR-6243, KTOR-9546", "A response dropped in the middle of its body: the connection is closed" =>
        in_body(ctx, 1);
    in_chunk [Http1] "DESIGN: at every await point", "A response dropped in the middle of a chunk: the connection is closed" =>
        in_chunk(ctx);
    in_read [Http1] "DESIGN: at every await point", "A read that is dropped while it waits loses nothing" => in_read(ctx);
    in_upload [Http1, StreamingUpload] "DESIGN: at every await point",
        "Dropped in the middle of the upload: the connection is closed" => in_upload(ctx);
    late_answer [Http1] "Ktor KTOR-9540: a stranger's answer", "The answer to a dropped call is never the answer to another" =>
        late_answer(ctx);
    late_answer_after_reuse [Http1, ConnectionReuse] "Ktor KTOR-9540: a stranger's answer",
        "The same on a connection that was kept" => late_on_kept(ctx);
    a_hundred_times [Http1] "Ktor KTOR-8244: cancelled calls exhaust connections",
        "A hundred dropped calls leave no connection" => hundred(ctx);
    permit_is_returned [Http1] "Ktor KTOR-6127: permits lost on cancellation",
        "With one connection allowed, a dropped call makes room for the next" => permit(ctx);
    waiting_for_permit [Http1] "Ktor KTOR-6127: permits lost on cancellation",
        "A call dropped while it waits for a connection takes none" => waiting(ctx);
    concurrent_untouched [] "Ktor KTOR-9540", "Dropping one call does not disturb another" => untouched(ctx);
}

/// Drives a call until an event, then drops it.
async fn cut<T>(ctx: &Ctx, call: impl Future<Output = T>, event: impl Future<Output = ()>) -> Result<(), Stop> {
    let event = ctx.wait("the call has come to where it is dropped", event);
    match future::select(Box::pin(call), Box::pin(event)).await {
        Either::Left(_) => Err(Stop::failed("the call is over before it could be dropped")),
        Either::Right(_) => Ok(()),
    }
}

async fn closed(ctx: &Ctx, server: &Raw) {
    ctx.wait("the engine closes the connection", server.connection(0).closed_by_client()).await;
}

fn server(ctx: &Ctx, first: Script) -> Arc<Raw> {
    ctx.raws([first, Script::reply(FRESH).repeat()])
}

async fn never_polled(ctx: Ctx) -> Outcome {
    let server = server(&ctx, Script::reply(FRESH));
    drop(ctx.client()?.get(server.url("/never")).send());
    brings(&ctx, &server.url("/then"), "fresh").await?;
    ensure_eq!(server.requests().len(), 1, "number of requests");
    Ok(())
}

async fn while_connecting(ctx: Ctx) -> Outcome {
    let hole = BlackHole::start()
        .await
        .ok_or_else(|| Stop::skipped("this system's accept queue cannot be filled"))?;
    let call = ctx.client()?.get(hole.url("/")).send();
    cut(&ctx, call, ctx.sleep(std::time::Duration::from_millis(20))).await
}

async fn in_handshake(ctx: Ctx) -> Outcome {
    // It reads the ClientHello and never answers.
    let server = ctx.raw(Script::new());
    let call = ctx.client()?.get(server.url("/").replace("http:", "https:")).send();
    let connection = server.connection(0);
    cut(&ctx, call, connection.until_received(|bytes| !bytes.is_empty())).await?;
    closed(&ctx, &server).await;
    Ok(())
}

async fn at(ctx: Ctx, script: Script, seen: &'static str) -> Outcome {
    let server = server(&ctx, script);
    let connection = server.connection(0);
    let event = connection.until_received(|bytes| contains(bytes, seen.as_bytes()));
    cut(&ctx, ctx.client()?.get(server.url("/first")).send(), event).await?;
    closed(&ctx, &server).await;
    brings(&ctx, &server.url("/next"), "fresh").await
}

async fn in_body(ctx: Ctx, chunks: usize) -> Outcome {
    let server = server(&ctx, Script::reply("HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\nhello"));
    let mut response = ctx.wait("the head has arrived", ctx.client()?.get(server.url("/first")).send()).await?;
    for _ in 0..chunks {
        let chunk = ctx.wait("a piece has arrived", response.chunk()).await?;
        ensure_eq!(chunk.as_deref(), Some(&b"hello"[..]), "piece");
    }
    drop(response);
    closed(&ctx, &server).await;
    brings(&ctx, &server.url("/next"), "fresh").await
}

async fn in_chunk(ctx: Ctx) -> Outcome {
    let server = server(&ctx, Script::reply("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffff\r\nhello"));
    let mut response = ctx.wait("the head has arrived", ctx.client()?.get(server.url("/first")).send()).await?;
    let chunk = ctx.wait("a piece has arrived", response.chunk()).await?;
    ensure_eq!(chunk.as_deref(), Some(&b"hello"[..]), "piece");
    drop(response);
    closed(&ctx, &server).await;
    brings(&ctx, &server.url("/next"), "fresh").await
}

/// `chunk` is cancel-safe: dropping it while it waits is not dropping the response.
async fn in_read(ctx: Ctx) -> Outcome {
    let gate = Gate::new();
    let script = Script::reply("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nfirst").wait(&gate).send("other");
    let server = server(&ctx, script);
    let mut response = ctx.wait("the head has arrived", ctx.client()?.get(server.url("/first")).send()).await?;
    ctx.wait("a piece has arrived", response.chunk()).await?;
    {
        // Polled once, then dropped.
        let read = Box::pin(response.chunk());
        match future::select(read, future::ready(())).await {
            Either::Left(_) => return Err(Stop::failed("more has arrived than was sent")),
            Either::Right(_) => gate.open(),
        }
    }
    ensure_eq!(ctx.wait("the rest has arrived", response.bytes()).await?, "other", "rest");
    Ok(())
}

async fn in_upload(ctx: Ctx) -> Outcome {
    let server = server(&ctx, Script::new());
    let body = stream::iter([Ok::<_, std::io::Error>("first")]);
    let body = Body::stream(futures_util::StreamExt::chain(body, stream::pending()));
    let connection = server.connection(0);
    let event = connection.until_received(|bytes| contains(bytes, b"first"));
    cut(&ctx, ctx.client()?.post(server.url("/first")).body(body).send(), event).await?;
    closed(&ctx, &server).await;
    brings(&ctx, &server.url("/next"), "fresh").await
}

async fn late_answer(ctx: Ctx) -> Outcome {
    let gate = Gate::new();
    let poison = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison";
    let server = super::probe::server(&ctx, Script::new().request().wait(&gate).send(poison));
    let connection = server.connection(0);
    let event = connection.until_received(|bytes| contains(bytes, b"\r\n\r\n"));
    cut(&ctx, ctx.client()?.get(server.url("/first")).send(), event).await?;
    gate.open();
    next(&ctx, &server).await.map(drop)
}

async fn late_on_kept(ctx: Ctx) -> Outcome {
    let gate = Gate::new();
    let poison = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison";
    let server = super::probe::server(&ctx, Script::reply(OK).request().wait(&gate).send(poison));
    brings(&ctx, &server.url("/warm"), "ok").await?;
    let connection = server.connection(0);
    let event = connection.until_received(|bytes| contains(bytes, b"/first"));
    cut(&ctx, ctx.client()?.get(server.url("/first")).send(), event).await?;
    gate.open();
    next(&ctx, &server).await.map(drop)
}

async fn hundred(ctx: Ctx) -> Outcome {
    let server = ctx.raw(Script::new());
    for index in 0..100 {
        let connection = server.connection(index);
        let event = connection.until_received(|bytes| contains(bytes, b"\r\n\r\n"));
        cut(&ctx, ctx.client()?.get(server.url("/")).send(), event).await?;
    }
    let counts = server.ledger().until(|counts| counts.open == 0);
    let counts = ctx.wait("no connection is left", counts).await;
    ensure_eq!(counts.accepted, 100, "connections");
    Ok(())
}

fn one_connection(ctx: &Ctx) -> Result<HttpClient, Stop> {
    ctx.client_with(&Settings {
        max_connections: Some(1),
        ..Settings::default()
    })
}

async fn permit(ctx: Ctx) -> Outcome {
    let client = one_connection(&ctx)?;
    for script in [
        Script::new(),
        Script::reply("HTTP/1.1 200 OK\r\nX:"),
        Script::reply("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n"),
    ] {
        let server = ctx.raws([script, Script::reply(FRESH).repeat()]);
        let connection = server.connection(0);
        let event = connection.until_received(|bytes| contains(bytes, b"\r\n\r\n"));
        let whole = async { client.get(server.url("/first")).send().await?.bytes().await };
        cut(&ctx, whole, event).await?;
        ctx.wait("the next call is answered", client.get(server.url("/next")).send())
            .await
            .expect_body("fresh")
            .await?;
    }
    Ok(())
}

async fn waiting(ctx: Ctx) -> Outcome {
    let client = one_connection(&ctx)?;
    let gate = Gate::new();
    let server = ctx.raw(Script::new().request().wait(&gate).send(FRESH).repeat());
    let connection = server.connection(0);
    let mut first = Box::pin(client.get(server.url("/first")).send());
    let arrived = connection.until_received(|bytes| contains(bytes, b"/first"));
    cut(&ctx, &mut first, arrived).await?;
    // The second one waits for the first; polled, then dropped.
    let second = Box::pin(client.get(server.url("/second")).send());
    let waited = future::select(second, Box::pin(ctx.sleep(std::time::Duration::from_millis(20)))).await;
    ensure!(matches!(waited, Either::Right(_)), "a second call does not wait, with one connection allowed");
    // Before the connection becomes free.
    drop(waited);
    gate.open();
    ctx.wait("the first call is answered", first).await.expect_body("fresh").await?;
    ctx.wait("a third call is answered", client.get(server.url("/third")).send())
        .await
        .expect_body("fresh")
        .await?;
    ensure!(!server.requests().iter().any(|request| request.target == "/second"), "the dropped call was sent");
    Ok(())
}

async fn untouched(ctx: Ctx) -> Outcome {
    let app = ctx.app();
    let other = ctx.client()?.get(app.url("/drip/100/2")).send();
    let mut other = ctx.wait("the head has arrived", other).await?;
    for _ in 0..10 {
        let mut dropped = ctx.wait("the head has arrived", ctx.client()?.get(app.url("/drip/1000/1")).send()).await?;
        ctx.wait("a piece has arrived", dropped.chunk()).await?;
        drop(dropped);
    }
    let mut length = 0;
    while let Some(chunk) = ctx.wait("the other body has arrived", other.chunk()).await? {
        length += chunk.len();
    }
    ensure_eq!(length, 100, "length of the other body");
    Ok(())
}
