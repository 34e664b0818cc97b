//! Proxies and origins for tests: raw servers that keep every byte they receive.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

type Log = Arc<Mutex<Vec<u8>>>;

/// How a proxy behaves.
#[derive(Clone)]
pub(crate) struct Behaviour {
    kind: &'static str,
    credentials: Option<(String, String)>,
    /// Where names lead, as `host:port`. Addresses lead to themselves.
    targets: HashMap<String, SocketAddr>,
}

impl Behaviour {
    pub(crate) fn new(kind: &'static str, credentials: Option<(&str, &str)>, targets: HashMap<String, SocketAddr>) -> Self {
        let credentials = credentials.map(|(user, password)| (user.to_owned(), password.to_owned()));
        Self {
            kind,
            credentials,
            targets,
        }
    }
}

/// A proxy that notes what it was asked for and everything it received, as it was below its own TLS.
pub(crate) struct FakeProxy {
    pub(crate) address: SocketAddr,
    received: Log,
    asked: Arc<Mutex<Vec<String>>>,
}

impl FakeProxy {
    pub(crate) async fn start(behaviour: Behaviour, tls: Option<Arc<ServerConfig>>) -> Self {
        let (received, asked) = (Log::default(), Arc::<Mutex<Vec<String>>>::default());
        let handler = Handler {
            behaviour,
            received: Arc::clone(&received),
            asked: Arc::clone(&asked),
        };
        let address = serve(tls, move |io| {
            let handler = handler.clone();
            // A client that leaves is no failure of the proxy.
            async move { handler.run(io).await.unwrap_or(()) }
        })
        .await;
        Self {
            address,
            received,
            asked,
        }
    }

    pub(crate) fn received(&self) -> Vec<u8> {
        self.received.lock().unwrap().clone()
    }

    pub(crate) fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

/// A server that answers `ok` to each head.
pub(crate) struct FakeOrigin {
    pub(crate) address: SocketAddr,
    pub(crate) secure: bool,
    received: Log,
}

impl FakeOrigin {
    pub(crate) async fn start(tls: Option<Arc<ServerConfig>>) -> Self {
        let (secure, received) = (tls.is_some(), Log::default());
        let log = Arc::clone(&received);
        let address = serve(tls, move |mut io| {
            let log = Arc::clone(&log);
            async move {
                while head(&mut io, &log).await.is_ok() {
                    let _ = io.write_all(b"ok").await;
                }
            }
        })
        .await;
        Self {
            address,
            secure,
            received,
        }
    }

    pub(crate) fn received(&self) -> Vec<u8> {
        self.received.lock().unwrap().clone()
    }
}

trait Io: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Io for T {}
type BoxIo = Box<dyn Io>;

async fn serve<F, Fut>(tls: Option<Arc<ServerConfig>>, handle: F) -> SocketAddr
where
    F: Fn(BoxIo) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = ()> + Send,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let handle = Arc::new(handle);
    tokio::spawn(async move {
        while let Ok((tcp, _)) = listener.accept().await {
            let (tls, handle) = (tls.clone(), Arc::clone(&handle));
            tokio::spawn(async move {
                match tls {
                    None => handle(Box::new(tcp)).await,
                    Some(config) => {
                        if let Ok(tls) = TlsAcceptor::from(config).accept(tcp).await {
                            handle(Box::new(tls)).await;
                        }
                    }
                }
            });
        }
    });
    address
}

/// Reads to the empty line, and logs it.
async fn head(io: &mut BoxIo, log: &Log) -> std::io::Result<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(io.read_u8().await?);
    }
    log.lock().unwrap().extend_from_slice(&head);
    Ok(String::from_utf8_lossy(&head).into_owned())
}

#[derive(Clone)]
struct Handler {
    behaviour: Behaviour,
    received: Log,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Handler {
    async fn run(&self, io: BoxIo) -> std::io::Result<()> {
        match self.behaviour.kind {
            "http" | "https" => self.http(io).await,
            "socks4" | "socks4a" => self.socks4(io).await,
            _ => self.socks5(io).await,
        }
    }

    fn lead(&self, target: String) -> Option<SocketAddr> {
        let address = self.behaviour.targets.get(&target).copied().or_else(|| target.parse().ok());
        self.asked.lock().unwrap().push(target);
        address
    }

    fn user(&self) -> Option<(&str, &str)> {
        self.behaviour.credentials.as_ref().map(|(user, password)| (user.as_str(), password.as_str()))
    }

    async fn bytes<const N: usize>(&self, io: &mut BoxIo) -> std::io::Result<[u8; N]> {
        let mut bytes = [0; N];
        io.read_exact(&mut bytes).await?;
        self.received.lock().unwrap().extend_from_slice(&bytes);
        Ok(bytes)
    }

    async fn vec(&self, io: &mut BoxIo, length: usize) -> std::io::Result<Vec<u8>> {
        let mut bytes = vec![0; length];
        io.read_exact(&mut bytes).await?;
        self.received.lock().unwrap().extend_from_slice(&bytes);
        Ok(bytes)
    }

    async fn until_nul(&self, io: &mut BoxIo) -> std::io::Result<String> {
        let mut text = Vec::new();
        loop {
            match self.bytes::<1>(io).await? {
                [0] => return Ok(String::from_utf8(text).unwrap()),
                [byte] => text.push(byte),
            }
        }
    }

    async fn http(&self, mut io: BoxIo) -> std::io::Result<()> {
        let head = head(&mut io, &self.received).await?;
        if let Some((user, password)) = self.user() {
            let token = BASE64_STANDARD.encode(format!("{user}:{password}"));
            if !head
                .to_ascii_lowercase()
                .contains(&format!("proxy-authorization: basic {token}").to_ascii_lowercase())
            {
                // Some proxies show what they received.
                let body = format!("who are you? {head}");
                let answer = format!("HTTP/1.1 407 No\r\nContent-Length: {}\r\n\r\n{body}", body.len());
                return io.write_all(answer.as_bytes()).await;
            }
        }
        let mut words = head.split(' ');
        let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let authority = target.strip_prefix("http://").map_or(target, |rest| rest.split('/').next().unwrap_or_default());
        let Some(upstream) = self.lead(authority.to_owned()) else {
            return io.write_all(b"HTTP/1.1 502 Bad\r\nContent-Length: 0\r\n\r\n").await;
        };
        let mut upstream = TcpStream::connect(upstream).await?;
        if method == "CONNECT" {
            io.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await?;
        } else {
            // A proxy forwards what is meant for the origin (RFC 9110 §7.6, §11.7.2).
            let kept: Vec<_> = head.split("\r\n").filter(|line| !line.to_ascii_lowercase().starts_with("proxy-")).collect();
            upstream.write_all(kept.join("\r\n").as_bytes()).await?;
        }
        self.tunnel(io, upstream).await
    }

    async fn socks4(&self, mut io: BoxIo) -> std::io::Result<()> {
        let [version, command, port @ .., a, b, c, d] = self.bytes::<8>(&mut io).await?;
        assert_eq!((version, command), (4, 1));
        let (port, user) = (u16::from_be_bytes(port), self.until_nul(&mut io).await?);
        let target = match [a, b, c, d] {
            [0, 0, 0, 1..=255] => format!("{}:{port}", self.until_nul(&mut io).await?),
            octets => format!("{}:{port}", Ipv4Addr::from(octets)),
        };
        if self.user().is_some_and(|(expected, _)| expected != user) {
            return io.write_all(&[0, 93, 0, 0, 0, 0, 0, 0]).await;
        }
        let Some(upstream) = self.lead(target) else {
            return io.write_all(&[0, 91, 0, 0, 0, 0, 0, 0]).await;
        };
        let upstream = TcpStream::connect(upstream).await?;
        io.write_all(&[0, 90, 0, 0, 0, 0, 0, 0]).await?;
        self.tunnel(io, upstream).await
    }

    async fn socks5(&self, mut io: BoxIo) -> std::io::Result<()> {
        let [version, methods] = self.bytes(&mut io).await?;
        assert_eq!(version, 5);
        let methods = self.vec(&mut io, methods.into()).await?;
        let wanted = if self.user().is_some() { 2 } else { 0 };
        if !methods.contains(&wanted) {
            return io.write_all(&[5, 0xff]).await;
        }
        io.write_all(&[5, wanted]).await?;
        if let Some((user, password)) = self.user() {
            let [1, length] = self.bytes(&mut io).await? else { panic!() };
            let given_user = self.vec(&mut io, length.into()).await?;
            let [length] = self.bytes(&mut io).await?;
            let given_password = self.vec(&mut io, length.into()).await?;
            let is_right = (user.as_bytes(), password.as_bytes()) == (&given_user, &given_password);
            io.write_all(&[1, u8::from(!is_right)]).await?;
            if !is_right {
                return Ok(());
            }
        }
        let [5, 1, 0, kind] = self.bytes(&mut io).await? else {
            panic!()
        };
        let host = match kind {
            1 => Ipv4Addr::from(self.bytes::<4>(&mut io).await?).to_string(),
            3 => {
                let [length] = self.bytes(&mut io).await?;
                String::from_utf8(self.vec(&mut io, length.into()).await?).unwrap()
            }
            _ => panic!("the loopback interface of tests is IPv4"),
        };
        let port = u16::from_be_bytes(self.bytes(&mut io).await?);
        let Some(upstream) = self.lead(format!("{host}:{port}")) else {
            return io.write_all(&[5, 4, 0, 1, 0, 0, 0, 0, 0, 0]).await;
        };
        let upstream = TcpStream::connect(upstream).await?;
        io.write_all(&[5, 0, 0, 1, 127, 0, 0, 1, 0, 0]).await?;
        self.tunnel(io, upstream).await
    }

    /// Both ways; what the client sends is logged.
    async fn tunnel(&self, io: BoxIo, upstream: TcpStream) -> std::io::Result<()> {
        let (mut from_client, mut to_client) = tokio::io::split(io);
        let (mut from_server, mut to_server) = upstream.into_split();
        let up = async {
            let mut buffer = vec![0; 4096];
            loop {
                let read = from_client.read(&mut buffer).await?;
                if read == 0 {
                    return to_server.shutdown().await;
                }
                self.received.lock().unwrap().extend_from_slice(&buffer[..read]);
                to_server.write_all(&buffer[..read]).await?;
            }
        };
        let down = tokio::io::copy(&mut from_server, &mut to_client);
        let (up, down) = tokio::join!(up, down);
        up.and(down.map(drop))
    }
}
