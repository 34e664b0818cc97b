//! Running cases: each on a thread of its own, under a deadline, with what must hold after every one.

use std::any::Any;
use std::fmt;
use std::num::NonZero;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use client_core::Capability;

use crate::case::{Case, CaseResult, Stop, Verdict};
use crate::cases::TOPICS;
use crate::ctx::Ctx;
use crate::refusal;
use crate::subject::Subject;

/// Longer than any case takes on a slow and busy machine: whoever needs it hangs.
const DEADLINE: Duration = Duration::from_secs(20);

/// Every case, topic by topic.
pub fn cases() -> impl Iterator<Item = &'static Case> {
    TOPICS.iter().flat_map(|topic| topic.cases)
}

/// Runs the cases that `filter` selects, several at a time; the results are in the order of [`cases`].
///
/// ```no_run
/// # fn mine() -> impl client_conformance::Subject { |_: &client_conformance::Settings| None }
/// use client_conformance::{Verdict, run};
///
/// for result in run(mine(), |case| case.topic == "framing") {
///     if let Verdict::Failed(why) = &result.verdict {
///         println!("{}: {why}\n{}", result.case.id, result.wire);
///     }
/// }
/// ```
pub fn run(subject: impl Subject, filter: impl Fn(&Case) -> bool) -> Vec<CaseResult> {
    run_within(subject, filter, DEADLINE)
}

/// As [`run`], with another deadline per case: a short one where hanging is what is expected.
pub fn run_within(subject: impl Subject, filter: impl Fn(&Case) -> bool, deadline: Duration) -> Vec<CaseResult> {
    let subject: Arc<dyn Subject> = Arc::new(subject);
    let selected: Vec<_> = cases().filter(|case| filter(case)).collect();
    let next = AtomicUsize::new(0);
    let results = Mutex::new(Vec::new());
    // Cases wait more than they work.
    let threads = 2 * thread::available_parallelism().map_or(1, NonZero::get);
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    let Some(&case) = selected.get(index) else {
                        break;
                    };
                    let result = attempt(&subject, case, deadline);
                    results.lock().unwrap_or_else(PoisonError::into_inner).push((index, result));
                }
            });
        }
    });
    let mut results = results.into_inner().unwrap_or_else(PoisonError::into_inner);
    results.sort_unstable_by_key(|(index, _)| *index);
    results.into_iter().map(|(_, result)| result).collect()
}

/// Runs one case as a test: panics if it fails, with what was on the wire.
///
/// # Panics
/// If the case fails, or there is none of that id.
#[doc(hidden)]
pub fn check(subject: impl Subject, id: &str) {
    let case = cases().find(|case| case.id == id).expect("a case of this id");
    let result = attempt(&(Arc::new(subject) as Arc<dyn Subject>), case, DEADLINE);
    match &result.verdict {
        Verdict::Passed => {}
        Verdict::Refused(capability) => println!("{id}: not promised ({}), and refused", capability.id()),
        Verdict::Skipped(why) => println!("{id}: skipped, {why}"),
        Verdict::Deviates(why) => println!("{id}: deviates, {why}"),
        Verdict::Failed(why) => panic!("{id}: {}\n  {}\n  {why}\n\n{}", case.says, case.clause, result.wire),
    }
}

fn attempt(subject: &Arc<dyn Subject>, case: &'static Case, deadline: Duration) -> CaseResult {
    let started = Instant::now();
    let ctx = Ctx::new(Arc::clone(subject));
    let of_case = ctx.clone();
    let ended = bounded(subject, case.id, deadline, async move { perform(case, &of_case).await });
    let verdict = ended.unwrap_or_else(|why| match why {
        Unfinished::Hangs => Verdict::Failed(format!("hangs: after {deadline:?} still {}", ctx.step())),
        other => Verdict::Failed(other.to_string()),
    });
    let known = subject.deviations().iter().find(|(id, _)| *id == case.id);
    CaseResult {
        case,
        verdict: match (known, verdict) {
            (Some(_), Verdict::Passed) => {
                Verdict::Failed("it is listed in Subject::deviations, and passes: take it off the list".into())
            }
            (Some((_, why)), _) => Verdict::Deviates(why),
            (None, verdict) => verdict,
        },
        elapsed: started.elapsed(),
        wire: ctx.wire(),
    }
}

/// Why [`bounded`] has no output.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Unfinished {
    /// It was not over when its time was. Its thread is left behind.
    Hangs,
    /// It panicked, with this message.
    Panicked(String),
    /// The subject's `block_on` returned before it was over.
    Abandoned,
    /// There was no thread for it, for this reason.
    NoThread(String),
}

impl fmt::Display for Unfinished {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hangs => f.write_str("hangs"),
            Self::Panicked(message) => write!(f, "panic: {message}"),
            Self::Abandoned => f.write_str("the subject's block_on returned before it was over"),
            Self::NoThread(why) => write!(f, "no thread for it: {why}"),
        }
    }
}

/// Runs `work` to its end as cases are run: on a thread of its own, which is named, by the subject's own
/// [`block_on`](Subject::block_on), and not longer than `deadline`. For what an engine's author has to prove besides the suite.
///
/// # Errors
/// If there is no output: it hangs, or it panicked.
pub fn bounded<T: Send + 'static>(
    subject: &Arc<dyn Subject>,
    name: &str,
    deadline: Duration,
    work: impl Future<Output = T> + Send + 'static,
) -> Result<T, Unfinished> {
    let subject = Arc::clone(subject);
    let (report, reported) = mpsc::channel();
    // Not a scoped thread: one that hangs is left behind.
    let thread = thread::Builder::new().name(name.to_owned());
    let spawned = thread.spawn(move || {
        let mut output = None;
        let work = async { output = Some(work.await) };
        let ran = catch_unwind(AssertUnwindSafe(|| subject.block_on(Box::pin(work))));
        // Nobody listens any more if the deadline has passed.
        let _ = report.send(match ran {
            Ok(()) => output.ok_or(Unfinished::Abandoned),
            Err(panic) => Err(Unfinished::Panicked(message(&*panic).to_owned())),
        });
    });
    match spawned.map(|_| reported.recv_timeout(deadline)) {
        Ok(Ok(ended)) => ended,
        Ok(Err(RecvTimeoutError::Timeout)) => Err(Unfinished::Hangs),
        Ok(Err(RecvTimeoutError::Disconnected)) => Err(Unfinished::Abandoned),
        Err(error) => Err(Unfinished::NoThread(error.to_string())),
    }
}

async fn perform(case: &Case, ctx: &Ctx) -> Verdict {
    match both_sides(case, ctx).await {
        Ok(None) => Verdict::Passed,
        Ok(Some(missing)) => Verdict::Refused(missing),
        Err(Stop::Skipped(why)) => Verdict::Skipped(why),
        Err(Stop::Failed(why)) => Verdict::Failed(why),
    }
}

/// The case itself where the engine promises what it needs, else its other side.
async fn both_sides(case: &Case, ctx: &Ctx) -> Result<Option<Capability>, Stop> {
    let missing = case.needs.missing_in(ctx.capabilities()?);
    match missing {
        None => (case.run)(ctx.clone()).await?,
        Some(capability) if refusal::can_be_asked(capability) => refusal::is_refused(ctx, capability).await?,
        Some(capability) => refusal::is_left_out(ctx, capability).await?,
    }
    ctx.aftercare().await?;
    Ok(missing)
}

fn message(panic: &(dyn Any + Send)) -> &str {
    let owned = panic.downcast_ref::<String>().map(String::as_str);
    owned.or(panic.downcast_ref::<&str>().copied()).unwrap_or("of an unknown kind")
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn a_deviation_is_run_and_not_judged() {
        let nothing = || |_: &crate::Settings| None;
        let known: &[(&str, &str)] = &[("methods.get", "known")];
        let results = run(crate::deviating(nothing(), known), |case| case.topic == "methods");
        let deviating: Vec<_> = results.iter().filter(|result| matches!(result.verdict, Verdict::Deviates(_))).collect();
        assert_eq!(deviating.len(), usize::from(cases().any(|case| case.id == "methods.get")));
    }

    #[test]
    fn every_case_can_be_named_and_says_something() {
        let mut ids = HashSet::new();
        for topic in TOPICS {
            for case in topic.cases {
                assert!(ids.insert(case.id), "{} twice", case.id);
                assert_eq!(case.id.split_once('.').map(|(topic, _)| topic), Some(topic.name));
                let is_one_line = !case.says.contains('\n') && !case.says.ends_with('.');
                assert!(is_one_line && !case.says.is_empty() && !case.clause.is_empty(), "{}", case.id);
            }
        }
        assert!(ids.len() >= 300, "{} cases", ids.len());
    }
}
