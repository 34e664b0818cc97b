//! `client-tls`: from [`TlsConfig`](client_core::TlsConfig) to a configuration of [rustls], for every engine whose TLS is rustls; and from what then
//! fails to one line that helps.
//!
//! Security code must exist once. Whether a certificate is good is decided in `verify.rs` and nowhere else; engines bring the stream, and
//! what they offer by ALPN.
//!
//! ```
//! use client_core::{TlsConfig, TlsVersion};
//!
//! # fn main() -> client_core::Result<()> {
//! let mut config = client_tls::client_config(&TlsConfig::new().min_version(TlsVersion::Tls13))?;
//! config.alpn_protocols = vec![b"http/1.1".to_vec()];
//! # Ok(()) }
//! ```
//!
//! The cryptography is that of [ring](https://docs.rs/ring) (feature `ring`, the default) or of [AWS-LC](https://docs.rs/aws-lc-rs) (feature
//! `aws-lc-rs`, which wins where both are on). The process-wide provider that rustls knows is the application's, and is neither asked nor set.
//!
//! What must never enter: sockets, a runtime, HTTP.

mod config;
mod explain;
mod session;
mod verify;

#[cfg(not(any(feature = "ring", feature = "aws-lc-rs")))]
compile_error!("client-tls needs cryptography: enable its feature `ring` or `aws-lc-rs`");

pub use self::config::{check, client_config};
pub use self::explain::{classify, explain, handshake, is_protocol_refused};
pub use self::session::{info, server_name};

use client_core::{Capabilities, Capability};

/// What an engine can promise that uses a [`client_config`] for its connections.
pub const CAPABILITIES: Capabilities = Capabilities::NONE
    .with(Capability::Tls)
    .with(Capability::CustomRoots)
    .with(Capability::ClientIdentity)
    .with(Capability::SpkiPins);
