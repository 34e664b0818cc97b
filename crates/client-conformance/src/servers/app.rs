//! An ordinary HTTP server with a table of routes, over HTTP/1.1 and HTTP/2, on hyper's server: a codec that is not ours.

use std::convert::Infallible;
use std::net::SocketAddr;

use bytes::Bytes;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;

use super::ledger::{Connection, Counts, Ledger, Tap};
use super::listener::{Listener, Stream};
use super::received::ReceivedRequest;
use super::routes::{self, Barrier};
use super::tls::Tls;

/// An HTTP server of routes. HTTP/1.1, and HTTP/2 where the client begins with its preface (RFC 9113 §3.4).
///
/// | route | answer |
/// |---|---|
/// | `/` | `hello` |
/// | `/echo` | the request's body as it arrives, with its `Content-Type` |
/// | `/inspect`, and all below it | the request as text: a line of method, target and version; its fields, one a line; an empty line; its body |
/// | `/status/{code}` | that status; its text is the code |
/// | `/redirect/{n}` | 302 to `/redirect/{n-1}`, and so on to `/` |
/// | `/redirect-to?{status}&{location}` | that status with that `Location`, taken as it is written |
/// | `/bytes/{n}` | `n` bytes with their length: 0 to 250, again and again |
/// | `/chunked/{n}` | the same without a length, in pieces of 1000 bytes |
/// | `/drip/{n}/{ms}` | the same byte by byte, one every so many milliseconds |
/// | `/delay/{ms}` | `hello`, after so many milliseconds |
/// | `/hang` | never answers |
/// | `/length` | reads the whole body; its length in bytes |
/// | `/early/{code}` | that status at once; the body is not read |
/// | `/barrier/{n}` | reads until `n` requests are here at the same time, then answers each |
/// | `/headers/{n}` | `n` fields `x-0`, `x-1`, … |
/// | `/trailers` | `hello`, then the trailer `x-checksum: 5d41402a` |
/// | `/gzip` | `hello` as gzip, with its `Content-Encoding` |
/// | `/cookies` | two `Set-Cookie` fields |
/// | `/upgrade` | with `Upgrade: echo`: 101, then whatever is sent comes back |
/// | CONNECT | 200, then whatever is sent comes back |
///
/// Anything else is 404; a route with a number that is none is 400.
///
/// ```
/// use client_conformance::servers::App;
///
/// let app = App::start();
/// println!("{}", app.url("/status/404"));
/// assert_eq!(app.counts().accepted, 0);
/// ```
pub struct App {
    listener: Listener,
    host: String,
}

/// `n` bytes, the same on every machine, in which no piece can be taken for another.
pub fn pattern(n: usize) -> Bytes {
    // A prime, so that no buffer size is a multiple of the period.
    (0..n).map(|index| (index % 251) as u8).collect()
}

impl App {
    /// Over TCP.
    pub fn start() -> Self {
        Self::listen(None, Readers::Anybody)
    }

    /// Over TLS.
    pub fn start_tls(tls: &Tls) -> Self {
        Self::listen(Some(tls), Readers::Anybody)
    }

    /// Over TCP, or TLS; a page of any origin may ask it and read its answers (CORS). It answers a browser's `OPTIONS` itself.
    pub fn start_for_pages(tls: Option<&Tls>) -> Self {
        Self::listen(tls, Readers::Pages)
    }

    fn listen(tls: Option<&Tls>, readers: Readers) -> Self {
        let barrier = Barrier::default();
        Self {
            listener: Listener::start(tls.map(Tls::acceptor), move |stream, entry| {
                serve(Tap::new(stream, entry), barrier.clone(), readers)
            }),
            host: tls.map_or("127.0.0.1", Tls::host).to_owned(),
        }
    }

    /// The URL of `path`.
    pub fn url(&self, path: &str) -> String {
        self.listener.url(&self.host, path)
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.listener.addr
    }

    /// How many connections there were and are.
    pub fn counts(&self) -> Counts {
        self.listener.ledger.counts()
    }

    /// The connection that was accepted as number `index`, from 0; it may still be to come.
    pub fn connection(&self, index: usize) -> Connection {
        self.listener.ledger.connection(index)
    }

    /// Every complete HTTP/1.x request so far, connection by connection.
    pub fn requests(&self) -> Vec<ReceivedRequest> {
        self.listener.ledger.requests()
    }

    pub(crate) fn ledger(&self) -> &Ledger {
        &self.listener.ledger
    }
}

/// Who is to read the answers.
#[derive(Clone, Copy)]
enum Readers {
    Anybody,
    Pages,
}

async fn serve(stream: Tap<Box<dyn Stream>>, barrier: Barrier, readers: Readers) {
    let service = service_fn(move |request| {
        let barrier = barrier.clone();
        async move {
            let answer = match readers {
                Readers::Anybody => routes::answer(request, barrier).await,
                Readers::Pages => routes::answer_pages(request, barrier).await,
            };
            Ok::<_, Infallible>(answer)
        }
    });
    // A connection that the client breaks off ends with an error, which the ledger has seen already.
    let _ = auto::Builder::new(TokioExecutor::new())
        .serve_connection_with_upgrades(TokioIo::new(stream), service)
        .await;
}
