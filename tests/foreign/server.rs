//! One server that stands for every host and port: it answers on its own address, and as a SOCKS proxy that leads to itself. So it
//! sees what a client would send to `http://example.com:21/`, without a name, a privileged port or a way out of this machine.
//!
//! It speaks whatever the first byte announces: SOCKS 5, TLS, HTTP/2, HTTP/1.

use std::error::Error;
use std::fmt::Write as _;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use client_core::http;
use h2::server::SendResponse;
use rcgen::CertifiedKey;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::task::AbortHandle;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::PrivatePkcs8KeyDer;

use crate::wire::{Framing, Request};

/// A running server; it stops when it is dropped.
pub(crate) struct Server {
    addr: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
    task: AbortHandle,
}

/// A request, and where its client believed to send it.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    /// Host and port that were asked of the proxy; `None` where this server was asked itself.
    pub(crate) to: Option<String>,
    pub(crate) is_tls: bool,
    /// Nothing arrived before it.
    pub(crate) first: bool,
    pub(crate) request: Request,
}

/// What the server answers.
pub(crate) enum Reply {
    /// These bytes, then it closes. Over HTTP/2, it closes.
    Raw(Vec<u8>),
    /// A response with a body of known length.
    Http {
        status: u16,
        headers: Vec<(&'static str, Vec<u8>)>,
        body: &'static str,
    },
}

type Answer = dyn Fn(&Seen) -> Reply + Send + Sync;

/// Its own runtime: an engine under test need not have one.
static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    runtime.worker_threads(2).enable_all().build().expect("a runtime for the servers")
});

impl Server {
    pub(crate) fn start(answer: impl Fn(&Seen) -> Reply + Send + Sync + 'static) -> Self {
        let (answer, seen) = (Arc::new(answer), Arc::new(Mutex::new(Vec::new())));
        let listener = RUNTIME.block_on(TcpListener::bind("127.0.0.1:0")).expect("a port of this machine");
        let addr = listener.local_addr().expect("its address");
        let of_task = Arc::clone(&seen);
        let task = RUNTIME.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let connection = Connection {
                    seen: Arc::clone(&of_task),
                    answer: Arc::clone(&answer) as Arc<Answer>,
                    to: None,
                    is_tls: false,
                };
                // What goes wrong on a connection is told by the client at its other end.
                tokio::spawn(async move { connection.serve(stream).await.ok() });
            }
        });
        Self {
            addr,
            seen,
            task: task.abort_handle(),
        }
    }

    /// A URL of its own address.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.addr)
    }

    /// Host and port.
    pub(crate) fn authority(&self) -> String {
        self.addr.to_string()
    }

    /// It as a proxy that leads every host and port to itself.
    pub(crate) fn proxy(&self) -> String {
        format!("socks5h://{}", self.addr)
    }

    /// The requests so far, in the order of their arrival.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        lock(&self.seen).clone()
    }

    /// The requests as text.
    pub(crate) fn wire(&self) -> String {
        let mut out = String::new();
        for Seen { to, is_tls, request, .. } in self.seen() {
            let tls = if is_tls { " over TLS" } else { "" };
            let _ = writeln!(out, "<- to {}{tls}\n{request}", to.as_deref().unwrap_or("the server"));
        }
        out
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Connection {
    seen: Arc<Mutex<Vec<Seen>>>,
    answer: Arc<Answer>,
    to: Option<String>,
    is_tls: bool,
}

impl Connection {
    async fn serve(mut self, mut stream: TcpStream) -> io::Result<()> {
        stream.set_nodelay(true)?;
        if first(&stream).await? == Some(b'\x05') {
            self.to = Some(socks(&mut stream).await?);
        }
        match first(&stream).await? {
            Some(0x16) => {
                self.is_tls = true;
                let stream = TLS.accept(stream).await?;
                match stream.get_ref().1.alpn_protocol() {
                    Some(b"h2") => self.http2(stream).await,
                    _ => self.http1(stream).await,
                }
            }
            // "PRI * HTTP/2.0": no method of ours begins so.
            Some(b'P') if is_preface(&stream).await? => self.http2(stream).await,
            _ => self.http1(stream).await,
        }
    }

    fn answer(&self, request: Request) -> Reply {
        let mut all = lock(&self.seen);
        let seen = Seen {
            to: self.to.clone(),
            is_tls: self.is_tls,
            first: all.is_empty(),
            request,
        };
        let reply = (self.answer)(&seen);
        all.push(seen);
        reply
    }

    async fn http1(self, mut stream: impl Stream) -> io::Result<()> {
        let mut buffer = Vec::new();
        while let Some(request) = Request::read(&mut stream, &mut buffer).await.map_err(io::Error::other)? {
            let is_head = request.method == "HEAD";
            match self.answer(request) {
                Reply::Raw(bytes) => {
                    stream.write_all(&bytes).await?;
                    stream.shutdown().await?;
                    // What is still on its way must not become a reset that overtakes the reply.
                    while stream.read(&mut [0; 4096]).await? > 0 {}
                    return Ok(());
                }
                Reply::Http { status, headers, body } => {
                    let mut head = format!("HTTP/1.1 {status} Status\r\ncontent-length: {}\r\n", body.len()).into_bytes();
                    for (name, value) in &headers {
                        head.extend([name.as_bytes(), b": ", value, b"\r\n"].concat());
                    }
                    head.extend(b"\r\n");
                    head.extend(if is_head { &[] } else { body.as_bytes() });
                    stream.write_all(&head).await?;
                }
            }
        }
        Ok(())
    }

    async fn http2(self, stream: impl Stream) -> io::Result<()> {
        let shared = Arc::new(self);
        let mut connection = h2::server::handshake(stream).await.map_err(io::Error::other)?;
        while let Some(exchange) = connection.accept().await {
            let (request, respond) = exchange.map_err(io::Error::other)?;
            // On a task of its own: it is `accept` that moves the connection's bytes.
            let shared = Arc::clone(&shared);
            tokio::spawn(async move { shared.stream(request, respond).await.ok() });
        }
        Ok(())
    }

    async fn stream(
        &self,
        request: http::Request<h2::RecvStream>,
        mut respond: SendResponse<Bytes>,
    ) -> Result<(), Box<dyn Error + Send + Sync>> {
        let (head, mut data) = request.into_parts();
        let mut body = Vec::new();
        while let Some(piece) = data.data().await {
            let piece = piece?;
            data.flow_control().release_capacity(piece.len())?;
            body.extend(piece);
        }
        let mut headers: Vec<_> =
            head.headers.iter().map(|(name, value)| (name.to_string(), value.as_bytes().to_vec())).collect();
        if let Some(authority) = head.uri.authority() {
            headers.insert(0, ("host".into(), authority.as_str().into()));
        }
        let reply = self.answer(Request {
            method: head.method.to_string(),
            target: head.uri.path_and_query().map_or_else(String::new, ToString::to_string),
            version: "HTTP/2".into(),
            headers,
            framing: if body.is_empty() { Framing::None } else { Framing::Length },
            body,
            trailers: Vec::new(),
        });
        let Reply::Http {
            status,
            headers,
            mut body,
        } = reply
        else {
            respond.send_reset(h2::Reason::INTERNAL_ERROR);
            return Ok(());
        };
        if head.method == http::Method::HEAD {
            body = "";
        }
        let mut response = http::Response::builder().status(status);
        for (name, value) in headers {
            response = response.header(name, value);
        }
        let mut send = respond.send_response(response.body(())?, body.is_empty())?;
        if !body.is_empty() {
            send.send_data(Bytes::from_static(body.as_bytes()), true)?;
        }
        Ok(())
    }
}

trait Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send + 'static> Stream for T {}

/// The first byte that will be read; `None` at the end of the stream.
async fn first(stream: &TcpStream) -> io::Result<Option<u8>> {
    let mut byte = [0];
    Ok((stream.peek(&mut byte).await? > 0).then_some(byte[0]))
}

/// Whether HTTP/2 begins, rather than a POST, PUT or PATCH (RFC 9113 §3.4).
async fn is_preface(stream: &TcpStream) -> io::Result<bool> {
    const PREFACE: &[u8] = b"PRI ";
    let mut seen = [0; PREFACE.len()];
    loop {
        match stream.peek(&mut seen).await? {
            0 => return Ok(false),
            n if seen[..n] != PREFACE[..n] => return Ok(false),
            n if n == PREFACE.len() => return Ok(true),
            // A peek returns at once while there is anything: wait for more.
            _ => tokio::task::yield_now().await,
        }
    }
}

/// The server's side of SOCKS 5 without authentication (RFC 1928): host and port, as they were asked for.
async fn socks(stream: &mut TcpStream) -> io::Result<String> {
    let [_, methods] = exactly(stream).await?;
    for _ in 0..methods {
        stream.read_u8().await?;
    }
    stream.write_all(&[5, 0]).await?;
    let [_, _, _, kind] = exactly(stream).await?;
    let host = match kind {
        1 => Ipv4Addr::from(exactly::<4>(stream).await?).to_string(),
        4 => format!("[{}]", Ipv6Addr::from(exactly::<16>(stream).await?)),
        _ => {
            let mut name = vec![0; stream.read_u8().await?.into()];
            stream.read_exact(&mut name).await?;
            String::from_utf8_lossy(&name).into_owned()
        }
    };
    let port = stream.read_u16().await?;
    stream.write_all(&[5, 0, 0, 1, 0, 0, 0, 0, 0, 0]).await?;
    Ok(format!("{host}:{port}"))
}

async fn exactly<const N: usize>(stream: &mut TcpStream) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    stream.read_exact(&mut bytes).await?;
    Ok(bytes)
}

/// One certificate for whatever name: who connects must not verify it.
static TLS: LazyLock<TlsAcceptor> = LazyLock::new(|| {
    let CertifiedKey { cert, signing_key } =
        rcgen::generate_simple_self_signed(["everywhere.example".to_owned()]).expect("a certificate");
    let provider = Arc::new(tokio_rustls::rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("the usual versions");
    let key = PrivatePkcs8KeyDer::from(signing_key.serialize_der());
    let mut config = config
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], key.into())
        .expect("the key is the certificate's");
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    TlsAcceptor::from(Arc::new(config))
});
