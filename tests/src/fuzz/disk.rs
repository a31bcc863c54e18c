//! Files of the store and records of its log. Their checksums are made right here, or nothing would get past them: what
//! is tested is what lies behind.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use arrow::array::{ArrayRef, FixedSizeListArray, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::Float32Type;
use bytes::Bytes;
use elanus_engine::api::{Effort, Metric};
use elanus_engine::core::error::Result;
use elanus_engine::core::key::Keys;
use elanus_engine::core::rowset::{DeleteSet, RowSet};
use elanus_engine::core::schema::{CollectionSchema, DataType, FieldSchema};
use elanus_engine::index::cluster::{
    ClusterSearch, Codebook, CodedRows, Order, RowCoder, Scratch, Space, Target, train,
};
use elanus_engine::lsm::invariants;
use elanus_engine::lsm::manifest::{Manifest, NamedSnapshot};
use elanus_engine::lsm::manifest_codec;
use elanus_engine::segment::keys::SegmentKeys;
use elanus_engine::shard::record::{self, Change};
use elanus_engine::storage::frame;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

/// Rows of the unit whose vector index is read.
const ROWS: usize = 3_000;
const DIM: usize = 16;

/// A manifest's payload.
pub fn manifest(data: &[u8]) {
    if let Ok(manifest) = manifest_codec::decode(&frame::seal(data).into(), "a manifest") {
        invariants::check(&manifest).ok();
        manifest_codec::encode(&manifest);
    }
}

/// A delete set's payload.
pub fn deletes(data: &[u8]) {
    if let Ok(set) = DeleteSet::decode(data, "a delete set") {
        set.alive_at(ROWS, u64::MAX / 2);
        assert_eq!(set.len_at(u64::MAX), set.len());
    }
}

/// A key index's payload.
pub fn keys(data: &[u8]) {
    if let Ok(index) = SegmentKeys::decode(&frame::seal(data).into(), "a key index") {
        index.range();
        index.find(&Keys::Int(Int64Array::from(vec![7])), 0);
        index.find(&Keys::Text(StringArray::from(vec!["k7"])), 0);
    }
}

/// A codebook's payload.
pub fn codebook(data: &[u8]) {
    if let Ok(book) = Codebook::decode(data, "a codebook") {
        let coder = RowCoder::new(Arc::new(book), true, 0);
        drop(coder);
    }
}

/// A vector index, searched if it can be read.
pub fn vector_index(data: &[u8]) {
    let (book, _) = example();
    let mut bytes = data.to_vec();
    reseal(&mut bytes);
    let Ok(codes) = CodedRows::decode(&bytes, book, ROWS, "a vector index") else { return };
    let allowed = RowSet::all(ROWS);
    let target = Target::new(0, book, &codes, &allowed, Metric::L2);
    let search = ClusterSearch::new(book, vec![target], Metric::L2, 10, Effort::DEFAULT);
    search.run(&[0.25; DIM], &mut Scratch::default());
    codes.lists_of_places();
}

/// A record of the log.
pub fn log_record(data: &[u8]) {
    let schema = record_schema().to_arrow();
    record::decode(data, |_| Ok(schema.clone())).ok();
}

fn record_schema() -> CollectionSchema {
    CollectionSchema::new(vec![
        FieldSchema::new("id", DataType::Int64).primary(),
        FieldSchema::new("s", DataType::VarChar { max_length: 50 }).nullable(),
        FieldSchema::new("v", DataType::FloatVector { dim: 2 }),
    ])
}

/// Makes the checksums of a vector index right: of each section, then of the header.
fn reseal(bytes: &mut [u8]) {
    const HEADER_WORDS: usize = 6;
    const SECTIONS: usize = 11;
    let head = 8 * (HEADER_WORDS + 2 * SECTIONS);
    if bytes.len() < head + 8 {
        return;
    }
    let mut at = head + 8;
    for section in 0..SECTIONS {
        let entry = 8 * (HEADER_WORDS + 2 * section);
        let mut len = [0; 8];
        len.copy_from_slice(&bytes[entry..entry + 8]);
        let end = usize::try_from(u64::from_le_bytes(len)).ok().and_then(|len| at.checked_add(len));
        let Some(end) = end.filter(|end| *end <= bytes.len()) else { return };
        let sum = frame::checksum(&bytes[at..end]);
        bytes[entry + 8..entry + 16].copy_from_slice(&sum.to_le_bytes());
        at = end;
    }
    let sum = frame::checksum(&bytes[..head]);
    bytes[head..head + 8].copy_from_slice(&sum.to_le_bytes());
}

/// A codebook, and the codes of the rows it was trained on.
fn example() -> &'static (Arc<Codebook>, Arc<CodedRows>) {
    static EXAMPLE: OnceLock<(Arc<Codebook>, Arc<CodedRows>)> = OnceLock::new();
    EXAMPLE.get_or_init(|| {
        let mut rng = StdRng::seed_from_u64(1);
        let vectors: Vec<f32> = (0..ROWS * DIM).map(|_| rng.random_range(-1.0..1.0)).collect();
        let order = Order { version: 3, dim: DIM, space: Space::Raw, rows: ROWS };
        let book = Arc::new(train(order, vectors.clone()).expect("a codebook"));
        let mut lists = elanus_engine::index::cluster::train::assign(&book, &vectors);
        lists.sort_unstable();
        let mut coder = RowCoder::new(book.clone(), false, 0);
        coder.push(&vectors, &lists);
        let (codes, _) = coder.finish(None).expect("codes of small values");
        (book, Arc::new(codes))
    })
}

/// Valid inputs of a target.
pub fn seeds(target: &str) -> Vec<Vec<u8>> {
    let ints = Keys::Int(Int64Array::from_iter_values(0..40));
    let texts = Keys::Text(StringArray::from_iter_values((0..40).map(|n| format!("k{n}"))));
    match target {
        "manifest" => vec![payload(&manifest_codec::encode(&example_manifest()))],
        "deletes" => {
            let mut set = DeleteSet::default();
            (0..50).for_each(|n| {
                set.add(n * 7 % 60, u64::from(n) * 10);
            });
            vec![set.encode(u64::MAX), DeleteSet::default().encode(u64::MAX)]
        }
        "keys" => [ints, texts]
            .iter()
            .filter_map(|keys| SegmentKeys::build(keys).ok())
            .map(|index| payload(&index.encode()))
            .collect(),
        "codebook" => vec![example().0.encode()],
        "vector_index" => vec![example().1.encode(example().0.version).concat()],
        "log_record" => {
            let delete = Change::Delete { keys: texts, partitions: vec![1, 2] };
            let delete = record::encode(&delete, 5);
            [example_rows(), delete].into_iter().flatten().map(|record| record.to_vec()).collect()
        }
        _ => Vec::new(),
    }
}

fn payload(framed: &[u8]) -> Vec<u8> {
    frame::open(&framed.to_vec().into(), "a seed").map(|p| p.to_vec()).unwrap_or_default()
}

fn example_rows() -> Result<Bytes> {
    let vectors = [Some(vec![Some(1.0), Some(2.0)]), Some(vec![Some(3.0), Some(4.0)])];
    let vectors = FixedSizeListArray::from_iter_primitive::<Float32Type, _, _>(vectors, 2);
    let columns: Vec<ArrayRef> = vec![
        Arc::new(Int64Array::from(vec![1, 2])),
        Arc::new(StringArray::from(vec![Some("a"), None])),
        Arc::new(vectors),
    ];
    let batch = RecordBatch::try_new(record_schema().to_arrow(), columns)?;
    record::encode(&Change::Rows { batch, groups: vec![(1, 1), (2, 1)] }, 5)
}

fn example_manifest() -> Manifest {
    let schema = super::texts::schema();
    Manifest {
        version: 3,
        epoch: 2,
        writer: "writer".into(),
        collection_id: 9,
        database: "default".into(),
        name: "t".into(),
        aliases: vec!["nick".into()],
        schema: Arc::new(schema),
        properties: BTreeMap::from([("collection.ttl.seconds".into(), "10".into())]),
        shards: 1,
        consistency_level: 2,
        requested_partitions: 0,
        next_object_id: 4,
        partitions: Vec::new(),
        indexes: Vec::new(),
        segments: Vec::new(),
        next_segment_id: 5,
        flushed_ts: 77,
        created_ts: 9,
        schema_ts: 9,
        loaded: true,
        loaded_partitions: Vec::new(),
        released: false,
        dropped: false,
        codebooks: Vec::new(),
        exact_from_ts: 5,
        gap_from_ts: Some(4),
        snapshots: vec![NamedSnapshot {
            name: "kept".into(),
            description: "as it was".into(),
            version: 2,
            created_ts: 8,
        }],
        sources: vec![3],
    }
}
