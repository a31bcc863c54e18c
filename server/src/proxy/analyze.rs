//! What an analyzer makes of texts.

use elanus_engine::core::text::bm25::term;
use elanus_engine::core::text::{Analyzer, AnalyzerFault, Token};
use elanus_proto::service::{
    AnalyzerResult, AnalyzerToken, RunAnalyzerRequest, RunAnalyzerResponse,
};

use super::collection;
use crate::context::Context;
use crate::convert::{functions, invalid};
use crate::status::Failure;

/// Runs an analyzer, given by its parameters or by a collection's field.
pub async fn run(
    ctx: &Context,
    database: &str,
    request: RunAnalyzerRequest,
) -> Result<RunAnalyzerResponse, Failure> {
    if request.placeholder.is_empty() {
        return Ok(RunAnalyzerResponse::default());
    }
    let analyzers = match request.collection_name.is_empty() {
        true => vec![of_params(&request.analyzer_params)?],
        false => of_field(ctx, database, &request)?,
    };
    let mut results = Vec::with_capacity(request.placeholder.len());
    for (at, bytes) in request.placeholder.iter().enumerate() {
        let text = std::str::from_utf8(bytes).map_err(|_| invalid("a text is not UTF-8"))?;
        let analyzer = analyzers.get(at).or(analyzers.first());
        let tokens = analyzer.map(|a| a.tokens(text)).unwrap_or_default();
        let tokens = tokens.into_iter().map(|token| told(token, &request)).collect();
        results.push(AnalyzerResult { tokens });
    }
    Ok(RunAnalyzerResponse { status: None, results })
}

fn of_params(params: &str) -> Result<Analyzer, Failure> {
    Analyzer::from_json(params).map_err(failure)
}

fn failure(fault: AnalyzerFault) -> Failure {
    match fault.unsupported {
        true => Failure::unsupported(fault.why),
        false => invalid(fault.why),
    }
}

/// One analyzer for all texts, or one for each.
fn of_field(
    ctx: &Context,
    database: &str,
    request: &RunAnalyzerRequest,
) -> Result<Vec<Analyzer>, Failure> {
    let found = collection::find(ctx, database, &request.collection_name, 0)?;
    let schema = found.schema();
    if request.field_name.is_empty() {
        return Err(invalid("must set collection name and field name at once"));
    }
    let field = schema.field(&request.field_name)?;
    if field.params.get("enable_analyzer").is_none_or(|v| !v.eq_ignore_ascii_case("true")) {
        return Err(invalid(format!("field {} has no analyzer: set enable_analyzer", field.name)));
    }
    let own = functions::analyzer(field)?;
    let names = &request.analyzer_names;
    if names.len() > 1 && names.len() != request.placeholder.len() {
        return Err(invalid("analyzer names must be one, or as many as there are texts"));
    }
    let named = |name: Option<&str>| {
        let found = own.named(name).cloned();
        found.ok_or_else(|| invalid("the field has no default analyzer"))
    };
    match names.is_empty() {
        true => Ok(vec![named(None)?]),
        false => names.iter().map(|name| named(Some(name))).collect(),
    }
}

fn told(token: Token, request: &RunAnalyzerRequest) -> AnalyzerToken {
    let number = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
    let mut told = AnalyzerToken::default();
    if request.with_hash {
        told.hash = term(&token.text);
    }
    if request.with_detail {
        told.start_offset = number(token.start);
        told.end_offset = number(token.end);
        told.position = number(token.position);
        told.position_length = 1;
    }
    told.token = token.text;
    told
}
