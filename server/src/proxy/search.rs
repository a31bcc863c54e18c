//! Vector search, alone and joined.

mod answer;
mod boost;
mod decay;
mod group;
mod hybrid;
pub(crate) mod iterator;
mod join;
mod lists;
mod order;
pub(crate) mod outputs;
mod part;
mod rank;
mod scope;
pub(crate) mod target;
mod text;
pub(crate) mod values;

use elanus_engine::api::Hit;
use elanus_proto::schema::{FunctionScore, SearchResultData};
use elanus_proto::service::{SearchRequest, SearchResults};

use crate::context::Context;
use crate::convert::invalid;
use crate::convert::params::{Asker, Window, order_keys};
use crate::proxy::dml::refuse_namespace;
use crate::status::{Failure, ok_status};
use answer::Shown;
pub use hybrid::hybrid_search;
use join::{GroupScorer, Joining, joined};
use outputs::Outputs;
use part::Part;
use rank::Ranker;
use target::Target;

/// The nearest rows of each query vector.
pub async fn search(
    ctx: &Context,
    database: &str,
    mut request: SearchRequest,
) -> Result<SearchResults, Failure> {
    refuse_extras(&request)?;
    let name = request.collection_name.clone();
    let partitions = &request.partition_names;
    let target = match iterator::page_of(&request.search_params, request.guarantee_timestamp)? {
        Some(page) => Target::open_page(ctx, database, &name, partitions, page)?,
        None => Target::open(ctx, database, &name, partitions)?,
    };
    let target = target.with_clock(&request.search_params)?;
    let outputs = Outputs::new(target.schema(), &request.output_fields)?;
    let limits = &ctx.engine.settings().limits;
    let score = request.function_score.clone();
    let part = Part::read(&target, std::mem::take(&mut request), None, limits).await?;
    scope::refuse(&part)?;
    let window = part.params.window;
    let mut next_page = None;
    let hits = match &part.params.page {
        Some(_) if score.is_some() => {
            return Err(Failure::unsupported("a search iterator with a reranker is not supported"));
        }
        Some(page) => {
            let (hits, next) = iterator::page(&target, &part, page).await?;
            next_page = Some(next);
            vec![hits]
        }
        None => {
            let groups = found(&target, &part, score.as_ref()).await?;
            groups.into_iter().map(|groups| groups.concat()).collect()
        }
    };
    let grouping = part.params.grouping.as_ref();
    let shown = Shown { outputs: &outputs, round_decimal: window.round_decimal, grouping };
    let mut data = answer::assemble(&target, &hits, &shown).await?;
    data.search_iterator_v2_results = next_page;
    Ok(results(&target, name, data))
}

/// What a search that is no iterator finds, as groups; without grouping each row is one.
async fn found(
    target: &Target,
    part: &Part,
    score: Option<&FunctionScore>,
) -> Result<Vec<Vec<Vec<Hit>>>, Failure> {
    let schema = target.schema();
    let ranker = match score {
        Some(score) => Ranker::from_function(score, &[part.metric], schema)?,
        None => None,
    };
    let keys = match &part.params.order_by {
        Some(text) => order_keys(schema, text, Asker::Search)?,
        None => Vec::new(),
    };
    if !keys.is_empty() && (ranker.is_some() || part.is_boosted()) {
        return Err(both_orders());
    }
    let window = part.params.window;
    let grouping = part.params.grouping.as_ref();
    // A ranker orders anew what was found, so it is it that skips.
    let first = match ranker {
        Some(_) => Window { limit: window.limit + window.offset, offset: 0, ..window },
        None => window,
    };
    let mut groups = match grouping {
        Some(grouping) => group::grouped(target, part, grouping, first).await?,
        None => {
            let lists = part.run(target, window.limit + window.offset).await?;
            let after = |list: Vec<Hit>| list.into_iter().skip(first.offset).map(|h| vec![h]);
            lists.into_iter().map(|list| after(list).collect()).collect()
        }
    };
    if let Some(ranker) = &ranker {
        let lists = groups.into_iter().map(|groups| groups.concat()).collect();
        let grouping = grouping.map(|g| (g, GroupScorer::Max));
        let joining = Joining { ranker, window, grouping };
        groups = joined(target, &[lists], &joining).await?;
    }
    order::sort(target, &mut groups, &keys).await?;
    Ok(groups)
}

fn both_orders() -> Failure {
    invalid(
        "order_by and function rerank cannot be used together: they specify conflicting sort \
         criteria",
    )
}

/// The answer around its data.
fn results(target: &Target, collection_name: String, mut data: SearchResultData) -> SearchResults {
    target.clock.show(&mut data.fields_data);
    target.clock.show(data.group_by_field_value.as_mut_slice());
    target.clock.show(&mut data.group_by_field_values);
    SearchResults {
        status: Some(ok_status()),
        results: Some(data),
        collection_name,
        session_ts: target.snapshot.timestamp(),
    }
}

/// Refuses what a search may ask for and this server does not do.
fn refuse_extras(request: &SearchRequest) -> Result<(), Failure> {
    refuse_namespace(request.namespace.as_deref())?;
    let extras = [
        (!request.function_chains.is_empty(), "function chains"),
        (request.highlighter.is_some(), "a highlighter"),
        (request.search_aggregation.is_some(), "search aggregation"),
        (!request.sub_reqs.is_empty(), "sub requests of a plain search"),
    ];
    match extras.iter().find(|(asked, _)| *asked) {
        Some((_, what)) => Err(Failure::unsupported(format!("{what}: not supported"))),
        None => Ok(()),
    }
}
