//! Unix domain sockets in place of host and port: for a client, for one request, and with TLS above.

use std::sync::Arc;

use client_core::{Capability, ErrorKind, HttpClient, RequestBuilder, Sent};

use crate::case::{Outcome, Stop, ensure, ensure_eq};
use crate::ctx::{Ctx, Expect};
use crate::servers::{App, Certificate, Door, Tls};
use crate::subject::Settings;

cases! {
    unix_sockets(ctx): "Unix domain sockets in place of host and port";

    of_client [UnixSocket] "Settings::unix_socket", "Every call of a client goes to its socket, whatever the URL's host" =>
        of_client(ctx);
    of_request [UnixSocket] "RequestBuilder::unix_socket", "One call goes to a socket, the others to their host" => of_request(ctx);
    host [Http1, UnixSocket] "RFC 9112 §3.2", "Host names what the URL names, not the socket" => host(ctx);
    over_tls [UnixSocket, Tls, CustomRoots] "RFC 9110 §4.3.4", "TLS above a socket verifies the URL's host" => over_tls(ctx, true);
    over_tls_wrong_host [UnixSocket, Tls, CustomRoots] "RFC 9110 §4.3.4",
        "TLS above a socket refuses a certificate for another host" => over_tls(ctx, false);
    over_tls_of_request [UnixSocket, Tls, CustomRoots] "RequestBuilder::unix_socket", "The same for one request" =>
        over_tls_of_request(ctx);
    kept [UnixSocket, ConnectionReuse] "RFC 9112 §9.3", "A connection to a socket is used again" => kept(ctx);
    apart [UnixSocket] "CVE-2022-27782: what shapes a connection is in its key",
        "Calls of one URL by two sockets and by none share no connection" => apart(ctx);
    redirected [Http1, UnixSocket] "RequestBuilder::unix_socket", "A redirect goes to the same socket, to another host, too" =>
        redirected(ctx);
    missing [UnixSocket] "Error::kind", "A socket that does not exist is kind Connect, and nothing was sent" => missing(ctx);
}

/// A server, and a socket that leads to it.
fn door(ctx: &Ctx, app: &App) -> Result<Arc<Door>, Stop> {
    ctx.door(app.addr())
}

/// A name that nobody can look up: whoever tries fails.
const NOWHERE: &str = "http://socket.invalid";

async fn brings(ctx: &Ctx, request: RequestBuilder, body: &str) -> Outcome {
    let answer = ctx.wait("the answer has arrived", request.send()).await;
    ctx.wait("the body has arrived", answer.expect_body(body)).await
}

fn by_socket(ctx: &Ctx, door: &Door, settings: Settings) -> Result<HttpClient, Stop> {
    ctx.client_with(&Settings {
        unix_socket: Some(door.path().to_owned()),
        ..settings
    })
}

async fn of_client(ctx: Ctx) -> Outcome {
    let app = ctx.app();
    let door = door(&ctx, &app)?;
    let client = by_socket(&ctx, &door, Settings::default())?;
    brings(&ctx, client.get(format!("{NOWHERE}/")), "hello").await?;
    brings(&ctx, client.post(format!("{NOWHERE}:81/echo")).body("ping"), "ping").await?;
    ensure_eq!(app.counts().accepted, door.counts().accepted, "connections to the server, and through the socket");
    Ok(())
}

async fn of_request(ctx: Ctx) -> Outcome {
    let (app, other) = (ctx.app(), ctx.app_tls(&Tls::new(Certificate::Good)));
    let door = door(&ctx, &app)?;
    let client = ctx.client()?;
    brings(&ctx, client.get(format!("{NOWHERE}/")).unix_socket(door.path()), "hello").await?;
    ensure_eq!(door.counts().accepted, 1, "connections through the socket");
    brings(&ctx, client.get(app.url("/")), "hello").await?;
    ensure_eq!(door.counts().accepted, 1, "connections through the socket, after a call that does not ask for it");
    ensure_eq!(other.counts().accepted, 0, "connections to a server that nobody asked");
    Ok(())
}

async fn host(ctx: Ctx) -> Outcome {
    let app = ctx.app();
    let door = door(&ctx, &app)?;
    let version = client_core::Version::HTTP_11;
    let request = ctx.client()?.get(format!("{NOWHERE}:8080/")).version(version).unix_socket(door.path());
    brings(&ctx, request, "hello").await?;
    ensure_eq!(app.requests()[0].values("host"), [b"socket.invalid:8080"], "Host");
    ensure_eq!(app.requests()[0].target, "/", "target");
    Ok(())
}

async fn over_tls(ctx: Ctx, is_good: bool) -> Outcome {
    let certificate = if is_good { Certificate::Good } else { Certificate::WrongHost };
    let app = ctx.app_tls(&Tls::new(certificate).alpn(&["h2", "http/1.1"]).as_host("localhost"));
    let door = door(&ctx, &app)?;
    let client = by_socket(&ctx, &door, ctx.trusting())?;
    // Aftercare asks a server without TLS, to which this socket does not lead.
    ctx.closes_clients();
    let request = client.get("https://localhost/");
    if is_good {
        return brings(&ctx, request, "hello").await;
    }
    match ctx.wait("the call has failed", request.send()).await {
        Ok(response) => Err(Stop::failed(format!("it brings {} instead of failing", response.status()))),
        Err(error) => {
            ensure_eq!(error.kind(), ErrorKind::Tls, "kind of {error:?}");
            Ok(())
        }
    }
}

async fn over_tls_of_request(ctx: Ctx) -> Outcome {
    let app = ctx.app_tls(&Tls::new(Certificate::Good).alpn(&["h2", "http/1.1"]));
    let door = door(&ctx, &app)?;
    let client = ctx.client_with(&ctx.trusting())?;
    brings(&ctx, client.get("https://localhost/").unix_socket(door.path()), "hello").await?;
    ensure_eq!(door.counts().accepted, 1, "connections through the socket");
    Ok(())
}

async fn kept(ctx: Ctx) -> Outcome {
    let door = door(&ctx, &ctx.app())?;
    for _ in 0..3 {
        brings(&ctx, ctx.client()?.get(format!("{NOWHERE}/")).unix_socket(door.path()), "hello").await?;
    }
    ensure_eq!(door.counts().accepted, 1, "connections of three calls");
    Ok(())
}

async fn apart(ctx: Ctx) -> Outcome {
    let app = ctx.app();
    let doors = [door(&ctx, &app)?, door(&ctx, &app)?];
    let (client, url) = (ctx.client()?, app.url("/"));
    for round in 1..=2 {
        for door in &doors {
            brings(&ctx, client.get(&*url).unix_socket(door.path()), "hello").await?;
        }
        brings(&ctx, client.get(&*url), "hello").await?;
        let through = doors.each_ref().map(|door| door.counts().accepted);
        let each = if ctx.has(Capability::ConnectionReuse)? { 1 } else { round };
        ensure_eq!(through, [each, each], "connections through the sockets, in round {round}");
        ensure_eq!(app.counts().accepted, 3 * each, "connections to the server, in round {round}");
    }
    Ok(())
}

async fn redirected(ctx: Ctx) -> Outcome {
    let app = ctx.app();
    let door = door(&ctx, &app)?;
    let url = format!("{NOWHERE}/redirect-to?302&http://other.invalid/inspect");
    let request = ctx.client()?.get(url).unix_socket(door.path()).header("authorization", "Bearer of-origin");
    let response = ctx.wait("the answer has arrived", request.send()).await?;
    let text = ctx.wait("the body has arrived", response.text()).await?;
    ensure!(text.contains("other.invalid"), "the other host is not named: {text}");
    ensure!(!text.contains("of-origin"), "the first host's credentials are sent to the other: {text}");
    ensure_eq!(app.counts().accepted, door.counts().accepted, "connections to the server, and through the socket");
    Ok(())
}

async fn missing(ctx: Ctx) -> Outcome {
    let path = std::env::temp_dir().join("conformance-no-such-socket");
    let request = ctx.client()?.get(ctx.app().url("/")).unix_socket(path);
    match ctx.wait("the call has failed", request.send()).await {
        Ok(response) => Err(Stop::failed(format!("it brings {} instead of failing", response.status()))),
        Err(error) => {
            ensure_eq!(error.kind(), ErrorKind::Connect, "kind of {error:?}");
            ensure_eq!(error.sent(), Sent::Nothing, "what was sent, by {error:?}");
            Ok(())
        }
    }
}
