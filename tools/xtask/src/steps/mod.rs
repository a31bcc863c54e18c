//! `cargo xtask test`: every check of the project, one after the other.

mod cargo;
mod licences;
mod links;
mod paths;
mod sdk;

use std::time::Instant;

use crate::context::Context;
use crate::report::{Counts, Outcome, close};

type Step = fn(&Context) -> Result<Counts, String>;

/// The steps, cheap ones first. The layer test is one of the tests of `cargo test`.
const STEPS: [(&str, Step); 9] = [
    ("format", cargo::format),
    ("links", links::check),
    ("paths", paths::check),
    ("licences", licences::check),
    ("clippy", cargo::clippy),
    ("build", cargo::build),
    ("rust", cargo::test),
    ("sdk", sdk::test),
    ("crash", crate::crash::step),
];

/// Steps that `--quick` leaves out.
const WITH_CLIENTS: [&str; 2] = ["sdk", "crash"];

/// Runs the steps; a failing one does not stop the others.
pub fn test(context: &Context, arguments: &[String]) -> Result<bool, String> {
    let mut quick = false;
    let mut named: Vec<&str> = Vec::new();
    for argument in arguments {
        match argument.as_str() {
            "--quick" => quick = true,
            "--list" => {
                STEPS.iter().for_each(|(name, _)| println!("{name}"));
                return Ok(true);
            }
            name if STEPS.iter().any(|(step, _)| *step == name) => named.push(name),
            other => return Err(format!("no such step: {other}; --list names them")),
        }
    }
    let mut outcomes = Vec::new();
    for (name, step) in STEPS {
        let wanted = if named.is_empty() {
            !(quick && WITH_CLIENTS.contains(&name))
        } else {
            named.contains(&name)
        };
        if !wanted {
            continue;
        }
        println!("\n── {name}");
        let start = Instant::now();
        let counts = step(context).unwrap_or_else(|error| {
            println!("{name}: {error}");
            Counts::one(false)
        });
        outcomes.push(Outcome { step: name, counts, took: start.elapsed() });
    }
    Ok(close(&outcomes))
}

/// Prints findings; the check counts as one.
fn judge(findings: &[String], checked: &str) -> Counts {
    findings.iter().for_each(|finding| println!("{finding}"));
    if findings.is_empty() {
        println!("{checked}");
    }
    Counts::one(findings.is_empty())
}
