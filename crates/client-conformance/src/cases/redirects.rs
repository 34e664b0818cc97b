//! Redirects (RFC 9110 §15.4) are the core's; what is shown here is that an engine leaves them to it, and that nothing goes astray
//! on the way.

use std::sync::Arc;

use client_core::{Body, ErrorKind, HeaderValue, HttpClient, Redirect, Response};
use futures_util::stream;

use super::probe::OK;
use crate::case::{Outcome, ensure_eq};
use crate::ctx::{Ctx, Expect};
use crate::servers::{Raw, Script};

cases! {
    redirects(ctx): "Redirects, and what must not follow them";

    followed [] "RFC 9110 §15.4.3", "A redirect is followed; the response tells from where and the URL that answered" =>
        followed(ctx);
    not_by_the_engine [] "DESIGN: an engine follows no redirect",
        "With redirects off, a 302 is returned with its fields and body" => off(ctx);
    without_location [Http1] "RFC 9110 §15.4", "A 302 without Location is returned" => without_location(ctx);
    ten_hops [] "Redirect: 10 by default, as curl and Go", "Ten redirects are followed" => hops(ctx);
    eleven_hops [] "Redirect: 10 by default, as curl and Go", "The eleventh is an error" => too_many(ctx);
    see_other [Http1] "RFC 9110 §15.4.4", "303 turns a POST into a GET without body and its fields" =>
        method(ctx, 303, "GET", "");
    found_post [Http1] "RFC 9110 §15.4.3, Fetch", "302 turns a POST into a GET" => method(ctx, 302, "GET", "");
    temporary [Http1] "RFC 9110 §15.4.8", "307 keeps method and body" => method(ctx, 307, "POST", "hello");
    permanent [Http1] "RFC 9110 §15.4.9", "308 keeps method and body" => method(ctx, 308, "POST", "hello");
    stream_not_sent_again [Http1, StreamingUpload] "DESIGN: bodies know whether they can be replayed",
        "307 fails if the body can be sent only once" => stream_once(ctx);
    reopened_body [Http1] "DESIGN: bodies know whether they can be replayed", "307 sends a reopened body again" => reopened(ctx);
    location_untouched [Http1] "Ktor KTOR-1236, KTOR-2057", "A Location's query is not encoded again" => location(ctx);
    credentials_stay [Http1] "CVE-2018-1000007, CVE-2018-18074", "Credentials do not go to another port" => other_origin(ctx);
    credentials_do_not_return [Http1] "CVE-2024-45336", "Credentials that were dropped do not come back on the way home" =>
        and_back(ctx);
    credentials_within_origin [Http1] "Ktor: HttpRedirectMockedTest", "Credentials are kept within the origin" =>
        same_origin(ctx);
    location_bytes [Http1] "WHATWG URL §1.3; WPT: redirect-location-escape", "Of a Location that is not UTF-8, each byte is escaped" =>
        location_bytes(ctx);
    userinfo_in_location [Http1] "CVE-2021-22876", "Userinfo in a Location is not used" => userinfo(ctx);
    host_of_user [Http1] "CVE-2026-6276", "A Host of the user's does not go to another origin" => host(ctx);
    no_referer [Http1] "CVE-2021-22876", "No Referer is added" => referer(ctx);
    no_cookies [Http1] "DESIGN: an engine keeps no cookie", "A cookie that was set on the way is not sent" => cookies(ctx);
    unread_bodies [Http1] "CVE-2026-21441", "The body of a redirect that never ends is not waited for" => endless_body(ctx);
}

async fn followed(ctx: Ctx) -> Outcome {
    let app = ctx.app();
    let response = ctx.wait("the answer has arrived", ctx.client()?.get(app.url("/redirect/2")).send()).await?;
    ensure_eq!(response.status(), 200, "status");
    ensure_eq!(response.url().to_string(), app.url("/"), "URL");
    let hops: Vec<_> = response.redirects().iter().map(|hop| hop.to.path().to_owned()).collect();
    ensure_eq!(hops, ["/redirect/1", "/"], "hops");
    ensure_eq!(response.bytes().await?, "hello", "body");
    Ok(())
}

async fn off(ctx: Ctx) -> Outcome {
    let request = ctx.client()?.get(ctx.app().url("/redirect/2")).redirect(Redirect::none());
    let response = ctx.wait("the answer has arrived", request.send()).await?;
    ensure_eq!(response.status(), 302, "status");
    ensure_eq!(response.headers().get("location"), Some(&HeaderValue::from_static("/redirect/1")), "Location");
    ensure_eq!(response.bytes().await?, "302", "body");
    Ok(())
}

async fn without_location(ctx: Ctx) -> Outcome {
    let server = ctx.raw(Script::reply("HTTP/1.1 302 Found\r\nContent-Length: 2\r\n\r\nok"));
    let response = ctx.wait("the answer has arrived", ctx.client()?.get(server.url("/")).send()).await?;
    ensure_eq!(response.status(), 302, "status");
    ensure_eq!(response.bytes().await?, "ok", "body");
    Ok(())
}

async fn hops(ctx: Ctx) -> Outcome {
    let sent = ctx.client()?.get(ctx.app().url("/redirect/10")).send();
    ctx.wait("the answer has arrived", sent).await.expect_body("hello").await
}

async fn too_many(ctx: Ctx) -> Outcome {
    let outcome = ctx.wait("the call fails", ctx.client()?.get(ctx.app().url("/redirect/11")).send()).await;
    ensure_eq!(outcome.map(drop).map_err(|error| error.kind()), Err(ErrorKind::Redirect), "outcome");
    Ok(())
}

/// A server that answers the first request with a redirect, and all others with `ok`.
fn redirecting(ctx: &Ctx, status: u16, location: &str) -> Arc<Raw> {
    let reply = format!("HTTP/1.1 {status} Moved\r\nLocation: {location}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
    ctx.raws([Script::reply(reply), Script::reply(OK).repeat()])
}

async fn method(ctx: Ctx, status: u16, method: &str, body: &str) -> Outcome {
    let server = redirecting(&ctx, status, "/next");
    let request = ctx.client()?.post(server.url("/first")).header("content-type", "text/plain").body("hello");
    ctx.wait("the answer has arrived", request.send()).await.expect_body("ok").await?;
    let requests = server.requests();
    ensure_eq!(requests.len(), 2, "number of requests");
    let next = &requests[1];
    ensure_eq!((next.method.as_str(), next.target.as_str()), (method, "/next"), "method and target");
    ensure_eq!(next.body, body.as_bytes(), "body");
    ensure_eq!(next.field("content-type").is_some(), !body.is_empty(), "whether there is a Content-Type");
    Ok(())
}

async fn stream_once(ctx: Ctx) -> Outcome {
    let server = redirecting(&ctx, 307, "/next");
    let body = Body::stream(stream::iter([Ok::<_, std::io::Error>("once")]));
    let outcome = ctx.wait("the call fails", ctx.client()?.post(server.url("/first")).body(body).send()).await;
    ensure_eq!(outcome.map(drop).map_err(|error| error.kind()), Err(ErrorKind::Redirect), "outcome");
    ensure_eq!(server.requests().len(), 1, "number of requests");
    Ok(())
}

async fn reopened(ctx: Ctx) -> Outcome {
    let server = redirecting(&ctx, 307, "/next");
    let body = Body::reopen(Some(5), || Body::from("again"));
    let sent = ctx.client()?.post(server.url("/first")).body(body).send();
    ctx.wait("the answer has arrived", sent).await.expect_body("ok").await?;
    let bodies: Vec<_> = server.requests().into_iter().map(|request| request.body).collect();
    ensure_eq!(bodies, [b"again", b"again"], "bodies");
    Ok(())
}

async fn location(ctx: Ctx) -> Outcome {
    let server = redirecting(&ctx, 302, "/a%2Fb?x=%3D&y=a%20b+c;d");
    ctx.wait("the answer has arrived", ctx.client()?.get(server.url("/first")).send())
        .await
        .expect_body("ok")
        .await?;
    ensure_eq!(server.requests()[1].target, "/a%2Fb?x=%3D&y=a%20b+c;d", "target");
    Ok(())
}

async fn location_bytes(ctx: Ctx) -> Outcome {
    let reply =
        &b"HTTP/1.1 302 Moved\r\nLocation: /caf\xe9?\xff\xc3\xa9%20\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"[..];
    let server = ctx.raws([Script::reply(reply), Script::reply(OK).repeat()]);
    ctx.wait("the answer has arrived", ctx.client()?.get(server.url("/first")).send())
        .await
        .expect_body("ok")
        .await?;
    ensure_eq!(server.requests()[1].target, "/caf%E9?%FF%C3%A9%20", "target");
    Ok(())
}

/// A GET with everything that belongs to one origin.
async fn secret(ctx: &Ctx, client: &HttpClient, url: String) -> client_core::Result<Response> {
    let request = client
        .get(url)
        .bearer_auth("secret")
        .header("cookie", "a=secret")
        .header("proxy-authorization", "secret");
    let mut key = HeaderValue::from_static("secret");
    key.set_sensitive(true);
    ctx.wait("the answer has arrived", request.header("x-api-key", key).header("x-plain", "1").send())
        .await
}

async fn other_origin(ctx: Ctx) -> Outcome {
    let other = ctx.raw(Script::reply(OK));
    let server = redirecting(&ctx, 302, &other.url("/other"));
    secret(&ctx, &ctx.client()?, server.url("/first")).await.expect_body("ok").await?;
    ensure_eq!(ctx.names(&other.requests()[0].fields), ["host", "x-plain"], "fields at the other origin");
    ensure_eq!(other.requests()[0].field("host"), Some(other.addr().to_string()), "Host");
    Ok(())
}

async fn and_back(ctx: Ctx) -> Outcome {
    let home = ctx.raw(Script::reply(OK));
    let away = redirecting(&ctx, 302, &home.url("/home"));
    let start = redirecting(&ctx, 302, &away.url("/away"));
    secret(&ctx, &ctx.client()?, start.url("/first")).await.expect_body("ok").await?;
    ensure_eq!(ctx.names(&home.requests()[0].fields), ["host", "x-plain"], "fields at the end");
    Ok(())
}

async fn same_origin(ctx: Ctx) -> Outcome {
    let server = redirecting(&ctx, 302, "/next");
    secret(&ctx, &ctx.client()?, server.url("/first")).await.expect_body("ok").await?;
    let kept = server.requests()[1].field("authorization");
    ensure_eq!(kept.as_deref(), Some("Bearer secret"), "Authorization");
    Ok(())
}

async fn userinfo(ctx: Ctx) -> Outcome {
    let other = ctx.raw(Script::reply(OK));
    let server = redirecting(&ctx, 302, &other.url("/other").replace("http://", "http://user:pass@"));
    ctx.wait("the answer has arrived", ctx.client()?.get(server.url("/first")).send())
        .await
        .expect_body("ok")
        .await?;
    ensure_eq!(other.requests()[0].field("authorization"), None, "Authorization");
    Ok(())
}

async fn host(ctx: Ctx) -> Outcome {
    let other = ctx.raw(Script::reply(OK));
    let server = redirecting(&ctx, 302, &other.url("/other"));
    let request = ctx.client()?.get(server.url("/first")).header("host", "virtual.example");
    ctx.wait("the answer has arrived", request.send()).await.expect_body("ok").await?;
    ensure_eq!(other.requests()[0].field("host"), Some(other.addr().to_string()), "Host");
    Ok(())
}

async fn referer(ctx: Ctx) -> Outcome {
    let server = redirecting(&ctx, 302, "/next");
    let url = server.url("/first?token=secret").replace("http://", "http://user:pass@");
    ctx.wait("the answer has arrived", ctx.client()?.get(url).send()).await.expect_body("ok").await?;
    ensure_eq!(server.requests()[1].field("referer"), None, "Referer");
    Ok(())
}

async fn cookies(ctx: Ctx) -> Outcome {
    let reply =
        "HTTP/1.1 302 Found\r\nLocation: /next\r\nSet-Cookie: a=1; Path=/\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
    let server = ctx.raws([Script::reply(reply), Script::reply(OK)]);
    ctx.wait("the answer has arrived", ctx.client()?.get(server.url("/first")).send())
        .await
        .expect_body("ok")
        .await?;
    ensure_eq!(server.requests()[1].field("cookie"), None, "Cookie");
    Ok(())
}

async fn endless_body(ctx: Ctx) -> Outcome {
    let reply = "HTTP/1.1 302 Found\r\nLocation: /next\r\nContent-Length: 1000000000\r\n\r\n";
    let server = ctx.raws([Script::reply(reply), Script::reply(OK)]);
    let sent = ctx.client()?.get(server.url("/first")).send();
    ctx.wait("the answer has arrived", sent).await.expect_body("ok").await?;
    ctx.wait("the engine closes the first connection", server.connection(0).closed_by_client()).await;
    Ok(())
}
