//! `cargo xtask ci`: what decides whether a change lands. `.ci/run` installs what a bare machine lacks, and calls this.

use std::time::Instant;

use crate::shell::{Result, cargo, cargo_with};
use crate::tidy;

/// What to run.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Only this step
    #[arg(long, value_name = "STEP")]
    only: Option<String>,
}

type Step = (&'static str, fn() -> Result);

/// The steps, the fastest to fail first.
const STEPS: &[Step] = &[
    ("fmt", || cargo("fmt --all --check")),
    ("tidy", tidy::run),
    ("clippy", || cargo("clippy --workspace --all-targets --all-features -- -D warnings")),
    // What the workspace's feature unification hides: the contract alone, and the smallest engine.
    ("minimal", || {
        cargo("check -p client-core --no-default-features")?;
        cargo("check -p client-cio --no-default-features")?;
        cargo("check -p client --no-default-features")
    }),
    ("test", || cargo("test --workspace")),
    ("test-features", || cargo("test -p client-core -p client-transport -p client-mock --all-features")),
    // Optimized, for the sake of the instructions that it counts.
    ("costs", || cargo("test --release -p client-costs -- --nocapture")),
    ("matrix", || cargo("run --quiet --package client-tests --bin matrix -- --check")),
    ("quickstart", || cargo("run --example quickstart")),
    ("doc", || cargo_with("doc --workspace --no-deps --all-features", &[("RUSTDOCFLAGS", "-D warnings")])),
];

pub(crate) fn run(args: &Args) -> Result {
    let chosen: Vec<&Step> = match &args.only {
        None => STEPS.iter().collect(),
        Some(name) => STEPS.iter().filter(|(step, _)| step == name).collect(),
    };
    if chosen.is_empty() {
        let names: Vec<_> = STEPS.iter().map(|(name, _)| *name).collect();
        return Err(format!("no such step; there are {}", names.join(", ")));
    }
    for (name, step) in chosen {
        println!("\n=== {name}");
        let started = Instant::now();
        step().map_err(|error| format!("{name}: {error}"))?;
        println!("=== {name}: ok, {} s", started.elapsed().as_secs());
    }
    Ok(())
}
