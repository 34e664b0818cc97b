//! A Unix domain socket in front of a server: whatever is sent to it goes on to the server's port, and back.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::copy_bidirectional;
use tokio::net::{TcpStream, UnixListener, UnixStream};
use tokio::task::JoinSet;

use super::ledger::{Counts, Ledger, Tap};
use super::runtime::{self, Task};

/// A socket file that leads to a server. Dropping it closes its connections and removes the file.
pub struct Door {
    directory: PathBuf,
    path: PathBuf,
    ledger: Ledger,
    _accepting: Task<()>,
}

impl Door {
    /// A door to the server that listens at `server`.
    ///
    /// # Errors
    /// Where the system's directory of temporary files takes no socket.
    pub fn to(server: SocketAddr) -> io::Result<Self> {
        static DOORS: AtomicUsize = AtomicUsize::new(0);
        let number = DOORS.fetch_add(1, Ordering::Relaxed);
        // A socket's path has hardly more than 100 bytes.
        let directory = std::env::temp_dir().join(format!("conformance-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&directory)?;
        let path = directory.join("socket");
        let (listener, ledger) = (std::os::unix::net::UnixListener::bind(&path)?, Ledger::new());
        listener.set_nonblocking(true)?;
        Ok(Self {
            directory,
            path,
            _accepting: runtime::spawn(accept(listener, server.port(), ledger.clone())),
            ledger,
        })
    }

    /// Where the socket is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// How many connections there were and are.
    pub fn counts(&self) -> Counts {
        self.ledger.counts()
    }

    pub(crate) fn ledger(&self) -> &Ledger {
        &self.ledger
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        // Left behind, it would only lie there: the system clears its temporary files.
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

async fn accept(listener: std::os::unix::net::UnixListener, port: u16, ledger: Ledger) {
    let listener = UnixListener::from_std(listener).expect("the runtime takes the socket");
    let mut connections = JoinSet::new();
    while let Ok((client, _)) = listener.accept().await {
        while connections.try_join_next().is_some() {}
        connections.spawn(pass(Tap::new(client, ledger.open()), port));
    }
}

/// Either side that is gone ends it with an error, which the ledger has seen already.
async fn pass(mut client: Tap<UnixStream>, port: u16) {
    if let Ok(mut server) = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await {
        let _ = copy_bidirectional(&mut client, &mut server).await;
    }
}
