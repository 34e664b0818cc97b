//! Accepting connections, over TCP or TLS, and handing each to the server that speaks on it.

use std::future::Future;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener as StdListener};
use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::ledger::{Entry, Ledger};
use super::runtime::{self, Task};

/// A listening socket and every connection it accepted. Dropping it closes them all.
pub(crate) struct Listener {
    pub(crate) addr: SocketAddr,
    pub(crate) ledger: Ledger,
    is_tls: bool,
    _accepting: Task<()>,
}

/// A connection: TCP, or TLS upon it.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {
    fn tcp(&self) -> &TcpStream;
}

impl Stream for TcpStream {
    fn tcp(&self) -> &TcpStream {
        self
    }
}

impl Stream for TlsStream<TcpStream> {
    fn tcp(&self) -> &TcpStream {
        self.get_ref().0
    }
}

impl Listener {
    /// Listens on 127.0.0.1 and runs `serve` for every connection, once TLS is established where `tls` asks for it.
    pub(crate) fn start<F, Fut>(tls: Option<TlsAcceptor>, serve: F) -> Self
    where
        F: Fn(Box<dyn Stream>, Entry) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        let socket = StdListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port on the loopback interface");
        let addr = socket.local_addr().expect("a bound socket has an address");
        socket.set_nonblocking(true).expect("a socket can be made non-blocking");
        let ledger = Ledger::new();
        let is_tls = tls.is_some();
        Self {
            addr,
            is_tls,
            _accepting: runtime::spawn(accept(socket, ledger.clone(), tls, serve)),
            ledger,
        }
    }

    /// The URL of `path` on this server. `host` is what its certificate is for.
    pub(crate) fn url(&self, host: &str, path: &str) -> String {
        let scheme = if self.is_tls { "https" } else { "http" };
        format!("{scheme}://{host}:{}{path}", self.addr.port())
    }
}

async fn accept<F, Fut>(socket: StdListener, ledger: Ledger, tls: Option<TlsAcceptor>, serve: F)
where
    F: Fn(Box<dyn Stream>, Entry) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    let socket = TcpListener::from_std(socket).expect("the runtime takes the socket");
    let serve = Arc::new(serve);
    let mut connections = JoinSet::new();
    // An error concerns one connection only: its peer reset it before it was accepted.
    while let Ok((tcp, _)) = retry(&socket).await {
        while connections.try_join_next().is_some() {}
        let (entry, tls, serve) = (ledger.open(), tls.clone(), Arc::clone(&serve));
        connections.spawn(async move {
            // What a script sends has to leave at once, in the pieces that it says.
            tcp.set_nodelay(true).expect("a TCP option");
            match tls {
                None => serve(Box::new(tcp), entry).await,
                // A refused handshake is what many cases want; the entry says that it is over.
                Some(tls) => match tls.accept(tcp).await {
                    Ok(stream) => serve(Box::new(stream), entry).await,
                    Err(_) => drop(entry),
                },
            }
        });
    }
}

async fn retry(socket: &TcpListener) -> io::Result<(TcpStream, SocketAddr)> {
    loop {
        match socket.accept().await {
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
            accepted => return accepted,
        }
    }
}
