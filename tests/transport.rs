//! What the engines on our transport share beyond the suite: their pool over time, streams of the user's own, what they may connect to, and where
//! secrets go behind every kind of proxy.

#[path = "transport/in_memory.rs"]
mod in_memory;
#[path = "transport/secrets.rs"]
mod secrets;

use std::time::Duration;

use client_conformance::servers::App;
use client_core::{AnyEngine, BoxError, BoxFuture, ErrorKind, HttpClient, Phase, Sent, TimeoutKind};
use client_transport::dial::Dialer;
use client_transport::dns::{Answer, Overrides, Resolve, System};
use client_transport::egress::deny_private_networks;
use client_transport::route::RouteOptions;
use client_transport::wire::PoolEvent;

/// What these tests set.
struct Asked {
    route: RouteOptions,
    dialer: Dialer,
    max_lifetime: Option<Duration>,
    observer: Box<dyn Fn(&PoolEvent<'_>) + Send + Sync>,
}

impl Default for Asked {
    fn default() -> Self {
        Self {
            route: RouteOptions::new(),
            dialer: Dialer::new(),
            max_lifetime: None,
            observer: Box::new(|_| {}),
        }
    }
}

type Make = fn(Asked) -> AnyEngine;

/// The engines that speak HTTP/1.1, so that their bytes can be read. Idle connections are kept for 90 s.
const ENGINES: [(&str, Make); 2] = [
    ("cio", |asked| {
        let builder = client_cio::Cio::builder().endpoint(|endpoint| endpoint.keep_alive(Duration::from_secs(90)));
        let builder = builder.max_lifetime(asked.max_lifetime).pool_observer(asked.observer);
        builder.route(|_| asked.route).dialer(|_| asked.dialer).build().into()
    }),
    ("hyper", |asked| {
        let builder = client_hyper::Hyper::builder().max_lifetime(asked.max_lifetime).pool_observer(asked.observer);
        builder.route(|_| asked.route).dialer(|_| asked.dialer).build().into()
    }),
];

fn client(make: Make, asked: Asked) -> HttpClient {
    HttpClient::builder(make(asked)).build().unwrap()
}

/// An application that forbids private addresses but for one server's: whatever that server redirects to is looked at like any other.
#[tokio::test]
async fn no_redirect_leads_past_the_egress_policy() {
    for (engine, make) in ENGINES {
        let app = App::start();
        let port = app.addr().port();
        let names = Overrides::new(System).with("rebound.example", [([127, 0, 0, 2], 0)]);
        let policy = deny_private_networks().except("127.0.0.1".parse().unwrap());
        let http = client(
            make,
            Asked {
                dialer: Dialer::new().resolver(names).egress(policy),
                ..Asked::default()
            },
        );
        assert_eq!(http.get(app.url("/")).send().await.unwrap().text().await.unwrap(), "hello");
        for host in [
            "127.0.0.2",
            "rebound.example",
            "169.254.169.254",
            "[::1]",
            "[::ffff:127.0.0.2]",
            "[64:ff9b::7f00:2]",
            "[2002:7f00:2::]",
            // As people and browsers write 127.0.0.2, too.
            "2130706434",
            "0x7f.2",
            "0177.0.0.2",
            "127.2",
            "0.0.0.0",
        ] {
            let direct = http.get(format!("http://{host}:{port}/")).send().await.unwrap_err();
            assert_eq!((direct.kind(), direct.sent()), (ErrorKind::Connect, Sent::Nothing), "{engine} {host}: {direct}");
            let url = app.url(&format!("/redirect-to?302&http://{host}:{port}/"));
            let error = http.get(url).send().await.unwrap_err();
            assert_eq!((error.kind(), error.sent()), (ErrorKind::Connect, Sent::Answered), "{engine} {host}: {error}");
            assert!(error.to_string().contains("the egress policy forbids"), "{engine} {host}: {error}");
        }
        let error = http.get(app.url("/")).unix_socket("/run/docker.sock").send().await.unwrap_err();
        assert!(error.to_string().contains("the egress policy forbids /run/docker.sock"), "{engine}: {error}");
        assert_eq!(app.counts().accepted, 1, "{engine}: one connection, to the place that is allowed");
    }
}

/// Never answers.
struct Forever;

impl Resolve for Forever {
    fn resolve<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<Answer, BoxError>> {
        Box::pin(std::future::pending())
    }
}

#[tokio::test(start_paused = true)]
async fn a_resolver_that_hangs_is_bounded_by_connect() {
    for (engine, make) in ENGINES {
        let asked = Asked {
            dialer: Dialer::new().resolver(Forever),
            ..Asked::default()
        };
        let limit = Duration::from_secs(3);
        let request = client(make, asked).get("http://h.example/").timeout(|timeout| timeout.connect(limit));
        let started = tokio::time::Instant::now();
        let error = request.send().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Timeout(TimeoutKind::Connect), "{engine}: {error}");
        assert_eq!((error.phase(), error.sent()), (Some(Phase::Resolve), Sent::Nothing), "{engine}");
        assert!(started.elapsed() >= limit && started.elapsed() < 2 * limit, "{engine}: {:?}", started.elapsed());
    }
}
