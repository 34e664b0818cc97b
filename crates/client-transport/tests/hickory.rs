//! hickory as a resolver, against a DNS server of our own that speaks by hickory's codec.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use client_core::{ErrorKind, Trace};
use client_transport::dial::Dialer;
use client_transport::dns::Resolve;
use client_transport::hickory::Hickory;
use client_transport::hickory::hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolverConfig, ResolverOpts};
use client_transport::hickory::hickory_resolver::proto::op::{Message, OpCode, ResponseCode};
use client_transport::hickory::hickory_resolver::proto::rr::rdata::{A, AAAA};
use client_transport::hickory::hickory_resolver::proto::rr::{Name, RData, Record, RecordType};
use client_transport::route::{Origin, Route, Versions};

/// A DNS server that knows `h.example`, for 30 s; anything else does not exist. It ends with the process.
fn server(asked: Arc<AtomicUsize>) -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    thread::spawn(move || {
        let mut buffer = [0; 1500];
        while let Ok((length, peer)) = socket.recv_from(&mut buffer) {
            asked.fetch_add(1, Ordering::Relaxed);
            let question = Message::from_vec(&buffer[..length]).unwrap();
            let query = question.queries[0].clone();
            let mut answer = Message::response(question.metadata.id, OpCode::Query);
            if query.name().to_ascii() == "h.example." {
                let data = match query.query_type() {
                    RecordType::A => Some(RData::A(A(Ipv4Addr::new(127, 0, 0, 1)))),
                    RecordType::AAAA => Some(RData::AAAA(AAAA("::1".parse().unwrap()))),
                    _ => None,
                };
                answer.add_answers(data.map(|data| Record::from_rdata(query.name().clone(), 30, data)));
            } else {
                answer.metadata.response_code = ResponseCode::NXDomain;
            }
            answer.add_query(query);
            socket.send_to(&answer.to_vec().unwrap(), peer).unwrap();
        }
    });
    address
}

fn resolver(server: SocketAddr) -> Hickory {
    Hickory::new(asking(server, Vec::new()), ResolverOpts::default())
}

fn asking(server: SocketAddr, search: Vec<Name>) -> ResolverConfig {
    let mut connection = ConnectionConfig::udp();
    connection.port = server.port();
    ResolverConfig::from_parts(None, search, vec![NameServerConfig::new(server.ip(), true, vec![connection])])
}

fn route(url: &str) -> Route {
    Route::new(Origin::of(&url.parse().unwrap()).unwrap(), Versions::Http1)
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

#[test]
fn addresses_with_their_time_on_one_runtime_after_another() {
    let asked = Arc::default();
    let hickory = resolver(server(Arc::clone(&asked)));
    for round in 1..=2 {
        runtime().block_on(async {
            for _ in 0..3 {
                let answer = hickory.resolve("h.example").await.unwrap();
                let mut found: Vec<IpAddr> = answer.addresses.iter().map(SocketAddr::ip).collect();
                found.sort();
                assert_eq!(found, ["127.0.0.1".parse::<IpAddr>().unwrap(), "::1".parse().unwrap()]);
                assert!(answer.addresses[0].is_ipv6(), "{answer:?}");
                assert!(answer.ttl.is_some_and(|ttl| ttl <= Duration::from_secs(30) && ttl > Duration::ZERO), "{answer:?}");
            }
        });
        // Not exactly: a slow answer is asked for again.
        assert!(asked.load(Ordering::Relaxed) >= 2 * round, "each family, on each runtime");
    }
}

#[test]
fn a_name_that_does_not_exist() {
    let dialer = Dialer::new().resolver(resolver(server(Arc::default())));
    let error = runtime().block_on(dialer.dial(&route("http://none.example/"), &Trace::default())).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Resolve);
    assert_eq!(error.to_string(), "cannot resolve \"none.example\": there is no such name");
    assert!(std::error::Error::source(&error).is_some());
}

/// Set up as it is here, hickory itself would ask about an address, too: as a name within the search domain.
#[test]
fn what_stays_on_this_machine() {
    let asked = Arc::default();
    let mut options = ResolverOpts::default();
    options.ndots = 15;
    let search = vec!["corp.example.".parse().unwrap()];
    let hickory = Arc::new(Hickory::new(asking(server(Arc::clone(&asked)), search), options));
    let dialer = Dialer::new().resolver(Arc::clone(&hickory));
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    runtime().block_on(async {
        for host in ["localhost", "LocalHost.", "api.localhost", "127.0.0.1"] {
            let dialed = dialer.dial(&route(&format!("http://{host}:{}/", address.port())), &Trace::default()).await;
            assert!(dialed.is_ok(), "{host}: {dialed:?}");
        }
        assert_eq!(asked.load(Ordering::Relaxed), 0);
        hickory.resolve("127.0.0.1").await.unwrap();
        assert!(asked.load(Ordering::Relaxed) > 0, "asked about one, it asks its server");
    });
}

#[test]
fn outside_of_a_runtime_is_an_error() {
    let hickory = resolver(server(Arc::default()));
    let mut lookup = hickory.resolve("h.example");
    let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
    let std::task::Poll::Ready(outcome) = lookup.as_mut().poll(&mut cx) else {
        panic!()
    };
    assert!(outcome.unwrap_err().to_string().starts_with("no tokio runtime"));
}
