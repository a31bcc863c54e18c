//! Values of rows, as both faces give them.

use arrow::array::{Array, AsArray};
use arrow::datatypes::*;
use elanus_proto::schema::field_data::Field;
use elanus_proto::schema::i_ds::IdField;
use elanus_proto::schema::scalar_field::Data;
use elanus_proto::schema::{
    ArrayArray, BoolArray, DataType as Wire, DoubleArray, FieldData, FloatArray, IDs, IntArray,
    JsonArray, LongArray, ScalarField, StringArray, VectorField, vector_field,
};

/// One value. Floats are kept by their bits, so that equal means equal in every bit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Val {
    Null,
    Bool(bool),
    Int(i64),
    Float(u32),
    Double(u64),
    /// Also JSON.
    Text(String),
    List(Vec<Val>),
    Vector(Vec<u32>),
}

impl Val {
    pub fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    pub fn vector(values: &[f32]) -> Self {
        Self::Vector(values.iter().map(|v| v.to_bits()).collect())
    }

    fn int(&self) -> i64 {
        if let Self::Int(v) = self { *v } else { 0 }
    }

    fn string(&self) -> String {
        if let Self::Text(v) = self { v.clone() } else { String::new() }
    }

    fn list(&self) -> &[Val] {
        if let Self::List(v) = self { v } else { &[] }
    }
}

/// The values as a column of an insert. Nulls are left out (`compact`) or have fillers.
pub fn column(name: &str, kind: Wire, element: Wire, values: &[Val], compact: bool) -> FieldData {
    let has_nulls = values.contains(&Val::Null);
    let flags = values.iter().map(|v| *v != Val::Null);
    let sent: Vec<&Val> = values.iter().filter(|v| !compact || **v != Val::Null).collect();
    let field = if kind == Wire::FloatVector {
        Field::Vectors(vectors(&sent, values))
    } else {
        Field::Scalars(ScalarField { data: Some(scalars(kind, element, &sent)), ..scalar() })
    };
    FieldData {
        r#type: kind.into(),
        field_name: name.into(),
        valid_data: if has_nulls { flags.collect() } else { Vec::new() },
        is_dynamic: name == "$meta",
        field: Some(field),
        ..Default::default()
    }
}

fn scalar() -> ScalarField {
    ScalarField::default()
}

fn vectors(sent: &[&Val], all: &[Val]) -> VectorField {
    let width = |v: &Val| if let Val::Vector(v) = v { Some(v.len()) } else { None };
    let dim = all.iter().find_map(width).unwrap_or(0);
    let filler = vec![0; dim];
    let bits = |v: &&Val| if let Val::Vector(v) = v { v.clone() } else { filler.clone() };
    let data = sent.iter().flat_map(bits).map(f32::from_bits).collect();
    VectorField {
        dim: dim as i64,
        data: Some(vector_field::Data::FloatVector(FloatArray { data })),
        ..Default::default()
    }
}

fn scalars(kind: Wire, element: Wire, values: &[&Val]) -> Data {
    let ints = || values.iter().map(|v| v.int());
    match kind {
        Wire::Bool => Data::BoolData(BoolArray {
            data: values.iter().map(|v| **v == Val::Bool(true)).collect(),
        }),
        Wire::Int8 | Wire::Int16 | Wire::Int32 => {
            Data::IntData(IntArray { data: ints().map(|v| v as i32).collect() })
        }
        Wire::Int64 => Data::LongData(LongArray { data: ints().collect() }),
        Wire::Float => Data::FloatData(FloatArray {
            data: values
                .iter()
                .map(|v| if let Val::Float(v) = v { f32::from_bits(*v) } else { 0.0 })
                .collect(),
        }),
        Wire::Double => Data::DoubleData(DoubleArray {
            data: values
                .iter()
                .map(|v| if let Val::Double(v) = v { f64::from_bits(*v) } else { 0.0 })
                .collect(),
        }),
        Wire::VarChar => {
            Data::StringData(StringArray { data: values.iter().map(|v| v.string()).collect() })
        }
        Wire::Json => Data::JsonData(JsonArray {
            data: values.iter().map(|v| v.string().into_bytes()).collect(),
        }),
        Wire::Array => Data::ArrayData(ArrayArray {
            data: values
                .iter()
                .map(|v| {
                    let elements: Vec<&Val> = v.list().iter().collect();
                    ScalarField { data: Some(scalars(element, element, &elements)), ..scalar() }
                })
                .collect(),
            element_type: element.into(),
        }),
        other => panic!("no column of {other:?}"),
    }
}

/// A column of an answer over gRPC. Nulls of scalars have fillers, nulls of vectors have nothing.
pub fn from_wire(data: &FieldData, rows: usize) -> Vec<Val> {
    let valid = |row: usize| data.valid_data.is_empty() || data.valid_data[row];
    assert!(data.valid_data.is_empty() || data.valid_data.len() == rows, "{}", data.field_name);
    let mut present = match data.field.as_ref().expect("data") {
        Field::Vectors(v) => {
            let Some(vector_field::Data::FloatVector(flat)) = &v.data else { panic!("{v:?}") };
            flat.data.chunks(v.dim as usize).map(Val::vector).collect::<Vec<_>>().into_iter()
        }
        Field::Scalars(s) => {
            let dense = from_scalars(s);
            assert_eq!(dense.len(), rows, "{}", data.field_name);
            let kept = dense.into_iter().enumerate().filter(|(row, _)| valid(*row));
            kept.map(|(_, v)| v).collect::<Vec<_>>().into_iter()
        }
        other => panic!("{other:?}"),
    };
    let all = (0..rows)
        .map(|row| if valid(row) { present.next().expect("a value") } else { Val::Null })
        .collect();
    assert_eq!(present.next(), None, "{}", data.field_name);
    all
}

fn from_scalars(field: &ScalarField) -> Vec<Val> {
    match &field.data {
        None => Vec::new(),
        Some(Data::BoolData(v)) => v.data.iter().map(|v| Val::Bool(*v)).collect(),
        Some(Data::IntData(v)) => v.data.iter().map(|v| Val::Int(i64::from(*v))).collect(),
        Some(Data::LongData(v)) => v.data.iter().map(|v| Val::Int(*v)).collect(),
        Some(Data::FloatData(v)) => v.data.iter().map(|v| Val::Float(v.to_bits())).collect(),
        Some(Data::DoubleData(v)) => v.data.iter().map(|v| Val::Double(v.to_bits())).collect(),
        Some(Data::StringData(v)) => v.data.iter().map(Val::text).collect(),
        Some(Data::JsonData(v)) => {
            v.data.iter().map(|v| Val::text(String::from_utf8_lossy(v))).collect()
        }
        Some(Data::ArrayData(v)) => v.data.iter().map(|v| Val::List(from_scalars(v))).collect(),
        Some(other) => panic!("{other:?}"),
    }
}

/// Keys of an answer over gRPC.
pub fn from_ids(ids: &IDs) -> Vec<Val> {
    match &ids.id_field {
        None => Vec::new(),
        Some(IdField::IntId(v)) => v.data.iter().map(|v| Val::Int(*v)).collect(),
        Some(IdField::StrId(v)) => v.data.iter().map(Val::text).collect(),
        Some(other) => panic!("{other:?}"),
    }
}

/// A column of an answer of SQL.
pub fn from_arrow(array: &dyn Array) -> Vec<Val> {
    (0..array.len())
        .map(|row| if array.is_null(row) { Val::Null } else { at(array, row) })
        .collect()
}

fn at(array: &dyn Array, row: usize) -> Val {
    macro_rules! int {
        ($kind:ty) => {
            Val::Int(i64::from(array.as_primitive::<$kind>().value(row)))
        };
    }
    match array.data_type() {
        DataType::Boolean => Val::Bool(array.as_boolean().value(row)),
        DataType::Int8 => int!(Int8Type),
        DataType::Int16 => int!(Int16Type),
        DataType::Int32 => int!(Int32Type),
        DataType::Int64 => int!(Int64Type),
        DataType::Float32 => Val::Float(array.as_primitive::<Float32Type>().value(row).to_bits()),
        DataType::Float64 => Val::Double(array.as_primitive::<Float64Type>().value(row).to_bits()),
        DataType::Utf8 => Val::text(array.as_string::<i32>().value(row)),
        DataType::List(_) => Val::List(from_arrow(&array.as_list::<i32>().value(row))),
        DataType::FixedSizeList(..) => {
            let vector = array.as_fixed_size_list().value(row);
            Val::vector(vector.as_primitive::<Float32Type>().values())
        }
        other => panic!("a column of {other}"),
    }
}
