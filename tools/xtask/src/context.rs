//! Where things are.

use std::path::{Path, PathBuf};
use std::process::Command;

/// The folders and programs that the commands work with.
pub struct Context {
    /// The repository.
    pub root: PathBuf,
    /// Where cargo builds.
    pub target: PathBuf,
}

impl Context {
    /// Finds the repository and cargo's target folder.
    pub fn find() -> Result<Self, String> {
        // Asked at run time: clones that share a target folder share this binary too.
        let package = std::env::var_os("CARGO_MANIFEST_DIR")
            .ok_or("CARGO_MANIFEST_DIR is not set: start this through `cargo xtask`")?;
        let root = Path::new(&package)
            .ancestors()
            .nth(2)
            .ok_or("the xtask crate is not two folders below the root")?
            .to_path_buf();
        let target = match std::env::var_os("CARGO_TARGET_DIR") {
            Some(folder) => root.join(folder),
            None => root.join("target"),
        };
        Ok(Self { root, target })
    }

    /// The binary of a profile, `debug` or `release`.
    pub fn binary(&self, profile: &str) -> PathBuf {
        self.target.join(profile).join("elanus")
    }

    /// A command of cargo, run in the repository.
    pub fn cargo(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(std::env::var_os("CARGO").unwrap_or("cargo".into()));
        command.args(arguments).current_dir(&self.root);
        command
    }

    /// The files of the repository that git tracks or would track, with their paths from the root.
    pub fn files(&self) -> Result<Vec<String>, String> {
        let output = Command::new("git")
            .args(["ls-files", "--cached", "--others", "--exclude-standard", "-z"])
            .current_dir(&self.root)
            .output()
            .map_err(|e| format!("cannot run git: {e}"))?;
        if !output.status.success() {
            return Err(format!("git ls-files: {}", String::from_utf8_lossy(&output.stderr)));
        }
        let names = String::from_utf8_lossy(&output.stdout);
        let mut files: Vec<String> = names
            .split('\0')
            .filter(|name| !name.is_empty() && self.root.join(name).is_file())
            .map(str::to_string)
            .collect();
        files.sort();
        files.dedup();
        Ok(files)
    }
}
