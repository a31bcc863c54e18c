//! Lines from the terminal, with editing and a history file.

use std::path::PathBuf;

use elanus_engine::core::runtime::spawn_thread;
use rustyline::error::ReadlineError;
use rustyline::history::FileHistory;
use rustyline::{Config, Editor};
use tokio::sync::{mpsc, oneshot};

use crate::failure::{Failure, Result};

/// Statements kept in the history file.
const HISTORY_ENTRIES: usize = 10_000;

/// What a person did at the prompt.
#[derive(Debug)]
pub enum Line {
    /// Entered a line.
    Text(String),
    /// Pressed Ctrl-C.
    Interrupted,
    /// Pressed Ctrl-D.
    End,
    /// The terminal failed.
    Broken(String),
}

enum Order {
    Read { prompt: String, answer: oneshot::Sender<Line> },
    Remember(String),
}

/// The terminal's reader. It waits for keys on a thread of its own, so that the async threads never do.
pub struct Input {
    orders: mpsc::UnboundedSender<Order>,
}

impl Input {
    /// Takes the terminal and loads the history.
    pub fn open() -> Result<Self> {
        let (orders, inbox) = mpsc::unbounded_channel();
        spawn_thread("terminal", move || serve(inbox))?;
        Ok(Self { orders })
    }

    /// Waits for the next line.
    pub async fn read(&self, prompt: &str) -> Result<Line> {
        let (answer, line) = oneshot::channel();
        let gone = || Failure::new("the terminal's reader has ended");
        self.orders.send(Order::Read { prompt: prompt.into(), answer }).map_err(|_| gone())?;
        line.await.map_err(|_| gone())
    }

    /// Puts an entry into the history and its file.
    pub fn remember(&self, entry: &str) {
        // A reader that has ended has no history to keep; the next read reports it.
        self.orders.send(Order::Remember(entry.into())).ok();
    }
}

fn serve(mut inbox: mpsc::UnboundedReceiver<Order>) {
    let file = history_file();
    let mut editor = open_editor(file.as_ref());
    while let Some(order) = inbox.blocking_recv() {
        match (order, &mut editor) {
            (Order::Read { prompt, answer }, Ok(editor)) => {
                // Nobody waits any more when the shell has ended meanwhile.
                answer.send(read(editor, &prompt)).ok();
            }
            (Order::Read { answer, .. }, Err(error)) => {
                answer.send(Line::Broken(error.to_string())).ok();
            }
            (Order::Remember(entry), Ok(editor)) => remember(editor, &entry, file.as_ref()),
            (Order::Remember(_), Err(_)) => {}
        }
    }
}

type TerminalEditor = Editor<(), FileHistory>;

fn open_editor(file: Option<&PathBuf>) -> rustyline::Result<TerminalEditor> {
    let config = Config::builder()
        .max_history_size(HISTORY_ENTRIES)?
        .history_ignore_dups(true)?
        .history_ignore_space(true)
        .build();
    let mut editor = TerminalEditor::with_config(config)?;
    if let Some(file) = file {
        // Absent at the first start.
        editor.load_history(file).ok();
    }
    Ok(editor)
}

fn read(editor: &mut TerminalEditor, prompt: &str) -> Line {
    match editor.readline(prompt) {
        Ok(text) => Line::Text(text),
        Err(ReadlineError::Interrupted) => Line::Interrupted,
        Err(ReadlineError::Eof) => Line::End,
        Err(error) => Line::Broken(error.to_string()),
    }
}

fn remember(editor: &mut TerminalEditor, entry: &str, file: Option<&PathBuf>) {
    // A history that cannot be kept (no home, a full disk) must not stop the work.
    if editor.add_history_entry(entry).is_ok_and(|added| added)
        && let Some(file) = file
    {
        editor.append_history(file).ok();
    }
}

/// `elanus/history` in the user's data folder, which is made if absent.
fn history_file() -> Option<PathBuf> {
    let folder = data_folder(|name| std::env::var_os(name).map(PathBuf::from))?.join("elanus");
    std::fs::create_dir_all(&folder).ok()?;
    Some(folder.join("history"))
}

/// As the XDG base directory specification has it; relative values are to be ignored.
fn data_folder(variable: impl Fn(&str) -> Option<PathBuf>) -> Option<PathBuf> {
    let absolute = |name: &str| variable(name).filter(|path| path.is_absolute());
    absolute("XDG_DATA_HOME")
        .or_else(|| absolute("HOME").map(|home| home.join(".local/share")))
        .or_else(|| absolute("APPDATA"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_data_folder_follows_the_environment() {
        let with = |pairs: &'static [(&str, &str)]| {
            data_folder(move |name| {
                pairs.iter().find(|(n, _)| *n == name).map(|(_, v)| PathBuf::from(v))
            })
        };
        assert_eq!(with(&[("HOME", "/h")]), Some("/h/.local/share".into()));
        assert_eq!(with(&[("HOME", "/h"), ("XDG_DATA_HOME", "/d")]), Some("/d".into()));
        assert_eq!(with(&[("HOME", "/h"), ("XDG_DATA_HOME", "d")]), Some("/h/.local/share".into()));
        assert_eq!(with(&[]), None);
    }
}
