//! How the places and scores of several searches become one score.

use std::f32::consts::PI;

use elanus_engine::api::Metric;
use elanus_proto::schema::FunctionScore;

use crate::convert::params::Params;
use crate::convert::{invalid, mismatch};
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
}

impl Scale {
    fn apply(self, score: f32) -> f32 {
        match self {
            Self::Raw => score,
            Self::Distance => 1.0 - 2.0 * score.atan() / PI,
            Self::Cosine => (1.0 + score) * 0.5,
            Self::Product => 0.5 + score.atan() / PI,
        }
    }
}

impl Ranker {
    /// From `rank_params`: `strategy` and its parameters. Without a strategy it is rrf.
    pub fn from_params(params: &Params, metrics: &[Metric]) -> Result<Self, Failure> {
        let name = params.text("strategy").unwrap_or("rrf").to_ascii_lowercase();
        Self::named(&name, params, metrics)
    }

    /// From a `function_score` with one rerank function.
    pub fn from_function(score: &FunctionScore, metrics: &[Metric]) -> Result<Self, Failure> {
        let [function] = score.functions.as_slice() else {
            return Err(Failure::unsupported(
                "a function score of other than one rerank function is not supported",
            ));
        };
        let params = Params::new(&function.params)?;
        let name = params.text("reranker").unwrap_or_default().to_ascii_lowercase();
        Self::named(&name, &params, metrics)
    }

    fn named(name: &str, params: &Params, metrics: &[Metric]) -> Result<Self, Failure> {
        match name {
            "rrf" => rrf(params),
            "weighted" => weighted(params, metrics),
            "" => Err(Failure::missing("reranker name not specified")),
            "decay" | "boost" | "model" => {
                Err(Failure::unsupported(format!("reranker {name} is not supported")))
            }
            other => Err(invalid(format!("unsupported rank type {other}"))),
        }
    }

    /// What one search adds to the score of the row that it has at a rank, counted from 0.
    pub fn share(&self, part: usize, rank: usize, score: f32) -> f32 {
        match self {
            Self::Rrf { k } => (1.0 / (k + rank as f64 + 1.0)) as f32,
            Self::Weighted { parts, .. } => {
                parts.get(part).map_or(0.0, |(weight, scale)| weight * scale.apply(score))
            }
        }
    }

    /// Whether a larger joined score is the better one.
    pub fn larger_is_better(&self) -> bool {
        match self {
            Self::Rrf { .. } => true,
            Self::Weighted { larger_is_better, .. } => *larger_is_better,
        }
    }
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
    let scale = |metric: Metric| match metric {
        distance if !distance.higher_is_nearer() && (normal || mixed) => Scale::Distance,
        Metric::Cosine if normal => Scale::Cosine,
        Metric::Ip if normal => Scale::Product,
        _ => Scale::Raw,
    };
    Ok(Ranker::Weighted {
        parts: weights.into_iter().zip(metrics.iter().map(|m| scale(*m))).collect(),
        larger_is_better: normal || larger != 0,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use elanus_proto::common::KeyValuePair;
    use elanus_proto::schema::FunctionSchema;

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

    #[test]
    fn a_function_names_the_same_rankers() {
        let function = |params: &[(&str, &str)]| {
            let function = FunctionSchema { params: pairs(params), ..Default::default() };
            let score = FunctionScore { functions: vec![function], params: vec![] };
            Ranker::from_function(&score, &[Metric::L2]).map_err(|f| f.code)
        };
        assert_eq!(function(&[("reranker", "rrf"), ("k", "5")]), Ok(Ranker::Rrf { k: 5.0 }));
        assert!(function(&[("reranker", "weighted"), ("weights", "[0.1]")]).is_ok());
        assert_eq!(function(&[("reranker", "decay")]), Err(10));
    }
}
