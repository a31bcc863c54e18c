//! Chinese words, found with the dictionary of jieba.

use std::sync::OnceLock;

use jieba_rs::{Jieba, TokenizeMode};
use serde_json::Value;

use super::options::{Options, list, unsupported};
use super::{AnalyzerFault, Token};

/// How jieba cuts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Chinese {
    /// Whether long words are also given in parts.
    parts: bool,
    /// Whether words that the dictionary lacks are guessed.
    guess: bool,
}

impl Default for Chinese {
    fn default() -> Self {
        Self { parts: true, guess: true }
    }
}

/// The dictionary takes a while to read and some ten megabytes: once, when first asked.
fn dictionary() -> &'static Jieba {
    static DICTIONARY: OnceLock<Jieba> = OnceLock::new();
    DICTIONARY.get_or_init(Jieba::new)
}

impl Chinese {
    /// From the tokenizer's parameters.
    pub fn read(options: Option<&Options>) -> Result<Self, AnalyzerFault> {
        let mut chinese = Self::default();
        for (key, value) in options.into_iter().flatten() {
            match (key.as_str(), value) {
                ("type", _) => {}
                ("mode", Value::String(mode)) if mode == "search" => chinese.parts = true,
                ("mode", Value::String(mode)) if mode == "exact" => chinese.parts = false,
                ("mode", _) => {
                    let why = "jieba tokenizer mode must be \"exact\" or \"search\"";
                    return Err(AnalyzerFault::invalid(why));
                }
                ("hmm", Value::Bool(guess)) => chinese.guess = *guess,
                ("hmm", _) => {
                    return Err(AnalyzerFault::invalid("jieba tokenizer hmm must be boolean"));
                }
                ("dict", words) => {
                    if list(words, "jieba tokenizer dict")? != ["_default_"] {
                        return Err(unsupported("jieba tokenizer option", "dict with own words"));
                    }
                }
                (other, _) => return Err(unsupported("jieba tokenizer option", other)),
            }
        }
        Ok(chinese)
    }

    pub fn tokens(self, text: &str) -> Vec<Token> {
        let mode = if self.parts { TokenizeMode::Search } else { TokenizeMode::Default };
        let words = dictionary().tokenize(text, mode, self.guess);
        let token = |word: jieba_rs::Token<'_>| Token {
            text: word.word.to_string(),
            position: word.start,
            start: word.byte_start,
            end: word.byte_end,
        };
        words.into_iter().map(token).collect()
    }
}
