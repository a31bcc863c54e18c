//! `elanus compact`: merges the segments of a store that nobody serves.

use std::io::Write;

use elanus_engine::offline;

use crate::args::CompactArgs;
use crate::config;
use crate::failure::Result;
use crate::format::human;
use crate::progress::Steps;

/// Compacts and tells what changed.
pub async fn run(args: CompactArgs) -> Result<()> {
    let settings = config::load(&args.config)?;
    let steps = Steps::start();
    let location = args.data.to_string();
    let collection = args.collection.as_deref();
    let progress = |what: &str| steps.step(what);
    let report = offline::compact(&location, &settings, collection, args.all, &progress).await?;
    drop(steps);
    let before = human::counted(report.segments_before, "segment");
    let mut out = std::io::stdout();
    if report.jobs == 0 {
        writeln!(out, "nothing to do: {before}")?;
        return Ok(());
    }
    writeln!(
        out,
        "{}: {before} became {}, {} ({}) written",
        human::counted(report.jobs, "job"),
        human::count(report.segments_after),
        human::counted(report.rows_written, "row"),
        human::bytes(report.bytes_written),
    )?;
    Ok(())
}
