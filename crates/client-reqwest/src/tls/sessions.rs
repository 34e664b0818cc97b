//! rustls' store of sessions to resume, with one addition: it is asked at the beginning of each handshake, and that is how we learn
//! of it. reqwest does not tell where connecting ends and TLS begins.

use std::sync::Arc;

use client_core::Phase;
use rustls::NamedGroup;
use rustls::client::{
    ClientSessionMemoryCache, ClientSessionStore, Resumption, Tls12ClientSessionValue, Tls13ClientSessionValue,
};
use rustls_pki_types::ServerName;

use crate::call::Call;

/// As many sessions as rustls keeps by default.
const SESSIONS: usize = 256;

/// The store for a configuration and its clones.
pub(super) fn resumption() -> Resumption {
    Resumption::store(Arc::new(Told(ClientSessionMemoryCache::new(SESSIONS))))
}

#[derive(Debug)]
struct Told(ClientSessionMemoryCache);

impl ClientSessionStore for Told {
    fn take_tls13_ticket(&self, server_name: &ServerName<'static>) -> Option<Tls13ClientSessionValue> {
        if let Some(call) = Call::current() {
            call.dialing(Phase::Tls);
        }
        self.0.take_tls13_ticket(server_name)
    }

    fn insert_tls13_ticket(&self, server_name: ServerName<'static>, value: Tls13ClientSessionValue) {
        self.0.insert_tls13_ticket(server_name, value);
    }

    fn tls12_session(&self, server_name: &ServerName<'_>) -> Option<Tls12ClientSessionValue> {
        self.0.tls12_session(server_name)
    }

    fn set_tls12_session(&self, server_name: ServerName<'static>, value: Tls12ClientSessionValue) {
        self.0.set_tls12_session(server_name, value);
    }

    fn remove_tls12_session(&self, server_name: &ServerName<'static>) {
        self.0.remove_tls12_session(server_name);
    }

    fn kx_hint(&self, server_name: &ServerName<'_>) -> Option<NamedGroup> {
        self.0.kx_hint(server_name)
    }

    fn set_kx_hint(&self, server_name: ServerName<'static>, group: NamedGroup) {
        self.0.set_kx_hint(server_name, group);
    }
}
