//! The life of a client: closing, dropping, and moving between threads and runtimes.

use std::thread;

use client_core::{ErrorKind, HttpClient};

use super::probe::{OK, brings};
use crate::case::{Outcome, Stop, ensure, ensure_eq};
use crate::ctx::{Ctx, Expect};
use crate::servers::{Gate, Script, pattern};
use crate::subject::Settings;

cases! {
    lifecycle(ctx): "The life of a client";

    closed_refuses [] "Engine::close", "A closed client refuses: Closed, and nothing is sent" => closed_refuses(ctx);
    close_twice [] "Engine::close: idempotent", "Closing twice is closing once" => close_twice(ctx);
    close_unused [] "Engine::close", "A client that was never used can be closed" => close_unused(ctx);
    close_idle [Http1, ConnectionReuse] "Engine::close: idle connections now", "Closing closes idle connections" =>
        close_idle(ctx);
    close_is_graceful [Http1] "Engine::close: others after their exchange; Ktor: close with active endpoints",
        "A body that is being read when the client is closed arrives whole" => graceful(ctx);
    close_concerns_clones [] "HttpClient::close", "Closing a client closes its clones" => clones(ctx);
    dropped_while_reading [Http1] "Ktor KTOR-8989", "A body arrives whole though its client was dropped" =>
        dropped_while_reading(ctx);
    dropped_while_calling [Http1] "Ktor KTOR-8989", "A call is answered though its client was dropped" =>
        dropped_while_calling(ctx);
    drop_closes_idle [Http1] "Ktor KTOR-6292", "Dropping the last clone closes idle connections" => drop_closes(ctx);
    two_clients [] "Ktor: a given engine stays open", "Closing one client does not concern another" => two_clients(ctx);
    a_dead_runtime [] "reqwest#1148, hyper#2112: dispatch task is gone",
        "A client that was used on a runtime that is gone serves on another" => dead_runtime(ctx);
    several_runtimes [] "DESIGN: a client must survive several runtimes",
        "A client serves on three runtimes, one after another" => several_runtimes(ctx);
    another_thread [] "Send + Sync", "A response may be read on another thread than it was asked for" => another_thread(ctx);
    many_clients [] "Ktor: 25 clients do not leak threads", "Twenty-five clients, one after another, leave nothing behind" =>
        many(ctx);
    pool_is_told [Http1, PoolStats, ConnectionReuse] "HttpClient::pool", "The pool tells what is idle and what is in use" =>
        pool(ctx);
}

async fn refuses(ctx: &Ctx, client: &HttpClient) -> Outcome {
    let accepted = ctx.app().counts().accepted;
    let outcome = ctx.wait("the call is refused", client.get(ctx.app().url("/")).send()).await;
    ensure_eq!(outcome.map(drop).map_err(|error| error.kind()), Err(ErrorKind::Closed), "outcome");
    ensure_eq!(ctx.app().counts().accepted, accepted, "connections");
    Ok(())
}

async fn closed_refuses(ctx: Ctx) -> Outcome {
    ctx.closes_clients();
    brings(&ctx, &ctx.app().url("/"), "hello").await?;
    ctx.client()?.close();
    refuses(&ctx, &ctx.client()?).await
}

async fn close_twice(ctx: Ctx) -> Outcome {
    ctx.closes_clients();
    brings(&ctx, &ctx.app().url("/"), "hello").await?;
    ctx.client()?.close();
    ctx.client()?.close();
    refuses(&ctx, &ctx.client()?).await?;
    ctx.client()?.close();
    Ok(())
}

async fn close_unused(ctx: Ctx) -> Outcome {
    ctx.closes_clients();
    ctx.client()?.close();
    refuses(&ctx, &ctx.client()?).await
}

async fn close_idle(ctx: Ctx) -> Outcome {
    ctx.closes_clients();
    let server = ctx.raw(Script::reply(OK));
    brings(&ctx, &server.url("/"), "ok").await?;
    let client = ctx.client()?;
    client.close();
    ctx.wait("the engine closes the idle connection", server.connection(0).closed_by_client()).await;
    drop(client);
    Ok(())
}

async fn graceful(ctx: Ctx) -> Outcome {
    ctx.closes_clients();
    let gate = Gate::new();
    let server = ctx.raw(Script::reply("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello").wait(&gate).send("world"));
    let client = ctx.client()?;
    let response = ctx.wait("the head has arrived", client.get(server.url("/")).send()).await?;
    client.close();
    gate.open();
    ensure_eq!(ctx.wait("the body has arrived", response.bytes()).await?, "helloworld", "body");
    ctx.wait("the engine closes the connection after its exchange", server.connection(0).closed_by_client())
        .await;
    Ok(())
}

async fn clones(ctx: Ctx) -> Outcome {
    ctx.closes_clients();
    let clone = ctx.client()?.clone();
    clone.close();
    refuses(&ctx, &ctx.client()?).await
}

/// A client that only the case holds.
fn own_client(ctx: &Ctx) -> Result<HttpClient, Stop> {
    let engine = ctx.subject().engine(&Settings::default()).ok_or_else(|| Stop::failed("no engine"))?;
    Ok(HttpClient::builder(engine).build()?)
}

async fn dropped_while_reading(ctx: Ctx) -> Outcome {
    let gate = Gate::new();
    let server = ctx.raw(Script::reply("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello").wait(&gate).send("world"));
    let client = own_client(&ctx)?;
    let response = ctx.wait("the head has arrived", client.get(server.url("/")).send()).await?;
    drop(client);
    gate.open();
    ensure_eq!(ctx.wait("the body has arrived", response.bytes()).await?, "helloworld", "body");
    ctx.wait("the connection is closed afterwards", server.connection(0).closed_by_client()).await;
    Ok(())
}

async fn dropped_while_calling(ctx: Ctx) -> Outcome {
    let server = ctx.raw(Script::reply(OK));
    let call = {
        let client = own_client(&ctx)?;
        client.get(server.url("/")).send()
    };
    ctx.wait("the answer has arrived", call).await.expect_body("ok").await
}

async fn drop_closes(ctx: Ctx) -> Outcome {
    let server = ctx.raw(Script::reply(OK));
    let client = own_client(&ctx)?;
    let clone = client.clone();
    ctx.wait("the answer has arrived", client.get(server.url("/")).send())
        .await
        .expect_body("ok")
        .await?;
    drop(client);
    drop(clone);
    ctx.wait("the idle connection is closed", server.connection(0).closed_by_client()).await;
    Ok(())
}

async fn two_clients(ctx: Ctx) -> Outcome {
    let (one, other) = (own_client(&ctx)?, ctx.client()?);
    for client in [&one, &other] {
        ctx.wait("the answer has arrived", client.get(ctx.app().url("/")).send())
            .await
            .expect_body("hello")
            .await?;
    }
    one.close();
    ctx.wait("the answer has arrived", other.get(ctx.app().url("/")).send())
        .await
        .expect_body("hello")
        .await
}

/// A GET with a client on a runtime of its own, which is gone afterwards.
async fn elsewhere(ctx: &Ctx, client: HttpClient) -> Outcome {
    let (subject, url) = (ctx.subject().clone(), ctx.app().url("/bytes/1000"));
    let (done, outcome) = tokio::sync::oneshot::channel();
    thread::spawn(move || {
        let mut result = Err(Stop::failed("the subject's block_on returned too early"));
        subject.block_on(Box::pin(async { result = client.get(url).send().await.expect_body(pattern(1000)).await }));
        // Whoever waits gives up only with the case.
        let _ = done.send(result);
    });
    let outcome = ctx.wait("the call on another runtime is over", outcome).await;
    outcome.unwrap_or_else(|_| Err(Stop::failed("the call on another runtime panicked")))
}

async fn dead_runtime(ctx: Ctx) -> Outcome {
    elsewhere(&ctx, ctx.client()?).await?;
    // The connection that was made there may be there still, without anyone to drive it.
    brings(&ctx, &ctx.app().url("/"), "hello").await
}

async fn several_runtimes(ctx: Ctx) -> Outcome {
    for _ in 0..3 {
        elsewhere(&ctx, ctx.client()?).await?;
    }
    Ok(())
}

async fn another_thread(ctx: Ctx) -> Outcome {
    let response = ctx.wait("the head has arrived", ctx.client()?.get(ctx.app().url("/drip/30/1")).send()).await?;
    let (done, body) = tokio::sync::oneshot::channel();
    // Read by the smallest executor there is: the engine's own runtime goes on here.
    thread::spawn(move || drop(done.send(crate::subject::block_on(response.bytes()))));
    let body = ctx.wait("the body has arrived on another thread", body).await;
    let body = body.map_err(|_| Stop::failed("the other thread panicked"))?;
    ensure_eq!(body?, pattern(30), "body");
    Ok(())
}

async fn many(ctx: Ctx) -> Outcome {
    for _ in 0..25 {
        let client = own_client(&ctx)?;
        ctx.wait("the answer has arrived", client.get(ctx.app().url("/")).send())
            .await
            .expect_body("hello")
            .await?;
    }
    let none_left = ctx.app().ledger().until(|counts| counts.open == 0).await;
    ensure!(none_left.accepted >= 25, "{} connections", none_left.accepted);
    Ok(())
}

async fn pool(ctx: Ctx) -> Outcome {
    let client = ctx.client()?;
    // A body that is here with its head needs its connection no longer.
    let body = Gate::new();
    let server = ctx.raw(Script::reply("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n").wait(&body).send("hello"));
    let in_use = |client: &HttpClient| client.pool().map(|pool| (pool.in_use, pool.idle, pool.opened));
    ensure_eq!(in_use(&client), Some((0, 0, 0)), "in use, idle and opened before the first call");
    let response = ctx.wait("the head has arrived", client.get(server.url("/")).send()).await?;
    ensure_eq!(in_use(&client), Some((1, 0, 1)), "in use, idle and opened while the body is read");
    body.open();
    ensure_eq!(response.bytes().await?, "hello", "body");
    ensure_eq!(in_use(&client), Some((0, 1, 1)), "in use, idle and opened afterwards");
    Ok(())
}
