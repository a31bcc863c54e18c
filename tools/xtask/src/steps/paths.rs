//! No file of the repository names a folder of one machine.

use std::fs;

use super::judge;
use crate::context::Context;
use crate::report::Counts;

/// Folders that exist on one machine and not on the next; put together here so that this file
/// does not find itself.
const FOLDERS: [&str; 4] =
    [concat!("/ro", "ot/"), concat!("/ho", "me/"), concat!("/wo", "rk/"), concat!("/Us", "ers/")];

/// Looks through every text file.
pub fn check(context: &Context) -> Result<Counts, String> {
    let mut findings = Vec::new();
    let mut checked = 0;
    for name in context.files()? {
        // What is not UTF-8 is data.
        let Ok(text) = fs::read_to_string(context.root.join(&name)) else { continue };
        checked += 1;
        for (number, line) in text.lines().enumerate() {
            if let Some(folder) = machine_path(line) {
                findings.push(format!("{name}:{}: names {folder}", number + 1));
            }
        }
    }
    Ok(judge(&findings, &format!("{checked} files name no folder of a machine")))
}

fn machine_path(line: &str) -> Option<&'static str> {
    FOLDERS.into_iter().find(|folder| {
        line.match_indices(folder).any(|(at, _)| {
            // A part of a longer relative path or of an address is not an absolute path.
            !line[..at].ends_with(|c: char| c.is_alphanumeric() || "_-.}$*".contains(c))
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn absolute_paths_are_found_and_relative_ones_are_not() {
        assert!(machine_path(&format!("cd {}main", FOLDERS[2])).is_some());
        assert!(machine_path(&format!("see net{}x", FOLDERS[2])).is_none());
        assert!(machine_path("a plain line").is_none());
    }
}
