//! What a case works with: the client under test, and servers. Everything that a case is given is remembered, so that afterwards
//! nothing may be left open.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use client_core::{Capabilities, Capability, HttpClient, HttpClientBuilder, Response};

use crate::case::{Outcome, Stop, ensure, ensure_eq};
use crate::servers::{App, Authority, Certificate, Door, Ledger, Proxy, ProxyPlan, Raw, Script, Tls, h2, pattern, runtime};
use crate::subject::{Settings, Subject};

/// A case's surroundings. Clones are the same.
#[derive(Clone)]
pub(crate) struct Ctx(Arc<Shared>);

struct Shared {
    subject: Arc<dyn Subject>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// What is being waited for; said when nothing comes.
    step: String,
    client: Option<HttpClient>,
    /// Every client; each is to serve one more request, unless the case closed it.
    clients: Vec<HttpClient>,
    is_closed: bool,
    app: Option<Arc<App>>,
    servers: Vec<Server>,
}

#[derive(Clone)]
enum Server {
    App(Arc<App>),
    Raw(Arc<Raw>),
    H2(Arc<h2::Server>),
    Proxy(Arc<Proxy>),
    Door(Arc<Door>),
}

impl Server {
    fn ledger(&self) -> &Ledger {
        match self {
            Self::App(app) => app.ledger(),
            Self::Raw(raw) => raw.ledger(),
            Self::H2(h2) => h2.ledger(),
            Self::Proxy(proxy) => proxy.ledger(),
            Self::Door(door) => door.ledger(),
        }
    }
}

impl Ctx {
    pub(crate) fn new(subject: Arc<dyn Subject>) -> Self {
        Self(Arc::new(Shared {
            subject,
            state: Mutex::default(),
        }))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The client under test, with default settings.
    pub(crate) fn client(&self) -> Result<HttpClient, Stop> {
        let made = self.state().client.clone();
        if let Some(client) = made {
            return Ok(client);
        }
        let client = self.client_with(&Settings::default())?;
        self.state().client = Some(client.clone());
        Ok(client)
    }

    /// Another client, with an engine of its own. The case is skipped if the engine has no such settings.
    pub(crate) fn client_with(&self, settings: &Settings) -> Result<HttpClient, Stop> {
        self.client_built(settings, |builder| builder)
    }

    /// Another client, with an engine and plugins of its own.
    pub(crate) fn client_built(
        &self,
        settings: &Settings,
        configure: impl FnOnce(HttpClientBuilder) -> HttpClientBuilder,
    ) -> Result<HttpClient, Stop> {
        let engine = self.0.subject.engine(settings);
        let engine = engine.ok_or_else(|| Stop::skipped(format!("the engine has no such setting: {settings}")))?;
        let client = configure(HttpClient::builder(engine)).build()?;
        self.state().clients.push(client.clone());
        Ok(client)
    }

    pub(crate) fn subject(&self) -> &Arc<dyn Subject> {
        &self.0.subject
    }

    /// The case's clients are not to serve one more request: it closes them, or what they need is not there.
    pub(crate) fn closes_clients(&self) {
        self.state().is_closed = true;
    }

    /// What the engine promises.
    pub(crate) fn capabilities(&self) -> Result<Capabilities, Stop> {
        Ok(self.client()?.capabilities())
    }

    /// Whether the engine promises this.
    pub(crate) fn has(&self, capability: Capability) -> Result<bool, Stop> {
        Ok(self.capabilities()?.contains(capability))
    }

    /// The names of a request's fields, in lower case, sorted, less what the engine is known to add: only of the value that was declared, and only
    /// once.
    pub(crate) fn names(&self, fields: &[(String, Vec<u8>)]) -> Vec<String> {
        let mut left: Vec<_> = fields.iter().map(|(name, value)| (name.to_ascii_lowercase(), value.as_slice())).collect();
        for (name, value) in self.0.subject.additions() {
            let added = left.iter().position(|field| field == &((*name).to_owned(), value.as_bytes()));
            added.map(|index| left.remove(index));
        }
        let mut names: Vec<_> = left.into_iter().map(|(name, _)| name).collect();
        names.sort_unstable();
        names
    }

    /// The server of routes.
    pub(crate) fn app(&self) -> Arc<App> {
        let mut state = self.state();
        if let Some(app) = &state.app {
            return Arc::clone(app);
        }
        let app = Arc::new(App::start());
        state.app = Some(Arc::clone(&app));
        state.servers.push(Server::App(Arc::clone(&app)));
        app
    }

    /// The server of routes, over TLS.
    pub(crate) fn app_tls(&self, tls: &Tls) -> Arc<App> {
        let app = Arc::new(App::start_tls(tls));
        self.state().servers.push(Server::App(Arc::clone(&app)));
        app
    }

    /// A server that follows one script on every connection.
    pub(crate) fn raw(&self, script: Script) -> Arc<Raw> {
        self.raws([script])
    }

    /// A server that follows a script per connection, and the last one on all further ones.
    pub(crate) fn raws(&self, scripts: impl IntoIterator<Item = Script>) -> Arc<Raw> {
        self.remember(Raw::start(scripts))
    }

    /// The same over TLS.
    pub(crate) fn raw_tls(&self, tls: &Tls, script: Script) -> Arc<Raw> {
        self.raws_tls(tls, [script])
    }

    /// A server over TLS that follows a script per connection, and the last one on all further ones.
    pub(crate) fn raws_tls(&self, tls: &Tls, scripts: impl IntoIterator<Item = Script>) -> Arc<Raw> {
        self.remember(Raw::start_tls(tls, scripts))
    }

    /// A server of HTTP/2 frames; afterwards, no client may have broken a rule of RFC 9113.
    pub(crate) fn h2(&self, server: h2::Server) -> Arc<h2::Server> {
        let server = Arc::new(server);
        self.state().servers.push(Server::H2(Arc::clone(&server)));
        server
    }

    fn remember(&self, raw: Raw) -> Arc<Raw> {
        let raw = Arc::new(raw);
        self.state().servers.push(Server::Raw(Arc::clone(&raw)));
        raw
    }

    /// A proxy.
    pub(crate) fn proxy(&self, plan: ProxyPlan) -> Arc<Proxy> {
        let proxy = Arc::new(plan.start());
        self.state().servers.push(Server::Proxy(Arc::clone(&proxy)));
        proxy
    }

    /// A Unix socket that leads to the server at `addr`.
    pub(crate) fn door(&self, addr: SocketAddr) -> Result<Arc<Door>, Stop> {
        let door = Door::to(addr).map_err(|error| Stop::skipped(format!("no Unix socket can be made: {error}")))?;
        let door = Arc::new(door);
        self.state().servers.push(Server::Door(Arc::clone(&door)));
        Ok(door)
    }

    /// Settings that trust the suite's authority only.
    pub(crate) fn trusting(&self) -> Settings {
        Settings {
            tls: Authority::get().trusted(),
            ..Settings::default()
        }
    }

    /// A server of routes with a good certificate, in the version of the client's choice, and a client that trusts it.
    pub(crate) fn good_tls(&self) -> Result<(Arc<App>, HttpClient), Stop> {
        let tls = Tls::new(Certificate::Good).alpn(&["h2", "http/1.1"]);
        Ok((self.app_tls(&tls), self.client_with(&self.trusting())?))
    }

    /// Waits for something that has to happen. If it does not, the case fails with these words.
    pub(crate) async fn wait<T>(&self, what: &str, event: impl Future<Output = T>) -> T {
        self.state().step = format!("waiting until {what}");
        let output = event.await;
        self.state().step.clear();
        output
    }

    /// What is being waited for.
    pub(crate) fn step(&self) -> String {
        let step = self.state().step.clone();
        if step.is_empty() { "running".to_owned() } else { step }
    }

    /// Lets time pass, where time is what a case is about.
    pub(crate) async fn sleep(&self, duration: Duration) {
        runtime::sleep(duration).await;
    }

    /// What must hold after every case: its clients serve one more request, and once they are dropped, no connection is left.
    pub(crate) async fn aftercare(&self) -> Outcome {
        let clients = {
            let state = self.state();
            if state.is_closed { Vec::new() } else { state.clients.clone() }
        };
        for client in &clients {
            let url = self.app().url("/bytes/1000");
            let one_more = self.wait("the client has served one more request", client.get(url).send()).await;
            let response = one_more.map_err(|error| Stop::failed(format!("afterwards, one more request fails: {error:?}")))?;
            ensure_eq!(response.status(), 200, "status of one more request");
            let body = self.wait("one more body has arrived", response.bytes()).await?;
            ensure_eq!(body, pattern(1000), "body of one more request");
        }
        drop(clients);
        let servers = {
            let mut state = self.state();
            state.client = None;
            state.clients.clear();
            state.servers.clone()
        };
        for server in &servers {
            let closed = server.ledger().until(|counts| counts.open == 0);
            self.wait("no connection is left open after the client was dropped", closed).await;
            if let Server::H2(h2) = server {
                ensure_eq!(h2.violations(), [""; 0], "violations of RFC 9113 by the client");
            }
            if let Server::Proxy(proxy) = server {
                ensure!(proxy.counts().accepted > 0, "the proxy was passed by");
            }
        }
        self.wait("no task is left after the client was dropped", self.tasks_ended()).await;
        Ok(())
    }

    /// The runtime tells nobody when a task has ended: it has to be asked.
    async fn tasks_ended(&self) {
        while self.0.subject.tasks().is_some_and(|alive| alive > 0) {
            runtime::sleep(Duration::from_millis(1)).await;
        }
    }

    /// What the servers saw.
    pub(crate) fn wire(&self) -> String {
        let servers = self.state().servers.clone();
        let wire = |server: &Server| match server {
            Server::App(app) => app.ledger().wire("app"),
            Server::Raw(raw) => raw.ledger().wire("raw"),
            Server::H2(h2) => h2.wire(),
            Server::Proxy(proxy) => proxy.ledger().wire("proxy"),
            Server::Door(door) => door.ledger().wire("socket"),
        };
        servers.iter().map(wire).collect()
    }
}

/// What a response must be.
pub(crate) trait Expect {
    /// Status 200, and exactly this body.
    async fn expect_body(self, body: impl AsRef<[u8]>) -> Outcome;
}

impl Expect for client_core::Result<Response> {
    async fn expect_body(self, body: impl AsRef<[u8]>) -> Outcome {
        let response = self?;
        ensure_eq!(response.status(), 200, "status");
        let got = response.bytes().await?;
        // A mebibyte in a message helps nobody.
        if got.len() + body.as_ref().len() > 256 {
            let same = got.iter().zip(body.as_ref()).take_while(|(a, b)| a == b).count();
            let (length, expected) = (got.len(), body.as_ref().len());
            ensure_eq!((same, length), (expected, expected), "equal bytes and length of the body");
        } else {
            ensure_eq!(got, body.as_ref(), "body");
        }
        Ok(())
    }
}
