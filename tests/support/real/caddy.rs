//! Caddy, on Go's net/http: HTTP/1.1, HTTP/2 over TLS and by prior knowledge; files, and a reverse proxy.

use std::path::Path;

use super::place::Place;
use super::process::{Ports, Process};
use super::{Endpoint, Feature, Kind, Program, Started};

pub(super) const PROGRAM: Program = Program {
    name: "caddy",
    package: "caddy",
    is_in_ci: false,
    binary: "caddy",
    tells_version: &["version"],
    start,
};

/// `bind` says where it listens, and the options of a server are found by that.
const CONFIGURATION: &str = "
{
    admin off
    auto_https off
    log default {
        level ERROR
    }
    servers @http@ {
        protocols h1
    }
    servers @https@ {
        protocols h1 h2
    }
    servers @h2c@ {
        protocols h1 h2c
    }
    servers @hasty@ {
        protocols h1
        timeouts {
            idle 200ms
        }
    }
    servers @hasty-tls@ {
        protocols h1 h2
        timeouts {
            idle 200ms
        }
    }
}
(site) {
    bind 127.0.0.1
    root * htdocs
    redir /redirect /hello 302
    header /gzip Content-Encoding gzip
    handle_path /app/* {
        reverse_proxy @APP
    }
    handle /trailers {
        reverse_proxy @APP
    }
    handle {
        file_server
    }
}
http://:@http:port@, http://:@h2c:port@, http://:@hasty:port@ {
    import site
}
https://:@https:port@, https://:@hasty-tls:port@ {
    tls chain.pem key.pem
    import site
}
";

/// Go's HTTP/1.1 ends an answer that begins before the request is over, and does not pass trailers on.
const LACKS: &[Feature] = &[Feature::Duplex, Feature::Trailers];

fn start(binary: &Path, place: &Place) -> Result<Started, String> {
    let ports = Ports::hold(&["http", "https", "h2c", "hasty", "hasty-tls"])?;
    let file = place.configuration("Caddyfile", CONFIGURATION, &ports)?;
    let args = [
        "run".as_ref(),
        "--adapter".as_ref(),
        "caddyfile".as_ref(),
        "--config".as_ref(),
        &*file,
    ];
    Ok(Started {
        processes: vec![Process::start(binary, args, place.directory(), &ports)?],
        endpoints: vec![
            Endpoint::new("http", Kind::Plain, &ports).lacking(LACKS),
            Endpoint::new("https", Kind::Tls, &ports).lacking(LACKS),
            Endpoint::new("h2c", Kind::PriorKnowledge, &ports),
            Endpoint::new("hasty", Kind::Hasty, &ports),
            Endpoint::new("hasty-tls", Kind::HastyTls, &ports),
        ],
    })
}
