//! Text to words: analyzers as Milvus's parameters describe them.
//!
//! | tokenizer | words |
//! |---|---|
//! | `standard` | runs of letters and digits |
//! | `whitespace` | what stands between white space |
//! | `jieba` | Chinese words, by a dictionary |
//! | `icu` | what stands between Unicode's word breaks, spaces too |
//! | `char_group` | what stands between the characters of its `delimiters` |
//!
//! | ready-made `type` | made of |
//! |---|---|
//! | `standard` | `standard`, lower case, `stop_words` |
//! | `english` | `standard`, lower case, English stems, English stop words, `stop_words` |
//! | `chinese` | `jieba`, words with a Chinese character or an ASCII letter or digit, `stop_words` |
//!
//! Tokenizers that need other dictionaries (`lindera`, `thai`, …) are refused.

pub mod bm25;
mod chinese;
mod field;
mod filters;
mod icu;
mod options;

use chinese::Chinese;
pub use field::{FieldAnalyzer, fill_outputs};
use filters::Filter;
use options::{Options, list, unsupported};

/// Why an analyzer cannot be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AnalyzerFault {
    /// What is wrong, or what Milvus has and this engine has not.
    pub why: String,
    /// Whether Milvus knows it.
    pub unsupported: bool,
}

impl AnalyzerFault {
    fn invalid(why: impl Into<String>) -> Self {
        Self { why: why.into(), unsupported: false }
    }
}

/// A word of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// The word, as the filters left it.
    pub text: String,
    /// Its number among the words that the tokenizer found.
    pub position: usize,
    /// Where it begins in the text, in bytes.
    pub start: usize,
    /// Where it ends.
    pub end: usize,
}

#[derive(Debug, Clone, PartialEq)]
enum Tokenizer {
    Standard,
    Whitespace,
    Chars(Vec<Delimiter>),
    Chinese(Chinese),
    Icu,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Delimiter {
    One(char),
    Whitespace,
    Letter,
    Digit,
    AsciiWhitespace,
    AsciiLetter,
    AsciiPunctuation,
}

impl Delimiter {
    fn is(self, c: char) -> bool {
        match self {
            Self::One(own) => own == c,
            Self::Whitespace => c.is_whitespace(),
            Self::Letter => c.is_alphabetic(),
            Self::Digit => c.is_ascii_digit(),
            Self::AsciiWhitespace => c.is_ascii_whitespace(),
            Self::AsciiLetter => c.is_ascii_alphabetic(),
            Self::AsciiPunctuation => c.is_ascii_punctuation(),
        }
    }

    fn read(text: &str) -> Result<Self, AnalyzerFault> {
        let mut chars = text.chars();
        if let (Some(one), None) = (chars.next(), chars.next()) {
            return Ok(Self::One(one));
        }
        Ok(match text {
            "whitespace" => Self::Whitespace,
            "letter" => Self::Letter,
            "digit" | "ascii_digit" => Self::Digit,
            "ascii_whitespace" => Self::AsciiWhitespace,
            "ascii_letter" => Self::AsciiLetter,
            "ascii_punctuation" => Self::AsciiPunctuation,
            "punctuation" | "symbol" => return Err(unsupported("char group", text)),
            _ => {
                let why = format!("{text} not a char or name of build-in char group");
                return Err(AnalyzerFault::invalid(why));
            }
        })
    }
}

/// What turns a text into words.
#[derive(Debug, Clone, PartialEq)]
pub struct Analyzer {
    tokenizer: Tokenizer,
    filters: Vec<Filter>,
}

impl Default for Analyzer {
    fn default() -> Self {
        Self { tokenizer: Tokenizer::Standard, filters: vec![Filter::Lowercase] }
    }
}

impl Analyzer {
    /// From Milvus's parameters as JSON; an empty text or object is the standard analyzer.
    ///
    /// # Errors
    /// What is wrong in them, or not built.
    pub fn from_json(text: &str) -> Result<Self, AnalyzerFault> {
        if text.trim().is_empty() {
            return Ok(Self::default());
        }
        let read = |e| AnalyzerFault::invalid(format!("analyzer params are no JSON object: {e}"));
        Self::from_options(&serde_json::from_str::<Options>(text).map_err(read)?)
    }

    fn from_options(options: &Options) -> Result<Self, AnalyzerFault> {
        if options.is_empty() {
            return Ok(Self::default());
        }
        if let Some(kind) = options.get("type") {
            let kind = kind.as_str();
            return Self::ready_made(
                kind.ok_or_else(|| AnalyzerFault::invalid("analyzer type should be string"))?,
                options,
            );
        }
        let tokenizer = options.get("tokenizer");
        let tokenizer = tokenizer
            .ok_or_else(|| AnalyzerFault::invalid("tokenizer name or type must be set"))?;
        let mut filters = Vec::new();
        for (key, value) in options {
            match key.as_str() {
                "tokenizer" => {}
                "filter" => filters = Filter::read_all(value)?,
                other => {
                    let why = format!("unknown analyzer option key: {other}");
                    return Err(AnalyzerFault::invalid(why));
                }
            }
        }
        Ok(Self { tokenizer: options::tokenizer(tokenizer)?, filters })
    }

    fn ready_made(kind: &str, options: &Options) -> Result<Self, AnalyzerFault> {
        let mut analyzer = Self::default();
        match kind {
            "standard" => {}
            "english" => analyzer.filters.extend([Filter::stems("english")?, Filter::english()]),
            "chinese" => {
                analyzer.tokenizer = Tokenizer::Chinese(Chinese::default());
                analyzer.filters = vec![Filter::ChineseAlphaNumOnly];
            }
            "arabic" | "thai" => return Err(unsupported("analyzer", kind)),
            other => {
                let why = format!("unknown build-in analyzer type: {other}");
                return Err(AnalyzerFault::invalid(why));
            }
        }
        if let Some(words) = options.get("stop_words") {
            analyzer.filters.push(Filter::stop(list(words, "filter stop_words")?));
        }
        Ok(analyzer)
    }

    /// The words of a text in order.
    pub fn tokens(&self, text: &str) -> Vec<Token> {
        let mut tokens = match &self.tokenizer {
            Tokenizer::Standard => split(text, |c| !c.is_alphanumeric()),
            Tokenizer::Whitespace => split(text, |c| c.is_ascii_whitespace()),
            Tokenizer::Chinese(chinese) => chinese.tokens(text),
            Tokenizer::Icu => icu::tokens(text),
            Tokenizer::Chars(groups) => split(text, |c| groups.iter().any(|g| g.is(c))),
        };
        for filter in &self.filters {
            tokens.retain_mut(|token| filter.keep(&mut token.text));
        }
        tokens
    }
}

fn split(text: &str, between: impl Fn(char) -> bool) -> Vec<Token> {
    let words = text.split(between).filter(|word| !word.is_empty());
    words
        .enumerate()
        .map(|(position, word)| {
            let start = word.as_ptr() as usize - text.as_ptr() as usize;
            Token { text: word.to_string(), position, start, end: start + word.len() }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(params: &str, text: &str) -> String {
        let analyzer = Analyzer::from_json(params).unwrap();
        let words: Vec<String> = analyzer.tokens(text).into_iter().map(|t| t.text).collect();
        words.join("|")
    }

    #[test]
    fn texts_become_words() {
        for (params, text, expected) in [
            ("", "The Quick, brown_fox's 2nd Öl!", "the|quick|brown|fox|s|2nd|öl"),
            (r#"{"tokenizer": "standard"}"#, "A-b", "A|b"),
            (r#"{"tokenizer": "whitespace"}"#, " A-b\tc\n", "A-b|c"),
            (r#"{"tokenizer": "whitespace", "filter": ["lowercase"]}"#, "A-b C", "a-b|c"),
            (r#"{"type": "standard", "stop_words": ["of", "_english_"]}"#, "Of the sea", "sea"),
            (
                r#"{"type": "english"}"#,
                "The runners were running to machines",
                "runner|were|run|machin",
            ),
            (
                r#"{"tokenizer": {"type": "char_group", "delimiters": ["/", "whitespace"]}}"#,
                "a/b c.d",
                "a|b|c.d",
            ),
            (
                r#"{"tokenizer": "standard", "filter": ["asciifolding", {"type": "length", "max": 4}]}"#,
                "Crème brûlée été",
                "ete",
            ),
            (
                r#"{"tokenizer": "standard", "filter": [{"type": "stop", "stop_words": ["a"]}, {"type": "stemmer", "language": "english"}]}"#,
                "a searching A",
                "search|A",
            ),
            (
                r#"{"type": "chinese"}"#,
                "我来到北京清华大学。ok",
                "我|来到|北京|清华|华大|大学|清华大学|ok",
            ),
            (
                r#"{"tokenizer": {"type": "jieba", "mode": "exact", "hmm": false}}"#,
                "清华大学 a",
                "清华大学| |a",
            ),
            (
                r#"{"tokenizer": "icu"}"#,
                "Ab, 中文测试 駅です ภาษาไทย",
                "Ab|,| |中文|测试| |駅|です| |ภาษา|ไทย",
            ),
            (r#"{"tokenizer": "icu"}"#, "", ""),
            (r#"{"tokenizer": "standard", "filter": ["cncharonly"]}"#, "ab 中文 x", "中文"),
        ] {
            assert_eq!(words(params, text), expected, "{params}");
        }
    }

    #[test]
    fn words_know_their_places() {
        let analyzer = Analyzer::from_json(r#"{"type": "english"}"#).unwrap();
        let tokens = analyzer.tokens("é, the sea");
        let places: Vec<_> = tokens.iter().map(|t| (t.position, t.start, t.end)).collect();
        assert_eq!(places, [(0, 0, 2), (2, 8, 11)]);
    }

    #[test]
    fn wrong_parameters_are_refused() {
        for (params, why, unsupported) in [
            ("[]", "no JSON object", false),
            (r#"{"type": "klingon"}"#, "unknown build-in analyzer type: klingon", false),
            (r#"{"type": 3}"#, "analyzer type should be string", false),
            (r#"{"filter": []}"#, "tokenizer name or type must be set", false),
            (r#"{"tokenizer": "words"}"#, "unsupported tokenizer: words", false),
            (r#"{"tokenizer": "lindera"}"#, "tokenizer lindera is not supported", true),
            (
                r#"{"tokenizer": {"type": "jieba", "dict": ["x"]}}"#,
                "dict with own words is not supported",
                true,
            ),
            (r#"{"tokenizer": {"type": "jieba", "mode": "x"}}"#, "mode must be \"exact\"", false),
            (r#"{"tokenizer": "standard", "x": 1}"#, "unknown analyzer option key: x", false),
            (r#"{"tokenizer": "standard", "filter": 1}"#, "filter params should be array", false),
            (r#"{"tokenizer": "standard", "filter": ["x"]}"#, "filter not found :x", false),
        ] {
            let fault = Analyzer::from_json(params).unwrap_err();
            assert!(fault.why.contains(why), "{params}: {}", fault.why);
            assert_eq!(fault.unsupported, unsupported, "{params}");
        }
    }
}
