//! Runs other programs and reads what they say.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

/// Runs a program; its output goes where ours goes. True when it ended well.
pub fn run(command: &mut Command) -> Result<bool, String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let status =
        command.stdin(Stdio::null()).status().map_err(|e| format!("cannot run {name}: {e}"))?;
    Ok(status.success())
}

/// Runs a program, shows what it prints line by line and gives the lines to `see`.
pub fn watch(command: &mut Command, mut see: impl FnMut(&str)) -> Result<bool, String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|e| format!("cannot run {name}: {e}"))?;
    if let Some(stdout) = child.stdout.take() {
        let mut reader = BufReader::new(stdout);
        let mut bytes = Vec::new();
        while reader.read_until(b'\n', &mut bytes).map_err(|e| format!("{name}: {e}"))? > 0 {
            let line = String::from_utf8_lossy(&bytes);
            print!("{line}");
            see(line.trim_end());
            bytes.clear();
        }
    }
    child.wait().map(|status| status.success()).map_err(|e| format!("{name}: {e}"))
}

/// What a program prints.
pub fn read(command: &mut Command) -> Result<String, String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .map_err(|e| format!("cannot run {name}: {e}"))?;
    if !output.status.success() {
        return Err(format!("{name} ended with {}", output.status));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
