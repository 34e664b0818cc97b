//! Running the cases: an engine at every endpoint of a server. What must never enter: what a case says.

use std::sync::Arc;
use std::time::{Duration, Instant};

use client_conformance::servers::{Authority, Relay};
use client_conformance::{ProxySetting, Settings, Subject, Verdict, bounded};
use client_core::{Capabilities, Capability, ErrorKind, HttpClient, RequestBuilder, Result, TlsConfig, Version};

use super::place::{PASSWORD, Place, USER};
use super::{Endpoint, Kind, RealCase, RealServer, cases};
use crate::engines::{EngineUnderTest, KNOWN};

/// One case, run by one engine at one endpoint.
pub struct RealResult {
    /// Which server.
    pub server: &'static str,
    /// Which of its endpoints.
    pub endpoint: &'static str,
    /// Which engine.
    pub engine: &'static str,
    /// Which case.
    pub case: &'static RealCase,
    /// How it ended. Skipped: the engine does not promise what it needs.
    pub verdict: Verdict,
    /// How long it took.
    pub elapsed: Duration,
    /// What was on the wire, as text.
    pub wire: String,
}

/// Longer than any case takes on a slow and busy machine: whoever needs it hangs.
const DEADLINE: Duration = Duration::from_secs(30);

/// Runs every selected case that an endpoint suits, on one engine.
pub fn judge(server: &RealServer, engine: &EngineUnderTest, selects: &dyn Fn(&RealCase) -> bool) -> Vec<RealResult> {
    let subject = (engine.subject)();
    let mut results = Vec::new();
    for endpoint in &server.endpoints {
        for case in cases().filter(|case| selects(case) && (case.suits)(endpoint)) {
            let started = Instant::now();
            let (verdict, wire) = attempt(&subject, (engine.capabilities)(), server, endpoint, case);
            let known = KNOWN.iter().find(|(name, id, _)| *name == engine.name && *id == case.id);
            let verdict = match (verdict, known) {
                (Verdict::Failed(_), Some((_, _, why))) => Verdict::Deviates(why),
                (verdict, _) => verdict,
            };
            results.push(RealResult {
                server: server.name,
                endpoint: endpoint.name,
                engine: engine.name,
                case,
                verdict,
                elapsed: started.elapsed(),
                wire,
            });
        }
    }
    results
}

fn attempt(
    subject: &Arc<dyn Subject>,
    capabilities: Capabilities,
    server: &RealServer,
    endpoint: &Endpoint,
    case: &'static RealCase,
) -> (Verdict, String) {
    let needs = endpoint.needs() | case.needs;
    if let Some(missing) = needs.missing_in(capabilities) {
        return (Verdict::Skipped(format!("it does not promise {}", missing.describe())), String::new());
    }
    let visit = Visit(Arc::new(Visited {
        subject: Arc::clone(subject),
        capabilities,
        kind: endpoint.kind,
        relay: Relay::start(endpoint.addr),
        place: Arc::clone(&server.place),
    }));
    let of_case = visit.clone();
    let ended = bounded(subject, case.id, DEADLINE, async move {
        let outcome = (case.run)(of_case.clone()).await;
        // Its clients are gone, and so are their connections.
        of_case.relay().until(|counts| counts.open == 0).await;
        outcome
    });
    let verdict = match ended {
        Ok(Ok(())) => Verdict::Passed,
        Ok(Err(error)) => Verdict::Failed(format!("unexpected error: {error} ({error:?})")),
        Err(unfinished) => Verdict::Failed(unfinished.to_string()),
    };
    (verdict, visit.relay().wire())
}

/// What a case works with: one engine at one endpoint. Clones are the same.
#[derive(Clone)]
pub(super) struct Visit(Arc<Visited>);

struct Visited {
    subject: Arc<dyn Subject>,
    capabilities: Capabilities,
    kind: Kind,
    relay: Relay,
    place: Arc<Place>,
}

impl Visit {
    /// What stands before the endpoint, and counts.
    pub(super) fn relay(&self) -> &Relay {
        &self.0.relay
    }

    /// What stands behind it.
    pub(super) fn place(&self) -> &Place {
        &self.0.place
    }

    /// A client for this endpoint: it trusts the suite, and uses the proxy that this is.
    pub(super) fn client(&self) -> Result<HttpClient> {
        self.client_with(Authority::get().trusted())
    }

    /// The same, with this to trust.
    pub(super) fn client_with(&self, tls: TlsConfig) -> Result<HttpClient> {
        let credentials = match self.0.kind {
            Kind::HttpProxy { asks: true } | Kind::Socks5 { asks: true } | Kind::HttpsProxy => Some((USER, PASSWORD)),
            _ => None,
        };
        self.client_of(tls, credentials)
    }

    /// Clients that the proxy is not to serve.
    pub(super) fn strangers(&self) -> Result<[HttpClient; 2]> {
        let tls = || Authority::get().trusted();
        Ok([
            self.client_of(tls(), None)?,
            self.client_of(tls(), Some((USER, "wrong-password")))?,
        ])
    }

    fn client_of(&self, tls: TlsConfig, credentials: Option<(&str, &str)>) -> Result<HttpClient> {
        let addr = self.0.relay.addr();
        let url = match self.0.kind {
            Kind::HttpProxy { .. } => Some(format!("http://{addr}")),
            Kind::HttpsProxy => Some(format!("https://localhost:{}", addr.port())),
            Kind::Socks5 { .. } => Some(format!("socks5h://{addr}")),
            Kind::Socks4 => Some(format!("socks4://{addr}")),
            _ => None,
        };
        let mut settings = Settings::default();
        settings.proxy = url.map(|url| {
            let mut proxy = ProxySetting::new(url);
            proxy.credentials = credentials.map(|(user, password)| (user.to_owned(), password.to_owned()));
            proxy.tls = Authority::get().trusted();
            proxy
        });
        settings.tls = tls;
        let engine = self.0.subject.engine(&settings);
        let engine = engine.ok_or_else(|| client_core::Error::new(ErrorKind::Engine, format!("no such setting: {settings}")))?;
        HttpClient::builder(engine).build()
    }

    /// The version that has to come of it.
    pub(super) fn version(&self) -> Version {
        match self.0.kind {
            Kind::PriorKnowledge | Kind::TlsHttp2 => Version::HTTP_2,
            Kind::Tls | Kind::HastyTls if self.0.capabilities.contains(Capability::Http2) => Version::HTTP_2,
            _ => Version::HTTP_11,
        }
    }

    pub(super) fn get(&self, client: &HttpClient, path: &str) -> RequestBuilder {
        self.request(client, "GET", path)
    }

    /// A request to the server that this is.
    pub(super) fn request(&self, client: &HttpClient, method: &str, path: &str) -> RequestBuilder {
        let addr = self.0.relay.addr();
        let url = match self.0.kind {
            Kind::Tls | Kind::TlsHttp2 | Kind::HastyTls => format!("https://localhost:{}{path}", addr.port()),
            _ => format!("http://{addr}{path}"),
        };
        let request = client.request(method, url);
        // Whoever can speak either has to be told.
        if self.0.kind == Kind::PriorKnowledge {
            request.version(Version::HTTP_2)
        } else {
            request
        }
    }
}
