//! How hard a search tries: one number, the recall that is wanted of it.

use std::fmt;

use super::error::{Error, Result, Subject};

/// The effort of a vector search is one number: the share of the true nearest rows that the answer
/// should hold, 0 < effort ≤ 1. At 1 every allowed row is compared exactly. Below it, a search stops
/// looking when it expects to have found that share; how many lists and rows that takes is the index's
/// business, and so are the parameters of other systems (`nprobe`, `ef`, …), which are translated to an
/// effort before they come here.
///
/// It never changes how many rows are answered: that is `min(k, matches)` at any effort.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct Effort(f32);

impl Effort {
    /// Every allowed row is compared exactly.
    pub const EXACT: Self = Self(1.0);
    /// What a search without a wish gets.
    pub const DEFAULT: Self = Self(0.98);

    /// An effort for a wanted recall.
    ///
    /// # Errors
    /// `InvalidRequest` if `recall` is not in (0, 1].
    pub fn new(recall: f32) -> Result<Self> {
        if recall > 0.0 && recall <= 1.0 {
            return Ok(Self(recall));
        }
        Err(Error::invalid(
            Subject::Request,
            format!(
                "search effort {recall} is not a recall: give a number above 0 and at most 1, \
                 1 for exact search"
            ),
        ))
    }

    /// The recall that is wanted, 0 < recall ≤ 1.
    pub const fn recall(self) -> f32 {
        self.0
    }

    /// Whether every allowed row must be compared exactly.
    pub fn is_exact(self) -> bool {
        self.0 >= 1.0
    }
}

impl Default for Effort {
    fn default() -> Self {
        Self::DEFAULT
    }
}

impl fmt::Display for Effort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.is_exact() {
            true => f.write_str("exact"),
            false => write!(f, "{}", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_effort_is_a_recall_above_zero_and_at_most_one() {
        for bad in [0.0, -0.1, 1.000_1, f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            assert!(Effort::new(bad).is_err(), "{bad}");
        }
        for good in [f32::MIN_POSITIVE, 0.5, 0.98, 1.0] {
            assert_eq!(Effort::new(good).map(Effort::recall).ok(), Some(good));
        }
    }

    #[test]
    fn only_one_is_exact() {
        assert!(Effort::EXACT.is_exact() && !Effort::DEFAULT.is_exact());
        assert!(!Effort(0.999_9).is_exact());
        assert_eq!(
            (Effort::EXACT.to_string(), Effort::DEFAULT.to_string()),
            ("exact".into(), "0.98".into())
        );
    }
}
