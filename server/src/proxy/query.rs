//! Rows by filter, in an order, and what functions make of them.

mod aggregate;
mod elements;
mod order;

use arrow::array::{RecordBatch, UInt32Array};
use arrow::compute::take_record_batch;
use elanus_engine::api::{RowAddress, RowOrder, Selection};
use elanus_engine::core::budget::Reservation;
use elanus_engine::core::error::Error;
use elanus_engine::core::schema::CollectionSchema;
use elanus_proto::schema::field_data::Field;
use elanus_proto::schema::{DataType, FieldData, LongArray, ScalarField, scalar_field};
use elanus_proto::service::{ElementIndices, QueryRequest, QueryResults};

use super::dml::refuse_namespace;
use super::names;
use super::search::iterator::page_of;
use super::search::outputs::Outputs;
use super::search::target::Target;
use super::search::values;
use crate::context::{Context, signed};
use crate::convert::params::{OrderKey, Params, result_window};
use crate::convert::{internal, invalid, results, structs};
use crate::status::{Failure, ok_status};
use aggregate::{Call, Function};
use elements::{After, Elements};

/// The name of the column that counts.
const COUNT: &str = "count(*)";

/// What a query asks for beside the filter.
struct Asked {
    window: Option<(usize, usize)>,
    group_by: Vec<String>,
    calls: Vec<Call>,
    order: Vec<OrderKey>,
    /// Where a page of elements begins.
    after: Option<After>,
}

/// Columns, their names, and of a query for elements which ones of each row.
type Answer = (Vec<FieldData>, Vec<String>, Vec<ElementIndices>);

/// The rows that an expression matches, by primary key, so that an iterator can go on behind the last
/// key it has seen; or in another order, or groups of them.
pub async fn query(
    ctx: &Context,
    database: &str,
    request: QueryRequest,
) -> Result<QueryResults, Failure> {
    refuse_namespace(request.namespace.as_deref())?;
    let name = request.collection_name.clone();
    names::collection(&name, ctx.engine.settings().limits.max_name_bytes)?;
    let partitions = &request.partition_names;
    let target = match page_of(&request.query_params, request.guarantee_timestamp)? {
        Some(page) => Target::open_page(ctx, database, &name, partitions, page)?,
        None => Target::open(ctx, database, &name, partitions)?,
    };
    let target = target.with_clock(&request.query_params)?;
    let params = Params::new(&request.query_params)?;
    for flag in ["ignore_growing", "reduce_stop_for_best", "iterator"] {
        params.truth(flag)?;
    }
    target.check_id(params.integer("collection_id")?, "may have changed")?;
    let most = ctx.engine.settings().limits.max_top_k;
    let asked = asked(&target, &params, &request.output_fields, most)?;
    let select = target.select(&request.expr, request.expr_template_values)?;
    let (mut fields_data, output_fields, element_indices) =
        answer(&target, &select, &asked, &request.output_fields).await?;
    target.clock.show(&mut fields_data);
    Ok(QueryResults {
        status: Some(ok_status()),
        fields_data,
        collection_name: name,
        output_fields,
        element_indices,
        session_ts: target.snapshot.timestamp(),
        primary_field_name: target.schema().primary()?.name.clone(),
    })
}

fn asked(
    target: &Target,
    params: &Params,
    outputs: &[String],
    most: usize,
) -> Result<Asked, Failure> {
    let schema = target.schema();
    let window = window(params, most)?;
    let listed = params.text("group_by_fields").unwrap_or_default();
    let group_by: Vec<String> =
        listed.split(',').map(|f| f.trim().to_string()).filter(|f| !f.is_empty()).collect();
    for field in &group_by {
        aggregate::check_group_field(schema, field)?;
    }
    let mut calls = Vec::new();
    let mut others = Vec::new();
    for name in outputs {
        match Call::read(schema, name)? {
            Some(call) => calls.push(call),
            None => others.push(name.trim()),
        }
    }
    let groups = !group_by.is_empty() || !calls.is_empty();
    let foreign = others.iter().find(|name| !group_by.iter().any(|f| f == *name));
    if let Some(name) = foreign.filter(|_| groups) {
        return Err(invalid(format!(
            "output field '{name}' is not allowed: with group by or functions over rows only group \
             by fields and functions can be output"
        )));
    }
    let order = order::read(target, params, &group_by, &calls, window.is_some())?;
    let after = elements::after(params)?;
    Ok(Asked { window, group_by, calls, order, after })
}

async fn answer(
    target: &Target,
    select: &Selection,
    asked: &Asked,
    outputs: &[String],
) -> Result<Answer, Failure> {
    let only_count = |call: &Call| call.function == Function::Count && call.field.is_none();
    if asked.group_by.is_empty() && asked.calls.iter().any(only_count) && asked.window.is_some() {
        return Err(invalid("count entities with pagination is not allowed"));
    }
    if asked.group_by.is_empty()
        && let [call] = asked.calls.as_slice()
        && only_count(call)
    {
        // Counting alone needs no columns.
        return Ok((vec![count(target, select).await?], vec![COUNT.to_string()], Vec::new()));
    }
    if !asked.group_by.is_empty() || !asked.calls.is_empty() {
        let groups = groups(target, select, asked).await?;
        let (fields, names) = group_columns(target.schema(), &groups, outputs)?;
        return Ok((fields, names, Vec::new()));
    }
    if select.filter.is_none() && asked.window.is_none() {
        return Err(invalid("empty expression should be used with limit"));
    }
    let primary = &target.schema().primary()?.name;
    let outputs = Outputs::new(target.schema(), outputs)?.with_first(primary);
    let (batch, _memory, elements) = rows(target, select, asked, &outputs).await?;
    Ok((columns(target.schema(), &batch, &outputs)?, outputs.names, elements))
}

/// The groups in order, those of the window.
async fn groups(
    target: &Target,
    select: &Selection,
    asked: &Asked,
) -> Result<RecordBatch, Failure> {
    let batch = aggregate::aggregate(target, select, &asked.group_by, &asked.calls).await?;
    let mut order: Vec<u32> = (0..).take(batch.num_rows()).collect();
    if !asked.order.is_empty() {
        let rows = values::ordered_by(&batch, &asked.order)?;
        order.sort_by(|a, b| rows.row(*a as usize).cmp(&rows.row(*b as usize)));
    }
    let (offset, limit) = asked.window.unwrap_or((0, usize::MAX));
    let wanted: UInt32Array = order.into_iter().skip(offset).take(limit).collect::<Vec<_>>().into();
    take_record_batch(&batch, &wanted).map_err(|e| Error::from(e).into())
}

/// The columns that were asked for, in that order; without any, the group fields.
fn group_columns(
    schema: &CollectionSchema,
    batch: &RecordBatch,
    outputs: &[String],
) -> Result<(Vec<FieldData>, Vec<String>), Failure> {
    let all = || batch.schema().fields().iter().map(|f| f.name().clone()).collect();
    let names: Vec<String> = match outputs {
        [] => all(),
        _ => outputs.iter().map(|name| name.trim().to_string()).collect(),
    };
    let mut fields = Vec::with_capacity(names.len());
    for name in &names {
        let column = batch.column_by_name(name);
        let column = column.ok_or_else(|| internal(format!("column {name} was not made")))?;
        fields.push(results::computed_to_wire(schema, name, column)?);
    }
    Ok((fields, names))
}

/// Offset and limit, if there is a limit; an offset alone means nothing, as in Milvus.
fn window(params: &Params, most: usize) -> Result<Option<(usize, usize)>, Failure> {
    match params.integer("limit")? {
        None => Ok(None),
        Some(limit) => result_window(params.integer("offset")?.unwrap_or(0), limit, most).map(Some),
    }
}

async fn count(target: &Target, select: &Selection) -> Result<FieldData, Failure> {
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
    asked: &Asked,
    outputs: &Outputs,
) -> Result<(RecordBatch, Reservation, Vec<ElementIndices>), Failure> {
    let filter = select.filter.as_ref().and_then(|f| f.elements());
    let (rows, elements) = match filter {
        Some(filter) => {
            let elements = Elements { filter, window: asked.window, after: asked.after.as_ref() };
            let ordered = match asked.order.is_empty() {
                true => None,
                false => Some(order::rows(target, select, &asked.order, None).await?),
            };
            let found = elements.found(target, select, ordered).await?;
            let indices = elements::to_wire(&found);
            (found.into_iter().map(|(row, _)| row).collect(), indices)
        }
        None => (whole_rows(target, select, asked).await?, Vec::new()),
    };
    let memory = target.snapshot.answer_memory(rows.len(), &outputs.columns).await?;
    Ok((target.snapshot.fetch(&rows, &outputs.columns).await?, memory, elements))
}

/// The rows of the window, in order.
async fn whole_rows(
    target: &Target,
    select: &Selection,
    asked: &Asked,
) -> Result<Vec<RowAddress>, Failure> {
    if asked.order.is_empty() {
        let (offset, limit) =
            asked.window.map_or((0, None), |(offset, limit)| (offset, Some(limit)));
        Ok(target.snapshot.select(select, RowOrder::Key, offset, limit).await?)
    } else {
        order::rows(target, select, &asked.order, asked.window).await
    }
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
    let columns = outputs.columns.iter().map(column).collect::<Result<_, _>>()?;
    Ok(structs::gather(schema, columns))
}
