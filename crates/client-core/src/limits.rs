//! The budgets of a call. Nothing that a server sends is unbounded.

/// What a response may cost. Each limit has a default with a precedent; exceeding one is
/// [`ErrorKind::TooLarge`](crate::ErrorKind::TooLarge), and the connection is closed.
///
/// ```
/// use client_core::Limits;
///
/// let limits = Limits::default().body_bytes(512 << 20).head_fields(64);
/// assert_eq!(limits.max_head_fields(), 64);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[must_use]
pub struct Limits {
    head_bytes: usize,
    head_fields: usize,
    informational: usize,
    body_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            // OkHttp bounds a response head by 256 KiB.
            head_bytes: 256 << 10,
            // hyper reads at most 100 fields by default; large cookie-laden sites send more.
            head_fields: 256,
            // Apache HttpClient and Go (since 1.23: by bytes) bound them; a handful is what servers send.
            informational: 16,
            // ureq reads 10 MB into memory by default.
            body_bytes: 10 << 20,
        }
    }
}

impl Limits {
    /// Bytes of a response head, and of each informational head and trailer section. Default: 256 KiB, as OkHttp's.
    pub fn head_bytes(mut self, bytes: usize) -> Self {
        self.head_bytes = bytes;
        self
    }

    /// Header fields in a head or trailer section. Default: 256 (hyper's is 100).
    pub fn head_fields(mut self, fields: usize) -> Self {
        self.head_fields = fields;
        self
    }

    /// Informational (1xx) heads before the final one. Default: 16.
    pub fn informational(mut self, heads: usize) -> Self {
        self.informational = heads;
        self
    }

    /// Bytes that [`bytes`](crate::Response::bytes), [`text`](crate::Response::text) and `json` read into memory. A body that is
    /// streamed is not limited. Default: 10 MiB, as ureq's.
    pub fn body_bytes(mut self, bytes: u64) -> Self {
        self.body_bytes = bytes;
        self
    }

    /// See [`head_bytes`](Self::head_bytes).
    pub fn max_head_bytes(&self) -> usize {
        self.head_bytes
    }

    /// See [`head_fields`](Self::head_fields).
    pub fn max_head_fields(&self) -> usize {
        self.head_fields
    }

    /// See [`informational`](Self::informational).
    pub fn max_informational(&self) -> usize {
        self.informational
    }

    /// See [`body_bytes`](Self::body_bytes).
    pub fn max_body_bytes(&self) -> u64 {
        self.body_bytes
    }
}
