//! The vector indexes by name: which vectors they take and what parameters they read.

use elanus_engine::core::schema::DataType;

use super::rules::{
    AISAQ, AUTO_DENSE_SEARCH, BASE, BIN_IVF, DISK, FAST_SCAN, HNSW, IVF, IVF_CELLS, IVF_PQ,
    IVF_SQ_CELLS, LEVEL, PQ, PRQ, RABITQ, REFINE, Rule, SCANN, SPARSE, SQ,
};

/// Kinds of vectors that an index takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Takes {
    /// FloatVector, Float16Vector, BFloat16Vector.
    pub float: bool,
    /// Int8Vector.
    pub int8: bool,
    /// BinaryVector.
    pub binary: bool,
    /// SparseFloatVector.
    pub sparse: bool,
}

/// What AUTOINDEX depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Vectors {
    /// Of numbers.
    Dense,
    /// Of bits.
    Bits,
    /// Of few numbers.
    Sparse,
}

impl Vectors {
    /// Those of a type.
    pub fn of(data_type: &DataType) -> Self {
        match data_type {
            DataType::BinaryVector { .. } => Self::Bits,
            DataType::SparseFloatVector => Self::Sparse,
            _ => Self::Dense,
        }
    }
}

/// Which search parameter says how hard a search of an index tries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Knob {
    /// None: every row is compared.
    Exact,
    /// `nprobe` of `nlist` lists; `full` where all lists are an exact search.
    Lists {
        /// Whether a search of all lists is exact.
        full: bool,
    },
    /// The length of the candidate list of a graph walk, under this name.
    Candidates(&'static str),
}

/// A vector index that can be named.
#[derive(Debug, Clone, Copy)]
pub struct IndexKind {
    /// Milvus's name.
    pub name: &'static str,
    /// What it indexes.
    pub takes: Takes,
    /// What it reads.
    pub rules: &'static [&'static [Rule]],
    /// What makes a search of it try harder.
    pub knob: Knob,
    /// Whether `refine_k` or `reorder_k` makes it look again at more candidates.
    pub refines: bool,
    /// Whether the candidates must be at least as many as the results that are asked for.
    pub checks_k: bool,
    /// Whether Milvus maps its file into memory when asked.
    pub mmap: bool,
}

const FLOAT: Takes = Takes { float: true, int8: false, binary: false, sparse: false };
const BYTES: Takes = Takes { float: true, int8: true, binary: false, sparse: false };
const EVERY: Takes = Takes { float: true, int8: true, binary: true, sparse: false };
const BITS: Takes = Takes { float: false, int8: false, binary: true, sparse: false };
const SPARSE_ONES: Takes = Takes { float: false, int8: false, binary: false, sparse: true };
const NOTHING: Takes = Takes { float: false, int8: false, binary: false, sparse: false };

const LISTS: Knob = Knob::Lists { full: false };
const WHOLE_LISTS: Knob = Knob::Lists { full: true };
const EF: Knob = Knob::Candidates("ef");
const SEARCH_LIST: Knob = Knob::Candidates("search_list_size");

const fn kind(
    name: &'static str,
    takes: Takes,
    knob: Knob,
    rules: &'static [&'static [Rule]],
) -> IndexKind {
    IndexKind { name, takes, rules, knob, refines: false, checks_k: true, mmap: true }
}

impl IndexKind {
    const fn refining(self) -> Self {
        Self { refines: true, ..self }
    }

    /// Milvus takes a short list for these two.
    const fn of_any_length(self) -> Self {
        Self { checks_k: false, ..self }
    }

    const fn on_disk(self) -> Self {
        Self { mmap: false, ..self }
    }
}

/// All but AUTOINDEX. BRUTE_FORCE is milvus-lite's name for FLAT. MINHASH_LSH is known and refused.
const KINDS: [IndexKind; 24] = [
    kind("FLAT", FLOAT, Knob::Exact, &[BASE]),
    kind("BRUTE_FORCE", FLOAT, Knob::Exact, &[BASE]),
    kind("BIN_FLAT", BITS, Knob::Exact, &[BASE]),
    kind("BIN_IVF_FLAT", BITS, WHOLE_LISTS, &[BASE, BIN_IVF]),
    kind("IVF_FLAT", FLOAT, WHOLE_LISTS, &[BASE, IVF]),
    kind("IVF_FLAT_CC", FLOAT, WHOLE_LISTS, &[BASE, IVF, IVF_CELLS]).on_disk(),
    kind("IVF_SQ8", FLOAT, LISTS, &[BASE, IVF, SQ, REFINE]).refining(),
    kind("IVF_SQ_CC", FLOAT, LISTS, &[BASE, IVF, IVF_CELLS, IVF_SQ_CELLS]),
    kind("IVF_PQ", FLOAT, LISTS, &[BASE, IVF, IVF_PQ, REFINE]).refining(),
    kind("IVF_RABITQ", FLOAT, LISTS, &[BASE, IVF, RABITQ, REFINE]).refining(),
    kind("IVF_RABITQ_FASTSCAN", FLOAT, LISTS, &[BASE, IVF, FAST_SCAN, REFINE]).refining(),
    kind("SCANN", FLOAT, LISTS, &[BASE, IVF, SCANN]).refining(),
    kind("HNSW", EVERY, EF, &[BASE, HNSW, REFINE]),
    kind("HNSW_SQ", BYTES, EF, &[BASE, HNSW, SQ, REFINE]).refining(),
    kind("HNSW_PQ", BYTES, EF, &[BASE, HNSW, PQ, REFINE]).refining().of_any_length(),
    kind("HNSW_PRQ", BYTES, EF, &[BASE, HNSW, PRQ, REFINE]).refining().of_any_length(),
    kind("DISKANN", FLOAT, SEARCH_LIST, &[BASE, DISK]).on_disk(),
    kind("AISAQ", FLOAT, SEARCH_LIST, &[BASE, DISK, AISAQ]).on_disk(),
    kind("MINHASH_LSH", BITS, Knob::Exact, &[BASE]).on_disk(),
    kind("SPARSE_INVERTED_INDEX", SPARSE_ONES, Knob::Exact, &[BASE, SPARSE]),
    kind("SPARSE_WAND", SPARSE_ONES, Knob::Exact, &[BASE, SPARSE]),
    kind("SPARSE_INVERTED_INDEX_CC", SPARSE_ONES, Knob::Exact, &[BASE, SPARSE]).on_disk(),
    kind("SPARSE_WAND_CC", SPARSE_ONES, Knob::Exact, &[BASE, SPARSE]).on_disk(),
    kind("SCANN_DVR", NOTHING, LISTS, &[BASE]).on_disk(),
];

/// What AUTOINDEX is on vectors of numbers in Milvus: a graph over codes with refining.
const AUTO_DENSE: IndexKind =
    kind("AUTOINDEX", BYTES, EF, &[BASE, AUTO_DENSE_SEARCH, LEVEL]).refining();
/// What AUTOINDEX is on vectors of bits in Milvus.
const AUTO_BINARY: IndexKind = kind("AUTOINDEX", BITS, WHOLE_LISTS, &[BASE, BIN_IVF, LEVEL]);

/// What AUTOINDEX is on sparse vectors in Milvus.
const AUTO_SPARSE: IndexKind = kind("AUTOINDEX", SPARSE_ONES, Knob::Exact, &[BASE, SPARSE, LEVEL]);

/// The index of a name for some vectors.
pub fn named(name: &str, vectors: Vectors) -> Option<&'static IndexKind> {
    match (name, vectors) {
        (super::AUTO, Vectors::Dense) => Some(&AUTO_DENSE),
        (super::AUTO, Vectors::Bits) => Some(&AUTO_BINARY),
        (super::AUTO, Vectors::Sparse) => Some(&AUTO_SPARSE),
        _ => KINDS.iter().find(|k| k.name == name),
    }
}

/// Whether AUTOINDEX or any vector index has this name.
pub fn is_known(name: &str) -> bool {
    named(name, Vectors::Dense).is_some()
}

/// All names but AUTOINDEX.
#[cfg(test)]
pub fn all_names() -> impl Iterator<Item = &'static str> {
    KINDS.iter().map(|k| k.name)
}
