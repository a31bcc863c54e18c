//! `elanus gc`: removes the files that a store no longer names.

use std::io::Write;
use std::time::Duration;

use elanus_engine::offline;

use crate::args::GcArgs;
use crate::config;
use crate::failure::Result;
use crate::format::human;
use crate::progress::Steps;

/// Removes them and tells how many.
pub async fn run(args: GcArgs) -> Result<()> {
    let settings = config::load(&args.config)?;
    let steps = Steps::start();
    let report =
        offline::gc(&args.data.to_string(), &settings, &|what: &str| steps.step(what)).await?;
    drop(steps);
    let removed = human::counted(report.removed_files, "file");
    let bytes = human::bytes(report.removed_bytes);
    let mut out = std::io::stdout();
    writeln!(out, "removed {removed} ({bytes})")?;
    if report.removed_files == 0 || report.kept_young > 0 {
        let grace = human::duration(Duration::from_millis(settings.gc.grace_ms));
        writeln!(out, "files that were in use in the last {grace} stay (setting gc.grace_ms)")?;
    }
    Ok(())
}
