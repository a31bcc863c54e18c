//! Lists of numbers as the bytes of a BFloat16Vector, which SQL has no literal for.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, BinaryArray};
use arrow::datatypes::DataType;
use datafusion::common::{Result, ScalarValue, exec_err, plan_err};
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility,
};
use elanus_engine::core::schema::DataType as FieldType;
use elanus_engine::core::vectors::narrowed;

use super::list::{Vectors, is_vector_like};

/// Name of the function.
pub(super) const NAME: &str = "to_bfloat16";

/// `to_bfloat16([0.1, 0.2])`: the numbers rounded to 16 bits, as the bytes that a BFloat16Vector holds.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct ToBfloat16 {
    signature: Signature,
}

impl Default for ToBfloat16 {
    fn default() -> Self {
        Self { signature: Signature::user_defined(Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for ToBfloat16 {
    fn name(&self) -> &str {
        NAME
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, arg_types: &[DataType]) -> Result<Vec<DataType>> {
        match arg_types {
            [DataType::FixedSizeBinary(_)] => {
                plan_err!("{NAME} takes a list of numbers, not bytes")
            }
            [list] if is_vector_like(list) => Ok(arg_types.to_vec()),
            [other] => plan_err!("{NAME} takes a list of numbers, not {other}"),
            all => plan_err!("{NAME} takes one list of numbers, not {} arguments", all.len()),
        }
    }

    fn return_type(&self, _arg_types: &[DataType]) -> Result<DataType> {
        Ok(DataType::Binary)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        match args.args.as_slice() {
            [ColumnarValue::Array(array)] => Ok(ColumnarValue::Array(bytes(array)?)),
            [ColumnarValue::Scalar(value)] => {
                let bytes = bytes(&value.to_array()?)?;
                Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&bytes, 0)?))
            }
            _ => exec_err!("{NAME} takes one list of numbers"),
        }
    }
}

fn bytes(array: &ArrayRef) -> Result<ArrayRef> {
    let vectors = Vectors::new(array, false)?;
    let rows = (0..array.len()).map(|row| {
        let vector = vectors.get(row)?;
        // The dimension is the list's own: the column that takes the bytes checks it.
        Ok(vector.and_then(|v| narrowed(&FieldType::BFloat16Vector { dim: 0 }, v)))
    });
    Ok(Arc::new(rows.collect::<Result<BinaryArray>>()?))
}
