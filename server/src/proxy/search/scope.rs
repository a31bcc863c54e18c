//! What a hybrid search makes of the elements that its parts find: they are joined as they are where all parts
//! are on one struct, else each row counts once, with a score that its elements make.

use std::collections::HashMap;

use elanus_engine::api::{Hit, Metric};
use elanus_engine::core::structs::split_name;
use serde_json::Value;

use super::part::Part;
use crate::convert::invalid;
use crate::convert::params::Grouping;
use crate::status::Failure;

/// The parameter that says it.
const SCOPE: &str = "element_scope";

/// How the elements of one row make its score.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Collapse {
    /// The best one's.
    Max,
    /// The sum of all, or of the best few.
    Sum(Option<usize>),
}

impl Collapse {
    /// Reads it from the parameters of a search.
    ///
    /// # Errors
    /// If it is not known, or sums up scores of which lower ones are better.
    pub fn read(scope: Option<&Value>, metric: Metric) -> Result<Option<Self>, Failure> {
        let Some(scope) = scope else { return Ok(None) };
        let read = match scope {
            Value::String(text) => serde_json::from_str(text).ok(),
            other => Some(other.clone()),
        };
        let collapse = read.as_ref().and_then(|s| s.get("collapse"));
        let strategy = collapse.and_then(|c| c.get("strategy")).and_then(Value::as_str);
        let topk = collapse.and_then(|c| c.get("topk")).and_then(Value::as_u64);
        let topk = topk.and_then(|n| usize::try_from(n).ok()).filter(|n| *n > 0);
        let known = match (strategy, topk) {
            (Some("max"), _) => Self::Max,
            (Some("sum"), _) => Self::Sum(None),
            (Some("topk_sum"), Some(topk)) => Self::Sum(Some(topk)),
            (Some("topk_sum"), None) => {
                return Err(invalid(format!("{SCOPE}.collapse.topk must be greater than 0")));
            }
            _ => {
                return Err(invalid(format!(
                    "{SCOPE}.collapse.strategy must be max, sum or topk_sum, got: {scope}"
                )));
            }
        };
        if known != Self::Max && !metric.higher_is_nearer() {
            return Err(invalid(format!(
                "{SCOPE}.collapse.strategy {} is only supported for metrics of which higher scores are \
                 better, got {}",
                strategy.unwrap_or_default(),
                metric.name()
            )));
        }
        Ok(Some(known))
    }

    /// The scope of a search.
    pub fn of(part: &Part) -> Option<&Value> {
        part.params.raw.get(SCOPE)
    }

    /// Of each row one hit; rows of equal scores stay in the order of their best elements.
    pub fn rows(self, lists: Vec<Vec<Hit>>, higher: bool) -> Vec<Vec<Hit>> {
        lists.into_iter().map(|list| self.row_list(list, higher)).collect()
    }

    fn row_list(self, list: Vec<Hit>, higher: bool) -> Vec<Hit> {
        let mut rows: Vec<(Hit, usize)> = Vec::new();
        let mut places = HashMap::new();
        for hit in list {
            let at = *places.entry((hit.row.unit, hit.row.row)).or_insert_with(|| {
                rows.push((Hit { element: None, ..hit }, 0));
                rows.len() - 1
            });
            let Some((row, count)) = rows.get_mut(at) else { continue };
            let counts = match self {
                Self::Max => false,
                Self::Sum(most) => most.is_none_or(|most| *count < most),
            };
            // The first one's score is there already.
            if counts && *count > 0 {
                row.score += hit.score;
            }
            *count += 1;
        }
        let mut hits: Vec<Hit> = rows.into_iter().map(|(hit, _)| hit).collect();
        hits.sort_by(|a, b| match higher {
            true => b.score.total_cmp(&a.score),
            false => a.score.total_cmp(&b.score),
        });
        hits
    }
}

/// Tells each part what becomes of its elements.
///
/// # Errors
/// If a grouping or a scope does not go with elements, in Milvus's words.
pub(super) fn settle(
    parts: &mut [Part],
    grouping: Option<&Grouping>,
    primary: &str,
) -> Result<(), Failure> {
    let structs: Vec<Option<&str>> = parts
        .iter()
        .map(|part| {
            part.is_of_elements().then(|| split_name(part.field()).map(|(of, _)| of)).flatten()
        })
        .collect();
    let first = structs.first().copied().flatten();
    let same = first.is_some() && structs.iter().all(|of| *of == first);
    let any = structs.iter().any(Option::is_some);
    if let Some(grouping) = grouping.filter(|_| any) {
        if !same {
            return Err(invalid(
                "group by search is only supported for same-struct element-level vector array fields",
            ));
        }
        if grouping.fields != [primary.to_string()] {
            return Err(invalid(
                "only group by primary key is supported for same-struct element-level vector array \
                 fields",
            ));
        }
    }
    let of_elements: Vec<bool> = structs.iter().map(Option::is_some).collect();
    for (part, elements) in parts.iter_mut().zip(of_elements) {
        if !elements {
            continue;
        }
        let scope = Collapse::read(Collapse::of(part), part.metric)?;
        if same && scope.is_some() {
            return Err(invalid(
                "element_scope is not allowed for same-struct element-level hybrid search",
            ));
        }
        part.collapse = (!same).then(|| scope.unwrap_or(Collapse::Max));
    }
    Ok(())
}

/// Refuses a scope outside of hybrid searches, which is of no use there.
pub(super) fn refuse(part: &Part) -> Result<(), Failure> {
    match Collapse::of(part) {
        Some(_) => Err(invalid("element_scope is only supported in hybrid search")),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use elanus_engine::api::RowAddress;

    fn rows(collapse: Collapse) -> Vec<(u32, f32)> {
        let hit = |row, element, score| Hit {
            score,
            row: RowAddress { unit: 0, row },
            element: Some(element),
        };
        let list = vec![hit(1, 2, 1.0), hit(2, 0, 0.75), hit(2, 3, 0.5), hit(2, 1, 0.25)];
        let found = collapse.rows(vec![list], true).concat();
        assert!(found.iter().all(|h| h.element.is_none()));
        found.iter().map(|h| (h.row.row, h.score)).collect()
    }

    #[test]
    fn a_row_counts_by_its_elements() {
        assert_eq!(rows(Collapse::Max), [(1, 1.0), (2, 0.75)]);
        assert_eq!(rows(Collapse::Sum(None)), [(2, 1.5), (1, 1.0)]);
        assert_eq!(rows(Collapse::Sum(Some(2))), [(2, 1.25), (1, 1.0)]);
    }

    #[test]
    fn scopes_are_read() {
        let read = |text: &str, metric| {
            let scope = serde_json::from_str(text).unwrap_or_default();
            Collapse::read(Some(&scope), metric).map_err(|f| f.reason)
        };
        let top = r#"{"collapse": {"strategy": "topk_sum", "topk": 3}}"#;
        assert_eq!(read(top, Metric::Ip), Ok(Some(Collapse::Sum(Some(3)))));
        let words = read(top, Metric::L2).err().unwrap_or_default();
        assert!(words.contains("element_scope.collapse.strategy topk_sum is only supported"));
        let max = r#"{"collapse": {"strategy": "max"}}"#;
        assert_eq!(read(max, Metric::L2), Ok(Some(Collapse::Max)));
        assert!(read(r#"{"collapse": {"strategy": "topk_sum"}}"#, Metric::Ip).is_err());
        assert!(read(r#"{"collapse": {}}"#, Metric::Ip).is_err());
    }
}
