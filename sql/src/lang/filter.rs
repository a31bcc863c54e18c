//! A filter that is ready to run.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use datafusion::arrow::array::{Array, AsArray, BooleanArray, RecordBatch};
use datafusion::arrow::compute;
use datafusion::arrow::datatypes::{DataType, Schema, SchemaRef};
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column, DFSchema, DataFusionError};
use datafusion::execution::context::ExecutionProps;
use datafusion::logical_expr::Expr;
use datafusion::logical_expr::simplify::SimplifyContext;
use datafusion::optimizer::simplify_expressions::ExprSimplifier;
use datafusion::physical_expr::{PhysicalExpr, create_physical_expr};
use elanus_engine::core::error::{Error, Result, Subject};
use elanus_engine::core::filter::{ElementFilter, FilterNode, RowFilter, UnitStats};
use elanus_engine::core::schema::CollectionSchema;
use elanus_engine::core::timestamptz::Zone;

use super::fault::Fault;
use super::prune::Pruner;
use super::sample::{self, Sampler};
use super::template::TemplateValue;
use super::translate::Translator;
use super::{parser, parts};

/// Which rows of a collection are meant: compiled once, run on any number of batches.
#[derive(Debug, Clone)]
pub struct Filter {
    /// What the user wrote, or the expression in DataFusion's notation.
    text: String,
    expr: Expr,
    columns: Vec<String>,
    compiled: Arc<dyn PhysicalExpr>,
    pruner: Option<Pruner>,
    /// For taking it apart when an index asks for that.
    simple: Expr,
    schema: SchemaRef,
    parts: OnceLock<Option<Arc<FilterNode>>>,
    /// What matches is thinned out.
    sampler: Option<Sampler>,
    /// What single elements are held to.
    elements: Option<Arc<dyn ElementFilter>>,
}

impl Filter {
    /// Reads a filter in Milvus's language; `templates` fills its places `{name}`.
    pub fn parse(
        text: &str,
        schema: &CollectionSchema,
        templates: &HashMap<String, TemplateValue>,
    ) -> Result<Self> {
        Self::read(Zone::default(), text, schema, templates)
    }

    fn read(
        zone: Zone,
        text: &str,
        schema: &CollectionSchema,
        templates: &HashMap<String, TemplateValue>,
    ) -> Result<Self> {
        let translator = Translator { text, schema, templates, zone };
        let (node, sampler) = parser::parse(text)
            .and_then(|node| sample::split(node, &translator))
            .map_err(|fault| fault.into_error(text))?;
        let translated = || Ok((translator.filter(&node)?, translator.element_filter(&node)?));
        let (expr, elements) = translated().map_err(|fault: Fault| fault.into_error(text))?;
        let elements = elements.map(|e| Arc::new(e) as _);
        Self::compile(text.trim().to_owned(), expr, schema)
            .map(|filter| Self { sampler, elements, ..filter })
            .map_err(|why| Fault::new(short(&why)).into_error(text))
    }

    /// Like [`Self::parse`], but a text of nothing but spaces is no filter.
    pub fn parse_optional(
        text: &str,
        schema: &CollectionSchema,
        templates: &HashMap<String, TemplateValue>,
    ) -> Result<Option<Self>> {
        Self::parse_in(Zone::default(), text, schema, templates)
    }

    /// Like [`Self::parse_optional`], with moments that name no offset in a time zone.
    pub fn parse_in(
        zone: Zone,
        text: &str,
        schema: &CollectionSchema,
        templates: &HashMap<String, TemplateValue>,
    ) -> Result<Option<Self>> {
        if text.trim().is_empty() {
            return Ok(None);
        }
        Self::read(zone, text, schema, templates).map(Some)
    }

    /// Takes a condition from SQL. Columns may be qualified by a table's name.
    pub fn from_expr(expr: Expr, schema: &CollectionSchema) -> Result<Self> {
        let fail = |why: DataFusionError| {
            Error::invalid(
                Subject::Expression,
                format!("cannot use the condition: {}", short(&why)),
            )
        };
        let expr = unqualified(expr).map_err(fail)?;
        Self::compile(expr.to_string(), expr, schema).map_err(fail)
    }

    /// The condition over unqualified columns, before simplification.
    pub fn expr(&self) -> &Expr {
        &self.expr
    }

    pub(super) fn compile(
        text: String,
        expr: Expr,
        schema: &CollectionSchema,
    ) -> Result<Self, DataFusionError> {
        // All columns at first: the simplifier may well drop some.
        let all = schema.to_arrow();
        let simple = simplify(expr.clone(), &all)?;
        Self::build(text, expr, simple, all)
    }

    /// A part of a simplified condition over columns of a schema.
    pub(super) fn of_simple(simple: &Expr, all: &SchemaRef) -> Result<Self, DataFusionError> {
        Self::build(simple.to_string(), simple.clone(), simple.clone(), all.clone())
    }

    fn build(
        text: String,
        expr: Expr,
        simple: Expr,
        all: SchemaRef,
    ) -> Result<Self, DataFusionError> {
        let needed = needed_columns(&simple, &all);
        let columns = needed.fields().iter().map(|f| f.name().clone()).collect();
        let df_schema = DFSchema::try_from(needed.clone())?;
        let compiled = create_physical_expr(&simple, &df_schema, &ExecutionProps::new())?;
        match compiled.data_type(&needed)? {
            DataType::Boolean | DataType::Null => {}
            other => {
                return Err(DataFusionError::Plan(format!(
                    "predicate is not a boolean expression: {text}, data type: {other}"
                )));
            }
        }
        let pruner = Pruner::new(compiled.clone(), needed);
        let parts = OnceLock::new();
        Ok(Self {
            text,
            expr,
            columns,
            compiled,
            pruner,
            sampler: None,
            elements: None,
            simple,
            schema: all,
            parts,
        })
    }
}

impl std::fmt::Display for Filter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text)
    }
}

impl RowFilter for Filter {
    fn columns(&self) -> &[String] {
        &self.columns
    }

    fn evaluate(&self, batch: &RecordBatch) -> Result<BooleanArray> {
        if batch.num_columns() != self.columns.len() {
            return Err(Error::internal(format!(
                "a filter on {:?} was given {} columns",
                self.columns,
                batch.num_columns()
            )));
        }
        let fail = |why: DataFusionError| {
            let text = format!("cannot evaluate expression: {}, error: {}", self.text, short(&why));
            Error::invalid(Subject::Expression, text)
        };
        let result = self
            .compiled
            .evaluate(batch)
            .and_then(|value| value.into_array(batch.num_rows()))
            .map_err(fail)?;
        if *result.data_type() == DataType::Null {
            return Ok(BooleanArray::new_null(result.len()));
        }
        let truth = match result.as_boolean_opt() {
            Some(truth) => truth.clone(),
            None => compute::cast(&result, &DataType::Boolean)?.as_boolean().clone(),
        };
        Ok(match &self.sampler {
            Some(sampler) => sampler.thin(&truth),
            None => truth,
        })
    }

    fn elements(&self) -> Option<Arc<dyn ElementFilter>> {
        self.elements.clone()
    }

    fn parts(&self) -> Option<Arc<FilterNode>> {
        if self.sampler.is_some() {
            return None;
        }
        // What cannot be taken apart is evaluated as it is.
        let apart = || parts::take_apart(&self.simple, &self.schema).ok().map(Arc::new);
        self.parts.get_or_init(apart).clone()
    }

    fn may_match(&self, units: &[&UnitStats]) -> Vec<bool> {
        match &self.pruner {
            Some(pruner) => pruner.may_match(units),
            None => vec![true; units.len()],
        }
    }
}

fn simplify(expr: Expr, schema: &SchemaRef) -> Result<Expr, DataFusionError> {
    let df_schema = Arc::new(DFSchema::try_from(schema.clone())?);
    // Without a time: SQL has put in what `now()` is before a condition gets here.
    let context = SimplifyContext::builder().with_schema(df_schema.clone()).build();
    let simplifier = ExprSimplifier::new(context);
    let coerced = simplifier.coerce(expr, &df_schema)?;
    simplifier.simplify(coerced)
}

/// The columns that an expression reads, in the schema's order.
fn needed_columns(expr: &Expr, all: &SchemaRef) -> SchemaRef {
    let used = expr.column_refs();
    let is_used = |name: &str| used.iter().any(|column| column.name == name);
    let fields: Vec<_> = all.fields().iter().filter(|f| is_used(f.name())).cloned().collect();
    Arc::new(Schema::new(fields))
}

fn unqualified(expr: Expr) -> Result<Expr, DataFusionError> {
    expr.transform(|e| match e {
        Expr::Column(column) if column.relation.is_some() => {
            Ok(Transformed::yes(Expr::Column(Column::from_name(column.name))))
        }
        other => Ok(Transformed::no(other)),
    })
    .map(|t| t.data)
}

/// The message without DataFusion's prefixes, which say nothing to a user of a filter.
pub(super) fn short(why: &DataFusionError) -> String {
    why.strip_backtrace().trim_start_matches("Execution error: ").to_owned()
}
