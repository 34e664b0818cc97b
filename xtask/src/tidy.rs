//! `cargo xtask tidy`: the invariants of `docs/architecture.md` that no compiler checks.

mod crates;
mod docs;
mod sources;

use crate::shell::{Result, root};

/// Everything that was found, each as `place: what is wrong, and what would be right`.
#[derive(Default)]
struct Findings(Vec<String>);

impl Findings {
    fn add(&mut self, place: impl std::fmt::Display, what: impl std::fmt::Display) {
        self.0.push(format!("{place}: {what}"));
    }
}

pub(crate) fn run() -> Result {
    let root = root();
    let mut findings = Findings::default();
    crates::check(&root, &mut findings)?;
    sources::check(&root, &mut findings)?;
    docs::check(&root, &mut findings)?;
    match findings.0.as_slice() {
        [] => {
            println!("tidy: nothing found");
            Ok(())
        }
        found => {
            found.iter().for_each(|finding| eprintln!("{finding}"));
            Err(format!("{} untidy places", found.len()))
        }
    }
}
