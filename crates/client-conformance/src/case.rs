//! What a case is, and how it ends.

use std::fmt;
use std::time::Duration;

use client_core::{BoxFuture, Capabilities, Capability, Error};

use crate::ctx::Ctx;

/// One statement about engines, with the code that proves it.
pub struct Case {
    /// Stable: the topic, a dot, and the name of its test.
    pub id: &'static str,
    /// The topic's name.
    pub topic: &'static str,
    /// What an engine has to promise for the statement to concern it.
    pub needs: Capabilities,
    /// Where the statement comes from: a clause of an RFC, an advisory, the bug of a peer.
    pub clause: &'static str,
    /// The statement, in one line.
    pub says: &'static str,
    pub(crate) run: fn(Ctx) -> BoxFuture<'static, Outcome>,
}

/// Cases about one thing.
pub struct Topic {
    /// As in [`Case::topic`].
    pub name: &'static str,
    /// What it is about, in one line.
    pub says: &'static str,
    /// Its cases.
    pub cases: &'static [Case],
}

/// How a case ended.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Verdict {
    /// The statement holds.
    Passed,
    /// The engine does not promise this, and does right: it refuses to be asked, or the rest of the response arrives whole.
    Refused(Capability),
    /// It could not be tried, for the reason given: a setting that the engine does not have, a system that lacks something.
    Skipped(String),
    /// The engine is known not to keep it, for the reason given.
    Deviates(&'static str),
    /// The statement does not hold.
    Failed(String),
}

/// One case, run.
#[derive(Debug)]
#[non_exhaustive]
pub struct CaseResult {
    /// Which case.
    pub case: &'static Case,
    /// How it ended.
    pub verdict: Verdict,
    /// How long it took.
    pub elapsed: Duration,
    /// What its servers saw and sent, as text.
    pub wire: String,
}

/// What a case returns.
pub(crate) type Outcome = Result<(), Stop>;

/// Why a case ended before its end.
#[derive(Debug)]
pub(crate) enum Stop {
    Failed(String),
    Skipped(String),
}

impl Stop {
    pub(crate) fn failed(why: impl Into<String>) -> Self {
        Self::Failed(why.into())
    }

    pub(crate) fn skipped(why: impl Into<String>) -> Self {
        Self::Skipped(why.into())
    }
}

/// An error that the case did not expect.
impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Failed(format!("unexpected error: {error} ({error:?})"))
    }
}

impl From<std::io::Error> for Stop {
    fn from(error: std::io::Error) -> Self {
        Self::Failed(format!("unexpected I/O error: {error}"))
    }
}

impl fmt::Debug for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Case({})", self.id)
    }
}

/// Fails the case unless a condition holds.
macro_rules! ensure {
    ($condition:expr, $($why:tt)+) => {
        if !$condition {
            return Err($crate::case::Stop::failed(format!($($why)+)));
        }
    };
}

/// Fails the case unless both sides are equal.
macro_rules! ensure_eq {
    ($left:expr, $right:expr, $($what:tt)+) => {
        match (&$left, &$right) {
            (left, right) => {
                if left != right {
                    let what = format!($($what)+);
                    return Err($crate::case::Stop::failed(format!("{what}: {left:?}, expected {right:?}")));
                }
            }
        }
    };
}

pub(crate) use {ensure, ensure_eq};
