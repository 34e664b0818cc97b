//! The life of a client: closing, dropping, and moving between threads and runtimes.

use std::thread;

use client_core::{Body, ErrorKind, HttpClient, Response, Result, Sent, Version};
use futures_util::future::{Either, select};
use futures_util::{StreamExt, stream};

use super::probe::{OK, brings};
use crate::case::{Outcome, Stop, ensure, ensure_eq};
use crate::ctx::{Ctx, Expect};
use crate::servers::{BlackHole, Gate, Script, pattern};
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
    abort_while_calling [Http1] "HttpClient::abort", "Aborting ends a call that waits for its response: Closed, and its connection is closed" =>
        abort_while_calling(ctx);
    abort_while_reading [Http1] "HttpClient::abort", "Aborting ends a body that is being read: Closed, and its connection is closed" =>
        abort_while_reading(ctx);
    abort_while_sending [Http1, StreamingUpload] "HttpClient::abort", "Aborting ends a call that is sending its body" =>
        abort_while_sending(ctx);
    abort_while_connecting [] "HttpClient::abort", "Aborting ends a call that is connecting" => abort_while_connecting(ctx);
    abort_twice [] "HttpClient::abort", "A client that was aborted refuses, and can be aborted again" => abort_twice(ctx);
    abort_spares_what_is_here [Http1] "HttpClient::abort", "What was read to its end before is not lost by aborting" =>
        abort_spares(ctx);
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
    two_runtimes [] "DESIGN: a client must survive several runtimes", "A client serves on two runtimes at the same time" =>
        two_runtimes(ctx);
    another_thread [] "Send + Sync", "A response may be read on another thread than it was asked for" => another_thread(ctx);
    many_clients [] "Ktor: 25 clients do not leak threads", "Twenty-five clients, one after another, leave nothing behind" =>
        many(ctx);
    warm_up [WarmUp, ConnectionReuse] "HttpClient::warm_up", "A connection that was made beforehand carries the first call" =>
        warm_up(ctx, false);
    warm_up_tls [WarmUp, ConnectionReuse, Tls, CustomRoots] "HttpClient::warm_up", "The same over TLS" => warm_up(ctx, true);
    warm_up_sends_nothing [Http1, WarmUp] "HttpClient::warm_up", "Warming up sends no request" => warm_up_sends_nothing(ctx);
    warm_up_fails [WarmUp] "HttpClient::warm_up", "Warming up fails as connecting does" => warm_up_fails(ctx);
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

/// Aborts while `call` is under way, once `reached` has happened; it fails as one that was closed.
async fn aborted<T>(
    ctx: &Ctx,
    client: &HttpClient,
    call: impl Future<Output = Result<T>>,
    reached: impl Future<Output = ()>,
) -> Outcome {
    let (call, reached) = (Box::pin(call), Box::pin(reached));
    let call = match ctx.wait("the call is under way", select(call, reached)).await {
        Either::Left((Ok(_), _)) => return Err(Stop::failed("it is over before it could be aborted")),
        Either::Left((Err(error), _)) => return Err(error.into()),
        Either::Right(((), call)) => call,
    };
    client.abort();
    match ctx.wait("the call has ended", call).await {
        Ok(_) => Err(Stop::failed("it goes on after it was aborted")),
        Err(error) => {
            ensure_eq!(error.kind(), ErrorKind::Closed, "kind of {error:?}");
            Ok(())
        }
    }
}

async fn abort_while_calling(ctx: Ctx) -> Outcome {
    ctx.closes_clients();
    let (server, client) = (ctx.raw(Script::new().head()), ctx.client()?);
    let connection = server.connection(0);
    let asked = connection.until_received(|bytes| bytes.ends_with(b"\r\n\r\n"));
    aborted(&ctx, &client, client.get(server.url("/")).send(), asked).await?;
    ctx.wait("the engine closes the connection", connection.closed_by_client()).await;
    refuses(&ctx, &client).await
}

async fn abort_while_reading(ctx: Ctx) -> Outcome {
    ctx.closes_clients();
    let server = ctx.raw(Script::reply("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello"));
    let client = ctx.client()?;
    let response = ctx.wait("the head has arrived", client.get(server.url("/")).send()).await?;
    aborted(&ctx, &client, response.bytes(), std::future::ready(())).await?;
    ctx.wait("the engine closes the connection", server.connection(0).closed_by_client()).await;
    refuses(&ctx, &client).await
}

async fn abort_while_sending(ctx: Ctx) -> Outcome {
    ctx.closes_clients();
    let (server, client) = (ctx.raw(Script::new().head()), ctx.client()?);
    let connection = server.connection(0);
    let endless = stream::iter([Ok::<_, std::io::Error>("piece")]).chain(stream::pending());
    let call = client.post(server.url("/")).body(Body::stream(endless)).send();
    let asked = connection.until_received(|bytes| bytes.windows(5).any(|window| window == b"piece"));
    aborted(&ctx, &client, call, asked).await?;
    ctx.wait("the engine closes the connection", connection.closed_by_client()).await;
    Ok(())
}

async fn abort_while_connecting(ctx: Ctx) -> Outcome {
    ctx.closes_clients();
    let hole = BlackHole::start().await.ok_or_else(|| Stop::skipped("no queue can be filled here"))?;
    let client = ctx.client()?;
    aborted(&ctx, &client, client.get(hole.url("/")).send(), std::future::ready(())).await
}

async fn abort_twice(ctx: Ctx) -> Outcome {
    ctx.closes_clients();
    brings(&ctx, &ctx.app().url("/"), "hello").await?;
    let client = ctx.client()?;
    client.abort();
    refuses(&ctx, &client).await?;
    client.abort();
    client.close();
    Ok(())
}

async fn abort_spares(ctx: Ctx) -> Outcome {
    ctx.closes_clients();
    let client = ctx.client()?;
    let response = ctx.wait("the head has arrived", client.get(ctx.app().url("/bytes/1000")).send()).await?;
    let body = ctx.wait("the body has arrived", response.bytes()).await?;
    client.abort();
    ensure_eq!(body, pattern(1000), "body");
    Ok(())
}

async fn clones(ctx: Ctx) -> Outcome {
    ctx.closes_clients();
    let clone = ctx.client()?.clone();
    clone.close();
    refuses(&ctx, &ctx.client()?).await
}

/// A client that only the case holds.
fn own_client(ctx: &Ctx) -> std::result::Result<HttpClient, Stop> {
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

async fn two_runtimes(ctx: Ctx) -> Outcome {
    // Both are there at the same time, or neither is answered.
    let (client, url) = (ctx.client()?, ctx.app().url("/barrier/2"));
    for _ in 0..2 {
        let (subject, there, far) = (ctx.subject().clone(), url.clone(), client.clone());
        let (done, outcome) = tokio::sync::oneshot::channel();
        thread::spawn(move || {
            let mut result = Err(Stop::failed("the subject's block_on returned too early"));
            subject.block_on(Box::pin(async { result = is_ok(far.get(there).send().await).await }));
            let _ = done.send(result);
        });
        let near = ctx.wait("the call on this runtime is answered", client.get(&*url).send()).await;
        is_ok(near).await?;
        let outcome = ctx.wait("the call on another runtime is answered", outcome).await;
        outcome.unwrap_or_else(|_| Err(Stop::failed("the call on another runtime panicked")))?;
    }
    Ok(())
}

async fn is_ok(answer: Result<Response>) -> Outcome {
    let response = answer?;
    ensure_eq!(response.status(), 200, "status");
    response.bytes().await?;
    Ok(())
}

async fn warm_up(ctx: Ctx, secure: bool) -> Outcome {
    let (app, client) = if secure { ctx.good_tls()? } else { (ctx.app(), ctx.client()?) };
    let connecting = client.warm_up(app.url("/"));
    ctx.wait("the connection is there", connecting).await?;
    ctx.wait("the server has accepted it", app.connection(0).accepted()).await;
    ctx.wait("the connection is there still", client.warm_up(app.url("/other"))).await?;
    let answer = ctx.wait("the answer has arrived", client.get(app.url("/")).send()).await?;
    ensure_eq!(answer.connection().map(|connection| connection.reused), Some(true), "whether it came from the pool");
    ensure_eq!(answer.bytes().await?, "hello", "body");
    ensure_eq!(app.counts().accepted, 1, "connections");
    Ok(())
}

async fn warm_up_sends_nothing(ctx: Ctx) -> Outcome {
    let server = ctx.raw(Script::reply(OK));
    let client = ctx.client()?;
    let request = client.post(server.url("/")).version(Version::HTTP_11).body("never sent");
    ctx.wait("the connection is there", request.warm_up()).await?;
    brings(&ctx, &server.url("/first"), "ok").await?;
    let targets: Vec<_> = server.requests().iter().map(|request| request.target.clone()).collect();
    ensure_eq!(targets, ["/first"], "what the server was asked for");
    Ok(())
}

async fn warm_up_fails(ctx: Ctx) -> Outcome {
    let nobody = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    let client = ctx.client()?;
    let outcome = ctx.wait("connecting has failed", client.warm_up(format!("http://{nobody}/"))).await;
    let failed = outcome.map_err(|error| (error.kind(), error.sent()));
    ensure_eq!(failed, Err((ErrorKind::Connect, Sent::Nothing)), "outcome");
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
