//! The contract of the client: what an engine is, what a plugin is, and the [`HttpClient`] that is written once against both.
//!
//! Application code and SDKs depend on this crate alone; which engine performs the requests is the application's choice. An
//! engine's author implements [`Engine`], a plugin's author [`Plugin`]; neither needs to know the other.
//!
//! The life of a call, and the files it passes through in this crate:
//!
//! 1. `request.rs`: a [`RequestBuilder`] collects what the user wants; mistakes surface at `send`, never by panic.
//! 2. `check.rs`: the one gate: the request is well-formed, and the engine can do everything that was asked.
//! 3. `plugin.rs`: [`Next::run`] passes the [`Exchange`] through the plugins in the order of [`Stage`].
//! 4. `engine.rs`: [`AnyEngine`] performs the exchange and returns at the response's headers.
//! 5. `response.rs`: a [`Response`], whose body is read, streamed or dropped; dropping cancels.
//!
//! What must never enter this crate: an async runtime, a socket, a TLS library, a spawned task, `cfg(target)`.

#![cfg_attr(docsrs, feature(doc_cfg))]

mod abort;
mod body;
mod call;
mod capability;
mod check;
mod client;
mod connection;
mod engine;
mod error;
mod exchange;
mod expectation;
mod headers;
mod http_timeout;
mod limits;
mod mistake;
mod observer;
mod plugin;
mod redirect;
mod request;
mod response;
mod timeouts;
mod timer;
mod tls;
#[cfg(feature = "tower")]
#[cfg_attr(docsrs, doc(cfg(feature = "tower")))]
pub mod tower;
mod trailers;
mod upgrade;
mod url;

pub use self::body::Body;
#[doc(hidden)]
pub use self::call::ANSWERED;
pub use self::call::Answer;
pub use self::capability::{Capabilities, Capability};
pub use self::client::{HttpClient, HttpClientBuilder};
pub use self::connection::{CloseReason, ConnectionInfo, PoolStats, RouteStats, TlsInfo};
pub use self::engine::{AnyEngine, BoxFuture, Engine};
pub use self::error::{BoxError, Elapsed, Error, ErrorKind, Result, Sent};
pub use self::exchange::{Exchange, RequestTarget, UnixSocket};
pub use self::http_timeout::HttpTimeout;
pub use self::limits::Limits;
pub use self::mistake::Mistake;
pub use self::observer::{Event, Observer, Phase, Trace};
pub use self::plugin::{FnPlugin, Next, Plugin, Stage, plugin_fn};
pub use self::redirect::{Following, Hop, Redirect, RedirectHistory};
pub use self::request::RequestBuilder;
pub use self::response::{BytesStream, Response};
pub use self::timeouts::{Timeout, TimeoutKind, Timeouts};
pub use self::timer::{Instant, Sleep, Timer};
pub use self::tls::{Identity, RootCerts, SpkiPin, TlsConfig, TlsVersion};
pub use self::trailers::is_forbidden_in_trailers;
pub use self::upgrade::{OnUpgrade, Upgraded};
pub use self::url::IntoUrl;

pub use bytes::Bytes;
pub use http::{self, HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, Version, header};

/// The programs of that page, compiled and run.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/timeouts.md")]
mod timeouts_page {}

/// The programs of that page, compiled and run.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/writing-a-plugin.md")]
mod writing_a_plugin {}
