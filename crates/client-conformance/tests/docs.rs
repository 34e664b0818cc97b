//! What the documentation says of cases: those that it names exist.

use std::collections::BTreeSet;

use client_conformance::{TOPICS, cases};

const PAGE: &str = include_str!("../../../docs/timeouts.md");
const CORE: &str = include_str!("../../client-core/tests/timeouts.rs");

#[test]
fn each_assertion_of_ktors_has_a_case_or_a_test_that_exists() {
    let ids: BTreeSet<_> = cases().map(|case| case.id).collect();
    let (_, section) = PAGE.split_once("## Ktor's assertions").expect("the section");
    let rows: Vec<_> = section.lines().filter(|line| line.starts_with("| test") || line.starts_with("| …")).collect();
    assert!(rows.len() >= 25, "{} rows", rows.len());
    for row in rows {
        let mut parts = row.split('`');
        let (mut before, mut shown) = (parts.next().unwrap_or_default(), 0);
        while let (Some(name), Some(after)) = (parts.next(), parts.next()) {
            match name.split_once('.') {
                Some(_) => assert!(ids.contains(name), "no case {name}: {row}"),
                None if before.ends_with("test ") => assert!(CORE.contains(&format!("\nfn {name}()")), "no test {name}: {row}"),
                None => assert!(TOPICS.iter().any(|topic| topic.name == name), "no topic {name}: {row}"),
            }
            shown += 1;
            before = after;
        }
        assert!(shown > 0, "nothing shows it: {row}");
    }
}
