//! nginx: HTTP/1.1, HTTP/2 over TLS and by prior knowledge; files, and a reverse proxy.

use std::path::Path;

use super::place::Place;
use super::process::{Ports, Process};
use super::{Endpoint, Kind, Program, Started};

pub(super) const PROGRAM: Program = Program {
    name: "nginx",
    package: "nginx-light",
    is_in_ci: true,
    binary: "nginx",
    tells_version: &["-v"],
    start,
};

/// Ten streams at a time: fewer than the cases ask for. The user is ignored where we are not root.
const CONFIGURATION: &str = "
daemon off;
user root;
pid nginx.pid;
worker_processes 1;
error_log stderr error;
events { worker_connections 512; }
http {
    access_log off;
    client_body_temp_path body;
    proxy_temp_path proxy;
    fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
    client_max_body_size 0;
    http2_max_concurrent_streams 10;
    ssl_certificate chain.pem;
    ssl_certificate_key key.pem;
    root htdocs;
    server {
        listen @http@;
        listen @https@ ssl http2;
        listen @h2c@ http2;
        location = /redirect { return 302 /hello; }
        location = /gzip { add_header Content-Encoding gzip; }
        location = /trailers { add_trailer x-checksum 5d41402a; }
        location /app/ {
            proxy_pass http://@APP/;
            proxy_http_version 1.1;
            proxy_buffering off;
            proxy_request_buffering off;
        }
    }
    server {
        listen @hasty@;
        listen @hasty-tls@ ssl http2;
        keepalive_timeout 200ms;
    }
}
";

fn start(binary: &Path, place: &Place) -> Result<Started, String> {
    let ports = Ports::hold(&["http", "https", "h2c", "hasty", "hasty-tls"])?;
    let file = place.configuration("nginx.conf", CONFIGURATION, &ports)?;
    let args = [
        "-p".as_ref(),
        place.directory(),
        "-e".as_ref(),
        "stderr".as_ref(),
        "-c".as_ref(),
        &*file,
    ];
    Ok(Started {
        processes: vec![Process::start(binary, args, place.directory(), &ports)?],
        endpoints: vec![
            Endpoint::new("http", Kind::Plain, &ports),
            Endpoint::new("https", Kind::Tls, &ports),
            Endpoint::new("h2c", Kind::PriorKnowledge, &ports),
            Endpoint::new("hasty", Kind::Hasty, &ports),
            Endpoint::new("hasty-tls", Kind::HastyTls, &ports),
        ],
    })
}
