//! Bodies, both ways: bounded, in step with their reader, and whole or an error.

mod support;

use std::io::Write;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use client_core::{Body, ErrorKind, Phase, Sent};
use client_ureq::Ureq;
use futures::executor::block_on;
use futures::future::join_all;
use futures::stream;
use support::{OK, Server, client, default, get, pieces, text};

const BIG: usize = 8 << 20;

fn big_response() -> Vec<u8> {
    let mut response = format!("HTTP/1.1 200 OK\r\nContent-Length: {BIG}\r\n\r\n").into_bytes();
    response.resize(response.len() + BIG, b'x');
    response
}

#[test]
fn a_big_response_arrives_whole() {
    let server = Server::always(big_response());
    let http = default();
    for _ in 0..2 {
        let mut response = get(&http, server.url("/")).unwrap();
        let mut n = 0;
        while let Some(chunk) = block_on(response.chunk()).unwrap() {
            assert!(chunk.iter().all(|byte| *byte == b'x'));
            n += chunk.len();
            assert_eq!(response.content_length(), Some((BIG - n) as u64));
        }
        assert_eq!(n, BIG);
    }
    assert_eq!(server.accepted(), 1);
}

#[test]
fn a_server_is_not_read_faster_than_its_response() {
    let (tell, told) = channel();
    let tell = Mutex::new(tell);
    let server = Server::start(move |mut peer, _| {
        peer.head();
        peer.send("HTTP/1.1 200 OK\r\n\r\n");
        // A write that makes no progress for so long has met a full socket.
        peer.stream.set_write_timeout(Some(Duration::from_millis(500))).unwrap();
        let mut sent = 0;
        while let Ok(n @ 1..) = peer.stream.write(&[0; 65536])
            && sent < 64 << 20
        {
            sent += n;
        }
        tell.lock().unwrap().send(sent).unwrap();
    });
    let response = get(&default(), server.url("/")).unwrap();
    // What the system buffers for a socket, and no more than the bridge of ours.
    let sent = told.recv().unwrap();
    assert!(sent < 32 << 20, "{sent} bytes");
    drop(response);
}

#[test]
fn responses_that_nobody_reads_hold_no_thread() {
    let server = Server::always(big_response());
    let http = client(Ureq::builder().max_threads(2));
    let unread: Vec<_> = (0..20).map(|_| get(&http, server.url("/")).unwrap()).collect();
    // All at once, on two threads.
    let read = block_on(join_all(unread.into_iter().map(|response| async {
        let mut response = response;
        let mut n = 0;
        while let Some(chunk) = response.chunk().await.unwrap() {
            n += chunk.len();
        }
        n
    })));
    assert!(read.iter().all(|n| *n == BIG));
}

#[test]
fn uploads_fed_by_downloads_do_not_wait_for_each_other() {
    let source = Server::always(big_response());
    let sink = Server::start(|mut peer, _| {
        peer.head();
        while let Some(size) = peer.until("\r\n") {
            let size = usize::from_str_radix(size.trim(), 16).unwrap();
            peer.bytes(size + 2);
            if size == 0 {
                // A one-shot body that meets a connection just closed could not be sent again: it is said beforehand.
                peer.send("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok");
                return;
            }
        }
    });
    let http = client(Ureq::builder().max_threads(2));
    let pipes = (0..8).map(|_| async {
        let response = http.get(source.url("/")).send().await.unwrap();
        let body = Body::stream(response.bytes_stream());
        http.post(sink.url("/")).body(body).send().await.unwrap().text().await.unwrap()
    });
    assert!(block_on(join_all(pipes)).iter().all(|answer| answer == "ok"));
}

#[test]
fn an_upload_is_polled_only_as_fast_as_it_is_sent() {
    const PIECE: &[u8] = &[b'x'; 1 << 20];
    let (done, over) = channel::<()>();
    let over = Mutex::new(over);
    let server = Server::start(move |mut peer, _| {
        peer.head();
        let _ = over.lock().unwrap().recv();
    });
    let made = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&made);
    let body = stream::iter((0..64).map(move |_| {
        count.fetch_add(1, Ordering::SeqCst);
        Ok::<_, std::io::Error>(PIECE)
    }));
    let http = client(Ureq::builder().socket_timeout(Duration::from_millis(500)));
    let error = block_on(http.post(server.url("/")).body(Body::stream(body)).send()).unwrap_err();
    assert!(error.is_timeout(), "{error}");
    let made = made.load(Ordering::SeqCst);
    assert!((1..32).contains(&made), "{made} MiB");
    drop(done);
}

#[test]
fn a_refusal_ends_the_upload_and_is_read() {
    const REFUSED: &str = "HTTP/1.1 413 Content Too Large\r\nContent-Length: 2\r\n\r\nno";
    /// What the server does after its refusal.
    #[derive(Clone, Copy, Debug)]
    enum Then {
        Close,
        StopReading,
        KeepReading,
    }
    for then in [Then::Close, Then::StopReading, Then::KeepReading] {
        for sized in [false, true] {
            let (done, over) = channel::<()>();
            let over = Mutex::new(over);
            let server = Server::start(move |mut peer, _| {
                peer.head();
                peer.send(REFUSED);
                match then {
                    Then::Close => {}
                    Then::StopReading => drop(over.lock().unwrap().recv()),
                    Then::KeepReading => drop(peer.closed()),
                }
            });
            let body = stream::iter((0..400).map(|_| Ok::<_, std::io::Error>(&[b'x'; 100_000][..])));
            let body = if sized { Body::sized_stream(40_000_000, body) } else { Body::stream(body) };
            let http = default();
            let answer = block_on(async { http.post(server.url("/")).body(body).send().await?.text().await });
            assert_eq!(answer.unwrap(), "no", "{then:?} {sized}");
            drop(done);
        }
    }
}

#[test]
fn a_refusal_is_read_while_the_producer_hesitates() {
    let server = Server::start(|mut peer, _| {
        peer.head();
        peer.send("HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n");
        peer.closed();
    });
    let body = Body::stream(stream::pending::<Result<&str, std::io::Error>>());
    let response = block_on(default().post(server.url("/")).body(body).send()).unwrap();
    assert_eq!(response.status(), 401);
}

#[test]
fn expect_continue() {
    let begun = Arc::new(AtomicBool::new(false));
    let watched = |flag: &Arc<AtomicBool>| {
        let flag = Arc::clone(flag);
        Body::sized_stream(
            3,
            stream::once(async move {
                flag.store(true, Ordering::SeqCst);
                Ok::<_, std::io::Error>("abc")
            }),
        )
    };
    // With the go-ahead, with one that has fields, and without any.
    for interim in [
        "HTTP/1.1 100 Continue\r\n\r\n",
        "HTTP/1.1 100 Continue\r\nX: y\r\n\r\n",
        "HTTP/1.1 102 Processing\r\n\r\n",
        "",
    ] {
        let server = Server::start(move |mut peer, _| {
            while let Some(head) = peer.head() {
                assert!(head.contains("expect: 100-continue"));
                peer.send(interim);
                assert_eq!(peer.bytes(3).unwrap(), b"abc");
                peer.send(OK);
            }
        });
        let http = default();
        let request = http.post(server.url("/")).header("expect", "100-continue").body(watched(&begun));
        assert_eq!(block_on(async { request.send().await?.text().await }).unwrap(), "ok", "{interim}");
    }
    // Refused: nothing is sent, and the response needs nothing to follow it.
    for refusal in [
        "HTTP/1.1 417 No\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 417 No\r\nContent-Length: 2\r\nA: b\r\n\r\nno",
    ] {
        let (tell, told) = channel();
        let tell = Mutex::new(tell);
        let server = Server::start(move |mut peer, _| {
            peer.head();
            peer.send(refusal);
            tell.lock().unwrap().send(peer.closed()).unwrap();
        });
        let http = default();
        let response = block_on(http.post(server.url("/")).header("expect", "100-continue").body("abc").send()).unwrap();
        assert_eq!(response.status(), 417);
        assert_eq!(told.recv().unwrap(), 0, "no byte of the body");
    }
}

#[test]
fn a_producer_that_fails_is_a_body_error() {
    let server = Server::start(|mut peer, _| {
        peer.head();
        peer.closed();
    });
    let failing = stream::iter([Ok("abc"), Err(std::io::Error::other("disk on fire"))]);
    let bodies = [
        Body::stream(failing),
        Body::sized_stream(4, stream::iter([Ok::<_, std::io::Error>("abc")])),
        Body::sized_stream(2, stream::iter([Ok::<_, std::io::Error>("abc")])),
    ];
    for body in bodies {
        let error = block_on(default().post(server.url("/")).body(body).send()).unwrap_err();
        assert_eq!(
            (error.kind(), error.phase(), error.sent()),
            (ErrorKind::Body, Some(Phase::Send), Sent::Maybe),
            "{error}"
        );
    }
}

#[test]
fn what_ends_early_is_an_error() {
    let table = [
        ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc", ErrorKind::Closed),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabc", ErrorKind::Closed),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n", ErrorKind::Protocol),
    ];
    for (answer, kind) in table {
        let server = Server::start(move |mut peer, _| {
            peer.head();
            peer.send(answer);
        });
        let response = get(&default(), server.url("/")).unwrap();
        let error = block_on(response.bytes()).unwrap_err();
        assert_eq!((error.kind(), error.phase(), error.sent()), (kind, Some(Phase::Body), Sent::Answered), "{answer}");
    }
    let heads = [
        ("", ErrorKind::Closed),
        ("HTTP/1.1 200 OK\r\nContent-Le", ErrorKind::Closed),
        ("SSH-2.0-OpenSSH\r\n\r\n", ErrorKind::Protocol),
        ("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n", ErrorKind::Protocol),
        ("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", ErrorKind::Protocol),
    ];
    for (answer, kind) in heads {
        let server = Server::start(move |mut peer, _| {
            peer.head();
            peer.send(answer);
        });
        let error = get(&default(), server.url("/")).unwrap_err();
        assert_eq!((error.kind(), error.phase()), (kind, Some(Phase::Head)), "{answer}: {error}");
    }
}

#[test]
fn limits_of_heads() {
    let fields = "X-Y: z\r\n".repeat(50);
    let server = Server::always(format!("HTTP/1.1 200 OK\r\n{fields}Content-Length: 0\r\n\r\n"));
    let http = default();
    let ask = |limits: fn(client_core::Limits) -> client_core::Limits| block_on(http.get(server.url("/")).limits(limits).send());
    assert_eq!(ask(|limits| limits).unwrap().headers().len(), 51);
    for error in [ask(|limits| limits.head_bytes(300)), ask(|limits| limits.head_fields(50))] {
        assert_eq!(error.unwrap_err().kind(), ErrorKind::TooLarge);
    }
    // A head beyond any buffer's first size.
    let long = "v".repeat(200_000);
    let server = Server::always(format!("HTTP/1.1 200 OK\r\nX: {long}\r\nContent-Length: 2\r\n\r\nok"));
    assert_eq!(text(&http, server.url("/")).unwrap(), "ok");
    let server = Server::always("HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n".repeat(17) + OK);
    assert_eq!(get(&http, server.url("/")).unwrap_err().kind(), ErrorKind::TooLarge);
    let server = Server::always("HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n".repeat(16) + OK);
    assert_eq!(text(&http, server.url("/")).unwrap(), "ok");
}

#[test]
fn a_response_split_anywhere_is_the_same() {
    let answer = "HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\
                  3;x=y\r\nabc\r\n4\r\ndefg\r\n0\r\nTrailer: t\r\n\r\n";
    for at in 0..answer.len() {
        let server = Server::start(move |mut peer, _| {
            peer.stream.set_nodelay(true).unwrap();
            while peer.head().is_some() {
                peer.send(&answer[..at]);
                std::thread::yield_now();
                peer.send(&answer[at..]);
            }
        });
        let http = default();
        for _ in 0..2 {
            assert_eq!(text(&http, server.url("/")).unwrap(), "abcdefg", "split at {at}");
        }
        assert_eq!(server.accepted(), 1, "split at {at}");
    }
}

#[test]
fn a_body_until_the_end_of_the_connection() {
    let server = Server::start(|mut peer, _| {
        peer.head();
        peer.send("HTTP/1.0 200 OK\r\n\r\nto the end");
    });
    assert_eq!(text(&default(), server.url("/")).unwrap(), "to the end");
    assert_eq!(pieces(1, b"a").len(), None);
}

#[test]
fn trailers_arrive_after_the_body() {
    let server = Server::always(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;a-long-extension=\"of no interest at all\"\r\nabc\r\n0\r\n\
         X-Sum: 1\r\nX-Sum: 2\r\n\r\n",
    );
    let http = default();
    for _ in 0..2 {
        let mut response = get(&http, server.url("/")).unwrap();
        assert_eq!(block_on(response.chunk()).unwrap().unwrap(), "abc");
        assert_eq!(block_on(response.chunk()).unwrap(), None);
        let trailers = response.trailers().unwrap();
        assert_eq!(trailers.get_all("x-sum").iter().collect::<Vec<_>>(), ["1", "2"]);
    }
    assert_eq!(server.accepted(), 1);
}
