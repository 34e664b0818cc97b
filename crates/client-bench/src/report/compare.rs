//! A comparison with earlier results, for a developer at work.

use super::table::{Table, number};
use crate::results::{Figure, Results, Sample};
use crate::workload::{Kind, WORKLOADS, Workload};

/// A change is told from noise where the ranges over the rounds do not touch.
pub(crate) fn compare(base: &Results, now: &Results) {
    println!(
        "\nagainst {} ({}); times as ratios to the floor or the h2 crate, theirs as they are",
        base.revision, base.machine
    );
    if base.machine != now.machine || base.quick != now.quick {
        println!("another machine, or another scale: only counts and ratios can be compared");
    }
    let table = table(base, now);
    if table.rows.is_empty() {
        println!("  nothing that both have");
    } else {
        println!("{}", table.text());
    }
}

fn table(base: &Results, now: &Results) -> Table {
    let mut rows = Vec::new();
    for workload in WORKLOADS {
        for &subject in workload.subjects {
            for (what, of) in figures(workload) {
                let figure = |results: &Results| match workload.kind {
                    // Machines differ, and so does one machine from day to day.
                    Kind::Closed { .. } | Kind::Transfer(_) if subject != workload.base() => {
                        results.ratio((workload.name, subject), (workload.name, workload.base()), of)
                    }
                    _ => results.figure(workload.name, subject, of),
                };
                if let (Some(before), Some(after)) = (figure(base), figure(now)) {
                    rows.push(vec![
                        format!("{}: {}: {what}", workload.name, subject.title()),
                        number(before.median, 2),
                        number(after.median, 2),
                        change(before, after),
                    ]);
                }
            }
        }
    }
    Table {
        rows,
        head: vec!["", "before", "now", "change"],
    }
}

type Of = fn(&Sample) -> Option<f64>;

fn figures(workload: &Workload) -> Vec<(&'static str, Of)> {
    match workload.kind {
        Kind::Closed { .. } => vec![("CPU, µs", |sample| Some(sample.cost()? * 1e6))],
        Kind::Transfer(_) => vec![("CPU, s", Sample::cost)],
        Kind::Memory => vec![
            ("bytes idle", |sample| Some(sample.memory?.idle)),
            ("bytes in flight", |sample| Some(sample.memory?.in_flight)),
        ],
        Kind::Counts => vec![
            ("allocations", |sample| sample.counts.allocations),
            ("bytes allocated", |sample| sample.counts.allocated),
            ("system calls", |sample| sample.counts.system_calls),
            ("instructions", |sample| sample.counts.instructions),
        ],
        Kind::Build { .. } => vec![("seconds", |sample| Some(sample.build?.seconds))],
    }
}

fn change(before: Figure, after: Figure) -> String {
    if before.median == 0.0 {
        return String::new();
    }
    let percent = (after.median / before.median - 1.0) * 100.0;
    let touch = before.low <= after.high && after.low <= before.high;
    if percent.abs() < 0.05 {
        "same".to_owned()
    } else if touch {
        format!("{percent:+.1} %, within the noise")
    } else {
        format!("{percent:+.1} %")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_that_touch_are_noise() {
        let figure = |low, median, high| Figure { median, low, high };
        assert_eq!(change(figure(1.0, 1.1, 1.2), figure(1.15, 1.21, 1.3)), "+10.0 %, within the noise");
        assert_eq!(change(figure(1.0, 1.0, 1.0), figure(0.9, 0.9, 0.95)), "-10.0 %");
        assert_eq!(change(figure(14.0, 14.0, 14.0), figure(14.0, 14.0, 14.0)), "same");
    }
}
