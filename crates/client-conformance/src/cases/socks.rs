//! SOCKS proxies, versions 4, 4a and 5: who resolves the name, who gets the credentials, and what a refusal becomes.

use std::net::SocketAddr;

use client_core::{ErrorKind, Phase, Sent};

use super::behind::{
    PASSWORD, Scheme, USER, at, at_app, brings, ensure_proxy_error, ensure_without, fails, give_up, nobody, secure_app,
    times_out, via, via_trusting,
};
use crate::case::{Outcome, ensure, ensure_eq};
use crate::ctx::Ctx;
use crate::servers::{Certificate, ProxyPlan, ProxyTarget, Script, Tls};
use crate::subject::ProxySetting;

cases! {
    socks(ctx): "SOCKS proxies, of every version";

    version4 [Http1, SocksProxy] "SOCKS4", "SOCKS4 carries http; names are resolved here" =>
        resolves_here(ctx, ProxyPlan::socks4());
    version4a [Http1, SocksProxy] "SOCKS4a", "SOCKS4a carries http; names are resolved by the proxy" =>
        resolves_there(ctx, ProxyPlan::socks4a());
    version5 [Http1, SocksProxy] "RFC 1928", "SOCKS5 carries http; names are resolved here" =>
        resolves_here(ctx, ProxyPlan::socks5());
    version5h [Http1, SocksProxy] "RFC 1928 §4", "SOCKS5h carries http; names are resolved by the proxy" =>
        resolves_there(ctx, ProxyPlan::socks5h());
    version4a_address [SocksProxy] "SOCKS4a", "To SOCKS4a an address goes as an address" =>
        address(ctx, ProxyPlan::socks4a(), "127.0.0.1");
    version5h_address [SocksProxy] "RFC 1928 §5", "To SOCKS5h an address goes as an address" =>
        address(ctx, ProxyPlan::socks5h(), "127.0.0.1");
    version5_ipv6 [SocksProxy] "RFC 1928 §5", "To SOCKS5 an IPv6 address goes as its 16 bytes" =>
        address(ctx, ProxyPlan::socks5(), "[2001:db8::1]");
    version5h_ipv6 [SocksProxy] "RFC 1928 §5", "To SOCKS5h an IPv6 address goes as its 16 bytes" =>
        address(ctx, ProxyPlan::socks5h(), "[2001:db8::1]");
    version4_ipv6 [SocksProxy] "SOCKS4 has 4 bytes for an address", "SOCKS4 is not asked for an IPv6 address" =>
        never_asked(ctx, ProxyPlan::socks4(), "[2001:db8::1]".into());
    long_name [SocksProxy] "CVE-2023-38545", "A name that does not fit is refused, not cut, and not resolved here instead" =>
        never_asked(ctx, ProxyPlan::socks5h(), "long.".repeat(52) + "test");
    longest_name [SocksProxy] "RFC 1928 §5; RFC 1035 §2.3.4", "A name of 253 bytes is carried whole" => longest_name(ctx);

    https4a [SocksProxy, Tls, CustomRoots] "RFC 9110 §4.3.4", "https through SOCKS4a" => https(ctx, ProxyPlan::socks4a());
    https5 [SocksProxy, Tls, CustomRoots] "RFC 9110 §4.3.4", "https through SOCKS5" => https(ctx, ProxyPlan::socks5());
    https5h [SocksProxy, Tls, CustomRoots] "RFC 9110 §4.3.4", "https through SOCKS5h" => https(ctx, ProxyPlan::socks5h());
    verifies [SocksProxy, Tls, CustomRoots] "RFC 9110 §4.3.4", "Through SOCKS, too, the origin's certificate is verified" =>
        verifies(ctx);
    keep_alive [Http1, SocksProxy, ConnectionReuse] "RFC 9112 §9.3", "A connection through SOCKS is used again" =>
        keep_alive(ctx);

    authenticated4 [Http1, SocksProxy] "SOCKS4: USERID", "SOCKS4 names the user to the proxy, and not to the origin" =>
        authenticated(ctx, ProxyPlan::socks4().asks(USER, ""), Scheme::Http);
    authenticated5 [Http1, SocksProxy] "RFC 1929", "SOCKS5 credentials go to the proxy, and not to the origin" =>
        authenticated(ctx, ProxyPlan::socks5h().asks(USER, PASSWORD), Scheme::Http);
    authenticated5_https [Http1, SocksProxy, Tls, CustomRoots] "RFC 1929", "SOCKS5 credentials do not go into TLS" =>
        authenticated(ctx, ProxyPlan::socks5h().asks(USER, PASSWORD), Scheme::Https);
    not_asked [SocksProxy] "RFC 1929", "Credentials that a SOCKS5 proxy does not ask for are not told" => not_asked(ctx);
    wrong_credentials [SocksProxy] "RFC 1929 §2", "Credentials that a SOCKS5 proxy refuses are kind Proxy, and not shown" =>
        wrong_credentials(ctx, Some((USER.into(), PASSWORD.into())));
    no_credentials [SocksProxy] "RFC 1928 §3: X'FF'", "A SOCKS5 proxy that insists on credentials is kind Proxy" =>
        wrong_credentials(ctx, None);

    refused4 [SocksProxy] "SOCKS4: 91 to 93", "Each refusal of SOCKS4 is kind Proxy" => refused4(ctx);
    refused5 [SocksProxy] "RFC 1928 §6", "Each refusal of SOCKS5 is kind Proxy" => refused5(ctx);
    origin_unreachable [SocksProxy] "RFC 1928 §6", "An origin that the proxy cannot reach is kind Proxy, not Connect" =>
        origin_unreachable(ctx);
    unreachable [SocksProxy] "a proxy is a server like any other", "A SOCKS proxy that refuses the connection is kind Connect" =>
        unreachable(ctx);

    bound_to_name [SocksProxy] "RFC 1928 §6", "A reply with a name for its address is read to its end, and no further" =>
        grants(ctx, b"\x05\x00\x00\x03\x05bound\x10\x00");
    bound_to_ipv6 [SocksProxy] "RFC 1928 §6", "A reply with an IPv6 address is read to its end, and no further" =>
        grants(ctx, b"\x05\x00\x00\x04\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01\x10\x00");
    bytewise4 [SocksProxy] "SOCKS4", "A reply of SOCKS4 may arrive byte by byte" => bytewise(ctx, ProxyPlan::socks4a());
    bytewise5 [SocksProxy] "RFC 1928", "Replies of SOCKS5 may arrive byte by byte" =>
        bytewise(ctx, ProxyPlan::socks5h().asks(USER, PASSWORD));

    wrong_version [SocksProxy] "RFC 1928 §3", "A proxy that speaks another version is kind Proxy" =>
        breaks(ctx, Script::new().received(GREETING).send(&b"\x04\x00"[..]));
    not_socks [SocksProxy] "RFC 1928 §3", "A proxy that speaks HTTP instead is kind Proxy" =>
        breaks(ctx, Script::new().received(GREETING).send("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"));
    unasked_method [SocksProxy] "RFC 1928 §3", "A method that was not offered is kind Proxy" =>
        breaks(ctx, Script::new().received(GREETING).send(&b"\x05\x07"[..]));
    truncated [SocksProxy] "RFC 1928 §6", "Half of a reply is kind Proxy" =>
        breaks(ctx, admitting().received(REQUEST).send(&b"\x05\x00\x00\x01\x7f"[..]).close());
    hangs_up [SocksProxy] "RFC 1928 §6", "A SOCKS proxy that closes without a reply is kind Proxy" =>
        breaks(ctx, admitting().received(REQUEST).close());
    unknown_address_type [SocksProxy] "RFC 1928 §5", "A reply with an address of no known type is kind Proxy" =>
        breaks(ctx, admitting().received(REQUEST).send(&b"\x05\x00\x00\x09\x7f\x00\x00\x01\x10\x00"[..]));

    stalls [SocksProxy, ConnectTimeout] "DESIGN: connect covers the proxy",
        "A silent SOCKS proxy runs into the connect timeout" =>
        stalls(ctx, Script::new());
    stalls_in_authentication [SocksProxy, ConnectTimeout] "DESIGN: connect covers the proxy",
        "A SOCKS proxy silent after the credentials runs into the connect timeout" =>
        stalls(ctx, Script::new().received(GREETING).send(&b"\x05\x02"[..]));
    stalls_before_reply [SocksProxy, ConnectTimeout] "DESIGN: connect covers the proxy",
        "A SOCKS proxy that does not reply runs into the connect timeout" => stalls(ctx, admitting());
    stalls_in_reply [SocksProxy, ConnectTimeout] "DESIGN: connect covers the proxy",
        "Half of a SOCKS reply runs into the connect timeout" =>
        stalls(ctx, admitting().received(REQUEST).send(&b"\x05\x00\x00"[..]));
    given_up [SocksProxy] "DESIGN: cancellation is drop", "A call given up while a SOCKS proxy thinks leaves no connection" =>
        given_up(ctx);
}

/// What SOCKS5 begins with, and what asks for a connection to a name.
const GREETING: &[u8] = b"\x05";
const REQUEST: &[u8] = b"\x05\x01\x00\x03";

/// Lets everybody in.
fn admitting() -> Script {
    Script::new().received(GREETING).send(&b"\x05\x00"[..])
}

async fn resolves_here(ctx: Ctx, plan: ProxyPlan) -> Outcome {
    let (app, proxy) = (ctx.app(), ctx.proxy(plan));
    let port = app.addr().port();
    // The one name that every machine can resolve.
    brings(&ctx, &via(&ctx, proxy.setting())?, format!("http://localhost:{port}/"), "hello").await?;
    let asked = proxy.asked();
    let is_here = matches!(&asked[..], [ProxyTarget::Address(address)] if address.ip().is_loopback() && address.port() == port);
    ensure!(is_here, "the proxy was asked for {asked:?}");
    let request = &app.requests()[0];
    ensure_eq!(
        (&*request.target, request.field("host")),
        ("/", Some(format!("localhost:{port}"))),
        "target and Host"
    );
    Ok(())
}

async fn resolves_there(ctx: Ctx, plan: ProxyPlan) -> Outcome {
    let (app, proxy) = (ctx.app(), ctx.proxy(plan));
    let port = app.addr().port();
    let client = via(&ctx, proxy.setting())?;
    // A name that could be resolved here, and one that nobody but the proxy knows.
    for host in ["localhost", "origin.test"] {
        brings(&ctx, &client, format!("http://{host}:{port}/"), "hello").await?;
    }
    let expected = ["localhost", "origin.test"].map(|host| ProxyTarget::Name(host.into(), port));
    ensure_eq!(proxy.asked(), expected, "what the proxy was asked for");
    let request = &app.requests()[1];
    ensure_eq!(
        (&*request.target, request.field("host")),
        ("/", Some(format!("origin.test:{port}"))),
        "target and Host"
    );
    Ok(())
}

async fn address(ctx: Ctx, plan: ProxyPlan, host: &'static str) -> Outcome {
    let (app, proxy) = (ctx.app(), ctx.proxy(plan));
    let authority = format!("{host}:{}", app.addr().port());
    brings(&ctx, &via(&ctx, proxy.setting())?, format!("http://{authority}/"), "hello").await?;
    let expected: SocketAddr = authority.parse().expect("an address with a port");
    ensure_eq!(proxy.asked(), [ProxyTarget::Address(expected)], "what the proxy was asked for");
    Ok(())
}

async fn never_asked(ctx: Ctx, plan: ProxyPlan, host: String) -> Outcome {
    let (app, proxy) = (ctx.app(), ctx.proxy(plan));
    let error = fails(&ctx, &via(&ctx, proxy.setting())?, format!("http://{host}:{}/", app.addr().port())).await?;
    // Whether it is the request that is wrong, or the proxy, is a matter of taste.
    ensure!(
        matches!(error.kind(), ErrorKind::Proxy | ErrorKind::InvalidRequest),
        "kind {:?} of {error:?}",
        error.kind()
    );
    ensure_eq!(error.sent(), Sent::Nothing, "what was sent, by {error:?}");
    ensure_eq!(proxy.asked(), [], "what the proxy was asked for");
    ensure_eq!(app.counts().accepted, 0, "connections to the origin");
    Ok(())
}

async fn longest_name(ctx: Ctx) -> Outcome {
    let (app, proxy) = (ctx.app(), ctx.proxy(ProxyPlan::socks5h()));
    let (host, port) = ("long.".repeat(49) + "name.tst", app.addr().port());
    brings(&ctx, &via(&ctx, proxy.setting())?, format!("http://{host}:{port}/"), "hello").await?;
    ensure_eq!(proxy.asked(), [ProxyTarget::Name(host, port)], "what the proxy was asked for");
    Ok(())
}

async fn https(ctx: Ctx, plan: ProxyPlan) -> Outcome {
    let (app, proxy) = (secure_app(&ctx), ctx.proxy(plan));
    brings(&ctx, &via_trusting(&ctx, proxy.setting())?, app.url("/bytes/0?secret"), "").await?;
    ensure_eq!(proxy.asked().len(), 1, "tunnels");
    ensure_without(&proxy.connection(0).received(), "the proxy", &["secret"])
}

async fn verifies(ctx: Ctx) -> Outcome {
    let (app, proxy) = (ctx.app_tls(&Tls::new(Certificate::WrongHost)), ctx.proxy(ProxyPlan::socks5h()));
    let error = fails(&ctx, &via_trusting(&ctx, proxy.setting())?, app.url("/")).await?;
    ensure_eq!(error.kind(), ErrorKind::Tls, "kind of {error:?}");
    ensure_eq!(at_app(&app), b"", "what the origin received");
    Ok(())
}

async fn keep_alive(ctx: Ctx) -> Outcome {
    let (app, proxy) = (ctx.app(), ctx.proxy(ProxyPlan::socks5h()));
    let client = via(&ctx, proxy.setting())?;
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

async fn authenticated(ctx: Ctx, plan: ProxyPlan, scheme: Scheme) -> Outcome {
    let (app, proxy) = (scheme.app(&ctx), ctx.proxy(plan));
    let client = match scheme {
        Scheme::Http => via(&ctx, proxy.setting())?,
        Scheme::Https => via_trusting(&ctx, proxy.setting())?,
    };
    brings(&ctx, &client, app.url("/"), "hello").await?;
    ensure_without(&at_app(&app), "the origin", &[USER, PASSWORD, "proxy-authorization"])
}

async fn not_asked(ctx: Ctx) -> Outcome {
    let (app, proxy) = (ctx.app(), ctx.proxy(ProxyPlan::socks5h()));
    let setting = ProxySetting {
        credentials: Some((USER.into(), PASSWORD.into())),
        ..proxy.setting()
    };
    brings(&ctx, &via(&ctx, setting)?, app.url("/"), "hello").await?;
    ensure_without(&proxy.connection(0).received(), "the proxy", &[USER, PASSWORD])
}

async fn wrong_credentials(ctx: Ctx, credentials: Option<(String, String)>) -> Outcome {
    let (app, proxy) = (ctx.app(), ctx.proxy(ProxyPlan::socks5h().asks(USER, "another")));
    let setting = ProxySetting {
        credentials,
        ..proxy.setting()
    };
    let error = fails(&ctx, &via(&ctx, setting)?, app.url("/")).await?;
    ensure_proxy_error(&error)?;
    ensure_without(format!("{error} {error:?}").as_bytes(), "the error", &[USER, PASSWORD])?;
    ensure_eq!(proxy.asked(), [], "what the proxy was asked for");
    ctx.closes_clients();
    Ok(())
}

async fn refused4(ctx: Ctx) -> Outcome {
    let reply = |code| Script::new().received(&b"\x04\x01"[..]).send(vec![0, code, 0, 0, 0, 0, 0, 0]);
    each_refused(ctx, ProxyPlan::socks4a(), (91..=94).map(reply).collect()).await
}

async fn refused5(ctx: Ctx) -> Outcome {
    let reply = |code| admitting().received(REQUEST).send(vec![5, code, 0, 1, 0, 0, 0, 0, 0, 0]);
    // Those that the RFC names, and one that it does not.
    each_refused(ctx, ProxyPlan::socks5h(), (1..=9).map(reply).collect()).await
}

async fn each_refused(ctx: Ctx, plan: ProxyPlan, scripts: Vec<Script>) -> Outcome {
    let calls = scripts.len();
    let (app, proxy) = (ctx.app(), ctx.proxy(plan.first(scripts)));
    let client = via(&ctx, proxy.setting())?;
    let url = format!("http://origin.test:{}/", app.addr().port());
    for index in 0..calls {
        ensure_proxy_error(&fails(&ctx, &client, &*url).await?)?;
        ctx.wait("the engine closes the connection to the proxy", proxy.connection(index).closed_by_client())
            .await;
    }
    ensure_eq!(app.counts().accepted, 0, "connections to the origin");
    brings(&ctx, &client, url, "hello").await
}

async fn origin_unreachable(ctx: Ctx) -> Outcome {
    let proxy = ctx.proxy(ProxyPlan::socks5h());
    let error = fails(&ctx, &via(&ctx, proxy.setting())?, format!("http://origin.test:{}/", nobody()?)).await?;
    ensure_proxy_error(&error)
}

async fn unreachable(ctx: Ctx) -> Outcome {
    let setting = at(&ctx, format!("socks5h://127.0.0.1:{}", nobody()?));
    let error = fails(&ctx, &via(&ctx, setting)?, ctx.app().url("/")).await?;
    ensure_eq!(error.kind(), ErrorKind::Connect, "kind of {error:?}");
    ensure_eq!(error.sent(), Sent::Nothing, "what was sent, by {error:?}");
    ctx.closes_clients();
    Ok(())
}

async fn grants(ctx: Ctx, reply: &'static [u8]) -> Outcome {
    bytewise(ctx, ProxyPlan::socks5h().grants(reply)).await
}

async fn bytewise(ctx: Ctx, plan: ProxyPlan) -> Outcome {
    let (app, proxy) = (ctx.app(), ctx.proxy(plan.trickles()));
    let client = via(&ctx, proxy.setting())?;
    brings(&ctx, &client, app.url("/"), "hello").await?;
    brings(&ctx, &client, app.url("/"), "hello").await
}

async fn breaks(ctx: Ctx, script: Script) -> Outcome {
    let (app, proxy) = (ctx.app(), ctx.proxy(ProxyPlan::socks5h().first([script])));
    let client = via(&ctx, proxy.setting())?;
    let url = format!("http://origin.test:{}/", app.addr().port());
    ensure_proxy_error(&fails(&ctx, &client, &*url).await?)?;
    let ended = proxy.ledger().until(|counts| counts.open == 0);
    ctx.wait("the connection to the proxy is closed", ended).await;
    ensure_eq!(app.counts().accepted, 0, "connections to the origin");
    brings(&ctx, &client, url, "hello").await
}

async fn stalls(ctx: Ctx, script: Script) -> Outcome {
    let (app, proxy) = (ctx.app(), ctx.proxy(ProxyPlan::socks5h().first([script])));
    let setting = ProxySetting {
        credentials: Some((USER.into(), PASSWORD.into())),
        ..proxy.setting()
    };
    let client = via(&ctx, setting)?;
    times_out(&ctx, &client, format!("http://origin.test:{}/", app.addr().port()), Phase::Proxy).await?;
    ctx.wait("the engine closes the connection to the proxy", proxy.connection(0).closed_by_client())
        .await;
    brings(&ctx, &client, app.url("/"), "hello").await
}

async fn given_up(ctx: Ctx) -> Outcome {
    let (app, proxy) = (ctx.app(), ctx.proxy(ProxyPlan::socks5h().first([Script::new()])));
    let client = via(&ctx, proxy.setting())?;
    give_up(&ctx, &client, app.url("/"), &proxy.connection(0)).await?;
    brings(&ctx, &client, app.url("/"), "hello").await
}
