//! Words in text fields: any of some words, or a phrase. Each row's text is analyzed when it is asked.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, AsArray, BooleanArray};
use datafusion::arrow::datatypes::DataType as ArrowType;
use datafusion::common::{DataFusionError, Result};
use datafusion::logical_expr::ident;
use elanus_engine::core::text::{Analyzer, FieldAnalyzer, Token};

use super::ast::{CompareOp, Kind, Node};
use super::fault::{Fault, Outcome};
use super::number::Number;
use super::translate::{Meaning, Translator, type_name};
use super::udf::{self, Kernel};
use super::value::Value;

/// Names of the functions over words.
pub(super) const NAMES: [&str; 2] = ["text_match", "phrase_match"];

/// Milvus's bound of `minimum_should_match`.
const MOST_WORDS: i128 = 1_000;

impl Translator<'_> {
    /// A call of a function over words.
    pub(super) fn words_call(&self, node: &Node, name: &str, args: &[Node]) -> Outcome<Meaning> {
        let operation = name.replace('_', " ");
        let (field, query, option) = match args {
            [field, query] => (field, query, None),
            [field, query, option] => (field, query, Some(option)),
            _ => return Err(Fault::at(node.start, format!("{name} takes a field and a text"))),
        };
        let (column, analyzer) = self.analyzed(field, &operation)?;
        let Meaning::Const(Value::Text(text)) = self.meaning(query)? else {
            let got = self.source(query);
            return Err(Fault::new(format!("{name} query should be a string, got: {got}")));
        };
        let tokens = analyzer.tokens(&text);
        let question = match name {
            "text_match" => {
                let least = option.map_or(Ok(1), |option| self.least(option))?;
                let words = tokens.into_iter().map(|t| t.text).collect();
                Question::Any { words, least }
            }
            _ => {
                let slop = option.map_or(Ok(0), |option| self.slop(option))?;
                Question::Phrase { words: tokens, slop }
            }
        };
        let label = format!("{name}({column}, {text:?}, {})", question.option());
        let column = ident(column);
        Ok(Meaning::Truth(udf::call(label, Words { analyzer, question }, vec![column])))
    }

    /// The field, which must allow it, and its analyzer.
    fn analyzed(&self, node: &Node, operation: &str) -> Outcome<(String, Analyzer)> {
        let named = match &node.kind {
            Kind::Field(name, path) if path.is_empty() => {
                self.schema.fields.iter().find(|f| f.name == *name)
            }
            _ => None,
        };
        let Some(field) = named.filter(|f| f.data_type.is_text()) else {
            if named.is_none() {
                // Tells of unknown fields in the usual words.
                self.meaning(node)?;
            }
            return Err(Fault::new(format!("{operation} operation on non-string is unsupported")));
        };
        let on = field.params.get("enable_match").is_some_and(|v| v.eq_ignore_ascii_case("true"));
        if !on {
            let why = format!("field \"{}\" does not enable match", field.name);
            return Err(Fault::new(why));
        }
        let analyzer = FieldAnalyzer::of(field).map_err(|fault| match fault.unsupported {
            true => Fault::unsupported(fault.why),
            false => Fault::new(fault.why),
        })?;
        let analyzer = analyzer.named(None).cloned();
        let analyzer = analyzer.ok_or_else(|| {
            let kind = type_name(&field.data_type);
            Fault::new(format!("field {} ({kind}) has no default analyzer", field.name))
        })?;
        Ok((field.name.clone(), analyzer))
    }

    /// `minimum_should_match=n`.
    fn least(&self, option: &Node) -> Outcome<usize> {
        let value = match &option.kind {
            Kind::Compare(CompareOp::Eq, key, value) => match &key.kind {
                Kind::Field(name, path)
                    if path.is_empty() && name.eq_ignore_ascii_case("minimum_should_match") =>
                {
                    Some(value)
                }
                _ => None,
            },
            _ => None,
        };
        let Some(value) = value else {
            let got = self.source(option);
            return Err(Fault::new(format!("text_match takes minimum_should_match=n, got: {got}")));
        };
        let Some(number) = self.integer(value)? else {
            let got = self.source(value);
            return Err(Fault::new(format!("invalid minimum_should_match value: {got}")));
        };
        match number {
            less if less < 1 => {
                Err(Fault::new(format!("minimum_should_match should be >= 1, got {less}")))
            }
            more if more > MOST_WORDS => Err(Fault::new(format!(
                "minimum_should_match should be <= {MOST_WORDS}, got {more}"
            ))),
            fitting => Ok(usize::try_from(fitting).unwrap_or(1)),
        }
    }

    fn slop(&self, option: &Node) -> Outcome<usize> {
        let got = self.source(option);
        let Some(number) = self.integer(option)? else {
            return Err(Fault::new(format!(
                "\"slop\" should be a const integer expression with \"uint32\" value. \"slop\" \
                 expression passed: {got}"
            )));
        };
        if number < 0 {
            return Err(Fault::new(format!(
                "\"slop\" should not be a negative interger. \"slop\" passed: {got}"
            )));
        }
        u32::try_from(number).map(|slop| slop as usize).map_err(|_| {
            Fault::new(format!(
                "\"slop\" exceeds the range of \"uint32\". \"slop\" expression passed: {got}"
            ))
        })
    }

    fn integer(&self, node: &Node) -> Outcome<Option<i128>> {
        Ok(match self.meaning(node)? {
            Meaning::Const(value) => match value.number() {
                Some(Number::Int(number)) => Some(number),
                _ => None,
            },
            _ => None,
        })
    }
}

#[derive(Debug)]
enum Question {
    /// So many of the words.
    Any { words: BTreeSet<String>, least: usize },
    /// All words in their order, moved by no more than so many places.
    Phrase { words: Vec<Token>, slop: usize },
}

impl Question {
    fn option(&self) -> usize {
        match self {
            Self::Any { least, .. } => *least,
            Self::Phrase { slop, .. } => *slop,
        }
    }

    fn ask(&self, tokens: &[Token]) -> bool {
        match self {
            Self::Any { words, least } => {
                let found: BTreeSet<&str> =
                    tokens.iter().map(|t| t.text.as_str()).filter(|t| words.contains(*t)).collect();
                !words.is_empty() && found.len() >= *least
            }
            Self::Phrase { words, slop } => !words.is_empty() && has_phrase(words, *slop, tokens),
        }
    }
}

/// Whether the words stand in the text so that none is moved against another by more than `slop` places.
fn has_phrase(words: &[Token], slop: usize, tokens: &[Token]) -> bool {
    let mut places: HashMap<&str, Vec<usize>> = HashMap::new();
    for token in tokens {
        places.entry(&token.text).or_default().push(token.position);
    }
    // How far each place of each word lies from where the phrase has it.
    let mut moves: Vec<(i64, usize)> = Vec::new();
    for (at, word) in words.iter().enumerate() {
        let Some(places) = places.get(word.text.as_str()) else { return false };
        moves.extend(places.iter().map(|place| (*place as i64 - word.position as i64, at)));
    }
    moves.sort_unstable();
    let mut latest: Vec<Option<i64>> = vec![None; words.len()];
    moves.iter().any(|(moved, at)| {
        latest[*at] = Some(*moved);
        let least = latest.iter().copied().try_fold(*moved, |least, one| Some(least.min(one?)));
        least.is_some_and(|least| (moved - least) as u64 <= slop as u64)
    })
}

#[derive(Debug)]
struct Words {
    analyzer: Analyzer,
    question: Question,
}

impl Kernel for Words {
    fn output(&self) -> ArrowType {
        ArrowType::Boolean
    }

    fn run(&self, args: &[ArrayRef], _: usize) -> Result<ArrayRef> {
        let texts = args.first().and_then(|a| a.as_string_opt::<i32>()).ok_or_else(|| {
            DataFusionError::Execution("a function of words takes a text column".into())
        })?;
        let ask = |text: Option<&str>| text.map(|t| self.question.ask(&self.analyzer.tokens(t)));
        let answers: BooleanArray = texts.iter().map(ask).collect();
        Ok(Arc::new(answers))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phrases_may_be_moved_by_their_slop() {
        let analyzer = Analyzer::default();
        let holds = |phrase: &str, slop, text: &str| {
            has_phrase(&analyzer.tokens(phrase), slop, &analyzer.tokens(text))
        };
        for (phrase, text, needed) in [
            ("quick fox", "the quick fox", 0),
            ("quick fox", "the quick brown fox", 1),
            ("quick fox", "fox quick", 2),
            ("a b c", "a x b x c", 2),
            ("a b", "a x x x b b", 3),
            ("a a", "a x a", 1),
        ] {
            assert!(holds(phrase, needed, text), "{phrase} in {text}");
            assert!(needed == 0 || !holds(phrase, needed - 1, text), "{phrase} in {text}");
        }
        assert!(!holds("quick fox", 9, "quick dog"));
    }
}
