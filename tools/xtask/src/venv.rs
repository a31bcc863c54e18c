//! Python environments inside the target folder, made from the requirement files of `tests/sdk` and `benches`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::context::Context;
use crate::run::run;

/// An environment and the file that says what is in it.
pub struct Venv {
    folder: &'static str,
    requirements: &'static str,
    /// What is installed where it can be, each package for itself.
    optional: Option<&'static str>,
}

/// The newest client and everything that the tests need.
pub const NEWEST: Venv =
    Venv { folder: "venv-3", requirements: "tests/sdk/requirements.txt", optional: None };
/// The last client of the 2.6 line.
pub const OLDER: Venv =
    Venv { folder: "venv-26", requirements: "tests/sdk/requirements-26.txt", optional: None };
/// Other vector libraries, for the measurements beside them.
pub const RIVALS: Venv = Venv {
    folder: "venv-ann",
    requirements: "benches/requirements.txt",
    optional: Some("benches/requirements-optional.txt"),
};

impl Venv {
    /// A program of the environment.
    pub fn program(&self, context: &Context, name: &str) -> PathBuf {
        context.target.join(self.folder).join("bin").join(name)
    }

    /// Makes the environment unless it is there and of these requirements.
    pub fn prepare(&self, context: &Context) -> Result<(), String> {
        let folder = context.target.join(self.folder);
        let needed = read(context, self.requirements)?;
        let optional = self.optional.map_or(Ok(String::new()), |file| read(context, file))?;
        let wanted = needed + &optional;
        let stamp = folder.join("made-from.txt");
        if fs::read_to_string(&stamp).is_ok_and(|made| made == wanted) {
            return Ok(());
        }
        println!("making the Python environment {}", self.folder);
        make(&folder)?;
        let file = context.root.join(self.requirements);
        if !run(pip(&folder).arg("-r").arg(&file))? {
            return Err(format!("pip could not install {}", self.requirements));
        }
        let packages = optional.lines().filter(|l| !l.is_empty() && !l.starts_with('#'));
        for package in packages {
            if !run(pip(&folder).arg(package))? {
                println!("{package} does not install here: measured without it");
            }
        }
        fs::write(&stamp, wanted).map_err(|e| format!("{}: {e}", stamp.display()))
    }
}

fn read(context: &Context, file: &str) -> Result<String, String> {
    let path = context.root.join(file);
    fs::read_to_string(&path).map_err(|e| format!("{}: {e}", path.display()))
}

fn pip(folder: &Path) -> Command {
    let mut command = Command::new(folder.join("bin/python"));
    command.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]);
    command
}

fn make(folder: &Path) -> Result<(), String> {
    if run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(folder))? {
        return Ok(());
    }
    Err("python3 -m venv failed; on Debian it is in the package python3-venv".into())
}

/// Makes both.
pub fn prepare_all(context: &Context) -> Result<bool, String> {
    for venv in [NEWEST, OLDER] {
        venv.prepare(context)?;
        println!("{}", context.target.join(venv.folder).display());
    }
    Ok(true)
}
