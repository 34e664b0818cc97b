//! `cargo xtask matrix --servers`: the engines against servers and proxies that are not ours, as a table for the terminal. It is not
//! written to `docs/`: what is installed differs from machine to machine.

use std::time::Instant;

use client_conformance::Verdict;
use client_tests::engines::{self, EngineUnderTest};
use client_tests::real::{PROGRAMS, Program, RealResult, RealServer, cases, judge};

use crate::Args;

pub(crate) fn run(args: &Args) -> Result<(), String> {
    let engines = chosen(engines::all(), args.engine.as_deref(), |engine| engine.name)?;
    let programs = chosen(PROGRAMS.iter().collect(), args.server.as_deref(), |program| program.name)?;
    if args.case.as_deref().is_some_and(|id| !cases().any(|case| case.id == id)) {
        let ids: Vec<_> = cases().map(|case| case.id).collect();
        return Err(format!("there is no such case; there are {}", ids.join(", ")));
    }
    let header = engines.iter().map(|engine| format!("{:>12}", engine.name)).collect::<String>();
    println!("{:<28}{header}", "passed");
    let (mut failures, mut missing) = (Vec::new(), Vec::new());
    for program in programs {
        match program.start()? {
            Some(server) => failures.extend(show(&server, &engines, args)),
            None => missing.push(missing_one(program, &mut failures)),
        }
    }
    println!("\n–: the engine does not promise what it would need");
    missing.iter().for_each(|line| println!("{line}"));
    if failures.is_empty() { Ok(()) } else { Err(failures.join("\n")) }
}

/// The one that was asked for, or all.
fn chosen<T>(all: Vec<T>, name: Option<&str>, name_of: impl Fn(&T) -> &'static str) -> Result<Vec<T>, String> {
    let names: Vec<_> = all.iter().map(&name_of).collect();
    let chosen: Vec<_> = all.into_iter().filter(|one| name.is_none_or(|name| name == name_of(one))).collect();
    if chosen.is_empty() {
        Err(format!("there is no such name; there are {}", names.join(", ")))
    } else {
        Ok(chosen)
    }
}

fn missing_one(program: &Program, failures: &mut Vec<String>) -> String {
    program.missing().unwrap_or_else(|says| {
        failures.push(says.clone());
        says
    })
}

/// Runs a server's cases on every engine and prints a line for each endpoint; what failed.
fn show(server: &RealServer, engines: &[EngineUnderTest], args: &Args) -> Vec<String> {
    let started = Instant::now();
    let selects = |id: &str| args.case.as_deref().is_none_or(|wanted| wanted == id);
    let results: Vec<Vec<RealResult>> = engines.iter().map(|engine| judge(server, engine, &|case| selects(case.id))).collect();
    println!("{} {} ({} s)", server.name, server.version, started.elapsed().as_secs());
    for endpoint in &server.endpoints {
        let at = |results: &[RealResult]| {
            let verdicts = results.iter().filter(|result| result.endpoint == endpoint.name).map(|result| &result.verdict);
            let tried: Vec<_> = verdicts.filter(|verdict| !matches!(verdict, Verdict::Skipped(_))).collect();
            let passed = tried.iter().filter(|verdict| ***verdict == Verdict::Passed).count();
            let cell = if tried.is_empty() {
                "–".to_owned()
            } else {
                format!("{passed}/{}", tried.len())
            };
            format!("{cell:>12}")
        };
        println!("  {:<26}{}", endpoint.name, results.iter().map(|results| at(results)).collect::<String>());
    }
    let mut failures = Vec::new();
    for result in results.iter().flatten() {
        let place = format!("{} {}: {} on {}", result.server, result.endpoint, result.case.id, result.engine);
        if let Verdict::Failed(why) = &result.verdict {
            failures.push(format!("{place} failed: {}", why.lines().next().unwrap_or("")));
        }
        let failed = matches!(result.verdict, Verdict::Failed(_));
        if let Verdict::Deviates(why) = &result.verdict {
            println!("{place} deviates: {why}");
        }
        if failed || args.verbose {
            println!("{place}: {:?}, {} ms; {}", result.verdict, result.elapsed.as_millis(), result.case.says);
        }
        if args.verbose && (failed || args.case.is_some()) {
            println!("{}", result.wire);
        }
    }
    failures
}
