//! Tables: one for each workload, as text and as Markdown.

use crate::results::{Bottleneck, Figure, Results, Sample};
use crate::subject::SubjectName;
use crate::workload::{Kind, Workload};

const MIB: f64 = (1 << 20) as f64;

/// The first column is text, all others are figures.
pub(super) struct Table {
    pub(super) head: Vec<&'static str>,
    pub(super) rows: Vec<Vec<String>>,
}

impl Table {
    /// In columns.
    pub(super) fn text(&self) -> String {
        let head: Vec<String> = self.head.iter().map(|&title| title.to_owned()).collect();
        let width = |column: usize| {
            let cells = std::iter::once(&head).chain(&self.rows).map(|row| row[column].chars().count());
            cells.max().unwrap_or(0)
        };
        let line = |row: &Vec<String>| {
            let cells = row.iter().enumerate().map(|(column, cell)| match column {
                0 => format!("  {cell:<0$}", width(0)),
                _ => format!("  {cell:>0$}", width(column)),
            });
            cells.collect::<String>() + "\n"
        };
        std::iter::once(&head).chain(&self.rows).map(line).collect()
    }

    pub(super) fn markdown(&self) -> String {
        let rule: String = std::iter::once("---|").chain(self.head.iter().skip(1).map(|_| "---:|")).collect();
        let mut out = format!("| {} |\n|{rule}\n", self.head.join(" | "));
        for row in &self.rows {
            out += &format!("| {} |\n", row.join(" | "));
        }
        out
    }
}

/// What a workload gave; without rows where it did not run.
pub(super) fn of(results: &Results, workload: &Workload) -> Table {
    let head = match workload.kind {
        Kind::Closed { .. } => vec![
            "client",
            "CPU/request, µs",
            "spread",
            base_title(workload),
            "× hyper connection",
            "requests/s",
            "p50, µs",
            "p99, µs",
            "p99.9, µs",
            "busy",
        ],
        Kind::Transfer(_) => vec![
            "client",
            "CPU/GiB, s",
            "spread",
            base_title(workload),
            "× hyper connection",
            "MiB/s",
            "peak memory, MiB",
            "busy",
        ],
        Kind::Memory => vec![
            "client",
            "idle connection, KiB",
            "request in flight, KiB",
            "connection it left, KiB",
        ],
        Kind::Counts => vec!["client", "allocations", "bytes allocated", "system calls", "instructions"],
        Kind::Build { .. } => vec!["client", "crates", "build, s", "× reqwest", "binary, MiB"],
    };
    let subjects = workload.subjects.iter().filter(|&&subject| results.has(workload.name, subject));
    let rows = subjects.map(|&subject| {
        let mut row = vec![subject.title().to_owned()];
        row.extend(cells(results, workload, subject));
        row
    });
    Table {
        rows: rows.collect(),
        head,
    }
}

fn base_title(workload: &Workload) -> &'static str {
    match workload.base() {
        SubjectName::RawH2 => "× h2 crate",
        _ => "× floor",
    }
}

fn cells(results: &Results, workload: &Workload, subject: SubjectName) -> Vec<String> {
    let name = workload.name;
    let figure = |of: fn(&Sample) -> Option<f64>| results.figure(name, subject, of);
    let median = |of: fn(&Sample) -> Option<f64>, digits: usize| cell(figure(of).map(|figure| figure.median), digits);
    let ratio = |to: SubjectName, of: fn(&Sample) -> Option<f64>| {
        cell(results.ratio((name, subject), (name, to), of).map(|figure| figure.median), 2)
    };
    let costs = |scale: f64, digits: usize| {
        let cost = figure(Sample::cost);
        [
            cell(cost.map(|cost| cost.median * scale), digits),
            cost.map_or_else(dash, spread),
            ratio(workload.base(), Sample::cost),
            ratio(SubjectName::HyperConn, Sample::cost),
        ]
    };
    match workload.kind {
        Kind::Closed { .. } => {
            let mut cells = costs(1e6, 2).to_vec();
            cells.extend([
                median(Sample::rate, 0),
                median(|sample| Some(sample.latency?.p50), 1),
                median(|sample| Some(sample.latency?.p99), 1),
                median(|sample| Some(sample.latency?.p999), 1),
                busy(results, name, subject),
            ]);
            cells
        }
        Kind::Transfer(_) => {
            let mut cells = costs(1.0, 3).to_vec();
            cells.extend([
                median(|sample| Some(sample.rate()? / MIB), 0),
                median(|sample| Some(sample.peak_resident as f64 / MIB), 1),
                busy(results, name, subject),
            ]);
            cells
        }
        Kind::Memory => vec![
            median(|sample| Some(sample.memory?.idle / 1024.0), 1),
            median(|sample| Some(sample.memory?.in_flight / 1024.0), 1),
            median(|sample| Some(sample.memory?.after / 1024.0), 1),
        ],
        Kind::Counts => vec![
            median(|sample| sample.counts.allocations, 1),
            median(|sample| sample.counts.allocated, 0),
            median(|sample| sample.counts.system_calls, 2),
            median(|sample| sample.counts.instructions, 0),
        ],
        Kind::Build { .. } => vec![
            median(|sample| Some(sample.build?.crates as f64), 0),
            median(|sample| Some(sample.build?.seconds), 1),
            ratio(SubjectName::Reqwest, |sample| Some(sample.build?.seconds)),
            median(|sample| Some(sample.build?.binary as f64 / MIB), 2),
        ],
    }
}

fn cell(value: Option<f64>, digits: usize) -> String {
    value.map_or_else(dash, |value| number(value, digits))
}

fn dash() -> String {
    "–".to_owned()
}

/// How far the rounds lie apart.
fn spread(figure: Figure) -> String {
    format!("±{:.0} %", figure.spread() * 50.0)
}

/// With commas between thousands.
pub(super) fn number(value: f64, digits: usize) -> String {
    let text = format!("{value:.digits$}");
    let (whole, rest) = text.split_at(text.find('.').unwrap_or(text.len()));
    let mut out = String::new();
    for (at, digit) in whole.chars().enumerate() {
        let left = whole.len() - at;
        if at > 0 && left % 3 == 0 && !out.ends_with('-') {
            out.push(',');
        }
        out.push(digit);
    }
    out + rest
}

fn busy(results: &Results, workload: &str, subject: SubjectName) -> String {
    let word = match results.bottleneck(workload, subject) {
        Some(Bottleneck::Client) => "client",
        Some(Bottleneck::Server) => "server",
        Some(Bottleneck::Neither) => "neither",
        None => "–",
    };
    word.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped() {
        let rows = [
            (1.0, 0, "1"),
            (123.45, 1, "123.5"),
            (1234.0, 0, "1,234"),
            (1_234_567.8, 1, "1,234,567.8"),
            (-123.0, 0, "-123"),
        ];
        for (value, digits, text) in rows {
            assert_eq!(number(value, digits), text);
        }
    }

    #[test]
    fn columns_are_aligned() {
        let table = Table {
            head: vec!["a", "µs"],
            rows: vec![
                vec!["long".to_owned(), "1".to_owned()],
                vec!["b".to_owned(), "1,000".to_owned()],
            ],
        };
        assert_eq!(table.text(), "  a        µs\n  long      1\n  b     1,000\n");
        assert_eq!(table.markdown(), "| a | µs |\n|---|---:|\n| long | 1 |\n| b | 1,000 |\n");
    }
}
