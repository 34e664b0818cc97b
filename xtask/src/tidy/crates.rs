//! Who may depend on whom, and how many crates that costs.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use serde::Deserialize;

use super::Findings;
use crate::shell::{Result, cargo_output};

/// The direction of dependency: each crate of ours, and which others of ours it may use.
const MAY_USE: &[(&str, &[&str])] = &[
    ("client-core", &[]),
    ("client-tls", &["client-core"]),
    ("client-transport", &["client-core", "client-tls"]),
    ("client-plugins", &["client-core"]),
    ("client-conformance", &["client-core"]),
    ("client-mock", &["client-core"]),
    ("client-cio", &["client-core", "client-transport"]),
    ("client-hyper", &["client-core", "client-h2", "client-transport"]),
    ("client-h2", &["client-core", "client-transport"]),
    ("client-reqwest", &["client-core", "client-tls"]),
    ("client-curl", &["client-core"]),
    ("client-ureq", &["client-core", "client-tls"]),
];

/// Crates at the top, which may use every other; nothing may use them.
const TOPS: &[&str] = &[
    "client",
    "client-bench",
    "client-costs",
    "client-examples",
    "client-tests",
    "xtask",
];

/// What must never enter a crate, directly or through others: a runtime, a socket, another stack.
const NEVER: &[(&str, &[&str])] = &[
    ("client-core", &["tokio", "mio", "rustls", "hyper", "futures-util"]),
    ("client-mock", &["tokio", "mio", "rustls", "hyper"]),
    ("client-tls", &["tokio", "mio", "hyper"]),
    ("client-cio", &["hyper", "h2", "reqwest", "ureq", "curl"]),
    ("client-transport", &["hyper", "h2", "reqwest", "ureq", "curl"]),
    ("client-curl", &["tokio", "hyper", "openssl-sys"]),
    ("client-ureq", &["tokio", "hyper"]),
];

/// What decides whom to trust, and the one crate that may use it directly: security code exists once.
const ONLY_IN: &[(&str, &str)] = &[("rustls-webpki", "client-tls"), ("rustls-platform-verifier", "client-tls")];

/// How many crates a build may take: `cargo tree` with these arguments, and the bound.
const BUDGETS: &[(&str, usize)] = &[("-p client-cio --no-default-features", 45), ("-p client-cio", 80)];

/// The platform whose crates are counted, wherever that is done.
const COUNTED: &str = "x86_64-unknown-linux-gnu";

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    description: Option<String>,
    dependencies: Vec<Dependency>,
}

#[derive(Deserialize)]
struct Dependency {
    name: String,
    /// `None`: a normal one.
    kind: Option<String>,
    path: Option<String>,
}

pub(super) fn check(root: &Path, findings: &mut Findings) -> Result {
    let json = cargo_output("metadata --no-deps --format-version 1")?;
    let metadata: Metadata = serde_json::from_str(&json).map_err(|error| format!("cargo metadata: {error}"))?;
    let ours: BTreeSet<&str> = metadata.packages.iter().map(|package| package.name.as_str()).collect();
    directions(&metadata, findings);
    jobs(root, &metadata, findings)?;
    counts(root, findings)?;
    for (name, never) in NEVER.iter().filter(|(name, _)| ours.contains(name)) {
        let tree = tree(&format!("-p {name}"))?;
        for other in never.iter().filter(|other| tree.contains_key(**other)) {
            findings.add(name, format!("depends on {other}, which must never enter it"));
        }
    }
    for (args, most) in BUDGETS {
        let count = tree(args)?.len();
        if count > *most {
            findings.add(
                format!("cargo tree {args}"),
                format!(
                    "{count} crates, more than {most}; if idna_adapter is 1.2, `cargo update -p idna_adapter --precise 1.1.0`"
                ),
            );
        }
    }
    Ok(())
}

fn directions(metadata: &Metadata, findings: &mut Findings) {
    let allowed: BTreeMap<_, _> = MAY_USE.iter().copied().collect();
    for package in &metadata.packages {
        let name = package.name.as_str();
        let Some(may_use) = allowed.get(name) else {
            if !TOPS.contains(&name) {
                findings.add(name, "has no place in xtask/src/tidy/crates.rs: say what it may use");
            }
            continue;
        };
        let normal = |other: &&Dependency| other.kind.is_none();
        for (guarded, home) in ONLY_IN.iter().filter(|(_, home)| *home != name) {
            if package.dependencies.iter().filter(normal).any(|other| other.name == *guarded) {
                findings.add(name, format!("depends on {guarded}, which only {home} may use"));
            }
        }
        let inner = package.dependencies.iter().filter(|other| other.kind.is_none() && other.path.is_some());
        for other in inner.filter(|other| !may_use.contains(&other.name.as_str())) {
            findings.add(name, format!("depends on {}; it may use: {}", other.name, may_use.join(", ")));
        }
    }
}

/// Each crate's job in one line, the same in its manifest and on the map.
fn jobs(root: &Path, metadata: &Metadata, findings: &mut Findings) -> Result {
    let map = fs::read_to_string(root.join("docs/architecture.md")).map_err(|error| format!("docs/architecture.md: {error}"))?;
    for Package { name, description, .. } in &metadata.packages {
        match description {
            None => findings.add(name, "has no description: its job in one line"),
            Some(job) if !map.contains(&format!("| `{name}` | {job} |")) => {
                findings.add("docs/architecture.md", format!("lacks the row | `{name}` | {job} |"));
            }
            Some(_) => {}
        }
    }
    Ok(())
}

/// The numbers of crates in the README's table of engines: without the default features, and with them.
fn counts(root: &Path, findings: &mut Findings) -> Result {
    let readme = fs::read_to_string(root.join("README.md")).map_err(|error| format!("README.md: {error}"))?;
    let rows = readme.lines().filter_map(|line| Some((line, line.strip_prefix("| [`")?.split_once("`]")?.0)));
    for (row, name) in rows {
        let told = row.trim_end_matches([' ', '|']).rsplit('|').next().unwrap_or_default().trim();
        // A crate that is only for tests has no features, and no numbers.
        if told.starts_with(|first: char| first.is_ascii_digit()) {
            let count = |features| count(&format!("-p {name} {features}"));
            let measured = format!("{}, {}", count("--no-default-features")?, count("")?);
            if told != measured {
                findings.add("README.md", format!("says that {name} needs {told} crates; it is {measured}"));
            }
        }
    }
    Ok(())
}

/// How many crates a build takes: the lines that the README's command counts.
fn count(args: &str) -> Result<usize> {
    let lines = cargo_output(&format!("tree {args} --target {COUNTED} --edges normal --prefix none --no-dedupe"))?;
    // A crate that was printed before is marked.
    Ok(lines.lines().map(|line| line.trim_end_matches(" (*)")).collect::<BTreeSet<_>>().len())
}

/// The crates of a build on any platform we can build for here, by name.
fn tree(args: &str) -> Result<BTreeMap<String, String>> {
    let lines = cargo_output(&format!("tree {args} --edges normal --prefix none --no-dedupe"))?;
    let pairs = lines.lines().filter_map(|line| line.split_once(' '));
    Ok(pairs.map(|(name, version)| (name.to_owned(), version.to_owned())).collect())
}
