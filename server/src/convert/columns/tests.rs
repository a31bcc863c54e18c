use super::super::{results, schema};
use super::*;
use arrow::array::AsArray;
use arrow::datatypes::{Float32Type, Int64Type};
use elanus_engine::core::structs::StructSchema;
use elanus_proto::schema::{
    ArrayArray, BoolArray, FloatArray, IntArray, JsonArray, LongArray, ScalarField,
    StringArray as Texts, VectorField, vector_field,
};

fn text() -> DataType {
    DataType::VarChar { max_length: 20 }
}

fn collection() -> CollectionSchema {
    let list = DataType::Array { element: Box::new(text()), max_capacity: 4 };
    CollectionSchema::new(vec![
        FieldSchema::new("id", DataType::Int64).primary(),
        FieldSchema::new("b", DataType::Bool).nullable(),
        FieldSchema::new("i", DataType::Int8).nullable(),
        FieldSchema::new("n", DataType::Int64).nullable(),
        FieldSchema::new("d", DataType::Int64).default_value(DefaultValue::Int(7)),
        FieldSchema::new("s", text()).nullable(),
        FieldSchema::new("j", DataType::Json).nullable(),
        FieldSchema::new("a", list).nullable(),
        FieldSchema::new("v", DataType::FloatVector { dim: 2 }).nullable(),
    ])
    .with_dynamic_field()
}

fn wire(name: &str, data: scalar_field::Data, valid: &[bool]) -> FieldData {
    let fields = collection();
    let kind = fields.field(name).map(|f| schema::wire_type(&f.data_type)).unwrap_or_default();
    FieldData {
        r#type: kind.into(),
        field_name: name.into(),
        field: Some(Payload::Scalars(ScalarField { data: Some(data), ..Default::default() })),
        valid_data: valid.to_vec(),
        ..Default::default()
    }
}

fn floats(name: &str, dim: i64, data: &[f32], valid: &[bool]) -> FieldData {
    FieldData {
        field_name: name.into(),
        field: Some(Payload::Vectors(VectorField {
            dim,
            data: Some(vector_field::Data::FloatVector(FloatArray { data: data.to_vec() })),
            ..Default::default()
        })),
        valid_data: valid.to_vec(),
        ..Default::default()
    }
}

fn longs(data: &[i64]) -> scalar_field::Data {
    scalar_field::Data::LongData(LongArray { data: data.to_vec() })
}

fn strings(data: &[&str]) -> scalar_field::Data {
    scalar_field::Data::StringData(Texts { data: data.iter().map(|s| s.to_string()).collect() })
}

fn one(data: FieldData, rows: usize) -> Result<ArrayRef, String> {
    let batch = to_batch(&collection(), vec![data], rows).map_err(|f| f.reason)?;
    Ok(batch.column(0).clone())
}

fn reason(data: FieldData, rows: usize) -> String {
    one(data, rows).err().unwrap_or_default()
}

#[test]
fn compact_and_dense_nulls_are_the_same() -> Result<(), String> {
    let valid = [true, false, true];
    for data in [longs(&[1, 3]), longs(&[1, 99, 3])] {
        let got = one(wire("n", data, &valid), 3)?;
        let expected = arrow::array::Int64Array::from(vec![Some(1), None, Some(3)]);
        assert_eq!(got.as_primitive::<Int64Type>(), &expected);
    }
    let vectors = one(floats("v", 2, &[1., 2., 5., 6.], &valid), 3)?;
    let dense = one(floats("v", 2, &[1., 2., 0., 0., 5., 6.], &valid), 3)?;
    assert_eq!((vectors.null_count(), dense.null_count()), (1, 1));
    let last = vectors.as_fixed_size_list().value(2);
    assert_eq!(last.as_primitive::<Float32Type>().values().as_ref(), &[5., 6.]);
    Ok(())
}

#[test]
fn flags_inside_the_payload_and_missing_payloads_count() -> Result<(), String> {
    let mut inner = wire("n", longs(&[4]), &[]);
    if let Some(Payload::Scalars(s)) = &mut inner.field {
        s.valid_data = vec![false, true];
    }
    assert!(one(inner, 2)?.is_null(0));
    let mut nothing = wire("s", strings(&[]), &[false, false]);
    nothing.field = None;
    assert_eq!(one(nothing, 2)?.null_count(), 2);
    let mut no_vectors = floats("v", 2, &[], &[false]);
    if let Some(Payload::Vectors(v)) = &mut no_vectors.field {
        v.data = None;
    }
    assert_eq!(one(no_vectors, 1)?.null_count(), 1);
    Ok(())
}

#[test]
fn null_becomes_the_default() -> Result<(), String> {
    let got = one(wire("d", longs(&[1]), &[false, true]), 2)?;
    assert_eq!(got.as_primitive::<Int64Type>().values().as_ref(), &[7, 1]);
    assert_eq!(got.null_count(), 0);
    Ok(())
}

#[test]
fn wrong_columns_are_refused() {
    let cases = [
        (wire("id", strings(&["x"]), &[]), 1, "field 'id' is illegal, array type mismatch"),
        (wire("id", longs(&[1, 2]), &[]), 1, "the num_rows (2) of field (id) is not equal"),
        (wire("id", longs(&[1]), &[true, false]), 2, "field id is not nullable"),
        (wire("n", longs(&[1, 2, 3]), &[true]), 3, "the length of valid_data of field(n) is wrong"),
        (wire("zzz", longs(&[1]), &[]), 1, "fieldName zzz not exist in collection schema"),
        (floats("v", 3, &[1., 2., 3.], &[]), 1, "the dim (3) of field data(v) is not equal"),
        (floats("v", 2, &[1., 2., 3.], &[]), 1, "the length(3) of float data should divide"),
        (floats("id", 1, &[1.], &[]), 1, "field 'id' is illegal"),
    ];
    for (data, rows, words) in cases {
        let got = reason(data, rows);
        assert!(got.contains(words), "{words}: {got}");
    }
    let wide = scalar_field::Data::IntData(IntArray { data: vec![1, 128] });
    let got = reason(wire("i", wide, &[]), 2);
    assert!(got.contains("the 1th element (128) out of range: [-128, 127]"), "{got}");
    let json = scalar_field::Data::JsonData(JsonArray { data: vec![vec![0xff]] });
    assert!(reason(wire("j", json, &[]), 1).contains("no valid JSON"));
    let twice = vec![wire("id", longs(&[1]), &[]), wire("id", longs(&[1]), &[])];
    let twice = to_batch(&collection(), twice, 1).err().map(|f| f.reason).unwrap_or_default();
    assert!(twice.contains("duplicated field id found"), "{twice}");
}

#[test]
fn dynamic_fields_are_objects_beside_the_schema() -> Result<(), String> {
    let meta = |texts: &[&str], valid: &[bool]| {
        let data = texts.iter().map(|t| t.as_bytes().to_vec()).collect();
        let mut column = wire("x", scalar_field::Data::JsonData(JsonArray { data }), valid);
        (column.field_name, column.is_dynamic) = (String::new(), true);
        column
    };
    let got = one(meta(&["{\"k\": 1}"], &[true, false]), 2)?;
    assert_eq!(got.as_string::<i32>().iter().flatten().collect::<Vec<_>>(), ["{\"k\": 1}", "{}"]);
    assert!(reason(meta(&["[1]"], &[]), 1).contains("not a valid JSON object"));
    assert!(reason(meta(&["{\"id\": 1}"], &[]), 1).contains("the key id"));
    let mut closed = collection();
    closed.enable_dynamic_field = false;
    assert!(to_batch(&closed, vec![meta(&["{}"], &[])], 1).is_err());
    Ok(())
}

/// A struct has no column of its own, so that its name looked free.
#[test]
fn a_dynamic_key_does_not_take_the_name_of_a_struct() {
    let list = DataType::Array { element: Box::new(text()), max_capacity: 4 };
    let mut schema = collection();
    schema.fields.push(FieldSchema::new("parts[a]", list).nullable());
    let own = StructSchema { name: "parts".into(), nullable: true, ..Default::default() };
    schema.structs.push(own);
    let data = vec![b"{\"parts\": 1}".to_vec()];
    let mut meta = wire("x", scalar_field::Data::JsonData(JsonArray { data }), &[]);
    (meta.field_name, meta.is_dynamic) = (String::new(), true);
    let reason = to_batch(&schema, vec![meta], 1).err().map(|f| f.reason).unwrap_or_default();
    assert!(reason.contains("cannot include the key parts"), "{reason}");
}

#[test]
fn a_missing_field_is_named() -> Result<(), String> {
    let batch =
        to_batch(&collection(), vec![wire("n", longs(&[1]), &[])], 1).map_err(|f| f.reason)?;
    let error = check_complete(&collection(), &batch).err().map(|f| f.reason).unwrap_or_default();
    assert!(error.contains("fieldSchema(id) has no corresponding fieldData"), "{error}");
    Ok(())
}

/// What comes in with dense scalars and compact vectors goes out alike.
#[test]
fn columns_come_back_as_they_went_in() -> Result<(), String> {
    let valid = [true, false];
    let row = |texts: &[&str]| ScalarField { data: Some(strings(texts)), ..Default::default() };
    let lists = |data| {
        let element_type = elanus_proto::schema::DataType::VarChar.into();
        scalar_field::Data::ArrayData(ArrayArray { data, element_type })
    };
    let null = ScalarField::default();
    let json = |texts: &[&str]| {
        let data = texts.iter().map(|t| t.as_bytes().to_vec()).collect();
        scalar_field::Data::JsonData(JsonArray { data })
    };
    let columns = vec![
        wire("id", longs(&[1, 2]), &[]),
        wire("b", scalar_field::Data::BoolData(BoolArray { data: vec![true, false] }), &valid),
        wire("i", scalar_field::Data::IntData(IntArray { data: vec![-8, 0] }), &valid),
        wire("n", longs(&[5, 0]), &valid),
        wire("s", strings(&["x", ""]), &valid),
        wire("j", json(&["{\"a\": 1.0}", ""]), &valid),
        wire("a", lists(vec![row(&["p", "q"]), null]), &valid),
        FieldData {
            r#type: elanus_proto::schema::DataType::FloatVector.into(),
            ..floats("v", 2, &[1., 2.], &valid)
        },
    ];
    let batch = to_batch(&collection(), columns.clone(), 2).map_err(|f| f.reason)?;
    for (array, expected) in batch.columns().iter().zip(columns) {
        let mut back =
            results::to_wire(&collection(), &expected.field_name, array).map_err(|f| f.reason)?;
        back.field_id = 0;
        assert_eq!(back, expected);
    }
    Ok(())
}
