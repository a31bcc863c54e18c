//! The `elanus` command as a person or script meets it: output, errors, exit codes.
#![allow(clippy::expect_used, clippy::panic, reason = "helpers of tests fail by panicking")]

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;

/// One run of the command.
struct Ran {
    code: Option<i32>,
    out: String,
    err: String,
}

fn command(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_elanus"));
    command.args(args).env_remove("ELANUS_LOG").stdin(Stdio::null());
    command
}

fn ran(output: Output) -> Ran {
    Ran {
        code: output.status.code(),
        out: String::from_utf8_lossy(&output.stdout).into_owned(),
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

fn elanus(args: &[&str]) -> Ran {
    ran(command(args).output().expect("the command starts"))
}

fn good(args: &[&str]) -> String {
    let ran = elanus(args);
    assert_eq!(ran.code, Some(0), "{args:?}\n{}\n{}", ran.out, ran.err);
    ran.out
}

/// A folder with the demo's store in it.
fn demo_store() -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let data = folder.path().join("store").display().to_string();
    let out = good(&["demo", "--once", "--data", &data]);
    assert!(out.contains("Both give the same rows in the same order."), "{out}");
    (folder, data)
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|e| panic!("{e}: {text}"))
}

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("a folder").flatten() {
        let path = entry.path();
        if path.is_dir() { files(&path, found) } else { found.push(path) }
    }
}

#[test]
fn every_tool_reads_what_the_demo_wrote() {
    let (_folder, data) = demo_store();
    let rows = good(&[
        "sql",
        "--data",
        &data,
        "--format",
        "json",
        "-c",
        "SELECT count(*) AS n FROM wordnet",
    ]);
    assert_eq!(json(&rows)[0]["n"], 5_000);

    let report = json(&good(&["inspect", &data, "--json"]));
    assert_eq!(report["collections"][0]["name"], "wordnet", "{report}");
    assert_eq!(report["collections"][0]["rows"], 5_000, "{report}");
    let text = good(&["inspect", &data]);
    assert!(text.contains("default.wordnet") && text.contains("5,000 rows"), "{text}");

    let out = good(&["verify", &data]);
    assert!(out.contains("5,000 rows") && out.contains("no problems"), "{out}");
    good(&["compact", &data, "--all", "--collection", "wordnet"]);
    good(&["gc", &data]);
    let again = good(&["demo", "--once", "--data", &data]);
    assert!(again.contains("loaded     5,000 rows"), "{again}");
}

#[test]
fn sql_takes_texts_scripts_and_formats() {
    let (_folder, data) = demo_store();
    let words = "SELECT id, word FROM wordnet WHERE id IN (368, 12259) ORDER BY id";
    let csv = good(&["sql", "--data", &data, "--format", "csv", "-c", words]);
    let expected = "id,word\n368,\"white wolf, Arctic wolf, Canis lupus tundrarum\"\n\
                    12259,\"timber wolf, grey wolf, gray wolf, Canis lupus\"\n";
    assert_eq!(csv, expected);

    let vector = "SELECT vector FROM wordnet WHERE id = 368";
    let table = good(&["sql", "--data", &data, "-c", vector]);
    assert!(table.contains("… 384]"), "{table}");
    let whole = json(&good(&["sql", "--data", &data, "--format", "json", "-c", vector]));
    assert_eq!(whole[0]["vector"].as_array().map(Vec::len), Some(384));

    let mut child = command(&["sql", "--data", &data, "--format", "csv"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the command starts");
    let script = "SELECT 1 AS a; -- first; not second\nSELECT ';' AS b";
    child.stdin.take().expect("a pipe").write_all(script.as_bytes()).expect("written");
    let ran = ran(child.wait_with_output().expect("an end"));
    assert_eq!((ran.code, ran.out.as_str()), (Some(0), "a\n1\nb\n;\n"), "{}", ran.err);
}

#[test]
fn a_failing_statement_ends_the_text_with_code_one() {
    let (_folder, data) = demo_store();
    let text = "SELECT 1 AS first; SELECT nothing FROM wordnet; SELECT 3 AS third";
    let ran = elanus(&["sql", "--data", &data, "--format", "csv", "-c", text]);
    assert_eq!(ran.code, Some(1));
    assert_eq!(ran.out, "first\n1\n");
    assert!(ran.err.contains("error: ") && ran.err.contains("nothing"), "{}", ran.err);
}

#[test]
fn verify_finds_a_changed_byte() {
    let (folder, data) = demo_store();
    let mut found = Vec::new();
    files(folder.path(), &mut found);
    let segment = found
        .iter()
        .find(|path| path.file_name().is_some_and(|name| name == "data.lance"))
        .expect("a segment file");
    let mut bytes = std::fs::read(segment).expect("its bytes");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(segment, bytes).expect("written");
    let ran = elanus(&["verify", &data]);
    assert_eq!(ran.code, Some(1), "{}\n{}", ran.out, ran.err);
    assert!(ran.out.contains("data.lance") && ran.out.contains("1 problem"), "{}", ran.out);
}

#[cfg(unix)]
#[test]
fn serve_holds_the_store_and_ends_cleanly_at_a_signal() {
    let (_folder, data) = demo_store();
    let mut server = command(&["serve", "--data", &data, "--listen", "127.0.0.1:0"])
        .stderr(Stdio::piped())
        .spawn()
        .expect("the command starts");
    let mut log = BufReader::new(server.stderr.take().expect("a pipe"));
    let mut line = String::new();
    while !line.contains("127.0.0.1:") {
        line.clear();
        assert!(log.read_line(&mut line).expect("a line") > 0, "the server ended early");
    }
    let refused = elanus(&["sql", "--data", &data, "-c", "SELECT 1"]);
    assert_eq!(refused.code, Some(1), "{}", refused.out);
    assert!(refused.err.contains("hint: one process"), "{}", refused.err);
    let refused = elanus(&["compact", &data]);
    assert_eq!(refused.code, Some(1), "{}", refused.out);

    let killed = Command::new("kill").arg(server.id().to_string()).status();
    assert!(killed.is_ok_and(|status| status.success()));
    assert_eq!(server.wait().expect("an end").code(), Some(0));
    good(&["sql", "--data", &data, "-c", "SELECT 1"]);
}

#[test]
fn mistakes_are_explained() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().display().to_string();
    let bad = folder.path().join("bad.toml");
    std::fs::write(&bad, "[memtable]\nmax_rows = 0\n").expect("written");
    let bad = bad.display().to_string();
    let absent = format!("{path}/absent");
    for (args, code, says) in [
        (vec!["sql", "--data", &absent, "-c", "SELECT 1"], 1, "hint: "),
        (vec!["inspect", &absent], 1, "error: "),
        (vec!["verify", &absent], 1, "error: "),
        (vec!["gc", &absent], 1, "error: "),
        (vec!["compact", &absent], 1, "error: "),
        (vec!["settings", "--config", &bad], 1, "memtable.max_rows"),
        (vec!["serve", "--listen", "nowhere"], 2, "--listen"),
        (vec!["inspect", "gs://bucket"], 2, "gs://"),
    ] {
        let ran = elanus(&args);
        assert_eq!(ran.code, Some(code), "{args:?}: {}", ran.err);
        assert!(ran.err.contains(says), "{args:?}: {}", ran.err);
        assert!(ran.out.is_empty(), "{args:?}: {}", ran.out);
    }
    assert!(!Path::new(&absent).exists(), "a tool that only reads made a folder");
}
