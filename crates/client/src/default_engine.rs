//! Which engine is the default: one visible cascade, by Cargo features.

use std::sync::OnceLock;

// The first that is enabled, in this order: hyper, cio, h2, reqwest, curl, ureq.
#[cfg(all(feature = "cio", not(feature = "hyper")))]
use client_cio::Cio as Chosen;
#[cfg(all(
    feature = "curl",
    not(any(feature = "hyper", feature = "cio", feature = "h2", feature = "reqwest"))
))]
use client_curl::Curl as Chosen;
#[cfg(all(feature = "h2", not(any(feature = "hyper", feature = "cio"))))]
use client_h2::H2 as Chosen;
#[cfg(feature = "hyper")]
use client_hyper::Hyper as Chosen;
#[cfg(all(feature = "reqwest", not(any(feature = "hyper", feature = "cio", feature = "h2"))))]
use client_reqwest::Reqwest as Chosen;
#[cfg(all(
    feature = "ureq",
    not(any(feature = "hyper", feature = "cio", feature = "h2", feature = "reqwest", feature = "curl"))
))]
use client_ureq::Ureq as Chosen;

use client_core::{AnyEngine, HttpClient, HttpClientBuilder, IntoUrl, RequestBuilder};

fn engine() -> AnyEngine {
    Chosen::new().into()
}

/// A client on the default engine, with default settings.
///
/// Make one and share it: clones share its connections.
pub fn new() -> HttpClient {
    HttpClient::new(engine())
}

/// A client on the default engine, to be configured.
///
/// ```
/// use std::time::Duration;
/// use client::HttpTimeout;
///
/// let http = client::builder().install(HttpTimeout::new().request(Duration::from_secs(30))).build()?;
/// # Ok::<(), client::Error>(())
/// ```
pub fn builder() -> HttpClientBuilder {
    HttpClient::builder(engine())
}

/// A GET request by a client that the whole process shares, for programs that need no settings.
///
/// ```no_run
/// # async fn run() -> client::Result<()> {
/// let text = client::get("https://example.org/").send().await?.text().await?;
/// # Ok(()) }
/// ```
pub fn get(url: impl IntoUrl) -> RequestBuilder {
    static SHARED: OnceLock<HttpClient> = OnceLock::new();
    SHARED.get_or_init(new).get(url)
}

/// The name of the default engine.
///
/// ```
/// println!("requests are performed by {}", client::default_engine());
/// ```
pub fn default_engine() -> &'static str {
    static NAME: OnceLock<&'static str> = OnceLock::new();
    NAME.get_or_init(|| engine().name())
}
