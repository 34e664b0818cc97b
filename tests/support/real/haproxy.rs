//! HAProxy, in front of the suite's own server: HTTP/1.1, HTTP/2 over TLS and by prior knowledge.

use std::path::Path;

use super::place::{LARGE, Place};
use super::process::{Ports, Process};
use super::{Endpoint, Feature, Kind, Program, Started};

pub(super) const PROGRAM: Program = Program {
    name: "haproxy",
    package: "haproxy",
    is_in_ci: true,
    binary: "haproxy",
    tells_version: &["-v"],
    start,
};

/// Everything comes from behind it. What cannot be served is left to the suite's server, which says 404.
const CONFIGURATION: &str = "
global
    maxconn 512
    tune.h2.max-concurrent-streams 10
defaults
    mode http
    timeout connect 10s
    timeout client 30s
    timeout server 30s
    default_backend app
frontend main
    bind @http@
    bind @https@ ssl crt @DIR/both.pem alpn h2,http/1.1
    bind @h2c@ proto h2
    http-request redirect location /hello code 302 if { path /redirect }
    http-request set-path /bytes/@LARGE if { path /large }
    http-request set-path / if { path /hello }
    http-request replace-path /app(/.*) \\1
frontend hasty
    bind @hasty@
    bind @hasty-tls@ ssl crt @DIR/both.pem alpn h2,http/1.1
    timeout http-keep-alive 200ms
    timeout client 200ms
    http-request set-path / if { path /hello }
backend app
    server app @APP
";

const LACKS: &[Feature] = &[Feature::Range];

fn start(binary: &Path, place: &Place) -> Result<Started, String> {
    let ports = Ports::hold(&["http", "https", "h2c", "hasty", "hasty-tls"])?;
    let text = CONFIGURATION.replace("@LARGE", &LARGE.to_string());
    let file = place.configuration("haproxy.cfg", &text, &ports)?;
    let args = ["-db".as_ref(), "-q".as_ref(), "-f".as_ref(), &*file];
    Ok(Started {
        processes: vec![Process::start(binary, args, place.directory(), &ports)?],
        endpoints: vec![
            Endpoint::new("http", Kind::Plain, &ports).lacking(LACKS),
            Endpoint::new("https", Kind::Tls, &ports).lacking(LACKS),
            Endpoint::new("h2c", Kind::PriorKnowledge, &ports).lacking(LACKS),
            Endpoint::new("hasty", Kind::Hasty, &ports),
            Endpoint::new("hasty-tls", Kind::HastyTls, &ports),
        ],
    })
}
