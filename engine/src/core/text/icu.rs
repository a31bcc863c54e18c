//! Words by Unicode's rules, with the dictionaries and models of ICU for the scripts that write no spaces.

use icu_segmenter::WordSegmenter;
use icu_segmenter::options::WordBreakInvariantOptions;

use super::Token;

/// What stands between two breaks, white space and punctuation too; a word's position counts characters.
pub(super) fn tokens(text: &str) -> Vec<Token> {
    let breaks = WordSegmenter::new_auto(WordBreakInvariantOptions::default()).segment_str(text);
    let (mut start, mut position) = (0, 0);
    let mut tokens = Vec::new();
    for end in breaks.filter(|end| *end > 0) {
        let word = text.get(start..end).unwrap_or_default();
        tokens.push(Token { text: word.to_string(), position, start, end });
        position += word.chars().count();
        start = end;
    }
    tokens
}
