//! An address where a connection is never made, on the loopback interface: a listening socket whose queue is full, so that the
//! kernel drops every further SYN. Nothing outside this machine is needed, unlike with an unroutable address.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::time::timeout;

use super::runtime;

/// A port where connecting takes for ever.
pub struct BlackHole {
    addr: SocketAddr,
    /// Never accepts.
    _listener: TcpListener,
    /// Those that fill its queue.
    _queued: Vec<TcpStream>,
}

impl BlackHole {
    /// `None` where the system's queue cannot be filled: not every kernel drops a SYN then.
    pub async fn start() -> Option<Self> {
        runtime::spawn(Self::fill()).await
    }

    async fn fill() -> Option<Self> {
        let socket = TcpSocket::new_v4().ok()?;
        socket.bind(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0).into()).ok()?;
        let listener = socket.listen(1).ok()?;
        let addr = listener.local_addr().ok()?;
        let mut queued = Vec::new();
        // Linux queues one more than the backlog; a few more tries cost nothing where it is otherwise.
        while queued.len() < 16 {
            // On the loopback interface a handshake that is to succeed takes far less than a millisecond.
            match timeout(Duration::from_millis(200), TcpStream::connect(addr)).await {
                Ok(connected) => queued.push(connected.ok()?),
                Err(_) => {
                    return Some(Self {
                        addr,
                        _listener: listener,
                        _queued: queued,
                    });
                }
            }
        }
        None
    }

    /// The URL of `path` in the hole.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.addr)
    }
}
