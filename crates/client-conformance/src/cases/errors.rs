//! Failures, told alike by every engine: the kind, the phase, what the server may have seen, and no secrets.

use std::net::{Ipv4Addr, TcpListener};

use client_core::{Error, ErrorKind, Phase, Response, Sent};

use crate::case::{Outcome, Stop, ensure, ensure_eq};
use crate::ctx::Ctx;
use crate::servers::{Gate, Script};

cases! {
    errors(ctx): "Failures, told alike by every engine";

    refused [] "Ktor: ConnectErrorsTest", "A refused connection: Connect, and nothing was sent" => refused(ctx);
    refused_is_no_timeout [ConnectTimeout] "Ktor: testConnectionRefusedException",
        "A refused connection is no timeout, though one was set" => no_timeout(ctx);
    unknown_host [] "RFC 6761 §6.4", "A name that does not exist: Resolve, and nothing was sent" => unknown_host(ctx);
    closed_at_once [Http1] "RFC 9112 §9.5", "A server that accepts and closes: Closed" => closed(ctx, Script::new().close());
    closed_before_head [Http1] "RFC 9112 §9.5", "A server that reads the request and closes: Closed, perhaps sent" =>
        closed(ctx, Script::new().request().close());
    closed_in_head [Http1] "RFC 9112 §8", "A server that closes in the middle of the head: Closed" =>
        closed(ctx, Script::reply("HTTP/1.1 200 OK\r\nX: ").close());
    half_closed_before_head [Http1] "RFC 9112 §9.6", "A server that stops sending before the head: Closed" =>
        closed(ctx, Script::new().request().half_close());
    reset_before_head [Http1] "RFC 9112 §9.5", "A reset before the head: Closed, and no timeout" =>
        closed(ctx, Script::new().request().reset());
    closed_in_body [Http1] "Ktor: ExceptionsJvmTest",
        "A server that closes in the middle of the body: Closed, while reading the body" => in_body(ctx, |script| script.close());
    reset_in_body [Http1] "Ktor: RST in the middle of the body",
        "A reset in the middle of the body: Closed, while reading the body" => in_body(ctx, |script| script.reset());
    closed_in_body_often [Http1] "Ktor: 100 times (Apache5)", "Fifty bodies that are cut off are fifty errors" => often(ctx);
    malformed_body [Http1] "RFC 9112 §7.1", "A malformed chunk: Protocol, while reading the body" => malformed(ctx);
    tls_to_plain [Tls] "RFC 8446 §6", "https to a server without TLS: Tls, and nothing was sent" => tls_to_plain(ctx);
    plain_to_tls [Http1] "RFC 8446 §6", "http to a server with TLS: an error, and no hang" => plain_to_tls(ctx);
    names_engine_and_uri [] "DESIGN: errors", "An error names the engine and the URI" => names(ctx);
    keeps_secrets [] "CVE-2023-0833", "An error shows neither userinfo nor query nor field values" => secrets(ctx);
    invalid_url [] "DESIGN: mistakes surface at send", "A URL that is none is refused, and nothing is sent" => invalid_url(ctx);
    unsupported_scheme [] "RFC 9110 §4.2", "A scheme other than http and https is refused" => scheme(ctx);
}

/// A port where nobody listens.
pub(super) fn refused_url() -> String {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port on the loopback interface");
    let addr = listener.local_addr().expect("a bound socket has an address");
    drop(listener);
    format!("http://{addr}/")
}

async fn fails(ctx: &Ctx, call: impl Future<Output = client_core::Result<Response>>) -> Result<Error, Stop> {
    match ctx.wait("the call fails", call).await {
        Ok(response) => Err(Stop::failed(format!("it is answered, with {}", response.status()))),
        Err(error) => Ok(error),
    }
}

async fn refused(ctx: Ctx) -> Outcome {
    let error = fails(&ctx, ctx.client()?.get(refused_url()).send()).await?;
    ensure_eq!(error.kind(), ErrorKind::Connect, "kind of {error:?}");
    ensure_eq!(error.phase(), Some(Phase::Connect), "phase of {error:?}");
    ensure_eq!(error.sent(), Sent::Nothing, "what was sent");
    Ok(())
}

async fn no_timeout(ctx: Ctx) -> Outcome {
    let request = ctx.client()?.get(refused_url()).timeout(|t| t.connect(std::time::Duration::from_secs(60)));
    let error = fails(&ctx, request.send()).await?;
    ensure_eq!(error.kind(), ErrorKind::Connect, "kind of {error:?}");
    ensure!(!error.is_timeout(), "a refused connection is called a timeout");
    Ok(())
}

async fn unknown_host(ctx: Ctx) -> Outcome {
    let error = fails(&ctx, ctx.client()?.get("http://nobody.invalid/").send()).await?;
    ensure_eq!(error.kind(), ErrorKind::Resolve, "kind of {error:?}");
    ensure_eq!(error.phase(), Some(Phase::Resolve), "phase of {error:?}");
    ensure_eq!(error.sent(), Sent::Nothing, "what was sent");
    Ok(())
}

async fn closed(ctx: Ctx, script: Script) -> Outcome {
    let server = ctx.raw(script);
    // Not idempotent: whatever an engine repeats on its own, it is not this.
    let error = fails(&ctx, ctx.client()?.post(server.url("/")).body("hello").send()).await?;
    ensure_eq!(error.kind(), ErrorKind::Closed, "kind of {error:?}");
    ensure!(matches!(error.phase(), Some(Phase::Send | Phase::Head)), "phase of {error:?}");
    // An engine may see the close before it writes: then nothing was sent, and it may say so.
    let is_true = error.sent() != Sent::Nothing || server.connection(0).received().is_empty();
    ensure!(is_true, "the request was sent, but the error says that nothing was");
    ensure_eq!(server.counts().accepted, 1, "connections");
    Ok(())
}

async fn in_body(ctx: Ctx, end: fn(Script) -> Script) -> Outcome {
    let gate = Gate::new();
    let script = Script::reply("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello").wait(&gate);
    let server = ctx.raw(end(script));
    let mut response = ctx.wait("the head has arrived", ctx.client()?.get(server.url("/")).send()).await?;
    let chunk = ctx.wait("half of the body has arrived", response.chunk()).await?;
    ensure_eq!(chunk.as_deref(), Some(&b"hello"[..]), "half of the body");
    gate.open();
    let Err(error) = ctx.wait("the body fails", response.chunk()).await else {
        return Err(Stop::failed("a body that was cut off is taken for whole"));
    };
    ensure_eq!(error.kind(), ErrorKind::Closed, "kind of {error:?}");
    ensure_eq!(error.phase(), Some(Phase::Body), "phase of {error:?}");
    ensure_eq!(error.sent(), Sent::Answered, "what was sent");
    Ok(())
}

async fn often(ctx: Ctx) -> Outcome {
    let server = ctx.raw(Script::reply("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n13 bytes only").close());
    for _ in 0..50 {
        let sent = ctx.client()?.get(server.url("/")).send();
        let outcome = ctx.wait("the body fails", async { sent.await?.bytes().await }).await;
        ensure_eq!(outcome.map_err(|error| error.kind()), Err(ErrorKind::Closed), "outcome");
    }
    Ok(())
}

async fn malformed(ctx: Ctx) -> Outcome {
    let gate = Gate::new();
    let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n";
    let server = ctx.raw(Script::reply(head).wait(&gate).send("x\r\n"));
    let mut response = ctx.wait("the head has arrived", ctx.client()?.get(server.url("/")).send()).await?;
    ctx.wait("the first chunk has arrived", response.chunk()).await?;
    gate.open();
    let Err(error) = ctx.wait("the body fails", response.chunk()).await else {
        return Err(Stop::failed("a malformed chunk is accepted"));
    };
    ensure_eq!(error.kind(), ErrorKind::Protocol, "kind of {error:?}");
    ensure_eq!(error.phase(), Some(Phase::Body), "phase of {error:?}");
    ensure_eq!(error.sent(), Sent::Answered, "what was sent");
    Ok(())
}

async fn tls_to_plain(ctx: Ctx) -> Outcome {
    // It answers whatever comes first, which is no request.
    let server = ctx.raw(
        Script::new()
            .received("\u{1}")
            .send("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
            .half_close(),
    );
    let error = fails(&ctx, ctx.client()?.get(server.url("/").replace("http:", "https:")).send()).await?;
    ensure_eq!(error.kind(), ErrorKind::Tls, "kind of {error:?}");
    ensure_eq!(error.phase(), Some(Phase::Tls), "phase of {error:?}");
    ensure_eq!(error.sent(), Sent::Nothing, "what was sent");
    Ok(())
}

async fn plain_to_tls(ctx: Ctx) -> Outcome {
    let server = ctx.app_tls(&crate::servers::Tls::new(crate::servers::Certificate::Good));
    let url = format!("http://{}/", server.addr());
    let error = fails(&ctx, ctx.client()?.get(url).send()).await?;
    ensure!(matches!(error.kind(), ErrorKind::Protocol | ErrorKind::Closed), "kind of {error:?}");
    Ok(())
}

async fn names(ctx: Ctx) -> Outcome {
    let (client, url) = (ctx.client()?, refused_url());
    let error = fails(&ctx, client.get(&url).send()).await?;
    ensure_eq!(error.engine(), Some(client.engine().name()), "engine");
    ensure_eq!(error.uri().map(ToString::to_string), Some(url), "URI");
    Ok(())
}

async fn secrets(ctx: Ctx) -> Outcome {
    let url = format!("{}path?token=SECRET", refused_url().replace("http://", "http://user:SECRET@"));
    let request = ctx.client()?.get(url).header("x-api-key", "SECRET");
    let error = fails(&ctx, request.send()).await?;
    let mut told = format!("{error} {error:?}");
    let mut source = std::error::Error::source(&error);
    while let Some(inner) = source {
        told.push_str(&format!(" {inner} {inner:?}"));
        source = inner.source();
    }
    ensure!(!told.contains("SECRET"), "a secret is told: {told}");
    Ok(())
}

async fn invalid_url(ctx: Ctx) -> Outcome {
    for url in [
        "",
        "no url",
        "/relative",
        "http://",
        "http://[::1",
        "http://h:99999/",
        "http://exa mple/",
    ] {
        let error = fails(&ctx, ctx.client()?.get(url).send()).await?;
        ensure_eq!(error.kind(), ErrorKind::InvalidRequest, "kind for {url:?}");
        ensure_eq!(error.sent(), Sent::Nothing, "what was sent for {url:?}");
    }
    Ok(())
}

async fn scheme(ctx: Ctx) -> Outcome {
    for url in [
        "ftp://127.0.0.1/",
        "file:///etc/hosts",
        "ws://127.0.0.1/",
        "javascript:alert(1)",
    ] {
        let error = fails(&ctx, ctx.client()?.get(url).send()).await?;
        ensure_eq!(error.kind(), ErrorKind::InvalidRequest, "kind for {url:?}");
    }
    Ok(())
}
