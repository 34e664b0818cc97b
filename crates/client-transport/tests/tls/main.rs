//! Connections with TLS in them: handshakes with servers of every kind of fault, and ways through proxies of every kind. All on the loopback
//! interface, with certificates made at run time.

mod certs;
mod fakes;
mod handshakes;
mod proxies;
