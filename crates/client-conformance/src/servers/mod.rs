//! The servers that engines are judged against: [`App`], an ordinary HTTP server of routes; [`Raw`], which sends and expects exact
//! bytes; [`h2::Server`], which does the same with HTTP/2 frames; [`Proxy`], of every kind; [`Door`], a Unix socket in front of one of
//! these; [`BlackHole`], where no connection is ever made; and [`Relay`], which keeps the books of a server that is not ours. They
//! listen on the loopback interface, on ports of the system's choice, over TCP or TLS, and stop when they are dropped.
//!
//! They run on one thread of their own, so that an engine under test may use any runtime or none, and so that what a server saw can
//! be waited for from any executor. What must never enter: the code of an engine, or a codec that an engine uses.

mod app;
mod black_hole;
mod cors;
#[cfg_attr(not(unix), path = "no_door.rs")]
mod door;
pub mod h2;
mod ledger;
mod listener;
mod proxy;
mod raw;
mod received;
mod relay;
mod routes;
pub(crate) mod runtime;
mod script;
mod tls;

pub use self::app::{App, pattern};
pub use self::black_hole::BlackHole;
pub use self::door::Door;
pub(crate) use self::ledger::Ledger;
pub use self::ledger::{Connection, Counts};
pub use self::proxy::{Proxy, ProxyPlan, ProxyTarget};
pub use self::raw::Raw;
pub use self::received::ReceivedRequest;
pub use self::relay::Relay;
pub use self::script::{Gate, Script};
pub use self::tls::{Authority, Certificate, Tls};
