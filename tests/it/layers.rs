//! The house has floors: what may use what. An edge that the tables below do not list fails here,
//! with file, line and rule.

mod source;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use source::{code, idents_after_crate, mentions};

/// Our crates: folder, name, and which of ours it may depend on.
const CRATES: [(&str, &str, &[&str]); 10] = [
    ("engine/kernels", "elanus-kernels", &[]),
    ("proto", "elanus-proto", &[]),
    ("engine", "elanus-engine", &["elanus-kernels", "elanus-proto"]),
    ("sql", "elanus-sql", &["elanus-engine"]),
    ("server", "elanus-server", &["elanus-engine", "elanus-sql", "elanus-proto"]),
    ("tools", "elanus", &["elanus-engine", "elanus-sql", "elanus-server"]),
    ("tools/xtask", "xtask", &[]),
    (
        "tests",
        "elanus-tests",
        &["elanus-engine", "elanus-sql", "elanus-server", "elanus-proto", "elanus-kernels"],
    ),
    ("tests/simulation", "elanus-simulation", &["elanus-engine"]),
    ("benches", "elanus-benches", &["elanus-kernels", "elanus-engine"]),
];

/// Modules of a crate from the lowest floor to the highest; those of one floor do not see each other.
const FLOORS: [(&str, &[&[&str]]); 3] = [
    (
        "engine",
        &[
            &["core"],
            &["storage"],
            &["index"],
            &["segment"],
            &["lsm"],
            &["shard"],
            &["collection"],
            &["api"],
            &["offline"],
        ],
    ),
    ("sql", &[&["lang"], &["functions"], &["error"], &["provider"], &["plan"], &["session"]]),
    (
        "server",
        &[
            &["status", "deadline", "slow"],
            &["answer", "convert", "memory", "access"],
            &["import"],
            &["context"],
            &["proxy"],
            &["admission", "quota"],
            &["service"],
            &["server"],
        ],
    ),
];

/// Code that has one home: paths that begin so may stand in these files or folders only.
const HOMES: [(&[&str], &[&str]); 9] = [
    (&["tonic::", "tonic_prost::"], &["proto/", "server/", "tests/"]),
    (&["datafusion::"], &["sql/"]),
    (&["geo::"], &["sql/src/lang/geometry.rs"]),
    (
        &["lance::", "lance_core::", "lance_encoding::", "lance_file::", "lance_io::"],
        &["engine/src/segment", "engine/src/core/error.rs"],
    ),
    (&["fjall::"], &["engine/src/storage", "engine/src/core/error.rs"]),
    (&["croaring::"], &["engine/src/core/"]),
    (&["std::arch", "core::arch"], &["engine/kernels/"]),
    (&["elanus_kernels::"], &["engine/", "tests/", "benches/"]),
    (
        &[
            "SystemTime::now",
            "Instant::now",
            "rand::",
            "tokio::spawn",
            "task::spawn",
            "task::spawn_blocking",
            "thread::spawn",
            "thread::Builder",
        ],
        &["engine/src/core/runtime"],
    ),
];

/// Code that is never replayed: it may look at the clock, throw dice and start threads as it likes.
const NOT_REPLAYED: [&str; 6] = [
    "tests/",
    "benches/",
    "tools/xtask/",
    "engine/kernels/src/tests.rs",
    "engine/kernels/examples/",
    "proto/build.rs",
];

/// The folder of the repository.
pub fn root() -> PathBuf {
    // Not `env!`: clones may share a target folder.
    let package = std::env::var("CARGO_MANIFEST_DIR").expect("cargo sets it");
    Path::new(&package).parent().expect("tests is in the root").to_path_buf()
}

/// Dependencies of ours in a manifest, with their lines.
fn own_dependencies(manifest: &str) -> Vec<(usize, String)> {
    let mut of_interest = false;
    let mut found = Vec::new();
    for (number, line) in manifest.lines().enumerate() {
        if let Some(section) = line.trim().strip_prefix('[') {
            of_interest = section.trim_end_matches(']').ends_with("dependencies");
        } else if of_interest {
            let name = line.split(['.', '=', ' ']).next().unwrap_or_default();
            if CRATES.iter().any(|(_, ours, _)| *ours == name) {
                found.push((number + 1, name.to_string()));
            }
        }
    }
    found
}

/// Wrong edges between crates.
fn check_manifest(folder: &str, manifest: &str) -> Vec<String> {
    let Some((_, name, allowed)) = CRATES.iter().find(|(known, ..)| *known == folder) else {
        return vec![format!("{folder}/Cargo.toml:1: the table of crates does not list {folder}")];
    };
    own_dependencies(manifest)
        .into_iter()
        .filter(|(_, dependency)| !allowed.contains(&dependency.as_str()))
        .map(|(line, dependency)| {
            format!("{folder}/Cargo.toml:{line}: {name} may not depend on {dependency}")
        })
        .collect()
}

/// Code outside its home in one file.
fn check_homes(path: &str, text: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    for (needles, homes) in HOMES {
        if homes.iter().any(|home| path.starts_with(home)) {
            continue;
        }
        let clock = homes == ["engine/src/core/runtime"];
        if clock && NOT_REPLAYED.iter().any(|free| path.starts_with(free)) {
            continue;
        }
        for needle in needles {
            for line in mentions(text, needle) {
                wrong.push(format!(
                    "{path}:{line}: `{needle}` has its home in {}",
                    homes.join(", ")
                ));
            }
        }
    }
    wrong
}

/// Uses of a higher or equal floor in one file of a crate with floors.
fn check_floors(path: &str, text: &str) -> Vec<String> {
    let Some((krate, floors)) =
        FLOORS.iter().find(|(krate, _)| path.starts_with(&format!("{krate}/src/")))
    else {
        return Vec::new();
    };
    let inside = &path[krate.len() + "/src/".len()..];
    if inside == "lib.rs" {
        return Vec::new();
    }
    let module = inside.split(['/', '.']).next().unwrap_or_default();
    let floor = |module: &str| floors.iter().position(|floor| floor.contains(&module));
    let Some(own) = floor(module) else {
        return vec![format!("{path}:1: the table of floors does not list {krate}::{module}")];
    };
    // How many times `super` leads from this file to the root of the crate.
    let depth = inside.trim_end_matches(".rs").trim_end_matches("/mod").split('/').count();
    idents_after_crate(text, depth)
        .into_iter()
        .filter(|(_, used)| used != module)
        .filter_map(|(line, used)| match floor(&used) {
            Some(other) if other < own => None,
            Some(_) => Some(format!(
                "{path}:{line}: {krate}::{module} may not use {used}: it is not lower"
            )),
            None => {
                Some(format!("{path}:{line}: the table of floors does not list {krate}::{used}"))
            }
        })
        .collect()
}

fn rust_files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        let name = entry.file_name().to_string_lossy().into_owned();
        if path.is_dir() && name != "target" && !name.starts_with('.') {
            rust_files(&path, found);
        } else if name.ends_with(".rs") {
            found.push(path);
        }
    }
}

/// All sources with their paths from the root, tests and comments and strings taken out.
fn sources() -> BTreeMap<String, String> {
    let root = root();
    let mut files = Vec::new();
    rust_files(&root, &mut files);
    files
        .into_iter()
        .filter_map(|file| {
            let path = file.strip_prefix(&root).ok()?.to_string_lossy().replace('\\', "/");
            // A file of tests inside a crate is compiled for tests only.
            let tests =
                path.contains("/src/") && (path.ends_with("tests.rs") || path.contains("/tests/"));
            (!tests).then(|| Some((path, code(&fs::read_to_string(file).ok()?))))?
        })
        .collect()
}

fn fail_on(wrong: Vec<String>) {
    assert!(wrong.is_empty(), "{} wrong edges:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn crates_depend_only_downwards() {
    let manifest = fs::read_to_string(root().join("Cargo.toml")).expect("a manifest");
    let members = manifest.split_once("\nmembers = [").expect("members").1;
    let members = members.split(']').next().unwrap_or_default();
    let mut wrong = Vec::new();
    for folder in members.split('"').skip(1).step_by(2) {
        let manifest =
            fs::read_to_string(root().join(folder).join("Cargo.toml")).expect("a manifest");
        wrong.extend(check_manifest(folder, &manifest));
    }
    fail_on(wrong);
}

#[test]
fn heavy_parts_stay_in_their_homes() {
    fail_on(sources().iter().flat_map(|(path, text)| check_homes(path, text)).collect());
}

#[test]
fn modules_use_only_lower_floors() {
    fail_on(sources().iter().flat_map(|(path, text)| check_floors(path, text)).collect());
}

#[test]
fn a_planted_edge_between_crates_is_found() {
    let manifest =
        "[package]\nname = \"x\"\n[dependencies]\ntokio = \"1\"\nelanus-server.workspace = true\n";
    let wrong = check_manifest("engine", manifest);
    assert_eq!(wrong, ["engine/Cargo.toml:5: elanus-engine may not depend on elanus-server"]);
    assert_eq!(check_manifest("sql", "[dev-dependencies]\nelanus-engine = {}\n"), [""; 0]);
    assert_eq!(check_manifest("new", "").len(), 1);
}

#[test]
fn planted_code_outside_its_home_is_found() {
    let planted = |path: &str, text: &str| check_homes(path, &code(text)).len();
    assert_eq!(planted("server/src/proxy.rs", "fn f() {\n  tokio::spawn(g());\n}"), 1);
    assert_eq!(
        planted("engine/src/lsm/gc.rs", "use std::time::Instant;\nlet t = Instant::now();"),
        1
    );
    assert_eq!(planted("server/src/lib.rs", "use datafusion::prelude::*;"), 1);
    assert_eq!(planted("engine/src/lsm/mod.rs", "use {lance_file::reader, std::io};"), 1);
    assert_eq!(planted("sql/src/lang.rs", "let s = \"tonic::x\"; // tonic::y\n"), 0);
    assert_eq!(planted("sql/src/lang.rs", "use crate::storage::fjall::Log; use operand::x;"), 0);
    let tested =
        "fn a() {}\n#[cfg(test)]\nmod tests { fn b() { let _ = rand::random(); } }\nfn c() {}";
    assert_eq!(planted("engine/src/lsm/plan.rs", tested), 0);
    assert_eq!(planted("engine/src/lsm/plan.rs", &format!("{tested} use croaring::Bitmap;")), 1);
    assert_eq!(planted("engine/src/core/runtime.rs", "std::time::SystemTime::now()"), 0);
}

#[test]
fn planted_uses_of_a_higher_floor_are_found() {
    let planted = |path: &str, text: &str| check_floors(path, &code(text));
    for (path, text, found) in [
        ("engine/src/lsm/plan.rs", "use crate::segment::Segment;", 0),
        ("engine/src/lsm/plan.rs", "use crate::shard::Shard;", 1),
        ("engine/src/lsm/plan.rs", "use crate::{core::key, shard::Shard};", 1),
        ("engine/src/lsm/plan.rs", "fn f(x: crate::collection::Collection) {}", 1),
        ("engine/src/lsm/plan.rs", "use super::super::api;", 1),
        ("engine/src/lsm/mod.rs", "use super::api;", 1),
        ("engine/src/lsm/plan.rs", "use super::manifest::Manifest;", 0),
        ("engine/src/lsm.rs", "use super::storage::Log;", 0),
        ("engine/src/api/mod.rs", "use crate::offline::verify;", 1),
        ("engine/src/offline/verify.rs", "use crate::api::Engine;", 0),
        ("engine/src/extra.rs", "", 1),
        ("engine/src/lsm/plan.rs", "use crate::extra::x;", 1),
        ("engine/src/lsm/plan.rs", "// use crate::shard::Shard;\n\"crate::api\"", 0),
        ("sql/src/lang/parse.rs", "use crate::plan::Rule;", 1),
        ("server/src/service.rs", "use crate::convert::rows;", 0),
        ("engine/src/lib.rs", "pub use crate::api::Engine;", 0),
    ] {
        assert_eq!(planted(path, text).len(), found, "{path}: {text}");
    }
}
