//! What an engine costs to build: a program that gets and prints, of that engine alone, compiled from nothing.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use crate::Result;
use crate::results::{Build, Sample};
use crate::subject::SubjectName;
use crate::workload::Features;

/// Compiles the program for one client. Everything is downloaded before the clock starts.
pub(super) fn build(subject: SubjectName, features: Features) -> Result<Sample> {
    let folder = Folder::new()?;
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).parent().ok_or("no crates")?;
    let Program {
        dependency,
        runtime,
        source,
    } = program(subject)?;
    let mut manifest = String::from(MANIFEST);
    let fewest = match features {
        Features::Default => "",
        Features::Fewest => ", default-features = false",
    };
    let _ = writeln!(manifest, "{} {fewest} }}", dependency.replace("CRATES", &crates.display().to_string()));
    if subject.is_ours() {
        let _ = writeln!(manifest, "client-core = {{ path = \"{}/client-core\" }}", crates.display());
    }
    if let Some(runtime) = runtime {
        let _ = writeln!(manifest, "{runtime}");
    }
    fs::create_dir(folder.0.join("src"))?;
    fs::write(folder.0.join("Cargo.toml"), manifest)?;
    fs::write(folder.0.join("src/main.rs"), source)?;
    // The versions that this workspace has.
    let workspace = crates.parent().ok_or("no workspace")?;
    fs::copy(workspace.join("Cargo.lock"), folder.0.join("Cargo.lock"))?;
    cargo(&folder.0, &["fetch", "--quiet"])?;
    let tree = cargo(
        &folder.0,
        &[
            "tree",
            "--edges",
            "normal,build",
            "--prefix",
            "none",
            "--no-dedupe",
            "--quiet",
        ],
    )?;
    let mut names: Vec<_> = tree.lines().filter_map(|line| line.split_whitespace().next()).collect();
    names.sort_unstable();
    names.dedup();

    let started = Instant::now();
    cargo(&folder.0, &["build", "--release", "--quiet"])?;
    let seconds = started.elapsed().as_secs_f64();
    Ok(Sample {
        build: Some(Build {
            // Without the program itself.
            crates: names.len() - 1,
            seconds,
            binary: fs::metadata(folder.0.join("target/release/get"))?.len(),
        }),
        ..Sample::default()
    })
}

/// Removed when dropped.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Result<Self> {
        let folder = std::env::temp_dir().join(format!("client-bench-build-{}", std::process::id()));
        fs::create_dir(&folder)?;
        Ok(Self(folder))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn cargo(folder: &Path, args: &[&str]) -> Result<String> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(args)
        .current_dir(folder)
        .env("CARGO_TARGET_DIR", folder.join("target"))
        .output()?;
    if output.status.success() {
        Ok(String::from_utf8(output.stdout)?)
    } else {
        // Whole to the terminal; what goes on the page must not name this machine's folders.
        eprintln!("{}", String::from_utf8_lossy(&output.stderr));
        Err(format!("`cargo {}` failed", args.join(" ")).into())
    }
}

const MANIFEST: &str = "\
[package]
name = \"get\"
edition = \"2024\"

[workspace]

[profile.release]
strip = true

[dependencies]
";

struct Program {
    /// Without its end.
    dependency: &'static str,
    /// What drives it, if something has to.
    runtime: Option<&'static str>,
    source: &'static str,
}

const TOKIO: Option<&str> = Some(r#"tokio = { version = "1", features = ["rt-multi-thread", "macros"] }"#);
const EXECUTOR: Option<&str> = Some(r#"futures-executor = "0.3""#);

/// An engine of ours, and what `main` waits with.
macro_rules! ours {
    ($engine:literal, $make:literal, $runtime:expr, $begin:literal, $end:literal) => {
        Program {
            dependency: concat!("client-", $engine, " = { path = \"CRATES/client-", $engine, "\""),
            runtime: $runtime,
            source: concat!(
                $begin,
                "    let url = std::env::args().nth(1).unwrap_or_default();\n    let http = client_core::HttpClient::new(",
                $make,
                "::new());\n    println!(\"{}\", http.get(url).send().await?.text().await?);\n    Ok(())\n",
                $end
            ),
        }
    };
    ($engine:literal, $make:literal) => {
        ours!($engine, $make, TOKIO, "#[tokio::main]\nasync fn main() -> client_core::Result<()> {\n", "}\n")
    };
}

fn program(subject: SubjectName) -> Result<Program> {
    Ok(match subject {
        SubjectName::Cio => ours!("cio", "client_cio::Cio"),
        SubjectName::Hyper => ours!("hyper", "client_hyper::Hyper"),
        SubjectName::H2 => ours!("h2", "client_h2::H2"),
        SubjectName::ClientReqwest => ours!("reqwest", "client_reqwest::Reqwest"),
        SubjectName::ClientCurl => ours!("curl", "client_curl::Curl"),
        SubjectName::ClientUreq => ours!(
            "ureq",
            "client_ureq::Ureq",
            EXECUTOR,
            "fn main() -> client_core::Result<()> {\n    futures_executor::block_on(async {\n",
            "    })\n}\n"
        ),
        SubjectName::Reqwest => Program {
            dependency: r#"reqwest = { version = "0.13""#,
            runtime: TOKIO,
            source: "#[tokio::main]\nasync fn main() -> reqwest::Result<()> {\n    let url = std::env::args().nth(1).unwrap_or_default();\n    \
                     println!(\"{}\", reqwest::get(url).await?.text().await?);\n    Ok(())\n}\n",
        },
        SubjectName::Ureq => Program {
            dependency: r#"ureq = { version = "3""#,
            runtime: None,
            source: "fn main() -> Result<(), ureq::Error> {\n    let url = std::env::args().nth(1).unwrap_or_default();\n    \
                     println!(\"{}\", ureq::get(url).call()?.into_body().read_to_string()?);\n    Ok(())\n}\n",
        },
        SubjectName::Isahc => Program {
            dependency: r#"isahc = { version = "2""#,
            runtime: None,
            source: "use isahc::ReadResponseExt;\nfn main() -> Result<(), Box<dyn std::error::Error>> {\n    \
                     let url = std::env::args().nth(1).unwrap_or_default();\n    println!(\"{}\", isahc::get(url)?.text()?);\n    Ok(())\n}\n",
        },
        other => return Err(format!("there is no program for {}", other.title()).into()),
    })
}
