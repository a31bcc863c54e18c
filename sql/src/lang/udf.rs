//! The frame around functions that DataFusion calls for us.

use std::any::Any;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use datafusion::arrow::array::ArrayRef;
use datafusion::arrow::datatypes::DataType;
use datafusion::common::Result;
use datafusion::logical_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

use super::ast::Step;

/// What one of our functions does to whole columns. It holds its constants (paths, literals).
pub(crate) trait Kernel: Any + fmt::Debug + Send + Sync {
    /// The type of the result.
    fn output(&self) -> DataType;

    /// The paths that it reads of JSON arguments; none if it reads them whole, or not as JSON.
    fn json_paths(&self) -> Option<Vec<Vec<Step>>> {
        None
    }

    /// One result for each of the `rows` rows; every argument has that many.
    fn run(&self, args: &[ArrayRef], rows: usize) -> Result<ArrayRef>;
}

/// Calls a kernel on columns. Equal labels must mean equal kernels: DataFusion merges them.
pub(crate) fn call(label: String, kernel: impl Kernel, args: Vec<Expr>) -> Expr {
    let signature = Signature::any(args.len(), Volatility::Immutable);
    let function = Function { label, signature, kernel: Arc::new(kernel) };
    ScalarUDF::new_from_impl(function).call(args)
}

/// A kernel as a function of DataFusion's.
#[derive(Debug)]
pub(super) struct Function {
    /// The name with all constants, as EXPLAIN shows it.
    label: String,
    signature: Signature,
    pub(super) kernel: Arc<dyn Kernel>,
}

impl PartialEq for Function {
    fn eq(&self, other: &Self) -> bool {
        self.label == other.label
    }
}

impl Eq for Function {}

impl Hash for Function {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.label.hash(state);
    }
}

impl ScalarUDFImpl for Function {
    fn name(&self) -> &str {
        &self.label
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(self.kernel.output())
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let rows = args.number_rows;
        let columns = args.args.iter().map(|a| a.to_array(rows)).collect::<Result<Vec<_>>>()?;
        self.kernel.run(&columns, rows).map(ColumnarValue::Array)
    }
}
