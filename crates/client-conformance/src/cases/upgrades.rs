//! Connections that stop speaking HTTP: `Upgrade` (RFC 9110 §7.8) and CONNECT (RFC 9110 §9.3.6).

use client_core::{ErrorKind, Method, Response, Upgraded};
use futures_util::io::{AsyncReadExt, AsyncWriteExt};

use super::probe::FRESH;
use crate::case::{Outcome, Stop, ensure, ensure_eq};
use crate::ctx::{Ctx, Expect};
use crate::servers::{Raw, Script};

const SWITCHED: &str = "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n";

cases! {
    upgrades(ctx): "Connections that stop speaking HTTP";

    echo [Http1, Upgrade] "RFC 9110 §7.8", "After 101 bytes go both ways" => echo(ctx);
    request_fields [Http1, Upgrade] "RFC 9110 §7.8", "An upgrade is asked for by Upgrade and Connection, once each" =>
        fields(ctx);
    first_bytes [Http1, Upgrade] "RFC 9110 §7.8", "What comes in one packet with the 101 is the beginning of the stream" =>
        first_bytes(ctx);
    with_length [Http1, Upgrade] "RFC 9112 §6.3 rule 1", "A Content-Length in a 101 counts nothing" => with_length(ctx);
    declined [Http1, Upgrade] "RFC 9110 §7.8", "A server may decline: the response is an ordinary one" => declined(ctx);
    dropped [Http1, Upgrade] "DESIGN: cancellation is drop", "Dropping the stream closes the connection" => dropped(ctx);
    never_taken [Http1, Upgrade] "DESIGN: cancellation is drop",
        "Dropping a 101 without taking its stream closes the connection" => never_taken(ctx);
    closed_by_server [Http1, Upgrade] "RFC 9110 §7.8", "The end of the stream is the end" => closed_by_server(ctx);
    not_pooled [Http1, Upgrade] "RFC 9110 §7.8", "A switched connection serves no other call" => not_pooled(ctx);
    large [Http1, Upgrade] "RFC 9110 §7.8", "A mebibyte goes both ways at the same time" => large(ctx);
    tunnel [Http1, Tunnel] "RFC 9110 §9.3.6", "After a 200 to CONNECT bytes go both ways" => tunnel(ctx);
    tunnel_target [Http1, Tunnel] "RFC 9112 §3.2.3", "CONNECT asks for an authority, not for a path" => tunnel_target(ctx);
    tunnel_with_length [Http1, Tunnel] "RFC 9112 §6.3 rule 2", "Content-Length in a 200 to CONNECT is ignored" =>
        tunnel_with(ctx, "Content-Length: 5\r\n");
    tunnel_with_chunked [Http1, Tunnel] "RFC 9112 §6.3 rule 2", "Transfer-Encoding in a 200 to CONNECT is ignored" =>
        tunnel_with(ctx, "Transfer-Encoding: chunked\r\n");
    tunnel_refused [Http1, Tunnel] "RFC 9110 §9.3.6", "A 403 to CONNECT is an ordinary response with its body" =>
        tunnel_refused(ctx);
}

async fn ask(ctx: &Ctx, url: &str) -> Result<Response, Stop> {
    let request = ctx.client()?.get(url).header("connection", "upgrade").header("upgrade", "echo");
    Ok(ctx.wait("the answer has arrived", request.send()).await?)
}

async fn switched(ctx: &Ctx, server: &Raw) -> Result<Upgraded, Stop> {
    let response = ask(ctx, &server.url("/")).await?;
    ensure_eq!(response.status(), 101, "status");
    Ok(response.upgrade()?)
}

/// Sends and reads the same back.
async fn goes_both_ways(ctx: &Ctx, stream: &mut Upgraded) -> Outcome {
    for word in ["ping", "pong pong"] {
        ctx.wait("it is sent", async {
            stream.write_all(word.as_bytes()).await?;
            stream.flush().await
        })
        .await?;
        let mut back = vec![0; word.len()];
        ctx.wait("it has come back", stream.read_exact(&mut back)).await?;
        ensure_eq!(back, word.as_bytes(), "what came back");
    }
    Ok(())
}

async fn echo(ctx: Ctx) -> Outcome {
    let response = ask(&ctx, &ctx.app().url("/upgrade")).await?;
    ensure_eq!(response.status(), 101, "status");
    goes_both_ways(&ctx, &mut response.upgrade()?).await
}

async fn fields(ctx: Ctx) -> Outcome {
    let server = ctx.raw(Script::reply(SWITCHED));
    switched(&ctx, &server).await?;
    let request = &server.requests()[0];
    ensure_eq!(ctx.names(&request.fields), ["connection", "host", "upgrade"], "the names of all fields");
    ensure!(request.field("connection").is_some_and(|value| value.eq_ignore_ascii_case("upgrade")), "Connection");
    Ok(())
}

async fn first_bytes(ctx: Ctx) -> Outcome {
    let server = ctx.raw(Script::reply(format!("{SWITCHED}hello")).received("bye").send("world"));
    let mut stream = switched(&ctx, &server).await?;
    let mut first = [0; 5];
    ctx.wait("the first bytes have arrived", stream.read_exact(&mut first)).await?;
    ensure_eq!(&first, b"hello", "first bytes");
    ctx.wait("it is sent", async {
        stream.write_all(b"bye").await?;
        stream.flush().await
    })
    .await?;
    ctx.wait("more bytes have arrived", stream.read_exact(&mut first)).await?;
    ensure_eq!(&first, b"world", "more bytes");
    Ok(())
}

async fn with_length(ctx: Ctx) -> Outcome {
    let head = "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: echo\r\nContent-Length: 2\r\n\r\n";
    let server = ctx.raw(Script::reply(format!("{head}hello")));
    let mut stream = switched(&ctx, &server).await?;
    let mut first = [0; 5];
    ctx.wait("the first bytes have arrived", stream.read_exact(&mut first)).await?;
    ensure_eq!(&first, b"hello", "first bytes");
    Ok(())
}

async fn declined(ctx: Ctx) -> Outcome {
    let server = ctx.raw(Script::reply(FRESH).repeat());
    let response = ask(&ctx, &server.url("/")).await?;
    ensure_eq!(response.status(), 200, "status");
    ensure_eq!(response.bytes().await?, "fresh", "body");
    let response = ask(&ctx, &server.url("/")).await?;
    let outcome = response.upgrade().map(drop).map_err(|error| error.kind());
    ensure_eq!(outcome, Err(ErrorKind::Protocol), "asking a declined upgrade for its stream");
    Ok(())
}

async fn dropped(ctx: Ctx) -> Outcome {
    let server = ctx.raw(Script::reply(SWITCHED));
    drop(switched(&ctx, &server).await?);
    ctx.wait("the connection is closed", server.connection(0).closed_by_client()).await;
    Ok(())
}

async fn never_taken(ctx: Ctx) -> Outcome {
    let server = ctx.raw(Script::reply(SWITCHED));
    drop(ask(&ctx, &server.url("/")).await?);
    ctx.wait("the connection is closed", server.connection(0).closed_by_client()).await;
    Ok(())
}

async fn closed_by_server(ctx: Ctx) -> Outcome {
    let server = ctx.raw(Script::reply(format!("{SWITCHED}hello")).half_close());
    let mut all = Vec::new();
    let mut stream = switched(&ctx, &server).await?;
    ctx.wait("the stream has ended", stream.read_to_end(&mut all)).await?;
    ensure_eq!(all, b"hello", "all of it");
    Ok(())
}

async fn not_pooled(ctx: Ctx) -> Outcome {
    let server = ctx.raws([Script::reply(SWITCHED), Script::reply(FRESH)]);
    let stream = switched(&ctx, &server).await?;
    let sent = ctx.client()?.get(server.url("/next")).send();
    ctx.wait("the answer has arrived", sent).await.expect_body("fresh").await?;
    drop(stream);
    Ok(())
}

async fn large(ctx: Ctx) -> Outcome {
    let response = ask(&ctx, &ctx.app().url("/upgrade")).await?;
    let (mut reader, mut writer) = response.upgrade()?.split();
    let sent = crate::servers::pattern(1 << 20);
    let writing = async {
        writer.write_all(&sent).await?;
        writer.flush().await
    };
    let mut back = vec![0; 1 << 20];
    let both = futures_util::future::try_join(writing, reader.read_exact(&mut back));
    ctx.wait("all of it has come back", both).await?;
    ensure!(back == sent, "what came back differs");
    Ok(())
}

async fn connect(ctx: &Ctx, url: &str) -> Result<Response, Stop> {
    Ok(ctx.wait("the answer has arrived", ctx.client()?.request(Method::CONNECT, url).send()).await?)
}

async fn tunnel(ctx: Ctx) -> Outcome {
    let response = connect(&ctx, &ctx.app().url("/")).await?;
    ensure_eq!(response.status(), 200, "status");
    goes_both_ways(&ctx, &mut response.upgrade()?).await
}

async fn tunnel_target(ctx: Ctx) -> Outcome {
    let server = ctx.raw(Script::reply("HTTP/1.1 200 OK\r\n\r\n"));
    drop(connect(&ctx, &server.url("/ignored")).await?);
    let request = &server.requests()[0];
    ensure_eq!(request.target, server.addr().to_string(), "target");
    ensure_eq!(ctx.names(&request.fields), ["host"], "the names of all fields");
    Ok(())
}

async fn tunnel_with(ctx: Ctx, field: &'static str) -> Outcome {
    let server = ctx.raw(Script::reply(format!("HTTP/1.1 200 OK\r\n{field}\r\nhello, tunnel")));
    let mut stream = connect(&ctx, &server.url("/")).await?.upgrade()?;
    let mut first = [0; 13];
    ctx.wait("the first bytes have arrived", stream.read_exact(&mut first)).await?;
    ensure_eq!(&first, b"hello, tunnel", "first bytes");
    Ok(())
}

async fn tunnel_refused(ctx: Ctx) -> Outcome {
    let server = ctx.raw(Script::reply("HTTP/1.1 403 Forbidden\r\nContent-Length: 4\r\n\r\nnope"));
    let response = connect(&ctx, &server.url("/")).await?;
    ensure_eq!(response.status(), 403, "status");
    ensure_eq!(response.bytes().await?, "nope", "body");
    Ok(())
}
