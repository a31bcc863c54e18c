//! One function for each input that comes from outside: it takes any bytes, and may refuse them but neither
//! panic nor take memory or time out of proportion. `it/fuzz.rs` runs them on the corpus and on mutations of it;
//! `fuzz/` is their cargo-fuzz side.

mod disk;
mod mutate;
mod texts;
mod wire;

pub use mutate::mutate;

/// A target: its name, which is that of its folder in the corpus, and its function.
pub type Target = (&'static str, fn(&[u8]));

/// All of them.
pub const TARGETS: [Target; 9] = [
    ("filter", texts::filter),
    ("sql", texts::sql),
    ("requests", wire::requests),
    ("manifest", disk::manifest),
    ("deletes", disk::deletes),
    ("keys", disk::keys),
    ("codebook", disk::codebook),
    ("vector_index", disk::vector_index),
    ("log_record", disk::log_record),
];

/// Runs a target by its name.
pub fn run(name: &str, data: &[u8]) {
    for (known, target) in TARGETS {
        if known == name {
            target(data);
        }
    }
}

/// Valid inputs that are made rather than kept as files.
pub fn seeds(name: &str) -> Vec<Vec<u8>> {
    match name {
        "requests" => wire::seeds(),
        "filter" | "sql" => Vec::new(),
        other => disk::seeds(other),
    }
}
