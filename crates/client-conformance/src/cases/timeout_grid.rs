//! Each time limit at each place where time can be lost, set in each way: for the client, for the request, for both, and switched off.
//! What HTTP/2 tells in frames is in `http2_timeouts.rs`.

use std::future::ready;
use std::sync::Arc;
use std::time::Duration;

use client_core::{Body, BoxFuture, Capability, HttpClient, RequestBuilder, TimeoutKind};
use futures_util::{FutureExt as _, stream};

use super::behind::at;
use super::limits::{ANY, BODY, CONNECT, DIALED, HEAD, Limited, PROXY, REQUEST, SOCKET, Scene, TLS, Way, is_no_total, strikes};
use super::probe::OK;
use crate::case::{Outcome, Stop, ensure};
use crate::ctx::Ctx;
use crate::servers::{BlackHole, Connection, Gate, ProxyPlan, Script, pattern};
use crate::subject::Settings;

const HINTS: &str = "HTTP/1.1 103 Early Hints\r\nX: 1\r\n\r\n";
const HALF_HEAD: [&str; 2] = ["HTTP/1.1 200 OK\r\nContent-", "Length: 2\r\n\r\nok"];
const NO_BODY: [&str; 2] = ["HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n", "ok"];
const HALF_BODY: [&str; 2] = ["HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\no", "k"];
const HALF_CHUNK: [&str; 2] = [
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\no",
    "k\r\n0\r\n\r\n",
];
const NO_CHUNK: [&str; 2] = [
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n",
    "0\r\n\r\n",
];
const NO_TRAILERS: [&str; 2] = [
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n",
    "X: 1\r\n\r\n",
];

limit_cases! {
    timeout_grid(ctx, way): "Each time limit, at each place where time is lost, set in each way";

    connect_in_black_hole [ConnectTimeout] "HttpTimeout: connect covers TCP", "Nobody answers the SYN: the connect limit" =>
        black_hole(ctx, way, CONNECT);
    connect_in_tls_handshake [Tls, ConnectTimeout] "HttpTimeout: connect covers TLS", "A TLS handshake stalls: the connect limit" =>
        strikes(ctx, way, CONNECT, TLS, handshake);
    connect_in_tunnel [HttpProxy, Tls, ConnectTimeout] "HttpTimeout: connect covers the proxy",
        "A proxy does not answer CONNECT: the connect limit" => stuck_tunnel(ctx, way, CONNECT);
    connect_in_socks [SocksProxy, ConnectTimeout] "HttpTimeout: connect covers the proxy",
        "A SOCKS proxy does not answer: the connect limit" => strikes(ctx, way, CONNECT, PROXY, socks);
    connect_in_proxys_handshake [HttpsProxy, CustomRoots, ConnectTimeout] "HttpTimeout: connect covers the proxy",
        "A TLS handshake with a proxy stalls: the connect limit" => strikes(ctx, way, CONNECT, TLS, proxys_handshake);

    request_in_black_hole [] "HttpTimeout: request covers everything", "Nobody answers the SYN: the request limit" =>
        black_hole(ctx, way, REQUEST);
    request_in_tls_handshake [Tls] "HttpTimeout: request covers everything", "A TLS handshake stalls: the request limit" =>
        strikes(ctx, way, REQUEST, TLS, handshake);
    request_in_tunnel [HttpProxy, Tls] "HttpTimeout: request covers everything",
        "A proxy does not answer CONNECT: the request limit" => stuck_tunnel(ctx, way, REQUEST);
    request_in_socks [SocksProxy] "HttpTimeout: request covers everything", "A SOCKS proxy does not answer: the request limit" =>
        strikes(ctx, way, REQUEST, PROXY, socks);
    request_in_proxys_handshake [HttpsProxy, CustomRoots] "HttpTimeout: request covers everything",
        "A TLS handshake with a proxy stalls: the request limit" => strikes(ctx, way, REQUEST, TLS, proxys_handshake);
    request_in_forwarding [Http1, HttpProxy] "HttpTimeout: request covers everything",
        "A proxy does not forward: the request limit" => strikes(ctx, way, REQUEST, HEAD, forwarding);
    request_before_head [Http1] "Ktor: testGetRequestTimeout", "A head never comes: the request limit" =>
        strikes(ctx, way, REQUEST, HEAD, stuck(["", OK]));
    request_in_head [Http1] "slow loris", "A head stops half-way: the request limit" =>
        strikes(ctx, way, REQUEST, HEAD, stuck(HALF_HEAD));
    request_after_informational [Http1] "RFC 9110 §15.2", "A 103 and then nothing: the request limit" =>
        strikes(ctx, way, REQUEST, HEAD, stuck([HINTS, OK]));
    request_before_body [Http1] "Ktor: testGetStreamRequestTimeout", "A body never comes: the request limit" =>
        strikes(ctx, way, REQUEST, BODY, stuck(NO_BODY));
    request_in_body [Http1] "Ktor: testGetStreamRequestTimeout", "A body stops half-way: the request limit" =>
        strikes(ctx, way, REQUEST, BODY, stuck(HALF_BODY));
    request_in_chunk [Http1] "HttpTimeout: request covers everything", "A chunk stops half-way: the request limit" =>
        strikes(ctx, way, REQUEST, BODY, stuck(HALF_CHUNK));
    request_between_chunks [Http1] "HttpTimeout: request covers everything", "The next chunk never comes: the request limit" =>
        strikes(ctx, way, REQUEST, BODY, stuck(NO_CHUNK));
    request_before_trailers [Http1] "HttpTimeout: request covers everything", "The trailers never come: the request limit" =>
        strikes(ctx, way, REQUEST, BODY, stuck(NO_TRAILERS));
    request_in_upload [Http1, StreamingUpload] "HttpTimeout: request covers everything",
        "An upload that nobody reads: the request limit" => strikes(ctx, way, REQUEST, HEAD, streamed_upload);
    request_in_sized_upload [Http1] "HttpTimeout: request covers everything",
        "An upload of known length that nobody reads: the request limit" =>
            strikes(ctx, way, REQUEST, HEAD, sized_upload);
    request_in_redirects [Http1] "Ktor: testRedirectRequestTimeoutOnSecondStep",
        "Redirects take too long together: the request limit" => strikes(ctx, way, REQUEST, ANY, redirects);
    request_in_trickle [Http1] "Ktor: limit is total, not per packet", "A body trickles for too long: the request limit" =>
        strikes(ctx, way, REQUEST, BODY, trickles_on);

    socket_in_forwarding [Http1, HttpProxy, SocketTimeout] "HttpTimeout: socket", "A proxy does not forward: the socket limit" =>
        strikes(ctx, way, SOCKET, HEAD, forwarding);
    socket_before_head [Http1, SocketTimeout] "HttpTimeout: socket", "A head never comes: the socket limit" =>
        strikes(ctx, way, SOCKET, HEAD, stuck(["", OK]));
    socket_in_head [Http1, SocketTimeout] "HttpTimeout: socket", "A head stops half-way: the socket limit" =>
        strikes(ctx, way, SOCKET, HEAD, stuck(HALF_HEAD));
    socket_after_informational [Http1, SocketTimeout] "RFC 9110 §15.2", "A 103 and then nothing: the socket limit" =>
        strikes(ctx, way, SOCKET, HEAD, stuck([HINTS, OK]));
    socket_before_body [Http1, SocketTimeout] "HttpTimeout: socket", "A body never comes: the socket limit" =>
        strikes(ctx, way, SOCKET, BODY, stuck(NO_BODY));
    socket_in_body [Http1, SocketTimeout] "Ktor: testSocketTimeoutRead", "A body stops half-way: the socket limit" =>
        strikes(ctx, way, SOCKET, BODY, stuck(HALF_BODY));
    socket_in_chunk [Http1, SocketTimeout] "HttpTimeout: socket", "A chunk stops half-way: the socket limit" =>
        strikes(ctx, way, SOCKET, BODY, stuck(HALF_CHUNK));
    socket_between_chunks [Http1, SocketTimeout] "HttpTimeout: socket", "The next chunk never comes: the socket limit" =>
        strikes(ctx, way, SOCKET, BODY, stuck(NO_CHUNK));
    socket_before_trailers [Http1, SocketTimeout] "HttpTimeout: socket", "The trailers never come: the socket limit" =>
        strikes(ctx, way, SOCKET, BODY, stuck(NO_TRAILERS));
    socket_in_upload [Http1, SocketTimeout, StreamingUpload] "Ktor: testSocketTimeoutWriteFailOnWrite",
        "An upload that nobody reads: the socket limit" => strikes(ctx, way, SOCKET, HEAD, streamed_upload);
    socket_in_sized_upload [Http1, SocketTimeout] "Ktor: testSocketTimeoutWriteFailOnWrite",
        "An upload of known length that nobody reads: the socket limit" => strikes(ctx, way, SOCKET, HEAD, sized_upload);
    socket_in_continue [Http1, SocketTimeout, ExpectContinue] "RFC 9110 §10.1.1",
        "Neither 100 nor an answer: the socket limit, before the body is sent unasked" => in_continue(ctx, way);

    trickled_body_is_no_silence [Http1, SocketTimeout] "HttpTimeout: not a limit of bandwidth",
        "A body trickles, for longer than the socket limit" => is_no_total(ctx, way, SOCKET, trickled_body);
    trickled_head_is_no_silence [Http1, SocketTimeout, HeadProgress] "HttpTimeout: not a limit of bandwidth",
        "A head trickles, for longer than the socket limit" => is_no_total(ctx, way, SOCKET, trickled_head);
    trickle_is_connected [Http1, ConnectTimeout] "HttpTimeout: connect", "An answer trickles, for longer than the connect limit" =>
        is_no_total(ctx, way, CONNECT, trickled_body);
}

async fn black_hole(ctx: Ctx, way: Way, kind: TimeoutKind) -> Outcome {
    let hole = BlackHole::start().await;
    let hole = Arc::new(hole.ok_or_else(|| Stop::skipped("this system's accept queue cannot be filled"))?);
    strikes(ctx, way, kind, DIALED, move |ctx, limited| {
        let client = limited.client(ctx, &Settings::default())?;
        // There is nobody who could see it.
        let gone = ready(Ok(())).boxed();
        scene(ctx, limited, client.get(hole.url("/")), client, gone)
    })
    .await
}

/// A call that is stuck for good.
fn scene(
    ctx: &Ctx,
    limited: Limited,
    request: RequestBuilder,
    client: HttpClient,
    gone: BoxFuture<'static, Outcome>,
) -> Result<Scene, Stop> {
    Ok(Scene {
        request: limited.of_request(request),
        next: client.get(ctx.app().url("/")),
        client,
        gate: Gate::new(),
        answer: None,
        gone,
    })
}

fn gone(connection: Connection) -> BoxFuture<'static, Outcome> {
    async move {
        connection.closed_by_client().await;
        Ok(())
    }
    .boxed()
}

fn handshake(ctx: &Ctx, limited: Limited) -> Result<Scene, Stop> {
    let (server, client) = (ctx.raw(Script::new()), limited.client(ctx, &Settings::default())?);
    let request = client.get(server.url("/").replace("http:", "https:"));
    scene(ctx, limited, request, client, gone(server.connection(0)))
}

/// Behind a proxy that says nothing on its first connection.
fn behind(ctx: &Ctx, limited: Limited, plan: ProxyPlan, url: &str) -> Result<Scene, Stop> {
    let proxy = ctx.proxy(plan.first([Script::new()]));
    let settings = Settings {
        proxy: Some(proxy.setting()),
        ..ctx.trusting()
    };
    let client = limited.client(ctx, &settings)?;
    scene(ctx, limited, client.get(url), client, gone(proxy.connection(0)))
}

/// An engine that is not told by its library when the proxy is asked says that it still connects.
async fn stuck_tunnel(ctx: Ctx, way: Way, kind: TimeoutKind) -> Outcome {
    let phases = if ctx.has(Capability::ProxyStatus)? { PROXY } else { DIALED };
    strikes(ctx, way, kind, phases, tunnel).await
}

fn tunnel(ctx: &Ctx, limited: Limited) -> Result<Scene, Stop> {
    behind(ctx, limited, ProxyPlan::http(), "https://origin.test/")
}

fn socks(ctx: &Ctx, limited: Limited) -> Result<Scene, Stop> {
    behind(ctx, limited, ProxyPlan::socks5h(), "http://origin.test/")
}

fn forwarding(ctx: &Ctx, limited: Limited) -> Result<Scene, Stop> {
    behind(ctx, limited, ProxyPlan::http(), "http://origin.test/")
}

fn proxys_handshake(ctx: &Ctx, limited: Limited) -> Result<Scene, Stop> {
    let silent = ctx.raw(Script::new());
    let settings = Settings {
        proxy: Some(at(ctx, format!("https://{}", silent.addr()))),
        ..ctx.trusting()
    };
    let client = limited.client(ctx, &settings)?;
    // This proxy never serves anybody.
    ctx.closes_clients();
    let request = limited.of_request(client.get(ctx.app().url("/")));
    let direct = ctx.client()?;
    Ok(Scene {
        request,
        next: direct.get(ctx.app().url("/")),
        client,
        gate: Gate::new(),
        answer: None,
        gone: gone(silent.connection(0)),
    })
}

/// A server that answers with `before`, is silent, and goes on with the rest.
fn stuck([before, rest]: [&'static str; 2]) -> impl Fn(&Ctx, Limited) -> Result<Scene, Stop> {
    move |ctx, limited| {
        let gate = Gate::new();
        let server = ctx.raw(Script::reply(before).wait(&gate).send(rest));
        let client = limited.client(ctx, &Settings::default())?;
        let scene = scene(ctx, limited, client.get(server.url("/")), client, gone(server.connection(0)))?;
        Ok(Scene {
            gate,
            answer: Some("ok"),
            ..scene
        })
    }
}

fn streamed_upload(ctx: &Ctx, limited: Limited) -> Result<Scene, Stop> {
    let piece = pattern(64 << 10);
    upload(ctx, limited, Body::stream(stream::repeat_with(move || Ok::<_, std::io::Error>(piece.clone()))))
}

fn sized_upload(ctx: &Ctx, limited: Limited) -> Result<Scene, Stop> {
    let piece = pattern(64 << 10);
    let endless = stream::repeat_with(move || Ok::<_, std::io::Error>(piece.clone()));
    upload(ctx, limited, Body::sized_stream(1 << 40, endless))
}

/// A server that does not read until the gate is open: only then can it see that its client is gone.
fn upload(ctx: &Ctx, limited: Limited, body: Body) -> Result<Scene, Stop> {
    let gate = Gate::new();
    let server = ctx.raw(Script::new().stop_reading().wait(&gate).read_again());
    let client = limited.client(ctx, &Settings::default())?;
    let request = client.post(server.url("/")).body(body);
    let scene = scene(ctx, limited, request, client, gone(server.connection(0)))?;
    Ok(Scene { gate, ..scene })
}

/// Each hop is within the limit, two are not.
fn redirects(ctx: &Ctx, limited: Limited) -> Result<Scene, Stop> {
    let hop = "TTP/1.1 302 Found\r\nLocation: /next\r\nContent-Length: 0\r\n\r\n";
    let slowly = |script: Script| script.request().trickle("H", 1, limited.limit * 2 / 5).send(hop);
    // As many as are left, whether or not they come on one connection.
    let left = |hops| (0..hops).fold(Script::new(), |script, _| slowly(script)).request().send(OK);
    let server = ctx.raws((0..=8).rev().map(left));
    let client = limited.client(ctx, &Settings::default())?;
    // Between two hops the connection is idle, and may be kept.
    let gone = ready(Ok(())).boxed();
    let scene = scene(ctx, limited, client.get(server.url("/")), client, gone)?;
    Ok(Scene {
        answer: Some("ok"),
        ..scene
    })
}

/// It never stops, and never ends.
fn trickles_on(ctx: &Ctx, limited: Limited) -> Result<Scene, Stop> {
    let trickle = Script::reply("HTTP/1.1 200 OK\r\n\r\n").trickle(vec![b'x'; 1 << 20], 1, limited.limit / 8);
    let (server, client) = (ctx.raw(trickle), limited.client(ctx, &Settings::default())?);
    scene(ctx, limited, client.get(server.url("/")), client, gone(server.connection(0)))
}

/// The server says nothing at all, and so must not be sent a body.
async fn in_continue(ctx: Ctx, way: Way) -> Outcome {
    const ANNOUNCED: &str = "the announced body";
    strikes(ctx.clone(), way, SOCKET, HEAD, |ctx, limited| {
        let gate = Gate::new();
        let server = ctx.raw(
            Script::new()
                .received("\r\n\r\n")
                .wait(&gate)
                .send("HTTP/1.1 100 Continue\r\n\r\n")
                .request()
                .send(OK),
        );
        let client = limited.client(ctx, &Settings::default())?;
        let request = client.post(server.url("/")).header("expect", "100-continue").body(ANNOUNCED);
        let connection = server.connection(0);
        let closed = async move {
            connection.closed_by_client().await;
            let received = connection.received();
            let is_sent = received.windows(ANNOUNCED.len()).any(|window| window == ANNOUNCED.as_bytes());
            ensure!(!is_sent, "the body was sent, unasked, before the limit struck");
            Ok(())
        };
        let scene = scene(ctx, limited, request, client, closed.boxed())?;
        Ok(Scene {
            gate,
            answer: Some("ok"),
            ..scene
        })
    })
    .await
}

fn trickled_body(ctx: &Ctx, limited: Limited, pause: Duration) -> Result<Scene, Stop> {
    let head = Script::reply("HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\n");
    trickled(ctx, limited, head.trickle("hello, world", 1, pause), "hello, world")
}

fn trickled_head(ctx: &Ctx, limited: Limited, pause: Duration) -> Result<Scene, Stop> {
    let head = Script::reply("HTTP/1.1 200 OK\r\nContent-Length: 0");
    trickled(ctx, limited, head.trickle("\r\nX: 1234\r\n\r\n", 1, pause), "")
}

fn trickled(ctx: &Ctx, limited: Limited, script: Script, body: &'static str) -> Result<Scene, Stop> {
    let (server, client) = (ctx.raw(script), limited.client(ctx, &Settings::default())?);
    let scene = scene(ctx, limited, client.get(server.url("/")), client, gone(server.connection(0)))?;
    Ok(Scene {
        answer: Some(body),
        ..scene
    })
}
