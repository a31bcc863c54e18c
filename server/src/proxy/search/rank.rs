//! How the places and scores of several searches, or of one, become a new score.

use std::f32::consts::PI;

use elanus_engine::api::Metric;
use elanus_engine::core::schema::{CollectionSchema, DataType};
use elanus_proto::schema::{FunctionSchema, FunctionScore};

use super::decay::Decay;
use crate::convert::params::{Params, to_map};
use crate::convert::{invalid, mismatch, schema as wire_schema};
use crate::status::Failure;

/// The constant of reciprocal rank fusion when none is given.
const DEFAULT_K: f64 = 60.0;

/// A way to join searches.
#[derive(Debug, PartialEq)]
pub(super) enum Ranker {
    /// Reciprocal rank fusion: a row's score is the sum of `1 / (k + rank)`, ranks counted from 1.
    /// Cormack, Clarke, Büttcher: "Reciprocal Rank Fusion outperforms Condorcet and individual rank
    /// learning methods", SIGIR 2009.
    Rrf { k: f64 },
    /// The weighted sum of scores, each brought to one scale first.
    Weighted { parts: Vec<(f32, Scale)>, larger_is_better: bool },
    /// One of the scores or a mean of them, shrunk by a decay.
    Decay { mode: Mode, parts: Vec<Scale>, decay: Decay },
}

/// How the scores that several searches give one row become one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    /// The largest.
    Max,
    /// Their sum.
    Sum,
    /// Their mean.
    Avg,
}

/// How a score is brought to the scale of the others.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Scale {
    /// As it is.
    Raw,
    /// A distance from 0 up: 1 when it is 0, falling to 0.
    Distance,
    /// A cosine: from 0 to 1.
    Cosine,
    /// An inner product: from 0 to 1.
    Product,
    /// A score from 0 up: from 0 to 1.
    Words,
}

impl Scale {
    /// For a metric: to a range from 0 to 1, or (not `normal`) only so that larger is better.
    fn of(metric: Metric, normal: bool) -> Self {
        match metric {
            distance if !distance.higher_is_nearer() => Self::Distance,
            _ if !normal => Self::Raw,
            Metric::Cosine => Self::Cosine,
            Metric::Bm25 => Self::Words,
            _ => Self::Product,
        }
    }

    fn apply(self, score: f32) -> f32 {
        match self {
            Self::Raw => score,
            Self::Distance => 1.0 - 2.0 * score.atan() / PI,
            Self::Cosine => (1.0 + score) * 0.5,
            Self::Product => 0.5 + score.atan() / PI,
            Self::Words => 2.0 * score.atan() / PI,
        }
    }
}

/// The shares of one row, gathered.
#[derive(Debug, Clone, Copy)]
pub(super) struct Total {
    sum: f32,
    largest: f32,
    count: u16,
}

impl Total {
    /// With a first share.
    pub fn new(share: f32) -> Self {
        Self { sum: share, largest: share, count: 1 }
    }

    /// Adds a share.
    pub fn add(&mut self, share: f32) {
        self.sum += share;
        self.largest = self.largest.max(share);
        self.count = self.count.saturating_add(1);
    }
}

/// The one input field of a reranker.
pub(super) fn input_field<'a>(
    function: &'a FunctionSchema,
    reranker: &str,
) -> Result<&'a str, Failure> {
    match function.input_field_names.as_slice() {
        [one] => Ok(one),
        many => Err(invalid(format!(
            "rerank_builder: {reranker} reranker requires exactly 1 input field, got {}",
            many.len()
        ))),
    }
}

/// The reranker that a function names, in small letters.
pub(super) fn reranker(function: &FunctionSchema) -> String {
    let named = function.params.iter().find(|p| p.key.eq_ignore_ascii_case("reranker"));
    named.map(|p| p.value.trim().to_ascii_lowercase()).unwrap_or_default()
}

impl Ranker {
    /// From `rank_params`: `strategy` and its parameters. Without a strategy it is rrf.
    pub fn from_params(params: &Params, metrics: &[Metric]) -> Result<Self, Failure> {
        let name = params.text("strategy").unwrap_or("rrf").to_ascii_lowercase();
        Self::named(&name, params, metrics)
    }

    /// From the functions of a `function_score` that are no boosts: `None` if there is none.
    pub fn from_function(
        score: &FunctionScore,
        metrics: &[Metric],
        schema: &CollectionSchema,
    ) -> Result<Option<Self>, Failure> {
        if score.functions.is_empty() {
            return Err(invalid("rerank_builder: no rerank functions specified"));
        }
        let rest: Vec<_> = score.functions.iter().filter(|f| reranker(f) != "boost").collect();
        let function = match rest.as_slice() {
            [] => return Ok(None),
            [one] => *one,
            _ => {
                let why = "rerank_builder: currently only supports one rerank function";
                return Err(invalid(why));
            }
        };
        let params = Params::new(&function.params)?;
        match reranker(function).as_str() {
            "" => Err(Failure::missing("rerank_builder: reranker name not specified")),
            "rrf" => rrf(&params).map(Some),
            "weighted" => weighted(&params, metrics).map(Some),
            "decay" => decay(function, metrics, schema).map(Some),
            "model" => Err(model(function, schema)),
            other => Err(invalid(format!("rerank_builder: unsupported reranker {other}"))),
        }
    }

    fn named(name: &str, params: &Params, metrics: &[Metric]) -> Result<Self, Failure> {
        match name {
            "rrf" => rrf(params),
            "weighted" => weighted(params, metrics),
            other => Err(invalid(format!("unsupported rank type {other}"))),
        }
    }

    /// What one search gives the row that it has at a rank, counted from 0.
    pub fn share(&self, part: usize, rank: usize, score: f32) -> f32 {
        match self {
            Self::Rrf { k } => (1.0 / (k + rank as f64 + 1.0)) as f32,
            Self::Weighted { parts, .. } => {
                parts.get(part).map_or(0.0, |(weight, scale)| weight * scale.apply(score))
            }
            Self::Decay { parts, .. } => parts.get(part).map_or(score, |s| s.apply(score)),
        }
    }

    /// The score of a row with these shares, before a decay.
    pub fn score(&self, total: Total) -> f32 {
        match self {
            Self::Rrf { .. } | Self::Weighted { .. } => total.sum,
            Self::Decay { mode: Mode::Max, .. } => total.largest,
            Self::Decay { mode: Mode::Sum, .. } => total.sum,
            Self::Decay { mode: Mode::Avg, .. } => total.sum / f32::from(total.count),
        }
    }

    /// The decay, if it has one.
    pub fn decay(&self) -> Option<&Decay> {
        match self {
            Self::Decay { decay, .. } => Some(decay),
            Self::Rrf { .. } | Self::Weighted { .. } => None,
        }
    }

    /// Whether a larger joined score is the better one.
    pub fn larger_is_better(&self) -> bool {
        match self {
            Self::Rrf { .. } | Self::Decay { .. } => true,
            Self::Weighted { larger_is_better, .. } => *larger_is_better,
        }
    }
}

fn decay(
    function: &FunctionSchema,
    metrics: &[Metric],
    schema: &CollectionSchema,
) -> Result<Ranker, Failure> {
    let decay = Decay::read(function, schema)?;
    let given = to_map(&function.params);
    let mode = match given.get("score_mode").map(|m| m.to_ascii_lowercase()).as_deref() {
        None | Some("max") => Mode::Max,
        Some("sum") => Mode::Sum,
        Some("avg") => Mode::Avg,
        Some(other) => {
            return Err(invalid(format!(
                "unsupported score_mode: {other}, only supports [max, sum, avg]"
            )));
        }
    };
    let normal = given.get("norm_score").is_some_and(|v| v.eq_ignore_ascii_case("true"));
    let parts = metrics.iter().map(|metric| Scale::of(*metric, normal)).collect();
    Ok(Ranker::Decay { mode, parts, decay })
}

/// Services that Milvus calls.
const PROVIDERS: [&str; 8] =
    ["tei", "vllm", "cohere", "voyageai", "siliconflow", "ali", "dashscope", "huggingface"];

/// Why a model is not asked: what is wrong with the request, or that no model can be.
fn model(function: &FunctionSchema, schema: &CollectionSchema) -> Failure {
    let field = match input_field(function, "model") {
        Ok(name) => name,
        Err(failure) => return failure,
    };
    let Some(found) = schema.fields.iter().find(|f| f.name == field) else {
        return invalid(format!(
            "rerank_builder: input field {field} not found in collection schema"
        ));
    };
    if !matches!(found.data_type, DataType::VarChar { .. }) {
        return invalid(format!(
            "rerank_builder: model input field {field} must be VarChar, got {}",
            wire_schema::wire_type(&found.data_type).as_str_name()
        ));
    }
    let given = to_map(&function.params);
    match given.get("queries").map(|text| serde_json::from_str::<Vec<String>>(text)) {
        None => {
            return invalid("rerank_builder: rerank function missing required param: queries");
        }
        Some(Err(e)) => {
            return invalid(format!("rerank_builder: parse rerank params [queries] failed: {e}"));
        }
        Some(Ok(queries)) if queries.is_empty() => {
            return Failure::missing("rerank_builder: rerank queries must not be empty");
        }
        Some(Ok(_)) => {}
    }
    let provider = given.get("provider").map(|p| p.to_ascii_lowercase()).unwrap_or_default();
    if !PROVIDERS.contains(&provider.as_str()) {
        return invalid(format!("rerank_builder: unknown rerank model provider:{provider}"));
    }
    Failure::unsupported(format!(
        "reranker model is not supported: this server calls no model services ({provider})"
    ))
}

fn rrf(params: &Params) -> Result<Ranker, Failure> {
    let k = params
        .float("k")
        .map_err(|_| invalid("the type of rank param k should be float"))?
        .unwrap_or(DEFAULT_K);
    if k > 0.0 && k < 16_384.0 {
        return Ok(Ranker::Rrf { k });
    }
    Err(invalid("The rank params k should be in range (0, 16384)"))
}

fn weighted(params: &Params, metrics: &[Metric]) -> Result<Ranker, Failure> {
    let text = params
        .text("weights")
        .ok_or_else(|| invalid("rerank_builder: weighted reranker requires weights parameter"))?;
    let weights: Vec<f32> =
        serde_json::from_str(text).map_err(|e| invalid(format!("failed to parse weights: {e}")))?;
    if weights.iter().any(|w| !(0.0..=1.0).contains(w)) {
        return Err(invalid("rank param weight should be in range [0, 1]"));
    }
    if weights.len() != metrics.len() {
        return Err(mismatch(
            "the length of weights param mismatch with ann search requests",
            metrics.len(),
            weights.len(),
        ));
    }
    let normal = params
        .truth("norm_score")
        .map_err(|_| invalid("the type of rank param norm_score should be bool"))?;
    let larger = metrics.iter().filter(|m| m.higher_is_nearer()).count();
    let mixed = larger != 0 && larger != metrics.len();
    let scale = |metric: Metric| match normal || mixed {
        true => Scale::of(metric, normal),
        false => Scale::Raw,
    };
    Ok(Ranker::Weighted {
        parts: weights.into_iter().zip(metrics.iter().map(|m| scale(*m))).collect(),
        larger_is_better: normal || larger != 0,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use elanus_engine::core::schema::FieldSchema;
    use elanus_proto::common::KeyValuePair;

    fn pairs(list: &[(&str, &str)]) -> Vec<KeyValuePair> {
        list.iter().map(|(k, v)| KeyValuePair { key: (*k).into(), value: (*v).into() }).collect()
    }

    fn ranker(list: &[(&str, &str)], metrics: &[Metric]) -> Result<Ranker, String> {
        let params = Params::new(&pairs(list)).map_err(|f| f.reason)?;
        Ranker::from_params(&params, metrics).map_err(|f| f.reason)
    }

    #[test]
    fn rrf_counts_places() -> Result<(), String> {
        let rrf = ranker(&[("strategy", "rrf"), ("params", "{\"k\": 10}")], &[])?;
        assert_eq!(rrf.share(0, 0, 99.0), 1.0 / 11.0);
        assert_eq!(ranker(&[], &[])?, Ranker::Rrf { k: 60.0 });
        Ok(())
    }

    #[test]
    fn weighted_scores_share_one_direction() -> Result<(), String> {
        let both = [Metric::L2, Metric::Ip];
        let given = |norm| {
            let params = format!("{{\"weights\": [0.5, 1], \"norm_score\": {norm}}}");
            move |metrics: &[Metric]| {
                ranker(&[("strategy", "weighted"), ("params", &params)], metrics)
            }
        };
        let mixed = given(false)(&both)?;
        assert!(mixed.larger_is_better());
        assert_eq!((mixed.share(0, 0, 0.0), mixed.share(1, 0, 3.0)), (0.5, 3.0));
        let distances = given(false)(&[Metric::L2, Metric::L2])?;
        assert!(!distances.larger_is_better());
        assert_eq!(distances.share(0, 0, 4.0), 2.0);
        let normal = given(true)(&[Metric::Cosine, Metric::L2])?;
        assert_eq!((normal.share(0, 0, 1.0), normal.share(1, 0, 0.0)), (0.5, 1.0));
        Ok(())
    }

    #[test]
    fn bad_rankers_are_refused() {
        let weighted =
            |params| ranker(&[("strategy", "weighted"), ("params", params)], &[Metric::L2]);
        for (got, words) in [
            (weighted("{\"weights\": [2]}"), "rank param weight should be in range [0, 1]"),
            (weighted("{\"weights\": [1, 1]}"), "the length of weights param mismatch"),
            (weighted("{}"), "requires weights parameter"),
            (
                ranker(&[("params", "{\"k\": 0}")], &[]),
                "rank params k should be in range (0, 16384)",
            ),
            (ranker(&[("strategy", "x")], &[]), "unsupported rank type x"),
        ] {
            let reason = got.err().unwrap_or_default();
            assert!(reason.contains(words), "{reason}");
        }
    }

    fn from_function(params: &[(&str, &str)], inputs: &[&str]) -> Result<Option<Ranker>, Failure> {
        let schema = CollectionSchema::new(vec![
            FieldSchema::new("n", DataType::Int64),
            FieldSchema::new("s", DataType::VarChar { max_length: 9 }),
        ]);
        let function = FunctionSchema {
            params: pairs(params),
            input_field_names: inputs.iter().map(|s| s.to_string()).collect(),
            ..Default::default()
        };
        let score = FunctionScore { functions: vec![function], params: vec![] };
        Ranker::from_function(&score, &[Metric::L2], &schema)
    }

    #[test]
    fn a_function_names_the_same_rankers() {
        let rrf = from_function(&[("reranker", "rrf"), ("k", "5")], &[]);
        assert_eq!(rrf, Ok(Some(Ranker::Rrf { k: 5.0 })));
        assert!(from_function(&[("reranker", "weighted"), ("weights", "[0.1]")], &[]).is_ok());
        assert_eq!(from_function(&[("reranker", "boost")], &[]), Ok(None));
        let decay = [("reranker", "decay"), ("function", "exp"), ("origin", "0"), ("scale", "1")];
        let ranker = from_function(&decay, &["n"]).ok().flatten();
        assert!(ranker.is_some_and(|r| r.larger_is_better() && r.share(0, 0, 0.0) == 1.0));
    }

    #[test]
    fn models_are_refused_after_their_request_is_checked() {
        let model = |extra: &[(&str, &str)], inputs: &[&str]| {
            let params: Vec<_> = [("reranker", "model")].iter().chain(extra).copied().collect();
            from_function(&params, inputs).err().map(|f| (f.code, f.reason)).unwrap_or_default()
        };
        let queries = ("queries", "[\"x\"]");
        assert!(model(&[], &["n"]).1.contains("must be VarChar, got Int64"));
        assert!(model(&[], &["s"]).1.contains("missing required param: queries"));
        assert!(model(&[queries], &["s"]).1.contains("unknown rerank model provider"));
        assert_eq!(model(&[queries, ("provider", "tei")], &["s"]).0, 10);
    }

    #[test]
    fn totals_are_joined_by_mode() {
        let mut total = Total::new(1.0);
        total.add(3.0);
        let score = |mode: &str| {
            let params = [
                ("reranker", "decay"),
                ("function", "exp"),
                ("origin", "0"),
                ("scale", "1"),
                ("score_mode", mode),
            ];
            from_function(&params, &["n"]).ok().flatten().map(|r| r.score(total))
        };
        assert_eq!(score("max"), Some(3.0));
        assert_eq!(score("sum"), Some(4.0));
        assert_eq!(score("avg"), Some(2.0));
        assert_eq!(score("min"), None);
    }
}
