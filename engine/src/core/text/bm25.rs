//! BM25: rows of word counts as sparse vectors, and queries that score them.

use std::collections::BTreeMap;

use xxhash_rust::xxh3::xxh3_64;

use super::Analyzer;
use crate::core::sparse::pairs;

/// The position of a word in the sparse vectors. Two words share one about once in four thousand million
/// pairs; then they count as one.
pub fn term(word: &str) -> u32 {
    (xxh3_64(word.as_bytes()) % u64::from(u32::MAX)) as u32
}

/// How often each word stands in a text, by position.
pub fn counts(analyzer: &Analyzer, text: &str) -> BTreeMap<u32, u32> {
    let mut counts = BTreeMap::new();
    for token in analyzer.tokens(text) {
        *counts.entry(term(&token.text)).or_insert(0) += 1;
    }
    counts
}

/// The bytes of the sparse vector of counts.
pub fn row(counts: &BTreeMap<u32, u32>) -> Vec<u8> {
    let pair = |(term, count): (&u32, &u32)| {
        let count = *count as f32;
        term.to_le_bytes().into_iter().chain(count.to_le_bytes())
    };
    counts.iter().flat_map(pair).collect()
}

/// The knobs of BM25.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bm25 {
    /// How soon more of a word counts no more, 0 to 3.
    pub k1: f64,
    /// How much long texts are held back, 0 to 1.
    pub b: f64,
}

impl Default for Bm25 {
    fn default() -> Self {
        Self { k1: 1.2, b: 0.75 }
    }
}

/// What scores depend on besides a row: how the words asked for are spread over all rows.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Spread {
    rows: u64,
    words: f64,
    rows_of: BTreeMap<u32, u64>,
}

impl Spread {
    /// Of these words.
    pub fn of<'a>(terms: impl Iterator<Item = &'a u32>) -> Self {
        Self { rows_of: terms.map(|t| (*t, 0)).collect(), ..Self::default() }
    }

    /// Counts a row.
    pub fn add(&mut self, row: &[u8]) {
        self.rows += 1;
        for (term, count) in pairs(row) {
            self.words += f64::from(count);
            if let Some(rows) = self.rows_of.get_mut(&term) {
                *rows += 1;
            }
        }
    }

    fn rarity(&self, term: u32) -> f64 {
        let with = self.rows_of.get(&term).copied().unwrap_or(0) as f64;
        let rows = self.rows as f64;
        ((rows - with + 0.5) / (with + 0.5)).ln_1p()
    }
}

/// The words of a query, ready to score rows.
#[derive(Debug, Clone, PartialEq)]
pub struct TextQuery {
    /// Position and weight, by position.
    terms: Vec<(u32, f64)>,
    knobs: Bm25,
    mean_words: f64,
}

impl TextQuery {
    /// A query of counted words over rows so spread.
    pub fn new(counts: &BTreeMap<u32, u32>, spread: &Spread, knobs: Bm25) -> Self {
        let weigh = |(term, count): (&u32, &u32)| (*term, spread.rarity(*term) * f64::from(*count));
        let mean_words = spread.words / (spread.rows.max(1) as f64);
        Self { terms: counts.iter().map(weigh).collect(), knobs, mean_words }
    }

    /// The score of a row; `None` for one with no word of the query.
    pub fn score(&self, row: &[u8]) -> Option<f64> {
        let words: f64 = pairs(row).map(|(_, count)| f64::from(count)).sum();
        let Bm25 { k1, b } = self.knobs;
        let held = k1 * (1.0 - b + b * words / self.mean_words.max(f64::MIN_POSITIVE));
        let (mut sum, mut common) = (0.0, false);
        let mut query = self.terms.iter().peekable();
        for (term, count) in pairs(row) {
            while query.next_if(|(t, _)| *t < term).is_some() {}
            match query.peek() {
                Some((t, weight)) if *t == term => {
                    let count = f64::from(count);
                    sum += weight * count * (k1 + 1.0) / (count + held);
                    common = true;
                }
                Some(_) => {}
                None => break,
            }
        }
        common.then_some(sum)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_are_those_of_the_formula() {
        let analyzer = Analyzer::default();
        let texts = ["red fox red", "a fox", "nothing here at all", ""];
        let rows: Vec<Vec<u8>> = texts.iter().map(|t| row(&counts(&analyzer, t))).collect();
        let asked = counts(&analyzer, "red fox");
        let mut spread = Spread::of(asked.keys());
        rows.iter().for_each(|r| spread.add(r));
        let query = TextQuery::new(&asked, &spread, Bm25::default());
        // By hand: 4 rows, 9 words.
        let idf = |with: f64| (1.0 + (4.0 - with + 0.5) / (with + 0.5)).ln();
        let part =
            |count: f64, words: f64| count * 2.2 / (count + 1.2 * (0.25 + 0.75 * words / 2.25));
        let first = idf(1.0) * part(2.0, 3.0) + idf(2.0) * part(1.0, 3.0);
        assert!((query.score(&rows[0]).unwrap() - first).abs() < 1e-12);
        let second = idf(2.0) * part(1.0, 2.0);
        assert!((query.score(&rows[1]).unwrap() - second).abs() < 1e-12);
        assert_eq!((query.score(&rows[2]), query.score(&rows[3])), (None, None));
    }
}
