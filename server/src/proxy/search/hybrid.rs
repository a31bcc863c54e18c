//! Hybrid search: several vector searches over one snapshot, joined into one order.

use elanus_engine::api::Hit;
use elanus_proto::service::{HybridSearchRequest, SearchRequest, SearchResults};
use futures::future::try_join_all;

use super::answer::{self, Shown};
use super::group;
use super::join::{GroupScorer, Joining, joined};
use super::order;
use super::outputs::Outputs;
use super::part::{Outer, Part};
use super::rank::Ranker;
use super::scope;
use super::target::Target;
use super::{refuse_extras, results};
use crate::context::Context;
use crate::convert::params::{Asker, Grouping, Params, Window, grouping, order_keys, rank_window};
use crate::convert::{invalid, mismatch};
use crate::proxy::dml::refuse_namespace;
use crate::status::Failure;

/// Most searches in one request, as in Milvus.
const MAX_PARTS: usize = 1_024;

/// Searches in several ways and ranks what was found.
pub async fn hybrid_search(
    ctx: &Context,
    database: &str,
    mut request: HybridSearchRequest,
) -> Result<SearchResults, Failure> {
    refuse_namespace(request.namespace.as_deref())?;
    if !request.function_chains.is_empty() {
        return Err(Failure::unsupported("function chains are not supported"));
    }
    let name = &request.collection_name;
    let mut target = Target::open(ctx, database, name, &request.partition_names)?;
    // Clients name the time zone in the parts only.
    if let Some(part) = request.requests.first() {
        target = target.with_clock(&part.search_params)?;
    }
    let target = target.with_clock(&request.rank_params)?;
    let limits = &ctx.engine.settings().limits;
    let params = Params::new(&request.rank_params)?;
    let window = rank_window(&params, limits.max_top_k)?;
    let grouping = grouping(&params)?;
    let keys = match params.text("order_by_fields") {
        Some(text) => order_keys(target.schema(), text, Asker::Search)?,
        None => Vec::new(),
    };
    let outputs = Outputs::new(target.schema(), &request.output_fields)?;
    let boosts = request.function_score.as_ref();
    let outer = Outer { window, grouped: grouping.is_some(), boosts };
    let mut parts = parts(&target, std::mem::take(&mut request.requests), outer, limits).await?;
    scope::settle(&mut parts, grouping.as_ref(), &target.schema().primary()?.name)?;
    let metrics: Vec<_> = parts.iter().map(|p| p.metric).collect();
    let ranker = match &request.function_score {
        Some(score) => Ranker::from_function(score, &metrics, target.schema())?,
        None => None,
    };
    let ranker = match ranker {
        Some(_) if !keys.is_empty() => return Err(super::both_orders()),
        Some(ranker) => ranker,
        None => Ranker::from_params(&params, &metrics)?,
    };
    let grouping = grouping.as_ref();
    let found = try_join_all(parts.iter().map(|p| found(&target, p, grouping, window))).await?;
    let scorer = GroupScorer::read(params.text("rank_group_scorer"))?;
    let joining = Joining { ranker: &ranker, window, grouping: grouping.map(|g| (g, scorer)) };
    let mut groups = joined(&target, &found, &joining).await?;
    order::sort(&target, &mut groups, &keys).await?;
    let hits: Vec<Vec<Hit>> = groups.into_iter().map(|g| g.concat()).collect();
    let shown = Shown { outputs: &outputs, round_decimal: window.round_decimal, grouping };
    let data = answer::assemble(&target, &hits, &shown).await?;
    Ok(results(&target, request.collection_name, data))
}

/// What one search finds: its best rows, or the rows of its best groups.
async fn found(
    target: &Target,
    part: &Part,
    grouping: Option<&Grouping>,
    outer: Window,
) -> Result<Vec<Vec<Hit>>, Failure> {
    let Some(grouping) = grouping else {
        return part.run(target, part.params.window.limit).await;
    };
    // As many groups as the answer needs, even where the part asks for fewer rows.
    let limit = part.params.window.limit.max(outer.limit + outer.offset);
    let window = Window { limit, offset: 0, round_decimal: None };
    let groups = group::grouped(target, part, grouping, window).await?;
    let mut hits: Vec<Vec<Hit>> = groups.into_iter().map(|g| g.concat()).collect();
    for list in &mut hits {
        list.sort_by(|a, b| match part.metric.higher_is_nearer() {
            true => b.score.total_cmp(&a.score),
            false => a.score.total_cmp(&b.score),
        });
    }
    Ok(hits)
}

async fn parts(
    target: &Target,
    requests: Vec<SearchRequest>,
    outer: Outer<'_>,
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
        let part = Part::read(target, request, Some(outer), limits).await?;
        if part.params.page.is_some() {
            return Err(Failure::unsupported("a hybrid search cannot be iterated"));
        }
        if let Some(first) = parts.first().filter(|p| p.query_count() != part.query_count()) {
            return Err(mismatch(
                "sub search request nq should be the same",
                first.query_count(),
                part.query_count(),
            ));
        }
        parts.push(part);
    }
    Ok(parts)
}
