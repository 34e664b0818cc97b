//! The other side of a capability: what an engine does not promise, it refuses before any byte leaves; where a caller cannot ask, it
//! is not there, and everything else is.

use std::net::TcpStream;
use std::time::Duration;

use client_core::http::header::{EXPECT, UPGRADE};
use client_core::{
    Body, BoxFuture, Capabilities, Capability, ErrorKind, Exchange, HeaderMap, HttpClient, Identity, Method, Next, Plugin,
    RequestBuilder, RequestTarget, Response, SpkiPin, Stage, TlsConfig, Version, http,
};
use futures_util::stream;

use crate::case::{Outcome, Stop, ensure, ensure_eq};
use crate::cases::{OK, answers_are_few, are_unwatched, is_lenient, status_is_untold};
use crate::ctx::{Ctx, Expect};
use crate::servers::{Authority, Certificate, ProxyPlan, Script, Tls};
use crate::subject::Settings;

/// Whether a caller can ask for a capability; others are noticed only when they are there.
pub(crate) fn can_be_asked(capability: Capability) -> bool {
    !matches!(
        capability,
        Capability::Informational
            | Capability::Duplex
            | Capability::ResponseTrailers
            | Capability::RemoteAddr
            | Capability::ConnectionReuse
            | Capability::PoolStats
            | Capability::ExactHeaders
            | Capability::StrictHttp2
            | Capability::ProxyStatus
            | Capability::ProxyAnswers
            | Capability::HeadProgress
    )
}

/// Asks for it, and ensures that it is refused by name, before a connection is made.
pub(crate) async fn is_refused(ctx: &Ctx, capability: Capability) -> Outcome {
    let server = ctx.raw(Script::new());
    let client = ctx.client()?;
    let refused = match setting(capability) {
        Some(settings) => match ctx.subject().engine(&settings) {
            // There is no way even to say it.
            None => return Ok(()),
            Some(engine) => HttpClient::builder(engine).build().err(),
        },
        None => {
            let request = ask(&client, capability, &server.url("/"))?;
            match capability {
                Capability::WarmUp => ctx.wait("what is not promised is refused", request.warm_up()).await.err(),
                _ => ctx.wait("what is not promised is refused", request.send()).await.err(),
            }
        }
    };
    let Some(error) = refused else {
        return Err(Stop::failed(format!("asking for {capability:?}, which is not declared, is not refused")));
    };
    ensure_eq!(error.kind(), ErrorKind::Unsupported, "kind of {error:?}");
    ensure_eq!(error.capability(), Some(capability), "what {error:?} names");
    // Connections are accepted in the order in which they were made: ours comes first only if there was no other.
    let _ours = TcpStream::connect(server.addr())?;
    ctx.wait("our own connection is accepted", server.connection(0).accepted()).await;
    let ours_is_first = server.counts().accepted == 1;
    ensure!(ours_is_first, "it was refused, but a connection had been made before");
    Ok(())
}

/// What cannot be asked for is not there: what is declared is what is measured. The rest of the exchange is as it should be.
pub(crate) async fn is_left_out(ctx: &Ctx, capability: Capability) -> Outcome {
    let (client, app) = (ctx.client()?, ctx.app());
    let has = |capability| ctx.has(capability);
    let tunnels = || Ok::<_, Stop>(has(Capability::HttpProxy)? && has(Capability::Tls)? && has(Capability::CustomRoots)?);
    match capability {
        Capability::ConnectionReuse => {
            for _ in 0..2 {
                ctx.wait("the answer has arrived", client.get(app.url("/")).send())
                    .await
                    .expect_body("hello")
                    .await?;
            }
            ensure_eq!(app.counts().accepted, 2, "connections of two calls, where none is kept");
        }
        Capability::RemoteAddr => {
            let response = ctx.wait("the answer has arrived", client.get(app.url("/")).send()).await;
            let address = response.as_ref().ok().and_then(Response::remote_addr);
            ensure_eq!(address, None, "an address that is not promised");
            response.expect_body("hello").await?;
        }
        Capability::ExactHeaders => {
            let additions = ctx.subject().additions();
            ensure!(!additions.is_empty(), "it is not promised, and Subject::additions does not say what is added");
            ctx.wait("the answer has arrived", client.get(app.url("/")).send())
                .await
                .expect_body("hello")
                .await?;
            let server = ctx.raw(Script::reply(OK));
            ctx.wait("the answer has arrived", client.get(server.url("/")).send())
                .await
                .expect_body("ok")
                .await?;
            let request = &server.requests()[0];
            ensure_eq!(ctx.names(&request.fields), ["host"], "fields that are neither asked for nor declared as additions");
            ensure_eq!(request.names().len(), 1 + additions.len(), "fields of which each is an addition: {additions:?}");
            let engine = ctx.subject().engine(&Settings::default());
            let built = engine.map(|engine| HttpClient::builder(engine).install(Signing).build());
            let refused = built.and_then(Result::err).and_then(|error| error.capability());
            ensure_eq!(refused, Some(Capability::ExactHeaders), "what a plugin is refused that requires it");
        }
        Capability::PoolStats => {
            ensure_eq!(client.pool(), None, "statistics that are not promised");
            ctx.wait("the answer has arrived", client.get(app.url("/")).send())
                .await
                .expect_body("hello")
                .await?;
        }
        // Without HTTP/2, without such proxies, there is nothing that could be done instead.
        Capability::StrictHttp2 if has(Capability::Http2)? || has(Capability::Http2PriorKnowledge)? => is_lenient(ctx).await?,
        Capability::ProxyStatus if tunnels()? => status_is_untold(ctx).await?,
        Capability::ProxyAnswers if tunnels()? => answers_are_few(ctx).await?,
        Capability::HeadProgress if has(Capability::Http1)? => are_unwatched(ctx).await?,
        Capability::ResponseTrailers => {
            let request = client.get(app.url("/trailers")).header("te", "trailers").header("connection", "te");
            let mut response = ctx.wait("the head has arrived", request.send()).await?;
            let mut body = Vec::new();
            while let Some(chunk) = ctx.wait("the body has arrived", response.chunk()).await? {
                body.extend_from_slice(&chunk);
            }
            ensure_eq!(body, b"hello", "body");
            ensure_eq!(response.trailers(), None, "trailers that are not promised");
        }
        // An answer that is skipped, or that waits for the end of the upload: the call is as ever.
        _ => {
            let sent = client.post(app.url("/echo")).body("hello").send();
            ctx.wait("the answer has arrived", sent).await.expect_body("hello").await?;
        }
    }
    Ok(())
}

/// A plugin that signs all fields of a request has to know all of them.
struct Signing;

impl Plugin for Signing {
    fn stage(&self) -> Stage {
        Stage::Exchange
    }

    fn requires(&self) -> Capabilities {
        Capability::ExactHeaders.into()
    }

    fn handle<'a>(&'a self, exchange: &'a mut Exchange, next: Next) -> BoxFuture<'a, client_core::Result<http::Response<Body>>> {
        Box::pin(async move { next.run(exchange).await })
    }
}

/// What an engine is configured with.
pub(crate) fn setting(capability: Capability) -> Option<Settings> {
    let with_tls = |tls| Settings {
        tls,
        ..Settings::default()
    };
    let with_proxy = |plan: ProxyPlan| Settings {
        proxy: Some(plan.start().setting()),
        ..Settings::default()
    };
    Some(match capability {
        Capability::CustomRoots => with_tls(Authority::get().trusted()),
        Capability::ClientIdentity => with_tls(TlsConfig::new().identity(identity())),
        Capability::SpkiPins => with_tls(TlsConfig::new().pin(SpkiPin::sha256([7; 32]))),
        Capability::HttpProxy => with_proxy(ProxyPlan::http()),
        Capability::HttpsProxy => with_proxy(ProxyPlan::https(&Tls::new(Certificate::Good))),
        Capability::SocksProxy => with_proxy(ProxyPlan::socks5h()),
        _ => return None,
    })
}

fn identity() -> Identity {
    Authority::get().identity()
}

/// What a request asks for.
pub(crate) fn ask(client: &HttpClient, capability: Capability, url: &str) -> Result<RequestBuilder, Stop> {
    let limit = Duration::from_secs(60);
    let chunks = || stream::iter([Ok::<_, std::io::Error>("a")]);
    Ok(match capability {
        Capability::Http1 => client.get(url).version(Version::HTTP_11),
        Capability::Http2 => client.get(url.replace("http:", "https:")).version(Version::HTTP_2),
        Capability::Http2PriorKnowledge => client.get(url).version(Version::HTTP_2),
        Capability::Http3 => client.get(url).version(Version::HTTP_3),
        Capability::Tls => client.get(url.replace("http:", "https:")),
        Capability::ConnectTimeout => client.get(url).timeout(|t| t.connect(limit)),
        Capability::SocketTimeout => client.get(url).timeout(|t| t.socket(limit)),
        Capability::ConnectionRequestTimeout => client.get(url).timeout(|t| t.connection_request(limit)),
        Capability::WarmUp => client.get(url),
        Capability::UnixSocket => client.get(url).unix_socket("/conformance/socket"),
        Capability::Upgrade => client.get(url).header(UPGRADE, "echo"),
        Capability::Tunnel => client.request(Method::CONNECT, url),
        Capability::AsteriskForm => client.options(url).target(RequestTarget::Asterisk),
        Capability::ExpectContinue => client.post(url).header(EXPECT, "100-continue").body("a"),
        Capability::StreamingUpload => client.post(url).body(Body::stream(chunks())),
        Capability::RequestTrailers => client.post(url).body(Body::from("a").with_trailers(HeaderMap::new())),
        Capability::Http2RequestTrailers => client
            .post(url.replace("http:", "https:"))
            .version(Version::HTTP_2)
            .body(Body::from("a").with_trailers(HeaderMap::new())),
        other => return Err(Stop::failed(format!("the suite does not know how to ask for {other:?}"))),
    })
}
