//! The HTTP/1.1 client codec (RFC 9110, RFC 9112): bytes in, events out.
//!
//! Owns the syntax of HTTP/1.x and the question whether a connection may carry another exchange. What must never enter:
//! I/O, `async`, a runtime, a clock, a policy (timeouts, retries, redirects). The driver reads and writes; this tree decides.
//!
//! One exchange, from the client's side:
//!
//! ```text
//!  encode_head ──► BodyEncoder::chunk* ──► BodyEncoder::finish            (bytes to write)
//!
//!                ┌───── 1xx: Informational, at most `HeadLimits::informational` ─────┐
//!                ▼                                                                   │
//!  read ──►  Head section ───────────────────────────────────────────────────────────┘
//!                │ Head(status, fields)
//!                ▼
//!            framing, RFC 9112 §6.3
//!                ├─ None ────────────────────────────────────┐
//!                ├─ Length(n) ──► Data* ─────────────────────┤
//!                ├─ Chunked ────► Data* ──► Trailers? ───────┼──► End(Reuse | Close(reason))
//!                ├─ UntilClose ─► Data* ──► eof ─────────────┘
//!                └─ Tunnel ──────────────────────────────────────► End(Switch), the rest of the buffer belongs to the
//!                                                                  new protocol
//!            anything malformed, too large or cut short ─────────► Err, and the same Err for ever after
//! ```
//!
//! Where the RFC lets a recipient choose, this codec takes the strict side: a message that two parsers may read
//! differently is refused (request smuggling, response splitting). The one leniency is a bare LF as the line end *in a head*
//! (RFC 9112 §2.2), which no parser reads otherwise.

mod chunk;
mod decode;
mod encode;
mod encode_body;
mod error;
mod fields;
mod framing;
mod head;
mod limits;
mod verdict;

pub use chunk::{ChunkEvent, ChunkedDecoder};
pub use decode::{Event, ResponseDecoder};
pub use encode::{RequestFraming, RequestHead, Target, encode_head};
pub use encode_body::{BodyEncoder, ChunkFrame};
pub use error::{InvalidRequest, ProtocolError, ProtocolErrorKind};
pub(crate) use fields::has;
pub use framing::{Framing, framing};
pub use head::{HeadParser, ResponseHead};
pub use limits::HeadLimits;
pub use verdict::{CloseReason, ConnectionOptions, KeepAliveHint, RequestSide, ResponseSide, Verdict};
