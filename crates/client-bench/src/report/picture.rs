//! Pictures for the page, readable in light and in dark: horizontal bars, ours in colour, with the range over the rounds.

use std::fmt::Write as _;

use super::page::{Picture, Scale};
use super::table::number;
use crate::results::{Figure, Results};
use crate::subject::SubjectName;
use crate::workload::Workload;

const NAMES: usize = 140;
const BARS: usize = 380;
const VALUES: usize = 70;
const ROW: usize = 22;
const TITLE: usize = 34;

const STYLE: &str = "\
text { font: 13px system-ui, sans-serif; fill: #1f2328 }
.title { font-weight: 600 }
.value { fill: #59636e }
.ours { fill: #0969da } .peer { fill: #8c959f } .base { fill: #c8cdd3 }
.range { stroke: #1f2328; stroke-width: 1.5 }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3 }
  .value { fill: #9198a1 }
  .ours { fill: #4493f8 } .peer { fill: #6e7681 } .base { fill: #3d444d }
  .range { stroke: #e6edf3 }
}";

/// One panel below another, each with a scale of its own.
pub(super) fn picture(results: &Results, picture: &Picture) -> String {
    let panels: Vec<_> = picture
        .panels
        .iter()
        .filter_map(|name| Workload::named(name))
        .map(|it| (it, bars(results, it, picture)))
        .collect();
    let height: usize = panels.iter().map(|(_, bars)| TITLE + bars.len() * ROW).sum::<usize>() + 12;
    let width = NAMES + BARS + VALUES;
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\" role=\"img\" \
         aria-label=\"{}\">\n<style>\n{STYLE}\n</style>\n",
        picture.title
    );
    let mut top = 0;
    for (workload, bars) in panels {
        let _ = writeln!(out, "<text class=\"title\" x=\"8\" y=\"{}\">{}, {}</text>", top + 22, workload.name, picture.unit);
        top += TITLE;
        let most = bars.iter().map(|(_, figure)| figure.high).fold(f64::MIN_POSITIVE, f64::max);
        for (subject, figure) in bars {
            bar(&mut out, top, subject, figure, most);
            top += ROW;
        }
    }
    out.push_str("</svg>\n");
    out
}

fn bars(results: &Results, workload: &Workload, picture: &Picture) -> Vec<(SubjectName, Figure)> {
    let name = workload.name;
    let figure = |subject| match picture.scale {
        Scale::ToBase => results.ratio((name, subject), (name, workload.base()), picture.of),
        Scale::Absolute => results.figure(name, subject, picture.of),
    };
    let mut bars: Vec<_> = workload.subjects.iter().filter_map(|&subject| Some((subject, figure(subject)?))).collect();
    bars.sort_by(|(_, one), (_, other)| one.median.total_cmp(&other.median));
    bars
}

fn bar(out: &mut String, top: usize, subject: SubjectName, figure: Figure, most: f64) {
    let class = match subject {
        ours if ours.is_ours() => "ours",
        SubjectName::Floor | SubjectName::RawH2 => "base",
        _ => "peer",
    };
    let at = |value: f64| NAMES as f64 + value / most * BARS as f64;
    let middle = top + ROW / 2;
    let _ = writeln!(
        out,
        "<text x=\"8\" y=\"{}\">{}</text>\n<rect class=\"{class}\" x=\"{NAMES}\" y=\"{}\" width=\"{:.1}\" height=\"{}\"/>",
        middle + 4,
        subject.title(),
        top + 3,
        at(figure.median) - NAMES as f64,
        ROW - 6,
    );
    if figure.spread() > 0.01 {
        let (low, high) = (at(figure.low), at(figure.high));
        let _ = writeln!(out, "<line class=\"range\" x1=\"{low:.1}\" x2=\"{high:.1}\" y1=\"{middle}\" y2=\"{middle}\"/>");
    }
    let digits = if figure.median < 100.0 { 2 } else { 0 };
    let _ = writeln!(
        out,
        "<text class=\"value\" x=\"{:.1}\" y=\"{}\">{}</text>",
        at(figure.median.max(figure.high)) + 6.0,
        middle + 4,
        number(figure.median, digits)
    );
}
