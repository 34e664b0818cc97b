//! `docs/performance.md`: what was measured, how, and what it is worth.

use std::fmt::Write as _;

use super::{table, targets};
use crate::results::{Results, Sample};
use crate::workload::{WORKLOADS, Workload};

/// A picture: the same figure of several workloads.
pub(super) struct Picture {
    pub(super) file: &'static str,
    pub(super) title: &'static str,
    pub(super) unit: &'static str,
    pub(super) panels: &'static [&'static str],
    pub(super) scale: Scale,
    pub(super) of: fn(&Sample) -> Option<f64>,
}

pub(super) enum Scale {
    ToBase,
    Absolute,
}

pub(super) const PICTURES: &[Picture] = &[
    Picture {
        file: "requests.svg",
        title: "Processor time of a small GET by HTTP/1.1",
        unit: "CPU per request by the floor",
        panels: &["get-1", "get-64", "tls-64"],
        scale: Scale::ToBase,
        of: Sample::cost,
    },
    Picture {
        file: "http2.svg",
        title: "Processor time of a small GET by HTTP/2",
        unit: "CPU per request by the h2 crate",
        panels: &["h2c-1", "h2c-100", "h2-100"],
        scale: Scale::ToBase,
        of: Sample::cost,
    },
    Picture {
        file: "bulk.svg",
        title: "Processor time of large bodies",
        unit: "CPU seconds per GiB",
        panels: &["download", "download-tls", "download-h2", "upload"],
        scale: Scale::Absolute,
        of: Sample::cost,
    },
    Picture {
        file: "allocations.svg",
        title: "Allocations of a warm GET",
        unit: "allocations per request",
        panels: &["counts", "counts-h2"],
        scale: Scale::Absolute,
        of: |sample| sample.counts.allocations,
    },
    Picture {
        file: "memory.svg",
        title: "Memory of a request in flight",
        unit: "KiB per request in flight",
        panels: &["memory"],
        scale: Scale::Absolute,
        of: |sample| Some(sample.memory?.in_flight / 1024.0),
    },
];

/// The groups of the page, each with its workloads.
const CHAPTERS: &[(&str, &[&str])] = &[
    ("Small requests by HTTP/1.1", &["get-", "tls-"]),
    ("New connections", &["connect"]),
    ("With plugins at work", &["timeouts", "redirect"]),
    ("Pipelining", &["pipelined"]),
    ("Small requests by HTTP/2", &["h2"]),
    ("A server that was not made for it", &["nginx"]),
    ("Large bodies", &["download", "upload"]),
    ("Memory", &["memory"]),
    ("Counts", &["counts"]),
    ("Building", &["build"]),
];

pub(super) fn page(results: &Results) -> String {
    let mut out = intro(results);
    let _ = writeln!(out, "## Targets\n\n{}", targets::table(results).markdown());
    out.push_str("## Pictures\n\n");
    for picture in PICTURES {
        let _ = writeln!(out, "{}, {}:\n\n![{}](performance/{})\n", picture.title, picture.unit, picture.title, picture.file);
    }
    for (title, beginnings) in CHAPTERS {
        let _ = writeln!(out, "## {title}\n");
        let of_chapter = |workload: &&Workload| beginnings.iter().any(|beginning| workload.name.starts_with(beginning));
        for workload in WORKLOADS.iter().filter(of_chapter) {
            let table = table::of(results, workload);
            if !table.rows.is_empty() {
                let _ = writeln!(out, "`{}`: {}.\n\n{}", workload.name, workload.about, table.markdown());
            }
        }
    }
    out.push_str("## Not measured\n\n");
    if results.skipped.is_empty() {
        out.push_str("Nothing was left out.\n");
    }
    for skipped in &results.skipped {
        let _ = writeln!(out, "- {skipped}");
    }
    out
}

fn intro(results: &Results) -> String {
    let Results {
        machine,
        compiler,
        revision,
        rounds,
        load,
        ..
    } = results;
    format!(
        "# Performance\n\n\
         <!-- Written by `cargo xtask bench`. Do not edit. -->\n\n\
         The engines of this project and the field's other clients, doing the same work side by side. Written by a run on {machine}; {compiler}; \
         revision {revision}; load average before the run {load:.2}. The figures behind the tables are in [results.json](performance/results.json).\n\n\
         ## Method\n\n\
         - **One server, one client at a time.** The server is a process of its own, pinned to one core: it answers bytes made beforehand and hardly looks at \
           what it gets, so that it costs less than nearly every client. Each client is a process of its own, pinned to another core, used as its documentation \
           shows, with defaults except where a workload says otherwise. Ours are measured through `HttpClient` with its default plugins.\n\
         - **Processor time, not the clock.** CPU per request is user plus system time of the client's process, all its threads, by `getrusage`. It \
           is the figure that decides how many requests a machine can make, and other load disturbs it least. Rates and latencies are there too; they \
           depend on which side was busy, which the last column tells: *client* means that the client had no idle time.\n\
         - **Ratios within a round.** All clients have their turn, then all again, {rounds} rounds (large bodies three; counts and memory one). A ratio is that of two \
           turns of one round; the tables show medians, and half the distance between the extremes as the spread. The *floor* is a loop over a socket and `httparse`, \
           written by hand for just this server: no pool, no types, no allocation. For HTTP/2 it is the h2 crate's own client.\n\
         - **The server does not sleep** while small requests are measured: its thread looks for more instead. A thread that sleeps is woken by whoever sends to it, which on \
           loopback is the client. It would pay up to a microsecond for that, but only where it is slower than the server, and so the ratios would tell who is. To a server on \
           another machine this costs a client nothing. nginx sleeps, as servers do: `nginx-64` shows the difference.\n\
         - **One program holds all clients**, built by the workspace's release profile: optimized across crates (`lto = \"fat\"`, one codegen unit), which makes each of them faster.\n\
         - **Kept connections are made before.** A closed loop is measured when every worker has had an answer, and some time after. All ask at once first, for an answer that is \
           held back until all have asked, so that each has its connection and no handshake falls into the measure.\n\
         - **Every answer is checked**, its status and the length of its content. A client that fails is listed at the end, not left out.\n\
         - **Counts** are exact: allocations by a counting allocator over 1,000 warm GETs; system calls (waiting included) by `strace -c` and user-space instructions \
           by callgrind, each as the difference of two processes that make 1,200 and 200 requests.\n\
         - **Memory** is resident memory, after less before, by 5,000: idle connections opened a hundred at a time to 50 addresses; then 5,000 requests at once \
           that the server does not answer yet, with their connections and tasks; then the connections that these leave behind.\n\
         - **Building** is `cargo build --release` from nothing, downloads excluded, of a program that gets a URL and prints it.\n\n\
         ## Caveats\n\n\
         - Loopback has no latency, no loss and no congestion. What costs most on a real network, round trips, is not measured here but by the conformance suite: how many \
           connections are made, and when.\n\
         - The load is closed: a worker asks again when it has its answer, so latencies do not show what a queue would add (coordinated omission).\n\
         - All of a client runs on one core. Clients that spread over threads (isahc, ureq) show what their work costs, not how it would spread.\n\
         - ureq alone is a blocking loop here: the thread that asks is the thread that reads. `client-ureq` has a task that asks and a thread that serves it, and the two hand each \
           other the call and the answer: two switches of threads for each small GET. Without them a blocking library cannot serve a future.\n\
         - Clients and server run with glibc's `rep movsb` switched off (`GLIBC_TUNABLES=glibc.cpu.x86_rep_movsb_threshold=0x40000000`). On AMD's processors since Zen 3, glibc \
           2.36 copies large blocks by it, 25 times slower where two buffers happen to lie a few bytes apart modulo 4,096. In records of TLS they often do: \
           `download-tls` then cost most clients, ours and others, twice as much as here, and some not, by the chance of their heap's layout. That is the machine's, not a client's; \
           but it is what a program on such a machine pays.\n\
         - wrk and h2load are whole processes, measured with their start; neither makes an object of a response. h2load makes no new header block \
           for each request.\n\
         - The clients do not do the same: the floor and the bare connections have no pool, no redirects and no time limits. That is what the ratios are to show.\n\n\
         ## Reproduce\n\n\
         ```sh\n\
         cargo xtask bench                              # all of it, and this page: about twenty minutes on a quiet machine with two cores\n\
         cargo xtask bench --quick                      # an overview in two minutes\n\
         cargo xtask bench --only get-64 --client cio   # one workload, one engine, and what it is held against\n\
         cargo xtask bench --only get --compare HEAD    # against the results committed in a revision, or saved in a file by --save\n\
         cargo xtask bench --list                       # workloads and clients\n\
         ```\n\n\
         nginx, wrk, h2load (nghttp2-client), strace and valgrind are used where they are installed.\n\n"
    )
}
