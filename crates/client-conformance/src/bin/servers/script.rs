//! Scripts for raw servers as text: a step on each line, in JSON. What must never enter: how they reach us.

use std::collections::BTreeMap;
use std::time::Duration;

use client_conformance::servers::{Gate, Script};
use serde_json::{Map, Value};

/// The steps, for `--help`.
pub(crate) const HELP: &str = r#"One step on each line, in JSON. Text is bytes: each character up to U+00FF is one, so that "\u00ff" is the byte 0xFF.

  "head"                 waits for the next request's head
  "request"              waits for the next whole request
  {"expect": TEXT}       waits until this has been received, anywhere on the connection
  {"send": TEXT}         sends it at once
  {"trickle": TEXT, "size": BYTES, "every_ms": MS}   sends it in pieces, one every so often
  {"flood": TEXT}        sends it again and again until the client closes
  {"wait": NAME}         waits until POST /raw/ID/open/NAME opens this gate
  "stop_reading"         reads nothing from here on
  "read_again"           reads again
  "half_close"           sends no more, and says so; goes on reading
  "close"                closes the connection
  "reset"                resets it
  "stall"                does nothing any more, until the client closes: what follows the last step, too
  "repeat"               begins again on the same connection; with a "head" or a "request" before it
  "next_connection"      the steps that follow are for the next connection; those after the last get the last script again"#;

/// What a server is to do: a script for each connection, and the gates that they wait at.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    pub(crate) scripts: Vec<Script>,
    pub(crate) gates: BTreeMap<String, Gate>,
}

impl Plan {
    /// Reads the lines; empty ones are passed over.
    ///
    /// # Errors
    /// Which line is wrong, and why.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let (mut plan, mut current) = (Self::default(), Current::default());
        for (number, line) in text.lines().enumerate() {
            if !line.trim().is_empty() {
                plan.take(&mut current, line).map_err(|why| format!("line {}: {why}", number + 1))?;
            }
        }
        plan.scripts.push(current.script);
        Ok(plan)
    }

    fn take(&mut self, current: &mut Current, line: &str) -> Result<(), String> {
        let step: Value = serde_json::from_str(line).map_err(|error| format!("no JSON: {error}"))?;
        if step == "next_connection" {
            self.scripts.push(std::mem::take(current).script);
            return Ok(());
        }
        if current.has_ended {
            return Err("nothing can follow what ends a script, but \"next_connection\"".to_owned());
        }
        let script = std::mem::take(&mut current.script);
        current.script = match &step {
            Value::String(name) => current.plain(script, name)?,
            Value::Object(step) => self.with_text(script, step)?,
            _ => return Err("a step is a name or an object".to_owned()),
        };
        current.has_ended |= step.get("flood").is_some();
        Ok(())
    }

    /// A step that says more than its name.
    fn with_text(&mut self, script: Script, step: &Map<String, Value>) -> Result<Script, String> {
        let text =
            |name: &str| step.get(name).map(|value| value.as_str().ok_or_else(|| format!("{name:?} is no text"))).transpose();
        let number = |name: &str| {
            step.get(name)
                .map(|value| value.as_u64().ok_or_else(|| format!("{name:?} is no number")))
                .transpose()
        };
        let known = |names: &[&str]| match step.keys().find(|name| !names.contains(&name.as_str())) {
            Some(name) => Err(format!("there is no {name:?} in this step")),
            None => Ok(()),
        };
        if let Some(needle) = text("expect")? {
            known(&["expect"])?;
            return match bytes(needle)? {
                needle if needle.is_empty() => Err("nothing is expected".to_owned()),
                needle => Ok(script.received(needle)),
            };
        }
        if let Some(sent) = text("send")? {
            known(&["send"])?;
            return Ok(script.send(bytes(sent)?));
        }
        if let Some(sent) = text("trickle")? {
            known(&["trickle", "size", "every_ms"])?;
            let size = number("size")?.and_then(|size| usize::try_from(size).ok()).filter(|size| *size > 0);
            let every = number("every_ms")?.ok_or("\"trickle\" has no \"every_ms\"")?;
            return Ok(script.trickle(bytes(sent)?, size.ok_or("\"trickle\" has no \"size\"")?, Duration::from_millis(every)));
        }
        if let Some(sent) = text("flood")? {
            known(&["flood"])?;
            return match bytes(sent)? {
                sent if sent.is_empty() => Err("a flood of nothing".to_owned()),
                sent => Ok(script.flood(sent)),
            };
        }
        if let Some(name) = text("wait")? {
            known(&["wait"])?;
            return Ok(script.wait(self.gates.entry(name.to_owned()).or_default()));
        }
        Err("there is no such step".to_owned())
    }
}

/// The script that is being read.
#[derive(Default)]
struct Current {
    script: Script,
    has_ended: bool,
    /// It waits for something new each time.
    takes_requests: bool,
}

impl Current {
    fn plain(&mut self, script: Script, name: &str) -> Result<Script, String> {
        self.takes_requests |= matches!(name, "head" | "request");
        self.has_ended |= matches!(name, "close" | "reset" | "stall" | "repeat");
        match name {
            "head" => Ok(script.head()),
            "request" => Ok(script.request()),
            "stop_reading" => Ok(script.stop_reading()),
            "read_again" => Ok(script.read_again()),
            "half_close" => Ok(script.half_close()),
            "close" => Ok(script.close()),
            "reset" => Ok(script.reset()),
            "stall" => Ok(script),
            // Without, it would turn round and round.
            "repeat" if self.takes_requests => Ok(script.repeat()),
            "repeat" => Err("what repeats has to wait for a \"head\" or a \"request\"".to_owned()),
            _ => Err(format!("there is no step {name:?}")),
        }
    }
}

/// Each character as the byte of its number.
fn bytes(text: &str) -> Result<Vec<u8>, String> {
    let byte = |c: char| u8::try_from(c).map_err(|_| format!("{c:?} is no byte: write those of its UTF-8 as \"\\u00xx\" each"));
    text.chars().map(byte).collect()
}

/// The other way about.
pub(crate) fn text(bytes: &[u8]) -> String {
    bytes.iter().copied().map(char::from).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_step_is_read() {
        let lines = [
            r#""head""#,
            r#""request""#,
            r#"{"expect": "x"}"#,
            r#"{"send": "a\r\n\u00ff"}"#,
            r#"{"trickle": "abc", "size": 1, "every_ms": 5}"#,
            "",
            r#"{"wait": "now"}"#,
            r#""stop_reading""#,
            r#""read_again""#,
            r#""half_close""#,
            r#""close""#,
            r#""next_connection""#,
            r#""request""#,
            r#""repeat""#,
            r#""next_connection""#,
            r#"{"flood": "x"}"#,
            r#""next_connection""#,
            r#""reset""#,
            r#""next_connection""#,
            r#""stall""#,
        ];
        let plan = Plan::parse(&lines.join("\n")).expect("a plan");
        assert_eq!(plan.scripts.len(), 5);
        assert_eq!(plan.gates.keys().collect::<Vec<_>>(), ["now"]);
        let first = format!("{:?}", plan.scripts[0]);
        assert!(first.contains(r#"b"a\r\n\xff""#) && first.contains("5ms"), "{first}");
        for step in lines.iter().filter(|line| !line.is_empty()) {
            let name = step.trim_start_matches('{').split('"').nth(1).expect("a name");
            assert!(HELP.contains(&format!("\"{name}\"")), "{name} is not in the help");
        }
        // No line at all: a server that never answers.
        assert_eq!(Plan::parse("").expect("a plan").scripts.len(), 1);
    }

    #[test]
    fn mistakes_are_told_with_their_line() {
        for (line, why) in [
            ("send", "no JSON"),
            ("7", "a name or an object"),
            (r#""wait""#, "there is no step \"wait\""),
            ("{}", "there is no such step"),
            (r#"{"send": 1}"#, "\"send\" is no text"),
            (r#"{"send": "€"}"#, "is no byte"),
            (r#"{"send": "a", "size": 1}"#, "there is no \"size\""),
            (r#"{"trickle": "a", "every_ms": 1}"#, "no \"size\""),
            (r#"{"trickle": "a", "size": 0, "every_ms": 1}"#, "no \"size\""),
            (r#"{"trickle": "a", "size": 1}"#, "no \"every_ms\""),
            (r#"{"trickle": "a", "size": 1, "every_ms": -1}"#, "\"every_ms\" is no number"),
            (r#"{"expect": ""}"#, "nothing is expected"),
            (r#"{"flood": ""}"#, "a flood of nothing"),
            (r#""repeat""#, "has to wait"),
            ("\"close\"\n\"request\"", "line 3: nothing can follow"),
        ] {
            let error = Plan::parse(&format!("\n{line}")).expect_err(line);
            assert!(error.starts_with("line ") && error.contains(why), "{line}: {error}");
        }
        assert!(
            Plan::parse("\"request\"\n\"next_connection\"\n\"repeat\"").is_err(),
            "each connection waits for itself"
        );
    }
}
