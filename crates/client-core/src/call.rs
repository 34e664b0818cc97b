//! A call of a client: its exchange, and the answer to it. Both stay where they are made, on the heap: a request under construction and a response are
//! pointers to it, cheap to move, and moved they are at every step.

use http::{Request, Response};

use crate::body::Body;
use crate::exchange::Exchange;

/// The place of an exchange's response: filled where the exchange succeeds.
pub type Answer = Option<Response<Body>>;

/// Why there is one.
pub const ANSWERED: &str = "an exchange that succeeds fills the place of its answer";

pub(crate) struct Call {
    pub(crate) exchange: Exchange,
    pub(crate) answer: Answer,
}

impl Call {
    /// A call that nothing is known of yet.
    pub(crate) fn new() -> Box<Self> {
        let place = Box::new_uninit();
        Box::write(
            place,
            Self {
                exchange: Exchange::new(Request::default()),
                answer: None,
            },
        )
    }
}
