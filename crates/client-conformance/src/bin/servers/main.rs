//! The suite's servers as a process, for engines that live elsewhere: in a browser, in another language. It prints one JSON object on one
//! line, which says where everything is, and serves until its input ends. `docs/writing-an-engine.md` has the table of what is in it.
//! What is not there yet can be asked for: `control` starts raw servers by scripts.

mod control;
mod script;

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::process::ExitCode;
use std::time::Duration;

use client_conformance::servers::{App, Authority, BlackHole, Certificate, Proxy, ProxyPlan, Raw, Script, Tls, h2};
use serde_json::{Value, json};

use self::control::Control;

const USAGE: &str = "\
The servers of the conformance suite, as a process.

Usage: servers [--help]

Prints one JSON object on one line, which says where everything is, and serves until its input ends. Everything listens on the loopback
interface. docs/writing-an-engine.md has the table of what is in it.";

fn main() -> ExitCode {
    match std::env::args_os().nth(1) {
        None => match run() {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("servers: {error}");
                ExitCode::FAILURE
            }
        },
        Some(asked) if asked == "--help" || asked == "-h" => {
            println!(
                "{USAGE}\n\nThe server at \"control\" makes more of them:\n\n{}\n\nA script:\n\n{}",
                control::HELP,
                script::HELP
            );
            ExitCode::SUCCESS
        }
        Some(other) => {
            eprintln!("servers: there is no argument {}; see --help", other.display());
            ExitCode::from(2)
        }
    }
}

fn run() -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    let fleet = Fleet::start(runtime.block_on(BlackHole::start()))?;
    writeln!(io::stdout(), "{}", fleet.to_json())?;
    // Whoever started us closes the pipe, or is gone.
    io::stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}

/// Everything that listens, by name.
struct Fleet {
    app: App,
    tls: BTreeMap<String, App>,
    raw: BTreeMap<&'static str, Raw>,
    h2: BTreeMap<&'static str, h2::Server>,
    proxies: BTreeMap<&'static str, Proxy>,
    black_hole: Option<BlackHole>,
    control: Control,
}

const USER: &str = "user";
const PASSWORD: &str = "password";

impl Fleet {
    fn start(black_hole: Option<BlackHole>) -> io::Result<Self> {
        Ok(Self {
            app: App::start_for_pages(None),
            tls: tls().into_iter().map(|(name, tls)| (name, App::start_for_pages(Some(&tls)))).collect(),
            raw: raw().into_iter().map(|(name, script)| (name, Raw::start([script]))).collect(),
            h2: h2().into_iter().map(|(name, script)| (name, h2::Server::start([script]))).collect(),
            proxies: proxies().into_iter().map(|(name, plan)| (name, plan.start())).collect(),
            black_hole,
            control: Control::start(tls())?,
        })
    }

    fn to_json(&self) -> Value {
        let (certificate, key) = Authority::get().identity_pem();
        let urls =
            |urls: Vec<(&str, String)>| urls.into_iter().map(|(name, url)| (name.to_owned(), url)).collect::<BTreeMap<_, _>>();
        json!({
            "root": Authority::get().pem(),
            "client": { "certificate": certificate, "key": key },
            "app": self.app.url("/"),
            "tls": urls(self.tls.iter().map(|(name, app)| (&**name, app.url("/"))).collect()),
            "raw": urls(self.raw.iter().map(|(name, raw)| (*name, raw.url("/"))).collect()),
            "h2c": urls(self.h2.iter().map(|(name, server)| (*name, server.url("/"))).collect()),
            "proxies": urls(self.proxies.iter().map(|(name, proxy)| (*name, proxy.setting().url)).collect()),
            "proxy_credentials": { "user": USER, "password": PASSWORD },
            "control": self.control.url(),
            "black_hole": self.black_hole.as_ref().map(|hole| hole.url("/")),
        })
    }
}

/// Each certificate, named as in the suite, and each way of speaking TLS with a good one.
fn tls() -> Vec<(String, Tls)> {
    let both = &["h2", "http/1.1"];
    let good = || Tls::new(Certificate::Good);
    let snake = |name: String| {
        let words = name.char_indices().map(|(at, c)| match c {
            'A'..='Z' if at > 0 => format!("_{}", c.to_ascii_lowercase()),
            c => c.to_ascii_lowercase().to_string(),
        });
        words.collect::<String>()
    };
    let certificates = Certificate::ALL.iter().map(|one| (snake(format!("{one:?}")), Tls::new(*one).alpn(both)));
    let ways = [
        ("only_tls12", good().only_tls12().alpn(both)),
        ("only_tls13", good().only_tls13().alpn(both)),
        ("wants_client", good().wants_client().alpn(both)),
        ("alpn_h2", good().alpn(&["h2"])),
        ("alpn_http1", good().alpn(&["http/1.1"])),
        ("alpn_unknown", good().alpn(&["spdy/1"])),
        ("alpn_none", good()),
    ];
    certificates.chain(ways.map(|(name, tls)| (name.to_owned(), tls))).collect()
}

/// Answers that an ordinary server does not give. Pages may read them.
fn raw() -> Vec<(&'static str, Script)> {
    let reply =
        |head: &str, body: &str| Script::reply(format!("HTTP/1.1 {head}\r\nAccess-Control-Allow-Origin: *\r\n\r\n{body}"));
    let chunked = "200 OK\r\nTransfer-Encoding: chunked";
    vec![
        ("until_close", reply("200 OK", "until the end").close()),
        ("short_body", reply("200 OK\r\nContent-Length: 10", "short").close()),
        ("long_body", reply("200 OK\r\nContent-Length: 2", "ok, and more").close()),
        ("reset_in_body", reply("200 OK\r\nContent-Length: 10", "short").reset()),
        ("stall_in_body", reply("200 OK\r\nContent-Length: 10", "short")),
        ("cut_chunked", reply(chunked, "5\r\nhello\r\n").close()),
        ("bad_chunk", reply(chunked, "x\r\nhello\r\n0\r\n\r\n")),
        ("trailers", reply(chunked, "5\r\nhello\r\n0\r\nX-Checksum: 5d41402a\r\n\r\n").repeat()),
        (
            "length_and_chunked",
            reply("200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked", "0\r\n\r\n").close(),
        ),
        ("two_lengths", reply("200 OK\r\nContent-Length: 5\r\nContent-Length: 6", "hello!").close()),
        (
            "early_hints",
            Script::reply("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
                .repeat(),
        ),
        (
            "byte_by_byte",
            Script::new()
                .request()
                .trickle("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", 1, Duration::from_millis(1))
                .repeat(),
        ),
        ("not_http", Script::reply("220 ready\r\n").close()),
        ("silent", Script::new()),
        ("closes", Script::new().request().close()),
        ("resets", Script::new().request().reset()),
        ("half_a_head", Script::reply("HTTP/1.1 200 OK\r\nContent-Le").close()),
        ("endless_head", Script::reply("HTTP/1.1 200 OK\r\n").flood("X-Field: value\r\n".repeat(64))),
    ]
}

/// HTTP/2 by prior knowledge.
fn h2() -> Vec<(&'static str, h2::Script)> {
    use h2::{Frame, Script, code};
    vec![
        ("hello", Script::reply("hello").repeat()),
        ("refused_stream", Script::new().request().send(Frame::reset(code::REFUSED_STREAM)).repeat()),
        ("resets", Script::new().request().send(Frame::reset(code::INTERNAL_ERROR)).repeat()),
        ("silent", Script::new()),
    ]
}

fn proxies() -> Vec<(&'static str, ProxyPlan)> {
    let refuses = |status: &str| {
        let answer = format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        // More than anybody will try.
        ProxyPlan::http().first(std::iter::repeat_n(Script::new().head().send(answer).close(), 10_000))
    };
    let always = |script: Script| ProxyPlan::http().first(std::iter::repeat_n(script, 10_000));
    vec![
        ("http", ProxyPlan::http()),
        ("http_asks", ProxyPlan::http().asks(USER, PASSWORD)),
        ("https", ProxyPlan::https(&Tls::new(Certificate::Good))),
        ("socks4", ProxyPlan::socks4()),
        ("socks4a", ProxyPlan::socks4a()),
        ("socks5", ProxyPlan::socks5()),
        ("socks5h", ProxyPlan::socks5h()),
        ("socks5_asks", ProxyPlan::socks5().asks(USER, PASSWORD)),
        ("refuses_403", refuses("403 Forbidden")),
        (
            "refuses_407",
            refuses("407 Proxy Authentication Required\r\nProxy-Authenticate: Basic realm=\"suite\""),
        ),
        ("refuses_502", refuses("502 Bad Gateway")),
        ("stalls", always(Script::new())),
        ("closes", always(Script::new().head().close())),
        ("lies", always(Script::new().head().send("HTTP/1.1 200 OK\r\n\r\nthis is no TLS").close())),
    ]
}
