//! Many calls at a time, and the limits that an engine can be given.

use client_core::HttpClient;
use futures_util::future::{join, join_all, try_join_all};

use super::probe::{FRESH, brings};
use crate::case::{Outcome, Stop, ensure, ensure_eq};
use crate::ctx::{Ctx, Expect};
use crate::servers::{Gate, Script, pattern};
use crate::subject::Settings;

cases! {
    concurrency(ctx): "Many calls at a time, and limits";

    all_at_once [] "Ktor: MultithreadedTest", "Sixty-four calls at a time get sixty-four answers, each its own" => distinct(ctx);
    really_parallel [] "Ktor Apache5 KTOR-6221: 5 per route by default",
        "Sixteen calls to one origin are on their way at the same time" => parallel(ctx);
    uploads [] "Ktor KTOR-9774: bodies interleaved", "Uploads at the same time do not mix" => uploads(ctx);
    slow_beside_fast [] "Ktor #710", "A call that is never answered holds up no other" => slow_beside_fast(ctx);
    unread_beside_others [Http1] "Ktor: testIgnoreBody", "Bodies that nobody reads hold up no other call" => unread(ctx);
    shared_by_clones [] "HttpClient: clones share the engine", "Clones of a client may be used at the same time" => clones(ctx);
    max_connections [Http1] "Ktor: ConnectionFactoryTest", "Never more connections than allowed, and every call is answered" =>
        max_connections(ctx);
    max_connections_waits [Http1] "Ktor: ConnectionFactoryTest",
        "With one connection allowed, a second call waits for the first body" => waits(ctx);
    max_connections_other_origin [Http1] "DESIGN: limits in total",
        "An idle connection to one origin does not keep another one out" => other_origin(ctx);
    slot_after_refused [Http1] "Ktor #679; ConnectErrorsTest", "Refused connections give their slot back" => after_refused(ctx);
    slot_after_failure [Http1] "Ktor KTOR-6127", "Failed exchanges give their slot back" => after_failure(ctx);
}

async fn distinct(ctx: Ctx) -> Outcome {
    let (client, app) = (ctx.client()?, ctx.app());
    let calls = (0..64).map(|index| {
        let (client, url) = (client.clone(), app.url(&format!("/bytes/{}", 100 + index)));
        async move { client.get(url).send().await.expect_body(pattern(100 + index)).await }
    });
    ctx.wait("all have their answer", try_join_all(calls)).await.map(drop)
}

async fn parallel(ctx: Ctx) -> Outcome {
    let (client, url) = (ctx.client()?, ctx.app().url("/barrier/16"));
    let calls = (0..16).map(|_| async { client.get(&url).send().await.expect_body("hello").await });
    ctx.wait("all have come together at the server", try_join_all(calls)).await.map(drop)
}

async fn uploads(ctx: Ctx) -> Outcome {
    let (client, url) = (ctx.client()?, ctx.app().url("/echo"));
    let calls = (0..8).map(|index| {
        let body = pattern(10_000 + index * 1000);
        let sent = client.post(&url).body(body.clone()).send();
        async move { sent.await.expect_body(body).await }
    });
    ctx.wait("all have their answer", try_join_all(calls)).await.map(drop)
}

async fn slow_beside_fast(ctx: Ctx) -> Outcome {
    let (client, app) = (ctx.client()?, ctx.app());
    let mut slow = Box::pin(client.get(app.url("/hang")).send());
    let fast = async {
        for _ in 0..5 {
            brings(&ctx, &app.url("/"), "hello").await?;
        }
        Ok(())
    };
    match futures_util::future::select(&mut slow, Box::pin(fast)).await {
        futures_util::future::Either::Left(_) => Err(Stop::failed("the call that is never answered is over")),
        futures_util::future::Either::Right((outcome, _)) => outcome,
    }
}

async fn unread(ctx: Ctx) -> Outcome {
    let server = ctx.raw(Script::reply("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"));
    let client = ctx.client()?;
    let held = ctx
        .wait("all heads have arrived", try_join_all((0..10).map(|_| client.get(server.url("/")).send())))
        .await?;
    brings(&ctx, &ctx.app().url("/"), "hello").await?;
    drop(held);
    Ok(())
}

async fn clones(ctx: Ctx) -> Outcome {
    let app = ctx.app();
    let calls = (0..8).map(|_| {
        let (client, url) = (ctx.client(), app.url("/bytes/1000"));
        async move { client?.clone().get(url).send().await.expect_body(pattern(1000)).await }
    });
    ctx.wait("all have their answer", try_join_all(calls)).await.map(drop)
}

fn limited(ctx: &Ctx, max_connections: usize) -> Result<HttpClient, Stop> {
    ctx.client_with(&Settings {
        max_connections: Some(max_connections),
        ..Settings::default()
    })
}

async fn max_connections(ctx: Ctx) -> Outcome {
    let client = limited(&ctx, 2)?;
    let app = ctx.app();
    let calls = (0..16).map(|_| async { client.get(app.url("/delay/2")).send().await.expect_body("hello").await });
    ctx.wait("all have their answer", try_join_all(calls)).await?;
    let most = app.counts().most_open;
    ensure!(most <= 2, "{most} connections were open at a time");
    Ok(())
}

async fn waits(ctx: Ctx) -> Outcome {
    let client = limited(&ctx, 1)?;
    let gate = Gate::new();
    let first = Script::reply("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n").wait(&gate).send("first");
    let server = ctx.raws([first.request().send(FRESH), Script::reply(FRESH).repeat()]);
    let response = ctx.wait("the first head has arrived", client.get(server.url("/first")).send()).await?;
    let second = async { client.get(server.url("/second")).send().await.expect_body("fresh").await };
    let first = async {
        ensure_eq!(server.counts().open, 1, "connections while the first body is read");
        gate.open();
        ensure_eq!(response.bytes().await?, "first", "first body");
        Ok(())
    };
    let (first, second) = ctx.wait("both have their answer", join(first, second)).await;
    first?;
    second?;
    ensure_eq!(server.counts().most_open, 1, "the most connections at a time");
    Ok(())
}

async fn other_origin(ctx: Ctx) -> Outcome {
    let client = limited(&ctx, 1)?;
    let servers = [ctx.raw(Script::reply(FRESH).repeat()), ctx.raw(Script::reply(FRESH).repeat())];
    for _ in 0..3 {
        for server in &servers {
            let sent = client.get(server.url("/")).send();
            ctx.wait("the answer has arrived", sent).await.expect_body("fresh").await?;
        }
    }
    Ok(())
}

async fn after_refused(ctx: Ctx) -> Outcome {
    let client = limited(&ctx, 1)?;
    let url = super::errors::refused_url();
    for _ in 0..5 {
        let outcome = ctx.wait("the call fails", client.get(&url).send()).await;
        ensure!(outcome.is_err(), "a refused connection is no error");
    }
    let sent = client.get(ctx.app().url("/")).send();
    ctx.wait("the answer has arrived", sent).await.expect_body("hello").await
}

async fn after_failure(ctx: Ctx) -> Outcome {
    let client = limited(&ctx, 2)?;
    let server = ctx.raw(Script::new().request().close());
    let calls = join_all((0..6).map(|_| client.get(server.url("/")).send()));
    for outcome in ctx.wait("all calls fail", calls).await {
        ensure!(outcome.is_err(), "a closed connection is no error");
    }
    let sent = client.get(ctx.app().url("/")).send();
    ctx.wait("the answer has arrived", sent).await.expect_body("hello").await
}
