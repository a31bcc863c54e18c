//! The shell's own commands: those that begin with a backslash or a dot.

use crate::args::Format;

/// What `\?` prints.
pub const HELP: &str = "  SELECT …;           run SQL; a statement ends with ; and may span lines
  \\d                  list the collections of this database
  \\d NAME             describe a collection
  \\l                  list the databases
  \\c NAME             change to another database
  .format table|csv|json
  .timer on|off       print the time of each statement
  \\? or help          this text
  \\q or Ctrl-D        leave
  Ctrl-C              cancel the running statement, or clear the line";

/// One of the shell's own commands.
#[derive(Debug, PartialEq, Eq)]
pub enum Meta {
    /// Leave.
    Quit,
    /// Explain.
    Help,
    /// List the databases.
    Databases,
    /// List the collections of this database.
    Collections,
    /// Describe one collection.
    Describe(String),
    /// Change to another database.
    Connect(String),
    /// Print the time of each statement or not.
    Timer(bool),
    /// How rows are printed.
    Format(Format),
}

/// Reads a line that may be one of the shell's own commands; `None`: it is SQL.
pub fn parse(line: &str) -> Option<Result<Meta, String>> {
    let line = line.trim();
    let mut words = line.trim_end_matches(';').split_whitespace();
    let name = words.next()?;
    if !name.starts_with(['\\', '.']) {
        return match (name.to_ascii_lowercase().as_str(), words.next()) {
            ("exit" | "quit", None) => Some(Ok(Meta::Quit)),
            ("help", None) => Some(Ok(Meta::Help)),
            _ => None,
        };
    }
    let argument = words.next();
    if words.next().is_some() {
        return Some(Err(format!("{name} takes one word at most; \\? explains")));
    }
    Some(match (name, argument) {
        ("\\q", None) => Ok(Meta::Quit),
        ("\\?" | "\\h" | ".help", None) => Ok(Meta::Help),
        ("\\l", None) => Ok(Meta::Databases),
        ("\\d" | "\\dt", None) => Ok(Meta::Collections),
        ("\\d", Some(table)) => Ok(Meta::Describe(unquoted(table))),
        ("\\c", Some(database)) => Ok(Meta::Connect(unquoted(database))),
        (".timer" | "\\timer", Some("on")) => Ok(Meta::Timer(true)),
        (".timer" | "\\timer", Some("off")) => Ok(Meta::Timer(false)),
        (".timer" | "\\timer", _) => Err(format!("{name} on, or {name} off")),
        (".format", word) => match word {
            Some("table") => Ok(Meta::Format(Format::Table)),
            Some("csv") => Ok(Meta::Format(Format::Csv)),
            Some("json") => Ok(Meta::Format(Format::Json)),
            _ => Err(".format table, .format csv or .format json".into()),
        },
        _ => Err(format!("{line} is not a command of this shell; \\? lists them")),
    })
}

fn unquoted(name: &str) -> String {
    name.trim_matches('"').to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_told_from_sql() {
        for (line, meta) in [
            ("\\q", Meta::Quit),
            (" exit; ", Meta::Quit),
            ("help", Meta::Help),
            ("\\d", Meta::Collections),
            ("\\d words;", Meta::Describe("words".into())),
            ("\\c other", Meta::Connect("other".into())),
            (".timer off", Meta::Timer(false)),
            (".format json", Meta::Format(Format::Json)),
        ] {
            assert_eq!(parse(line), Some(Ok(meta)), "{line}");
        }
        for line in ["select 1", "exit from t", "", "help me"] {
            assert_eq!(parse(line), None, "{line}");
        }
    }

    #[test]
    fn wrong_commands_are_explained() {
        for (line, says) in [
            ("\\x", "\\? lists"),
            (".timer", ".timer on"),
            (".format xml", ".format csv"),
            ("\\d a b", "one word"),
        ] {
            let error = parse(line).and_then(Result::err).unwrap_or_default();
            assert!(error.contains(says), "{line}: {error}");
        }
    }
}
