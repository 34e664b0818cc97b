//! tinyproxy, as an HTTP proxy: open, and asking for credentials. It closes its connections after each forwarded request.

use std::path::Path;

use super::place::{FORBIDDEN, PASSWORD, Place, USER};
use super::process::{Ports, Process};
use super::{Endpoint, Feature, Kind, Program, Started};

pub(super) const PROGRAM: Program = Program {
    name: "tinyproxy",
    package: "tinyproxy-bin",
    is_in_ci: true,
    binary: "tinyproxy",
    tells_version: &["-v"],
    start,
};

const CONFIGURATION: &str = "
Listen 127.0.0.1
Timeout 60
LogLevel Critical
MaxClients 100
Filter \"@DIR/filter\"
FilterDefaultDeny No
";

fn start(binary: &Path, place: &Place) -> Result<Started, String> {
    let run = |name: &'static str, own: &str| {
        let ports = Ports::hold(&[name])?;
        place.configuration("filter", &FORBIDDEN.replace('.', "\\."), &ports)?;
        let file = place.configuration(name, &format!("Port @{name}:port@\n{own}{CONFIGURATION}"), &ports)?;
        let process = Process::start(binary, ["-d".as_ref(), "-c".as_ref(), &*file], place.directory(), &ports)?;
        Ok::<_, String>((process, ports))
    };
    let (open, open_ports) = run("open", "")?;
    let (asks, asks_ports) = run("asks", &format!("BasicAuth {USER} {PASSWORD}"))?;
    Ok(Started {
        processes: vec![open, asks],
        endpoints: vec![
            Endpoint::new("open", Kind::HttpProxy { asks: false }, &open_ports).lacking(&[Feature::KeepAlive]),
            Endpoint::new("asks", Kind::HttpProxy { asks: true }, &asks_ports).lacking(&[Feature::KeepAlive]),
        ],
    })
}
