//! What was measured: samples, as drivers print them and files keep them; and medians over rounds.

use serde::{Deserialize, Serialize};

use crate::subject::SubjectName;

/// One run, as it is saved.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Results {
    pub(crate) machine: String,
    pub(crate) compiler: String,
    pub(crate) revision: String,
    pub(crate) quick: bool,
    pub(crate) rounds: usize,
    /// The machine's load average before the run began.
    pub(crate) load: f64,
    pub(crate) records: Vec<Record>,
    /// What did not run, and why.
    pub(crate) skipped: Vec<String>,
}

/// One client's turn.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Record {
    pub(crate) workload: String,
    pub(crate) subject: SubjectName,
    pub(crate) round: usize,
    pub(crate) sample: Sample,
}

/// What one turn gave. Times are in seconds, sizes in bytes.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Sample {
    pub(crate) requests: u64,
    pub(crate) bytes: u64,
    pub(crate) seconds: f64,
    /// Of the client: user and system, all threads.
    pub(crate) cpu: f64,
    pub(crate) server_cpu: f64,
    pub(crate) latency: Option<Latency>,
    pub(crate) peak_resident: u64,
    pub(crate) memory: Option<Memory>,
    pub(crate) counts: Counts,
    pub(crate) build: Option<Build>,
}

/// Of one request, in microseconds.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Latency {
    pub(crate) p50: f64,
    pub(crate) p99: f64,
    pub(crate) p999: f64,
}

/// Resident memory each, in bytes.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Memory {
    /// A connection in the pool.
    pub(crate) idle: f64,
    /// A request without its answer, with its connection.
    pub(crate) in_flight: f64,
    /// A connection that such a request left.
    pub(crate) after: f64,
}

/// Of one warm GET. What nothing was there to count is missing.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Counts {
    pub(crate) allocations: Option<f64>,
    pub(crate) allocated: Option<f64>,
    pub(crate) system_calls: Option<f64>,
    pub(crate) instructions: Option<f64>,
}

/// Of a program that gets and prints.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Build {
    pub(crate) crates: usize,
    pub(crate) seconds: f64,
    /// Stripped.
    pub(crate) binary: u64,
}

impl Sample {
    /// The client's processor time for one request, or for one GiB: what all ratios are about.
    pub(crate) fn cost(&self) -> Option<f64> {
        if self.bytes > 0 {
            Some(self.cpu / self.bytes as f64 * (1_u64 << 30) as f64)
        } else {
            (self.requests > 0 && self.cpu > 0.0).then(|| self.cpu / self.requests as f64)
        }
    }

    /// Requests, or bytes, in a second.
    pub(crate) fn rate(&self) -> Option<f64> {
        let done = if self.bytes > 0 { self.bytes } else { self.requests };
        (self.seconds > 0.0).then(|| done as f64 / self.seconds)
    }

    /// Which side had nothing to wait for.
    pub(crate) fn bottleneck(&self) -> Bottleneck {
        let busy = |cpu: f64| cpu / self.seconds;
        match (busy(self.cpu), busy(self.server_cpu)) {
            (client, server) if client >= BUSY && client >= server => Bottleneck::Client,
            (_, server) if server >= BUSY => Bottleneck::Server,
            _ => Bottleneck::Neither,
        }
    }
}

/// From this share of the wall clock on, a process counts as busy all the time.
const BUSY: f64 = 0.9;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bottleneck {
    Client,
    Server,
    /// They wait for each other, or for a core that others use.
    Neither,
}

/// A figure over the rounds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Figure {
    pub(crate) median: f64,
    pub(crate) low: f64,
    pub(crate) high: f64,
}

impl Figure {
    /// `None` of nothing.
    pub(crate) fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        let (low, high) = (*values.first()?, *values.last()?);
        let middle = values.len() / 2;
        let median = if values.len() % 2 == 1 {
            values[middle]
        } else {
            f64::midpoint(values[middle - 1], values[middle])
        };
        Some(Self { median, low, high })
    }

    /// How far the rounds lie apart, as a share of the median.
    pub(crate) fn spread(&self) -> f64 {
        if self.median == 0.0 { 0.0 } else { (self.high - self.low) / self.median }
    }
}

impl Results {
    /// A figure of a client under a workload.
    pub(crate) fn figure(&self, workload: &str, subject: SubjectName, of: impl Fn(&Sample) -> Option<f64>) -> Option<Figure> {
        Figure::of(self.turns(workload, subject).filter_map(|record| of(&record.sample)))
    }

    /// The ratio of two figures, each of a client under a workload, taken within each round.
    pub(crate) fn ratio(
        &self,
        (workload, subject): (&str, SubjectName),
        (base_workload, base): (&str, SubjectName),
        of: impl Fn(&Sample) -> Option<f64>,
    ) -> Option<Figure> {
        let ratios = self.turns(workload, subject).filter_map(|record| {
            let base = self.turns(base_workload, base).find(|other| other.round == record.round)?;
            Some(of(&record.sample)? / of(&base.sample)?)
        });
        Figure::of(ratios)
    }

    /// What the rounds say of the bottleneck: the most frequent answer.
    pub(crate) fn bottleneck(&self, workload: &str, subject: SubjectName) -> Option<Bottleneck> {
        let answers: Vec<_> = self.turns(workload, subject).map(|record| record.sample.bottleneck()).collect();
        answers.iter().copied().max_by_key(|answer| answers.iter().filter(|other| *other == answer).count())
    }

    /// Whether it took part in a workload.
    pub(crate) fn has(&self, workload: &str, subject: SubjectName) -> bool {
        self.turns(workload, subject).next().is_some()
    }

    fn turns<'a>(&'a self, workload: &'a str, subject: SubjectName) -> impl Iterator<Item = &'a Record> {
        self.records.iter().filter(move |record| record.workload == workload && record.subject == subject)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_median_lies_between_its_neighbours() {
        assert_eq!(Figure::of([]), None);
        let odd = Figure::of([3.0, 1.0, 2.0]);
        assert_eq!(
            odd,
            Some(Figure {
                median: 2.0,
                low: 1.0,
                high: 3.0
            })
        );
        assert_eq!(Figure::of([4.0, 1.0, 2.0, 3.0]).map(|figure| figure.median), Some(2.5));
    }

    #[test]
    fn ratios_are_taken_within_a_round() {
        let record = |subject, round, cpu| Record {
            workload: "w".to_owned(),
            subject,
            round,
            sample: Sample {
                requests: 1,
                cpu,
                ..Sample::default()
            },
        };
        // The machine was twice as slow in the second round; the ratio is the same.
        let results = Results {
            records: vec![
                record(SubjectName::Floor, 0, 1.0),
                record(SubjectName::Cio, 0, 1.5),
                record(SubjectName::Floor, 1, 2.0),
                record(SubjectName::Cio, 1, 3.0),
                record(SubjectName::Cio, 2, 9.0),
            ],
            ..Results::default()
        };
        let ratio = results.ratio(("w", SubjectName::Cio), ("w", SubjectName::Floor), Sample::cost);
        assert_eq!(
            ratio,
            Some(Figure {
                median: 1.5,
                low: 1.5,
                high: 1.5
            })
        );
    }

    #[test]
    fn a_bottleneck_is_who_is_busy_throughout() {
        let of = |cpu, server_cpu| {
            let sample = Sample {
                seconds: 1.0,
                cpu,
                server_cpu,
                ..Sample::default()
            };
            sample.bottleneck()
        };
        assert_eq!(of(0.99, 0.95), Bottleneck::Client);
        assert_eq!(of(0.5, 0.98), Bottleneck::Server);
        assert_eq!(of(0.5, 0.5), Bottleneck::Neither);
    }
}
