//! Settings from a file and the environment.

use std::path::Path;

use elanus_engine::core::settings::Settings;

use crate::args::ConfigArgs;
use crate::failure::{Failure, Result};

/// Reads the file that `--config` names, if any, lays the environment over it and checks the result.
pub fn load(args: &ConfigArgs) -> Result<Settings> {
    let text = match &args.config {
        Some(path) => read(path)?,
        None => String::new(),
    };
    let environment: Vec<(String, String)> = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect();
    let settings = Settings::load(&text, &environment).map_err(Failure::from);
    match &args.config {
        Some(path) => settings.map_err(|e| e.context(path.display())),
        None => settings,
    }
}

fn read(path: &Path) -> Result<String> {
    std::fs::read_to_string(path)
        .map_err(|e| Failure::from(e).context(format!("settings file {}", path.display())))
}
