//! Pipelining: answers in order, never another's, and nobody stranded when the line breaks.

use std::collections::HashSet;
use std::io;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use client_cio::Cio;
use client_core::{BoxError, BoxFuture, ErrorKind, HttpClient, Phase, Sent, TimeoutKind};
use client_transport::connector::{Connect, Connector};
use client_transport::route::RouteOptions;
use client_transport::stream::Stream;
use futures::future::join_all;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

/// What the server saw: for each connection, the paths of its requests.
type Seen = Arc<Mutex<Vec<Vec<String>>>>;

/// A connection of the server's, request by request.
struct Peer {
    stream: TcpStream,
    buffer: String,
    number: usize,
    seen: Seen,
}

impl Peer {
    /// The next request's path; `None` at the end.
    async fn request(&mut self) -> Option<String> {
        let end = loop {
            if let Some(end) = self.buffer.find("\r\n\r\n") {
                break end + 4;
            }
            let mut bytes = [0; 1024];
            match self.stream.read(&mut bytes).await {
                Ok(0) | Err(_) => return None,
                Ok(n) => self.buffer.push_str(std::str::from_utf8(&bytes[..n]).unwrap()),
            }
        };
        let head: String = self.buffer.drain(..end).collect();
        let path = head.split(' ').nth(1).unwrap().to_owned();
        self.seen.lock().unwrap()[self.number].push(path.clone());
        Some(path)
    }

    async fn answer(&mut self, fields: &str, body: &str) {
        let length = body.len();
        let reply = format!("HTTP/1.1 200 OK\r\n{fields}content-length: {length}\r\n\r\n{body}");
        let _ = self.stream.write_all(reply.as_bytes()).await;
    }
}

/// Serves each connection by `serve`, which gets its number.
async fn server<F: Future<Output = ()> + Send>(serve: impl Fn(Peer) -> F + Clone + Send + 'static) -> (String, Seen) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let seen = Seen::default();
    let log = Arc::clone(&seen);
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let (serve, log) = (serve.clone(), Arc::clone(&log));
            let number = {
                let mut log = log.lock().unwrap();
                log.push(Vec::new());
                log.len() - 1
            };
            let peer = Peer {
                stream,
                buffer: String::new(),
                number,
                seen: log,
            };
            tokio::spawn(async move { serve(peer).await });
        }
    });
    (url, seen)
}

fn client(size: usize) -> HttpClient {
    let engine = Cio::builder()
        .pipelining(true)
        .endpoint(|e| e.pipeline_max_size(size).max_connections_per_route(2))
        .build();
    HttpClient::builder(engine).build().unwrap()
}

async fn get(http: &HttpClient, url: &str, path: &str) -> String {
    http.get(format!("{url}{path}")).send().await.unwrap().text().await.unwrap()
}

#[tokio::test]
async fn the_first_answer_may_wait_for_the_last_request() {
    let (url, seen) = server(async |mut peer: Peer| {
        let mut paths = Vec::new();
        while paths.len() < 5 {
            paths.push(peer.request().await.unwrap());
        }
        for path in paths {
            peer.answer("", &path).await;
        }
        peer.request().await;
    })
    .await;
    let http = client(5);
    let paths = ["/0", "/1", "/2", "/3", "/4"];
    assert_eq!(join_all(paths.map(|path| get(&http, &url, path))).await, paths);
    assert_eq!(*seen.lock().unwrap(), [paths.map(str::to_owned)]);
    let pool = http.pool().unwrap();
    assert_eq!((pool.idle, pool.in_use, pool.opened), (1, 0, 1));
}

#[tokio::test]
async fn a_hundred_calls_get_their_own_answers() {
    let (url, seen) = server(async |mut peer: Peer| {
        while let Some(path) = peer.request().await {
            peer.answer("", &path.repeat(100)).await;
        }
    })
    .await;
    let http = client(8);
    let paths: Vec<_> = (0..100).map(|n| format!("/{n}")).collect();
    let answers = join_all(paths.iter().map(|path| get(&http, &url, path))).await;
    assert!(answers.iter().zip(&paths).all(|(answer, path)| *answer == path.repeat(100)));
    assert!(seen.lock().unwrap().len() <= 2, "connections");
}

#[tokio::test]
async fn giving_up_the_head_of_line_strands_nobody() {
    // The first connection never answers; the others do.
    let (url, seen) = server(async |mut peer: Peer| {
        while let Some(path) = peer.request().await {
            if peer.number > 0 {
                peer.answer("", &path).await;
            }
        }
    })
    .await;
    let http = client(5);
    let head_of_line = tokio::spawn({
        let (http, url) = (http.clone(), url.clone());
        async move { get(&http, &url, "/head-of-line").await }
    });
    let others: Vec<_> = ["/a", "/b", "/c"]
        .map(|path| {
            let (http, url) = (http.clone(), url.clone());
            tokio::spawn(async move { get(&http, &url, path).await })
        })
        .into_iter()
        .collect();
    while seen.lock().unwrap().first().is_none_or(|paths| paths.len() < 4) {
        tokio::task::yield_now().await;
    }
    head_of_line.abort();
    let answers: Vec<_> = join_all(others).await.into_iter().map(Result::unwrap).collect();
    assert_eq!(answers, ["/a", "/b", "/c"]);
    let repeated: HashSet<_> = seen.lock().unwrap()[1..].concat().into_iter().collect();
    assert_eq!(repeated, HashSet::from(["/a", "/b", "/c"].map(str::to_owned)), "and not what was given up");
}

/// What was asked before is still answered on that connection: its answers come first.
#[tokio::test]
async fn giving_up_breaks_nothing_that_was_asked_before() {
    let (go, wait) = tokio::sync::watch::channel(false);
    let (url, seen) = server(move |mut peer: Peer| {
        let mut wait = wait.clone();
        async move {
            if peer.number > 0 {
                while let Some(path) = peer.request().await {
                    peer.answer("", &path).await;
                }
                return;
            }
            let _ = (peer.request().await, peer.request().await, peer.request().await);
            let _ = peer.stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\n/fi").await;
            let _ = wait.wait_for(|go| *go).await;
            let _ = peer.stream.write_all(b"rst").await;
            peer.answer("", "of what was given up").await;
            peer.request().await;
        }
    })
    .await;
    let http = client(5);
    let first = http.get(format!("{url}/first")).send();
    let given_up = tokio::spawn(http.get(format!("{url}/given-up")).send());
    let behind = tokio::spawn({
        let (http, url) = (http.clone(), url.clone());
        async move { get(&http, &url, "/behind").await }
    });
    let first = first.await.unwrap();
    assert_eq!(seen.lock().unwrap()[0].len(), 3);
    given_up.abort();
    assert!(given_up.await.unwrap_err().is_cancelled());
    assert_eq!(behind.await.unwrap(), "/behind");
    go.send(true).unwrap();
    assert_eq!(first.text().await.unwrap(), "/first");
    assert_eq!(get(&http, &url, "/after").await, "/after");
    assert_eq!(seen.lock().unwrap()[0].len(), 3, "the broken line serves nobody else");
}

#[tokio::test]
async fn a_server_that_closes_after_one_answer_is_asked_again_elsewhere() {
    let (url, _) = server(async |mut peer: Peer| {
        let path = peer.request().await.unwrap();
        peer.answer("connection: close\r\n", &path).await;
    })
    .await;
    let http = client(5);
    let paths = ["/0", "/1", "/2", "/3"];
    assert_eq!(join_all(paths.map(|path| get(&http, &url, path))).await, paths);
}

#[tokio::test]
async fn what_is_not_safe_waits_for_a_connection_of_its_own() {
    let (url, seen) = server(async |mut peer: Peer| {
        while let Some(path) = peer.request().await {
            peer.answer("", &path).await;
        }
    })
    .await;
    let http = client(5);
    get(&http, &url, "/safe").await;
    http.post(format!("{url}/unsafe")).send().await.unwrap().bytes().await.unwrap();
    get(&http, &url, "/safe").await;
    assert_eq!(*seen.lock().unwrap(), [vec!["/safe", "/safe"], vec!["/unsafe"]]);
}

#[tokio::test]
async fn an_unread_answer_holds_up_nobody() {
    let (url, _) = server(async |mut peer: Peer| {
        while let Some(path) = peer.request().await {
            peer.answer("", &path).await;
        }
    })
    .await;
    let http = client(5);
    let unread = http.get(format!("{url}/unread")).send().await.unwrap();
    assert_eq!(get(&http, &url, "/next").await, "/next");
    assert_eq!(unread.text().await.unwrap(), "/unread");
}

#[tokio::test]
async fn silence_counts_for_those_in_line() {
    const LIMIT: Duration = Duration::from_millis(50);
    let asked = Arc::new(Notify::new());
    let ask = Arc::clone(&asked);
    let (url, _) = server(move |mut peer: Peer| {
        let ask = Arc::clone(&ask);
        async move {
            // Nobody is answered.
            while peer.request().await.is_some() {
                ask.notify_one();
            }
        }
    })
    .await;
    let http = client(8);
    let mut first = pin!(http.get(format!("{url}/first")).send());
    tokio::select! {
        answer = &mut first => panic!("answered: {answer:?}"),
        () = asked.notified() => {}
    }
    let started = Instant::now();
    let second = http.get(format!("{url}/second")).timeout(|t| t.socket(LIMIT)).send();
    let error = tokio::select! {
        answer = &mut first => panic!("answered: {answer:?}"),
        answer = second => answer.unwrap_err(),
    };
    assert_eq!(error.kind(), ErrorKind::Timeout(TimeoutKind::Socket));
    assert_eq!((error.phase(), error.sent()), (Some(Phase::Head), Sent::Maybe));
    assert!(started.elapsed() >= LIMIT && error.elapsed().unwrap().elapsed >= LIMIT, "{error:?}");
}

#[tokio::test]
async fn what_those_in_front_receive_is_no_silence() {
    const LIMIT: Duration = Duration::from_secs(2);
    let (url, _) = server(async |mut peer: Peer| {
        while let Some(path) = peer.request().await {
            if path == "/first" {
                let _ = peer.stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n").await;
                for _ in 0..10 {
                    tokio::time::sleep(LIMIT / 8).await;
                    let _ = peer.stream.write_all(b"x").await;
                }
            } else {
                peer.answer("", "second").await;
            }
        }
    })
    .await;
    let http = client(8);
    let first = http.get(format!("{url}/first")).send().await.unwrap();
    let second = http.get(format!("{url}/second")).timeout(|t| t.socket(LIMIT)).send();
    let (first, second) = tokio::join!(first.text(), async { second.await?.text().await });
    assert_eq!((first.unwrap().len(), second.unwrap().as_str()), (10, "second"));
}

/// A pipe to a server of ours, and how many requests went into it with each write.
struct Pipe {
    stream: DuplexStream,
    writes: Arc<Mutex<Vec<usize>>>,
}

impl AsyncRead for Pipe {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Pipe {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let requests = buf.windows(4).filter(|bytes| bytes == b"\r\n\r\n").count();
        self.writes.lock().unwrap().push(requests);
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// Connects once, by this pipe.
struct Once(Mutex<Option<Pipe>>);

impl Connect for Once {
    fn connect<'a>(&'a self, _: &'a str, _: u16) -> BoxFuture<'a, Result<Stream, BoxError>> {
        let pipe = self.0.lock().unwrap().take().ok_or("there is one pipe");
        Box::pin(async { Ok(Stream::boxed(pipe?)) })
    }
}

/// Answers that came together are each followed by another request. Whoever reads next writes them all, when there is nothing more to read.
#[tokio::test]
async fn what_follows_answers_that_came_together_goes_together() {
    const CALLS: usize = 6;
    let (stream, mut peer) = tokio::io::duplex(4096);
    let writes = Arc::<Mutex<Vec<usize>>>::default();
    tokio::spawn(async move {
        let mut received = Vec::new();
        while let Ok(1..) = peer.read_buf(&mut received).await {
            if received.windows(4).filter(|bytes| bytes == b"\r\n\r\n").count() == CALLS {
                received.clear();
                peer.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nbody".repeat(CALLS).as_slice())
                    .await
                    .unwrap();
            }
        }
    });
    let pipe = Pipe {
        stream,
        writes: Arc::clone(&writes),
    };
    let options = RouteOptions::new().connector(Connector::new(Once(Mutex::new(Some(pipe)))));
    let http = client(CALLS);
    let worker = |_| {
        let (http, options) = (http.clone(), options.clone());
        tokio::spawn(async move {
            for _ in 0..5 {
                let response = http.get("http://h.test/").extension(options.clone()).send().await.unwrap();
                assert_eq!(response.text().await.unwrap(), "body");
            }
        })
    };
    for worked in join_all((0..CALLS).map(worker)).await {
        worked.unwrap();
    }
    // The very first does not wait for others.
    assert_eq!(*writes.lock().unwrap(), [1, CALLS - 1, CALLS, CALLS, CALLS, CALLS]);
}

/// The call behind has its answer's head, and nobody reads the body: what was left to it to write goes out all the same.
#[tokio::test]
async fn a_reader_who_takes_their_time_holds_back_no_request() {
    let arrived = Arc::new(Notify::new());
    let told = Arc::clone(&arrived);
    let (url, _) = server(move |mut peer: Peer| {
        let told = Arc::clone(&told);
        async move {
            peer.request().await;
            told.notify_one();
            peer.request().await;
            let whole = "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nfirst";
            let begun = "HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nsec";
            peer.stream.write_all(format!("{whole}{begun}").as_bytes()).await.unwrap();
            peer.request().await;
            told.notify_one();
            peer.stream.write_all(b"ond").await.unwrap();
            peer.answer("", "third").await;
            peer.request().await;
        }
    })
    .await;
    let http = client(3);
    let first_and_third = tokio::spawn({
        let (http, url) = (http.clone(), url.clone());
        async move { (get(&http, &url, "/first").await, get(&http, &url, "/third").await) }
    });
    arrived.notified().await;
    let second = http.get(format!("{url}/second")).send().await.unwrap();
    // The third request.
    arrived.notified().await;
    assert_eq!(second.text().await.unwrap(), "second");
    assert_eq!(first_and_third.await.unwrap(), ("first".to_owned(), "third".to_owned()));
}
