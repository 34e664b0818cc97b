//! Each capability by itself, so that both of its sides are measured on every engine: declared, asking for it is not refused and what can
//! be noticed is there; not declared, the other side that `refusal.rs` has. What a capability means in full is the other topics' matter.

use std::time::Duration;

use client_core::{Capability, HttpClient, Response};

use crate::case::{Outcome, Stop, ensure, ensure_eq};
use crate::ctx::{Ctx, Expect};
use crate::refusal;

cases! {
    capabilities(ctx): "Each capability by itself: what is declared can be asked for, what is not is refused by name";

    http1 [Http1] "Capability::Http1", "HTTP/1.1 can be asked for" => asked(ctx, Capability::Http1, "/");
    http2 [Http2] "Capability::Http2", "HTTP/2 can be asked for" => asked(ctx, Capability::Http2, "/");
    h2c [Http2PriorKnowledge] "Capability::Http2PriorKnowledge", "HTTP/2 without TLS can be asked for" =>
        asked(ctx, Capability::Http2PriorKnowledge, "/");
    http3 [Http3] "Capability::Http3", "HTTP/3 can be asked for" => asked(ctx, Capability::Http3, "/");
    strict_http2 [StrictHttp2] "Capability::StrictHttp2", "The call is as ever, whoever is strict" => served(ctx);
    tls [Tls] "Capability::Tls", "https can be asked for" => asked(ctx, Capability::Tls, "/");
    custom_roots [CustomRoots] "Capability::CustomRoots", "Roots can be chosen" => set(ctx, Capability::CustomRoots);
    client_identity [ClientIdentity] "Capability::ClientIdentity", "A client certificate can be set" => set(ctx, Capability::ClientIdentity);
    spki_pins [SpkiPins] "Capability::SpkiPins", "Public keys can be pinned" => set(ctx, Capability::SpkiPins);
    connect_timeout [ConnectTimeout] "Capability::ConnectTimeout", "A connect timeout can be set" =>
        asked(ctx, Capability::ConnectTimeout, "/");
    socket_timeout [SocketTimeout] "Capability::SocketTimeout", "A socket timeout can be set" =>
        asked(ctx, Capability::SocketTimeout, "/");
    connection_request_timeout [ConnectionRequestTimeout] "Capability::ConnectionRequestTimeout",
        "A limit for waiting for the pool can be set" => asked(ctx, Capability::ConnectionRequestTimeout, "/");
    http_proxy [HttpProxy] "Capability::HttpProxy", "An HTTP proxy can be set" => set(ctx, Capability::HttpProxy);
    https_proxy [HttpsProxy] "Capability::HttpsProxy", "An HTTPS proxy can be set" => set(ctx, Capability::HttpsProxy);
    socks_proxy [SocksProxy] "Capability::SocksProxy", "A SOCKS proxy can be set" => set(ctx, Capability::SocksProxy);
    proxy_status [ProxyStatus] "Capability::ProxyStatus", "The call is as ever, whatever a proxy would say" => served(ctx);
    proxy_answers [ProxyAnswers] "Capability::ProxyAnswers", "The call is as ever, whatever a proxy would answer" => served(ctx);
    unix_socket [UnixSocket] "Capability::UnixSocket", "A Unix socket can be asked for" => asked(ctx, Capability::UnixSocket, "/");
    upgrade [Upgrade] "Capability::Upgrade", "An upgrade can be asked for" => asked(ctx, Capability::Upgrade, "/upgrade");
    tunnel [Tunnel] "Capability::Tunnel", "CONNECT can be asked for" => asked(ctx, Capability::Tunnel, "/");
    asterisk_form [AsteriskForm] "Capability::AsteriskForm", "OPTIONS * can be asked for" => asked(ctx, Capability::AsteriskForm, "/");
    expect_continue [ExpectContinue] "Capability::ExpectContinue", "Expect can be asked for" =>
        asked(ctx, Capability::ExpectContinue, "/length");
    streaming_upload [StreamingUpload] "Capability::StreamingUpload", "A body of unknown length can be sent" =>
        asked(ctx, Capability::StreamingUpload, "/length");
    request_trailers [RequestTrailers] "Capability::RequestTrailers", "Trailers can be sent" =>
        asked(ctx, Capability::RequestTrailers, "/length");
    http2_request_trailers [Http2, RequestTrailers, Http2RequestTrailers] "Capability::Http2RequestTrailers",
        "Trailers can be sent by HTTP/2" => asked(ctx, Capability::Http2RequestTrailers, "/length");
    exact_headers [ExactHeaders] "Capability::ExactHeaders", "The call is as ever, whatever is added by nobody" => served(ctx);
    informational [Informational] "Capability::Informational", "The call is as ever, whoever listens" => served(ctx);
    head_progress [HeadProgress] "Capability::HeadProgress", "The call is as ever, whoever watches" => served(ctx);
    duplex [Duplex] "Capability::Duplex", "The call is as ever, whoever streams" => served(ctx);
    response_trailers [ResponseTrailers] "Capability::ResponseTrailers", "Trailers of a response are there" => trailers(ctx);
    remote_addr [RemoteAddr] "Capability::RemoteAddr", "The server's address is there" => remote_addr(ctx);
    connection_reuse [ConnectionReuse] "Capability::ConnectionReuse", "Connections are kept" => reuse(ctx);
    pool_stats [PoolStats] "Capability::PoolStats", "Statistics are there" => pool_stats(ctx);
    warm_up [WarmUp] "Capability::WarmUp", "Connections can be made beforehand" => warm_up(ctx);
}

/// Whatever comes of asking, it is not that the engine lacks it.
async fn asked(ctx: Ctx, capability: Capability, path: &str) -> Outcome {
    let app = ctx.app();
    let request = refusal::ask(&ctx.client()?, capability, &app.url(path))?;
    // An https URL leads to a server without TLS here: it may not be refused, and has to be over.
    let outcome = ctx.wait("the call is over", request.timeout(|t| t.request(Duration::from_secs(10))).send()).await;
    let lacks = outcome.err().and_then(|error| error.capability());
    ensure_eq!(lacks, None, "capability that is declared, and refused");
    Ok(())
}

/// It can be set, and the client is made.
async fn set(ctx: Ctx, capability: Capability) -> Outcome {
    let settings =
        refusal::setting(capability).ok_or_else(|| Stop::failed(format!("the suite does not know how to set {capability:?}")))?;
    // A subject that has no way to say what its engine declares has left it unmeasured.
    let engine = ctx.subject().engine(&settings);
    let engine = engine.ok_or_else(|| Stop::failed(format!("{capability:?} is declared, and the subject cannot set it")))?;
    HttpClient::builder(engine).build()?;
    served(ctx).await
}

async fn get(ctx: &Ctx) -> Result<Response, Stop> {
    let sent = ctx.client()?.get(ctx.app().url("/")).send();
    Ok(ctx.wait("the answer has arrived", sent).await?)
}

async fn served(ctx: Ctx) -> Outcome {
    let response = get(&ctx).await?;
    Ok(response).expect_body("hello").await
}

async fn trailers(ctx: Ctx) -> Outcome {
    let (client, app) = (ctx.client()?, ctx.app());
    let request = client.get(app.url("/trailers")).header("te", "trailers");
    let request = if ctx.has(Capability::Http1)? {
        request.header("connection", "te")
    } else {
        request
    };
    let mut response = ctx.wait("the head has arrived", request.send()).await?;
    while ctx.wait("the body has arrived", response.chunk()).await?.is_some() {}
    let checksum = response.trailers().and_then(|trailers| trailers.get("x-checksum").cloned());
    ensure!(checksum.is_some_and(|checksum| checksum == "5d41402a"), "no trailer: {:?}", response.trailers());
    Ok(())
}

async fn remote_addr(ctx: Ctx) -> Outcome {
    let response = get(&ctx).await?;
    ensure_eq!(response.remote_addr(), Some(ctx.app().addr()), "the server's address");
    Ok(response).expect_body("hello").await
}

async fn reuse(ctx: Ctx) -> Outcome {
    for _ in 0..2 {
        Ok(get(&ctx).await?).expect_body("hello").await?;
    }
    ensure_eq!(ctx.app().counts().accepted, 1, "connections of two calls");
    Ok(())
}

async fn warm_up(ctx: Ctx) -> Outcome {
    let (client, url) = (ctx.client()?, ctx.app().url("/"));
    ctx.wait("the connection is there", client.warm_up(url)).await?;
    served(ctx).await
}

async fn pool_stats(ctx: Ctx) -> Outcome {
    let client = ctx.client()?;
    served(ctx).await?;
    ensure!(client.pool().is_some(), "no statistics");
    Ok(())
}
