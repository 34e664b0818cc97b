//! A relay: carries bytes between its clients and another server, and keeps the ledger that the other server does not. What must never
//! enter: any knowledge of what it carries.

use std::net::SocketAddr;

use futures_util::future::try_join;
use tokio::io::{AsyncWriteExt, copy, split};
use tokio::net::TcpStream;

use super::ledger::{Connection, Counts, Entry, Ledger, Tap};
use super::listener::{Listener, Stream};

/// Stands before a server that is not the suite's own, so that its connections are counted and their bytes recorded; of TLS, what is
/// on the wire. Closing travels through it in both directions.
///
/// ```
/// use client_conformance::servers::{App, Relay};
///
/// let (app, other) = (App::start(), "127.0.0.1:9".parse()?);
/// let (relay, dead_end) = (Relay::start(app.addr()), Relay::start(other));
/// println!("http://{}/ is {}", relay.addr(), app.url("/"));
/// # let _ = dead_end;
/// # Ok::<(), std::net::AddrParseError>(())
/// ```
pub struct Relay {
    listener: Listener,
}

impl Relay {
    /// Leads to `server`. Where nothing listens there, its connections are closed at once.
    pub fn start(server: SocketAddr) -> Self {
        Self {
            listener: Listener::start(None, move |stream, entry| carry(stream, entry, server)),
        }
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.listener.addr
    }

    /// How many connections there were and are. One is over as soon as either side has closed it.
    pub fn counts(&self) -> Counts {
        self.listener.ledger.counts()
    }

    /// Waits until the counts are as `wanted`.
    pub async fn until(&self, wanted: impl Fn(Counts) -> bool) -> Counts {
        self.listener.ledger.until(wanted).await
    }

    /// The connection that was accepted as number `index`, from 0; it may still be to come.
    pub fn connection(&self, index: usize) -> Connection {
        self.listener.ledger.connection(index)
    }

    /// Both directions of every connection, as text.
    pub fn wire(&self) -> String {
        self.ledger().wire("relay")
    }

    pub(crate) fn ledger(&self) -> &Ledger {
        &self.listener.ledger
    }
}

async fn carry(stream: Box<dyn Stream>, entry: Entry, server: SocketAddr) {
    let Ok(mut upstream) = TcpStream::connect(server).await else {
        return;
    };
    // Small answers are not to wait here for more.
    upstream.set_nodelay(true).expect("a TCP option");
    let connection = entry.connection();
    let (mut from_client, mut to_client) = split(Tap::new(stream, entry));
    let (mut from_server, mut to_server) = upstream.split();
    let up = async {
        copy(&mut from_client, &mut to_server).await?;
        to_server.shutdown().await
    };
    let down = async {
        copy(&mut from_server, &mut to_client).await?;
        connection.ended_by_server();
        to_client.shutdown().await
    };
    // A reset of either side ends both; the ledger has seen it.
    let _ = try_join(up, down).await;
}
