//! What the prose promises: links lead somewhere, and commands exist.

use std::fs;
use std::path::{Path, PathBuf};

use clap::CommandFactory;

use super::{Findings, sources};
use crate::shell::Result;

pub(super) fn check(root: &Path, findings: &mut Findings) -> Result {
    let mut pages = sources::files(root, "md")?;
    pages.extend(["README.md", "CHANGELOG.md"].map(PathBuf::from));
    for page in pages {
        let text = fs::read_to_string(root.join(&page)).map_err(|error| format!("{}: {error}", page.display()))?;
        links(root, &page, &text, findings);
        commands(root, &page, &text, findings);
    }
    Ok(())
}

/// Relative links, and pictures, lead to files; their anchors to headings.
fn links(root: &Path, page: &Path, text: &str, findings: &mut Findings) {
    for target in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
        if target.contains("://") || target.starts_with("mailto:") {
            continue;
        }
        let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
        let folder = page.parent().unwrap_or(Path::new(""));
        let leads_to = if file.is_empty() { root.join(page) } else { root.join(folder).join(file) };
        if !leads_to.exists() {
            findings.add(page.display(), format!("the link to {target} leads nowhere"));
        } else if !anchor.is_empty() && !fs::read_to_string(&leads_to).is_ok_and(|text| has_heading(&text, anchor)) {
            findings.add(page.display(), format!("the link to {target} leads to no heading"));
        }
    }
}

fn has_heading(text: &str, anchor: &str) -> bool {
    let headings = text.lines().filter(|line| line.starts_with('#'));
    headings.map(slug).any(|slug| slug == anchor)
}

/// A heading's anchor, as the usual renderers make it.
fn slug(heading: &str) -> String {
    let text = heading.trim_start_matches('#').trim().to_lowercase();
    text.chars()
        .filter_map(|c| {
            if c == ' ' {
                Some('-')
            } else {
                (c.is_alphanumeric() || "-_".contains(c)).then_some(c)
            }
        })
        .collect()
}

/// `cargo run --example X` and `cargo xtask X` name what there is.
fn commands(root: &Path, page: &Path, text: &str, findings: &mut Findings) {
    let is_name = |c: char| c.is_alphanumeric() || "-_".contains(c);
    let after = |marker: &'static str| {
        let rests = text.split(marker).skip(1);
        rests
            .map(move |rest| rest.split(|c| !is_name(c)).next().unwrap_or(""))
            .filter(|name| !name.is_empty())
    };
    for example in after("--example ") {
        if !root.join("examples").join(example).join("main.rs").exists() {
            findings.add(page.display(), format!("there is no example {example}"));
        }
    }
    let tasks = crate::Args::command();
    for task in after("cargo xtask ") {
        if tasks.find_subcommand(task).is_none() {
            findings.add(page.display(), format!("there is no task `cargo xtask {task}`"));
        }
    }
}
