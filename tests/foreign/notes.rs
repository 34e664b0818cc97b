//! docs/conformance-notes.md, as data: which cases differ on purpose, on which engines.
//!
//! A note is a heading `### name`, prose that says why and by which clause, and lines such as
//! ``- `responses` on cio, hyper: `some/id`, `other/id` ``. On `all` means every engine that can be tried.

use std::collections::BTreeMap;

/// What is expected to differ.
#[derive(Debug, Default)]
pub(crate) struct Notes {
    /// By corpus, engine (or `all`) and case: the name of the note.
    listed: BTreeMap<(String, String, String), String>,
}

impl Notes {
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let (mut notes, mut note) = (Self::default(), None);
        // A list item may go on in indented lines.
        let text = text.replace("\n  ", " ");
        for line in text.lines() {
            if line.starts_with('#') {
                note = line.strip_prefix("### ").map(str::trim);
            }
            let (Some(name), Some(item)) = (note, line.strip_prefix("- `")) else {
                continue;
            };
            let (head, ids) = item.split_once(':').ok_or_else(|| format!("{name}: no colon in {line:?}"))?;
            let (corpus, engines) = head.split_once("` on ").ok_or_else(|| format!("{name}: no engines in {line:?}"))?;
            for engine in engines.split(',').map(str::trim) {
                for id in ids.split('`').skip(1).step_by(2) {
                    let key = (corpus.to_owned(), engine.to_owned(), id.to_owned());
                    if let Some(other) = notes.listed.insert(key, name.to_owned()) {
                        return Err(format!("{corpus} on {engine}: {id} is listed twice, by {other} and {name}"));
                    }
                }
            }
        }
        Ok(notes)
    }

    /// The note that says why a case differs on an engine.
    pub(crate) fn of(&self, corpus: &str, engine: &str, id: &str) -> Option<&str> {
        let listed = |engine: &str| self.listed.get(&(corpus.to_owned(), engine.to_owned(), id.to_owned()));
        listed(engine).or_else(|| listed("all")).map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = "\
# Notes

- `this` is prose

### One

Because of RFC 9112 §5.

- `responses` on all: `a/1`, `a/2`,
  `a:3`
- `curl` on cio, hyper: `c`

### Two

- `responses` on h2: `b`

## Other

- `responses` on h2: `none`
";

    #[test]
    fn what_is_listed_is_found() {
        let notes = Notes::parse(PAGE).unwrap();
        for (corpus, engine, id, note) in [
            ("responses", "cio", "a/2", Some("One")),
            ("responses", "h2", "a:3", Some("One")),
            ("responses", "h2", "b", Some("Two")),
            ("responses", "cio", "b", None),
            ("curl", "hyper", "c", Some("One")),
            ("curl", "h2", "c", None),
            ("responses", "h2", "none", None),
        ] {
            assert_eq!(notes.of(corpus, engine, id), note, "{corpus} {engine} {id}");
        }
    }

    #[test]
    fn mistakes_are_told() {
        for (page, mistake) in [
            ("### N\n- `responses` on all `a`", "no colon"),
            ("### N\n- `responses`: `a`", "no engines"),
            ("### N\n- `r` on cio: `a`\n### M\n- `r` on cio: `a`", "listed twice, by N and M"),
        ] {
            assert!(Notes::parse(page).unwrap_err().contains(mistake), "{page}");
        }
    }
}
