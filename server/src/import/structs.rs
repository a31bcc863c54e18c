//! Struct arrays out of JSON: a list of objects for each row, as columns of the sub-fields.

use elanus_engine::core::schema::CollectionSchema;
use elanus_engine::core::structs::StructSchema;
use elanus_proto::schema::field_data::Field;
use elanus_proto::schema::{FieldData, StructArrayField};
use serde_json::{Map, Value};

use super::{failed, values};
use crate::status::Failure;

/// The column of a struct field; null where there is no list.
///
/// # Errors
/// If a value is no list of objects, or an object has other keys than the sub-fields.
pub fn column(
    schema: &CollectionSchema,
    own: &StructSchema,
    cells: Vec<Option<Value>>,
) -> Result<FieldData, Failure> {
    let name = &own.name;
    let mut rows: Vec<Option<Vec<Map<String, Value>>>> = Vec::with_capacity(cells.len());
    for cell in cells {
        rows.push(cell.map(|cell| objects(name, cell)).transpose()?);
    }
    let mut fields = Vec::new();
    for field in schema.sub_fields(own) {
        let sub = own.sub_of(&field.name).unwrap_or(&field.name);
        let mut cells = Vec::with_capacity(rows.len());
        for row in &mut rows {
            let of = |element: &mut Map<String, Value>| {
                element.remove(sub).ok_or_else(|| {
                    failed(format!("an element of struct field '{name}' lacks '{sub}'"))
                })
            };
            let list = row.as_mut().map(|elements| elements.iter_mut().map(of).collect());
            cells.push(list.transpose()?.map(Value::Array));
        }
        fields.push(values::column(field, cells)?);
    }
    match rows.iter().flatten().flatten().find_map(|element| element.keys().next()) {
        Some(key) => Err(failed(format!("'{key}' is no sub-field of struct field '{name}'"))),
        None => Ok(FieldData {
            field_name: name.clone(),
            field: Some(Field::StructArrays(StructArrayField { fields })),
            ..Default::default()
        }),
    }
}

fn objects(name: &str, cell: Value) -> Result<Vec<Map<String, Value>>, Failure> {
    let wrong = |value: &Value| {
        failed(format!("struct field '{name}': expected a list of objects, but got {value}"))
    };
    let Value::Array(items) = cell else { return Err(wrong(&cell)) };
    let one = |item| match item {
        Value::Object(element) => Ok(element),
        other => Err(wrong(&other)),
    };
    items.into_iter().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{Array, AsArray};
    use elanus_engine::core::schema::{DataType, FieldSchema};
    use serde_json::json;

    fn schema() -> CollectionSchema {
        let array = |name: &str, element: DataType| {
            let kind = DataType::Array { element: Box::new(element), max_capacity: 4 };
            FieldSchema::new(name, kind).nullable()
        };
        CollectionSchema {
            fields: vec![
                FieldSchema::new("id", DataType::Int64).primary().auto_id(),
                array("s[n]", DataType::Int64),
                array("s[v]", DataType::FloatVector { dim: 2 }),
            ],
            structs: vec![StructSchema { name: "s".into(), nullable: true, ..Default::default() }],
            ..Default::default()
        }
    }

    fn read(cells: Vec<Option<Value>>) -> Result<Vec<Option<i32>>, String> {
        let count = cells.len();
        let schema = schema();
        let column = column(&schema, &schema.structs[0], cells).map_err(|f| f.reason)?;
        let batch = super::super::batch(&schema, vec![column], count).map_err(|f| f.reason)?;
        let lists = batch.column(1).as_list::<i32>();
        assert_eq!(batch.column(0).as_list::<i32>().offsets(), lists.offsets());
        let rows = 0..lists.len();
        Ok(rows.map(|row| lists.is_valid(row).then(|| lists.value_length(row))).collect())
    }

    #[test]
    fn lists_of_objects_become_columns() {
        let element = |n: i64| json!({"n": n, "v": [n, 1]});
        let rows = vec![
            Some(json!([element(1), element(2)])),
            None,
            Some(json!([])),
            Some(json!([element(3)])),
        ];
        assert_eq!(read(rows), Ok(vec![Some(2), None, Some(0), Some(1)]));
    }

    #[test]
    fn other_shapes_are_refused() {
        for (cell, words) in [
            (json!({"n": 1}), "expected a list of objects"),
            (json!([1]), "expected a list of objects"),
            (json!([{"n": 1}]), "lacks 'v'"),
            (json!([{"n": 1, "v": [1, 2], "x": 0}]), "'x' is no sub-field"),
            (json!([{"n": "one", "v": [1, 2]}]), "expected an integer"),
        ] {
            let reason = read(vec![Some(cell)]).err().unwrap_or_default();
            assert!(reason.contains(words), "{reason}");
        }
    }
}
