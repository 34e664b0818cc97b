//! From an origin to a ready byte stream, and its reuse: what the engines that speak their protocols themselves stand on.
//!
//! The way of an exchange, and the files it passes through:
//!
//! 1. `router.rs` finds its [`Route`](route::Route): the origin, and every setting that shapes a connection, as one value.
//! 2. `pool/` answers whether there is a connection for that route, or whether to dial or to wait.
//! 3. `dial.rs` makes one, as a fold over hops: names (`dns.rs`, `hickory.rs`), addresses (`happy.rs`, `tcp.rs`), proxies (`proxy/`), TLS (`tls.rs`). What
//!    may be connected to at all is the word of `egress.rs`.
//! 4. `wire/` puts these together around a protocol, and `transport.rs` around an engine, which is configured by `settings.rs`.
//!
//! What must never enter this crate: the semantics of HTTP, but for CONNECT.

pub mod connector;
#[cfg_attr(not(any(target_os = "android", target_os = "linux")), path = "no_device.rs")]
mod device;
pub mod dial;
pub mod dns;
pub mod egress;
mod happy;
#[cfg(feature = "hickory")]
pub mod hickory;
pub mod monitored;
pub mod network;
#[cfg(any(not(unix), not(feature = "tls")))]
mod never;
mod origin;
pub mod pool;
pub mod proxy;
pub mod route;
pub mod router;
pub mod runtime;
pub mod settings;
pub mod silence;
pub mod stream;
mod tcp;
pub mod timer;
#[cfg_attr(not(feature = "tls"), path = "no_tls.rs")]
pub mod tls;
pub mod transport;
#[cfg_attr(not(unix), path = "no_unix.rs")]
mod unix;
pub mod wire;
