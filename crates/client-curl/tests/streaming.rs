//! Bodies are never whole in memory, and what is given up is closed.

use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use client_core::{HttpClient, Result};
use client_curl::Curl;
use futures::executor::block_on;

/// Far more than the bridge and both sockets hold.
const ENDLESS: usize = 256 << 20;

/// A server of one connection.
fn serve<T: Send + 'static>(answer: impl FnOnce(TcpStream) -> T + Send + 'static) -> (String, thread::JoinHandle<T>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a listener");
    let url = format!("http://{}/", listener.local_addr().expect("its address"));
    let server = thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a connection");
        let mut request = [0; 4096];
        let n = stream.read(&mut request).expect("a request");
        assert!(request[..n].ends_with(b"\r\n\r\n"));
        answer(stream)
    });
    (url, server)
}

#[test]
fn a_body_that_nobody_reads_stays_with_the_server() -> Result<()> {
    let (url, server) = serve(|mut stream| {
        stream.set_write_timeout(Some(Duration::from_millis(500))).expect("a limit");
        stream
            .write_all(format!("HTTP/1.1 200 OK\r\nContent-Length: {ENDLESS}\r\n\r\n").as_bytes())
            .expect("a head");
        let (piece, mut sent) = ([b'x'; 64 << 10], 0);
        loop {
            match stream.write(&piece) {
                Ok(n) => sent += n,
                Err(error) => return (sent, error.kind(), stream),
            }
        }
    });
    let http = HttpClient::new(Curl::new());
    let response = block_on(http.get(url).send())?;
    let (sent, stopped_by, mut stream) = server.join().expect("the server");
    assert!(matches!(stopped_by, ErrorKind::WouldBlock | ErrorKind::TimedOut), "{stopped_by:?}");
    assert!(sent < ENDLESS / 4, "{sent} bytes were taken, and nobody reads");
    drop(response);
    // What was in flight is lost with the connection: a reset, or an end.
    stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a limit");
    assert!(!matches!(stream.read(&mut [0]), Err(error) if error.kind() == ErrorKind::WouldBlock), "still open");
    Ok(())
}

#[cfg(unix)]
#[test]
fn over_a_unix_socket() -> Result<()> {
    use std::os::unix::net::UnixListener;

    let path = std::env::temp_dir().join(format!("client-curl-{}.sock", std::process::id()));
    let _ = std::fs::remove_file(&path);
    let listener = UnixListener::bind(&path).expect("a listener");
    let server = thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a connection");
        let mut request = [0; 4096];
        let n = stream.read(&mut request).expect("a request");
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello").expect("an answer");
        String::from_utf8_lossy(&request[..n]).into_owned()
    });
    let http = HttpClient::new(Curl::builder().unix_socket(&path).build());
    let response = block_on(http.get("http://printer.example/status").send())?;
    assert_eq!(response.remote_addr(), None, "a Unix socket has no address");
    assert_eq!(block_on(response.text())?, "hello");
    let request = server.join().expect("the server");
    assert!(request.starts_with("GET /status HTTP/1.1\r\nHost: printer.example\r\n"), "{request}");
    std::fs::remove_file(&path).expect("the socket's name");
    Ok(())
}
