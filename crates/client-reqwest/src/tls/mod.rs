//! What `client-tls` makes of the core's TLS settings, given to reqwest ready-made. Left to itself, reqwest would look for a process-wide
//! provider of cryptography, which is the application's to install, and panic where there is none.
//!
//! What must never enter: decisions about certificates.

mod sessions;

use std::error::Error as StdError;
use std::sync::OnceLock;

use client_core::{Capabilities, Capability, Result, TlsConfig};
use reqwest::ClientBuilder;
use rustls::ClientConfig;

use crate::clients::Protocol;
use crate::http2;

pub(crate) const CAPABILITIES: Capabilities = client_tls::CAPABILITIES.with(Capability::HttpsProxy);

/// The settings of an engine, and what was made of them.
#[derive(Default)]
pub(crate) struct Tls {
    config: TlsConfig,
    built: OnceLock<ClientConfig>,
}

impl Tls {
    pub(crate) fn new(config: TlsConfig) -> Self {
        Self {
            config,
            built: OnceLock::new(),
        }
    }

    /// Tells reqwest. What the user's own configuration says afterwards wins.
    pub(crate) fn prepare(&self, builder: ClientBuilder, protocol: Protocol) -> Result<ClientBuilder> {
        let mut config = match self.built.get() {
            Some(built) => built.clone(),
            // Clones share the platform's roots, once these are loaded, and the sessions to resume.
            None => {
                let mut built = client_tls::client_config(&self.config)?;
                built.resumption = sessions::resumption();
                self.built.get_or_init(|| built).clone()
            }
        };
        // reqwest takes a ready-made configuration as it is, ALPN included.
        let alpn = match protocol {
            Protocol::Negotiated => http2::ALPN,
            Protocol::Http1 => &["http/1.1"],
            Protocol::Http2 => &["h2"],
        };
        config.alpn_protocols = alpn.iter().map(|&name| name.into()).collect();
        Ok(builder.tls_backend_preconfigured(config))
    }
}

/// One of rustls' errors, as one line. `None` if it is none of its.
pub(crate) fn explain(error: &(dyn StdError + 'static)) -> Option<String> {
    error.downcast_ref().map(|error| client_tls::explain("the server", error))
}
