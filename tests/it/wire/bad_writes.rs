//! Inserts, upserts and deletes that are refused.

use elanus_proto::schema::scalar_field::Data;
use elanus_proto::schema::{DataType, FieldData, LongArray, StringArray};
use elanus_proto::service::{DeleteRequest, InsertRequest, UpsertRequest};

use super::requests::*;
use super::{Case, INVALID, NO_COLLECTION, NO_DATABASE, NO_PARTITION, OLD_SCHEMA, UNSUPPORTED};

fn one<const N: usize>(others: [FieldData; N]) -> Call {
    Call::Insert(insert(columns(1, others), 1))
}

fn two<const N: usize>(others: [FieldData; N]) -> Call {
    Call::Insert(insert(columns(2, others), 2))
}

fn text_data() -> Data {
    Data::StringData(StringArray { data: vec!["a".into()] })
}

fn v(dim: i64, data: &[f32]) -> [FieldData; 1] {
    [floats("v", dim, data, &[])]
}

pub fn cases() -> Vec<Case> {
    let mut all = rows();
    all.extend(nulls());
    all.extend(requests());
    all
}

fn rows() -> Vec<Case> {
    let nan = "value 'NaN' is not a number or infinity";
    vec![
        ("vector of another dim", one(v(5, &[0.5; 5])), INVALID, "is not equal to schema dim (4)"),
        ("dim that lies", one(v(2, &[0.5; 4])), INVALID, "is not equal to schema dim (4)"),
        ("dim below zero", one(v(-4, &[0.5; 4])), INVALID, "is not equal to schema dim (4)"),
        ("vector data cut", one(v(4, &[0.5; 3])), INVALID, "should divide the dim(4)"),
        ("vectors of too many rows", one(v(4, &[0.5; 8])), INVALID, "num_rows (2) of field (v)"),
        ("no vector data", one(v(4, &[])), INVALID, "array type mismatch"),
        ("NaN in a vector", one(v(4, &[0.0, f32::NAN, 0.0, 0.0])), INVALID, nan),
        (
            "infinity in a vector",
            one(v(4, &[f32::INFINITY; 4])),
            INVALID,
            "not a number or infinity",
        ),
        ("NaN in a scalar", one([doubles("x", &[f64::NAN])]), INVALID, "not a number or infinity"),
        ("infinity in a scalar", one([doubles("x", &[f64::NEG_INFINITY])]), INVALID, "infinity"),
        ("unknown field", one([longs("nope", &[1])]), INVALID, "fieldName nope not exist"),
        ("field without a name", one([longs("", &[1])]), INVALID, "fieldName  not exist"),
        (
            "dynamic field where none may be",
            one([jsons("$meta", &[b"{}"], &[])]),
            INVALID,
            "without dynamic schema",
        ),
        ("texts in a number", one([texts("n", &["a"])]), INVALID, "'n' is illegal"),
        (
            "numbers in a text",
            one([longs("name", &[1])]),
            INVALID,
            "varchar field 'name' is illegal",
        ),
        (
            "texts in a vector",
            one([texts("v", &["a"])]),
            INVALID,
            "float vector field 'v' is illegal",
        ),
        ("a vector in a number", one([floats("n", 1, &[1.0], &[])]), INVALID, "'n' is illegal"),
        (
            "another type than it says",
            one([scalars("n", DataType::Int64, text_data(), &[])]),
            INVALID,
            "'n' is illegal",
        ),
        ("text too long", one([texts("name", &["01234567890"])]), INVALID, "exceeds max length"),
        (
            "text too long in bytes",
            one([texts("name", &["日本日本"])]),
            INVALID,
            "length: 12, max length: 10",
        ),
        ("list too long", one([lists("tags", &[list(&[1, 2, 3, 4])])]), INVALID, "max capacity"),
        (
            "list of another type",
            one([lists("tags", &[Some(text_data())])]),
            INVALID,
            "insert data does not match",
        ),
        (
            "lists of two types",
            two([lists("tags", &[list(&[1]), Some(text_data())])]),
            INVALID,
            "insert data does not match",
        ),
        (
            "number out of range",
            one([smalls("small", &[300], &[])]),
            INVALID,
            "out of range: [-128, 127]",
        ),
        ("JSON that is none", one([jsons("doc", &[b"{no"], &[])]), INVALID, "doc"),
        (
            "JSON that is no UTF-8",
            one([jsons("doc", &[b"\"\xff\""], &[])]),
            INVALID,
            "'doc' is no valid JSON",
        ),
        (
            "JSON too large",
            one([jsons("doc", &[&vec![b'1'; 70_000]], &[])]),
            INVALID,
            "exceeds max length",
        ),
        (
            "the last of two rows",
            two([texts("name", &["x", "01234567890"])]),
            INVALID,
            "row number: 1",
        ),
    ]
}

fn nulls() -> Vec<Case> {
    let n = |data: &[i64], flags: &[bool]| {
        let data = Data::LongData(LongArray { data: data.to_vec() });
        [scalars("n", DataType::Int64, data, flags)]
    };
    vec![
        ("null where none may be", one(n(&[], &[false])), INVALID, "field n is not nullable"),
        (
            "dense null where none may be",
            one(n(&[0], &[false])),
            INVALID,
            "field n is not nullable",
        ),
        (
            "null key",
            one([scalars("id", DataType::Int64, Data::LongData(LongArray::default()), &[false])]),
            INVALID,
            "field id is not nullable",
        ),
        (
            "too few flags",
            two([smalls("small", &[1], &[true])]),
            INVALID,
            "the length of valid_data of field(small)",
        ),
        (
            "too many flags",
            one([smalls("small", &[1], &[true, false])]),
            INVALID,
            "the length of valid_data of field(small)",
        ),
        (
            "fewer values than flags",
            two([smalls("small", &[1], &[true, true])]),
            INVALID,
            "num_rows (1) of field (small)",
        ),
        (
            "more values than flags",
            one([smalls("small", &[1, 2], &[true])]),
            INVALID,
            "num_rows (2) of field (small)",
        ),
        (
            "vectors and flags that differ",
            two([floats("w", 2, &[1.0; 6], &[true, false])]),
            INVALID,
            "num_rows (3) of field (w)",
        ),
        (
            "NaN among nulls",
            two([floats("w", 2, &[f32::NAN; 2], &[true, false])]),
            INVALID,
            "not a number or infinity",
        ),
        (
            "a column without data",
            one([column("n", DataType::Int64)]),
            INVALID,
            "num_rows (0) of field (n)",
        ),
    ]
}

fn requests() -> Vec<Case> {
    let to =
        |name: &str| InsertRequest { collection_name: name.into(), ..insert(columns(1, []), 1) };
    let in_partition =
        |name: &str| InsertRequest { partition_name: name.into(), ..insert(columns(1, []), 1) };
    let mut twice = columns(1, []);
    twice.push(longs("n", &[1]));
    let open = |fields_data| InsertRequest {
        collection_name: "open".into(),
        fields_data,
        num_rows: 1,
        ..Default::default()
    };
    let meta = |json: &[u8]| {
        let meta = FieldData { is_dynamic: true, ..jsons("$meta", &[json], &[]) };
        Call::Insert(open(vec![floats("v", 4, &[0.5; 4], &[]), longs("n", &[1]), meta]))
    };
    let keyed = vec![longs("id", &[1]), floats("v", 4, &[0.5; 4], &[]), longs("n", &[1])];
    vec![
        (
            "a field is missing",
            Call::Insert(insert(without("n"), 1)),
            INVALID,
            "fieldSchema(n) has no corresponding fieldData",
        ),
        (
            "the key is missing",
            Call::Insert(insert(without("id"), 1)),
            INVALID,
            "fieldSchema(id) has no corresponding",
        ),
        (
            "the vector is missing",
            Call::Upsert(upsert(without("v"), 1)),
            INVALID,
            "fieldSchema(v) has no corresponding",
        ),
        (
            "upsert without key",
            Call::Upsert(upsert(without("id"), 1)),
            INVALID,
            "must assign pk when upsert",
        ),
        ("a field twice", Call::Insert(insert(twice, 1)), INVALID, "duplicated field n found"),
        ("no fields", Call::Insert(insert(Vec::new(), 1)), INVALID, "no columns"),
        (
            "no rows",
            Call::Insert(insert(columns(1, []), 0)),
            INVALID,
            "num_rows should be greater than 0",
        ),
        (
            "fewer rows said",
            Call::Insert(insert(columns(2, []), 1)),
            INVALID,
            "is not equal to passed num_rows (1)",
        ),
        (
            "more rows said",
            Call::Insert(insert(columns(1, []), 4_000_000_000)),
            INVALID,
            "num_rows (4000000000)",
        ),
        ("columns of two lengths", two([longs("n", &[1])]), INVALID, "num_rows (1) of field (n)"),
        (
            "a cut column in an upsert",
            Call::Upsert(upsert(columns(2, [texts("name", &["x"])]), 2)),
            INVALID,
            "num_rows (1) of field (name)",
        ),
        (
            "NaN in an upsert",
            Call::Upsert(upsert(columns(1, v(4, &[f32::NAN; 4])), 1)),
            INVALID,
            "not a number",
        ),
        (
            "keys that the server makes",
            Call::Insert(open(keyed)),
            INVALID,
            "more fieldData has pass in",
        ),
        ("dynamic fields that are no object", meta(b"[1]"), INVALID, "not a valid JSON object"),
        ("dynamic fields that are cut", meta(b"{\"a\":"), INVALID, "not a valid JSON object"),
        (
            "a dynamic field named as a field",
            meta(b"{\"n\":1}"),
            INVALID,
            "cannot include the key n",
        ),
        (
            "no such collection",
            Call::Insert(to("nowhere")),
            NO_COLLECTION,
            "collection not found[database=default][collection=nowhere]",
        ),
        ("an empty name", Call::Insert(to("")), INVALID, "collection name should not be empty"),
        (
            "a name with a digit first",
            Call::Insert(to("1a")),
            INVALID,
            "Invalid collection name: 1a.",
        ),
        (
            "an empty name of an upsert",
            Call::Upsert(UpsertRequest {
                collection_name: String::new(),
                ..upsert(columns(1, []), 1)
            }),
            INVALID,
            "collection name should not be empty",
        ),
        (
            "no such partition",
            Call::Insert(in_partition("nope")),
            NO_PARTITION,
            "partition not found[partition=nope]",
        ),
        (
            "no such database",
            Call::Insert(InsertRequest { db_name: "nope".into(), ..to("plain") }),
            NO_DATABASE,
            "database not found[database=nope]",
        ),
        (
            "an outdated schema",
            Call::Insert(InsertRequest { schema_timestamp: 1, ..to("plain") }),
            OLD_SCHEMA,
            "collection schema mismatch",
        ),
        (
            "a namespace",
            Call::Insert(InsertRequest { namespace: Some("x".into()), ..to("plain") }),
            UNSUPPORTED,
            "namespaces are not supported",
        ),
        ("delete of all", Call::Delete(delete("")), INVALID, "delete plan can't be empty"),
        (
            "delete by a broken filter",
            Call::Delete(delete("n >")),
            INVALID,
            "cannot parse expression: n >",
        ),
        (
            "delete by an unknown field",
            Call::Delete(delete("nope == 1")),
            INVALID,
            "nope not exist",
        ),
        (
            "delete by a number",
            Call::Delete(delete("n + 1")),
            INVALID,
            "predicate is not a boolean expression",
        ),
        ("delete without a value", Call::Delete(delete("id in {ids}")), INVALID, "ids"),
        (
            "delete in no partition",
            Call::Delete(DeleteRequest { partition_name: "nope".into(), ..delete("n == 1") }),
            NO_PARTITION,
            "partition not found",
        ),
        (
            "delete in no collection",
            Call::Delete(DeleteRequest { collection_name: "nowhere".into(), ..delete("n == 1") }),
            NO_COLLECTION,
            "nowhere",
        ),
        (
            "delete in an empty name",
            Call::Delete(DeleteRequest { collection_name: String::new(), ..delete("n == 1") }),
            INVALID,
            "collection name should not be empty",
        ),
        (
            "a compaction that never was",
            Call::Compaction(elanus_proto::service::GetCompactionStateRequest { compaction_id: 5 }),
            INVALID,
            "compaction 5 not found",
        ),
        (
            "an unknown name to flush",
            Call::Flush(elanus_proto::service::FlushRequest {
                collection_names: vec!["plain".into(), "nowhere".into()],
                ..Default::default()
            }),
            NO_COLLECTION,
            "nowhere",
        ),
    ]
}
