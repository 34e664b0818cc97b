//! What an engine does not promise, its documentation names, with the reason: whoever chooses an engine must not find out by trying.

use std::fs;
use std::path::Path;

use client_core::Capability;
use client_tests::engines;

#[test]
fn what_is_not_declared_is_explained() {
    let mut silent = Vec::new();
    for engine in engines::all() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../crates/client-{}/src/lib.rs", engine.name));
        let source = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let docs: String = source.lines().take_while(|line| line.starts_with("//!")).collect();
        let declared = (engine.capabilities)();
        let missing = Capability::ALL.iter().filter(|&&one| !declared.contains(one));
        silent.extend(missing.filter(|one| !docs.contains(&format!("`{one:?}`"))).map(|one| (engine.name, *one)));
    }
    assert_eq!(silent, [], "not declared, and not explained in the engine's documentation");
}
