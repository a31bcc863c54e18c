//! What changes or drops words.

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use rust_stemmers::{Algorithm, Stemmer};
use serde_json::Value;

use super::AnalyzerFault;
use super::options::{Options, list, unsupported};

/// English words that say little, as search engines have long left them out.
const ENGLISH: [&str; 33] = [
    "a", "an", "and", "are", "as", "at", "be", "but", "by", "for", "if", "in", "into", "is", "it",
    "no", "not", "of", "on", "or", "such", "that", "the", "their", "then", "there", "these",
    "they", "this", "to", "was", "will", "with",
];

const LANGUAGES: [(&str, Algorithm); 18] = [
    ("arabic", Algorithm::Arabic),
    ("danish", Algorithm::Danish),
    ("dutch", Algorithm::Dutch),
    ("english", Algorithm::English),
    ("finnish", Algorithm::Finnish),
    ("french", Algorithm::French),
    ("german", Algorithm::German),
    ("greek", Algorithm::Greek),
    ("hungarian", Algorithm::Hungarian),
    ("italian", Algorithm::Italian),
    ("norwegian", Algorithm::Norwegian),
    ("portuguese", Algorithm::Portuguese),
    ("romanian", Algorithm::Romanian),
    ("russian", Algorithm::Russian),
    ("spanish", Algorithm::Spanish),
    ("swedish", Algorithm::Swedish),
    ("tamil", Algorithm::Tamil),
    ("turkish", Algorithm::Turkish),
];

/// Filters of Milvus's that need dictionaries or a further library.
const NOT_BUILT: [&str; 6] =
    ["pinyin", "arabic_normalization", "decompounder", "regex", "synonym", "decimaldigit"];

#[derive(Clone)]
pub(super) enum Filter {
    Lowercase,
    /// Letters with marks become plain ones.
    Fold,
    /// Words of ASCII letters and digits only.
    AlphaNumOnly,
    /// Words with a Chinese character.
    ChineseOnly,
    /// Words with a Chinese character, an ASCII letter or digit.
    ChineseAlphaNumOnly,
    /// No words with punctuation or white space.
    NoPunctuation,
    /// Words of at most so many bytes.
    Length(usize),
    Stop(Arc<HashSet<String>>),
    /// The language and its stemmer.
    Stem(&'static str, Arc<Stemmer>),
}

impl fmt::Debug for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self {
            Self::Lowercase => "lowercase",
            Self::Fold => "asciifolding",
            Self::AlphaNumOnly => "alphanumonly",
            Self::ChineseOnly => "cncharonly",
            Self::ChineseAlphaNumOnly => "cnalphanumonly",
            Self::NoPunctuation => "removepunct",
            Self::Length(most) => return write!(f, "length {most}"),
            Self::Stop(words) => {
                let mut words: Vec<_> = words.iter().collect();
                words.sort_unstable();
                return write!(f, "stop {words:?}");
            }
            Self::Stem(language, _) => return write!(f, "stemmer {language}"),
        };
        f.write_str(name)
    }
}

impl PartialEq for Filter {
    fn eq(&self, other: &Self) -> bool {
        format!("{self:?}") == format!("{other:?}")
    }
}

impl Filter {
    pub fn english() -> Self {
        Self::stop(ENGLISH.map(str::to_string).to_vec())
    }

    /// Drops words; `_english_` stands for the English ones.
    pub fn stop(words: Vec<String>) -> Self {
        let mut all: HashSet<String> = words.into_iter().collect();
        if all.remove("_english_") {
            all.extend(ENGLISH.map(str::to_string));
        }
        Self::Stop(Arc::new(all))
    }

    pub fn stems(language: &str) -> Result<Self, AnalyzerFault> {
        let known = LANGUAGES.iter().find(|(name, _)| language.eq_ignore_ascii_case(name));
        let (name, algorithm) = known.ok_or_else(|| {
            AnalyzerFault::invalid(format!("stemmer filter: unsupported language: {language}"))
        })?;
        Ok(Self::Stem(name, Arc::new(Stemmer::create(*algorithm))))
    }

    /// The filters of a list of names and objects.
    pub fn read_all(value: &Value) -> Result<Vec<Self>, AnalyzerFault> {
        let items = value.as_array();
        let items = items.ok_or_else(|| AnalyzerFault::invalid("filter params should be array"))?;
        items.iter().map(Self::read).collect()
    }

    fn read(value: &Value) -> Result<Self, AnalyzerFault> {
        match value {
            Value::String(name) => Self::named(name),
            Value::Object(options) => Self::from_options(options),
            _ => Err(AnalyzerFault::invalid("a filter should be string or dict")),
        }
    }

    fn named(name: &str) -> Result<Self, AnalyzerFault> {
        Ok(match name {
            "lowercase" => Self::Lowercase,
            "asciifolding" => Self::Fold,
            "alphanumonly" => Self::AlphaNumOnly,
            "cncharonly" => Self::ChineseOnly,
            "cnalphanumonly" => Self::ChineseAlphaNumOnly,
            "removepunct" => Self::NoPunctuation,
            name if NOT_BUILT.contains(&name) => return Err(unsupported("filter", name)),
            other => {
                let why = format!("build analyzer failed, filter not found :{other}");
                return Err(AnalyzerFault::invalid(why));
            }
        })
    }

    fn from_options(options: &Options) -> Result<Self, AnalyzerFault> {
        let invalid = AnalyzerFault::invalid;
        let kind = options.get("type").ok_or_else(|| invalid("no type field in filter params"))?;
        let kind = kind.as_str().ok_or_else(|| invalid("filter type should be string"))?;
        match kind {
            "length" => {
                let most = options.get("max").and_then(Value::as_u64);
                let most = most.ok_or_else(|| invalid("lenth max param was none or not uint"))?;
                Ok(Self::Length(usize::try_from(most).unwrap_or(usize::MAX)))
            }
            "stop" if options.contains_key("stop_words_file") => {
                Err(unsupported("filter option", "stop_words_file"))
            }
            "stop" => match options.get("stop_words") {
                Some(words) => Ok(Self::stop(list(words, "stop_words")?)),
                None => Ok(Self::stop(Vec::new())),
            },
            "stemmer" => {
                let language = options.get("language").and_then(Value::as_str);
                Self::stems(
                    language.ok_or_else(|| invalid("stemmer language field should be string"))?,
                )
            }
            name if NOT_BUILT.contains(&name) => Err(unsupported("filter", name)),
            other => Err(AnalyzerFault::invalid(format!("unsupport filter type: {other}"))),
        }
    }

    /// Changes a word; false: it is dropped.
    pub fn keep(&self, word: &mut String) -> bool {
        match self {
            Self::Lowercase => *word = word.to_lowercase(),
            Self::Fold => *word = word.chars().map(fold).collect(),
            Self::AlphaNumOnly => return word.chars().all(|c| c.is_ascii_alphanumeric()),
            Self::ChineseOnly => return word.chars().any(is_chinese),
            Self::ChineseAlphaNumOnly => {
                return word.chars().any(|c| c.is_ascii_alphanumeric() || is_chinese(c));
            }
            Self::NoPunctuation => {
                return !word.chars().any(|c| c.is_ascii_punctuation() || c.is_whitespace());
            }
            Self::Length(most) => return word.len() <= *most,
            Self::Stop(words) => return !words.contains(word),
            Self::Stem(_, stemmer) => *word = stemmer.stem(word).into_owned(),
        }
        true
    }
}

fn is_chinese(c: char) -> bool {
    matches!(c, '\u{2e80}'..='\u{2fdf}' | '\u{3005}' | '\u{3007}' | '\u{3021}'..='\u{3029}'
        | '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}' | '\u{f900}'..='\u{faff}'
        | '\u{20000}'..='\u{323af}')
}

/// Latin letters with marks, each row led by the letter that they become.
const FOLDED: [&str; 34] = [
    "AÀÁÂÃÄÅĀĂĄ",
    "aàáâãäåāăą",
    "CÇĆĈĊČ",
    "cçćĉċč",
    "DÐĎĐ",
    "dðďđ",
    "EÈÉÊËĒĔĖĘĚ",
    "eèéêëēĕėęě",
    "GĜĞĠĢ",
    "gĝğġģ",
    "HĤĦ",
    "hĥħ",
    "IÌÍÎÏĨĪĬĮİ",
    "iìíîïĩīĭįı",
    "KĶ",
    "kķ",
    "LĹĻĽĿŁ",
    "lĺļľŀł",
    "NÑŃŅŇ",
    "nñńņň",
    "OÒÓÔÕÖØŌŎŐ",
    "oòóôõöøōŏő",
    "RŔŖŘ",
    "rŕŗř",
    "SŚŜŞŠȘ",
    "sśŝşšș",
    "TŢŤŦȚ",
    "tţťŧț",
    "UÙÚÛÜŨŪŬŮŰŲ",
    "uùúûüũūŭůűų",
    "YÝŶŸ",
    "yýÿŷ",
    "ZŹŻŽ",
    "zźżž",
];

fn fold(c: char) -> char {
    if c.is_ascii() {
        return c;
    }
    let row = FOLDED.iter().find(|row| row.contains(c));
    row.and_then(|row| row.chars().next()).unwrap_or(c)
}
