use super::*;
use crate::convert::vectors;

fn default_metric(data_type: &DataType) -> &'static str {
    vectors::default_metric(data_type).name()
}

fn params(pairs: &[(&str, &str)]) -> Params {
    pairs.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect()
}

fn reason(data_type: DataType, pairs: &[(&str, &str)]) -> String {
    let field = FieldSchema::new("f", data_type);
    complete(&field, params(pairs)).err().map(|f| f.reason).unwrap_or_default()
}

fn float(dim: u32) -> DataType {
    DataType::FloatVector { dim }
}

fn bits() -> DataType {
    DataType::BinaryVector { dim: 64 }
}

/// An index of a kind and more, on 64 dimensions with a metric that fits.
fn made(data_type: &DataType, kind: &str, more: &[(&str, &str)]) -> String {
    let metric = default_metric(data_type);
    let pairs = [&[("index_type", kind), ("metric_type", metric)], more].concat();
    reason(data_type.clone(), &pairs)
}

#[test]
fn what_is_left_open_is_filled_in() {
    let vector = FieldSchema::new("v", float(8));
    let full = complete(&vector, Params::new()).unwrap_or_default();
    assert_eq!(full, params(&[("index_type", "AUTOINDEX"), ("metric_type", "COSINE")]));
    let vector = FieldSchema::new("v", bits());
    let full = complete(&vector, params(&[("metric_type", "")])).unwrap_or_default();
    assert_eq!(full, params(&[("index_type", "AUTOINDEX"), ("metric_type", "HAMMING")]));
    let json = FieldSchema::new("j", DataType::Json);
    let asked = params(&[("index_type", "INVERTED"), ("json_cast_type", "double")]);
    let full = complete(&json, asked).unwrap_or_default();
    assert_eq!((full["json_cast_type"].as_str(), full["json_path"].as_str()), ("DOUBLE", "j"));
}

#[test]
fn each_index_takes_the_vectors_it_takes_in_milvus() {
    let graphs = ["HNSW", "HNSW_SQ", "HNSW_PQ", "HNSW_PRQ", AUTO];
    let binary = ["BIN_FLAT", "BIN_IVF_FLAT", "HNSW", AUTO];
    for kind in kinds::all_names().chain([AUTO]) {
        let more: &[(&str, &str)] = if kind == "IVF_PQ" { &[("m", "8")] } else { &[] };
        let sparse = kind.starts_with("SPARSE") || kind == "SCANN_DVR";
        let not_float = sparse || ["BIN_FLAT", "BIN_IVF_FLAT", "MINHASH_LSH"].contains(&kind);
        for data_type in
            [float(64), DataType::Float16Vector { dim: 64 }, DataType::BFloat16Vector { dim: 64 }]
        {
            assert_eq!(made(&data_type, kind, more).is_empty(), !not_float, "{kind}");
        }
        let int8 = made(&DataType::Int8Vector { dim: 64 }, kind, more);
        assert_eq!(int8.is_empty(), graphs.contains(&kind), "{kind}: {int8}");
        let on_bits = made(&bits(), kind, more);
        assert_eq!(on_bits.is_empty(), binary.contains(&kind), "{kind}: {on_bits}");
    }
    assert!(
        made(&DataType::Int8Vector { dim: 64 }, "FLAT", &[])
            .contains("data type Int8Vector can't build with this index FLAT")
    );
    assert!(made(&bits(), "MINHASH_LSH", &[]).contains("MINHASH_LSH is not supported"));
    assert!(made(&float(64), "GPU_CAGRA", &[]).contains("invalid index type: GPU_CAGRA"));
}

#[test]
fn metrics_fit_the_vectors_and_the_index() {
    for (data_type, kind, metric, words) in [
        (float(8), "HNSW", "HAMMING", "float vector index does not support metric type: HAMMING"),
        (
            DataType::Int8Vector { dim: 8 },
            "HNSW",
            "JACCARD",
            "int vector index does not support metric type: JACCARD",
        ),
        (bits(), "BIN_FLAT", "L2", "binary vector index does not support metric type: L2"),
        (bits(), "BIN_IVF_FLAT", "SUBSTRUCTURE", "supported: [HAMMING JACCARD]"),
        (bits(), AUTO, "SUPERSTRUCTURE", "supported: [HAMMING JACCARD]"),
        (bits(), "BIN_FLAT", "MHJACCARD", "MHJACCARD is not supported"),
        (bits(), "BIN_FLAT", "SUBSTRUCTURE", ""),
        (bits(), "BIN_FLAT", "SUPERSTRUCTURE", ""),
        (bits(), "HNSW", "JACCARD", ""),
        (float(8), "FLAT", "", "metric type not set for vector index"),
    ] {
        let text = reason(data_type, &[("index_type", kind), ("metric_type", metric)]);
        assert!(text.contains(words) && words.is_empty() == text.is_empty(), "{kind}: {text}");
    }
}

#[test]
fn good_parameters_are_taken() {
    for (kind, pairs) in [
        ("IVF_FLAT", &[("nlist", "65536")][..]),
        ("IVF_PQ", &[("m", "8"), ("nbits", "24"), ("refine", "true"), ("refine_type", "SQ6")]),
        ("IVF_SQ8", &[("nlist", "1"), ("sq_type", "SQ4")]),
        ("IVF_RABITQ", &[("rbq_bits", "9"), ("refine", "True"), ("refine_type", "fp32")]),
        ("IVF_RABITQ_FASTSCAN", &[("refine", "True"), ("refine_type", "FLAT")]),
        ("HNSW", &[("M", "2048"), ("efConstruction", "1"), ("not_defined_param", "x")]),
        ("HNSW_SQ", &[("sq_type", "BF16"), ("refine", "TRUE"), ("refine_type", "SQ4U")]),
        ("HNSW_PQ", &[("m", "16"), ("nbits", "8")]),
        ("HNSW_PRQ", &[("m", "4"), ("nrq", "16"), ("nbits", "1")]),
        ("SCANN", &[("with_raw_data", "false"), ("sub_dim", "4"), ("mmap.enabled", "true")]),
        ("DISKANN", &[("max_degree", "-1"), ("search_list_size", "1.0")]),
        ("AISAQ", &[("inline_pq", "-1"), ("rearrange", "true")]),
    ] {
        assert_eq!(made(&float(64), kind, pairs), "", "{kind} {pairs:?}");
    }
}

#[test]
fn wrong_parameters_are_refused_in_milvus_words() {
    let range = "should be in range ";
    for (kind, pairs, words) in [
        ("HNSW", ("M", "1"), format!("Out of range in json: param 'M' (1) {range}[2, 2048]")),
        ("HNSW", ("M", "16.0"), "wrong data type in json, key: 'M', value: '16.0'".into()),
        ("HNSW", ("M", "True"), "invalid integer value, key: 'M', value: 'True'".into()),
        ("HNSW", ("efConstruction", "-1"), format!("(-1) {range}[1, 2147483647]")),
        ("HNSW", ("refine", "true"), "refine is not supported for this index".into()),
        ("HNSW", ("ef", "x"), "invalid integer value, key: 'ef'".into()),
        ("HNSW_SQ", ("sq_type", "FP32"), "invalid scalar quantizer type".into()),
        ("HNSW_SQ", ("refine", "1"), "param 'refine' (\"1\") should be a boolean".into()),
        (
            "HNSW_SQ",
            ("refine_type", "INT8"),
            "invalid refine type : INT8, optional types are [sq4u, sq6, sq8, fp16, bf16, fp32, flat]"
                .into(),
        ),
        ("HNSW_PRQ", ("refine_type", "INT8"), "types are [sq6, sq8, fp16, bf16, fp32, flat]".into()),
        ("HNSW_PQ", ("m", "7"), "The dimension of the vector (dim) should be a multiple".into()),
        ("HNSW_PQ", ("nbits", "25"), format!("param 'nbits' (25) {range}[1, 24]")),
        ("HNSW_PRQ", ("m", "7"), "The dimension of a vector (dim) should be a multiple".into()),
        ("HNSW_PRQ", ("nrq", "17"), format!("param 'nrq' (17) {range}[1, 16]")),
        ("IVF_FLAT", ("nlist", "0"), format!("param 'nlist' (0) {range}[1, 65536]")),
        ("IVF_PQ", ("nlist", "8"), "param 'm' not exist in json".into()),
        ("IVF_PQ", ("m", "3"), "Dimension: 64, m: 3".into()),
        ("IVF_SQ8", ("sq_type", "FP16"), "optional types are [sq4, sq6, sq8]".into()),
        ("IVF_SQ_CC", ("code_size", "5"), "code size value should be in 4, 6, 8 and 16".into()),
        ("IVF_RABITQ", ("rbq_bits", "10"), format!("{range}[1, 9]")),
        ("IVF_RABITQ", ("refine_type", " SQ8 "), "invalid refine type :  SQ8 ,".into()),
        ("SCANN", ("sub_dim", "3"), "a multiple of sub_dim. Dimension:64, sub_dim:3".into()),
        ("AISAQ", ("max_degree", "0"), format!("{range}[1, 2048]")),
        ("DISKANN", ("mmap.enabled", "true"), "DISKANN does not support mmap".into()),
        ("FLAT", ("mmap.enabled", "x"), "invalid mmap.enabled value: x".into()),
        ("FLAT", ("warmup", "x"), "invalid warmup policy: x".into()),
        ("FLAT", ("indexoffsetcache.enabled", "true"), "only bitmap index support".into()),
        (AUTO, ("nlist", "8"), "only metric type can be passed when use AutoIndex".into()),
        (AUTO, ("elanus.effort", "0.5"), "cannot be set".into()),
        ("INVERTED", ("a", "b"), "INVERTED are not supported on FloatVector".into()),
    ] {
        let text = made(&float(64), kind, &[pairs]);
        assert!(text.contains(&words), "{kind} {pairs:?}: {text}");
    }
    for (data_type, kind, words) in [
        (DataType::Int64, "HNSW", "only supports vector data type"),
        (DataType::Int64, "TRIE", "TRIE are only supported on varchar"),
        (DataType::Float, "BITMAP", "bitmap index are only supported on"),
        (DataType::Json, "INVERTED", "json index must specify cast type"),
        (DataType::Int64, "NOPE", "invalid index type: NOPE"),
    ] {
        let text = reason(data_type, &[("index_type", kind)]);
        assert!(text.contains(words), "{kind}: {text}");
    }
}

#[test]
fn what_describe_index_shows_can_be_given_again() {
    for (data_type, kind, by, effort) in [
        (float(384), "HNSW", "clustered: 1-bit codes (RaBitQ), int8, original", "0.98"),
        (float(100), AUTO, "clustered: 4-bit product codes, int8, original", "0.98"),
        (float(100), "FLAT", "exact scan", "1"),
        (bits(), "BIN_IVF_FLAT", "exact bit scan", "1"),
        (DataType::Int64, "STL_SORT", "", ""),
    ] {
        let asked = params(&[("index_type", kind), ("metric_type", default_metric(&data_type))]);
        let index = elanus_engine::api::IndexInfo {
            id: 1,
            name: "i".into(),
            field: "f".into(),
            params: asked.clone(),
        };
        let shown = meaning::shown(&index, &data_type);
        let get = |key: &str| shown.get(key).map_or("", String::as_str);
        assert_eq!((get("elanus.index"), get("elanus.effort")), (by, effort));
        let again = asked.clone().into_iter().chain(shown).collect();
        let field = FieldSchema::new("f", data_type);
        assert_eq!(complete(&field, again).unwrap_or_default(), asked);
    }
}
