//! What the user sets, with the words and defaults of Ktor's Apache engine, and what is wrong with it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use client_core::{Exchange, Redirect};
use client_h2::multiplexed::Manner;
use client_transport::builder_settings;
use client_transport::route::Versions;
use client_transport::settings::Settings;
use client_transport::transport::Transport;
use http::header::UPGRADE;
use http::{Request, Version};
use hyper::client::conn::http1;

use crate::Hyper;
use crate::connection::Negotiated;

/// Configures a [`Hyper`]. Mistakes are told when a client is built.
#[must_use]
pub struct HyperBuilder {
    version: VersionPolicy,
    follow_redirects: bool,
    transport: Settings,
    manner: Manner,
    customize_client: Option<Arc<CustomizeClient>>,
}

/// A change to hyper's and h2's settings of a connection.
pub(crate) type CustomizeClient = dyn Fn(&mut Connections) + Send + Sync;

/// The builders of a connection, with our settings already in them. ALPN decides which one is used.
#[derive(Debug)]
#[non_exhaustive]
pub struct Connections {
    /// hyper's, for HTTP/1.1.
    pub http1: http1::Builder,
    /// h2's, for HTTP/2. Server push stays off.
    pub http2: h2::client::Builder,
}

/// Which versions of HTTP are spoken where a request does not [say](client_core::RequestBuilder::version).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum VersionPolicy {
    /// For `https`, whichever the server chooses by ALPN, HTTP/2 being preferred; for `http`, HTTP/1.1.
    #[default]
    Automatic,
    /// HTTP/1.1.
    Http1,
    /// HTTP/2: for `https` agreed upon by ALPN, for `http` by prior knowledge (RFC 9113 §3.3). A server that speaks something else is an error
    /// of kind [`ErrorKind::Protocol`](client_core::ErrorKind::Protocol).
    Http2,
    /// As [`Automatic`](Self::Automatic) for `https`; HTTP/2 by prior knowledge for `http`.
    PriorKnowledge,
}

impl VersionPolicy {
    /// What the connection of an exchange may speak.
    pub(crate) fn of(self, exchange: &Exchange) -> Versions {
        let request = &exchange.request;
        match (exchange.version, self) {
            (Some(Version::HTTP_2), _) => Versions::Http2,
            (Some(_), _) | (None, Self::Http1) => Versions::Http1,
            (None, Self::Http2) => Versions::Http2,
            // HTTP/2 has no Upgrade (RFC 9113 §8.6).
            (None, _) if request.headers().contains_key(UPGRADE) => Versions::Http1,
            (None, Self::PriorKnowledge) if request.uri().scheme_str() == Some("http") => Versions::Http2,
            (None, Self::Automatic | Self::PriorKnowledge) => Versions::Any,
        }
    }
}

impl Default for HyperBuilder {
    fn default() -> Self {
        let mut transport = Settings::default();
        transport.max_connections_per_route = 1000;
        transport.connection_request_timeout = Some(Duration::from_secs(20));
        Self {
            version: VersionPolicy::default(),
            follow_redirects: false,
            transport,
            manner: Manner {
                socket_timeout: Some(Duration::from_secs(10)),
                ..Manner::default()
            },
            customize_client: None,
        }
    }
}

impl HyperBuilder {
    /// Which versions of HTTP are spoken. Default: [`VersionPolicy::Automatic`].
    pub fn version(mut self, policy: VersionPolicy) -> Self {
        self.version = policy;
        self
    }

    /// Whether the engine itself follows redirects, by the rules and the limit of [`Redirect`](client_core::Redirect); one among a request's
    /// extensions goes before them. Default: off, as an [`HttpClient`](client_core::HttpClient) follows them around the engine, where other plugins
    /// see every exchange. With this on, these see only the last one.
    pub fn follow_redirects(mut self, on: bool) -> Self {
        self.follow_redirects = on;
        self
    }

    /// After how much silence on an HTTP/2 connection, while calls wait on it, the server is asked whether it still lives (PING, RFC 9113 §6.7).
    /// A server that does not answer within [`ping_timeout`](Self::ping_timeout) has lost its connection, and the calls fail. `None`: never. Default: 30 s.
    pub fn ping_interval(mut self, silence: impl Into<Option<Duration>>) -> Self {
        self.manner.ping_interval = silence.into();
        self
    }

    /// How long the answer to a PING may take. Default: 20 s.
    pub fn ping_timeout(mut self, limit: Duration) -> Self {
        self.manner.ping_timeout = limit;
        self
    }

    /// The limit for silence on the socket, or on the stream of HTTP/2, where neither the call nor the client sets one. `None`: no limit.
    /// Default: 10 s.
    pub fn socket_timeout(mut self, limit: impl Into<Option<Duration>>) -> Self {
        self.manner.socket_timeout = limit.into();
        self
    }

    /// Changes hyper's (HTTP/1.1) and h2's (HTTP/2) own settings of every new connection.
    pub fn customize_client(mut self, change: impl Fn(&mut Connections) + Send + Sync + 'static) -> Self {
        self.customize_client = Some(Arc::new(change));
        self
    }

    /// Changes the head of every request just before it is written: its target is in the form of its protocol then, its header fields are
    /// complete. What frames the body (`Content-Length`, `Transfer-Encoding`) and the version cannot be changed.
    pub fn customize_request(mut self, change: impl Fn(&mut Request<()>) + Send + Sync + 'static) -> Self {
        self.manner.customize_request = Some(Arc::new(change));
        self
    }

    /// The engine.
    pub fn build(self) -> Hyper {
        let Self {
            version,
            follow_redirects,
            transport,
            manner,
            customize_client,
        } = self;
        let mistake = manner.mistake();
        let protocol = Negotiated {
            manner,
            customize_client,
        };
        Hyper {
            transport: Transport::new(protocol, transport, mistake),
            versions: version,
            redirects: follow_redirects.then(Redirect::default),
        }
    }
}

builder_settings!(
    HyperBuilder.transport,
    max_connections_per_route: "1000. HTTP/2 opens a second one when the server allows no more streams on the first.",
    keep_alive: "90 s. A server's `Keep-Alive: timeout` can shorten it.",
    connect_timeout: "10 s.",
    connection_request_timeout: "20 s.",
);

impl fmt::Debug for HyperBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HyperBuilder").field("version", &self.version).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use client_core::Body;

    use super::*;

    #[test]
    fn who_decides_on_the_version() {
        use VersionPolicy::{Automatic, Http1, Http2, PriorKnowledge};
        for (policy, uri, asked, upgrade, expected) in [
            (Automatic, "https://h/", None, false, Versions::Any),
            (Automatic, "http://h/", None, false, Versions::Any),
            (Automatic, "https://h/", None, true, Versions::Http1),
            (Automatic, "http://h/", Some(Version::HTTP_2), false, Versions::Http2),
            (Automatic, "https://h/", Some(Version::HTTP_11), false, Versions::Http1),
            (Http1, "https://h/", None, false, Versions::Http1),
            (Http1, "https://h/", Some(Version::HTTP_2), false, Versions::Http2),
            (Http2, "https://h/", None, false, Versions::Http2),
            (Http2, "http://h/", Some(Version::HTTP_10), false, Versions::Http1),
            (PriorKnowledge, "http://h/", None, false, Versions::Http2),
            (PriorKnowledge, "http://h/", None, true, Versions::Http1),
            (PriorKnowledge, "https://h/", None, false, Versions::Any),
        ] {
            let mut request = Request::builder().uri(uri);
            if upgrade {
                request = request.header(UPGRADE, "websocket");
            }
            let mut exchange = Exchange::new(request.body(Body::empty()).unwrap());
            exchange.version = asked;
            assert_eq!(policy.of(&exchange), expected, "{policy:?} {uri} {asked:?} {upgrade}");
        }
    }

    #[test]
    fn mistakes_are_named() {
        for (builder, expected) in [
            (Hyper::builder().max_connections(0), "max_connections"),
            (Hyper::builder().connect_timeout(Duration::ZERO), "connect_timeout"),
            (Hyper::builder().ping_interval(Duration::ZERO), "ping_interval"),
        ] {
            let error = client_core::Engine::check(&builder.build()).unwrap_err();
            assert!(error.to_string().contains(expected), "{error}");
        }
    }
}
