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
fn ask(url: &str, request: &str, content: &str) -> String {
    let authority = url.strip_prefix("http://").and_then(|rest| rest.split('/').next()).expect("an http URL");
    let mut stream = TcpStream::connect(authority).expect("it listens");
    write!(stream, "{request}Host: {authority}\r\nConnection: close\r\n\r\n{content}").expect("it reads");
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

    let answer = ask(url("/app"), "GET /bytes/3 HTTP/1.1\r\n", "");
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("\r\n\r\n\0\u{1}\u{2}"), "{answer:?}");
    assert!(ask(url("/raw/short_body"), "GET / HTTP/1.1\r\n", "").ends_with("\r\n\r\nshort"));

    drop(child.stdin.take());
    assert!(child.wait().expect("it ends").success());
}

/// A request with this content to the control server: the status line, and the JSON or the text that is answered.
fn control(says: &Value, request: &str, content: &str) -> (String, Value) {
    let answer = ask(
        says["control"].as_str().expect("a URL"),
        &format!("{request} HTTP/1.1\r\nContent-Length: {}\r\n", content.len()),
        content,
    );
    let (head, content) = answer.split_once("\r\n\r\n").expect("a response");
    let value = serde_json::from_str(content).unwrap_or_else(|_| Value::from(content));
    (head.lines().next().unwrap_or_default().to_owned(), value)
}

#[test]
fn a_raw_server_is_made_by_a_script() {
    let (mut child, says) = start();
    let script = r#"
        "head"
        {"send": "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n\u00e9"}
        {"wait": "more"}
        {"trickle": "ab", "size": 1, "every_ms": 1}
        "close"
        "next_connection"
        "reset"
    "#;
    let (status, started) = control(&says, "POST /raw", script);
    assert_eq!(status, "HTTP/1.1 201 Created", "{started}");
    let authority = started["url"]
        .as_str()
        .expect("a URL")
        .trim_start_matches("http://")
        .trim_end_matches('/')
        .to_owned();
    let id = &started["id"];

    let mut stream = TcpStream::connect(&authority).expect("it listens");
    stream.write_all(b"PUT /a HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\n\xffx").expect("it reads");
    let mut answer = vec![0; 39];
    stream.read_exact(&mut answer).expect("it answers");
    assert!(answer.ends_with(b"\r\n\r\n\xe9"), "{}", answer.escape_ascii());
    // What follows waits.
    let (status, _) = control(&says, &format!("POST /raw/{id}/open/other"), "");
    assert_eq!(status, "HTTP/1.1 404 Not Found");
    let (status, _) = control(&says, &format!("POST /raw/{id}/open/more"), "");
    assert_eq!(status, "HTTP/1.1 204 No Content");
    answer.clear();
    stream.read_to_end(&mut answer).expect("it closes");
    assert_eq!(answer, b"ab");

    let mut second = TcpStream::connect(&authority).expect("it listens");
    assert!(second.read(&mut [0]).is_err(), "the second connection is reset");

    let (_, saw) = control(&says, &format!("GET /raw/{id}"), "");
    assert_eq!((&saw["accepted"], &saw["connections"][0]["sent"]), (&Value::from(2), &Value::from(41)));
    let request = &saw["connections"][0]["requests"][0];
    assert_eq!((&request["method"], &request["body"]), (&Value::from("PUT"), &Value::from("\u{ff}x")));
    assert_eq!(request["fields"][0], serde_json::json!(["Host", "h"]));
    assert!(
        saw["connections"][0]["received"]
            .as_str()
            .is_some_and(|received| received.ends_with("\r\n\r\n\u{ff}x"))
    );

    let (status, _) = control(&says, &format!("DELETE /raw/{id}"), "");
    assert_eq!(status, "HTTP/1.1 204 No Content");
    let (status, _) = control(&says, &format!("GET /raw/{id}"), "");
    assert_eq!(status, "HTTP/1.1 404 Not Found");
    drop(child.stdin.take());
    assert!(child.wait().expect("it ends").success());
}

#[test]
fn what_is_no_script_is_refused() {
    let (mut child, says) = start();
    for (request, content, status, why) in [
        ("POST /raw", "\"head\"\n\"repaet\"", "400 Bad Request", "line 2: there is no step \"repaet\"\n"),
        ("POST /raw?tls=none", "", "400 Bad Request", "there is no way \"none\" of speaking TLS\n"),
        ("POST /raw?x=y", "", "400 Bad Request", "the query is none, or tls=NAME\n"),
        ("GET /raw/0", "", "404 Not Found", "there is no such server\n"),
    ] {
        let (line, answer) = control(&says, request, content);
        assert_eq!((line, answer), (format!("HTTP/1.1 {status}"), Value::from(why)), "{request}");
    }
    let (line, _) = control(&says, "PUT /raw", "");
    assert_eq!(line, "HTTP/1.1 405 Method Not Allowed");
    let (line, started) = control(&says, "POST /raw?tls=good", "");
    assert!(
        line.ends_with("201 Created") && started["url"].as_str().is_some_and(|url| url.starts_with("https://")),
        "{started}"
    );
    drop(child.stdin.take());
    assert!(child.wait().expect("it ends").success());
}

#[test]
fn help_says_what_a_script_is() {
    let servers = |argument: &str| {
        let output = Command::new(env!("CARGO_BIN_EXE_servers")).arg(argument).output().expect("the process starts");
        (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let (code, help) = servers("--help");
    assert_eq!(code, Some(0));
    for part in ["Usage: servers", "POST /raw", "\"half_close\"", "\"trickle\""] {
        assert!(help.contains(part), "no {part} in {help}");
        assert!(part.starts_with("Usage") || DOCUMENT.contains(part), "{part} is not documented");
    }
    assert_eq!(servers("--other"), (Some(2), String::new()));
}

#[test]
fn pages_of_any_origin_may_ask() {
    let (mut child, says) = start();
    let app = says["app"].as_str().expect("a URL");
    let asked = "OPTIONS /echo HTTP/1.1\r\nOrigin: http://page.test\r\nAccess-Control-Request-Method: PUT\r\n\
         Access-Control-Request-Headers: authorization,x-mine\r\n";
    let allowed = ask(app, asked, "").to_ascii_lowercase();
    for field in [
        "http/1.1 204 ",
        "access-control-allow-origin: *\r\n",
        "access-control-allow-methods: put\r\n",
        "access-control-allow-headers: authorization,x-mine\r\n",
    ] {
        assert!(allowed.contains(field), "no {field:?} in {allowed}");
    }
    // The control server likewise.
    let allowed = ask(says["control"].as_str().expect("a URL"), &asked.replace("/echo", "/raw"), "").to_ascii_lowercase();
    for field in [
        "http/1.1 204 ",
        "access-control-allow-origin: *\r\n",
        "access-control-allow-methods: get, post, delete\r\n",
    ] {
        assert!(allowed.contains(field), "no {field:?} in {allowed}");
    }
    let answer = ask(app, "GET / HTTP/1.1\r\nOrigin: http://page.test\r\n", "").to_ascii_lowercase();
    assert!(
        answer.contains("access-control-allow-origin: *\r\n") && answer.ends_with("\r\n\r\nhello"),
        "{answer}"
    );
    drop(child.stdin.take());
    assert!(child.wait().expect("it ends").success());
}
