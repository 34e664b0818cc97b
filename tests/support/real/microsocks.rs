//! microsocks, as a SOCKS5 proxy: open, and asking for credentials. It tells no version.

use std::path::Path;

use super::place::{PASSWORD, Place, USER};
use super::process::{Ports, Process};
use super::{Endpoint, Kind, Program, Started};

pub(super) const PROGRAM: Program = Program {
    name: "microsocks",
    package: "microsocks",
    is_in_ci: true,
    binary: "microsocks",
    tells_version: &[],
    start,
};

fn start(binary: &Path, place: &Place) -> Result<Started, String> {
    let run = |name: &'static str, own: &[&str]| {
        let ports = Ports::hold(&[name])?;
        let port = ports.fill(&format!("@{name}:port@"));
        let args = ["-i", "127.0.0.1", "-p", &port].into_iter().chain(own.iter().copied());
        let process = Process::start(binary, args, place.directory(), &ports)?;
        Ok::<_, String>((process, ports))
    };
    let (open, open_ports) = run("open", &[])?;
    let (asks, asks_ports) = run("asks", &["-u", USER, "-P", PASSWORD])?;
    Ok(Started {
        processes: vec![open, asks],
        endpoints: vec![
            Endpoint::new("open", Kind::Socks5 { asks: false }, &open_ports),
            Endpoint::new("asks", Kind::Socks5 { asks: true }, &asks_ports),
        ],
    })
}
