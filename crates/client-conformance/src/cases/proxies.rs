//! Proxies for http, which forward; what redirects take along; and proxies that are reached by TLS. Tunnels are the topic of
//! `tunnels.rs`.

use client_core::{Body, Capability, ErrorKind, HttpClient, Phase, Sent, StatusCode, TlsConfig};
use futures_util::stream;

use super::behind::{
    BASIC, PASSWORD, Scheme, USER, at, at_app, at_proxy, brings, ensure_without, fails, nobody, times_out, via, via_trusting,
};
use crate::case::{Outcome, Stop, ensure, ensure_eq};
use crate::ctx::{Ctx, Expect};
use crate::servers::{Certificate, Proxy, ProxyPlan, Script, Tls};
use crate::subject::ProxySetting;

cases! {
    proxies(ctx): "HTTP proxies, and who sees which secret";

    absolute_form [Http1, HttpProxy] "RFC 9112 §3.2.2", "A proxy is asked for http by the whole URL, and resolves its host" =>
        absolute_form(ctx, "origin.test");
    absolute_form_ipv6 [Http1, HttpProxy] "RFC 9112 §3.2.2", "An IPv6 address stays in its brackets" =>
        absolute_form(ctx, "[2001:db8::1]");
    absolute_form_default_port [Http1, HttpProxy] "RFC 9110 §4.2.3", "The default port is named neither in the URL nor in Host" =>
        default_port(ctx);
    head [Http1, HttpProxy] "RFC 9110 §9.3.2", "A forwarded HEAD has no body" => forwarded_head(ctx);
    post [Http1, HttpProxy] "RFC 9112 §6.2", "A body is forwarded whole" => forwarded_post(ctx);
    streamed [Http1, HttpProxy, StreamingUpload] "RFC 9112 §7.1", "A streamed body is forwarded whole" => forwarded_stream(ctx);
    keep_alive [Http1, HttpProxy, ConnectionReuse] "RFC 9112 §9.3", "A connection to a proxy is used again" => keep_alive(ctx);
    authenticated [Http1, HttpProxy] "RFC 9110 §11.7.2; CVE-2023-32681", "Credentials go to the proxy, not to the origin" =>
        authenticated(ctx);
    authorization_forwarded [Http1, HttpProxy] "RFC 9110 §11.6.2", "The origin's own credentials reach it through a proxy" =>
        authorization_forwarded(ctx);
    challenge_is_a_response [Http1, HttpProxy] "RFC 9110 §15.5.8", "407 to a forwarded request is its response" => challenge(ctx);
    direct [Http1, HttpProxy] "RFC 9112 §3.2.1", "Without a proxy setting the origin is asked directly, in origin-form" =>
        direct(ctx);
    clients_apart [Http1, HttpProxy] "CVE-2022-27782, CVE-2026-3784", "Other credentials never share a connection" =>
        clients_apart(ctx);
    unreachable [Http1, HttpProxy] "a proxy is a server like any other", "A proxy that refuses the connection is kind Connect" =>
        unreachable(ctx);
    unknown_name [Http1, HttpProxy] "RFC 6761 §6.4", "A proxy whose name does not exist is kind Resolve" => unknown_name(ctx);

    redirect_to_http [Http1, HttpProxy] "CVE-2023-32681, CVE-2024-37891", "A redirect from http to http takes no secret along" =>
        redirects(ctx, Scheme::Http, Scheme::Http);
    redirect_to_https [Http1, HttpProxy, Tls, CustomRoots] "CVE-2023-32681, CVE-2024-37891",
        "A redirect from http into a tunnel takes no secret along" => redirects(ctx, Scheme::Http, Scheme::Https);
    redirect_in_tunnels [Http1, HttpProxy, Tls, CustomRoots] "CVE-2023-32681, CVE-2024-37891",
        "A redirect from tunnel to tunnel takes no secret along" => redirects(ctx, Scheme::Https, Scheme::Https);

    over_tls_http [Http1, HttpsProxy, CustomRoots] "RFC 9110 §3.7", "http through a proxy that is reached by TLS" =>
        over_tls(ctx, Scheme::Http);
    over_tls_https [Http1, HttpsProxy, CustomRoots] "RFC 9110 §9.3.6",
        "https through a proxy that is reached by TLS: TLS within TLS" =>
        over_tls(ctx, Scheme::Https);
    over_tls_authority [HttpsProxy, CustomRoots] "CVE-2022-32210", "The authority of an https proxy's certificate is verified" =>
        untrusted(ctx, Certificate::UnknownAuthority);
    over_tls_host [HttpsProxy, CustomRoots] "CVE-2022-32210", "The name in an https proxy's certificate is verified" =>
        untrusted(ctx, Certificate::WrongHost);
    over_tls_expired [HttpsProxy, CustomRoots] "CVE-2022-32210", "The validity of an https proxy's certificate is verified" =>
        untrusted(ctx, Certificate::Expired);
    over_tls_own_trust [HttpsProxy, CustomRoots] "CVE-2022-32210", "What is trusted of an origin is not trusted of a proxy" =>
        own_trust(ctx);
    over_tls_stalls [HttpsProxy, CustomRoots, ConnectTimeout] "DESIGN: connect covers the proxy",
        "A proxy silent in its TLS handshake runs into the connect timeout" => tls_stalls(ctx);
}

async fn absolute_form(ctx: Ctx, host: &'static str) -> Outcome {
    let (app, proxy) = (ctx.app(), ctx.proxy(ProxyPlan::http()));
    let client = via(&ctx, proxy.setting())?;
    let authority = format!("{host}:{}", app.addr().port());
    let url = format!("http://{authority}/inspect?a=b");
    let sent = client.get(&*url).send();
    let response = ctx.wait("the answer has arrived", sent).await?;
    ensure_eq!(response.status(), 200, "status");
    drop(ctx.wait("the body has arrived", response.bytes()).await?);
    let request = &proxy.requests()[0];
    ensure_eq!((&*request.method, &*request.target, &*request.version), ("GET", &*url, "HTTP/1.1"), "request line");
    ensure_eq!(request.values("host"), [authority.as_bytes()], "Host");
    ensure_eq!(request.field("proxy-authorization"), None, "Proxy-Authorization without credentials");
    Ok(())
}

async fn default_port(ctx: Ctx) -> Outcome {
    let answer = Script::reply("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok").close();
    let proxy = ctx.proxy(ProxyPlan::http().first([answer]));
    let client = via(&ctx, proxy.setting())?;
    brings(&ctx, &client, "http://origin.test:80/", "ok").await?;
    let request = &proxy.requests()[0];
    ensure_eq!(request.target, "http://origin.test/", "target");
    ensure_eq!(request.field("host").as_deref(), Some("origin.test"), "Host");
    Ok(())
}

async fn forwarded_head(ctx: Ctx) -> Outcome {
    let (app, proxy) = (ctx.app(), ctx.proxy(ProxyPlan::http()));
    let client = via(&ctx, proxy.setting())?;
    ctx.wait("the answer has arrived", client.head(app.url("/bytes/1000")).send())
        .await
        .expect_body("")
        .await?;
    brings(&ctx, &client, app.url("/"), "hello").await
}

async fn forwarded_post(ctx: Ctx) -> Outcome {
    let (app, proxy) = (ctx.app(), ctx.proxy(ProxyPlan::http()));
    let sent = via(&ctx, proxy.setting())?.post(app.url("/echo")).body("to be forwarded").send();
    ctx.wait("the answer has arrived", sent).await.expect_body("to be forwarded").await
}

async fn forwarded_stream(ctx: Ctx) -> Outcome {
    let (app, proxy) = (ctx.app(), ctx.proxy(ProxyPlan::http()));
    let pieces = stream::iter(["to ", "be ", "forwarded"].map(Ok::<_, std::io::Error>));
    let sent = via(&ctx, proxy.setting())?.post(app.url("/echo")).body(Body::stream(pieces)).send();
    ctx.wait("the answer has arrived", sent).await.expect_body("to be forwarded").await
}

async fn keep_alive(ctx: Ctx) -> Outcome {
    let (app, proxy) = (ctx.app(), ctx.proxy(ProxyPlan::http()));
    let client = via(&ctx, proxy.setting())?;
    for _ in 0..3 {
        brings(&ctx, &client, app.url("/"), "hello").await?;
    }
    ensure_eq!(proxy.counts().accepted, 1, "connections to the proxy");
    Ok(())
}

async fn authenticated(ctx: Ctx) -> Outcome {
    let (app, proxy) = (ctx.app(), ctx.proxy(ProxyPlan::http().asks(USER, PASSWORD)));
    let client = via(&ctx, proxy.setting())?;
    brings(&ctx, &client, app.url("/"), "hello").await?;
    // Whether they are sent at once or after a challenge is the engine's choice.
    let requests = proxy.requests();
    let last = requests.last().and_then(|request| request.field("proxy-authorization"));
    ensure_eq!(last, Some(format!("Basic {BASIC}")), "Proxy-Authorization");
    ensure_without(&at_app(&app), "the origin", &[BASIC, USER, PASSWORD, "proxy-authorization"])
}

async fn authorization_forwarded(ctx: Ctx) -> Outcome {
    let (app, proxy) = (ctx.app(), ctx.proxy(ProxyPlan::http().asks(USER, PASSWORD)));
    let sent = via(&ctx, proxy.setting())?.get(app.url("/")).header("authorization", "Bearer of-origin").send();
    ctx.wait("the answer has arrived", sent).await.expect_body("hello").await?;
    let requests = app.requests();
    ensure_eq!(
        requests[0].field("authorization").as_deref(),
        Some("Bearer of-origin"),
        "Authorization at the origin"
    );
    Ok(())
}

async fn challenge(ctx: Ctx) -> Outcome {
    let refusal =
        "HTTP/1.1 407 Who\r\nProxy-Authenticate: Basic realm=\"a\"\r\nContent-Length: 3\r\nConnection: close\r\n\r\nwho";
    let proxy = ctx.proxy(ProxyPlan::http().first([Script::reply(refusal).close()]));
    let client = via(&ctx, proxy.setting())?;
    let response = ctx.wait("the answer has arrived", client.get("http://origin.test/").send()).await?;
    ensure_eq!(response.status(), StatusCode::PROXY_AUTHENTICATION_REQUIRED, "status");
    ensure_eq!(ctx.wait("the body has arrived", response.text()).await?, "who", "body");
    Ok(())
}

async fn direct(ctx: Ctx) -> Outcome {
    let (app, proxy) = (ctx.app(), ctx.proxy(ProxyPlan::http()));
    // Another client's proxy is no concern of this one.
    brings(&ctx, &via(&ctx, proxy.setting())?, app.url("/"), "hello").await?;
    let before = (proxy.counts().accepted, proxy.requests().len());
    let client = ctx.client()?;
    brings(&ctx, &client, app.url("/bytes/0"), "").await?;
    ensure_eq!((proxy.counts().accepted, proxy.requests().len()), before, "connections and requests at the proxy");
    let targets: Vec<_> = app.requests().into_iter().map(|request| request.target).collect();
    ensure_eq!(targets, ["/", "/bytes/0"], "targets at the origin");
    Ok(())
}

async fn clients_apart(ctx: Ctx) -> Outcome {
    let (app, proxy) = (ctx.app(), ctx.proxy(ProxyPlan::http().asks(USER, PASSWORD)));
    brings(&ctx, &via(&ctx, proxy.setting())?, app.url("/"), "hello").await?;
    let unknown = ProxySetting {
        credentials: None,
        ..proxy.setting()
    };
    let sent = via(&ctx, unknown)?.get(app.url("/")).send();
    ensure_eq!(ctx.wait("the answer has arrived", sent).await?.status(), 407, "status without credentials");
    for index in 0..proxy.counts().accepted {
        let requests = proxy.connection(index).requests();
        let with = requests.iter().filter(|request| request.field("proxy-authorization").is_some()).count();
        ensure!(
            with == 0 || with == requests.len(),
            "connection {index} carried requests with and without credentials"
        );
    }
    ctx.closes_clients();
    Ok(())
}

async fn unreachable(ctx: Ctx) -> Outcome {
    let setting = at(&ctx, format!("http://127.0.0.1:{}", nobody()?));
    let error = fails(&ctx, &via(&ctx, setting)?, ctx.app().url("/")).await?;
    ensure_eq!(error.kind(), ErrorKind::Connect, "kind of {error:?}");
    ensure_eq!(error.sent(), Sent::Nothing, "what was sent, by {error:?}");
    ensure_eq!(ctx.app().counts().accepted, 0, "connections to the origin");
    ctx.closes_clients();
    Ok(())
}

async fn unknown_name(ctx: Ctx) -> Outcome {
    let error = fails(&ctx, &via(&ctx, at(&ctx, "http://proxy.invalid:3128".into()))?, ctx.app().url("/")).await?;
    ensure_eq!(error.kind(), ErrorKind::Resolve, "kind of {error:?}");
    ensure_eq!(error.sent(), Sent::Nothing, "what was sent, by {error:?}");
    ctx.closes_clients();
    Ok(())
}

/// From one origin to another, both behind a proxy that asks for credentials.
async fn redirects(ctx: Ctx, from: Scheme, to: Scheme) -> Outcome {
    let proxy = ctx.proxy(ProxyPlan::http().asks(USER, PASSWORD));
    let client = match (from, to) {
        (Scheme::Http, Scheme::Http) => via(&ctx, proxy.setting())?,
        _ => via_trusting(&ctx, proxy.setting())?,
    };
    let first = from.app(&ctx);
    // The other origin is another host, too, as seen from here.
    let other = to.app(&ctx);
    let location = match to {
        Scheme::Http => format!("http://other.test:{}/", other.addr().port()),
        Scheme::Https => other.url("/"),
    };
    let sent = client
        .get(first.url(&format!("/redirect-to?302&{location}")))
        .header("authorization", "Bearer of-origin")
        .header("cookie", "session=of-origin")
        .send();
    ctx.wait("the answer has arrived", sent).await.expect_body("hello").await?;
    let proxys: &[&str] = &[BASIC, USER, PASSWORD, "proxy-authorization"];
    ensure_without(&at_app(&first), "the first origin", proxys)?;
    ensure_without(&at_app(&other), "the other origin", proxys)?;
    let at_first = &first.requests()[0];
    ensure_eq!(
        at_first.field("authorization").as_deref(),
        Some("Bearer of-origin"),
        "Authorization at the first origin"
    );
    let at_other = other.requests().pop().ok_or_else(|| Stop::failed("the other origin was not asked"))?;
    for name in ["authorization", "cookie"] {
        ensure_eq!(at_other.field(name), None, "{name} at the other origin");
    }
    // What the proxy can read of tunnels holds none of it either.
    for request in proxy.requests().iter().filter(|request| request.method == "CONNECT") {
        ensure_eq!(request.field("authorization"), None, "Authorization in CONNECT");
        ensure_eq!(request.field("cookie"), None, "Cookie in CONNECT");
    }
    Ok(())
}

async fn over_tls(ctx: Ctx, scheme: Scheme) -> Outcome {
    let plan = ProxyPlan::https(&Tls::new(Certificate::Good)).asks(USER, PASSWORD);
    let (app, proxy) = (scheme.app(&ctx), ctx.proxy(plan));
    let client = via_trusting(&ctx, proxy.setting())?;
    for _ in 0..2 {
        brings(&ctx, &client, app.url("/"), "hello").await?;
    }
    let requests = proxy.requests();
    let last = requests.last().ok_or_else(|| Stop::failed("the proxy was not asked"))?;
    let (method, target) = match scheme {
        Scheme::Http => ("GET", app.url("/")),
        Scheme::Https => ("CONNECT", format!("localhost:{}", app.addr().port())),
    };
    ensure_eq!((&*last.method, &*last.target), (method, &*target), "method and target");
    ensure_eq!(last.field("proxy-authorization"), Some(format!("Basic {BASIC}")), "Proxy-Authorization");
    if ctx.has(Capability::ConnectionReuse)? {
        ensure_eq!(proxy.counts().accepted, 1, "connections to the proxy");
    }
    ensure_without(&at_app(&app), "the origin", &[BASIC, USER, PASSWORD, "proxy-authorization"])
}

async fn untrusted(ctx: Ctx, certificate: Certificate) -> Outcome {
    let proxy = ctx.proxy(ProxyPlan::https(&Tls::new(certificate)).asks(USER, PASSWORD));
    ensure_untrusted(&ctx, &proxy, &via_trusting(&ctx, proxy.setting())?).await
}

async fn own_trust(ctx: Ctx) -> Outcome {
    let proxy = ctx.proxy(ProxyPlan::https(&Tls::new(Certificate::Good)).asks(USER, PASSWORD));
    let setting = ProxySetting {
        tls: TlsConfig::new(),
        ..proxy.setting()
    };
    ensure_untrusted(&ctx, &proxy, &via_trusting(&ctx, setting)?).await
}

async fn ensure_untrusted(ctx: &Ctx, proxy: &Proxy, client: &HttpClient) -> Outcome {
    let error = fails(ctx, client, ctx.app().url("/")).await?;
    ensure_eq!(error.kind(), ErrorKind::Tls, "kind of {error:?}");
    ensure_eq!(error.sent(), Sent::Nothing, "what was sent, by {error:?}");
    ensure_eq!(at_proxy(proxy), b"", "what the proxy received");
    ensure_eq!(ctx.app().counts().accepted, 0, "connections to the origin");
    ctx.closes_clients();
    Ok(())
}

async fn tls_stalls(ctx: Ctx) -> Outcome {
    let silent = ctx.raw(Script::new());
    let client = via_trusting(&ctx, at(&ctx, format!("https://{}", silent.addr())))?;
    times_out(&ctx, &client, ctx.app().url("/"), Phase::Tls).await?;
    ctx.wait("the engine closes the connection to the proxy", silent.connection(0).closed_by_client())
        .await;
    ctx.closes_clients();
    Ok(())
}
