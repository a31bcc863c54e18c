//! Rows by filter, and their count.

use arrow::array::RecordBatch;
use elanus_engine::api::{RowOrder, Selection};
use elanus_engine::core::budget::Reservation;
use elanus_engine::core::schema::CollectionSchema;
use elanus_proto::schema::field_data::Field;
use elanus_proto::schema::{DataType, FieldData, LongArray, ScalarField, scalar_field};
use elanus_proto::service::{QueryRequest, QueryResults};

use super::dml::refuse_namespace;
use super::names;
use super::search::outputs::Outputs;
use super::search::target::Target;
use crate::context::{Context, signed};
use crate::convert::params::{Params, result_window};
use crate::convert::{internal, invalid, results};
use crate::status::{Failure, ok_status};

/// The name of the column that counts.
const COUNT: &str = "count(*)";

/// The functions that an output field may be.
const AGGREGATES: [&str; 5] = ["count", "sum", "avg", "min", "max"];

/// The rows that an expression matches, by primary key, so that an iterator can go on behind the last
/// key it has seen.
pub async fn query(
    ctx: &Context,
    database: &str,
    request: QueryRequest,
) -> Result<QueryResults, Failure> {
    refuse_namespace(request.namespace.as_deref())?;
    let name = request.collection_name.clone();
    names::collection(&name, ctx.engine.settings().limits.max_name_bytes)?;
    let target = Target::open(ctx, database, &name, &request.partition_names)?;
    let params = Params::new(&request.query_params)?;
    params.refuse(&["order_by_fields", "group_by_fields", "query_iter_last_element_offset"])?;
    for flag in ["ignore_growing", "reduce_stop_for_best", "iterator"] {
        params.truth(flag)?;
    }
    target.check_id(params.integer("collection_id")?)?;
    let window = window(&params, ctx.engine.settings().limits.max_top_k)?;
    let counts = asks_for_count(target.schema(), &request.output_fields)?;
    let select = target.select(&request.expr, request.expr_template_values)?;
    let (fields_data, output_fields) = if counts {
        (vec![count(&target, &select, window).await?], vec![COUNT.to_string()])
    } else {
        if select.filter.is_none() && window.is_none() {
            return Err(invalid("empty expression should be used with limit"));
        }
        let primary = &target.schema().primary()?.name;
        let outputs = Outputs::new(target.schema(), &request.output_fields)?.with_first(primary);
        let (batch, _memory) = rows(&target, &select, window, &outputs).await?;
        (columns(target.schema(), &batch, &outputs)?, outputs.names)
    };
    Ok(QueryResults {
        status: Some(ok_status()),
        fields_data,
        collection_name: name,
        output_fields,
        session_ts: target.snapshot.timestamp(),
        primary_field_name: target.schema().primary()?.name.clone(),
        ..Default::default()
    })
}

/// Offset and limit, if there is a limit; an offset alone means nothing, as in Milvus.
fn window(params: &Params, most: usize) -> Result<Option<(usize, usize)>, Failure> {
    match params.integer("limit")? {
        None => Ok(None),
        Some(limit) => result_window(params.integer("offset")?.unwrap_or(0), limit, most).map(Some),
    }
}

/// Whether the rows are to be counted; other functions over rows are refused.
fn asks_for_count(schema: &CollectionSchema, outputs: &[String]) -> Result<bool, Failure> {
    let Some((function, over)) = outputs.iter().find_map(|name| aggregate(name)) else {
        return Ok(false);
    };
    if over == "*" && function != "count" {
        return Err(invalid(format!("{function}(*) is not supported, only count(*) is allowed")));
    }
    if over != "*" && !schema.has_field(over) {
        return Err(invalid(format!(
            "target field {over} for aggregation:{function} does not exist"
        )));
    }
    if over != "*" || outputs.len() > 1 {
        return Err(Failure::unsupported(format!(
            "of functions over rows only {COUNT} alone is supported, but got {outputs:?}"
        )));
    }
    Ok(true)
}

/// The function and its argument, if a name is a call of one.
fn aggregate(name: &str) -> Option<(String, &str)> {
    let (function, rest) = name.trim().split_once('(')?;
    let function = function.trim().to_ascii_lowercase();
    let over = rest.trim_end().strip_suffix(')')?.trim();
    AGGREGATES.contains(&function.as_str()).then_some((function, over))
}

async fn count(
    target: &Target,
    select: &Selection,
    window: Option<(usize, usize)>,
) -> Result<FieldData, Failure> {
    if window.is_some() {
        return Err(invalid("count entities with pagination is not allowed"));
    }
    let count = signed(target.snapshot.count(select).await?);
    let data = scalar_field::Data::LongData(LongArray { data: vec![count] });
    Ok(FieldData {
        r#type: DataType::Int64.into(),
        field_name: COUNT.to_string(),
        field: Some(Field::Scalars(ScalarField { data: Some(data), ..Default::default() })),
        ..Default::default()
    })
}

async fn rows(
    target: &Target,
    select: &Selection,
    window: Option<(usize, usize)>,
    outputs: &Outputs,
) -> Result<(RecordBatch, Reservation), Failure> {
    let (offset, limit) = window.map_or((0, None), |(offset, limit)| (offset, Some(limit)));
    let rows = target.snapshot.select(select, RowOrder::Key, offset, limit).await?;
    let memory = target.snapshot.answer_memory(rows.len(), &outputs.columns).await?;
    Ok((target.snapshot.fetch(&rows, &outputs.columns).await?, memory))
}

fn columns(
    schema: &CollectionSchema,
    batch: &RecordBatch,
    outputs: &Outputs,
) -> Result<Vec<FieldData>, Failure> {
    let column = |name: &String| {
        let array = batch.column_by_name(name);
        let array = array.ok_or_else(|| internal(format!("field {name} was not fetched")))?;
        results::to_wire(schema, name, array)
    };
    outputs.columns.iter().map(column).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use elanus_engine::core::schema::{DataType as EngineType, FieldSchema};

    #[test]
    fn counting_is_recognised_and_other_functions_refused() {
        let schema =
            CollectionSchema::new(vec![FieldSchema::new("id", EngineType::Int64).primary()]);
        let ask = |names: &[&str]| {
            let names: Vec<String> = names.iter().map(|n| n.to_string()).collect();
            asks_for_count(&schema, &names).map_err(|f| f.code)
        };
        assert_eq!(ask(&["count(*)"]), Ok(true));
        assert_eq!(ask(&[" COUNT( * ) "]), Ok(true));
        assert_eq!(ask(&["id", "*"]), Ok(false));
        assert_eq!(ask(&["count(*)", "id"]), Err(10));
        assert_eq!(ask(&["sum(id)"]), Err(10));
        assert_eq!(ask(&["sum(*)"]), Err(1100));
        assert_eq!(ask(&["min(x)"]), Err(1100));
    }
}
