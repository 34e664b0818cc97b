//! A configuration mistake that is told more than once.

use std::borrow::Cow;

use crate::capability::Capability;
use crate::error::{Error, ErrorKind, Sent};

/// What is wrong with an engine's configuration, for authors of engines: made when the engine is built, and told by
/// [`Engine::check`](crate::Engine::check) and again by every exchange, which an [`Error`], used up by whoever gets it, cannot be.
///
/// ```
/// use client_core::{Error, ErrorKind, Mistake, Result, Sent};
///
/// fn threads(asked: usize) -> Result<usize> {
///     match asked {
///         0 => Err(Error::new(ErrorKind::InvalidRequest, "threads: at least 1 is needed")),
///         threads => Ok(threads),
///     }
/// }
///
/// let built = threads(0).map_err(Mistake::from);
/// for _ in 0..2 {
///     let error = built.as_ref().map_err(Mistake::error).unwrap_err();
///     assert_eq!(error.to_string(), "invalid request: threads: at least 1 is needed");
///     assert_eq!(error.sent(), Sent::Nothing);
/// }
/// ```
#[derive(Clone, Debug)]
pub struct Mistake {
    kind: ErrorKind,
    capability: Option<Capability>,
    message: Cow<'static, str>,
}

impl Mistake {
    /// The error once more: of the same kind, with the same words; nothing was sent. What it was caused by is told in its words only.
    pub fn error(&self) -> Error {
        match self.capability {
            Some(capability) => Error::unsupported(capability),
            None => Error::new(self.kind, self.message.clone()).with_sent(Sent::Nothing),
        }
    }
}

impl From<Error> for Mistake {
    fn from(error: Error) -> Self {
        Self {
            kind: error.kind(),
            capability: error.capability(),
            message: error.into_message(),
        }
    }
}
