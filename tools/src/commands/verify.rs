//! `elanus verify`: checks every file of a store.

use std::io::Write;
use std::process::ExitCode;

use elanus_engine::offline;

use crate::args::VerifyArgs;
use crate::failure::Result;
use crate::format::human;
use crate::progress::Steps;

/// Checks; exit code 1 when something is wrong.
pub async fn run(args: VerifyArgs) -> Result<ExitCode> {
    let steps = Steps::start();
    let report = offline::verify(&args.data.to_string(), &|what: &str| steps.step(what)).await?;
    drop(steps);
    let mut out = std::io::stdout();
    for problem in &report.problems {
        writeln!(out, "{problem}")?;
    }
    writeln!(
        out,
        "checked {}, {}, {}, {}, {}, {}",
        human::counted(report.collections, "collection"),
        human::counted(report.segments, "segment"),
        human::counted(report.codebooks, "codebook"),
        human::counted(report.rows, "row"),
        human::counted(report.files, "file"),
        human::bytes(report.bytes),
    )?;
    if report.orphan_files > 0 {
        let files = human::counted(report.orphan_files, "file");
        let bytes = human::bytes(report.orphan_bytes);
        writeln!(
            out,
            "{files} ({bytes}) that nothing needs: a server or `elanus gc` removes them"
        )?;
    }
    if report.problems.is_empty() {
        writeln!(out, "no problems")?;
        if args.strict && report.orphan_files > 0 {
            return Ok(ExitCode::FAILURE);
        }
        return Ok(ExitCode::SUCCESS);
    }
    writeln!(out, "{}", human::counted(report.problems.len() as u64, "problem"))?;
    Ok(ExitCode::FAILURE)
}
