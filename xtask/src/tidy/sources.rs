//! What every source file keeps: a header, a bounded length, and no `cfg` where it is not allowed.

use std::fs;
use std::path::{Path, PathBuf};

use super::Findings;
use crate::shell::Result;

/// Longer files say why, in a line of their header that begins like this.
const MOST_LINES: usize = 600;
const EXCUSE: &str = "//! Longer than most because";

pub(super) fn check(root: &Path, findings: &mut Findings) -> Result {
    for file in files(root, "rs")? {
        let text = fs::read_to_string(root.join(&file)).map_err(|error| format!("{}: {error}", file.display()))?;
        let place = file.display();
        let first = text.lines().find(|line| !line.starts_with("#!") && !line.is_empty());
        if !first.is_some_and(|line| line.starts_with("//!")) {
            findings.add(&place, "does not open with `//!`: what it owns, and what must never enter it");
        }
        let lines = text.lines().count();
        if lines > MOST_LINES && !text.contains(EXCUSE) {
            findings.add(&place, format!("{lines} lines; split it at {MOST_LINES}, or say `{EXCUSE} …`"));
        }
        let mut code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
        if file.starts_with("crates/client-core/src") && code.any(|line| line.contains("cfg(target")) {
            findings.add(&place, "knows its target; the core must not");
        }
    }
    Ok(())
}

/// The project's files with an extension, as git would list them.
pub(super) fn files(root: &Path, extension: &str) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for top in ["crates", "docs", "examples", "tests", "xtask"] {
        walk(root, Path::new(top), extension, &mut found)?;
    }
    found.sort();
    Ok(found)
}

fn walk(root: &Path, folder: &Path, extension: &str, found: &mut Vec<PathBuf>) -> Result {
    let entries = fs::read_dir(root.join(folder)).map_err(|error| format!("{}: {error}", folder.display()))?;
    for entry in entries {
        let entry = entry.map_err(|error| error.to_string())?;
        let path = folder.join(entry.file_name());
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            if entry.file_name() != "target" {
                walk(root, &path, extension, found)?;
            }
        } else if path.extension().is_some_and(|own| own == extension) {
            found.push(path);
        }
    }
    Ok(())
}
