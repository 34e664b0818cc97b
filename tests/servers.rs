//! Real servers and proxies, one test for each with each engine: nginx, nghttpd, Apache httpd, HAProxy, Caddy, Squid, tinyproxy,
//! microsocks, Dante. One that is not installed is skipped by name; where `CI` is set, those that `.ci/run` installs have to be there.
#![cfg(unix)]

use std::net::TcpStream;

use client_conformance::Verdict;
use client_tests::engines;
use client_tests::real::{Endpoint, PROGRAMS, judge};

/// A module for each program, with a test for each engine.
macro_rules! servers {
    ($($server:ident: $($engine:ident)+;)+) => {$(
        mod $server {
            $(#[test]
            fn $engine() {
                super::serves(stringify!($server), stringify!($engine));
            })+
        }
    )+

        const TESTED: &[(&str, &[&str])] = &[$((stringify!($server), &[$(stringify!($engine)),+])),+];
    };
}

servers! {
    nginx: hyper cio h2 reqwest curl ureq;
    nghttpd: hyper h2 reqwest curl;
    apache: hyper cio h2 reqwest curl ureq;
    haproxy: hyper cio h2 reqwest curl ureq;
    caddy: hyper cio h2 reqwest curl ureq;
    squid: hyper cio h2 curl;
    tinyproxy: hyper cio h2 curl;
    microsocks: hyper cio h2 curl;
    dante: hyper cio h2 curl;
}

fn serves(server: &str, engine: &str) {
    let program = PROGRAMS.iter().find(|program| program.name == server).expect("a program of this name");
    let engines = engines::all();
    let engine = engines.iter().find(|one| one.name == engine).expect("an engine of this name");
    let Some(server) = program.start().unwrap_or_else(|error| panic!("{error}")) else {
        println!("{}", program.missing().unwrap_or_else(|error| panic!("{error}")));
        return;
    };
    let results = judge(&server, engine, &|_| true);
    let mut failures = String::new();
    for result in &results {
        let place = format!("{} {}, {}: {} on {}", server.name, server.version, result.endpoint, result.case.id, engine.name);
        match &result.verdict {
            Verdict::Failed(why) => failures += &format!("{place}: {}\n  {why}\n{}\n", result.case.says, result.wire),
            verdict => println!("{place}: {verdict:?}, {} ms", result.elapsed.as_millis()),
        }
    }
    assert!(failures.is_empty(), "{failures}");
    let passed = results.iter().filter(|result| result.verdict == Verdict::Passed).count();
    assert!(
        passed > 0,
        "no case can be run by {} with {}: {} are not for it",
        engine.name,
        server.name,
        results.len()
    );
}

#[test]
fn every_program_and_every_engine_is_tested() {
    let programs: Vec<_> = PROGRAMS.iter().map(|program| program.name).collect();
    let tested: Vec<_> = TESTED.iter().map(|(server, _)| *server).collect();
    assert_eq!(programs, tested);
    let engines: Vec<_> = engines::all().iter().map(|engine| engine.name).collect();
    let (_, with_nginx) = TESTED.iter().find(|(server, _)| *server == "nginx").expect("nginx");
    assert_eq!(engines, *with_nginx);
}

#[test]
fn a_server_stops_when_its_test_panics() {
    let Some(server) = PROGRAMS.iter().find_map(|program| program.start().unwrap_or_else(|error| panic!("{error}"))) else {
        println!("skipped: no server is installed");
        return;
    };
    let addresses: Vec<_> = server.endpoints.iter().map(Endpoint::addr).collect();
    assert!(addresses.iter().all(|address| TcpStream::connect(address).is_ok()), "it is there");
    let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(move || {
        let _server = server;
        panic!("as a case that fails does");
    }));
    assert!(outcome.is_err());
    assert!(addresses.iter().all(|address| TcpStream::connect(address).is_err()), "it is gone");
}
