//! `random_sample(0.1)`: of the rows that match, some.

use std::sync::{Arc, Mutex, PoisonError};

use datafusion::arrow::array::BooleanArray;
use elanus_engine::core::runtime::random_id;

use super::ast::{Kind, Node};
use super::fault::{Fault, Outcome};
use super::translate::{Meaning, Translator};
use super::value::Value;

/// The name of the function.
pub(super) const NAME: &str = "random_sample";
/// How near the share may be to none or all.
const MARGIN: f64 = 1e-10;

/// Thins out what matches, over all batches of one filter: of `n` rows `max(1, n × share)`, cut to a whole number.
#[derive(Debug, Clone)]
pub(super) struct Sampler(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    share: f64,
    random: u64,
    matched: u64,
    taken: u64,
}

impl Sampler {
    fn new(share: f64, seed: u64) -> Self {
        Self(Arc::new(Mutex::new(State { share, random: seed, matched: 0, taken: 0 })))
    }

    /// Some of the rows that match.
    pub fn thin(&self, truth: &BooleanArray) -> BooleanArray {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).thin(truth)
    }
}

impl State {
    fn thin(&mut self, truth: &BooleanArray) -> BooleanArray {
        let mut left = truth.true_count() as u64;
        self.matched += left;
        let all = ((self.matched as f64 * self.share) as u64).max(u64::from(self.matched > 0));
        let mut wanted = all.saturating_sub(self.taken).min(left);
        self.taken += wanted;
        let mut pick = || {
            // Each row that is left is as likely as any other.
            let picked = self.random() % left.max(1) < wanted;
            left = left.saturating_sub(1);
            wanted -= u64::from(picked);
            picked
        };
        truth.iter().map(|v| v.map(|matches| matches && pick())).collect()
    }

    /// SplitMix64.
    fn random(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.random ^ (self.random >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

/// Takes `random_sample` off the end of a filter; what is left is the filter proper.
pub(super) fn split(node: Node, translator: &Translator<'_>) -> Outcome<(Node, Option<Sampler>)> {
    let is_sample = |n: &Node| matches!(&n.kind, Kind::Call(name, _) if name == NAME);
    if is_sample(&node) {
        let sampler = read(&node, translator)?;
        return Ok((Node { kind: Kind::Bool(true), ..node }, Some(sampler)));
    }
    match node.kind {
        Kind::And(mut parts) if parts.last().is_some_and(is_sample) => {
            let sampler = match parts.pop() {
                Some(sample) => read(&sample, translator)?,
                None => return Err(Fault::new("'and' joins nothing")),
            };
            let rest = match parts.len() {
                1 => parts.swap_remove(0),
                _ => Node { kind: Kind::And(parts), ..node },
            };
            Ok((rest, Some(sampler)))
        }
        kind => Ok((Node { kind, ..node }, None)),
    }
}

fn read(node: &Node, translator: &Translator<'_>) -> Outcome<Sampler> {
    let args = match &node.kind {
        Kind::Call(_, args) => args.as_slice(),
        _ => &[],
    };
    let [share] = args else {
        return Err(Fault::at(node.start, "random_sample takes one number between 0 and 1"));
    };
    let text = translator.source(share);
    match translator.meaning(share)? {
        Meaning::Const(Value::Float(v)) if v > MARGIN && v < 1.0 - MARGIN => {
            Ok(Sampler::new(v, random_id()))
        }
        Meaning::Const(Value::Float(_) | Value::Int(_)) => Err(Fault::new(format!(
            "the sample factor should be between 0 and 1 and not too close to 0 or 1(the difference \
             should be larger than 1e-10), but got {text}"
        ))),
        _ => Err(Fault::new(format!(
            "\"float factor\" should be a const float expression: \"float factor\" passed: {text}"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_share_of_all_matches_is_taken_whatever_the_batches() {
        for seed in 0..20 {
            for (share, sizes, expected) in [
                (0.5, &[100][..], 50),
                (0.01, &[7, 5, 60], 1),
                (0.3, &[1; 100], 30),
                (0.9, &[10, 0, 3], 11),
                (0.5, &[0], 0),
            ] {
                let sampler = Sampler::new(share, seed);
                let taken: usize = sizes
                    .iter()
                    .map(|size| {
                        let truth = BooleanArray::from_iter(
                            (0..2 * size).map(|i| (i % 4 != 3).then_some(i % 2 == 0)),
                        );
                        let thin = sampler.thin(&truth);
                        assert_eq!(thin.len(), truth.len());
                        let only = thin.iter().zip(&truth);
                        assert!(only.into_iter().all(|(a, b)| a != Some(true) || b == Some(true)));
                        thin.true_count()
                    })
                    .sum();
                assert_eq!(taken, expected, "seed {seed}, share {share}, {sizes:?}");
            }
        }
    }
}
