//! Apache httpd with the event MPM and mod_http2: HTTP/1.1, HTTP/2 over TLS and by prior knowledge; files, and a reverse proxy.

use std::path::Path;

use super::place::Place;
use super::process::{self, Ports, Process};
use super::{Endpoint, Feature, Kind, Program, Started};

pub(super) const PROGRAM: Program = Program {
    name: "apache",
    package: "apache2-bin",
    is_in_ci: false,
    binary: "apache2",
    tells_version: &["-v"],
    start,
};

const CONFIGURATION: &str = "
ServerRoot @DIR
DefaultRuntimeDir @DIR
PidFile @DIR/apache.pid
ServerName localhost
ErrorLog /dev/stderr
LogLevel error
LoadModule mpm_event_module /usr/lib/apache2/modules/mod_mpm_event.so
LoadModule authz_core_module /usr/lib/apache2/modules/mod_authz_core.so
LoadModule alias_module /usr/lib/apache2/modules/mod_alias.so
LoadModule headers_module /usr/lib/apache2/modules/mod_headers.so
LoadModule proxy_module /usr/lib/apache2/modules/mod_proxy.so
LoadModule proxy_http_module /usr/lib/apache2/modules/mod_proxy_http.so
LoadModule ssl_module /usr/lib/apache2/modules/mod_ssl.so
LoadModule http2_module /usr/lib/apache2/modules/mod_http2.so
ServerLimit 1
StartServers 1
ThreadsPerChild 32
MaxRequestWorkers 32
H2MaxSessionStreams 10
Listen @http@
Listen @https@
Listen @h2c@
Listen @hasty@
Listen @hasty-tls@
Protocols h2 h2c http/1.1
DocumentRoot @DIR/htdocs
<Directory @DIR/htdocs>
    Require all granted
</Directory>
<Location /gzip>
    Header set Content-Encoding gzip
</Location>
Redirect 302 /redirect /hello
SSLCertificateFile @DIR/chain.pem
SSLCertificateKeyFile @DIR/key.pem
<VirtualHost @http@ @h2c@>
    ProxyPass /app/ http://@APP/
</VirtualHost>
<VirtualHost @https@>
    SSLEngine on
    ProxyPass /app/ http://@APP/
</VirtualHost>
<VirtualHost @hasty@>
    KeepAliveTimeout 200ms
</VirtualHost>
<VirtualHost @hasty-tls@>
    SSLEngine on
    KeepAliveTimeout 200ms
</VirtualHost>
";

/// It refuses to serve as root, and drops the trailers of what is behind it.
const AS_ROOT: &str = "
User www-data
Group www-data
";
const LACKS: &[Feature] = &[Feature::Trailers];

fn start(binary: &Path, place: &Place) -> Result<Started, String> {
    let ports = Ports::hold(&["http", "https", "h2c", "hasty", "hasty-tls"])?;
    let user = if process::is_root() { AS_ROOT } else { "" };
    let file = place.configuration("apache.conf", &[CONFIGURATION, user].concat(), &ports)?;
    let args = ["-D".as_ref(), "FOREGROUND".as_ref(), "-f".as_ref(), &*file];
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
