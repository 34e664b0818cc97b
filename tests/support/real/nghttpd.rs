//! nghttpd, of nghttp2: HTTP/2 and nothing else, by an implementation that shares no code with ours or with nginx's.

use std::path::Path;

use super::place::Place;
use super::process::{Ports, Process};
use super::{Endpoint, Feature, Kind, Program, Started};

pub(super) const PROGRAM: Program = Program {
    name: "nghttpd",
    package: "nghttp2-server",
    is_in_ci: true,
    binary: "nghttpd",
    tells_version: &["--version"],
    start,
};

/// It answers every POST with what was sent; a redirect it does not know.
const LACKS: &[Feature] = &[Feature::Redirect, Feature::Gzip, Feature::Range, Feature::App];

fn start(binary: &Path, place: &Place) -> Result<Started, String> {
    let (secure, plain) = (Ports::hold(&["https"])?, Ports::hold(&["h2c"])?);
    // Ten streams at a time: fewer than the cases ask for.
    let common = "-a 127.0.0.1 -d htdocs -m 10 --echo-upload --trailer x-checksum:5d41402a";
    let run = |own: &str, ports: &Ports| {
        let args = ports.fill(&format!("{common} {own}"));
        Process::start(binary, args.split(' '), place.directory(), ports)
    };
    Ok(Started {
        processes: vec![
            run("@https:port@ key.pem chain.pem", &secure)?,
            run("--no-tls @h2c:port@", &plain)?,
        ],
        endpoints: vec![
            Endpoint::new("https", Kind::TlsHttp2, &secure).lacking(LACKS),
            Endpoint::new("h2c", Kind::PriorKnowledge, &plain).lacking(LACKS),
        ],
    })
}
