//! Dante, as a SOCKS proxy of both versions. Its users would be the system's: it asks for none.

use std::path::Path;

use super::place::Place;
use super::process::{Ports, Process};
use super::{Endpoint, Kind, Program, Started};

pub(super) const PROGRAM: Program = Program {
    name: "dante",
    package: "dante-server",
    is_in_ci: false,
    binary: "danted",
    tells_version: &["-v"],
    start,
};

const CONFIGURATION: &str = "
errorlog: stderr
logoutput: @DIR/dante.log
internal: 127.0.0.1 port = @socks5:port@
internal: 127.0.0.1 port = @socks4:port@
external: 127.0.0.1
clientmethod: none
socksmethod: none
client pass {
    from: 127.0.0.0/8 to: 127.0.0.0/8
}
socks pass {
    from: 127.0.0.0/8 to: 127.0.0.0/8
}
";

fn start(binary: &Path, place: &Place) -> Result<Started, String> {
    let ports = Ports::hold(&["socks5", "socks4"])?;
    let file = place.configuration("dante.conf", CONFIGURATION, &ports)?;
    let pid = place.path("dante.pid");
    let args = ["-f".as_ref(), &*file, "-p".as_ref(), &*pid];
    Ok(Started {
        processes: vec![Process::start(binary, args, place.directory(), &ports)?],
        endpoints: vec![
            Endpoint::new("socks5", Kind::Socks5 { asks: false }, &ports),
            Endpoint::new("socks4", Kind::Socks4, &ports),
        ],
    })
}
