//! `elanus settings`: the settings in force, explained.

use std::io::Write;

use elanus_engine::core::settings::Settings;

use crate::args::SettingsArgs;
use crate::config;
use crate::failure::{Failure, Result};

/// The explanations are the doc comments at the settings themselves, so that there is one text only.
const SOURCE: &str = concat!(
    include_str!("../../../engine/src/core/settings.rs"),
    include_str!("../../../engine/src/core/server_settings.rs"),
);

/// Prints them as TOML; saved to a file, `--config` takes it back.
pub fn run(args: SettingsArgs) -> Result<()> {
    let settings = config::load(&args.config)?;
    std::io::stdout().write_all(explained(&settings)?.as_bytes())?;
    Ok(())
}

/// The settings as TOML, each value under its explanation.
fn explained(settings: &Settings) -> Result<String> {
    let values = toml::to_string(settings).map_err(|e| Failure::new(e.to_string()))?;
    let mut out = String::from(
        "# Settings of elanus. Each can also be set in the environment, as ELANUS_SECTION_NAME.\n",
    );
    let mut section = "Settings".to_string();
    for line in values.lines() {
        if let Some(name) = line.strip_prefix('[').and_then(|l| l.strip_suffix(']')) {
            for text in docs("Settings", name) {
                out += &format!("# {text}\n");
            }
            section = struct_of(name).unwrap_or_default().to_string();
        } else if let Some((name, _)) = line.split_once(" = ") {
            for text in docs(&section, name) {
                out += &format!("# {text}\n");
            }
        }
        out += line;
        out.push('\n');
    }
    Ok(out)
}

/// The doc comment of a field.
fn docs<'a>(structure: &str, field: &str) -> Vec<&'a str> {
    let mut texts = Vec::new();
    for line in body(structure) {
        if let Some(text) = line.strip_prefix("///") {
            texts.push(text.trim());
        } else if line.starts_with(&format!("pub {field}: ")) {
            return texts;
        } else {
            texts.clear();
        }
    }
    Vec::new()
}

/// The type of a section of [`Settings`].
fn struct_of(section: &str) -> Option<&'static str> {
    let start = format!("pub {section}: ");
    body("Settings").find_map(|line| line.strip_prefix(start.as_str())?.strip_suffix(','))
}

/// The lines of a structure's definition.
fn body(structure: &str) -> impl Iterator<Item = &'static str> {
    let head = format!("pub struct {structure} {{");
    SOURCE
        .lines()
        .skip_while(move |line| *line != head)
        .skip(1)
        .map(str::trim)
        .take_while(|l| *l != "}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_setting_is_explained_and_the_text_reads_back() -> Result<()> {
        let text = explained(&Settings::default())?;
        assert_eq!(Settings::load(&text, &[])?, Settings::default());
        let lines: Vec<&str> = text.lines().collect();
        for (above, line) in lines.iter().zip(&lines[1..]) {
            if line.contains(" = ") && !line.starts_with('#') {
                assert!(above.starts_with("# "), "{line} has no explanation");
            }
        }
        assert!(text.contains("[memtable]") && text.contains("max_size_bytes"), "{text}");
        Ok(())
    }
}
