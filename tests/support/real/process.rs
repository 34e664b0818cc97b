//! Programs of this machine, run for a test: found, given a directory and ports that nobody else takes, awaited, and stopped whatever
//! becomes of the test. What must never enter: what any particular program needs.

use std::ffi::OsStr;
use std::fs;
use std::io::{self, BufRead, BufReader, Read};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::{Duration, Instant};

use socket2::{Domain, Socket, Type};
use tempfile::TempDir;

/// Where a program is, on the path or where administrators' programs are.
pub(super) fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let more = ["/usr/local/sbin", "/usr/sbin", "/sbin"].map(PathBuf::from);
    let mut places = std::env::split_paths(&path).chain(more);
    places.find_map(|place| Some(place.join(program)).filter(|file| file.is_file()))
}

/// The first thing that looks like a version in what a program says of itself; without arguments it is not asked.
pub(super) fn version(program: &Path, args: &[&str]) -> String {
    if args.is_empty() {
        return String::new();
    }
    let said = Command::new(program).args(args).stdin(Stdio::null()).output();
    let said = said.map(|output| [output.stdout, output.stderr].concat()).unwrap_or_default();
    let said = String::from_utf8_lossy(&said);
    let words = said.split(|c: char| c.is_whitespace() || "/,(".contains(c));
    let mut words = words.map(|word| word.trim_start_matches('v').split(['-', '+']).next().unwrap_or("").trim_end_matches('.'));
    let is_version = |word: &&str| word.contains('.') && word.chars().all(|c| c.is_ascii_digit() || c == '.');
    words.find(is_version).unwrap_or_default().to_owned()
}

/// Whether we are the superuser, whose servers give their rights away.
pub(super) fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt;
    fs::metadata("/proc/self").is_ok_and(|me| me.uid() == 0)
}

/// A directory of one server, which it can read whoever it runs as.
pub(super) fn directory() -> io::Result<TempDir> {
    tempfile::Builder::new()
        .prefix("client-servers-")
        .permissions(fs::Permissions::from_mode(0o755))
        .tempdir()
}

/// A port of the loopback interface, kept for one server. Holding it, without listening, keeps the system from giving it to anybody who
/// asks for any; who asks for this one gets it, as servers do by `SO_REUSEADDR`.
struct Port {
    number: u16,
    _held: Socket,
}

impl Port {
    fn hold() -> io::Result<Self> {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        socket.set_reuse_address(true)?;
        socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into())?;
        let address = socket.local_addr()?.as_socket();
        let number = address.ok_or(io::ErrorKind::AddrNotAvailable)?.port();
        Ok(Self { number, _held: socket })
    }

    fn addr(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.number).into()
    }
}

/// The ports of a server, by name.
pub(super) struct Ports(Vec<(&'static str, Port)>);

impl Ports {
    pub(super) fn hold(names: &[&'static str]) -> Result<Self, String> {
        let ports = names.iter().map(|name| Ok((*name, Port::hold()?))).collect::<io::Result<_>>();
        ports.map(Self).map_err(|error| format!("no port: {error}"))
    }

    pub(super) fn addr(&self, name: &str) -> SocketAddr {
        let port = self.0.iter().find(|(own, _)| *own == name);
        port.expect("a port of this name was asked for").1.addr()
    }

    /// `text` with an address for each `@name@`, and a number for each `@name:port@`.
    pub(super) fn fill(&self, text: &str) -> String {
        let with = |text: String, (name, port): &(&str, Port)| {
            let text = text.replace(&format!("@{name}@"), &port.addr().to_string());
            text.replace(&format!("@{name}:port@"), &port.number.to_string())
        };
        self.0.iter().fold(text.to_owned(), with)
    }
}

/// A program at work. It is stopped when this is dropped, and when this process is gone.
pub(super) struct Process {
    child: Child,
    guardian: Child,
    lines: Receiver<Line>,
    /// So that waiting for a line goes on when the program has closed its output.
    _lines: Sender<Line>,
}

enum Line {
    Says(String),
    Ends,
}

/// How many pipes a program writes to.
const OUTPUTS: usize = 2;
/// Longer than any server takes to start or to stop on a slow and busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

impl Process {
    /// Starts `program` and waits until it accepts connections at all of `ports`.
    pub(super) fn start<S: AsRef<OsStr>>(
        program: &Path,
        args: impl IntoIterator<Item = S>,
        directory: &Path,
        ports: &Ports,
    ) -> Result<Self, String> {
        let name = program.file_name().unwrap_or(program.as_os_str()).to_string_lossy().into_owned();
        let mut child = Command::new(program)
            .args(args)
            .current_dir(directory)
            // Some keep files of their own, and find the place for them by these.
            .env("HOME", directory)
            .env("TMPDIR", directory)
            .env("XDG_CONFIG_HOME", directory)
            .env("XDG_DATA_HOME", directory)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // A group of its own: whatever it starts ends with it, and a Ctrl-C reaches us first.
            .process_group(0)
            .spawn()
            .map_err(|error| format!("{name}: {error}"))?;
        let (sender, lines) = mpsc::channel();
        let outputs: [Option<Box<dyn Read + Send>>; OUTPUTS] = [
            child.stdout.take().map(|pipe| Box::new(pipe) as Box<dyn Read + Send>),
            child.stderr.take().map(|pipe| Box::new(pipe) as Box<dyn Read + Send>),
        ];
        for output in outputs.into_iter().flatten() {
            let sender = sender.clone();
            thread::spawn(move || listen(output, &sender));
        }
        let mut process = Self {
            guardian: guardian(&child).map_err(|error| format!("{name}: sh: {error}"))?,
            child,
            lines,
            _lines: sender,
        };
        process.ready(&name, ports)?;
        Ok(process)
    }

    /// A server is ready when it accepts connections; nothing else says so for every program. What it prints on the way makes us look
    /// again at once.
    fn ready(&mut self, name: &str, ports: &Ports) -> Result<(), String> {
        let (started, mut said) = (Instant::now(), String::new());
        for (_, port) in &ports.0 {
            while TcpStream::connect(port.addr()).is_err() {
                let ended = self.child.try_wait().map_err(|error| format!("{name}: {error}"))?;
                match self.lines.recv_timeout(Duration::from_millis(10)) {
                    Ok(Line::Says(line)) => said = said + "\n  " + &line,
                    _ if ended.is_none() && started.elapsed() < PATIENCE => {}
                    _ => {
                        let how = ended.map_or("does not listen".to_owned(), |status| format!("ended with {status}"));
                        return Err(format!("{name} {how}, and says:{said}"));
                    }
                }
            }
        }
        Ok(())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // The guardian sees its input end, as it would if we were killed.
        drop(self.guardian.stdin.take());
        let started = Instant::now();
        let mut open = OUTPUTS;
        while open > 0 {
            match self.lines.recv_timeout(PATIENCE.saturating_sub(started.elapsed())) {
                Ok(Line::Ends) => open -= 1,
                Ok(Line::Says(_)) => {}
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                    // It is not ours to wait for ever; whoever else is in its group goes with it or not.
                    let _ = self.child.kill();
                    break;
                }
            }
        }
        let _ = (self.child.wait(), self.guardian.wait());
    }
}

fn listen(output: impl Read, lines: &Sender<Line>) {
    for line in BufReader::new(output).split(b'\n').map_while(Result::ok) {
        // Nobody listens when it has been given up.
        let _ = lines.send(Line::Says(String::from_utf8_lossy(&line).into_owned()));
    }
    let _ = lines.send(Line::Ends);
}

/// Waits until its input ends, which happens at the latest when this process does, and then asks the child's group to end.
fn guardian(child: &Child) -> io::Result<Child> {
    Command::new("sh")
        .args(["-c", r#"read -r _; kill -s TERM -- "-$0""#])
        .arg(child.id().to_string())
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()
}
