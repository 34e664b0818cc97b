//! A server that costs nothing.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;

/// A server on threads of its own, which answers every request head with the same bytes. It looks at nothing: what is measured is
/// the client.
#[derive(Debug)]
pub struct Canned {
    /// Where it listens.
    pub addr: SocketAddr,
}

impl Canned {
    /// Answers each request with `response`.
    ///
    /// # Errors
    /// Where no port can be had.
    pub fn start(response: &'static [u8]) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let addr = listener.local_addr()?;
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                thread::spawn(move || serve(stream, response));
            }
        });
        Ok(Self { addr })
    }

    /// A URL of it.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.addr)
    }
}

fn serve(mut stream: TcpStream, response: &[u8]) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let (mut buffer, mut filled) = ([0; 4096], 0);
    loop {
        match stream.read(&mut buffer[filled..])? {
            0 => return Ok(()),
            n => filled += n,
        }
        if buffer[..filled].ends_with(b"\r\n\r\n") {
            filled = 0;
            stream.write_all(response)?;
        }
    }
}
