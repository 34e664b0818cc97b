//! One exchange with a server that sends given bytes, and what must be true afterwards: the ways in which most cases on responses are
//! told.

use std::sync::Arc;

use bytes::Bytes;
use client_core::{Error, ErrorKind, HeaderMap, Method, Result, StatusCode};

use crate::case::{Outcome, Stop, ensure, ensure_eq};
use crate::ctx::{Ctx, Expect};
use crate::servers::{Raw, Script};

/// A complete response with the body `ok`.
pub(crate) const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
/// What the connection of the first exchange answers to a second one.
pub(super) const SAME: &str = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nsame";
/// What every other connection answers.
pub(super) const FRESH: &str = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nfresh";

/// A response that was read to its end.
pub(super) struct Whole {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

/// A server whose first connection follows `first` and then answers `same`; all others answer `fresh`.
pub(super) fn server(ctx: &Ctx, first: Script) -> Arc<Raw> {
    ctx.raws([first.request().send(SAME), Script::reply(FRESH).repeat()])
}

/// One exchange, to the end of its body.
pub(super) async fn exchange(ctx: &Ctx, method: Method, url: &str) -> Result<Result<Whole>, Stop> {
    let request = ctx.client()?.request(method, url);
    Ok(ctx
        .wait("the whole answer has arrived", async {
            let response = request.send().await?;
            let (status, headers) = (response.status(), response.headers().clone());
            let body = response.bytes().await?;
            Ok(Whole { status, headers, body })
        })
        .await)
}

/// A GET of `server`, to the end of its body.
pub(super) async fn get(ctx: &Ctx, server: &Raw) -> Result<Result<Whole>, Stop> {
    exchange(ctx, Method::GET, &server.url("/first")).await
}

/// The next exchange is answered, by the connection of the first one or by another: which one.
pub(super) async fn next(ctx: &Ctx, server: &Raw) -> Result<&'static str, Stop> {
    let next = exchange(ctx, Method::GET, &server.url("/next")).await??;
    match &next.body[..] {
        b"same" if next.status == 200 => Ok("same"),
        b"fresh" if next.status == 200 => Ok("fresh"),
        other => Err(Stop::failed(format!(
            "the next exchange got {} {:?}",
            next.status,
            other.escape_ascii().to_string()
        ))),
    }
}

/// The response arrives with this body, and the next exchange is in step.
pub(super) async fn accepts(ctx: Ctx, reply: impl Into<Bytes>, body: &str) -> Outcome {
    let server = server(&ctx, Script::reply(reply));
    let got = get(&ctx, &server).await??;
    ensure_eq!(got.body, body, "body");
    next(&ctx, &server).await.map(drop)
}

/// The response is refused as a violation of the protocol, and its connection is closed.
pub(super) async fn refuses(ctx: Ctx, reply: impl Into<Bytes>) -> Outcome {
    refuses_as(ctx, reply, &[ErrorKind::Protocol]).await
}

/// The response is refused, as one of `kinds`, and its connection is closed.
pub(super) async fn refuses_as(ctx: Ctx, reply: impl Into<Bytes>, kinds: &[ErrorKind]) -> Outcome {
    let server = server(&ctx, Script::reply(reply));
    let error = match get(&ctx, &server).await? {
        Ok(got) => return Err(Stop::failed(format!("accepted, as {} with {} bytes", got.status, got.body.len()))),
        Err(error) => error,
    };
    refused(&error, kinds)?;
    ctx.wait("the engine closes the connection", server.connection(0).closed_by_client()).await;
    ensure_eq!(next(&ctx, &server).await?, "fresh", "the connection of the next exchange");
    Ok(())
}

fn refused(error: &Error, kinds: &[ErrorKind]) -> Outcome {
    ensure!(kinds.contains(&error.kind()), "kind {:?}, expected one of {kinds:?}: {error:?}", error.kind());
    ensure!(
        error.sent() != client_core::Sent::Nothing,
        "the server has answered, but the error says that nothing was sent"
    );
    Ok(())
}

/// The response is refused, or arrives with exactly this body; the next exchange is in step.
pub(super) async fn accepts_or_refuses(ctx: Ctx, reply: impl Into<Bytes>, body: &str) -> Outcome {
    let server = server(&ctx, Script::reply(reply));
    match get(&ctx, &server).await? {
        Ok(got) => ensure_eq!(got.body, body, "body"),
        Err(error) => refused(&error, &[ErrorKind::Protocol])?,
    }
    next(&ctx, &server).await.map(drop)
}

/// The same, and the connection is not used again.
pub(super) async fn never_reused(ctx: Ctx, reply: impl Into<Bytes>, body: &str) -> Outcome {
    let server = server(&ctx, Script::reply(reply));
    match get(&ctx, &server).await? {
        Ok(got) => ensure_eq!(got.body, body, "body"),
        Err(error) => refused(&error, &[ErrorKind::Protocol])?,
    }
    ensure_eq!(next(&ctx, &server).await?, "fresh", "the connection of the next exchange");
    Ok(())
}

/// The server sends this much and closes: the call fails as closed, never as complete.
pub(super) async fn cut_short(ctx: Ctx, reply: impl Into<Bytes>) -> Outcome {
    let server = server(&ctx, Script::reply(reply).close());
    match get(&ctx, &server).await? {
        Ok(got) => Err(Stop::failed(format!("taken for complete, with {} bytes", got.body.len()))),
        Err(error) => refused(&error, &[ErrorKind::Closed]),
    }
}

/// A GET of `url` brings exactly this body.
pub(super) async fn brings(ctx: &Ctx, url: &str, body: impl AsRef<[u8]>) -> Outcome {
    let sent = ctx.client()?.get(url).send();
    let answer = ctx.wait("the answer has arrived", sent).await;
    ctx.wait("the body has arrived", answer.expect_body(body)).await
}
