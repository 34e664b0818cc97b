//! What is made of results: tables for the terminal, the page with its pictures, and a comparison.

mod compare;
mod page;
mod picture;
mod table;
mod targets;

use std::fs;
use std::path::Path;

use crate::Result;
use crate::results::Results;
use crate::workload::WORKLOADS;

pub(crate) use compare::compare;

/// Where the results behind the page are kept, from the workspace's root.
pub(crate) const RESULTS: &str = "docs/performance/results.json";

/// Every workload's table, to the terminal.
pub(crate) fn print(results: &Results) {
    for workload in WORKLOADS {
        let table = table::of(results, workload);
        if !table.rows.is_empty() {
            println!("\n{}: {}\n{}", workload.name, workload.about, table.text());
        }
    }
    let judged = targets::table(results);
    if !judged.rows.is_empty() {
        println!("\ntargets\n{}", judged.text());
    }
}

/// `docs/performance.md`, its pictures, and the results they were made of.
pub(crate) fn write_page(results: &Results, root: &Path) -> Result {
    let folder = root.join("docs/performance");
    fs::create_dir_all(&folder)?;
    for picture in page::PICTURES {
        fs::write(folder.join(picture.file), picture::picture(results, picture))?;
    }
    fs::write(root.join(RESULTS), serde_json::to_vec(results)?)?;
    fs::write(root.join("docs/performance.md"), page::page(results))?;
    println!("wrote docs/performance.md");
    Ok(())
}
