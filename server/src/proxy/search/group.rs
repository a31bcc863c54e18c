//! Grouping: for each query the best groups of rows that share a value, instead of the best rows.

use std::collections::HashMap;

use arrow::row::Rows;
use elanus_engine::api::{Hit, RowAddress};
use elanus_engine::core::schema::{CollectionSchema, DataType};

use super::part::Part;
use super::target::Target;
use super::values;
use crate::convert::params::{Grouping, Window};
use crate::convert::place::Place;
use crate::convert::{invalid, mismatch, schema as wire_schema, vectors};
use crate::status::{Failure, code};

/// The groups of each query, best group first, its rows together.
///
/// Rows are fetched in growing numbers until there are groups enough or no more rows.
pub(super) async fn grouped(
    target: &Target,
    part: &Part,
    grouping: &Grouping,
    window: Window,
) -> Result<Vec<Vec<Vec<Hit>>>, Failure> {
    if part.metric.is_binary() {
        let what = "not support search_group_by operation based on binary vector";
        return Err(mismatch(what, "a vector of numbers", part.metric.name()));
    }
    let places = places(target.schema(), grouping)?;
    let wanted = window.limit + window.offset;
    let mut top_k = wanted.saturating_mul(grouping.size * 2).max(64);
    loop {
        let hits = part.run(target, top_k).await?;
        let addresses: Vec<RowAddress> = hits.iter().flatten().map(|h| h.row).collect();
        let batch = values::fetch(&target.snapshot, &addresses, &places).await?;
        let rows = values::equal_by(&batch, &places)?;
        let mut from = 0;
        let mut answer = Vec::with_capacity(hits.len());
        let mut enough = true;
        for list in hits {
            let groups = Groups::gather(&list, &rows, from, grouping.size, wanted);
            from += list.len();
            enough &= list.len() < top_k || groups.enough(grouping, wanted);
            answer.push(groups.after(window.offset));
        }
        if enough {
            return Ok(answer);
        }
        top_k = top_k.saturating_mul(4);
    }
}

/// What the groups are made by.
pub(super) fn places(
    schema: &CollectionSchema,
    grouping: &Grouping,
) -> Result<Vec<Place>, Failure> {
    let names = &grouping.fields;
    let mut places = Vec::with_capacity(names.len());
    for name in names {
        let place = Place::resolve(schema, name)?.ok_or_else(|| {
            Failure::new(
                code::FIELD_NOT_FOUND,
                format!("groupBy field not found in schema: field not found[field={name}]"),
            )
        })?;
        if names.len() > 1 && !place.path.is_empty() {
            return Err(invalid(format!(
                "group_by with json path is not supported for multi-field group_by, field:{name}"
            )));
        }
        check_type(schema, &place)?;
        places.push(place);
    }
    if let (Some(path), [first]) = (&grouping.json_path, places.as_mut_slice())
        && first.json
    {
        let name =
            if path.starts_with('[') { format!("{}{path}", first.column) } else { path.clone() };
        let wrong = || invalid(format!("cannot parse identifier: {path}"));
        *first = Place::resolve(schema, &name)?.ok_or_else(wrong)?;
    }
    Ok(places)
}

/// Groups are made of values of some types only.
fn check_type(schema: &CollectionSchema, place: &Place) -> Result<(), Failure> {
    let Some(field) = schema.fields.iter().find(|f| f.name == place.column) else {
        return Ok(());
    };
    let kind = match field.data_type {
        DataType::Float => "FLOAT",
        DataType::Double => "DOUBLE",
        DataType::Array { .. } => "ARRAY",
        ref other => match vectors::type_name(wire_schema::wire_type(other)) {
            Some(name) => name,
            None => return Ok(()),
        },
    };
    Err(invalid(format!("unsupported data type {kind} for group by operator")))
}

#[derive(Default)]
struct Groups(Vec<Vec<Hit>>);

impl Groups {
    /// The first `wanted` groups among the hits, whose values begin at `from`.
    fn gather(hits: &[Hit], values: &Rows, from: usize, size: usize, wanted: usize) -> Self {
        let mut groups: Vec<Vec<Hit>> = Vec::new();
        let mut places: HashMap<&[u8], usize> = HashMap::new();
        for (row, hit) in (from..).zip(hits) {
            let value = values.row(row).data();
            match places.get(value) {
                Some(at) => {
                    if let Some(group) = groups.get_mut(*at).filter(|g| g.len() < size) {
                        group.push(*hit);
                    }
                }
                None if groups.len() < wanted => {
                    places.insert(value, groups.len());
                    groups.push(vec![*hit]);
                }
                None => {}
            }
        }
        Self(groups)
    }

    fn enough(&self, grouping: &Grouping, wanted: usize) -> bool {
        self.0.len() >= wanted
            && (!grouping.strict || self.0.iter().all(|g| g.len() >= grouping.size))
    }

    fn after(self, offset: usize) -> Vec<Vec<Hit>> {
        self.0.into_iter().skip(offset).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{ArrayRef, Int64Array};
    use arrow::row::{RowConverter, SortField};
    use elanus_engine::core::schema::FieldSchema;
    use std::sync::Arc;

    fn groups(values: &[Option<i64>], size: usize, wanted: usize) -> Option<Groups> {
        let column: ArrayRef = Arc::new(Int64Array::from(values.to_vec()));
        let kind = SortField::new(column.data_type().clone());
        let rows = RowConverter::new(vec![kind]).ok()?.convert_columns(&[column]).ok()?;
        let hits: Vec<Hit> = (0..values.len())
            .map(|i| Hit {
                score: i as f32,
                row: RowAddress { unit: 0, row: i as u32 },
                element: None,
            })
            .collect();
        Some(Groups::gather(&hits, &rows, 0, size, wanted))
    }

    fn rows(groups: Groups, offset: usize) -> Vec<u32> {
        groups.after(offset).iter().flatten().map(|h| h.row.row).collect()
    }

    #[test]
    fn groups_are_ordered_by_their_best_row_and_hold_size_rows() {
        let values = [Some(1), Some(2), Some(1), None, Some(2), Some(1), None];
        let two = groups(&values, 2, 2).map(|g| rows(g, 0));
        assert_eq!(two, Some(vec![0, 2, 1, 4]));
        let skipped = groups(&values, 2, 3).map(|g| rows(g, 1));
        assert_eq!(skipped, Some(vec![1, 4, 3, 6]));
    }

    #[test]
    fn strict_groups_must_be_full() {
        let strict = |strict| Grouping { size: 2, strict, ..Grouping::default() };
        let values = [Some(1), Some(2), Some(1)];
        let enough = |g: &Grouping| groups(&values, 2, 2).map(|found| found.enough(g, 2));
        assert_eq!(enough(&strict(false)), Some(true));
        assert_eq!(enough(&strict(true)), Some(false));
    }

    #[test]
    fn only_some_types_group() {
        let schema = CollectionSchema::new(vec![
            FieldSchema::new("i", DataType::Int8),
            FieldSchema::new("f", DataType::Float),
        ]);
        let check = |name: &str| {
            let grouping = Grouping { fields: vec![name.to_string()], ..Grouping::default() };
            places(&schema, &grouping).err().map(|f| f.code)
        };
        assert_eq!(check("i"), None);
        assert_eq!(check("f"), Some(1100));
        assert_eq!(check("x"), Some(1700));
    }
}
