//! One HTTP client API, many interchangeable engines.
//!
//! Write against [`HttpClient`]; which engine performs the requests is a line in `Cargo.toml`.
//!
//! ```no_run
//! # async fn run() -> client::Result<()> {
//! let http = client::new();
//! let text = http.get("https://example.org/").send().await?.text().await?;
//! # Ok(()) }
//! ```
//!
//! # Which engine
//!
//! Each engine is a crate and a feature of this one. [`new`] uses the default engine, the first of them that is enabled in the order of
//! [`default_engine()`]; enabling another never changes what others get. A chosen engine has a configuration of its own:
//!
//! ```no_run
//! # #[cfg(feature = "cio")]
//! # fn run() -> client::Result<()> {
//! use client::HttpClient;
//! use client::cio::Cio;
//!
//! let http = HttpClient::builder(Cio::builder().max_connections(16).build()).build()?;
//! # Ok(()) }
//! ```
//!
//! Without any engine's feature [`HttpClient`] and the contract are still there, and [`new`], [`builder`] and [`get`] are not: add the
//! feature of an engine, `client = { version = "0.1", features = ["cio"] }`, or give [`HttpClient::new`] an engine of your own.
//!
//! Libraries take an [`HttpClient`] and depend on `client-core` alone: their users choose the engine, their tests use `client-mock`.

#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(any(
    feature = "hyper",
    feature = "cio",
    feature = "h2",
    feature = "reqwest",
    feature = "curl",
    feature = "ureq"
))]
mod default_engine;

pub use client_core::*;

#[cfg(any(
    feature = "hyper",
    feature = "cio",
    feature = "h2",
    feature = "reqwest",
    feature = "curl",
    feature = "ureq"
))]
pub use self::default_engine::{builder, default_engine, get, new};

/// HTTP/1.1 and HTTP/2, by hyper: `client-hyper`. The default.
#[cfg(feature = "hyper")]
#[cfg_attr(docsrs, doc(cfg(feature = "hyper")))]
pub use client_hyper as hyper;

/// HTTP/2 only: `client-h2`.
#[cfg(feature = "h2")]
#[cfg_attr(docsrs, doc(cfg(feature = "h2")))]
pub use client_h2 as h2;

/// reqwest behind the contract: `client-reqwest`.
#[cfg(feature = "reqwest")]
#[cfg_attr(docsrs, doc(cfg(feature = "reqwest")))]
pub use client_reqwest as reqwest;

/// libcurl behind the contract, any runtime or none: `client-curl`.
#[cfg(feature = "curl")]
#[cfg_attr(docsrs, doc(cfg(feature = "curl")))]
pub use client_curl as curl;

/// A blocking client on a thread pool, without any runtime: `client-ureq`.
#[cfg(feature = "ureq")]
#[cfg_attr(docsrs, doc(cfg(feature = "ureq")))]
pub use client_ureq as ureq;

/// Our own HTTP/1.1 engine: `client-cio`.
#[cfg(feature = "cio")]
#[cfg_attr(docsrs, doc(cfg(feature = "cio")))]
pub use client_cio as cio;

/// The program of the README, compiled.
#[cfg(all(doctest, feature = "json"))]
#[doc = include_str!("../../../README.md")]
mod readme {}
