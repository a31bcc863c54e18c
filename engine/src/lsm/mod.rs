//! The tree of segments: its versions, what to merge when, and what is garbage.

pub mod codebooks;
pub mod coding;
pub mod commit;
pub mod compact;
pub mod gc;
pub mod history;
pub mod info;
pub mod invariants;
pub mod layout;
pub mod manifest;
pub mod manifest_codec;
pub mod moments;
pub mod plan;
