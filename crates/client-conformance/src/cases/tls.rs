//! Verification of servers, and identification of the client: whatever is wrong must fail, on every engine alike.

use std::sync::Arc;

use client_core::{ErrorKind, HttpClient, Phase, Sent, SpkiPin, TlsConfig, TlsVersion};
use futures_util::future::select;

use super::probe::OK;
use crate::case::{Outcome, Stop, ensure, ensure_eq};
use crate::ctx::{Ctx, Expect};
use crate::servers::{App, Authority, Certificate, Gate, Script, Tls, pattern};
use crate::subject::Settings;

cases! {
    tls(ctx): "Verification of servers, and identification of the client";

    good [Tls, CustomRoots] "RFC 9110 §4.3.4", "A good certificate of a trusted authority is accepted" =>
        accepted(ctx, Tls::new(Certificate::Good));
    ip_address [Tls, CustomRoots] "RFC 9110 §4.3.5", "A certificate for an IP address is accepted at that address" =>
        accepted(ctx, Tls::new(Certificate::IpAddress));
    only_tls12 [Tls, CustomRoots] "RFC 5246", "A server that speaks TLS 1.2 only is accepted" =>
        accepted(ctx, Tls::new(Certificate::Good).only_tls12());
    only_tls13 [Tls, CustomRoots] "RFC 8446", "A server that speaks TLS 1.3 only is accepted" =>
        accepted(ctx, Tls::new(Certificate::Good).only_tls13());
    wildcard [Tls, CustomRoots] "RFC 6125 §6.4.3", "A wildcard stands for one label" =>
        named(ctx, Certificate::Wildcard, "a.suite.test", true);
    wildcard_two_labels [Tls, CustomRoots] "RFC 6125 §6.4.3", "A wildcard does not stand for two labels" =>
        named(ctx, Certificate::Wildcard, "a.b.suite.test", false);
    wildcard_no_label [Tls, CustomRoots] "RFC 6125 §6.4.3", "A wildcard does not stand for none" =>
        named(ctx, Certificate::Wildcard, "suite.test", false);
    name_any_case [Tls, CustomRoots] "RFC 4343", "Host names are case-insensitive" =>
        named(ctx, Certificate::WrongHost, "OTHER.test", true);

    expired [Tls, CustomRoots] "RFC 5280 §6.1.3", "An expired certificate is refused" =>
        refused(ctx, Tls::new(Certificate::Expired));
    not_yet_valid [Tls, CustomRoots] "RFC 5280 §6.1.3", "A certificate that is not valid yet is refused" =>
        refused(ctx, Tls::new(Certificate::NotYetValid));
    wrong_host [Tls, CustomRoots] "RFC 9110 §4.3.4; RUSTSEC-2016-0002", "A certificate for another host is refused" =>
        refused(ctx, Tls::new(Certificate::WrongHost));
    wrong_host_tls12 [Tls, CustomRoots] "CVE-2025-4947: one protocol forgot", "The same over TLS 1.2" =>
        refused(ctx, Tls::new(Certificate::WrongHost).only_tls12());
    name_at_address [Tls, CustomRoots] "CVE-2024-2466: the check was skipped for addresses",
        "A certificate for a name is refused at an address" => refused(ctx, Tls::new(Certificate::Good).as_host("127.0.0.1"));
    address_at_name [Tls, CustomRoots] "RFC 9110 §4.3.5", "A certificate for an address is refused at a name" =>
        refused(ctx, Tls::new(Certificate::IpAddress).as_host("localhost"));
    common_name_only [Tls, CustomRoots] "RFC 9110 §4.3.4: CN-ID is not used", "A common name alone is no name" =>
        refused(ctx, Tls::new(Certificate::CommonNameOnly));
    unknown_authority [Tls, CustomRoots] "RFC 5280 §6.1", "An authority of the same name with another key is refused" =>
        refused(ctx, Tls::new(Certificate::UnknownAuthority));
    self_signed [Tls, CustomRoots] "RFC 5280 §6.1", "A certificate that signs itself is refused" =>
        refused(ctx, Tls::new(Certificate::SelfSigned));
    issued_by_leaf [Tls, CustomRoots] "RFC 5280 §4.2.1.9; CVE-2002-0862",
        "A certificate by one that is no authority is refused" => refused(ctx, Tls::new(Certificate::IssuedByLeaf));
    wrong_purpose [Tls, CustomRoots] "RFC 5280 §4.2.1.12", "A certificate for clients is refused of a server" =>
        refused(ctx, Tls::new(Certificate::WrongPurpose));
    not_of_platform [Tls] "TlsConfig: the platform's roots", "Without roots of its own, the client does not trust the suite" =>
        platform(ctx);
    own_roots_only [Tls, CustomRoots] "RootCerts::OnlyPem", "With other roots of its own, the client does not trust the suite" =>
        other_roots(ctx);
    roots_without_certificate [Tls, CustomRoots] "RootCerts::only_pem",
        "Roots without any certificate are refused when the client is built" => no_roots(ctx);

    min_version [Tls, CustomRoots] "TlsConfig::min_version", "With TLS 1.3 demanded, a server of TLS 1.2 is refused" =>
        min_version(ctx, Tls::new(Certificate::Good).only_tls12(), false);
    min_version_met [Tls, CustomRoots] "TlsConfig::min_version", "With TLS 1.3 demanded, a server of TLS 1.3 is accepted" =>
        min_version(ctx, Tls::new(Certificate::Good), true);
    identity [Tls, CustomRoots, ClientIdentity] "RFC 8446 §4.4.2", "A client certificate is shown to a server that demands one" =>
        identity(ctx, Tls::new(Certificate::Good).wants_client());
    identity_tls12 [Tls, CustomRoots, ClientIdentity] "RFC 5246 §7.4.6", "The same over TLS 1.2" =>
        identity(ctx, Tls::new(Certificate::Good).wants_client().only_tls12());
    no_identity [Tls, CustomRoots] "RFC 5246 §7.4.6", "Without a client certificate, a server that demands one is an error" =>
        no_identity(ctx);
    pin [Tls, CustomRoots, SpkiPins] "RFC 7469 §2.6", "A pin that matches no key is refused" => pin(ctx);
    accept_invalid_certs [Tls, CustomRoots] "TlsConfig::danger_accept_invalid_certs",
        "An expired certificate can be accepted, if asked for by name" =>
            danger(ctx, Certificate::Expired, |tls| tls.danger_accept_invalid_certs(true));
    accept_invalid_hostnames [Tls, CustomRoots] "TlsConfig::danger_accept_invalid_hostnames",
        "A certificate of another host can be accepted, if asked for by name" =>
            danger(ctx, Certificate::WrongHost, |tls| tls.danger_accept_invalid_hostnames(true));
    hostnames_only [Tls, CustomRoots] "TlsConfig::danger_accept_invalid_hostnames",
        "Accepting any host is not accepting any certificate" => hostnames_only(ctx);

    truncated [Tls, CustomRoots, Http1] "RFC 8446 §6.1: truncation attack; RFC 9112 §9.8",
        "A body until close, without close_notify, is not taken for whole" => truncated(ctx);
    closed_properly [Tls, CustomRoots, Http1] "RFC 8446 §6.1", "A body until close, with close_notify, is whole" =>
        closed_properly(ctx);
    large_bodies [Tls, CustomRoots] "RFC 8446 §5.1: records of 16 KiB", "Bodies larger than a record arrive both ways" =>
        large(ctx);
    reuse [Tls, CustomRoots, ConnectionReuse] "RFC 9112 §9.3", "TLS connections are used again" => reuse(ctx);
    beside_late_answer [Http1, Tls, CustomRoots] "RFC 9112 §9.4",
        "Of two calls that begin together, one is answered while the other waits" => beside_late(ctx);
    no_common_version [Tls] "RFC 8446 §6.2: protocol_version", "A server that knows no version of the client's is an error of TLS" =>
        answers_hello(ctx, b"\x15\x03\x01\x00\x02\x02\x46");
    no_common_cipher [Tls] "RFC 8446 §6.2: handshake_failure", "A server that knows no cipher of the client's is an error of TLS" =>
        answers_hello(ctx, b"\x15\x03\x03\x00\x02\x02\x28");
    old_version_chosen [Tls] "RFC 8996: MUST NOT negotiate TLS 1.1", "A server that chooses TLS 1.1 is refused" =>
        answers_hello(ctx, &server_hello([3, 2], [0x00, 0x2f]));
    weak_cipher_chosen [Tls] "RFC 7465: RC4 MUST NOT be used", "A server that chooses a cipher that was not offered is refused" =>
        answers_hello(ctx, &server_hello([3, 3], [0x00, 0x05]));
    no_common_alpn [Tls, CustomRoots] "RFC 7301 §3.2: no_application_protocol",
        "A server that knows none of the client's protocols is an error before anything is sent" => no_common_alpn(ctx);
    no_fallback [Tls, CustomRoots] "RFC 9110 §4.2.2", "A failed verification is not tried again without TLS" => no_fallback(ctx);
}

/// A client that trusts the suite, and finds the server's host on this machine.
fn client(ctx: &Ctx, tls: &Tls, settings: TlsConfig) -> Result<HttpClient, Stop> {
    let mut all = Settings {
        tls: settings,
        ..Settings::default()
    };
    if !matches!(tls.host(), "localhost" | "127.0.0.1") {
        all.hosts.push((tls.host().to_ascii_lowercase(), std::net::Ipv4Addr::LOCALHOST.into()));
    }
    ctx.client_with(&all)
}

fn trusted() -> TlsConfig {
    Authority::get().trusted()
}

async fn accepted(ctx: Ctx, tls: Tls) -> Outcome {
    accepted_by(&ctx, &client(&ctx, &tls, trusted())?, &tls).await
}

/// A server that speaks whatever its client does.
fn app(ctx: &Ctx, tls: &Tls) -> Arc<App> {
    ctx.app_tls(&tls.clone().alpn(&["h2", "http/1.1"]))
}

async fn accepted_by(ctx: &Ctx, client: &HttpClient, tls: &Tls) -> Outcome {
    let server = app(ctx, tls);
    ctx.wait("the answer has arrived", client.get(server.url("/bytes/1000")).send())
        .await
        .expect_body(pattern(1000))
        .await
}

async fn refused(ctx: Ctx, tls: Tls) -> Outcome {
    refused_by(&ctx, &client(&ctx, &tls, trusted())?, &tls).await
}

/// It fails as TLS, and the server has not seen a request.
async fn refused_by(ctx: &Ctx, client: &HttpClient, tls: &Tls) -> Outcome {
    let server = app(ctx, tls);
    let request = client.get(server.url("/secret")).bearer_auth("secret");
    let Err(error) = ctx.wait("the handshake fails", request.send()).await else {
        return Err(Stop::failed("the server is accepted"));
    };
    ensure_eq!(error.kind(), ErrorKind::Tls, "kind of {error:?}");
    ensure_eq!(error.phase(), Some(Phase::Tls), "phase of {error:?}");
    ensure_eq!(error.sent(), Sent::Nothing, "what was sent");
    ensure!(server.connection(0).received().is_empty(), "something was sent nevertheless");
    Ok(())
}

async fn named(ctx: Ctx, certificate: Certificate, host: &'static str, is_good: bool) -> Outcome {
    let tls = Tls::new(certificate).as_host(host);
    if is_good { accepted(ctx, tls).await } else { refused(ctx, tls).await }
}

async fn platform(ctx: Ctx) -> Outcome {
    refused_by(&ctx, &ctx.client()?, &Tls::new(Certificate::Good)).await
}

async fn other_roots(ctx: Ctx) -> Outcome {
    let tls = Tls::new(Certificate::Good);
    // A root that is well-formed, and has signed nothing here.
    let other = TlsConfig::new().roots(client_core::RootCerts::only_pem(Authority::unrelated_pem()));
    refused_by(&ctx, &client(&ctx, &tls, other)?, &tls).await
}

async fn no_roots(ctx: Ctx) -> Outcome {
    let settings = Settings {
        tls: TlsConfig::new().roots(client_core::RootCerts::only_pem("no certificate at all")),
        ..Settings::default()
    };
    let engine = ctx
        .subject()
        .engine(&settings)
        .ok_or_else(|| Stop::skipped("the engine cannot be made with such roots"))?;
    let outcome = HttpClient::builder(engine).build().map(drop).map_err(|error| error.kind());
    ensure_eq!(outcome, Err(ErrorKind::InvalidRequest), "outcome");
    Ok(())
}

async fn min_version(ctx: Ctx, tls: Tls, is_good: bool) -> Outcome {
    let client = client(&ctx, &tls, trusted().min_version(TlsVersion::Tls13))?;
    if is_good {
        accepted_by(&ctx, &client, &tls).await
    } else {
        refused_by(&ctx, &client, &tls).await
    }
}

async fn identity(ctx: Ctx, tls: Tls) -> Outcome {
    let client = client(&ctx, &tls, trusted().identity(Authority::get().identity()))?;
    accepted_by(&ctx, &client, &tls).await
}

/// With TLS 1.3 the client learns of it only after its own part is done: it may be a failed handshake or a closed connection.
async fn no_identity(ctx: Ctx) -> Outcome {
    for tls in [
        Tls::new(Certificate::Good).wants_client(),
        Tls::new(Certificate::Good).wants_client().only_tls12(),
    ] {
        let server = app(&ctx, &tls);
        let client = client(&ctx, &tls, trusted())?;
        let Err(error) = ctx.wait("the call fails", client.get(server.url("/")).send()).await else {
            return Err(Stop::failed("the server answers"));
        };
        ensure!(matches!(error.kind(), ErrorKind::Tls | ErrorKind::Closed), "kind of {error:?}");
    }
    Ok(())
}

async fn pin(ctx: Ctx) -> Outcome {
    let tls = Tls::new(Certificate::Good);
    refused_by(&ctx, &client(&ctx, &tls, trusted().pin(SpkiPin::sha256([7; 32])))?, &tls).await
}

/// Accepted, or refused when the client is built; never silently ignored.
async fn danger(ctx: Ctx, certificate: Certificate, change: fn(TlsConfig) -> TlsConfig) -> Outcome {
    let tls = Tls::new(certificate);
    let settings = Settings {
        tls: change(trusted()),
        ..Settings::default()
    };
    let engine = ctx
        .subject()
        .engine(&settings)
        .ok_or_else(|| Stop::skipped("the engine has no such setting: tls.danger"))?;
    if let Err(error) = HttpClient::builder(engine).build() {
        ensure_eq!(error.kind(), ErrorKind::Unsupported, "kind of {error:?}");
        return Ok(());
    }
    accepted_by(&ctx, &client(&ctx, &tls, change(trusted()))?, &tls).await
}

async fn hostnames_only(ctx: Ctx) -> Outcome {
    let settings = Settings {
        tls: trusted().danger_accept_invalid_hostnames(true),
        ..Settings::default()
    };
    let engine = ctx
        .subject()
        .engine(&settings)
        .ok_or_else(|| Stop::skipped("the engine has no such setting: tls.danger"))?;
    if let Err(error) = HttpClient::builder(engine).build() {
        ensure_eq!(error.kind(), ErrorKind::Unsupported, "kind of {error:?}");
        return Ok(());
    }
    for certificate in [Certificate::Expired, Certificate::SelfSigned, Certificate::UnknownAuthority] {
        let tls = Tls::new(certificate);
        refused_by(&ctx, &client(&ctx, &tls, settings.tls.clone())?, &tls).await?;
    }
    Ok(())
}

async fn truncated(ctx: Ctx) -> Outcome {
    let tls = Tls::new(Certificate::Good);
    let server = ctx.raw_tls(&tls, Script::reply("HTTP/1.1 200 OK\r\n\r\nall that the attac").close());
    let client = client(&ctx, &tls, trusted())?;
    let outcome = ctx
        .wait("the call is over", async { client.get(server.url("/")).send().await?.bytes().await })
        .await;
    ensure_eq!(outcome.map_err(|error| error.kind()), Err(ErrorKind::Closed), "outcome");
    Ok(())
}

async fn closed_properly(ctx: Ctx) -> Outcome {
    let tls = Tls::new(Certificate::Good);
    let server = ctx.raw_tls(&tls, Script::reply("HTTP/1.1 200 OK\r\n\r\nall of it").half_close());
    let client = client(&ctx, &tls, trusted())?;
    ctx.wait("the answer has arrived", client.get(server.url("/")).send())
        .await
        .expect_body("all of it")
        .await
}

async fn large(ctx: Ctx) -> Outcome {
    let (server, client) = ctx.good_tls()?;
    let sent = client.post(server.url("/echo")).body(pattern(200_001)).send();
    ctx.wait("the answer has arrived", sent).await.expect_body(pattern(200_001)).await
}

async fn reuse(ctx: Ctx) -> Outcome {
    let (server, client) = ctx.good_tls()?;
    for _ in 0..5 {
        ctx.wait("the answer has arrived", client.get(server.url("/")).send())
            .await
            .expect_body("hello")
            .await?;
    }
    ensure_eq!(server.counts().accepted, 1, "connections");
    Ok(())
}

/// Whether a server speaks HTTP/2 is known after the handshake: nobody has to wait for an answer to find out.
async fn beside_late(ctx: Ctx) -> Outcome {
    let gate = Gate::new();
    let scripts = [Script::new().request().wait(&gate).send(OK), Script::reply(OK)];
    let server = ctx.raws_tls(&Tls::new(Certificate::Good).alpn(&["http/1.1"]), scripts);
    let client = ctx.client_with(&ctx.trusting())?;
    let call = || Box::pin(client.get(server.url("/")).send());
    let first = ctx.wait("one call has its answer", select(call(), call())).await;
    gate.open();
    let (soon, late) = first.factor_first();
    soon.expect_body("ok").await?;
    ctx.wait("the other has its own", late).await.expect_body("ok").await
}

/// What a server says to the client's first words is not acceptable, whatever it trusts.
async fn answers_hello(ctx: Ctx, answer: &[u8]) -> Outcome {
    let server = ctx.raw(Script::new().received(&b"\x16\x03"[..]).send(answer.to_vec()));
    let url = format!("https://127.0.0.1:{}/secret", server.addr().port());
    let Err(error) = ctx.wait("the handshake fails", ctx.client()?.get(url).send()).await else {
        return Err(Stop::failed("the server is accepted"));
    };
    ensure_eq!(error.kind(), ErrorKind::Tls, "kind of {error:?}");
    ensure_eq!(error.sent(), Sent::Nothing, "what was sent");
    ctx.wait("the engine closes the connection", server.connection(0).closed_by_client()).await;
    Ok(())
}

/// A server's answer to the client's first words (RFC 5246 §7.4.1.3), of this version and with this cipher.
const fn server_hello(version: [u8; 2], cipher: [u8; 2]) -> [u8; 47] {
    let mut hello = [0x77; 47];
    let head = [0x16, version[0], version[1], 0, 42, 2, 0, 0, 38, version[0], version[1]];
    let mut at = 0;
    while at < head.len() {
        hello[at] = head[at];
        at += 1;
    }
    // After the random: no session, the cipher, no compression.
    [hello[43], hello[44], hello[45], hello[46]] = [0, cipher[0], cipher[1], 0];
    hello
}

/// Only a client that asks for a protocol can be told that there is none.
async fn no_common_alpn(ctx: Ctx) -> Outcome {
    let tls = Tls::new(Certificate::Good).alpn(&["spdy/1"]);
    let (server, client) = (ctx.app_tls(&tls), client(&ctx, &tls, trusted())?);
    match ctx.wait("the handshake is over", client.get(server.url("/")).send()).await {
        Err(error) => {
            let kinds = [ErrorKind::Tls, ErrorKind::Protocol];
            ensure!(kinds.contains(&error.kind()) && error.sent() == Sent::Nothing, "{error:?}");
        }
        // It asked for none: HTTP/1.1 is what remains.
        Ok(response) => ensure_eq!(response.version(), client_core::Version::HTTP_11, "version without any agreement"),
    }
    Ok(())
}

async fn no_fallback(ctx: Ctx) -> Outcome {
    let tls = Tls::new(Certificate::SelfSigned);
    let server = ctx.app_tls(&tls);
    let client = client(&ctx, &tls, trusted())?;
    let outcome = ctx.wait("the handshake fails", client.get(server.url("/")).send()).await;
    ensure_eq!(outcome.map(drop).map_err(|error| error.kind()), Err(ErrorKind::Tls), "outcome");
    ensure_eq!(server.counts().accepted, 1, "connections");
    Ok(())
}
