//! `elanus repair`: makes damaged derived files of a store anew.

use std::io::Write;
use std::process::ExitCode;

use elanus_engine::offline;

use crate::args::RepairArgs;
use crate::config;
use crate::failure::Result;
use crate::format::human;
use crate::progress::Steps;

/// Repairs; exit code 1 when something is wrong still.
pub async fn run(args: RepairArgs) -> Result<ExitCode> {
    let settings = config::load(&args.config)?;
    let steps = Steps::start();
    let location = args.data.to_string();
    let report = offline::repair(&location, &settings, &|what: &str| steps.step(what)).await?;
    drop(steps);
    let mut out = std::io::stdout();
    for problem in &report.problems {
        writeln!(out, "{problem}")?;
    }
    if report.segments + report.codebooks == 0 {
        writeln!(out, "nothing to repair")?;
    } else {
        let segments = human::counted(report.segments, "segment");
        let codebooks = human::counted(report.codebooks, "codebook");
        writeln!(out, "{segments} written anew, {codebooks} replaced or left out")?;
    }
    if report.problems.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    let problems = human::counted(report.problems.len() as u64, "problem");
    writeln!(out, "{problems} that cannot be mended from what is there")?;
    Ok(ExitCode::FAILURE)
}
