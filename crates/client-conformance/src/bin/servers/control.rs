//! The server that starts raw servers, by a script that comes with a request, and tells what they saw: for engines that cannot call
//! us. It listens on the loopback interface alone, and any page may ask it. What must never enter: what a step means.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use bytes::Bytes;
use client_conformance::servers::{Gate, Raw, ReceivedRequest, Tls};
use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN, ALLOW, CONTENT_TYPE, HeaderValue,
};
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};

use super::script::{Plan, text};

/// What it understands, for `--help`.
pub(crate) const HELP: &str = "\
POST /raw                 starts a raw server by the script that is the request's content; 201 and {\"id\": ID, \"url\": URL}
POST /raw?tls=NAME        the same over TLS, by one of the names under \"tls\"
GET /raw/ID               what it saw: {\"accepted\": N, \"open\": N, \"connections\": [{\"received\": TEXT, \"sent\": BYTES, \"requests\": [..]}]}
POST /raw/ID/open/NAME    opens a gate that its script waits at
DELETE /raw/ID            stops it";

/// A script is small; a flood repeats what it has.
const MOST_BYTES: usize = 4 << 20;

/// More than any run starts and forgets to stop.
const MOST_SERVERS: usize = 1000;

/// Where it listens, and what it has started.
pub(crate) struct Control {
    addr: SocketAddr,
}

#[derive(Default)]
struct Fleet {
    /// Never used again, so that nobody reads what another server saw.
    next: u64,
    running: BTreeMap<u64, Running>,
    /// The ways of speaking TLS, by name.
    tls: BTreeMap<String, Tls>,
}

struct Running {
    raw: Raw,
    gates: BTreeMap<String, Gate>,
}

impl Control {
    /// Listens on a free port, on a thread of its own, as long as the process lives.
    pub(crate) fn start(tls: Vec<(String, Tls)>) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        listener.set_nonblocking(true)?;
        let addr = listener.local_addr()?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
        let fleet = Fleet {
            tls: tls.into_iter().collect(),
            ..Fleet::default()
        };
        thread::spawn(move || runtime.block_on(serve(listener, Arc::new(Mutex::new(fleet)))));
        Ok(Self { addr })
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/", self.addr)
    }
}

async fn serve(listener: TcpListener, fleet: Arc<Mutex<Fleet>>) -> io::Result<()> {
    let listener = tokio::net::TcpListener::from_std(listener)?;
    loop {
        let (stream, _) = listener.accept().await?;
        let fleet = Arc::clone(&fleet);
        tokio::spawn(async move {
            let service = service_fn(move |request| answer(Arc::clone(&fleet), request));
            // What goes wrong on a connection is its client's to notice.
            http1::Builder::new().serve_connection(TokioIo::new(stream), service).await.ok();
        });
    }
}

async fn answer(fleet: Arc<Mutex<Fleet>>, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let (head, body) = request.into_parts();
    let answer = match Limited::new(body, MOST_BYTES).collect().await {
        Ok(body) => {
            let mut fleet = fleet.lock().unwrap_or_else(PoisonError::into_inner);
            fleet.answer(&head.method, head.uri.path(), head.uri.query(), &body.to_bytes())
        }
        Err(error) => Err((StatusCode::BAD_REQUEST, format!("the script cannot be read: {error}"))),
    };
    Ok(response(answer))
}

/// What is answered, or why it cannot be.
type Answer = Result<(StatusCode, Value), (StatusCode, String)>;

impl Fleet {
    fn answer(&mut self, method: &Method, path: &str, query: Option<&str>, body: &[u8]) -> Answer {
        let segments: Vec<_> = path.trim_start_matches('/').split('/').collect();
        match (method, &segments[..]) {
            (&Method::OPTIONS, _) => Ok((StatusCode::NO_CONTENT, Value::Null)),
            (&Method::POST, ["raw"]) => self.start(query, body),
            (&Method::GET, ["raw", id]) => Ok((StatusCode::OK, self.of(id)?.to_json())),
            (&Method::DELETE, ["raw", id]) => {
                let id = self.number(id)?;
                self.running.remove(&id);
                Ok((StatusCode::NO_CONTENT, Value::Null))
            }
            (&Method::POST, ["raw", id, "open", gate]) => {
                let gate = self.of(id)?.gates.get(*gate).ok_or_else(|| none("no step waits at such a gate"))?;
                gate.open();
                Ok((StatusCode::NO_CONTENT, Value::Null))
            }
            (_, ["raw", ..]) => Err((StatusCode::METHOD_NOT_ALLOWED, HELP.to_owned())),
            _ => Err(none(HELP)),
        }
    }

    fn start(&mut self, query: Option<&str>, body: &[u8]) -> Answer {
        let bad = |why: String| (StatusCode::BAD_REQUEST, why);
        if self.running.len() >= MOST_SERVERS {
            return Err((StatusCode::SERVICE_UNAVAILABLE, format!("{MOST_SERVERS} servers are running: stop some")));
        }
        let script = std::str::from_utf8(body).map_err(|error| bad(format!("the script is no UTF-8: {error}")))?;
        let Plan { scripts, gates } = Plan::parse(script).map_err(bad)?;
        let raw = match query.unwrap_or("").split_once('=') {
            Some(("tls", name)) => {
                let tls = self.tls.get(name).ok_or_else(|| bad(format!("there is no way {name:?} of speaking TLS")))?;
                Raw::start_tls(tls, scripts)
            }
            None if query.is_none_or(str::is_empty) => Raw::start(scripts),
            _ => return Err(bad("the query is none, or tls=NAME".to_owned())),
        };
        let id = self.next;
        self.next += 1;
        let started = json!({ "id": id, "url": raw.url("/") });
        self.running.insert(id, Running { raw, gates });
        Ok((StatusCode::CREATED, started))
    }

    fn number(&self, id: &str) -> Result<u64, (StatusCode, String)> {
        let number = id.parse().ok().filter(|number| self.running.contains_key(number));
        number.ok_or_else(|| none("there is no such server"))
    }

    fn of(&self, id: &str) -> Result<&Running, (StatusCode, String)> {
        Ok(&self.running[&self.number(id)?])
    }
}

fn none(why: &str) -> (StatusCode, String) {
    (StatusCode::NOT_FOUND, why.to_owned())
}

impl Running {
    fn to_json(&self) -> Value {
        let counts = self.raw.counts();
        let connection = |index| {
            let connection = self.raw.connection(index);
            json!({
                "received": text(&connection.received()),
                "sent": connection.sent(),
                "requests": connection.requests().iter().map(request).collect::<Vec<_>>(),
            })
        };
        json!({
            "accepted": counts.accepted,
            "open": counts.open,
            "connections": (0..counts.accepted).map(connection).collect::<Vec<_>>(),
        })
    }
}

fn request(request: &ReceivedRequest) -> Value {
    let fields = |fields: &[(String, Vec<u8>)]| fields.iter().map(|(name, value)| json!([name, text(value)])).collect::<Vec<_>>();
    json!({
        "method": request.method,
        "target": request.target,
        "version": request.version,
        "fields": fields(&request.fields),
        "body": text(&request.body),
        "trailers": fields(&request.trailers),
    })
}

fn response(answer: Answer) -> Response<Full<Bytes>> {
    let (status, kind, content) = match answer {
        Ok((status, Value::Null)) => (status, None, String::new()),
        Ok((status, value)) => (status, Some("application/json"), value.to_string()),
        Err((status, why)) => (status, Some("text/plain; charset=utf-8"), format!("{why}\n")),
    };
    let mut response = Response::new(Full::from(content));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    // Any page may ask, and is not to be asked back about it.
    for (name, value) in [
        (ACCESS_CONTROL_ALLOW_ORIGIN, "*"),
        (ACCESS_CONTROL_ALLOW_METHODS, "GET, POST, DELETE"),
        (ACCESS_CONTROL_ALLOW_HEADERS, "*"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if let Some(kind) = kind {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    }
    if status == StatusCode::METHOD_NOT_ALLOWED {
        headers.insert(ALLOW, HeaderValue::from_static("GET, POST, DELETE, OPTIONS"));
    }
    response
}
