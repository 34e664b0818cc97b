//! The suite's servers as a process: what it prints, that it is true, and that it ends.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};

use serde_json::Value;

const DOCUMENT: &str = include_str!("../../../docs/writing-an-engine.md");

#[test]
fn the_table_of_routes_is_in_the_document() {
    let app = include_str!("../src/servers/app.rs");
    let rows: Vec<_> = app
        .lines()
        .filter_map(|line| line.strip_prefix("/// "))
        .filter(|line| line.starts_with('|'))
        .collect();
    assert!(rows.len() > 20, "{rows:?}");
    for row in rows {
        assert!(DOCUMENT.lines().any(|line| line == row), "the document lacks {row}");
    }
}

/// The process, and what it printed. It ends with its input, at the latest when this process does.
fn start() -> (Child, Value) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_servers"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the process starts");
    let mut line = String::new();
    BufReader::new(child.stdout.take().expect("a pipe")).read_line(&mut line).expect("a line");
    (child, serde_json::from_str(&line).expect("one JSON object on one line"))
}

/// What is answered on a connection that closes.
fn ask(url: &str, request: &str) -> String {
    let authority = url.strip_prefix("http://").and_then(|rest| rest.split('/').next()).expect("an http URL");
    let mut stream = TcpStream::connect(authority).expect("it listens");
    write!(stream, "{request}Host: {authority}\r\nConnection: close\r\n\r\n").expect("it reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("it answers and closes");
    answer
}

#[test]
fn it_tells_where_everything_is_and_ends_with_its_input() {
    let (mut child, says) = start();
    let url = |pointer: &str| says.pointer(pointer).and_then(Value::as_str).unwrap_or_else(|| panic!("no {pointer}: {says}"));
    assert!(url("/root").starts_with("-----BEGIN CERTIFICATE-----"));
    assert!(url("/client/key").contains("PRIVATE KEY"));

    // Every port that is named is there.
    let groups = ["tls", "raw", "h2c", "proxies"].map(|group| says[group].as_object().expect("a group"));
    let least = [18, 18, 4, 14];
    for (group, least) in groups.iter().zip(least) {
        assert!(group.len() >= least, "{group:?}");
        for (name, url) in *group {
            let url = url.as_str().expect("a URL");
            let port = url.trim_end_matches('/').rsplit(':').next().and_then(|port| port.parse().ok());
            let port: u16 = port.unwrap_or_else(|| panic!("{name}: no port in {url}"));
            assert!(DOCUMENT.contains(&format!("`{name}`")), "{name} is not documented");
            TcpStream::connect(("127.0.0.1", port)).unwrap_or_else(|error| panic!("{name}: {url}: {error}"));
        }
    }
    assert!(url("/tls/wildcard").starts_with("https://a.suite.test:"));

    let answer = ask(url("/app"), "GET /bytes/3 HTTP/1.1\r\n");
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("\r\n\r\n\0\u{1}\u{2}"), "{answer:?}");
    assert!(ask(url("/raw/short_body"), "GET / HTTP/1.1\r\n").ends_with("\r\n\r\nshort"));

    drop(child.stdin.take());
    assert!(child.wait().expect("it ends").success());
}

#[test]
fn pages_of_any_origin_may_ask() {
    let (mut child, says) = start();
    let app = says["app"].as_str().expect("a URL");
    let asked = "OPTIONS /echo HTTP/1.1\r\nOrigin: http://page.test\r\nAccess-Control-Request-Method: PUT\r\n\
         Access-Control-Request-Headers: authorization,x-mine\r\n";
    let allowed = ask(app, asked).to_ascii_lowercase();
    for field in [
        "http/1.1 204 ",
        "access-control-allow-origin: *\r\n",
        "access-control-allow-methods: put\r\n",
        "access-control-allow-headers: authorization,x-mine\r\n",
    ] {
        assert!(allowed.contains(field), "no {field:?} in {allowed}");
    }
    let answer = ask(app, "GET / HTTP/1.1\r\nOrigin: http://page.test\r\n").to_ascii_lowercase();
    assert!(
        answer.contains("access-control-allow-origin: *\r\n") && answer.ends_with("\r\n\r\nhello"),
        "{answer}"
    );
    drop(child.stdin.take());
    assert!(child.wait().expect("it ends").success());
}
