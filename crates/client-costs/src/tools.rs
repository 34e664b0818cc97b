//! Programs that count what another one does, where they are installed. They count whole processes: the cost of one thing is the difference
//! between two that do it more and less often.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::{fs, io};

/// A program that runs another, and reports on it.
#[derive(Clone, Copy, Debug)]
pub struct Tool {
    /// Its name.
    pub name: &'static str,
    arguments: &'static [&'static str],
    /// Comes before the path of the report.
    report: &'static str,
    parse: fn(&str) -> Option<BTreeMap<String, u64>>,
}

/// Counts system calls, by name.
pub const STRACE: Tool = Tool {
    name: "strace",
    arguments: &["-f", "-c"],
    report: "--output=",
    parse: system_calls,
};

/// Counts instructions in user space, under the one name of `instructions`.
pub const CALLGRIND: Tool = Tool {
    name: "valgrind",
    arguments: &["--tool=callgrind"],
    report: "--callgrind-out-file=",
    parse: instructions,
};

impl Tool {
    /// Whether it can be had.
    pub fn is_installed(&self) -> bool {
        Command::new(self.name).arg("--version").output().is_ok_and(|output| output.status.success())
    }

    /// A command that runs the program named by its further arguments, and writes to `report`.
    pub fn command(&self, report: &Path) -> Command {
        let mut command = Command::new(self.name);
        command.args(self.arguments).arg(format!("{}{}", self.report, report.display()));
        command
    }

    /// What such a command wrote; the report is removed.
    ///
    /// # Errors
    /// Where there is no report, or one that says nothing.
    pub fn counts(&self, report: &Path) -> io::Result<BTreeMap<String, u64>> {
        let text = fs::read_to_string(report)?;
        fs::remove_file(report)?;
        (self.parse)(&text).ok_or_else(|| io::Error::other(format!("{} counted nothing", self.name)))
    }
}

/// Lines of `% time, seconds, usecs/call, calls, [errors], name`, between two rules; the sum below them is left out.
fn system_calls(report: &str) -> Option<BTreeMap<String, u64>> {
    let lines = report.lines().skip_while(|line| !line.starts_with("---")).skip(1);
    let rows = lines.take_while(|line| !line.starts_with("---"));
    let counts = rows.map(|row| {
        let columns: Vec<_> = row.split_whitespace().collect();
        Some(((*columns.last()?).to_owned(), columns.get(3)?.parse().ok()?))
    });
    counts.collect::<Option<BTreeMap<_, _>>>().filter(|counts| !counts.is_empty())
}

/// A line of `totals: 12345`, at the end.
fn instructions(report: &str) -> Option<BTreeMap<String, u64>> {
    let total = report.lines().rev().find_map(|line| line.strip_prefix("totals: "))?;
    Some(BTreeMap::from([("instructions".to_owned(), total.trim().parse().ok()?)]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn straces_table_is_read() {
        let report = "\
% time     seconds  usecs/call     calls    errors syscall
------ ----------- ----------- --------- --------- ----------------
 60.00    0.001200           1      1200           writev
 40.00    0.000800           0      1201         1 recvfrom
------ ----------- ----------- --------- --------- ----------------
100.00    0.002000           0      2401         1 total
";
        let counts = BTreeMap::from([("writev".to_owned(), 1200), ("recvfrom".to_owned(), 1201)]);
        assert_eq!(system_calls(report), Some(counts));
        assert_eq!(system_calls("strace: not permitted\n"), None);
    }

    #[test]
    fn callgrinds_total_is_read() {
        let counts = instructions("events: Ir\nsummary: 7\n\nfn=main\n1 3\n\ntotals: 1234567\n");
        assert_eq!(counts, Some(BTreeMap::from([("instructions".to_owned(), 1_234_567)])));
        assert_eq!(instructions("events: Ir\n"), None);
    }
}
