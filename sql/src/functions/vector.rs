//! Distances between vectors.

use std::sync::Arc;

use arrow::array::{ArrayRef, Float32Array};
use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::{Result, ScalarValue, exec_err, plan_err};
use datafusion::logical_expr::{
    ColumnarValue, Documentation, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDFImpl, Signature,
    Volatility,
};
use elanus_engine::api::{Metric, bit_score, vector_score};
use elanus_engine::core::schema::DataType as FieldType;

use super::list::{Bits, Vectors, is_bfloat16, is_bits_like, is_vector_like, narrow_type};

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
    /// Number of bits that differ.
    HammingDistance,
    /// Share of the bits set in either that are not set in both.
    JaccardDistance,
}

impl VectorMeasure {
    /// Each of them.
    pub const ALL: [Self; 6] = [
        Self::L2Distance,
        Self::InnerProduct,
        Self::CosineSimilarity,
        Self::CosineDistance,
        Self::HammingDistance,
        Self::JaccardDistance,
    ];

    /// Name of the SQL function.
    pub fn name(self) -> &'static str {
        match self {
            Self::L2Distance => "l2_distance",
            Self::InnerProduct => "inner_product",
            Self::CosineSimilarity => "cosine_similarity",
            Self::CosineDistance => "cosine_distance",
            Self::HammingDistance => "hamming_distance",
            Self::JaccardDistance => "jaccard_distance",
        }
    }

    /// The metric that a search for the nearest uses.
    pub fn metric(self) -> Metric {
        match self {
            Self::L2Distance => Metric::L2,
            Self::InnerProduct => Metric::Ip,
            Self::CosineSimilarity | Self::CosineDistance => Metric::Cosine,
            Self::HammingDistance => Metric::Hamming,
            Self::JaccardDistance => Metric::Jaccard,
        }
    }

    /// Whether it compares vectors of bits.
    pub fn is_binary(self) -> bool {
        self.metric().is_binary()
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

    #[allow(clippy::cast_possible_truncation, reason = "a score is a 32-bit float")]
    fn compute_bits(self, a: &[u8], b: &[u8]) -> Result<f32> {
        if a.len() != b.len() {
            return exec_err!(
                "{}: a vector of {} bits cannot be compared with one of {}",
                self.name(),
                8 * a.len(),
                8 * b.len()
            );
        }
        Ok(bit_score(self.metric(), a, b) as f32)
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

    fn rows(&self, args: &ScalarFunctionArgs, rows: usize) -> Result<Float32Array> {
        let [a, b] = args.args.as_slice() else {
            return exec_err!("{} takes two vectors", self.name());
        };
        if self.measure.is_binary() {
            let (a, b) = (read(a, Bits::new)?, read(b, Bits::new)?);
            return (0..rows)
                .map(|row| match (a.get(row), b.get(row)) {
                    (Some(a), Some(b)) => self.measure.compute_bits(a, b).map(Some),
                    _ => Ok(None),
                })
                .collect();
        }
        let narrow = |at: usize| args.arg_fields.get(at).and_then(|f| narrow_type(f));
        let (a, b) = (dense(a, narrow(1))?, dense(b, narrow(0))?);
        (0..rows)
            .map(|row| match (a.get(row)?, b.get(row)?) {
                (Some(a), Some(b)) => self.measure.compute(a, b).map(Some),
                _ => Ok(None),
            })
            .collect()
    }

    /// Refuses bytes that are vectors of the other kind, as the marks of their columns tell.
    fn check_marks(&self, fields: &[FieldRef]) -> Result<()> {
        let name = self.name();
        let bytes = |f: &&FieldRef| matches!(f.data_type(), DataType::FixedSizeBinary(_));
        for field in fields.iter().filter(bytes) {
            match (self.measure.is_binary(), is_bfloat16(field)) {
                (true, true) => {
                    return plan_err!("{name} takes vectors of bits, not BFloat16Vector");
                }
                (false, false) => {
                    return plan_err!(
                        "{name} takes vectors of numbers; for vectors of bits there are \
                         hamming_distance and jaccard_distance"
                    );
                }
                _ => {}
            }
        }
        Ok(())
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
        if self.measure.is_binary() {
            return match arg_types.iter().find(|t| !is_bits_like(t)) {
                Some(wrong) => {
                    plan_err!("{name} takes vectors of bits, as in {name}(b, X'ff00'), not {wrong}")
                }
                None => Ok(arg_types.to_vec()),
            };
        }
        if let Some(wrong) = arg_types.iter().find(|t| !is_vector_like(t)) {
            return plan_err!("{name} takes vectors, as in {name}(v, [0.1, 0.2]), not {wrong}");
        }
        Ok(arg_types.to_vec())
    }

    fn return_type(&self, _arg_types: &[DataType]) -> Result<DataType> {
        Ok(DataType::Float32)
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        self.check_marks(args.arg_fields)?;
        Ok(Arc::new(Field::new(self.name(), DataType::Float32, true)))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let all_constant = args.args.iter().all(|v| matches!(v, ColumnarValue::Scalar(_)));
        let rows = if all_constant { 1 } else { args.number_rows };
        let result: ArrayRef = Arc::new(self.rows(&args, rows)?);
        if all_constant {
            return Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&result, 0)?));
        }
        Ok(ColumnarValue::Array(result))
    }

    fn documentation(&self) -> Option<&Documentation> {
        None
    }
}

/// A column, or a constant for all rows, by a reader that is told which of them it is.
fn read<T>(value: &ColumnarValue, reader: fn(&ArrayRef, bool) -> Result<T>) -> Result<T> {
    match value {
        ColumnarValue::Array(array) => reader(array, false),
        ColumnarValue::Scalar(value) => reader(&value.to_array()?, true),
    }
}

/// Dense vectors; a constant beside a column of 16-bit floats is rounded to them.
fn dense(value: &ColumnarValue, other: Option<FieldType>) -> Result<Vectors> {
    let vectors = read(value, Vectors::new)?;
    match (value, other) {
        (ColumnarValue::Scalar(_), Some(narrow)) => Ok(vectors.rounded(&narrow)),
        _ => Ok(vectors),
    }
}
