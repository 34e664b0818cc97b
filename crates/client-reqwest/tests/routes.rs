//! Ways to a server that only reqwest's own configuration knows: proxies and Unix sockets.

use std::process::Command;

use client_conformance::servers::{App, Authority, Certificate, Raw, Script, Tls};
use client_core::HttpClient;
use client_reqwest::Reqwest;
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

fn through(proxy: &str) -> HttpClient {
    let proxy = reqwest::Proxy::all(proxy).unwrap();
    let engine = Reqwest::builder().tls(Authority::get().trusted());
    HttpClient::new(engine.config(move |reqwest| reqwest.proxy(proxy.clone())).build())
}

async fn text(http: &HttpClient, url: &str) -> String {
    http.get(url).send().await.unwrap().text().await.unwrap()
}

#[tokio::test]
async fn an_http_proxy_is_asked_for_the_whole_url() {
    let plain = Raw::start([Script::reply(OK)]);
    let tls = Raw::start_tls(&Tls::new(Certificate::Good), [Script::reply(OK)]);
    for proxy in [plain, tls] {
        let http = through(&proxy.url("").replace("://", "://user:secret@"));
        assert_eq!(text(&http, "http://origin.example/a?b").await, "ok");
        let request = &proxy.requests()[0];
        assert_eq!(request.target, "http://origin.example/a?b");
        assert_eq!(request.field("proxy-authorization").unwrap(), "Basic dXNlcjpzZWNyZXQ=");
    }
}

#[tokio::test]
async fn a_tunnel_leads_to_a_server_of_tls() {
    let app = App::start_tls(&Tls::new(Certificate::Good));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let proxy = format!("http://user:secret@{}", listener.local_addr().unwrap());
    let to = app.addr();
    let tunnel = tokio::spawn(async move {
        let (mut client, _) = listener.accept().await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(client.read_u8().await.unwrap());
        }
        client.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
        let mut server = TcpStream::connect(to).await.unwrap();
        let _ = copy_bidirectional(&mut client, &mut server).await;
        String::from_utf8(head).unwrap()
    });
    let http = through(&proxy);
    let seen = text(&http, &app.url("/inspect")).await;
    assert!(!seen.contains("proxy-authorization"), "the origin never sees the proxy's password: {seen}");
    drop(http);
    let head = tunnel.await.unwrap();
    assert!(head.starts_with("CONNECT localhost:") && head.contains("Basic dXNlcjpzZWNyZXQ="), "{head}");
}

#[tokio::test]
async fn socks_proxies_of_every_kind() {
    let five = |address: &'static [u8]| {
        let granted = &b"\x05\x00\x00\x01\0\0\0\0\0\0"[..];
        Script::new()
            .received("\x05\x01\x00")
            .send("\x05\x00")
            .received(address)
            .send(granted)
            .received("GET /")
            .send(OK)
    };
    let four = |address: &'static [u8]| {
        let granted = &b"\x00\x5a\0\0\0\0\0\0"[..];
        Script::new().received(address).send(granted).received("GET /").send(OK)
    };
    // Version, command, address (RFC 1928 §4 and §5; the SOCKS 4A memo).
    let table = [
        ("socks5h", "origin.example:81", five(b"\x05\x01\x00\x03\x0eorigin.example\x00\x51")),
        ("socks5", "127.0.0.2:81", five(b"\x05\x01\x00\x01\x7f\0\0\x02\x00\x51")),
        ("socks4a", "origin.example:81", four(b"origin.example\0")),
        ("socks4", "127.0.0.2:81", four(b"\x04\x01\x00\x51\x7f\0\0\x02\0")),
    ];
    for (scheme, origin, script) in table {
        let proxy = Raw::start([script]);
        let http = through(&format!("{scheme}://{}", proxy.addr()));
        assert_eq!(text(&http, &format!("http://{origin}/")).await, "ok", "{scheme}");
    }
}

#[cfg(unix)]
#[tokio::test]
async fn a_unix_socket() {
    let path = std::env::temp_dir().join(format!("client-reqwest-{}.sock", std::process::id()));
    let _ = std::fs::remove_file(&path);
    let listener = tokio::net::UnixListener::bind(&path).unwrap();
    let served = tokio::spawn(async move {
        let (mut client, _) = listener.accept().await.unwrap();
        let mut head = vec![0; 1024];
        let n = client.read(&mut head).await.unwrap();
        client.write_all(OK.as_bytes()).await.unwrap();
        String::from_utf8(head[..n].to_vec()).unwrap()
    });
    let socket = path.clone();
    let http = HttpClient::new(Reqwest::builder().config(move |reqwest| reqwest.unix_socket(socket.as_path())).build());
    assert_eq!(text(&http, "http://origin.example/a").await, "ok");
    assert!(served.await.unwrap().starts_with("GET /a HTTP/1.1\r\n"));
    std::fs::remove_file(path).unwrap();
}

/// The environment is a process's own: a child gets one that names a proxy.
#[test]
fn the_environment_is_asked_only_when_told() {
    let (app, proxy) = (App::start(), Raw::start([Script::reply(OK)]));
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.args(["--exact", "with_an_environment", "--ignored"]).env("CLIENT_TEST_URL", app.url("/"));
    for name in ["http_proxy", "HTTP_PROXY", "ALL_PROXY"] {
        child.env(name, format!("http://{}", proxy.addr()));
    }
    for name in ["no_proxy", "NO_PROXY", "REQUEST_METHOD"] {
        child.env_remove(name);
    }
    let output = child.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    assert_eq!((app.counts().accepted, proxy.counts().accepted), (1, 1));
}

#[tokio::test]
#[ignore = "runs as a child of another test"]
async fn with_an_environment() {
    let url = std::env::var("CLIENT_TEST_URL").unwrap();
    assert_eq!(text(&HttpClient::new(Reqwest::new()), &url).await, "hello");
    let http = HttpClient::new(Reqwest::builder().system_proxy(true).build());
    assert_eq!(text(&http, &url).await, "ok");
}
