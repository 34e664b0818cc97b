//! Tunnels through HTTP proxies: what CONNECT says, and what may come in answer to it.
//!
//! A proxy that can be reached and makes no tunnel is an error of kind `Proxy`, however it goes about it. The origin has seen
//! nothing then, and the next call finds the client as it was.

use client_core::{Capability, Error, ErrorKind, Phase, Sent};
use futures_util::future::join;

use super::behind::{
    BASIC, PASSWORD, Scheme, USER, at_app, at_proxy, brings, ensure_proxy_error, ensure_without, fails, give_up, secure_app,
    times_out, via, via_trusting,
};
use crate::case::{Outcome, Stop, ensure, ensure_eq};
use crate::ctx::{Ctx, Expect};
use crate::servers::{Certificate, ProxyPlan, Script, Tls, pattern};
use crate::subject::ProxySetting;

cases! {
    tunnels(ctx): "CONNECT: what an HTTP proxy is asked for a tunnel, and what it may answer";

    connect [Http1, HttpProxy, Tls, CustomRoots] "RFC 9110 §9.3.6, RFC 9112 §3.2.3",
        "https goes through CONNECT, with the port" =>
        connect(ctx);
    connect_default_port [HttpProxy, Tls] "RFC 9112 §3.2.3", "CONNECT names the default port, too" =>
        connect_target(ctx, "https://origin.test/a?b", "origin.test:443");
    connect_ipv6 [HttpProxy, Tls] "RFC 9112 §3.2.3, RFC 3986 §3.2.2", "CONNECT to an IPv6 address has brackets" =>
        connect_target(ctx, "https://[2001:db8::1]/", "[2001:db8::1]:443");
    connect_has_no_secrets [Http1, HttpProxy, Tls, CustomRoots] "RFC 9110 §9.3.6: a request of its own",
        "No field of the request goes into CONNECT" => connect_has_no_secrets(ctx);
    connect_authenticated [Http1, HttpProxy, Tls, CustomRoots] "CVE-2023-32681, CVE-2025-4673",
        "Credentials go into CONNECT, and not into the tunnel" => connect_authenticated(ctx);
    tunnel_is_reused [HttpProxy, Tls, CustomRoots, ConnectionReuse] "RFC 9112 §9.3", "A tunnel is used again" =>
        tunnel_is_reused(ctx);
    tunnels_abreast [HttpProxy, Tls, CustomRoots] "RFC 9110 §9.3.6", "Several tunnels at a time" => tunnels_abreast(ctx);
    tunnel_post [HttpProxy, Tls, CustomRoots] "RFC 9110 §9.3.6", "A body of a mebibyte passes a tunnel" => tunnel_post(ctx);
    tunnel_verifies_authority [HttpProxy, Tls, CustomRoots] "RFC 9110 §4.3.4", "In a tunnel the origin's authority is verified" =>
        tunnel_verifies(ctx, Certificate::UnknownAuthority);
    tunnel_verifies_host [HttpProxy, Tls, CustomRoots] "RFC 9110 §4.3.4", "In a tunnel the origin's name is verified" =>
        tunnel_verifies(ctx, Certificate::WrongHost);

    no_content [HttpProxy, Tls, CustomRoots, ProxyAnswers] "RFC 9110 §9.3.6: any 2xx", "CONNECT answered by 204 is a tunnel" =>
        grants(ctx, NO_CONTENT);
    http10 [HttpProxy, Tls, CustomRoots] "RFC 9110 §9.3.6", "CONNECT answered in HTTP/1.0 is a tunnel" =>
        grants(ctx, "HTTP/1.0 200 Connection established\r\nProxy-Agent: suite\r\n\r\n");
    length_ignored [HttpProxy, Tls, CustomRoots] "RFC 9110 §9.3.6: MUST ignore",
        "Content-Length in the 2xx to CONNECT means nothing" =>
        grants(ctx, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n");
    chunked_ignored [HttpProxy, Tls, CustomRoots] "RFC 9110 §9.3.6: MUST ignore", "Transfer-Encoding in it means nothing" =>
        grants(ctx, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
    close_ignored [HttpProxy, Tls, CustomRoots] "RFC 9110 §9.3.6", "Connection: close in it does not close the tunnel" =>
        grants(ctx, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n");
    informational_first [HttpProxy, Tls, CustomRoots, ProxyAnswers] "RFC 9110 §15.2", "1xx before the 2xx to CONNECT are passed over" =>
        grants(ctx, INFORMED);
    bytewise [HttpProxy, Tls, CustomRoots] "RFC 9112 §2.2", "The answer to CONNECT may arrive byte by byte" => bytewise(ctx);

    refused_407 [HttpProxy, Tls, CustomRoots] "RFC 9110 §15.5.8", "407 to CONNECT is kind Proxy, by its number" =>
        refuses(ctx, "407 Proxy Authentication Required", "Proxy-Authenticate: Basic realm=\"a\"\r\nContent-Length: 3\r\n\r\nwho");
    refused_403 [HttpProxy, Tls, CustomRoots, ProxyStatus] "RFC 9110 §9.3.6", "403 to CONNECT is kind Proxy, by its number" =>
        refuses(ctx, "403 Forbidden", "Content-Length: 9\r\n\r\nforbidden");
    refused_502 [HttpProxy, Tls, CustomRoots, ProxyStatus] "RFC 9110 §9.3.6", "502 to CONNECT is kind Proxy, by its number" =>
        refuses(ctx, "502 Bad Gateway", "Transfer-Encoding: chunked\r\n\r\n3\r\nbad\r\n0\r\n\r\n");
    refused_without_length [HttpProxy, Tls, CustomRoots] "RFC 9112 §6.3 rule 8",
        "A refusal whose body never ends is not waited for" =>
        refuses(ctx, "503 Service Unavailable", "\r\nout of order");
    refused_redirect [HttpProxy, Tls, CustomRoots] "FalseCONNECT, VU#905344", "3xx to CONNECT is not followed" =>
        refuses(ctx, "302 Found", "Location: http://127.0.0.1:9/\r\nContent-Length: 0\r\n\r\n");
    refusal_is_bounded [HttpProxy, Tls, CustomRoots] "curl: terminal escapes in errors", "A refusal does not flood the error" =>
        refusal_is_bounded(ctx);
    refusal_quotes_no_secret [HttpProxy, Tls, CustomRoots] "DESIGN: no secret in an error",
        "Credentials echoed by a proxy stay out of the error" =>
        refusal_quotes_no_secret(ctx);
    wrong_credentials [HttpProxy, Tls, CustomRoots] "RFC 9110 §11.7.1",
        "Credentials that the proxy refuses are kind Proxy, and not shown" =>
        wrong_credentials(ctx);

    hangs_up [HttpProxy, Tls, CustomRoots] "RFC 9112 §8", "A proxy that closes without an answer is kind Proxy" =>
        breaks(ctx, Script::new().head().close());
    resets [HttpProxy, Tls, CustomRoots] "RFC 9112 §8", "A proxy that resets is kind Proxy" =>
        breaks(ctx, Script::new().head().reset());
    truncated [HttpProxy, Tls, CustomRoots] "RFC 9112 §8", "Half of an answer to CONNECT is kind Proxy" =>
        breaks(ctx, Script::new().head().send("HTTP/1.1 200 OK\r\nX: y\r\n").close());
    not_http [HttpProxy, Tls, CustomRoots] "RFC 9112 §4", "A proxy that does not speak HTTP is kind Proxy" =>
        breaks(ctx, Script::new().head().send("SSH-2.0-OpenSSH_9.9\r\n\r\n"));
    endless_head [HttpProxy, Tls, CustomRoots] "CVE-2026-22815 class", "An endless answer to CONNECT is cut off" =>
        endless(ctx, "X-Field: abcdefghijklmnopqrstuvwxyz\r\n", "HTTP/1.1 200 OK\r\n");
    endless_informational [HttpProxy, Tls, CustomRoots] "RFC 9110 §15.2",
        "Endless 1xx before the answer to CONNECT are cut off" =>
        endless(ctx, "HTTP/1.1 102 Processing\r\n\r\n", "");
    garbage_in_tunnel [HttpProxy, Tls, CustomRoots, ProxyAnswers] "RFC 9110 §9.3.6",
        "Bytes after the head of a 2xx are the tunnel's, never dropped" =>
        garbage_in_tunnel(ctx);
    tunnel_hangs_up [HttpProxy, Tls, CustomRoots] "RFC 9110 §9.3.6", "A tunnel that closes at once is no answer" =>
        tunnel_hangs_up(ctx);
    stalls [HttpProxy, Tls, CustomRoots, ConnectTimeout] "DESIGN: connect covers the proxy",
        "A silent proxy runs into the connect timeout" =>
        stalls(ctx, Script::new(), Phase::Proxy);
    stalls_half_way [HttpProxy, Tls, CustomRoots, ConnectTimeout] "DESIGN: connect covers the proxy",
        "Half of an answer to CONNECT runs into the connect timeout" =>
        stalls(ctx, Script::new().head().send("HTTP/1.1 200 OK\r\nX:"), Phase::Proxy);
    stalls_in_tunnel [HttpProxy, Tls, CustomRoots, ConnectTimeout] "DESIGN: connect covers TLS",
        "A tunnel where nobody answers runs into the connect timeout" =>
        stalls(ctx, Script::new().head().send("HTTP/1.1 200 OK\r\n\r\n"), Phase::Tls);
    given_up [HttpProxy, Tls, CustomRoots] "DESIGN: cancellation is drop",
        "A call given up while the proxy thinks leaves no connection" =>
        given_up(ctx);
}

const NO_CONTENT: &str = "HTTP/1.1 204 No Content\r\n\r\n";
const INFORMED: &str = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\n\r\n";
/// Whatever its length says, the rest is the tunnel's.
const GARBAGE: &str = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";

async fn connect(ctx: Ctx) -> Outcome {
    let (app, proxy) = (Scheme::Https.app(&ctx), ctx.proxy(ProxyPlan::http()));
    let client = via_trusting(&ctx, proxy.setting())?;
    brings(&ctx, &client, app.url("/bytes/0?secret"), "").await?;
    let request = &proxy.requests()[0];
    let authority = format!("localhost:{}", app.addr().port());
    ensure_eq!(
        (&*request.method, &*request.target, &*request.version),
        ("CONNECT", &*authority, "HTTP/1.1"),
        "request line"
    );
    ensure_eq!(request.values("host"), [authority.as_bytes()], "Host");
    let framing = (request.field("content-length"), request.field("transfer-encoding"));
    ensure_eq!(framing, (None, None), "framing of CONNECT");
    ensure_eq!(request.field("proxy-authorization"), None, "Proxy-Authorization without credentials");
    ensure_eq!(app.requests()[0].target, "/bytes/0?secret", "target at the origin");
    ensure_without(&at_proxy(&proxy), "the proxy", &["/bytes/0?secret", "GET /"])
}

async fn connect_target(ctx: Ctx, url: &'static str, expected: &'static str) -> Outcome {
    let refusal = Script::new().head().send("HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n");
    let proxy = ctx.proxy(ProxyPlan::http().first([refusal]));
    ensure_proxy_error(&fails(&ctx, &via(&ctx, proxy.setting())?, url).await?)?;
    let request = &proxy.connection(0).requests()[0];
    ensure_eq!((&*request.method, &*request.target), ("CONNECT", expected), "method and target");
    ensure_eq!(request.values("host"), [expected.as_bytes()], "Host");
    Ok(())
}

async fn connect_has_no_secrets(ctx: Ctx) -> Outcome {
    let (app, proxy) = (Scheme::Https.app(&ctx), ctx.proxy(ProxyPlan::http()));
    let sent = via_trusting(&ctx, proxy.setting())?
        .get(app.url("/"))
        .header("authorization", "Bearer of-origin")
        .header("cookie", "session=of-origin")
        .header("user-agent", "agent-of-origin")
        .header("x-api-key", "key-of-origin")
        .send();
    ctx.wait("the answer has arrived", sent).await.expect_body("hello").await?;
    ensure_without(&at_proxy(&proxy), "the proxy", &["of-origin", "authorization", "cookie", "x-api-key"])?;
    let at_origin = &app.requests()[0];
    for name in ["authorization", "cookie", "user-agent", "x-api-key"] {
        let value = at_origin.field(name).unwrap_or_default();
        ensure!(value.ends_with("of-origin"), "{name} at the origin: {value:?}");
    }
    Ok(())
}

async fn connect_authenticated(ctx: Ctx) -> Outcome {
    let (app, proxy) = (Scheme::Https.app(&ctx), ctx.proxy(ProxyPlan::http().asks(USER, PASSWORD)));
    let client = via_trusting(&ctx, proxy.setting())?;
    brings(&ctx, &client, app.url("/"), "hello").await?;
    let requests = proxy.requests();
    let last = requests.last().and_then(|request| request.field("proxy-authorization"));
    ensure_eq!(last, Some(format!("Basic {BASIC}")), "Proxy-Authorization");
    ensure_without(&at_app(&app), "the origin", &[BASIC, USER, PASSWORD, "proxy-authorization"])
}

async fn tunnel_is_reused(ctx: Ctx) -> Outcome {
    let (app, proxy) = (secure_app(&ctx), ctx.proxy(ProxyPlan::http()));
    let client = via_trusting(&ctx, proxy.setting())?;
    for _ in 0..3 {
        brings(&ctx, &client, app.url("/"), "hello").await?;
    }
    ensure_eq!(
        (proxy.counts().accepted, app.counts().accepted),
        (1, 1),
        "connections to the proxy and to the origin"
    );
    Ok(())
}

async fn tunnels_abreast(ctx: Ctx) -> Outcome {
    let (app, proxy) = (secure_app(&ctx), ctx.proxy(ProxyPlan::http()));
    let client = via_trusting(&ctx, proxy.setting())?;
    let url = app.url("/barrier/2");
    let get = || async { client.get(&*url).send().await.expect_body("hello").await };
    let (first, second) = ctx.wait("both answers have arrived", join(get(), get())).await;
    first.and(second)
}

async fn tunnel_post(ctx: Ctx) -> Outcome {
    let (app, proxy) = (secure_app(&ctx), ctx.proxy(ProxyPlan::http()));
    let body = pattern(1 << 20);
    let sent = via_trusting(&ctx, proxy.setting())?.post(app.url("/echo")).body(body.clone()).send();
    let answer = ctx.wait("the answer has arrived", sent).await;
    ctx.wait("the body has arrived", answer.expect_body(body)).await
}

async fn tunnel_verifies(ctx: Ctx, certificate: Certificate) -> Outcome {
    let (app, proxy) = (ctx.app_tls(&Tls::new(certificate)), ctx.proxy(ProxyPlan::http()));
    let client = via_trusting(&ctx, proxy.setting())?;
    let error = fails(&ctx, &client, app.url("/")).await?;
    ensure_eq!(error.kind(), ErrorKind::Tls, "kind of {error:?}");
    ensure_eq!(error.sent(), Sent::Nothing, "what was sent, by {error:?}");
    ensure_eq!(at_app(&app), b"", "what the origin received");
    Ok(())
}

async fn grants(ctx: Ctx, answer: &'static str) -> Outcome {
    tunnels(ctx, ProxyPlan::http().grants(answer)).await
}

async fn bytewise(ctx: Ctx) -> Outcome {
    tunnels(ctx, ProxyPlan::http().trickles()).await
}

async fn tunnels(ctx: Ctx, plan: ProxyPlan) -> Outcome {
    let (app, proxy) = (secure_app(&ctx), ctx.proxy(plan));
    let client = via_trusting(&ctx, proxy.setting())?;
    brings(&ctx, &client, app.url("/"), "hello").await?;
    ensure_eq!(proxy.requests()[0].method, "CONNECT", "method at the proxy");
    brings(&ctx, &client, app.url("/"), "hello").await
}

/// The call fails; the engine closes the connection to the proxy, and the next call gets its tunnel.
async fn fails_once(ctx: &Ctx, plan: ProxyPlan) -> Result<Error, Stop> {
    let (app, proxy) = (secure_app(ctx), ctx.proxy(plan));
    let client = via_trusting(ctx, proxy.setting())?;
    let error = fails(ctx, &client, app.url("/")).await?;
    ensure_eq!(app.counts().accepted, 0, "connections to the origin");
    let ended = proxy.ledger().until(|counts| counts.open == 0);
    ctx.wait("the connection to the proxy is closed", ended).await;
    brings(ctx, &client, app.url("/"), "hello").await?;
    Ok(error)
}

/// Whether an error tells a status: as a number of its own, since a port may hold it by accident.
fn tells(error: &Error, status: &str) -> bool {
    error.to_string().split(|c: char| !c.is_ascii_digit()).any(|number| number == status)
}

async fn refuses(ctx: Ctx, status: &'static str, rest: &'static str) -> Outcome {
    let script = Script::new().head().send(format!("HTTP/1.1 {status}\r\n{rest}"));
    let error = fails_once(&ctx, ProxyPlan::http().first([script])).await?;
    ensure_proxy_error(&error)?;
    let code = &status[..3];
    // That it wants credentials, every engine tells: its caller can do something about it.
    let is_told = code == "407" || ctx.has(Capability::ProxyStatus)?;
    ensure!(!is_told || tells(&error, code), "{error} does not name {code}");
    Ok(())
}

/// What every engine tells of a proxy that refuses, whose library does not tell it the status.
pub(crate) async fn status_is_untold(ctx: &Ctx) -> Outcome {
    let script = Script::new().head().send("HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno");
    let error = fails_once(ctx, ProxyPlan::http().first([script])).await?;
    ensure_proxy_error(&error)?;
    ensure!(!tells(&error, "403"), "the status is told, and not promised: {error}");
    Ok(())
}

/// What an engine makes of answers to CONNECT that it does not understand: no tunnel, and the proxy's failure; never an answer that
/// is none.
pub(crate) async fn answers_are_few(ctx: &Ctx) -> Outcome {
    let mut understood = 0;
    for (answer, is_sound) in [(NO_CONTENT, true), (INFORMED, true), (GARBAGE, false)] {
        let (app, proxy) = (secure_app(ctx), ctx.proxy(ProxyPlan::http().grants(answer)));
        let client = via_trusting(ctx, proxy.setting())?;
        let answered = ctx.wait("the call is over", client.get(app.url("/")).send()).await;
        understood += usize::from(answered.is_ok() == is_sound);
        match answered {
            Ok(response) => Ok(response).expect_body("hello").await?,
            Err(error) => {
                ensure!(matches!(error.kind(), ErrorKind::Tls | ErrorKind::Proxy), "kind {:?} of {error:?}", error.kind());
                ensure_eq!(error.sent(), Sent::Nothing, "what was sent, by {error:?}");
                ensure_eq!(at_app(&app), b"", "what the origin received");
            }
        }
    }
    ensure!(understood < 3, "every answer is understood, and it is not promised");
    // Behind these proxies the next call fares as this one did.
    ctx.closes_clients();
    Ok(())
}

async fn refusal_is_bounded(ctx: Ctx) -> Outcome {
    let body = "\u{1b}[31mtoo much\r\n".repeat(10_000);
    let head = format!("HTTP/1.1 403 Forbidden\r\nContent-Length: {}\r\n\r\n", body.len());
    let error = fails_once(&ctx, ProxyPlan::http().first([Script::new().head().send(head + &body)])).await?;
    ensure_proxy_error(&error)?;
    let (shown, debug) = (error.to_string(), format!("{error:?}"));
    ensure!(shown.len() <= 4096, "the error is {} bytes long", shown.len());
    ensure!(debug.len() <= 16 << 10, "the error's Debug is {} bytes long", debug.len());
    ensure!(!shown.contains(char::is_control), "control characters in {shown:?}");
    Ok(())
}

async fn refusal_quotes_no_secret(ctx: Ctx) -> Outcome {
    let body = format!("{BASIC} is unknown: Basic {BASIC}");
    let echo = format!("HTTP/1.1 403 Forbidden\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    let plan = ProxyPlan::http().asks(USER, PASSWORD).first([Script::new().head().send(echo).close()]);
    let error = fails_once(&ctx, plan).await?;
    ensure_proxy_error(&error)?;
    ensure_without(format!("{error} {error:?}").as_bytes(), "the error", &[BASIC, USER, PASSWORD])
}

async fn wrong_credentials(ctx: Ctx) -> Outcome {
    let (app, proxy) = (secure_app(&ctx), ctx.proxy(ProxyPlan::http().asks(USER, "another")));
    let setting = ProxySetting {
        credentials: Some((USER.into(), PASSWORD.into())),
        ..proxy.setting()
    };
    let error = fails(&ctx, &via_trusting(&ctx, setting)?, app.url("/")).await?;
    ensure_proxy_error(&error)?;
    ensure!(tells(&error, "407"), "{error} does not name 407");
    ensure_without(format!("{error} {error:?}").as_bytes(), "the error", &[BASIC, USER, PASSWORD])?;
    ensure_eq!(app.counts().accepted, 0, "connections to the origin");
    ctx.closes_clients();
    Ok(())
}

async fn breaks(ctx: Ctx, script: Script) -> Outcome {
    let error = fails_once(&ctx, ProxyPlan::http().first([script])).await?;
    ensure_proxy_error(&error)
}

/// Bytes that an engine may take of an answer to CONNECT; far more than any peer does.
const FLOOD: usize = 8 << 20;

async fn endless(ctx: Ctx, again: &'static str, first: &'static str) -> Outcome {
    let script = Script::new().head().send(first).flood(again.repeat(100));
    let (app, proxy) = (secure_app(&ctx), ctx.proxy(ProxyPlan::http().first([script])));
    let client = via_trusting(&ctx, proxy.setting())?;
    let error = fails(&ctx, &client, app.url("/")).await?;
    let is_allowed = matches!(error.kind(), ErrorKind::Proxy | ErrorKind::TooLarge);
    ensure!(is_allowed, "kind {:?} of {error:?}", error.kind());
    ensure_eq!(error.sent(), Sent::Nothing, "what was sent, by {error:?}");
    ctx.wait("the engine closes the connection to the proxy", proxy.connection(0).closed_by_client())
        .await;
    let sent = proxy.connection(0).sent();
    ensure!(sent <= FLOOD, "the engine took {sent} bytes");
    brings(&ctx, &client, app.url("/"), "hello").await
}

/// The tunnel is sound but for some bytes before those of the origin, in one packet with the head: whoever drops them, or takes them
/// for a body, sees a good handshake.
async fn garbage_in_tunnel(ctx: Ctx) -> Outcome {
    let (app, proxy) = (secure_app(&ctx), ctx.proxy(ProxyPlan::http().grants(GARBAGE)));
    let client = via_trusting(&ctx, proxy.setting())?;
    let error = fails(&ctx, &client, app.url("/")).await?;
    ensure!(matches!(error.kind(), ErrorKind::Tls | ErrorKind::Proxy), "kind {:?} of {error:?}", error.kind());
    ensure_eq!(error.sent(), Sent::Nothing, "what was sent, by {error:?}");
    ensure_eq!(at_app(&app), b"", "what the origin received");
    // Nor does any other tunnel of this proxy carry anything.
    ctx.closes_clients();
    Ok(())
}

async fn tunnel_hangs_up(ctx: Ctx) -> Outcome {
    let script = Script::new().head().send("HTTP/1.1 200 OK\r\n\r\n").close();
    let error = fails_once(&ctx, ProxyPlan::http().first([script])).await?;
    // The tunnel was there; whose fault it is that it went is not to be known.
    let is_allowed = matches!(error.kind(), ErrorKind::Tls | ErrorKind::Proxy | ErrorKind::Closed);
    ensure!(is_allowed, "kind {:?} of {error:?}", error.kind());
    ensure_eq!(error.sent(), Sent::Nothing, "what was sent, by {error:?}");
    Ok(())
}

async fn stalls(ctx: Ctx, script: Script, phase: Phase) -> Outcome {
    let (app, proxy) = (secure_app(&ctx), ctx.proxy(ProxyPlan::http().first([script])));
    let client = via_trusting(&ctx, proxy.setting())?;
    times_out(&ctx, &client, app.url("/"), phase).await?;
    ctx.wait("the engine closes the connection to the proxy", proxy.connection(0).closed_by_client())
        .await;
    brings(&ctx, &client, app.url("/"), "hello").await
}

async fn given_up(ctx: Ctx) -> Outcome {
    let (app, proxy) = (secure_app(&ctx), ctx.proxy(ProxyPlan::http().first([Script::new()])));
    let client = via_trusting(&ctx, proxy.setting())?;
    give_up(&ctx, &client, app.url("/"), &proxy.connection(0)).await?;
    brings(&ctx, &client, app.url("/"), "hello").await
}
