//! nginx, where it is installed: a server that was not written for this measurement, to see whether the ratios hold there too.

use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::SMALL;
use crate::{Result, machine};

/// Where it is to be found.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Ports {
    pub(crate) h1: u16,
    pub(crate) h2c: u16,
}

/// The running program, a child on this process's core.
pub(super) struct Nginx {
    process: Child,
    folder: PathBuf,
    pub(super) ports: Ports,
}

impl Nginx {
    /// `None` where it is not installed.
    pub(super) fn start() -> Result<Option<Self>> {
        let ports = Ports {
            h1: free_port()?,
            h2c: free_port()?,
        };
        let folder = std::env::temp_dir().join(format!("client-bench-nginx-{}", std::process::id()));
        fs::create_dir_all(&folder)?;
        fs::write(folder.join("nginx.conf"), configuration(ports))?;
        let mut command = Command::new("nginx");
        // Debian has it where only root's path leads.
        let path = std::env::var_os("PATH").unwrap_or_default();
        let path = std::env::join_paths(std::env::split_paths(&path).chain(["/usr/sbin".into()]))?;
        command.env("PATH", path).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command.arg("-p").arg(&folder).args(["-e", "stderr", "-c", "nginx.conf"]);
        let process = match command.spawn() {
            Ok(process) => process,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let _ = fs::remove_dir_all(&folder);
                return Ok(None);
            }
            Err(error) => return Err(format!("nginx: {error}").into()),
        };
        let mut nginx = Self { process, folder, ports };
        nginx.answers()?;
        Ok(Some(nginx))
    }

    /// Waits until it listens.
    fn answers(&mut self) -> Result<()> {
        let started = Instant::now();
        while TcpStream::connect((Ipv4Addr::LOCALHOST, self.ports.h1)).is_err() {
            if let Some(status) = self.process.try_wait()? {
                return Err(format!("nginx ended: {status}").into());
            }
            if started.elapsed() > Duration::from_secs(10) {
                return Err("nginx does not listen".into());
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }

    /// Its processor time so far.
    pub(super) fn cpu_time(&self) -> Result<Duration> {
        machine::cpu_time_of(self.process.id())
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// One process, as the other server is one; a connection is kept for as long as it is used.
fn configuration(Ports { h1, h2c }: Ports) -> String {
    let small = String::from_utf8_lossy(SMALL);
    format!(
        "daemon off;
master_process off;
pid nginx.pid;
error_log stderr crit;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    client_body_temp_path body;
    proxy_temp_path proxy;
    fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
    keepalive_requests 1000000000;
    server {{
        listen 127.0.0.1:{h1};
        listen 127.0.0.1:{h2c} http2;
        location = /small {{ return 200 {small}; }}
    }}
}}
"
    )
}

fn free_port() -> io::Result<u16> {
    let address: SocketAddr = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?;
    Ok(address.port())
}
