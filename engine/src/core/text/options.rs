//! Reading an analyzer's parameters.

use serde_json::{Map, Value};

use super::chinese::Chinese;
use super::{AnalyzerFault, Delimiter, Tokenizer};

/// Parameters by name.
pub(super) type Options = Map<String, Value>;

/// Tokenizers of Milvus's that need dictionaries, models or other servers.
const WITH_DICTIONARIES: [&str; 4] = ["lindera", "thai", "language_identifier", "grpc"];

pub(super) fn unsupported(what: &str, name: &str) -> AnalyzerFault {
    AnalyzerFault { why: format!("{what} {name} is not supported"), unsupported: true }
}

/// A list of texts.
pub(super) fn list(value: &Value, what: &str) -> Result<Vec<String>, AnalyzerFault> {
    let items = value.as_array();
    let items = items.ok_or_else(|| AnalyzerFault::invalid(format!("{what} should be array")))?;
    let text = |item: &Value| {
        let wrong = || AnalyzerFault::invalid(format!("{what} list item should be string"));
        item.as_str().map(str::to_string).ok_or_else(wrong)
    };
    items.iter().map(text).collect()
}

/// A tokenizer by its name, or by an object with a `type`.
pub(super) fn tokenizer(value: &Value) -> Result<Tokenizer, AnalyzerFault> {
    let invalid = AnalyzerFault::invalid;
    let (name, options) = match value {
        Value::String(name) => (name.as_str(), None),
        Value::Object(options) => {
            let kind =
                options.get("type").ok_or_else(|| invalid("customized tokenizer must set type"))?;
            let kind = kind.as_str();
            (kind.ok_or_else(|| invalid("tokenizer type should be string"))?, Some(options))
        }
        _ => return Err(invalid("tokenizer name should be string or dict")),
    };
    match name {
        "standard" => Ok(Tokenizer::Standard),
        "whitespace" => Ok(Tokenizer::Whitespace),
        "icu" => Ok(Tokenizer::Icu),
        "jieba" => Chinese::read(options).map(Tokenizer::Chinese),
        "char_group" => {
            let options =
                options.ok_or_else(|| invalid("char group tokenizer must be customized"))?;
            let delimiters = options
                .get("delimiters")
                .ok_or_else(|| invalid("char group tokenizer delimiters can't be empty"))?;
            let delimiters = list(delimiters, "char group tokenizer delimiters")?;
            let read = delimiters.iter().map(|text| Delimiter::read(text));
            read.collect::<Result<_, _>>().map(Tokenizer::Chars)
        }
        name if WITH_DICTIONARIES.contains(&name) => Err(unsupported("tokenizer", name)),
        other => Err(AnalyzerFault::invalid(format!("unsupported tokenizer: {other}"))),
    }
}
