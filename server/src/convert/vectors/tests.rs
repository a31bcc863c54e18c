use super::*;

fn wire(dim: i64, data: Data) -> VectorField {
    VectorField { dim, data: Some(data), ..Default::default() }
}

fn read(data_type: DataType, data: VectorField) -> Result<ArrayRef, String> {
    let field = FieldSchema::new("v", data_type);
    let dim = field.data_type.vector_dim().unwrap_or(0);
    from_wire(&field, dim, data).map(|(array, _)| array).map_err(|f| f.reason)
}

#[test]
fn each_type_comes_back_as_it_went_in() {
    let bytes = || vec![1, 0x3c, 3, 4, 0x80, 6, 7, 8];
    for (data_type, data) in [
        (
            DataType::FloatVector { dim: 2 },
            Data::FloatVector(FloatArray { data: vec![1.0, -2.0, 3.0, 4.0] }),
        ),
        (DataType::Float16Vector { dim: 2 }, Data::Float16Vector(bytes())),
        (DataType::BFloat16Vector { dim: 2 }, Data::Bfloat16Vector(bytes())),
        (DataType::Int8Vector { dim: 4 }, Data::Int8Vector(bytes())),
        (DataType::BinaryVector { dim: 32 }, Data::BinaryVector(bytes())),
    ] {
        let given = wire(i64::from(data_type.vector_dim().unwrap_or(0)), data);
        let array = read(data_type.clone(), given.clone()).unwrap();
        assert_eq!(array.len(), 2, "{data_type:?}");
        assert_eq!(to_wire(&data_type, array.as_ref()).ok(), Some(given), "{data_type:?}");
    }
}

#[test]
fn null_rows_are_left_out_of_answers() {
    let kind = DataType::BinaryVector { dim: 8 };
    let array = read(kind.clone(), wire(8, Data::BinaryVector(vec![1, 2]))).unwrap();
    let rows = arrow::array::UInt32Array::from(vec![Some(1), None, Some(0)]);
    let array = arrow::compute::take(&array, &rows, None).unwrap();
    let answer = to_wire(&kind, array.as_ref()).unwrap();
    assert_eq!(answer.data, Some(Data::BinaryVector(vec![2, 1])));
}

#[test]
fn wide_floats_go_into_narrow_fields_and_nowhere_else() {
    let floats = |v: &[f32]| wire(2, Data::FloatVector(FloatArray { data: v.to_vec() }));
    let array = read(DataType::Float16Vector { dim: 2 }, floats(&[1.0, -2.5])).unwrap();
    let answer = to_wire(&DataType::Float16Vector { dim: 2 }, array.as_ref()).unwrap();
    assert_eq!(answer.data, Some(Data::Float16Vector(vec![0, 0x3c, 0, 0xc1])));
    let wrong = |kind, values: &[f32]| read(kind, floats(values)).err().unwrap_or_default();
    assert!(wrong(DataType::Int8Vector { dim: 2 }, &[1.0, 2.0]).contains("need int8 vector"));
    assert!(wrong(DataType::Float16Vector { dim: 2 }, &[1.0, f32::NAN]).contains("value 'NaN'"));
}

#[test]
fn wrong_lengths_are_refused_in_milvus_words() {
    for (kind, data, words) in [
        (
            DataType::BinaryVector { dim: 16 },
            wire(16, Data::BinaryVector(vec![0; 3])),
            "the num(24) of all bits should divide the dim(16)",
        ),
        (
            DataType::Int8Vector { dim: 2 },
            wire(2, Data::Int8Vector(vec![0; 3])),
            "the length(3) of int8 data should divide the dim(2)",
        ),
        (
            DataType::Float16Vector { dim: 2 },
            wire(2, Data::Float16Vector(vec![0; 6])),
            "the length(6) of float16 data should divide the row width(4)",
        ),
        (
            DataType::BFloat16Vector { dim: 2 },
            wire(2, Data::Bfloat16Vector(vec![0; 6])),
            "the length(6) of bfloat data should divide the row width(4)",
        ),
        (
            DataType::Int8Vector { dim: 2 },
            wire(3, Data::Int8Vector(vec![0; 6])),
            "the dim (3) of field data(v) is not equal to schema dim (2)",
        ),
        (
            DataType::BFloat16Vector { dim: 2 },
            wire(2, Data::Float16Vector(vec![0; 4])),
            "bfloat16 vector field 'v' is illegal, array type mismatch",
        ),
    ] {
        let reason = read(kind, data).err().unwrap_or_default();
        assert!(reason.contains(words), "{reason}");
    }
}
