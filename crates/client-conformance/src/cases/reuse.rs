//! Connections that are used again, and those that must not be (RFC 9112 §9; RFC 9110 §9.2.2).

use client_core::{Body, ErrorKind, Method, Sent};
use futures_util::stream;

use super::probe::{FRESH, OK, SAME, brings, exchange, get, next, server};
use crate::case::{Outcome, Stop, ensure, ensure_eq};
use crate::ctx::{Ctx, Expect};
use crate::servers::{Gate, Script, pattern};

cases! {
    reuse(ctx): "Connections that are used again, and those that must not be";

    one_after_the_other [ConnectionReuse] "RFC 9112 §9.3", "Ten calls, one after the other, take one connection" =>
        sequence(ctx, "/bytes/100", pattern(100));
    after_chunked [ConnectionReuse] "RFC 9112 §9.3", "A chunked body gives the connection back" =>
        sequence(ctx, "/chunked/5000", pattern(5000));
    after_empty [ConnectionReuse] "RFC 9112 §9.3", "An empty body gives the connection back" =>
        sequence(ctx, "/bytes/0", pattern(0));
    after_post [ConnectionReuse] "RFC 9112 §9.3", "A POST gives the connection back" => after_post(ctx);
    after_error_status [ConnectionReuse] "RFC 9112 §9.3", "A 500 gives the connection back" => after_status(ctx, 500);
    after_no_content [ConnectionReuse] "RFC 9112 §9.3", "A 204 gives the connection back, though nobody reads a body" =>
        after_status(ctx, 204);
    after_head [ConnectionReuse] "RFC 9112 §9.3", "A HEAD gives the connection back" => after_head(ctx);
    reuse_is_told [ConnectionReuse, RemoteAddr] "ConnectionInfo",
        "A response tells its connection: where to, and whether it was used before" => told(ctx);
    per_origin [Http1] "RFC 9110 §4.3.3", "A connection serves one origin only" => per_origin(ctx);
    not_while_in_use [Http1] "RFC 9112 §9.4", "A connection in use is not shared" => in_use(ctx);

    close_option [Http1] "RFC 9112 §9.6", "Connection: close is honoured" =>
        closes(ctx, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok");
    close_option_any_case [Http1] "RFC 9110 §7.6.1", "Connection: CLOSE is honoured" =>
        closes(ctx, "HTTP/1.1 200 OK\r\nConnection: CLOSE\r\nContent-Length: 2\r\n\r\nok");
    close_option_in_list [Http1] "RFC 9110 §7.6.1", "Close is found in a list of options" =>
        closes(ctx, "HTTP/1.1 200 OK\r\nConnection: x, close\r\nContent-Length: 2\r\n\r\nok");
    close_option_chunked [Http1] "RFC 9112 §9.6", "Connection: close is honoured after a chunked body" =>
        closes(ctx, "HTTP/1.1 200 OK\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n");
    http10 [Http1] "RFC 9112 §9.3", "HTTP/1.0 without keep-alive is not used again" =>
        closes(ctx, "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok");

    idle_closed [Http1, ConnectionReuse] "RFC 9112 §9.5",
        "A connection that the server closed while idle: the next GET is answered" =>
            stale(ctx, Method::GET, Script::reply(OK).close());
    idle_half_closed [Http1, ConnectionReuse] "RFC 9112 §9.5", "The same, where the server only stopped sending" =>
        stale(ctx, Method::GET, Script::reply(OK).half_close());
    idle_reset [Http1, ConnectionReuse] "RFC 9112 §9.5", "A connection that was reset while idle: the next GET is answered" =>
        reset(ctx);
    idle_408 [Http1, ConnectionReuse] "RFC 9110 §15.5.9",
        "408 on an idle connection is not the answer to the next request" =>
            stale(ctx, Method::GET, Script::reply(format!("{OK}{TIMED_OUT}")).close());
    dead_on_use_get [Http1, ConnectionReuse] "RFC 9112 §9.3.1; RFC 9110 §9.2.2",
        "A kept connection that dies under a GET: the GET is answered by another" =>
            stale(ctx, Method::GET, Script::reply(OK).request().close());
    dead_on_use_put [Http1, ConnectionReuse] "RFC 9110 §9.2.2",
        "A kept connection that dies under a PUT with a body in memory: answered by another" =>
            stale(ctx, Method::PUT, Script::reply(OK).request().close());
    dead_on_use_post [Http1, ConnectionReuse] "RFC 9110 §9.2.2: MUST NOT",
        "A POST that may have been processed is not sent again" => post_once(ctx);
    dead_on_use_stream [Http1, ConnectionReuse, StreamingUpload] "RFC 9110 §9.2.2",
        "A PUT whose body can be sent only once is not sent again" => stream_once(ctx);
    dead_twice [Http1, ConnectionReuse] "RFC 9112 §9.3.1: MUST NOT", "An automatic retry that fails is not retried" =>
        dead_twice(ctx);
    dead_when_fresh [Http1] "RFC 9112 §9.3.1", "A new connection that dies under a GET is an error, not a retry" =>
        dead_when_fresh(ctx);
    dead_in_head [Http1, ConnectionReuse, HeadProgress] "DESIGN: if no response byte came",
        "A kept connection that dies in the middle of a head is an error" => dead_in_head(ctx);
    not_after_half_a_body [Http1] "DESIGN: what was half-used is never reused",
        "A connection whose body was left is not used on, or in step" => half_body(ctx);
    not_after_unfinished_upload [Http1, Duplex] "RFC 9112 §9.5",
        "An answer before the end of the upload: the rest of it is no next request" => unfinished(ctx);
    closed_after_error [Http1] "RFC 9112 §9.5", "After a violation of the protocol the connection is closed" =>
        closed_after_error(ctx);
}

/// What some servers say before they close an idle connection.
const TIMED_OUT: &str = "HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";

/// The same call ten times: one connection, where connections are kept.
async fn sequence(ctx: Ctx, path: &'static str, body: bytes::Bytes) -> Outcome {
    for _ in 0..10 {
        brings(&ctx, &ctx.app().url(path), &body).await?;
    }
    one_connection(&ctx)
}

fn one_connection(ctx: &Ctx) -> Outcome {
    ensure_eq!(ctx.app().counts().accepted, 1, "connections");
    Ok(())
}

async fn after_post(ctx: Ctx) -> Outcome {
    for _ in 0..10 {
        let sent = ctx.client()?.post(ctx.app().url("/length")).body(pattern(5000)).send();
        ctx.wait("the answer has arrived", sent).await.expect_body("5000").await?;
    }
    one_connection(&ctx)
}

async fn after_status(ctx: Ctx, status: u16) -> Outcome {
    for _ in 0..10 {
        let sent = ctx.client()?.get(ctx.app().url(&format!("/status/{status}"))).send();
        let response = ctx.wait("the answer has arrived", sent).await?;
        ensure_eq!(response.status().as_u16(), status, "status");
        if status != 204 {
            ctx.wait("the body has arrived", response.bytes()).await?;
        }
    }
    one_connection(&ctx)
}

async fn after_head(ctx: Ctx) -> Outcome {
    for _ in 0..10 {
        let got = exchange(&ctx, Method::HEAD, &ctx.app().url("/bytes/150")).await??;
        ensure_eq!(got.headers.get("content-length").map(|value| value.as_bytes()), Some(&b"150"[..]), "Content-Length");
        ensure_eq!(got.body, "", "body");
    }
    one_connection(&ctx)
}

async fn told(ctx: Ctx) -> Outcome {
    for is_second in [false, true] {
        let response = ctx.wait("the answer has arrived", ctx.client()?.get(ctx.app().url("/")).send()).await?;
        ensure_eq!(response.remote_addr(), Some(ctx.app().addr()), "remote address");
        let reused = response.connection().map(|connection| connection.reused);
        ensure_eq!(reused, Some(is_second), "whether it was used before");
        ensure_eq!(response.bytes().await?, "hello", "body");
    }
    Ok(())
}

async fn per_origin(ctx: Ctx) -> Outcome {
    let (one, other) = (ctx.raw(Script::reply(OK).repeat()), ctx.raw(Script::reply(SAME).repeat()));
    for _ in 0..3 {
        brings(&ctx, &one.url("/"), "ok").await?;
        brings(&ctx, &other.url("/"), "same").await?;
    }
    ensure_eq!((one.requests().len(), other.requests().len()), (3, 3), "requests of both");
    Ok(())
}

async fn in_use(ctx: Ctx) -> Outcome {
    let gate = Gate::new();
    let first = Script::reply("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n").wait(&gate).send("first");
    let server = server(&ctx, first);
    let response = ctx.wait("the first head has arrived", ctx.client()?.get(server.url("/first")).send()).await?;
    ensure_eq!(next(&ctx, &server).await?, "fresh", "the connection of a second exchange");
    gate.open();
    ensure_eq!(ctx.wait("the first body has arrived", response.bytes()).await?, "first", "first body");
    Ok(())
}

async fn closes(ctx: Ctx, reply: &'static str) -> Outcome {
    let server = server(&ctx, Script::reply(reply));
    ensure_eq!(get(&ctx, &server).await??.body, "ok", "body");
    ctx.wait("the engine closes the connection", server.connection(0).closed_by_client()).await;
    ensure_eq!(next(&ctx, &server).await?, "fresh", "the connection of the next exchange");
    Ok(())
}

/// The first connection serves once, then is of no use any more; a second one answers.
async fn stale(ctx: Ctx, method: Method, first: Script) -> Outcome {
    let server = ctx.raws([first, Script::reply(FRESH).repeat()]);
    brings(&ctx, &server.url("/first"), "ok").await?;
    let body = if method == Method::PUT { "again" } else { "" };
    let sent = ctx.client()?.request(method, server.url("/second")).body(body).send();
    ctx.wait("the answer has arrived", sent).await.expect_body("fresh").await?;
    ensure_eq!(server.counts().accepted, 2, "connections");
    let answered = server.connection(1).requests();
    ensure_eq!(answered.len(), 1, "requests on the second connection");
    ensure_eq!(answered[0].body, body.as_bytes(), "body of the request");
    Ok(())
}

async fn reset(ctx: Ctx) -> Outcome {
    let gate = Gate::new();
    let server = ctx.raws([Script::reply(OK).wait(&gate).reset(), Script::reply(FRESH).repeat()]);
    // A reset takes with it what was not read yet: only afterwards.
    brings(&ctx, &server.url("/first"), "ok").await?;
    gate.open();
    brings(&ctx, &server.url("/second"), "fresh").await
}

async fn post_once(ctx: Ctx) -> Outcome {
    let server = ctx.raws([Script::reply(OK).request().close(), Script::reply(FRESH).repeat()]);
    brings(&ctx, &server.url("/first"), "ok").await?;
    let sent = ctx.client()?.post(server.url("/order")).body("two pizzas").send();
    fails_unanswered(ctx.wait("the call is over", sent).await)?;
    let orders = server.requests().iter().filter(|request| request.target == "/order").count();
    ensure_eq!(orders, 1, "orders that the server has seen");
    Ok(())
}

async fn stream_once(ctx: Ctx) -> Outcome {
    let server = ctx.raws([Script::reply(OK).request().close(), Script::reply(FRESH).repeat()]);
    brings(&ctx, &server.url("/first"), "ok").await?;
    let body = Body::stream(stream::iter([Ok::<_, std::io::Error>("only once")]));
    let sent = ctx.client()?.put(server.url("/order")).body(body).send();
    fails_unanswered(ctx.wait("the call is over", sent).await)?;
    let orders = server.requests().iter().filter(|request| request.target == "/order").count();
    ensure_eq!(orders, 1, "requests that the server has seen");
    Ok(())
}

fn fails_unanswered(outcome: client_core::Result<client_core::Response>) -> Outcome {
    match outcome {
        Ok(response) => Err(Stop::failed(format!("it is answered, with {}", response.status()))),
        Err(error) => {
            ensure_eq!(error.kind(), ErrorKind::Closed, "kind of {error:?}");
            ensure_eq!(error.sent(), Sent::Maybe, "what was sent");
            Ok(())
        }
    }
}

async fn dead_twice(ctx: Ctx) -> Outcome {
    let server = ctx.raws([Script::reply(OK).request().close(), Script::new().request().close()]);
    brings(&ctx, &server.url("/first"), "ok").await?;
    let sent = ctx.client()?.get(server.url("/second")).send();
    fails_unanswered(ctx.wait("the call is over", sent).await)?;
    ensure_eq!(server.counts().accepted, 2, "connections");
    Ok(())
}

async fn dead_when_fresh(ctx: Ctx) -> Outcome {
    let server = ctx.raws([Script::new().request().close(), Script::reply(FRESH)]);
    let sent = ctx.client()?.get(server.url("/")).send();
    fails_unanswered(ctx.wait("the call is over", sent).await)?;
    ensure_eq!(server.counts().accepted, 1, "connections");
    Ok(())
}

async fn dead_in_head(ctx: Ctx) -> Outcome {
    let server = ctx.raws([
        Script::reply(OK).request().send("HTTP/1.1 200 O").close(),
        Script::reply(FRESH),
    ]);
    brings(&ctx, &server.url("/first"), "ok").await?;
    let sent = ctx.client()?.get(server.url("/second")).send();
    let outcome = ctx.wait("the call is over", sent).await;
    ensure_eq!(outcome.map(drop).map_err(|error| error.kind()), Err(ErrorKind::Closed), "outcome");
    ensure_eq!(server.counts().accepted, 1, "connections");
    Ok(())
}

async fn half_body(ctx: Ctx) -> Outcome {
    let gate = Gate::new();
    // The second half is made to look like an answer.
    let rest = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison";
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\nfirst", 5 + rest.len());
    let server = server(&ctx, Script::reply(head).wait(&gate).send(rest));
    let mut response = ctx.wait("the head has arrived", ctx.client()?.get(server.url("/first")).send()).await?;
    let chunk = ctx.wait("half of the body has arrived", response.chunk()).await?;
    ensure_eq!(chunk.as_deref(), Some(&b"first"[..]), "half of the body");
    drop(response);
    gate.open();
    next(&ctx, &server).await.map(drop)
}

async fn unfinished(ctx: Ctx) -> Outcome {
    let server = ctx.raws([Script::new().head().send(OK), Script::reply(FRESH).repeat()]);
    let never = stream::pending::<Result<&str, std::io::Error>>();
    let body = Body::sized_stream(100, never);
    let sent = ctx.client()?.post(server.url("/first")).body(body).send();
    ctx.wait("the answer has arrived", sent).await.expect_body("ok").await?;
    ensure_eq!(next(&ctx, &server).await?, "fresh", "the connection of the next exchange");
    ensure!(
        !server.connection(0).received().windows(5).any(|window| window == b"/next"),
        "the next request went into the upload"
    );
    Ok(())
}

async fn closed_after_error(ctx: Ctx) -> Outcome {
    let server = ctx.raws([
        Script::reply("HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n"),
        Script::reply(FRESH),
    ]);
    let outcome = get(&ctx, &server).await?.map(drop).map_err(|error| error.kind());
    ensure_eq!(outcome, Err(ErrorKind::Protocol), "outcome");
    ctx.wait("the engine closes the connection", server.connection(0).closed_by_client()).await;
    Ok(())
}
