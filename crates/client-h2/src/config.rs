//! What the user sets, and what is wrong with it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use client_transport::builder_settings;
use client_transport::settings::Settings;
use client_transport::transport::Transport;
use h2::client::Builder;
use http::Request;

use crate::H2;
use crate::multiplexed::Manner;
use crate::protocol::{CustomizeClient, Http2};

/// Configures an [`H2`]. Mistakes are told when a client is built.
#[derive(Default)]
#[must_use]
pub struct H2Builder {
    transport: Settings,
    manner: Manner,
    customize_client: Option<Arc<CustomizeClient>>,
}

impl H2Builder {
    /// After how much silence, while calls wait, the server is asked whether it still lives (PING, RFC 9113 §6.7). A server that does not answer
    /// within [`ping_timeout`](Self::ping_timeout) has lost its connection, and the calls fail. `None`: never. Default: 30 s.
    pub fn ping_interval(mut self, silence: impl Into<Option<Duration>>) -> Self {
        self.manner.ping_interval = silence.into();
        self
    }

    /// How long the answer to a PING may take. Default: 20 s.
    pub fn ping_timeout(mut self, limit: Duration) -> Self {
        self.manner.ping_timeout = limit;
        self
    }

    /// The limit for silence on a call's stream, where neither the call nor the client sets one. Default: none.
    pub fn socket_timeout(mut self, limit: impl Into<Option<Duration>>) -> Self {
        self.manner.socket_timeout = limit.into();
        self
    }

    /// Changes h2's own settings of every new connection: windows, frame size, the bounds of what a server may do. Server push stays off.
    pub fn customize_client(mut self, change: impl Fn(&mut Builder) + Send + Sync + 'static) -> Self {
        self.customize_client = Some(Arc::new(change));
        self
    }

    /// Changes the head of every request just before it is written. What frames the body, and the version, cannot be changed.
    pub fn customize_request(mut self, change: impl Fn(&mut Request<()>) + Send + Sync + 'static) -> Self {
        self.manner.customize_request = Some(Arc::new(change));
        self
    }

    /// The engine.
    pub fn build(self) -> H2 {
        let Self {
            transport,
            manner,
            customize_client,
        } = self;
        let mistake = manner.mistake();
        let protocol = Http2 {
            manner,
            customize_client,
        };
        H2 {
            transport: Transport::new(protocol, transport, mistake),
        }
    }
}

builder_settings!(
    H2Builder.transport,
    max_connections_per_route: "100. A second one is opened when the server allows no more streams on the first.",
    keep_alive: "90 s.",
    connect_timeout: "10 s.",
    connection_request_timeout: "`None`.",
);

impl fmt::Debug for H2Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("H2Builder").finish_non_exhaustive()
    }
}
