//! `cargo xtask bench`: runs a script of `benches/` against a release build.

use std::fs;
use std::process::Command;

use crate::context::Context;
use crate::run::run;
use crate::venv::{NEWEST, RIVALS};

/// Scripts that need other vector libraries or the program `ann`, and no server.
const WITH_RIVALS: [&str; 4] = ["churn", "filter", "recall", "unmerged"];

/// The bench of the distance kernels is an example of their crate.
const KERNELS: &str = "kernels";

/// Runs `benches/NAME.py`, or lists the scripts.
pub fn bench(context: &Context, arguments: &[String]) -> Result<bool, String> {
    let folder = context.root.join("benches");
    let Some((name, rest)) = arguments.split_first() else {
        let mut names: Vec<String> = fs::read_dir(&folder)
            .map_err(|e| format!("{}: {e}", folder.display()))?
            .flatten()
            .filter_map(|entry| Some(entry.file_name().to_str()?.strip_suffix(".py")?.to_string()))
            .filter(|name| !name.starts_with('_'))
            .collect();
        names.push(KERNELS.to_string());
        names.sort();
        println!("{}", names.join("\n"));
        return Ok(true);
    };
    if name == KERNELS {
        let example = ["run", "--release", "-p", "elanus-kernels", "--example", "scan_speed", "--"];
        return run(context.cargo(&example).args(rest));
    }
    let script = folder.join(format!("{name}.py"));
    if !script.is_file() {
        return Err(format!("no such bench: {name}; `cargo xtask bench` lists them"));
    }
    let venv = if WITH_RIVALS.contains(&name.as_str()) { RIVALS } else { NEWEST };
    venv.prepare(context)?;
    let binary = match std::env::var_os("ELANUS_BIN") {
        Some(binary) => binary.into(),
        None => {
            if !run(&mut context.cargo(&["build", "--workspace", "--locked", "--release"]))? {
                return Err("the release build failed".into());
            }
            context.binary("release")
        }
    };
    let python = venv.program(context, "python");
    run(Command::new(python).arg(script).args(rest).env("ELANUS_BIN", binary))
}
