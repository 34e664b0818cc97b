//! How much a peer may make us hold before we refuse. Owns the numbers and their precedents, and never enforces them:
//! each limit is enforced where its bytes are read.

/// Bounds on everything in a response that is not body data.
///
/// A limit is the largest value still accepted. Body data needs none here: it is handed out as it arrives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeadLimits {
    /// Bytes of one head section, status line and final empty line included; and, separately, of one trailer section.
    ///
    /// Default 256 KiB, the limit of OkHttp (`HeadersReader`). Others: Go 10 MiB, hyper about 400 KiB, curl 300 KiB,
    /// Node 16 KiB.
    pub bytes: usize,

    /// Field lines in one head section; and, separately, in one trailer section.
    ///
    /// Default 256. Others: hyper and Apache httpd 100, Node 2000, curl 5000, Go only by bytes.
    pub fields: usize,

    /// Bytes of chunk extensions and padding over a whole body (RFC 9112 §7.1.1): they carry nothing, so a peer that
    /// sends many makes us work for free.
    ///
    /// Default 16 KiB, as Go (since CVE-2023-39326) and hyper.
    pub chunk_extension_bytes: usize,

    /// Interim (1xx) responses before the final one (RFC 9110 §15.2).
    ///
    /// Default 16. Others: Go 5 (since 1.24 by bytes), most clients unlimited.
    pub informational: usize,
}

impl Default for HeadLimits {
    fn default() -> Self {
        Self {
            bytes: 256 * 1024,
            fields: 256,
            chunk_extension_bytes: 16 * 1024,
            informational: 16,
        }
    }
}
