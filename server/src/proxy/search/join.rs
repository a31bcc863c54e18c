//! The rows of one or several searches in one new order.

use std::cmp::Ordering;
use std::collections::HashMap;

use arrow::row::Rows;
use elanus_engine::api::{Hit, RowAddress};
use elanus_engine::core::key::Keys;

use super::group;
use super::rank::{Ranker, Total};
use super::target::Target;
use super::values;
use crate::convert::params::{Grouping, Window};
use crate::convert::{ids, internal, invalid};
use crate::status::Failure;

/// A row, or an element of one.
type Address = (RowAddress, Option<u32>);

fn address(hit: &Hit) -> Address {
    (hit.row, hit.element)
}

/// How groups are ordered by their rows' scores.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum GroupScorer {
    /// By the best row.
    Max,
    /// By the sum.
    Sum,
    /// By the mean.
    Avg,
}

impl GroupScorer {
    /// From `rank_group_scorer`.
    pub fn read(text: Option<&str>) -> Result<Self, Failure> {
        match text.unwrap_or("max").to_ascii_lowercase().as_str() {
            "max" => Ok(Self::Max),
            "sum" => Ok(Self::Sum),
            "avg" => Ok(Self::Avg),
            other => Err(invalid(format!("invalid group scorer \"{other}\", must be max/sum/avg"))),
        }
    }

    /// Of scores with the best one first.
    fn score(self, group: &[Hit]) -> f32 {
        let sum: f32 = group.iter().map(|h| h.score).sum();
        match self {
            Self::Max => group.first().map_or(0.0, |h| h.score),
            Self::Sum => sum,
            Self::Avg => sum / group.len().max(1) as f32,
        }
    }
}

/// What is made of the searches.
pub(super) struct Joining<'a> {
    /// How scores are made.
    pub ranker: &'a Ranker,
    /// What part of the answer is wanted; of groups, if there are.
    pub window: Window,
    /// Groups, and what orders them.
    pub grouping: Option<(&'a Grouping, GroupScorer)>,
}

/// All rows that were found, and what is known of each.
struct Facts {
    places: HashMap<Address, usize>,
    keys: Keys,
    /// What a decay leaves of each row's score.
    factors: Option<Vec<f32>>,
    groups: Option<Rows>,
}

impl Facts {
    fn place(&self, hit: &Hit) -> usize {
        self.places.get(&address(hit)).copied().unwrap_or_default()
    }
}

/// The rows of all searches in one order for each query, as groups of one where nothing is grouped.
/// Equal scores are ordered by key.
pub(super) async fn joined(
    target: &Target,
    found: &[Vec<Vec<Hit>>],
    joining: &Joining<'_>,
) -> Result<Vec<Vec<Vec<Hit>>>, Failure> {
    let facts = facts(target, found, joining).await?;
    let queries = found.first().map_or(0, Vec::len);
    let window = joining.window;
    let order = |a: &Hit, b: &Hit| {
        let (one, other) = (facts.place(a), facts.place(b));
        better(joining.ranker, a.score, b.score)
            .then_with(|| facts.keys.compare(one, other))
            .then_with(|| a.element.cmp(&b.element))
    };
    let mut answer = Vec::with_capacity(queries);
    for query in 0..queries {
        let mut ranked = scored(found, query, joining.ranker, &facts);
        ranked.sort_by(order);
        let groups = match (&joining.grouping, &facts.groups) {
            (Some((grouping, scorer)), Some(values)) => {
                let mut groups = gathered(ranked, values, &facts, grouping.size);
                groups.sort_by(|a, b| {
                    better(joining.ranker, scorer.score(a), scorer.score(b))
                        .then_with(|| b.len().cmp(&a.len()))
                });
                groups
            }
            _ => ranked.into_iter().map(|hit| vec![hit]).collect(),
        };
        answer.push(groups.into_iter().skip(window.offset).take(window.limit).collect());
    }
    Ok(answer)
}

fn better(ranker: &Ranker, a: f32, b: f32) -> Ordering {
    match ranker.larger_is_better() {
        true => b.total_cmp(&a),
        false => a.total_cmp(&b),
    }
}

fn scored(found: &[Vec<Vec<Hit>>], query: usize, ranker: &Ranker, facts: &Facts) -> Vec<Hit> {
    let mut totals: HashMap<Address, (Hit, Total)> = HashMap::new();
    for (part, lists) in found.iter().enumerate() {
        for (rank, hit) in lists.get(query).into_iter().flatten().enumerate() {
            let share = ranker.share(part, rank, hit.score);
            totals
                .entry(address(hit))
                .and_modify(|(_, total)| total.add(share))
                .or_insert_with(|| (*hit, Total::new(share)));
        }
    }
    let rescored = totals.into_values().map(|(hit, total)| {
        let factor = facts.factors.as_ref().and_then(|f| f.get(facts.place(&hit)));
        let score = ranker.score(total) * factor.copied().unwrap_or(1.0);
        Hit { score, ..hit }
    });
    rescored.collect()
}

/// Rows of equal values together, at most `size` of each, in the order of their first ones.
fn gathered(ranked: Vec<Hit>, values: &Rows, facts: &Facts, size: usize) -> Vec<Vec<Hit>> {
    let mut groups: Vec<Vec<Hit>> = Vec::new();
    let mut places: HashMap<&[u8], usize> = HashMap::new();
    for hit in ranked {
        let value = values.row(facts.place(&hit)).data();
        let at = *places.entry(value).or_insert_with(|| {
            groups.push(Vec::new());
            groups.len() - 1
        });
        if let Some(group) = groups.get_mut(at).filter(|g| g.len() < size) {
            group.push(hit);
        }
    }
    groups
}

async fn facts(
    target: &Target,
    found: &[Vec<Vec<Hit>>],
    joining: &Joining<'_>,
) -> Result<Facts, Failure> {
    let mut places = HashMap::new();
    let mut rows = Vec::new();
    for hit in found.iter().flatten().flatten() {
        places.entry(address(hit)).or_insert_with(|| {
            rows.push(hit.row);
            rows.len() - 1
        });
    }
    let primary = target.schema().primary()?.name.clone();
    let decay = joining.ranker.decay();
    let group_places = match &joining.grouping {
        Some((grouping, _)) => Some(group::places(target.schema(), grouping)?),
        None => None,
    };
    let mut columns = values::columns_of(group_places.iter().flatten());
    let further = decay.map(|d| &d.field).into_iter().chain([&primary]);
    for name in further {
        if !columns.contains(name) {
            columns.push(name.clone());
        }
    }
    let batch = target.snapshot.fetch(&rows, &columns).await?;
    let factors = match decay {
        Some(decay) => {
            let column = batch.column_by_name(&decay.field);
            let absent = || internal(format!("field {} was not fetched", decay.field));
            Some(decay.factors(column.ok_or_else(absent)?)?)
        }
        None => None,
    };
    let groups = match &group_places {
        Some(places) => Some(values::equal_by(&batch, places)?),
        None => None,
    };
    Ok(Facts { keys: ids::key_column(&batch, &primary)?, places, factors, groups })
}
