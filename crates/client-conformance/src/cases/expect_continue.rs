//! `Expect: 100-continue` (RFC 9110 §10.1.1): the body waits for the server's word, but not for ever.

use client_core::{Body, Response};

use super::probe::{FRESH, OK};
use super::request_bodies::contains;
use crate::case::{Outcome, Stop, ensure, ensure_eq};
use crate::ctx::{Ctx, Expect};
use crate::servers::{Raw, Script};

cases! {
    expect_continue(ctx): "The body waits for the server's word";

    continued [Http1, ExpectContinue] "RFC 9110 §10.1.1", "After 100 the body is sent" => continued(ctx);
    silence [Http1, ExpectContinue] "RFC 9110 §10.1.1: MUST NOT wait for an indefinite period",
        "If the server says nothing, the body is sent after a while" => silence(ctx);
    refused [Http1, ExpectContinue] "RFC 9110 §10.1.1: SHOULD repeat", "After 417, the request is repeated without its expectation" =>
        refused(ctx);
    rejected [Http1, ExpectContinue] "RFC 9110 §10.1.1", "401 is the answer, and the body is not sent" =>
        answered(ctx, "HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n", 401);
    answered_at_once [Http1, ExpectContinue] "RFC 9110 §10.1.1",
        "200 at once is the answer; what was announced is no next request" =>
            answered(ctx, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 200);
    other_informational [Http1, ExpectContinue] "RFC 9110 §15.2", "103 is not the word that the body waits for, nor an answer" =>
        hints_first(ctx);
    continued_twice [Http1, ExpectContinue] "RFC 9110 §15.2: MUST be able to parse one or more",
        "A second 100 behind the first, with fields, is no answer either" => continued_twice(ctx);
    said_once [Http1, ExpectContinue] "RFC 9110 §10.1.1", "Expect is sent once, as the user wrote it" => said_once(ctx);
    large_body [Http1, ExpectContinue] "Ktor KTOR-8687", "A large body arrives whole after 100" => large(ctx);
}

async fn post(ctx: &Ctx, server: &Raw, body: Body) -> Result<Response, Stop> {
    let request = ctx.client()?.post(server.url("/first")).header("expect", "100-continue").body(body);
    Ok(ctx.wait("the answer has arrived", request.send()).await?)
}

async fn continued(ctx: Ctx) -> Outcome {
    let script = Script::new().received("\r\n\r\n").send("HTTP/1.1 100 Continue\r\n\r\n").request().send(OK);
    let server = ctx.raw(script);
    Ok(post(&ctx, &server, Body::from("hello")).await?).expect_body("ok").await?;
    ensure_eq!(server.requests()[0].body, b"hello", "body");
    Ok(())
}

async fn refused(ctx: Ctx) -> Outcome {
    let refusal = Script::new().head().send("HTTP/1.1 417 Expectation Failed\r\nContent-Length: 0\r\n\r\n").close();
    let server = ctx.raws([refusal, Script::reply(OK)]);
    Ok(post(&ctx, &server, Body::from("hello")).await?).expect_body("ok").await?;
    let last = server.requests().pop().ok_or_else(|| Stop::failed("no complete request"))?;
    ensure!(last.field("expect").is_none(), "the expectation is still there");
    ensure_eq!(last.body, b"hello", "body");
    Ok(())
}

async fn silence(ctx: Ctx) -> Outcome {
    let server = ctx.raw(Script::reply(OK));
    Ok(post(&ctx, &server, Body::from("hello")).await?).expect_body("ok").await?;
    ensure_eq!(server.requests()[0].body, b"hello", "body");
    Ok(())
}

async fn answered(ctx: Ctx, reply: &'static str, status: u16) -> Outcome {
    let server = ctx.raws([Script::new().head().send(reply), Script::reply(FRESH)]);
    let response = post(&ctx, &server, Body::from("the announced body")).await?;
    ensure_eq!(response.status().as_u16(), status, "status");
    response.bytes().await?;
    ensure!(!contains(&server.connection(0).received(), b"the announced body"), "the body was sent nevertheless");
    // The server may wait for the body still: only another connection is safe (RFC 9110 §10.1.1).
    let next = ctx.client()?.get(server.url("/next")).send();
    ctx.wait("the next answer has arrived", next).await.expect_body("fresh").await
}

async fn hints_first(ctx: Ctx) -> Outcome {
    let script = Script::new()
        .received("\r\n\r\n")
        .send("HTTP/1.1 103 Early Hints\r\nX: 1\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n");
    let server = ctx.raw(script.request().send(OK));
    Ok(post(&ctx, &server, Body::from("hello")).await?).expect_body("ok").await
}

async fn continued_twice(ctx: Ctx) -> Outcome {
    let twice = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 100 Continue\r\nServer: x\r\n\r\n";
    let server = ctx.raw(Script::new().received("\r\n\r\n").send(twice).request().send(OK));
    Ok(post(&ctx, &server, Body::from("hello")).await?).expect_body("ok").await?;
    ensure_eq!(server.requests()[0].body, b"hello", "body");
    Ok(())
}

async fn said_once(ctx: Ctx) -> Outcome {
    let server = ctx.raw(Script::new().received("\r\n\r\n").send("HTTP/1.1 100 Continue\r\n\r\n").request().send(OK));
    Ok(post(&ctx, &server, Body::from("hello")).await?).expect_body("ok").await?;
    ensure_eq!(server.requests()[0].values("expect"), [b"100-continue"], "every Expect");
    Ok(())
}

async fn large(ctx: Ctx) -> Outcome {
    let server = ctx.raw(Script::new().received("\r\n\r\n").send("HTTP/1.1 100 Continue\r\n\r\n").request().send(OK));
    let body = crate::servers::pattern(1 << 20);
    Ok(post(&ctx, &server, Body::from(body.clone())).await?).expect_body("ok").await?;
    ensure!(server.requests()[0].body == body, "the body differs");
    Ok(())
}
