//! HTTP/2 as it is spoken here: connections that carry many exchanges at once, and the exchanges on them. For engines, of which there are two;
//! not for users of them.
//!
//! Owns nothing of an engine: which connection an exchange takes is the wire's decision, when HTTP/2 is spoken the engine's.

mod connection;
mod driver;
mod error;
mod frames;
mod head;
mod keep_alive;
mod limits;
mod preface;
mod tunnel;
mod upload;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use client_transport::settings::first_mistake;
use client_transport::silence::SocketTimeout;
use http::Request;

pub use connection::{Connection, builder, start};
pub use driver::exchange;
pub use error::not_http2;
pub use head::tunnel_target;
pub use limits::check_fields;

/// How exchanges are performed, and dead servers found out.
#[derive(Clone)]
pub struct Manner {
    /// The limit for silence where an exchange sets none.
    pub socket_timeout: SocketTimeout,
    /// After how much silence a server is asked whether it lives; `None`: never.
    pub ping_interval: Option<Duration>,
    /// How long its answer may take.
    pub ping_timeout: Duration,
    /// Sees the head of every request before it is written.
    pub customize_request: Option<CustomizeRequest>,
}

/// A change to the head of a request.
pub type CustomizeRequest = Arc<dyn Fn(&mut Request<()>) + Send + Sync>;

impl Default for Manner {
    fn default() -> Self {
        Self {
            socket_timeout: None,
            ping_interval: Some(limits::KEEP_ALIVE_INTERVAL),
            ping_timeout: limits::KEEP_ALIVE_TIMEOUT,
            customize_request: None,
        }
    }
}

impl Manner {
    /// The first thing that is wrong with it, by the name of its setting.
    pub fn mistake(&self) -> Option<&'static str> {
        let zero = Some(Duration::ZERO);
        first_mistake([
            (self.socket_timeout == zero, "socket_timeout: zero; use a positive duration, or None for none"),
            (self.ping_interval == zero, "ping_interval: zero; use a positive duration, or None for none"),
            (self.ping_timeout.is_zero(), "ping_timeout: zero; no server answers in no time"),
        ])
    }
}

impl fmt::Debug for Manner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Manner").field("socket_timeout", &self.socket_timeout).finish_non_exhaustive()
    }
}
