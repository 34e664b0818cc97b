//! The matrix as a picture, `docs/engines.svg`: readable in light and in dark.

use std::fmt::Write as _;

use client_conformance::TOPICS;

use crate::page::words;
use crate::results::{Results, Tally};

const LEFT: usize = 190;
const TOP: usize = 44;
const CELL: (usize, usize) = (96, 26);

const STYLE: &str = "\
text { font: 13px system-ui, sans-serif; fill: #1f2328 }
.head { font-weight: 600 }
a:hover text { text-decoration: underline }
.passed { fill: #1f883d } .refused { fill: #bf8700 } .deviates { fill: #8250df } .none { fill: #6e7781 } .failed { fill: #cf222e }
.count { fill: #ffffff; text-anchor: middle }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3 }
  .passed { fill: #238636 } .refused { fill: #9e6a03 } .deviates { fill: #8957e5 } .none { fill: #484f58 } .failed { fill: #da3633 }
  .count { fill: #ffffff }
}";

/// One bar per topic and engine: as much of it is green as was passed, yellow as was refused. Each leads to what it means.
pub(crate) fn picture(results: &Results) -> String {
    let (width, height) = (LEFT + results.engines.len() * CELL.0 + 10, TOP + TOPICS.len() * CELL.1 + 34);
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\" role=\"img\" \
         aria-label=\"Conformance cases passed by topic and engine\">\n<style>\n{STYLE}\n</style>\n"
    );
    for (column, engine) in results.engines.iter().enumerate() {
        let x = LEFT + column * CELL.0 + 4;
        let _ = writeln!(out, "<text class=\"head\" x=\"{x}\" y=\"{}\">{}</text>", TOP - 14, engine.engine.name);
    }
    for (row, topic) in TOPICS.iter().enumerate() {
        let y = TOP + row * CELL.1;
        let _ = writeln!(out, "<a href=\"engines.md#topic-{0}\"><text x=\"8\" y=\"{1}\">{0}</text></a>", topic.name, y + 17);
        for (column, engine) in results.engines.iter().enumerate() {
            let tally = engine.tally(topic.name);
            // The cases, or, where there is something to explain, the reasons.
            let to = if tally.deviates > 0 {
                "deviations".to_owned()
            } else {
                format!("topic-{}", topic.name)
            };
            let title = format!("{}, {}: {}", engine.engine.name, topic.name, words(tally));
            let _ = writeln!(out, "<a href=\"engines.md#{to}\"><title>{title}</title>");
            bar(&mut out, LEFT + column * CELL.0 + 4, y + 2, tally);
            out.push_str("</a>\n");
        }
    }
    legend(&mut out, TOP + TOPICS.len() * CELL.1 + 12);
    out.push_str("</svg>\n");
    out
}

fn bar(out: &mut String, x: usize, y: usize, tally: Tally) {
    let Tally {
        passed,
        refused,
        skipped,
        deviates,
        failed,
    } = tally;
    let all = passed + refused + skipped + deviates + failed;
    let (width, height) = (CELL.0 - 10, CELL.1 - 6);
    // A topic without cases has an empty bar.
    let upto = |count: usize| (count * width).checked_div(all).unwrap_or(0);
    let mut from = 0;
    for (count, class) in [
        (failed, "failed"),
        (passed, "passed"),
        (refused, "refused"),
        (deviates, "deviates"),
        (skipped, "none"),
    ] {
        let part = upto(from + count) - upto(from);
        if part > 0 {
            let left = x + upto(from);
            let _ = writeln!(out, "<rect class=\"{class}\" x=\"{left}\" y=\"{y}\" width=\"{part}\" height=\"{height}\"/>");
        }
        from += count;
    }
    let _ = writeln!(out, "<text class=\"count\" x=\"{}\" y=\"{}\">{passed}/{all}</text>", x + width / 2, y + 15);
}

fn legend(out: &mut String, y: usize) {
    for (index, (class, word)) in [
        ("passed", "passed"),
        ("refused", "refused by name"),
        ("deviates", "deviates, listed"),
        ("none", "not applicable"),
    ]
    .iter()
    .enumerate()
    {
        let x = 8 + index * 150;
        let _ = writeln!(out, "<rect class=\"{class}\" x=\"{x}\" y=\"{y}\" width=\"12\" height=\"12\"/>");
        let _ = writeln!(out, "<text x=\"{}\" y=\"{}\">{word}</text>", x + 18, y + 11);
    }
}
