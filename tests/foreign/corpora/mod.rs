//! The corpora: one file for each, which knows its shape, how its cases become calls of ours, and how their outcome is judged.

mod curl;
mod proxyenv;
mod redirects;
mod redirects_wpt;
mod requests;
mod responses;
mod urls;

use std::fmt::Display;
use std::fs;
use std::future::Future;
use std::num::NonZero;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread;
use std::time::Duration;

use client_conformance::{Settings, Subject};
use client_core::{AnyEngine, Capabilities, HttpClient, Redirect};
use serde::de::DeserializeOwned;

pub(crate) use self::requests::equal as same_request;
use crate::rules::Difference;

/// Cases of one origin and shape.
pub(crate) struct Corpus {
    /// As it is called on the command line and in docs/conformance-notes.md.
    pub(crate) name: &'static str,
    /// Its files.
    pub(crate) files: &'static [&'static str],
    /// Runs its cases on an engine. An error means that the corpus could not be run at all.
    pub(crate) run: fn(&Bench<'_>) -> Result<Vec<CaseResult>, String>,
}

/// Every corpus, in the order of the output.
pub(crate) fn all() -> Vec<Corpus> {
    let corpus = |name, files, run| Corpus { name, files, run };
    vec![
        corpus("responses", &["responses.json"], responses::run),
        corpus("hyper-client", &["hyper-client.json"], requests::run),
        corpus("redirects", &["redirects.json"], redirects::run),
        corpus("redirects-wpt", &["redirects-wpt.json"], redirects_wpt::run),
        corpus("proxyenv", &["proxyenv.json"], proxyenv::run),
        corpus("urltestdata", &["urltestdata.json"], urls::run),
        corpus("curl", &["curl-jobs.json", "curl-cases.json", "curl_serve.py", "curl_judge.py"], curl::run),
    ]
}

/// One case, run on one engine.
#[derive(Debug)]
pub(crate) struct CaseResult {
    pub(crate) id: String,
    pub(crate) verdict: Verdict,
    /// What was sent and received, as text.
    pub(crate) wire: String,
    /// What rules see of a case that failed. `None`: nothing excuses it.
    pub(crate) difference: Option<Difference>,
}

/// How a case ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Passed,
    /// It was not as the case expects, for this reason.
    Failed(String),
    /// It was not tried: what it needs has no mapping to our API yet, or the engine does not have it.
    Unmapped(String),
}

impl CaseResult {
    pub(crate) fn new(id: &str, verdict: Result<(), String>, wire: impl Into<String>) -> Self {
        Self {
            id: id.to_owned(),
            verdict: verdict.map_or_else(Verdict::Failed, |()| Verdict::Passed),
            wire: wire.into(),
            difference: None,
        }
    }

    pub(crate) fn unmapped(id: &str, why: impl Into<String>) -> Self {
        Self {
            id: id.to_owned(),
            verdict: Verdict::Unmapped(why.into()),
            wire: String::new(),
            difference: None,
        }
    }

    /// Says what rules are to see, if it failed.
    pub(crate) fn about(mut self, difference: impl FnOnce() -> Difference) -> Self {
        if matches!(self.verdict, Verdict::Failed(_)) {
            self.difference = Some(difference());
        }
        self
    }
}

/// Where cases are run: an engine, and what was asked for on the command line.
pub(crate) struct Bench<'a> {
    pub(crate) subject: Arc<dyn Subject>,
    pub(crate) folder: &'a Path,
    pub(crate) id: Option<&'a str>,
}

/// Longer than any case takes on a slow and busy machine: whoever needs it hangs.
const DEADLINE: Duration = Duration::from_secs(30);

impl Bench<'_> {
    /// The cases in a file of the folder.
    pub(crate) fn load<T: DeserializeOwned>(&self, file: &str) -> Result<T, String> {
        let text = fs::read_to_string(self.folder.join(file)).map_err(|error| format!("{file}: {error}"))?;
        serde_json::from_str(&text).map_err(|error| format!("{file}: {error}"))
    }

    /// Whether a case was asked for.
    pub(crate) fn selects(&self, id: &str) -> bool {
        self.id.is_none_or(|asked| asked == id)
    }

    /// What the engine promises.
    pub(crate) fn capabilities(&self) -> Capabilities {
        let capabilities = self.drive(Settings::default(), |engine| async move { Ok(engine.capabilities()) });
        capabilities.unwrap_or(Capabilities::NONE)
    }

    /// Runs cases, several at a time; the results are in the order of the cases.
    pub(crate) fn each<T: Sync>(
        &self,
        cases: &[T],
        id: impl Fn(&T) -> &str + Sync,
        run: impl Fn(&T) -> CaseResult + Sync,
    ) -> Vec<CaseResult> {
        let selected: Vec<&T> = cases.iter().filter(|case| self.selects(id(case))).collect();
        let (next, results) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
        // Cases wait more than they work.
        let threads = 2 * thread::available_parallelism().map_or(1, NonZero::get);
        thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| {
                    while let Some(case) = selected.get(next.fetch_add(1, Ordering::Relaxed)) {
                        let result = run(case);
                        results.lock().unwrap_or_else(PoisonError::into_inner).push(result);
                    }
                });
            }
        });
        let mut results = results.into_inner().unwrap_or_else(PoisonError::into_inner);
        results.sort_by_key(|result| selected.iter().position(|case| id(case) == result.id));
        results
    }

    /// Makes an engine and drives `work` on it, as the engine has to be driven, within a deadline. An error says that there is no such
    /// engine, that it hangs, or what `work` found.
    pub(crate) fn drive<T, F>(&self, settings: Settings, work: impl FnOnce(AnyEngine) -> F + Send + 'static) -> Result<T, String>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, String>> + Send,
    {
        let subject = Arc::clone(&self.subject);
        let (report, reported) = mpsc::channel();
        // Not a scoped thread: one that hangs is left behind.
        thread::spawn(move || {
            let mut outcome = Err("the engine's executor returned before the work was over".to_owned());
            subject.block_on(Box::pin(async {
                outcome = match subject.engine(&settings) {
                    Some(engine) => work(engine).await,
                    None => Err(format!("the engine has no setting for {settings}")),
                };
            }));
            // Nobody listens any more if the deadline has passed.
            let _ = report.send(outcome);
        });
        match reported.recv_timeout(DEADLINE) {
            Ok(outcome) => outcome,
            Err(mpsc::RecvTimeoutError::Timeout) => Err(format!("hangs: no end after {DEADLINE:?}")),
            Err(mpsc::RecvTimeoutError::Disconnected) => Err("panicked".to_owned()),
        }
    }
}

/// A client that does nothing of its own accord.
pub(crate) fn plain(engine: AnyEngine) -> Result<HttpClient, String> {
    let client = HttpClient::builder(engine).install(Redirect::none()).build();
    client.map_err(|error| error.to_string())
}

/// Whether the engine has refused by name what it lacks; then the case says nothing about it.
pub(crate) fn is_unsupported(error: &str) -> bool {
    error.starts_with("unsupported:")
}

/// A case that needs what the engine lacks.
pub(crate) fn lacking(id: &str, error: &str) -> CaseResult {
    CaseResult::unmapped(id, error.split(" for http").next().unwrap_or(error))
}

/// Fails unless both are equal.
pub(crate) fn same<T: PartialEq + std::fmt::Debug>(what: impl Display, got: &T, expected: &T) -> Result<(), String> {
    if got == expected {
        return Ok(());
    }
    Err(format!("{what}: {got:?}, expected {expected:?}"))
}

/// Bytes as text, for people.
pub(crate) fn shown(bytes: &[u8]) -> String {
    let (head, more) = bytes.split_at(bytes.len().min(2000));
    let dots = if more.is_empty() { "" } else { "…" };
    format!("{}{dots}", head.escape_ascii())
}
