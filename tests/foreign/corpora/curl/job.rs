//! A job as the corpus writes it down.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use super::super::responses::Base64;

#[derive(Deserialize)]
pub(super) struct Job {
    pub(super) id: String,
    pub(super) ops: Vec<Op>,
    /// The servers it needs: `http`, `socks5`, …
    #[serde(default)]
    pub(super) servers: Vec<String>,
    /// Environment variables.
    pub(super) env: BTreeMap<String, String>,
    pub(super) expect: Expected,
}

/// What curl is told on its command line, for some URLs.
#[derive(Deserialize)]
pub(super) struct Op {
    pub(super) urls: Vec<String>,
    pub(super) method: String,
    /// `None`: the field is not to be sent.
    #[serde(default)]
    pub(super) headers: Vec<(String, Option<String>)>,
    #[serde(rename = "body_b64")]
    pub(super) body: Option<Base64>,
    pub(super) default_content_type: Option<String>,
    pub(super) default_accept: Option<String>,
    /// One for each URL, as far as there are any.
    #[serde(default)]
    pub(super) uploads: Vec<Upload>,
    /// Already encoded.
    pub(super) add_query: Option<String>,
    pub(super) range: Option<String>,
    #[serde(default)]
    pub(super) cookies: Vec<String>,
    pub(super) auth: Option<Credentials>,
    pub(super) redirect: Option<Redirects>,
    pub(super) fail_on_status: Option<String>,
    pub(super) http_version: Option<String>,
    pub(super) request_target: Option<String>,
    /// Seconds.
    pub(super) max_time: Option<String>,
    /// Bytes.
    pub(super) max_body_size: Option<String>,
    /// `host:port:address`.
    #[serde(default)]
    pub(super) resolve: Vec<String>,
    /// `host:port:host:port`.
    #[serde(default)]
    pub(super) connect_to: Vec<String>,
    pub(super) proxy: Option<String>,
    /// For the proxy: without a tunnel, those of the request.
    #[serde(default)]
    pub(super) proxy_headers: Vec<(String, Option<String>)>,
    pub(super) proxy_auth: Option<Credentials>,
    pub(super) no_proxy: Option<String>,
    #[serde(default)]
    pub(super) allow_http09: bool,
    /// How long to wait for the answer to an `Expect`, which is sent then.
    pub(super) expect100_timeout: Option<String>,
    /// An interface, or the address of one.
    pub(super) interface: Option<String>,
    /// A file whose tag the answer is not to have, and one to write its own to, which is nothing on the wire.
    pub(super) etag_compare: Option<String>,
    #[serde(rename = "etag_save")]
    pub(super) _etag_save: Option<String>,
    /// A date, after a `-` if the answer is to be older.
    pub(super) time_cond: Option<String>,
    /// How many bytes there are already, or `-` for as many as the file has.
    pub(super) resume_from: Option<String>,
    /// Codings of the transfer are not taken away.
    #[serde(default)]
    pub(super) raw: bool,
    /// What is not known here, and so has no mapping; and some that is said by other fields as well.
    #[serde(flatten)]
    pub(super) rest: BTreeMap<String, Value>,
}

/// What the corpus's server knows of a job.
#[derive(Default, Deserialize)]
pub(super) struct Scene {
    pub(super) id: String,
    #[serde(default)]
    pub(super) replies: BTreeMap<String, Base64>,
    /// What is there before curl is run.
    #[serde(default)]
    pub(super) files: Vec<File>,
}

impl Scene {
    /// Whether a reply names a coding of its transfer.
    pub(super) fn has_coding(&self) -> bool {
        let names = |line: &[u8]| line.get(..18).is_some_and(|name| name.eq_ignore_ascii_case(b"transfer-encoding:"));
        self.replies.values().any(|reply| reply.0.split(|byte| *byte == b'\n').any(names))
    }
}

#[derive(Deserialize)]
pub(super) struct File {
    pub(super) name: String,
    #[serde(default, rename = "b64")]
    pub(super) bytes: Base64,
}

#[derive(Clone, Deserialize)]
pub(super) struct Upload {
    #[serde(rename = "b64")]
    pub(super) bytes: Base64,
    pub(super) unknown_length: bool,
}

#[derive(Deserialize)]
pub(super) struct Credentials {
    #[serde(default)]
    pub(super) user: String,
    #[serde(default)]
    pub(super) password: String,
    /// Basic where none is named.
    pub(super) scheme: Option<String>,
    pub(super) token: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct Redirects {
    pub(super) follow: bool,
    pub(super) max: Option<usize>,
    /// Credentials go along to every host.
    #[serde(default)]
    pub(super) trusted: bool,
    /// Statuses at which a POST stays one.
    #[serde(default)]
    pub(super) keep_post: Vec<u16>,
    #[serde(rename = "mode")]
    pub(super) _mode: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct Expected {
    /// Any of these.
    pub(super) outcome: Vec<String>,
    pub(super) statuses: Option<Vec<u16>>,
    #[serde(rename = "final_body_b64")]
    pub(super) final_body: Option<Base64>,
}
