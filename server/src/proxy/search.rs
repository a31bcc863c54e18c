//! Vector search, alone and joined.

mod answer;
mod group;
mod hybrid;
mod iterator;
pub(crate) mod outputs;
mod part;
pub(crate) mod target;

use elanus_engine::api::Hit;
use elanus_proto::schema::SearchResultData;
use elanus_proto::service::{SearchRequest, SearchResults};

use crate::context::Context;
use crate::proxy::dml::refuse_namespace;
use crate::status::{Failure, ok_status};
use answer::Shown;
pub use hybrid::hybrid_search;
use outputs::Outputs;
use part::Part;
use target::Target;

/// The nearest rows of each query vector.
pub async fn search(
    ctx: &Context,
    database: &str,
    request: SearchRequest,
) -> Result<SearchResults, Failure> {
    refuse_extras(&request)?;
    let name = request.collection_name.clone();
    let target = Target::open(ctx, database, &name, &request.partition_names)?
        .with_clock(&request.search_params)?;
    let outputs = Outputs::new(target.schema(), &request.output_fields)?;
    let limits = &ctx.engine.settings().limits;
    let part = Part::read(&target, request, None, limits).await?;
    let window = part.params.window;
    let mut next_page = None;
    let hits = match (&part.params.page, &part.params.grouping) {
        (Some(page), _) => {
            let (hits, next) = iterator::page(&target, &part, page).await?;
            next_page = Some(next);
            vec![hits]
        }
        (None, Some(grouping)) => group::grouped(&target, &part, grouping).await?,
        (None, None) => {
            let hits = part.run(&target, window.limit + window.offset).await?;
            hits.into_iter().map(|list| skipped(list, window.offset)).collect()
        }
    };
    let grouped_by = part.params.grouping.as_ref().map_or(&[][..], |g| &g.fields);
    let shown = Shown { outputs: &outputs, round_decimal: window.round_decimal, grouped_by };
    let mut data = answer::assemble(&target, &hits, &shown).await?;
    data.search_iterator_v2_results = next_page;
    Ok(results(&target, name, data))
}

fn skipped(mut hits: Vec<Hit>, offset: usize) -> Vec<Hit> {
    hits.drain(..offset.min(hits.len()));
    hits
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
        (request.function_score.is_some(), "a function score in a plain search"),
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
