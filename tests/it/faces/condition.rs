//! Conditions written twice: in Milvus's filter language and for SQL's WHERE.

mod atoms;

use std::collections::HashMap;

use elanus_proto::schema::TemplateValue;
use elanus_proto::schema::template_value::Val as Template;
use rand::Rng;
use rand::rngs::StdRng;

use atoms::atom;
pub use atoms::on_key;

/// A condition in both languages, and the values of its places `{name}` in the first.
#[derive(Debug, Clone, Default)]
pub struct Condition {
    pub milvus: String,
    pub sql: String,
    pub templates: HashMap<String, TemplateValue>,
}

impl Condition {
    /// Of a text for each.
    pub fn new(milvus: impl Into<String>, sql: impl Into<String>) -> Self {
        Self { milvus: milvus.into(), sql: sql.into(), templates: HashMap::new() }
    }

    /// The same text in both.
    fn same(text: impl Into<String>) -> Self {
        let text = text.into();
        Self::new(text.clone(), text)
    }

    /// With a value for a place; names are drawn so that they do not meet.
    fn with(mut self, name: String, value: Template) -> Self {
        self.templates.insert(name, TemplateValue { val: Some(value) });
        self
    }

    fn join(parts: Vec<Self>, milvus: &str, sql: &str) -> Self {
        let glue = |text: fn(&Self) -> &String, by: &str| {
            let all: Vec<String> = parts.iter().map(|p| format!("({})", text(p))).collect();
            all.join(by)
        };
        let (milvus, sql) = (glue(|p| &p.milvus, milvus), glue(|p| &p.sql, sql));
        let templates = parts.into_iter().flat_map(|p| p.templates).collect();
        Self { milvus, sql, templates }
    }
}

/// A random condition of at most `depth` levels of `and`, `or` and `not`.
pub fn condition(rng: &mut StdRng, depth: usize) -> Condition {
    let roll = rng.random_range(0..10);
    if depth == 0 || roll < 3 {
        return atom(rng);
    }
    if roll < 5 {
        let inner = condition(rng, depth - 1);
        return Condition {
            milvus: format!("not ({})", inner.milvus),
            sql: format!("NOT ({})", inner.sql),
            templates: inner.templates,
        };
    }
    let parts = (0..rng.random_range(2..4)).map(|_| condition(rng, depth - 1)).collect();
    match (roll, rng.random::<bool>()) {
        (5..8, false) => Condition::join(parts, " and ", " AND "),
        (5..8, true) => Condition::join(parts, " && ", " AND "),
        (_, false) => Condition::join(parts, " or ", " OR "),
        (_, true) => Condition::join(parts, " || ", " OR "),
    }
}
