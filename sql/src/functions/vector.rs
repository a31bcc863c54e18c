//! Distances between vectors.

use std::sync::Arc;

use arrow::array::{ArrayRef, Float32Array};
use arrow::datatypes::DataType;
use datafusion::common::{Result, ScalarValue, exec_err, plan_err};
use datafusion::logical_expr::{
    ColumnarValue, Documentation, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility,
};
use elanus_engine::api::{Metric, vector_score};

use super::list::{Vectors, is_vector_like};

/// What a vector function measures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum VectorMeasure {
    /// Squared Euclidean distance.
    L2Distance,
    /// Sum of the products of the elements.
    InnerProduct,
    /// Cosine of the angle.
    CosineSimilarity,
    /// One less the cosine of the angle.
    CosineDistance,
}

impl VectorMeasure {
    /// Each of them.
    pub const ALL: [Self; 4] =
        [Self::L2Distance, Self::InnerProduct, Self::CosineSimilarity, Self::CosineDistance];

    /// Name of the SQL function.
    pub fn name(self) -> &'static str {
        match self {
            Self::L2Distance => "l2_distance",
            Self::InnerProduct => "inner_product",
            Self::CosineSimilarity => "cosine_similarity",
            Self::CosineDistance => "cosine_distance",
        }
    }

    /// The metric that a search for the nearest uses.
    pub fn metric(self) -> Metric {
        match self {
            Self::L2Distance => Metric::L2,
            Self::InnerProduct => Metric::Ip,
            Self::CosineSimilarity | Self::CosineDistance => Metric::Cosine,
        }
    }

    /// Whether the nearest vector has the greatest value.
    pub fn nearest_is_greatest(self) -> bool {
        matches!(self, Self::InnerProduct | Self::CosineSimilarity)
    }

    /// The function's value for a score of a search, which it equals in every bit.
    pub fn of_score(self, score: f32) -> f32 {
        match self {
            Self::CosineDistance => 1.0 - score,
            _ => score,
        }
    }

    #[allow(clippy::cast_possible_truncation, reason = "a score is a 32-bit float")]
    fn compute(self, a: &[f32], b: &[f32]) -> Result<f32> {
        if a.len() != b.len() {
            return exec_err!(
                "{}: a vector of {} dimensions cannot be compared with one of {}",
                self.name(),
                a.len(),
                b.len()
            );
        }
        Ok(self.of_score(vector_score(self.metric(), a, b) as f32))
    }
}

/// A function of two vectors, as in `l2_distance(v, [0.1, 0.2])`. Its value is the Float32 that a
/// search over gRPC gives as the score (`cosine_distance`: one less the score).
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct VectorFunction {
    measure: VectorMeasure,
    signature: Signature,
}

impl VectorFunction {
    /// The function that measures this.
    pub fn new(measure: VectorMeasure) -> Self {
        Self { measure, signature: Signature::user_defined(Volatility::Immutable) }
    }

    /// What it measures.
    pub fn measure(&self) -> VectorMeasure {
        self.measure
    }

    fn rows(&self, a: &Vectors, b: &Vectors, rows: usize) -> Result<Float32Array> {
        (0..rows)
            .map(|row| match (a.get(row)?, b.get(row)?) {
                (Some(a), Some(b)) => self.measure.compute(a, b).map(Some),
                _ => Ok(None),
            })
            .collect()
    }
}

impl ScalarUDFImpl for VectorFunction {
    fn name(&self) -> &str {
        self.measure.name()
    }

    fn aliases(&self) -> &[String] {
        &[]
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    /// Takes the arguments as they are: a cast would copy a whole vector column.
    fn coerce_types(&self, arg_types: &[DataType]) -> Result<Vec<DataType>> {
        let name = self.name();
        if arg_types.len() != 2 {
            return plan_err!("{name} takes two vectors, not {} arguments", arg_types.len());
        }
        if let Some(wrong) = arg_types.iter().find(|t| !is_vector_like(t)) {
            return plan_err!("{name} takes vectors, as in {name}(v, [0.1, 0.2]), not {wrong}");
        }
        Ok(arg_types.to_vec())
    }

    fn return_type(&self, _arg_types: &[DataType]) -> Result<DataType> {
        Ok(DataType::Float32)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [a, b] = args.args.as_slice() else {
            return exec_err!("{} takes two vectors", self.name());
        };
        let all_constant = [a, b].iter().all(|v| matches!(v, ColumnarValue::Scalar(_)));
        let rows = if all_constant { 1 } else { args.number_rows };
        let result: ArrayRef = Arc::new(self.rows(&vectors(a)?, &vectors(b)?, rows)?);
        if all_constant {
            return Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&result, 0)?));
        }
        Ok(ColumnarValue::Array(result))
    }

    fn documentation(&self) -> Option<&Documentation> {
        None
    }
}

fn vectors(value: &ColumnarValue) -> Result<Vectors> {
    match value {
        ColumnarValue::Array(array) => Vectors::new(array, false),
        ColumnarValue::Scalar(value) => Vectors::new(&value.to_array()?, true),
    }
}
