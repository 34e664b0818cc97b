//! The two programs of the corpus, each asked by lines of JSON: the server, and the judge of what it recorded.

use std::fmt;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::super::responses::Base64;
use super::shown;

/// Plays the server of one case at a time, on fixed ports.
pub(super) struct Server(Program);

/// Compares what was recorded with what a case expects.
pub(super) struct Judge(Program);

/// What the server and the proxy received.
#[derive(Deserialize)]
pub(super) struct Record {
    #[serde(rename = "server_input_b64")]
    server_input: Base64,
    #[serde(rename = "proxy_input_b64")]
    proxy_input: Base64,
}

impl Server {
    pub(super) fn start(folder: &Path) -> Result<Self, String> {
        Program::start(&[&folder.join("curl_serve.py"), &folder.join("curl-cases.json")]).map(Self)
    }

    pub(super) fn load(&mut self, id: &str) -> Result<(), String> {
        #[derive(Serialize)]
        struct Load<'a> {
            cmd: &'a str,
            id: &'a str,
        }
        #[derive(Deserialize)]
        struct Loaded {
            ok: bool,
        }
        let Loaded { ok } = self.0.ask(&Load { cmd: "load", id })?;
        if ok { Ok(()) } else { Err(format!("curl_serve.py does not load {id}")) }
    }

    /// Waits until the client's connections are gone, and hands out what was recorded.
    pub(super) fn finish(&mut self) -> Result<Record, String> {
        #[derive(Serialize)]
        struct Finish {
            cmd: &'static str,
        }
        self.0.ask(&Finish { cmd: "finish" })
    }
}

impl Judge {
    pub(super) fn start(folder: &Path) -> Result<Self, String> {
        let bridge = Path::new(env!("CARGO_MANIFEST_DIR")).join("foreign/corpora/curl/judge.py");
        Program::start(&[&bridge, folder]).map(Self)
    }

    /// How the requests differ from those that the case expects; empty where it expects none in particular.
    pub(super) fn differences(&mut self, id: &str, record: &Record) -> Result<Vec<String>, String> {
        #[derive(Serialize)]
        struct Question<'a> {
            id: &'a str,
            server_input_b64: String,
            proxy_input_b64: String,
        }
        #[derive(Deserialize)]
        struct Answer {
            differences: Option<Vec<String>>,
        }
        let Answer { differences } = self.0.ask(&Question {
            id,
            server_input_b64: BASE64_STANDARD.encode(&record.server_input.0),
            proxy_input_b64: BASE64_STANDARD.encode(&record.proxy_input.0),
        })?;
        Ok(differences.unwrap_or_default())
    }
}

impl Record {
    /// With a text in place of another, wherever it stands.
    pub(super) fn replaced(mut self, from: &str, to: &str) -> Self {
        for input in [&mut self.server_input.0, &mut self.proxy_input.0] {
            let mut rest = std::mem::take(input);
            while let Some(at) = rest.windows(from.len()).position(|window| window.eq_ignore_ascii_case(from.as_bytes())) {
                input.extend_from_slice(&rest[..at]);
                input.extend_from_slice(to.as_bytes());
                rest.drain(..at + from.len());
            }
            input.append(&mut rest);
        }
        self
    }
}

impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (who, input) in [("server", &self.server_input), ("proxy", &self.proxy_input)] {
            if !input.0.is_empty() {
                writeln!(f, "<- to the {who}\n{}", shown(&input.0).replace("\\r\\n", "\n"))?;
            }
        }
        Ok(())
    }
}

/// A running Python program; it ends when it is dropped.
struct Program {
    name: String,
    child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
}

impl Program {
    fn start(args: &[&Path]) -> Result<Self, String> {
        let name = args.first().map_or(String::new(), |script| script.display().to_string());
        let mut command = Command::new("python3");
        // The corpora are not ours to write into.
        command.arg("-B").args(args).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().map_err(|error| format!("python3 {name}: {error}"))?;
        match (child.stdin.take(), child.stdout.take()) {
            (Some(stdin), Some(stdout)) => Ok(Self {
                name,
                child,
                stdin,
                stdout: BufReader::new(stdout),
            }),
            _ => Err(format!("python3 {name}: no pipes")),
        }
    }

    fn ask<T: DeserializeOwned>(&mut self, question: &impl Serialize) -> Result<T, String> {
        let mut ask = || {
            serde_json::to_writer(&self.stdin, question)?;
            self.stdin.write_all(b"\n")?;
            let mut line = String::new();
            self.stdout.read_line(&mut line)?;
            Ok::<_, std::io::Error>(serde_json::from_str(&line)?)
        };
        ask().map_err(|error| format!("{}: {error}", self.name))
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
