//! `client-curl`: libcurl as an engine: one thread that drives all transfers, any async runtime or none.

mod builder;
mod call;
mod chunked;
mod download;
mod driver;
mod error;
mod exchange;
mod head;
#[cfg_attr(not(target_os = "linux"), path = "no_identity.rs")]
mod identity;
mod raw;
mod request;
mod response;
mod setup;
mod timer;
mod tls;
mod transfer;
mod upload;
mod worker;

use client_core::{Body, Capabilities, Capability, Engine, Exchange, Result, Timeouts, Timer};
use curl::Version;
use http::Response;

use builder::Mistake;
pub use builder::{CurlBuilder, CurlProxy};
use driver::Driver;
use timer::NoTimer;

/// The engine. See the [crate's documentation](crate).
///
/// Dropping it ends its thread once its transfers are over; a response's body can still be read.
pub struct Curl {
    /// Or what is wrong with the configuration: told when a client is built, and again by every exchange.
    driver: Result<Driver, Mistake>,
    timeouts: Timeouts,
}

const NAME: &str = "curl";

/// What every libcurl can do that this crate can be built with.
const ALWAYS: Capabilities = Capabilities::NONE
    .with(Capability::Http1)
    .with(Capability::ConnectTimeout)
    .with(Capability::SocketTimeout)
    .with(Capability::ConnectionRequestTimeout)
    .with(Capability::HttpProxy)
    .with(Capability::SocksProxy)
    .with(Capability::AsteriskForm)
    .with(Capability::ExpectContinue)
    .with(Capability::Informational)
    .with(Capability::StreamingUpload)
    .with(Capability::Duplex)
    .with(Capability::RequestTrailers)
    .with(Capability::ResponseTrailers)
    .with(Capability::RemoteAddr)
    .with(Capability::ConnectionReuse);

fn capabilities() -> Capabilities {
    let version = Version::get();
    [
        (version.feature_http2(), Capability::Http2PriorKnowledge),
        (version.feature_http2() && version.feature_ssl(), Capability::Http2),
        (version.feature_https_proxy(), Capability::HttpsProxy),
        (version.feature_unix_domain_socket(), Capability::UnixSocket),
    ]
    .into_iter()
    .filter(|(can, _)| *can)
    .fold(ALWAYS | tls::capabilities(), |all, (_, one)| all.with(one))
}

impl Curl {
    /// An engine with default settings.
    pub fn new() -> Self {
        Self::builder().build()
    }

    /// An engine to be configured.
    pub fn builder() -> CurlBuilder {
        CurlBuilder::default()
    }
}

impl Default for Curl {
    fn default() -> Self {
        Self::new()
    }
}

impl Engine for Curl {
    fn name(&self) -> &'static str {
        NAME
    }

    fn capabilities(&self) -> Capabilities {
        capabilities()
    }

    fn timer(&self) -> &dyn Timer {
        match &self.driver {
            Ok(driver) => driver,
            Err(_) => &NoTimer,
        }
    }

    async fn execute(&self, exchange: Exchange) -> Result<Response<Body>> {
        let driver = self.driver.as_ref().map_err(Mistake::error)?;
        exchange::perform(exchange, self.timeouts, driver).await
    }

    fn check(&self) -> Result<()> {
        self.driver.as_ref().map(drop).map_err(Mistake::error)
    }

    fn close(&self) {
        if let Ok(driver) = &self.driver {
            driver.retire();
        }
    }
}

impl Drop for Curl {
    fn drop(&mut self) {
        if let Ok(driver) = &self.driver {
            driver.retire();
        }
    }
}
