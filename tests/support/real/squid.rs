//! Squid, as an HTTP proxy: open, asking for credentials, and reached by TLS. It keeps nothing.

use std::path::Path;

use super::place::{FORBIDDEN, PASSWORD, Place, USER};
use super::process::{Ports, Process};
use super::{Endpoint, Kind, Program, Started};

pub(super) const PROGRAM: Program = Program {
    name: "squid",
    package: "squid",
    is_in_ci: true,
    binary: "squid",
    tells_version: &["-v"],
    start,
};

/// As root it gives its rights to a user of its own, who has to be able to read the directory.
const CONFIGURATION: &str = "
http_port @open@ name=open
http_port @asks@ name=asks
https_port @tls@ name=tls tls-cert=@DIR/chain.pem tls-key=@DIR/key.pem
visible_hostname squid.test
pid_filename none
access_log none
cache_log /dev/null
cache_store_log none
coredump_dir none
netdb_filename none
pinger_enable off
cache deny all
cache_mem 8 MB
max_filedescriptors 1024
shutdown_lifetime 0 seconds
auth_param basic program /bin/sh @DIR/helper
auth_param basic children 1 startup=0 idle=1
auth_param basic realm squid
acl known proxy_auth REQUIRED
acl free myportname open
acl forbidden dstdomain @FORBIDDEN
http_access deny forbidden
http_access allow free
http_access allow known
http_access deny all
";

/// Who is known: it asks by lines of user and password (`auth_param` in its documentation).
const HELPER: &str = r#"
while read -r user password; do
    if [ "$user" = "@USER" ] && [ "$password" = "@PASSWORD" ]; then echo OK; else echo ERR; fi
done
"#;

fn start(binary: &Path, place: &Place) -> Result<Started, String> {
    let ports = Ports::hold(&["open", "asks", "tls"])?;
    place.configuration("helper", &HELPER.replace("@USER", USER).replace("@PASSWORD", PASSWORD), &ports)?;
    let text = CONFIGURATION.replace("@FORBIDDEN", FORBIDDEN);
    let file = place.configuration("squid.conf", &text, &ports)?;
    let args = ["-N".as_ref(), "-f".as_ref(), &*file];
    Ok(Started {
        processes: vec![Process::start(binary, args, place.directory(), &ports)?],
        endpoints: vec![
            Endpoint::new("open", Kind::HttpProxy { asks: false }, &ports),
            Endpoint::new("asks", Kind::HttpProxy { asks: true }, &ports),
            Endpoint::new("tls", Kind::HttpsProxy, &ports),
        ],
    })
}
