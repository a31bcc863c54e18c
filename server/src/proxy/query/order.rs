//! Rows of a query in the order of their fields.

use elanus_engine::api::{RowAddress, RowOrder, Selection};

use crate::convert::invalid;
use crate::convert::params::{Asker, OrderKey, Params, order_keys, split_order};
use crate::proxy::search::target::Target;
use crate::proxy::search::values;
use crate::status::Failure;

use super::aggregate::Call;

/// What orders the rows, and the checks that need no data.
pub(super) fn read(
    target: &Target,
    params: &Params,
    group_by: &[String],
    calls: &[Call],
    limited: bool,
) -> Result<Vec<OrderKey>, Failure> {
    let Some(text) = params.text("order_by_fields") else { return Ok(Vec::new()) };
    if !limited {
        return Err(invalid("ORDER BY requires explicit limit"));
    }
    if params.truth("iterator")? {
        return Err(invalid("ORDER BY with iterator is not supported"));
    }
    if !group_by.is_empty() || !calls.is_empty() {
        for entry in text.split(',').map(str::trim).filter(|entry| !entry.is_empty()) {
            check_target(split_order(entry).0, group_by)?;
        }
    }
    order_keys(target.schema(), text, Asker::Query)
}

fn check_target(name: &str, group_by: &[String]) -> Result<(), Failure> {
    if group_by.iter().any(|field| field.eq_ignore_ascii_case(name)) {
        return Ok(());
    }
    if name.contains('(') {
        return Err(invalid(format!(
            "ORDER BY on aggregate expression '{name}' is not yet supported"
        )));
    }
    Err(invalid(format!(
        "ORDER BY field '{name}' is not valid: when using GROUP BY or aggregates, ORDER BY can only \
         reference GROUP BY columns. Valid targets are: [{}]",
        group_by.join(" ")
    )))
}

/// The selected rows in order, those of a window; equals by primary key.
pub(super) async fn rows(
    target: &Target,
    select: &Selection,
    keys: &[OrderKey],
    window: Option<(usize, usize)>,
) -> Result<Vec<RowAddress>, Failure> {
    let (offset, limit) = window.unwrap_or((0, usize::MAX));
    let all = target.snapshot.select(select, RowOrder::Key, 0, None).await?;
    let places: Vec<_> = keys.iter().map(|k| k.place.clone()).collect();
    let batch = values::fetch(&target.snapshot, &all, &places).await?;
    let values = values::ordered_by(&batch, keys)?;
    let mut order: Vec<usize> = (0..all.len()).collect();
    let compare = |a: &usize, b: &usize| values.row(*a).cmp(&values.row(*b)).then_with(|| a.cmp(b));
    let wanted = offset.saturating_add(limit);
    if wanted < order.len() && wanted > 0 {
        order.select_nth_unstable_by(wanted - 1, compare);
        order.truncate(wanted);
    }
    order.sort_unstable_by(compare);
    let chosen = order.into_iter().skip(offset).take(limit);
    Ok(chosen.filter_map(|at| all.get(at).copied()).collect())
}
