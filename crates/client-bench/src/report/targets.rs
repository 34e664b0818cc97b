//! What this project holds itself to, and whether it does, as measured.

use super::table::{Table, number};
use crate::results::{Results, Sample};
use crate::subject::SubjectName::{self, *};

/// One promise in figures.
struct Target {
    what: String,
    bound: Bound,
    measured: Option<f64>,
    digits: usize,
}

#[derive(Clone, Copy)]
enum Bound {
    AtMost(f64),
    AtLeast(f64),
}

/// All that can be judged by what was measured.
pub(super) fn table(results: &Results) -> Table {
    let judged = all(results).into_iter().filter_map(|target| {
        let measured = target.measured?;
        let (is_met, sign, bound) = match target.bound {
            Bound::AtMost(bound) => (measured <= bound, "≤", bound),
            Bound::AtLeast(bound) => (measured >= bound, "≥", bound),
        };
        let bound = format!("{sign} {}", number(bound, target.digits));
        Some(vec![
            target.what,
            bound,
            number(measured, target.digits),
            if is_met { "met" } else { "**not met**" }.to_owned(),
        ])
    });
    Table {
        rows: judged.collect(),
        head: vec!["target", "bound", "measured", ""],
    }
}

const SMALL: [&str; 8] = ["get-1", "get-16", "get-64", "get-256", "tls-1", "tls-16", "tls-64", "tls-256"];
const BULK: [&str; 4] = ["download", "download-chunked", "download-tls", "upload"];
const HTTP2: [&str; 4] = ["h2c-1", "h2c-100", "h2-1", "h2-100"];

fn all(results: &Results) -> Vec<Target> {
    let mut targets = Vec::new();
    let mut against = |workload: &str, subject, base, bound| targets.push(cost(results, workload, subject, base, bound));
    for workload in SMALL {
        against(workload, Cio, Floor, if workload.ends_with("-1") { 1.35 } else { 1.25 });
    }
    for workload in SMALL.iter().chain(&HTTP2) {
        against(workload, Hyper, HyperConn, 1.10);
    }
    for workload in HTTP2 {
        against(workload, H2, RawH2, 1.10);
    }
    for workload in BULK {
        against(workload, Cio, Floor, 1.10);
    }
    for workload in BULK.iter().chain(&["download-h2"]) {
        against(workload, Hyper, HyperConn, 1.05);
    }
    for workload in ["get-1", "get-64", "tls-64", "download", "upload"] {
        for engine in [ClientReqwest, ClientUreq, ClientCurl] {
            against(workload, engine, engine.bare().unwrap_or(engine), 1.10);
        }
    }
    for workload in SMALL {
        targets.push(Target {
            what: format!("{workload}: p99 of client-cio, by that of hyper's connection"),
            bound: Bound::AtMost(1.0),
            measured: median(results.ratio((workload, Cio), (workload, HyperConn), |sample| Some(sample.latency?.p99))),
            digits: 2,
        });
    }
    targets.push(Target {
        what: "pipelined: rate of client-cio, by that of get-1".to_owned(),
        bound: Bound::AtLeast(4.0),
        measured: median(results.ratio(("pipelined", Cio), ("get-1", Cio), Sample::rate)),
        digits: 2,
    });
    for engine in [Cio, Hyper] {
        targets.push(Target {
            what: format!("timeouts: CPU of {}, by that of get-64", engine.title()),
            bound: Bound::AtMost(1.03),
            measured: median(results.ratio(("timeouts", engine), ("get-64", engine), Sample::cost)),
            digits: 2,
        });
    }
    targets.extend(exact(results));
    targets.extend(builds(results));
    targets
}

fn cost(results: &Results, workload: &str, subject: SubjectName, base: SubjectName, bound: f64) -> Target {
    Target {
        what: format!("{workload}: CPU of {}, by {}", subject.title(), base.title()),
        bound: Bound::AtMost(bound),
        measured: median(results.ratio((workload, subject), (workload, base), Sample::cost)),
        digits: 2,
    }
}

fn median(figure: Option<crate::results::Figure>) -> Option<f64> {
    figure.map(|figure| figure.median)
}

/// Counts and sizes.
fn exact(results: &Results) -> Vec<Target> {
    type Of = fn(&Sample) -> Option<f64>;
    let allocations: Of = |sample| sample.counts.allocations;
    let instructions: Of = |sample| sample.counts.instructions;
    let idle: Of = |sample| Some(sample.memory?.idle / 1024.0);
    let in_flight: Of = |sample| Some(sample.memory?.in_flight / 1024.0);
    let peak: Of = |sample| Some(sample.peak_resident as f64 / (1 << 20) as f64);
    let rows = [
        ("allocations of a warm GET", "counts", Cio, allocations, 10.0, 0),
        ("allocations of a warm GET", "counts", Hyper, allocations, 18.0, 0),
        ("instructions of a warm GET", "counts", Cio, instructions, 12_000.0, 0),
        ("instructions of a warm GET", "counts", Hyper, instructions, 28_000.0, 0),
        ("KiB of an idle connection", "memory", Cio, idle, 4.0, 1),
        ("KiB of a request in flight", "memory", Cio, in_flight, 13.0, 1),
        ("MiB at most while 1 GiB comes", "download", Cio, peak, 32.0, 1),
        ("MiB at most while 1 GiB comes", "download", Hyper, peak, 32.0, 1),
        ("MiB at most while 256 MiB go", "upload", Cio, peak, 32.0, 1),
        ("MiB at most while 256 MiB go", "upload", Hyper, peak, 32.0, 1),
    ];
    let target = |(what, workload, subject, of, most, digits): (&str, &str, SubjectName, Of, f64, usize)| Target {
        what: format!("{workload}: {what}, {}", subject.title()),
        bound: Bound::AtMost(most),
        measured: median(results.figure(workload, subject, of)),
        digits,
    };
    rows.into_iter().map(target).collect()
}

fn builds(results: &Results) -> Vec<Target> {
    let rows = [("build-plain", Cio, Ureq, 1.3), ("build", Cio, Reqwest, 1.0)];
    let target = |(workload, subject, base, most): (&str, SubjectName, SubjectName, f64)| Target {
        what: format!("{workload}: time of {}, by {}", subject.title(), base.title()),
        bound: Bound::AtMost(most),
        measured: median(results.ratio((workload, subject), (workload, base), |sample| Some(sample.build?.seconds))),
        digits: 2,
    };
    rows.into_iter().map(target).collect()
}
