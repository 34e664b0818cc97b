//! What time limits are besides where they strike, which is the topic of `timeout_grid.rs` and `http2_timeouts.rs`: what they do not cover, how
//! they merge, what is refused, and what the error says.

use std::future::Future;
use std::time::{Duration, Instant};

use client_core::{Body, Error, ErrorKind, HttpClient, HttpTimeout, Phase, Sent, Timeout, TimeoutKind, Version};
use futures_util::stream;

use super::limits::{self, CONNECT, REQUEST, SOCKET, set, whole};
use super::probe::{OK, brings};
use crate::case::{Outcome, Stop, ensure, ensure_eq};
use crate::ctx::{Ctx, Expect};
use crate::servers::{Gate, Script, h2, pattern};
use crate::subject::Settings;

/// A limit that is to strike.
const SHORT: Duration = Duration::from_millis(100);
/// A limit that is not to strike, though more time passes in all; a tenth of it is the longest that anything takes.
const LONG: Duration = Duration::from_secs(1);

const NO_BODY: &str = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n";

cases! {
    timeouts(ctx): "Time limits";

    connect_ends_with_connecting [ConnectTimeout] "HttpTimeout: connect",
        "A head that takes longer than the connect limit is waited for" => connect_is_over(ctx);

    request_in_producer [Http1, StreamingUpload] "HttpTimeout: request covers everything",
        "A producer that makes nothing: the request limit strikes" => producer(ctx);
    request_in_pool [Http1] "HttpTimeout: request covers everything", "Waiting for a connection: the request limit strikes" =>
        in_pool(ctx, REQUEST);
    request_is_enough [] "Ktor: testGet", "A call within its limit is as it would be without" => enough(ctx);
    request_exempts_event_streams [Http1] "Ktor KTOR-6312", "An event stream is exempt from the request limit" =>
        event_stream(ctx);
    request_exempts_upgrades [Http1, Upgrade] "Ktor KTOR-4419", "An upgraded connection is exempt from the request limit" =>
        upgraded(ctx);

    socket_paused_reader [Http1, SocketTimeout] "HttpTimeout: silence of the peer",
        "A reader who pauses longer than the limit does not strike it" => paused_reader(ctx);

    connection_request [Http1, ConnectionRequestTimeout] "HttpTimeout: connection_request",
        "Waiting for a connection: its own limit strikes" => in_pool(ctx, TimeoutKind::ConnectionRequest);

    connection_request_http2 [Http2PriorKnowledge, ConnectionRequestTimeout] "HttpTimeout: connection_request; RFC 9113 §5.1.2",
        "Waiting for a stream of the one connection: its own limit strikes" => for_stream(ctx);

    per_request_over_client [SocketTimeout] "HttpTimeout: request over plugin, field by field",
        "A request's limit wins over the client's" => over_client(ctx);
    infinite_over_client [Http1, SocketTimeout] "Timeout::INFINITE", "A request may switch off the client's limits" =>
        infinite(ctx);
    of_client [Http1] "HttpTimeout", "The client's limit holds where the request sets none" => of_client(ctx);
    fields_merge [Http1, ConnectTimeout] "Ktor: field by field", "A limit of one kind leaves those of others in force" =>
        fields_merge(ctx);
    not_baked_in [Http1, SocketTimeout, ConnectionReuse] "Ktor: Apache5, Java and WinHttp keep the first one's",
        "A limit is gone with its request, though its connection is kept" => not_baked_in(ctx);
    on_kept_connection [Http1, SocketTimeout, ConnectionReuse] "Ktor: Apache5, Java and WinHttp keep the first one's",
        "A limit holds on a connection that was made without" => on_kept(ctx);
    not_on_idle [Http1, SocketTimeout, ConnectionReuse] "HttpTimeout: socket",
        "The socket limit does not run on an idle connection" => not_on_idle(ctx);
    zero_per_request [] "Ktor: testNonPositiveTimeout", "A limit of zero is refused, and nothing is sent" => zero(ctx);
    zero_of_client [] "Ktor: testNonPositiveTimeout", "A client's limit of zero is refused when it is built" =>
        zero_of_client(ctx);
    permits_return [Http1] "Ktor KTOR-3704", "With one connection allowed, a timeout makes room for the next call" =>
        permits(ctx);
    told_well [Http1] "DESIGN: errors", "The error names the limit, the time, the URI without its query" => told_well(ctx);
    own_timeout [Http1] "Ktor KTOR-9183", "A caller's own timeout, which drops the call, closes the connection" =>
        own_timeout(ctx);
}

/// The short limit strikes, at the latest in this phase; on a slow machine that may be earlier.
async fn by_limit<T>(
    ctx: &Ctx,
    kind: TimeoutKind,
    latest: Phase,
    call: impl Future<Output = Result<T, Error>>,
) -> Result<Error, Stop> {
    let error = limits::by_limit(ctx, kind, SHORT, call).await?;
    ensure!(
        error.phase().is_some_and(|phase| phase <= latest),
        "phase of {error:?}, expected {latest:?} at the latest"
    );
    Ok(error)
}

async fn connect_is_over(ctx: Ctx) -> Outcome {
    let sent = ctx.client()?.get(ctx.app().url("/delay/1200")).timeout(|t| t.connect(LONG)).send();
    ctx.wait("the answer has arrived", sent).await.expect_body("hello").await
}

async fn producer(ctx: Ctx) -> Outcome {
    let server = ctx.raw(Script::new());
    let body = Body::stream(stream::pending::<Result<&str, std::io::Error>>());
    let request = ctx.client()?.post(server.url("/")).body(body).timeout(|t| t.request(SHORT));
    by_limit(&ctx, REQUEST, Phase::Head, request.send()).await.map(drop)
}

fn limited(ctx: &Ctx) -> Result<HttpClient, Stop> {
    ctx.client_with(&Settings {
        max_connections: Some(1),
        ..Settings::default()
    })
}

async fn in_pool(ctx: Ctx, kind: TimeoutKind) -> Outcome {
    let client = limited(&ctx)?;
    let gate = Gate::new();
    let server = ctx.raw(Script::reply(NO_BODY).wait(&gate).send("hellohello"));
    let held = ctx.wait("the head has arrived", client.get(server.url("/")).send()).await?;
    let request = client.get(server.url("/second")).timeout(|t| set(t, kind, SHORT));
    let error = by_limit(&ctx, kind, Phase::Pool, request.send()).await?;
    ensure_eq!(error.sent(), Sent::Nothing, "what was sent");
    gate.open();
    ensure_eq!(ctx.wait("the body has arrived", held.bytes()).await?, "hellohello", "body");
    Ok(())
}

async fn for_stream(ctx: Ctx) -> Outcome {
    let (client, gate) = (limited(&ctx)?, Gate::new());
    let one = h2::Script::new().settings(&[(h2::setting::MAX_CONCURRENT_STREAMS, 1)]).request();
    let script = one.headers(&[(":status", "200")]).wait(&gate).last_data("held");
    let server = ctx.h2(h2::Server::start([script.followed_by(h2::Script::reply("next").repeat())]));
    let get = |path| client.get(server.url(path)).version(Version::HTTP_2);
    let held = ctx.wait("the head has arrived", get("/").send()).await?;
    let second = get("/second").timeout(|t| t.connection_request(SHORT));
    let error = by_limit(&ctx, TimeoutKind::ConnectionRequest, Phase::Pool, second.send()).await?;
    ensure_eq!(error.sent(), Sent::Nothing, "what was sent");
    gate.open();
    ensure_eq!(ctx.wait("the body has arrived", held.bytes()).await?, "held", "body");
    let third = get("/third").send();
    ctx.wait("the next call is answered", third).await.expect_body("next").await
}

async fn enough(ctx: Ctx) -> Outcome {
    for path in ["/bytes/5000", "/chunked/5000", "/drip/20/1"] {
        let size = if path == "/drip/20/1" { 20 } else { 5000 };
        let request = ctx.client()?.get(ctx.app().url(path)).timeout(|t| t.request(Duration::from_secs(60)));
        ctx.wait("the answer has arrived", request.send()).await.expect_body(pattern(size)).await?;
    }
    Ok(())
}

async fn event_stream(ctx: Ctx) -> Outcome {
    let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: 5\r\n\r\n";
    let late = Script::reply(head).trickle("hello", 5, 3 * LONG / 2);
    let server = ctx.raw(late);
    let request = ctx.client()?.get(server.url("/")).timeout(|t| t.request(LONG));
    ctx.wait("the events have arrived", request.send()).await.expect_body("hello").await
}

async fn upgraded(ctx: Ctx) -> Outcome {
    use futures_util::io::AsyncReadExt;
    let head = "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n";
    let server = ctx.raw(Script::reply(head).trickle("hello", 5, 3 * LONG / 2));
    let request = ctx.client()?.get(server.url("/")).header("connection", "upgrade").header("upgrade", "echo");
    let response = ctx.wait("the 101 has arrived", request.timeout(|t| t.request(LONG)).send()).await?;
    let mut first = [0; 5];
    ctx.wait("bytes have arrived after the limit", response.upgrade()?.read_exact(&mut first)).await?;
    ensure_eq!(&first, b"hello", "bytes");
    Ok(())
}

async fn paused_reader(ctx: Ctx) -> Outcome {
    let request = ctx.client()?.get(ctx.app().url("/bytes/100000")).timeout(|t| t.socket(3 * SHORT));
    let response = ctx.wait("the head has arrived", request.send()).await?;
    ctx.sleep(5 * SHORT).await;
    ensure_eq!(ctx.wait("the body has arrived", response.bytes()).await?, pattern(100_000), "body");
    Ok(())
}

/// A client with limits of its own.
fn with(ctx: &Ctx, timeouts: HttpTimeout) -> Result<HttpClient, Stop> {
    ctx.client_built(&Settings::default(), |builder| builder.install(timeouts))
}

async fn over_client(ctx: Ctx) -> Outcome {
    let client = with(&ctx, HttpTimeout::new().request(Duration::from_secs(60)).socket(Duration::from_secs(60)))?;
    for kind in [REQUEST, SOCKET] {
        let server = ctx.raw(Script::new());
        let request = client.get(server.url("/")).timeout(|t| set(t, kind, SHORT));
        by_limit(&ctx, kind, Phase::Head, request.send()).await?;
    }
    Ok(())
}

async fn infinite(ctx: Ctx) -> Outcome {
    let client = with(&ctx, HttpTimeout::new().request(LONG).socket(LONG))?;
    let server = ctx.raw(Script::new().request().trickle(OK, 100, 3 * LONG / 2));
    let request = client.get(server.url("/")).timeout(|t| t.request(Timeout::INFINITE).socket(Timeout::INFINITE));
    ctx.wait("the answer has arrived", request.send()).await.expect_body("ok").await
}

async fn of_client(ctx: Ctx) -> Outcome {
    let client = with(&ctx, HttpTimeout::new().request(LONG))?;
    let server = ctx.raw(Script::new());
    let started = Instant::now();
    let outcome = ctx.wait("the limit strikes", client.get(server.url("/")).send()).await;
    ensure_eq!(outcome.map(drop).map_err(|error| error.kind()), Err(ErrorKind::Timeout(REQUEST)), "outcome");
    ensure!(started.elapsed() >= LONG, "it struck early, after {:?}", started.elapsed());
    Ok(())
}

async fn fields_merge(ctx: Ctx) -> Outcome {
    let client = with(&ctx, HttpTimeout::new().request(LONG))?;
    let server = ctx.raw(Script::new());
    let request = client.get(server.url("/")).timeout(|t| t.connect(Duration::from_secs(60)));
    let outcome = ctx.wait("the client's limit strikes", request.send()).await;
    ensure_eq!(outcome.map(drop).map_err(|error| error.kind()), Err(ErrorKind::Timeout(REQUEST)), "outcome");
    Ok(())
}

async fn not_baked_in(ctx: Ctx) -> Outcome {
    let late = Script::reply(OK).request().trickle(OK, 100, 3 * LONG / 2);
    let server = ctx.raw(late);
    let client = ctx.client()?;
    let first = client.get(server.url("/first")).timeout(|t| t.socket(LONG)).send();
    ctx.wait("the first answer has arrived", first).await.expect_body("ok").await?;
    let second = client.get(server.url("/second")).send();
    ctx.wait("the second answer has arrived", second).await.expect_body("ok").await?;
    ensure_eq!(server.counts().accepted, 1, "connections");
    Ok(())
}

async fn on_kept(ctx: Ctx) -> Outcome {
    let server = ctx.raw(Script::reply(OK));
    brings(&ctx, &server.url("/first"), "ok").await?;
    let request = ctx.client()?.get(server.url("/second")).timeout(|t| t.socket(SHORT));
    by_limit(&ctx, SOCKET, Phase::Head, request.send()).await?;
    ensure_eq!(server.counts().accepted, 1, "connections");
    Ok(())
}

async fn not_on_idle(ctx: Ctx) -> Outcome {
    let server = ctx.raw(Script::reply(OK).repeat());
    for _ in 0..2 {
        let sent = ctx.client()?.get(server.url("/")).timeout(|t| t.socket(LONG / 2)).send();
        ctx.wait("the answer has arrived", sent).await.expect_body("ok").await?;
        ctx.sleep(LONG).await;
    }
    ensure_eq!(server.counts().accepted, 1, "connections");
    Ok(())
}

async fn zero(ctx: Ctx) -> Outcome {
    let server = ctx.raw(Script::new());
    for kind in [REQUEST, CONNECT, SOCKET, TimeoutKind::ConnectionRequest] {
        let request = ctx.client()?.get(server.url("/")).timeout(|t| set(t, kind, Duration::ZERO));
        let outcome = ctx.wait("it is refused", request.send()).await;
        ensure_eq!(outcome.map(drop).map_err(|error| error.kind()), Err(ErrorKind::InvalidRequest), "outcome of {kind}");
    }
    ensure_eq!(server.counts().accepted, 0, "connections");
    Ok(())
}

async fn zero_of_client(ctx: Ctx) -> Outcome {
    for timeouts in [
        HttpTimeout::new().request(Duration::ZERO),
        HttpTimeout::new().connect(Duration::ZERO),
        HttpTimeout::new().socket(Duration::ZERO),
        HttpTimeout::new().connection_request(Duration::ZERO),
    ] {
        let engine = ctx.client()?.engine().clone();
        let outcome = HttpClient::builder(engine).install(timeouts).build();
        ensure_eq!(
            outcome.map(drop).map_err(|error| error.kind()),
            Err(ErrorKind::InvalidRequest),
            "outcome of {timeouts:?}"
        );
    }
    Ok(())
}

async fn permits(ctx: Ctx) -> Outcome {
    let client = limited(&ctx)?;
    for (reply, latest) in [("", Phase::Head), (NO_BODY, Phase::Body)] {
        let server = ctx.raw(Script::reply(reply));
        let request = client.get(server.url("/")).timeout(|t| t.request(SHORT));
        by_limit(&ctx, REQUEST, latest, whole(request)).await?;
    }
    let sent = client.get(ctx.app().url("/")).send();
    ctx.wait("the next call is answered", sent).await.expect_body("hello").await
}

async fn told_well(ctx: Ctx) -> Outcome {
    let server = ctx.raw(Script::new());
    let request = ctx.client()?.get(server.url("/path?token=SECRET")).timeout(|t| t.request(SHORT));
    let error = by_limit(&ctx, REQUEST, Phase::Head, request.send()).await?;
    let told = error.to_string();
    ensure!(told.contains("limit 100 ms") && told.contains(&server.url("/path")), "told: {told}");
    ensure!(!told.contains("SECRET"), "a secret is told: {told}");
    ensure!(error.is_timeout(), "is_timeout is false");
    Ok(())
}

async fn own_timeout(ctx: Ctx) -> Outcome {
    let server = ctx.raw(Script::new());
    let call = ctx.client()?.get(server.url("/")).send();
    futures_util::future::select(Box::pin(call), Box::pin(ctx.sleep(SHORT))).await;
    // It may have been too early for a connection; where there was one, it is closed.
    let closed = server.ledger().until(|counts| counts.open == 0);
    ctx.wait("the engine closes the connection", closed).await;
    Ok(())
}
