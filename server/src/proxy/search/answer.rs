//! Rows that were found, as the flat columns of an answer.

use elanus_engine::api::{Hit, RowAddress};
use elanus_engine::core::key::Keys;
use elanus_proto::schema::{FieldData, LongArray, SearchResultData};

use super::group;
use super::outputs::Outputs;
use super::target::Target;
use super::values;
use crate::convert::params::Grouping;
use crate::convert::place::Place;
use crate::convert::{ids, internal, results, structs};
use crate::status::Failure;

/// How hits are shown.
pub(super) struct Shown<'a> {
    /// The fields.
    pub outputs: &'a Outputs,
    /// Decimals of scores.
    pub round_decimal: Option<u32>,
    /// What made the groups.
    pub grouping: Option<&'a Grouping>,
}

/// The answer with these hits, one list for each query, best first.
pub(super) async fn assemble(
    target: &Target,
    hits: &[Vec<Hit>],
    shown: &Shown<'_>,
) -> Result<SearchResultData, Failure> {
    let primary = target.schema().primary()?.name.clone();
    let groups: Vec<Place> = match shown.grouping {
        Some(grouping) => group::places(target.schema(), grouping)?,
        None => Vec::new(),
    };
    let mut columns = vec![primary.clone()];
    let grouped_by = values::columns_of(groups.iter());
    for name in shown.outputs.columns.iter().chain(&grouped_by) {
        if !columns.contains(name) {
            columns.push(name.clone());
        }
    }
    let rows: Vec<RowAddress> = hits.iter().flatten().map(|h| h.row).collect();
    let _memory = target.snapshot.answer_memory(rows.len(), &columns).await?;
    let batch = target.snapshot.fetch(&rows, &columns).await?;
    let wire = |name: &String| -> Result<FieldData, Failure> {
        let column = batch.column_by_name(name);
        let column = column.ok_or_else(|| internal(format!("field {name} was not fetched")))?;
        results::to_wire(target.schema(), name, column)
    };
    let keys: Keys = ids::key_column(&batch, &primary)?;
    let mut group_values = Vec::with_capacity(groups.len());
    for place in &groups {
        group_values.push(match place.json {
            false => wire(&place.column)?,
            true => results::json_to_wire(&place.column, &values::whole(&batch, place)?)?,
        });
    }
    let scores = hits.iter().flatten();
    Ok(SearchResultData {
        num_queries: count(hits.len()),
        top_k: hits.iter().map(|h| count(h.len())).max().unwrap_or(0),
        fields_data: structs::gather(
            target.schema(),
            shown.outputs.columns.iter().map(wire).collect::<Result<_, _>>()?,
        ),
        scores: scores.map(|h| rounded(h.score, shown.round_decimal)).collect(),
        ids: Some(ids::to_wire(&keys)),
        topks: hits.iter().map(|h| count(h.len())).collect(),
        output_fields: shown.outputs.names.clone(),
        group_by_field_value: group_values.first().cloned(),
        group_by_field_values: group_values,
        primary_field_name: primary,
        element_indices: element_indices(hits),
        ..Default::default()
    })
}

/// The places of the elements that were found in their arrays; none where rows were.
fn element_indices(hits: &[Vec<Hit>]) -> Option<LongArray> {
    let data: Option<Vec<i64>> =
        hits.iter().flatten().map(|hit| hit.element.map(i64::from)).collect();
    data.filter(|data| !data.is_empty()).map(|data| LongArray { data })
}

fn count(n: usize) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

fn rounded(score: f32, decimals: Option<u32>) -> f32 {
    let Some(decimals) = decimals else { return score };
    let scale = 10f64.powi(i32::try_from(decimals).unwrap_or(0));
    ((f64::from(score) * scale).round() / scale) as f32
}

#[cfg(test)]
mod tests {
    use super::rounded;

    #[test]
    fn scores_are_rounded_only_when_asked() {
        assert_eq!(rounded(1.23456, None), 1.23456);
        assert_eq!(rounded(1.23456, Some(2)), 1.23);
        assert_eq!(rounded(-1.5, Some(0)), -2.0);
    }
}
