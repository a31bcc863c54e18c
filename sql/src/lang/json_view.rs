//! What an index on a path of a JSON column holds, and which tests it can answer.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, StringArray};
use elanus_engine::core::error::{Error, Result};
use elanus_engine::core::filter::JsonView;
use elanus_engine::core::schema::DYNAMIC_FIELD;

use super::ast::{Kind, Step};
use super::json::json_texts;
use super::parser;
use super::scan::find_raw;

/// The paths that a test reads of one JSON column.
#[derive(Debug)]
pub(super) struct PathView(Vec<Vec<Step>>);

impl PathView {
    /// Of a test that reads these paths and nothing else.
    pub fn new(paths: Vec<Vec<Step>>) -> Self {
        Self(paths)
    }

    /// The steps of an index's path if every path of the test leads through there.
    fn under(&self, column: &str, json_path: &str) -> Option<Vec<Step>> {
        let Kind::Field(mut name, mut steps) = parser::parse(json_path).ok()?.kind else {
            return None;
        };
        if column == DYNAMIC_FIELD && name != DYNAMIC_FIELD {
            // A key of the dynamic field by its bare name.
            steps.insert(0, Step::Key(std::mem::replace(&mut name, DYNAMIC_FIELD.into())));
        }
        let inside = |path: &Vec<Step>| path.starts_with(&steps);
        (name == column && !steps.is_empty() && self.0.iter().all(inside)).then_some(steps)
    }
}

impl JsonView for PathView {
    fn is_under(&self, column: &str, json_path: &str) -> bool {
        self.under(column, json_path).is_some()
    }

    fn narrow(&self, column: &str, json_path: &str, texts: &ArrayRef) -> Option<Result<ArrayRef>> {
        let steps = self.under(column, json_path)?;
        let texts = match json_texts(texts) {
            Ok(texts) => texts,
            Err(e) => return Some(Err(Error::internal(e.to_string()))),
        };
        let narrow = |text: &str| match find_raw(text, &steps) {
            Some(value) => alone(&steps, value),
            None => "{}".to_owned(),
        };
        let narrowed: StringArray = texts.iter().map(|text| text.map(narrow)).collect();
        Some(Ok(Arc::new(narrowed)))
    }
}

/// A JSON text with nothing but a value at a path. A position becomes a key, which reads the same.
fn alone(steps: &[Step], value: &str) -> String {
    let mut text = value.to_owned();
    for step in steps.iter().rev() {
        let key = match step {
            Step::Key(key) => serde_json::Value::from(key.as_str()),
            Step::Index(at) => serde_json::Value::from(at.to_string()),
        };
        text = format!("{{{key}:{text}}}");
    }
    text
}
