//! docs/conformance-notes.md, as data: a section for each rule, and the cases that it explains.
//!
//! A section is a heading `### name`, a line that begins with ``Rule `name`: clause.``, prose that says why, and the cases that are known, as
//! lines such as ``- `responses` on cio, hyper: `some/id`, `other/id` ``. On `all` means every engine that can be tried.

use std::collections::{BTreeMap, BTreeSet};

use crate::rules::Rule;

/// What the page says of each rule.
#[derive(Debug, Default)]
pub(crate) struct Notes {
    /// By rule: its clause.
    sections: BTreeMap<String, String>,
    /// By corpus, engine (or `all`) and case: the rule.
    listed: BTreeMap<(String, String, String), String>,
}

impl Notes {
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let (mut notes, mut heading, mut rule) = (Self::default(), None, None::<String>);
        // A list item may go on in indented lines.
        let text = text.replace("\n  ", " ");
        for line in text.lines() {
            if line.starts_with('#') {
                if let (Some(heading), None) = (heading, &rule) {
                    return Err(format!("{heading}: no rule"));
                }
                (heading, rule) = (line.strip_prefix("### ").map(str::trim), None);
            } else if let (Some(heading), Some(named)) = (heading, line.strip_prefix("Rule `")) {
                let (name, clause) = named.split_once("`: ").ok_or_else(|| format!("{heading}: no clause in {line:?}"))?;
                if notes.sections.insert(name.to_owned(), clause.to_owned()).is_some() {
                    return Err(format!("{heading}: the rule {name} has another section"));
                }
                rule = Some(name.to_owned());
            } else if let (Some(rule), Some(item)) = (&rule, line.strip_prefix("- `")) {
                notes.list(rule, item)?;
            }
        }
        match (heading, rule) {
            (Some(heading), None) => Err(format!("{heading}: no rule")),
            _ => Ok(notes),
        }
    }

    fn list(&mut self, rule: &str, item: &str) -> Result<(), String> {
        let (head, ids) = item.split_once(": ").ok_or_else(|| format!("{rule}: no colon in {item:?}"))?;
        let (corpus, engines) = head.split_once("` on ").ok_or_else(|| format!("{rule}: no engines in {item:?}"))?;
        for engine in engines.split(',').map(str::trim) {
            for id in ids.split('`').skip(1).step_by(2) {
                let key = (corpus.to_owned(), engine.to_owned(), id.to_owned());
                if let Some(other) = self.listed.insert(key, rule.to_owned()) {
                    return Err(format!("{corpus} on {engine}: {id} is listed twice, by {other} and {rule}"));
                }
            }
        }
        Ok(())
    }

    /// Fails unless there is a section for each rule, with its clause, and none for another.
    pub(crate) fn fit(&self, rules: impl Iterator<Item = &'static Rule>) -> Result<(), String> {
        let mut names = BTreeSet::new();
        for rule in rules {
            names.insert(rule.name);
            match self.sections.get(rule.name) {
                Some(clause) if clause.starts_with(rule.clause) => {}
                Some(clause) => return Err(format!("the rule {} is by {}, and the page says {clause}", rule.name, rule.clause)),
                None => return Err(format!("no section for the rule {}", rule.name)),
            }
        }
        match self.sections.keys().find(|name| !names.contains(name.as_str())) {
            Some(name) => Err(format!("there is no rule {name}")),
            None => Ok(()),
        }
    }

    /// The rule by which a case is listed to differ on an engine.
    pub(crate) fn of(&self, corpus: &str, engine: &str, id: &str) -> Option<&str> {
        let listed = |engine: &str| self.listed.get(&(corpus.to_owned(), engine.to_owned(), id.to_owned()));
        listed(engine).or_else(|| listed("all")).map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules;

    const PAGE: &str = "\
# Notes

- `this` is prose

### One

Rule `one`: RFC 9112 §5.

- `responses` on all: `a/1`, `a/2`,
  `a:3`
- `curl` on cio, hyper: `c`

### Two

Rule `two`: RFC 9112 §6.

- `responses` on h2: `b`

## Other

- `responses` on h2: `none`
";

    #[test]
    fn what_is_listed_is_found() {
        let notes = Notes::parse(PAGE).unwrap();
        for (corpus, engine, id, rule) in [
            ("responses", "cio", "a/2", Some("one")),
            ("responses", "h2", "a:3", Some("one")),
            ("responses", "h2", "b", Some("two")),
            ("responses", "cio", "b", None),
            ("curl", "hyper", "c", Some("one")),
            ("curl", "h2", "c", None),
            ("responses", "h2", "none", None),
        ] {
            assert_eq!(notes.of(corpus, engine, id), rule, "{corpus} {engine} {id}");
        }
    }

    #[test]
    fn mistakes_are_told() {
        for (page, mistake) in [
            ("### N\nRule `n`: c\n- `responses` on all `a`", "no colon"),
            ("### N\nRule `n`: c\n- `responses`: `a`", "no engines"),
            (
                "### N\nRule `n`: c\n- `r` on cio: `a`\n### M\nRule `m`: c\n- `r` on cio: `a`",
                "listed twice, by n and m",
            ),
            ("### N\nRule `n`: c\n### M\nRule `n`: c", "another section"),
            ("### N\nRule `n`", "no clause"),
            ("### N\nprose\n## M", "N: no rule"),
            ("### N\nprose", "N: no rule"),
        ] {
            assert!(Notes::parse(page).unwrap_err().contains(mistake), "{page}");
        }
    }

    #[test]
    fn the_page_has_a_section_for_each_rule() {
        let page = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/conformance-notes.md");
        let notes = Notes::parse(&std::fs::read_to_string(page).unwrap()).unwrap();
        assert_eq!(notes.fit(rules::all()), Ok(()));
        let none = Notes::parse(PAGE).unwrap();
        assert!(none.fit(rules::all()).unwrap_err().contains("no section for the rule"));
        assert!(none.fit(std::iter::empty()).unwrap_err().contains("there is no rule one"));
    }
}
