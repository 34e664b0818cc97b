//! Every transcript, fed whole, cut in two at every position, and byte by byte: always the same events.

mod support;

use support::replay::{Outcome, Replay, replay};
use support::transcript::{self, Transcript};

/// Above this size an input is cut at some positions only: the cost of cutting everywhere grows with its square.
const CUT_EVERYWHERE: usize = 2048;

#[test]
fn transcripts_hold_however_the_bytes_arrive() {
    let transcripts = transcript::all();
    assert!(transcripts.len() >= 80, "only {}", transcripts.len());

    let failures: Vec<_> = transcripts.iter().filter_map(|case| check(case).err()).collect();
    assert!(
        failures.is_empty(),
        "{} of {} transcripts fail:\n\n{}",
        failures.len(),
        transcripts.len(),
        failures.join("\n")
    );
}

#[test]
fn names_are_unique() {
    let mut names: Vec<_> = transcript::all().into_iter().map(|case| case.name).collect();
    names.sort();
    let doubles: Vec<_> = names.windows(2).filter(|pair| pair[0] == pair[1]).collect();
    assert!(doubles.is_empty(), "{doubles:?}");
}

fn check(case: &Transcript) -> Result<(), String> {
    let bytes = &case.response[..];
    expect(case, "whole", &replay(&case.exchange, [bytes]))?;
    expect(case, "byte by byte", &replay(&case.exchange, bytes.chunks(1)))?;
    let step = bytes.len().div_ceil(CUT_EVERYWHERE).max(1);
    for at in (0..=bytes.len()).step_by(step) {
        let (first, second) = bytes.split_at(at);
        let how = format!("cut at {at}");
        expect(case, &how, &replay(&case.exchange, [first, second]))?;
    }
    Ok(())
}

fn expect(case: &Transcript, how: &str, got: &Replay) -> Result<(), String> {
    let lines = got.lines();
    let said = match (&got.outcome, &case.message) {
        (Outcome::Failed(_, message), Some(part)) => message.contains(part.as_str()),
        (Outcome::Failed(..), None) => false,
        _ => true,
    };
    if lines == case.expected && said {
        return Ok(());
    }
    let message = match &got.outcome {
        Outcome::Failed(_, message) => message,
        _ => "",
    };
    Err(format!(
        "{} ({how})\n  expected {:#?} {:?}\n  got {lines:#?} {message:?}",
        case.name, case.expected, case.message
    ))
}
