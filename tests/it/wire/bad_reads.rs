//! Searches and queries that are refused.

use elanus_proto::common::PlaceholderType;
use elanus_proto::schema::i_ds::IdField;
use elanus_proto::schema::{IDs, LongArray, StringArray};
use elanus_proto::service::search_request::SearchInput;
use elanus_proto::service::{HybridSearchRequest, QueryRequest, SearchRequest};

use super::requests::*;
use super::{
    Case, INVALID, MISSING, NO_COLLECTION, NO_DATABASE, NO_FIELD, NOT_LOADED, UNSUPPORTED,
};
use crate::served::pairs;

fn with(params: &[(&str, &str)]) -> Call {
    Call::Search(search(params))
}

fn filtered(dsl: &str) -> Call {
    Call::Search(SearchRequest { dsl: dsl.into(), ..search(&[]) })
}

fn find(expr: &str) -> Call {
    Call::Query(query(expr, &[]))
}

pub fn cases() -> Vec<Case> {
    let mut all = vectors();
    all.extend(params());
    all.extend(filters());
    all.extend(targets());
    all
}

fn vectors() -> Vec<Case> {
    use PlaceholderType::{BinaryVector, Float16Vector, FloatVector, VarChar};
    let good = bytes(&[1.0, 2.0, 3.0, 4.0]);
    let mut cut = group(FloatVector, &[&good]);
    cut.truncate(cut.len() - 3);
    let for_group = |group: Vec<u8>| Call::Search(search_for(group));
    let by_ids = |ids: Option<IdField>| {
        let search_input = Some(SearchInput::Ids(IDs { id_field: ids }));
        Call::Search(SearchRequest { search_input, ..search(&[]) })
    };
    vec![
        ("no vectors", for_group(group(FloatVector, &[])), INVALID, "nq [0] is invalid"),
        (
            "no input",
            Call::Search(SearchRequest { search_input: None, nq: 0, ..search(&[]) }),
            INVALID,
            "nq [0] is invalid",
        ),
        (
            "too many vectors",
            for_group(group(FloatVector, &vec![&good[..]; 16_385])),
            INVALID,
            "nq [16385] is invalid",
        ),
        ("placeholders cut", for_group(cut), INVALID, "failed to unmarshal placeholder group"),
        (
            "placeholders of noise",
            for_group(vec![0xff; 9]),
            INVALID,
            "failed to unmarshal placeholder group",
        ),
        ("no placeholder", for_group(Vec::new()), INVALID, "exactly one placeholder"),
        (
            "a vector cut",
            for_group(group(FloatVector, &[&good[..15]])),
            INVALID,
            "expected vector size(byte) 16, actual 15.",
        ),
        (
            "a vector too long",
            for_group(group(FloatVector, &[&bytes(&[0.0; 5])])),
            INVALID,
            "expected vector size(byte) 16, actual 20.",
        ),
        (
            "an empty vector",
            for_group(group(FloatVector, &[&[]])),
            INVALID,
            "expected vector size(byte) 16, actual 0.",
        ),
        (
            "the second vector is cut",
            for_group(group(FloatVector, &[&good, &good[..4]])),
            INVALID,
            "actual 4.",
        ),
        (
            "NaN",
            for_group(group(FloatVector, &[&bytes(&[f32::NAN; 4])])),
            INVALID,
            "value 'NaN' is not a number or infinity",
        ),
        (
            "infinity",
            for_group(group(FloatVector, &[&bytes(&[f32::NEG_INFINITY; 4])])),
            INVALID,
            "is not a number or infinity",
        ),
        (
            "half floats",
            for_group(group(Float16Vector, &[&good[..8]])),
            INVALID,
            "vector type must be the same",
        ),
        (
            "binary",
            for_group(group(BinaryVector, &[&good[..1]])),
            INVALID,
            "vector type must be the same",
        ),
        (
            "text",
            for_group(group(VarChar, &[b"words"])),
            UNSUPPORTED,
            "no function that turns text into vectors",
        ),
        ("no ids", by_ids(None), INVALID, "ids"),
        (
            "ids that are not there",
            by_ids(Some(IdField::IntId(LongArray { data: vec![77] }))),
            INVALID,
            "do not exist: missing IDs = [77]",
        ),
        (
            "ids of another type",
            by_ids(Some(IdField::StrId(StringArray { data: vec!["a".into()] }))),
            INVALID,
            "id",
        ),
    ]
}

fn params() -> Vec<Case> {
    let huge = "99999999999999999999";
    let words = |pairs: &[(&str, &str)]| Call::Query(query("n > 0", pairs));
    vec![
        (
            "huge top k",
            with(&[("topk", "1000000")]),
            INVALID,
            "topk [1000000] is invalid, it should be in range [1, 16384]",
        ),
        (
            "top k past 64 bits",
            with(&[("topk", huge)]),
            INVALID,
            "topk [99999999999999999999] is invalid",
        ),
        ("top k of nothing", with(&[("topk", "0")]), INVALID, "topk [0] is invalid"),
        ("top k below zero", with(&[("topk", "-3")]), INVALID, "topk [-3] is invalid"),
        ("top k of a word", with(&[("topk", "many")]), INVALID, "topk [many] is invalid"),
        ("no top k", with(&[("topk", "-")]), MISSING, "topk is required"),
        (
            "offset too far",
            with(&[("topk", "10"), ("offset", "16380")]),
            INVALID,
            "offset+topk [16390] is invalid",
        ),
        ("offset below zero", with(&[("offset", "-1")]), INVALID, "offset [-1] is invalid"),
        (
            "huge offset",
            with(&[("offset", "9223372036854775807")]),
            INVALID,
            "offset [9223372036854775807] is invalid",
        ),
        (
            "two vector fields and none named",
            with(&[("anns_field", "-"), ("metric_type", "-")]),
            INVALID,
            "multiple anns_fields exist",
        ),
        (
            "unknown vector field",
            with(&[("anns_field", "nope")]),
            INVALID,
            "fieldName(nope) not found",
        ),
        (
            "a number as vector field",
            with(&[("anns_field", "n")]),
            INVALID,
            "is not of vector data type",
        ),
        ("another metric", with(&[("metric_type", "COSINE")]), INVALID, "metric type not match"),
        (
            "a metric that is none",
            with(&[("metric_type", "FOO")]),
            INVALID,
            "metric type not match",
        ),
        (
            "params that are no JSON",
            with(&[("params", "{radius: }")]),
            INVALID,
            "is no JSON object",
        ),
        (
            "radius of a word",
            with(&[("params", r#"{"radius": "near"}"#)]),
            INVALID,
            "radius [near] is invalid",
        ),
        (
            "a range without radius",
            with(&[("range_filter", "1")]),
            INVALID,
            "range_filter requires radius",
        ),
        (
            "a range the wrong way",
            with(&[("radius", "1"), ("range_filter", "5")]),
            INVALID,
            "must be less than radius(1)",
        ),
        (
            "too many decimals",
            with(&[("round_decimal", "9")]),
            INVALID,
            "round_decimal [9] is invalid",
        ),
        (
            "grouping by nothing there",
            with(&[("group_by_field", "nope")]),
            NO_FIELD,
            "groupBy field not found in schema",
        ),
        (
            "groups too large",
            with(&[("group_by_field", "n"), ("group_size", "1000")]),
            INVALID,
            "exceeds configured max group size",
        ),
        (
            "order of a search by nothing",
            with(&[("order_by_fields", "nothere")]),
            INVALID,
            "order_by field 'nothere' does not exist in collection schema",
        ),
        (
            "huge limit",
            words(&[("limit", "1000000")]),
            INVALID,
            "(offset+limit) should be in range [1, 16384], but got 1000000",
        ),
        (
            "limit and offset too far",
            words(&[("limit", "10"), ("offset", "16380")]),
            INVALID,
            "but got 16390",
        ),
        (
            "limit that wraps",
            words(&[("limit", "9223372036854775807"), ("offset", "1")]),
            INVALID,
            "(offset+limit) should be in range",
        ),
        ("limit of nothing", words(&[("limit", "0")]), INVALID, "limit [0] is invalid"),
        ("limit of a word", words(&[("limit", "few")]), INVALID, "limit [few] is invalid"),
        (
            "offset of a query below zero",
            words(&[("limit", "1"), ("offset", "-1")]),
            INVALID,
            "offset [-1] is invalid",
        ),
        (
            "neither filter nor limit",
            find(""),
            INVALID,
            "empty expression should be used with limit",
        ),
    ]
}

fn filters() -> Vec<Case> {
    let deep = format!("{}n > 0{}", "(".repeat(5_000), ")".repeat(5_000));
    vec![
        ("a broken filter", find("n >"), INVALID, "cannot parse expression: n >"),
        (
            "a broken filter of a search",
            filtered("n ==== 3"),
            INVALID,
            "cannot parse expression: n ==== 3",
        ),
        ("an open text", find("name == \"x"), INVALID, "cannot parse expression"),
        ("a zero byte", find("n > \0"), INVALID, "cannot parse expression"),
        ("an unknown field", find("nope > 1"), INVALID, "nope not exist"),
        ("an unknown field in a search", filtered("nope > 1"), INVALID, "nope not exist"),
        ("a number with a text", find("n > \"a\""), INVALID, "comparisons between"),
        ("a list of two types", find("n in [1, \"a\"]"), INVALID, "cannot be casted to"),
        ("no condition", filtered("n + 1"), INVALID, "predicate is not a boolean expression"),
        ("like on a number", find("n like \"a%\""), INVALID, "like operation on non-string"),
        (
            "a function that is none",
            find("frobnicate(n)"),
            INVALID,
            "function frobnicate is not known",
        ),
        (
            "a function of text search",
            find("text_match(name, \"x\")"),
            INVALID,
            "field \"name\" does not enable match",
        ),
        ("a template without value", find("n == {x}"), INVALID, "x"),
        ("division by nothing", find("n / 0 == 1"), INVALID, "division or modulus by zero"),
        (
            "a number past 64 bits",
            find("n == 99999999999999999999"),
            INVALID,
            "cannot parse expression",
        ),
        ("too deep", find(&deep), INVALID, "cannot parse expression"),
        (
            "an overflow in a row",
            find("n + 9223372036854775807 > 0"),
            INVALID,
            "does not fit in a 64-bit integer",
        ),
    ]
}

fn targets() -> Vec<Case> {
    let of =
        |name: &str| Call::Search(SearchRequest { collection_name: name.into(), ..search(&[]) });
    let rows_of = |name: &str| {
        Call::Query(QueryRequest { collection_name: name.into(), ..query("id > 0", &[]) })
    };
    let showing = |name: &str| {
        Call::Query(QueryRequest { output_fields: vec![name.into()], ..query("n > 0", &[]) })
    };
    let partitions = vec!["nope".to_string()];
    let hybrid = |name: &str| {
        let collection_name = name.into();
        Call::Hybrid(HybridSearchRequest { collection_name, ..Default::default() })
    };
    vec![
        (
            "search nowhere",
            of("nowhere"),
            NO_COLLECTION,
            "collection not found[database=default][collection=nowhere]",
        ),
        (
            "search without name",
            of(""),
            NO_COLLECTION,
            "collection not found[database=default][collection=]",
        ),
        (
            "search of what is not loaded",
            of("resting"),
            NOT_LOADED,
            "collection not loaded[collection=resting]",
        ),
        ("query nowhere", rows_of("nowhere"), NO_COLLECTION, "nowhere"),
        ("query without name", rows_of(""), INVALID, "collection name should not be empty"),
        ("query of what is not loaded", rows_of("resting"), NOT_LOADED, "collection not loaded"),
        (
            "query in no database",
            Call::Query(QueryRequest { db_name: "nope".into(), ..query("n > 0", &[]) }),
            NO_DATABASE,
            "nope",
        ),
        (
            "search in no partition",
            Call::Search(SearchRequest { partition_names: partitions.clone(), ..search(&[]) }),
            INVALID,
            "partition name nope not found",
        ),
        (
            "query in no partition",
            Call::Query(QueryRequest { partition_names: partitions, ..query("n > 0", &[]) }),
            INVALID,
            "partition name nope not found",
        ),
        ("an unknown field to show", showing("nope"), INVALID, "field nope not exist"),
        ("an empty field to show", showing(""), INVALID, "not exist"),
        (
            "an unknown field to show of a search",
            Call::Search(SearchRequest { output_fields: vec!["nope".into()], ..search(&[]) }),
            INVALID,
            "field nope not exist",
        ),
        ("a sum of everything", showing("sum(*)"), INVALID, "only count(*) is allowed"),
        (
            "a count with a limit",
            Call::Query(QueryRequest {
                output_fields: vec!["count(*)".into()],
                ..query("n > 0", &[("limit", "3")])
            }),
            INVALID,
            "count entities with pagination is not allowed",
        ),
        (
            "a hybrid search without limit",
            hybrid("plain"),
            INVALID,
            "limit not found in rank_params",
        ),
        (
            "a hybrid search of nothing",
            Call::Hybrid(HybridSearchRequest {
                collection_name: "plain".into(),
                rank_params: pairs(&[("limit", "3")]),
                ..Default::default()
            }),
            INVALID,
            "maximum of ann search requests is",
        ),
        ("a hybrid search nowhere", hybrid("nowhere"), NO_COLLECTION, "nowhere"),
    ]
}
