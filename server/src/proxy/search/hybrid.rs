//! Hybrid search: several vector searches over one snapshot, joined into one order.

mod rank;

use std::collections::HashMap;

use elanus_engine::api::{Hit, RowAddress};
use elanus_engine::core::key::Keys;
use elanus_proto::service::{HybridSearchRequest, SearchRequest, SearchResults};
use futures::future::try_join_all;

use super::answer::{self, Shown};
use super::outputs::Outputs;
use super::part::Part;
use super::target::Target;
use super::{refuse_extras, results};
use crate::context::Context;
use crate::convert::params::{Params, Window, rank_window};
use crate::convert::{ids, invalid, mismatch};
use crate::proxy::dml::refuse_namespace;
use crate::status::Failure;
use rank::Ranker;

/// Most searches in one request, as in Milvus.
const MAX_PARTS: usize = 1_024;

/// Searches in several ways and ranks what was found.
pub async fn hybrid_search(
    ctx: &Context,
    database: &str,
    request: HybridSearchRequest,
) -> Result<SearchResults, Failure> {
    refuse_namespace(request.namespace.as_deref())?;
    if !request.function_chains.is_empty() {
        return Err(Failure::unsupported("function chains are not supported"));
    }
    let name = &request.collection_name;
    let target = Target::open(ctx, database, name, &request.partition_names)?
        .with_clock(&request.rank_params)?;
    let limits = &ctx.engine.settings().limits;
    let params = Params::new(&request.rank_params)?;
    params.refuse(&["group_by_field", "group_by_fields", "group_size", "strict_group_size"])?;
    params.refuse(&["order_by_fields"])?;
    let window = rank_window(&params, limits.max_top_k)?;
    let outputs = Outputs::new(target.schema(), &request.output_fields)?;
    let parts = parts(&target, request.requests, window, limits).await?;
    let metrics: Vec<_> = parts.iter().map(|p| p.metric).collect();
    let ranker = match &request.function_score {
        Some(score) => Ranker::from_function(score, &metrics)?,
        None => Ranker::from_params(&params, &metrics)?,
    };
    let found = try_join_all(parts.iter().map(|p| p.run(&target, p.params.window.limit))).await?;
    let hits = joined(&target, &found, &ranker, window).await?;
    let shown = Shown { outputs: &outputs, round_decimal: window.round_decimal, grouped_by: &[] };
    let data = answer::assemble(&target, &hits, &shown).await?;
    Ok(results(&target, request.collection_name, data))
}

async fn parts(
    target: &Target,
    requests: Vec<SearchRequest>,
    window: Window,
    limits: &elanus_engine::core::settings::LimitSettings,
) -> Result<Vec<Part>, Failure> {
    if requests.is_empty() || requests.len() > MAX_PARTS {
        return Err(invalid(format!(
            "maximum of ann search requests is {MAX_PARTS} and minimum is 1, but got {}",
            requests.len()
        )));
    }
    let mut parts: Vec<Part> = Vec::with_capacity(requests.len());
    for request in requests {
        refuse_extras(&request)?;
        let part = Part::read(target, request, Some(window), limits).await?;
        if part.params.page.is_some() {
            return Err(Failure::unsupported("a hybrid search cannot be iterated"));
        }
        if let Some(first) = parts.first().filter(|p| p.queries.len() != part.queries.len()) {
            return Err(mismatch(
                "sub search request nq should be the same",
                first.queries.len(),
                part.queries.len(),
            ));
        }
        parts.push(part);
    }
    Ok(parts)
}

type Address = (u32, u32);

fn address(row: RowAddress) -> Address {
    (row.unit, row.row)
}

/// The rows of all parts in one order for each query; equal scores are ordered by key.
async fn joined(
    target: &Target,
    found: &[Vec<Vec<Hit>>],
    ranker: &Ranker,
    window: Window,
) -> Result<Vec<Vec<Hit>>, Failure> {
    let (places, keys) = keys_of(target, found).await?;
    let queries = found.first().map_or(0, Vec::len);
    let mut answer = Vec::with_capacity(queries);
    for query in 0..queries {
        let mut scores: HashMap<Address, Hit> = HashMap::new();
        for (part, lists) in found.iter().enumerate() {
            for (rank, hit) in lists.get(query).into_iter().flatten().enumerate() {
                let share = ranker.share(part, rank, hit.score);
                let total = scores.entry(address(hit.row));
                total.and_modify(|h| h.score += share).or_insert(Hit { score: share, ..*hit });
            }
        }
        let mut ranked: Vec<Hit> = scores.into_values().collect();
        let place = |hit: &Hit| places.get(&address(hit.row)).copied().unwrap_or_default();
        ranked.sort_by(|a, b| {
            let better = b.score.total_cmp(&a.score);
            let better = if ranker.larger_is_better() { better } else { better.reverse() };
            better.then_with(|| keys.compare(place(a), place(b)))
        });
        answer.push(ranked.into_iter().skip(window.offset).take(window.limit).collect());
    }
    Ok(answer)
}

/// The keys of all rows that were found, and where each row's key is.
async fn keys_of(
    target: &Target,
    found: &[Vec<Vec<Hit>>],
) -> Result<(HashMap<Address, usize>, Keys), Failure> {
    let mut places = HashMap::new();
    let mut rows = Vec::new();
    for hit in found.iter().flatten().flatten() {
        places.entry(address(hit.row)).or_insert_with(|| {
            rows.push(hit.row);
            rows.len() - 1
        });
    }
    let primary = target.schema().primary()?.name.clone();
    let batch = target.snapshot.fetch(&rows, std::slice::from_ref(&primary)).await?;
    Ok((places, ids::key_column(&batch, &primary)?))
}
