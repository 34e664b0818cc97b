//! Methods and request targets (RFC 9110 §9, RFC 9112 §3).

use client_core::{Method, RequestTarget};

use super::probe::OK;
use crate::case::{Outcome, ensure_eq};
use crate::ctx::{Ctx, Expect};
use crate::servers::Script;

cases! {
    methods(ctx): "Methods and request targets";
    get [Http1] "RFC 9110 §9.3.1", "GET arrives as GET" => arrives(ctx, "GET");
    post [Http1] "RFC 9110 §9.3.3", "POST arrives as POST" => arrives(ctx, "POST");
    put [Http1] "RFC 9110 §9.3.4", "PUT arrives as PUT" => arrives(ctx, "PUT");
    delete [Http1] "RFC 9110 §9.3.5", "DELETE arrives as DELETE" => arrives(ctx, "DELETE");
    patch [Http1] "RFC 5789; Ktor: no PATCH on Android", "PATCH arrives as PATCH" => arrives(ctx, "PATCH");
    options [Http1] "RFC 9110 §9.3.7", "OPTIONS arrives as OPTIONS" => arrives(ctx, "OPTIONS");
    trace [Http1] "RFC 9110 §9.3.8", "TRACE arrives as TRACE" => arrives(ctx, "TRACE");
    query [Http1] "draft-ietf-httpbis-safe-method-w-body", "QUERY arrives as QUERY" => arrives(ctx, "QUERY");
    extension [Http1] "RFC 9110 §16.1", "A method of the user's own arrives as it is" => arrives(ctx, "PROPFIND");
    case_sensitive [Http1] "RFC 9110 §9.1", "Method names are case-sensitive and kept" => arrives(ctx, "get");
    token_characters [Http1] "RFC 9110 §5.6.2", "A method may be any token" => arrives(ctx, "M-SEARCH!#$%&'*+.^_`|~");
    asterisk [Http1, AsteriskForm] "RFC 9112 §3.2.4", "OPTIONS * has the target *" => asterisk(ctx);
    path_untouched [Http1] "RFC 9112 §3.2.1; Ktor KTOR-2057, KTOR-9671", "A path is sent as it was written, not encoded again" =>
        target(ctx, "/a;b=c,d:e@f!$&'()*+/%2F%2f/x", "/a;b=c,d:e@f!$&'()*+/%2F%2f/x");
    query_untouched [Http1] "RFC 9112 §3.2.1; Ktor KTOR-5814", "A query is sent as it was written, empty parts included" =>
        target(ctx, "/?a=1&a=2&b&c=&=d&&e==f%20+", "/?a=1&a=2&b&c=&=d&&e==f%20+");
    empty_query [Http1] "RFC 3986 §6.2.3", "An empty query keeps its question mark" => target(ctx, "/x?", "/x?");
    query_without_path [Http1] "RFC 9112 §3.2.1; Ktor KTOR-4347", "A URL without a path has the target /" =>
        target(ctx, "?a=b", "/?a=b");
    double_slash [Http1] "RFC 9112 §3.2.1", "Empty path segments are kept" => target(ctx, "//a//b", "//a//b");
    fragment [Http1] "RFC 9110 §7.1", "A fragment is never sent" => target(ctx, "/a?b#c", "/a?b");
    non_ascii [Http1] "RFC 3986 §2.5; Ktor: unencoded in CIO", "Characters beyond ASCII are sent as percent-encoded UTF-8" =>
        target(ctx, "/straße?q=ä", "/stra%C3%9Fe?q=%C3%A4");
    long_target [Http1] "RFC 9112 §3: 8000 octets at least", "A target of 8000 bytes arrives whole" => long_target(ctx);
    no_injection [Http1] "CVE-2020-26137, CVE-2022-31150", "Line breaks in a URL never reach the request line" =>
        no_injection(ctx);
}

async fn arrives(ctx: Ctx, method: &'static str) -> Outcome {
    let server = ctx.raw(Script::reply(OK));
    let sent = ctx.client()?.request(method, server.url("/x")).send();
    ctx.wait("the answer has arrived", sent).await.expect_body("ok").await?;
    let requests = server.requests();
    ensure_eq!(requests.len(), 1, "number of requests");
    ensure_eq!(requests[0].method, method, "method");
    ensure_eq!(requests[0].target, "/x", "target");
    ensure_eq!(requests[0].version, "HTTP/1.1", "version");
    Ok(())
}

async fn target(ctx: Ctx, path: &'static str, expected: &'static str) -> Outcome {
    let server = ctx.raw(Script::reply(OK));
    let base = server.url("");
    ctx.wait("the answer has arrived", ctx.client()?.get(format!("{base}{path}")).send())
        .await
        .expect_body("ok")
        .await?;
    ensure_eq!(server.requests()[0].target, expected, "target");
    Ok(())
}

async fn long_target(ctx: Ctx) -> Outcome {
    let server = ctx.raw(Script::reply(OK));
    let path = format!("/{}", "a".repeat(8000));
    ctx.wait("the answer has arrived", ctx.client()?.get(server.url(&path)).send())
        .await
        .expect_body("ok")
        .await?;
    ensure_eq!(server.requests()[0].target, path, "target");
    Ok(())
}

async fn asterisk(ctx: Ctx) -> Outcome {
    let server = ctx.raw(Script::reply(OK));
    let request = ctx.client()?.request(Method::OPTIONS, server.url("/")).target(RequestTarget::Asterisk);
    ctx.wait("the answer has arrived", request.send()).await.expect_body("ok").await?;
    let request = &server.requests()[0];
    ensure_eq!(request.target, "*", "target");
    ensure_eq!(request.field("host"), Some(server.addr().to_string()), "Host");
    Ok(())
}

/// The URL parser drops or escapes them; what counts is that the server sees one request with one line.
async fn no_injection(ctx: Ctx) -> Outcome {
    let server = ctx.raw(Script::reply(OK));
    let base = server.url("");
    let url = format!("{base}/a HTTP/1.1\r\nX-Injected: 1\r\n\r\nGET /b");
    // Refusing it is as good.
    let _ = ctx.wait("the answer has arrived", ctx.client()?.get(url).send()).await;
    for request in server.requests() {
        ensure_eq!(request.method, "GET", "method");
        ensure_eq!(request.version, "HTTP/1.1", "version");
        ensure_eq!(request.field("x-injected"), None, "injected field");
    }
    ensure_eq!(server.requests().len() <= 1, true, "at most one request");
    Ok(())
}
