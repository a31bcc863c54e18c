//! Finds values in JSON text without building a tree.
//!
//! The text was checked when the row was written, so this only skips; on damaged text it
//! finds nothing. Of two equal keys the first counts.

use std::borrow::Cow;

use super::ast::Step;
use super::number::Number;

/// A JSON value, as little read as possible.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Json<'a> {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number.
    Number(Number),
    /// Text with its escapes resolved.
    Text(Cow<'a, str>),
    /// The text of an array, brackets included.
    Array(&'a str),
    /// The text of an object, braces included.
    Object(&'a str),
}

/// The value at a path, `None` where there is none.
pub(crate) fn find<'a>(text: &'a str, path: &[Step]) -> Option<Json<'a>> {
    read(place(text, path)?)
}

/// The text from the value at a path on.
fn place<'a>(text: &'a str, path: &[Step]) -> Option<&'a str> {
    let mut at = trim(text);
    for step in path {
        at = match (at.as_bytes().first()?, step) {
            (b'{', Step::Key(key)) => member(at, key)?,
            (b'{', Step::Index(index)) => member(at, &index.to_string())?,
            (b'[', Step::Index(index)) => Elements::of(at).nth(*index)?,
            (b'[', Step::Key(key)) => Elements::of(at).nth(position(key)?)?,
            _ => return None,
        };
    }
    Some(at)
}

/// The text of the value at a path, `None` where there is none.
pub(crate) fn find_raw<'a>(text: &'a str, path: &[Step]) -> Option<&'a str> {
    let at = place(text, path)?;
    at.get(..value_length(at)?)
}

/// Like [`find`], but with `null` the same as nothing.
pub(crate) fn find_present<'a>(text: &'a str, path: &[Step]) -> Option<Json<'a>> {
    find(text, path).filter(|json| *json != Json::Null)
}

/// A key that says a position, as in JSON pointers: no sign, no zeros in front.
fn position(key: &str) -> Option<usize> {
    let plain = key == "0" || !key.starts_with('0') && key.bytes().all(|b| b.is_ascii_digit());
    if plain { key.parse().ok() } else { None }
}

/// Reads the value at the start of `text`.
pub(crate) fn read(text: &str) -> Option<Json<'_>> {
    let length = value_length(text)?;
    let value = text.get(..length)?;
    Some(match value.as_bytes().first()? {
        b'"' => Json::Text(string(value)?),
        b'[' => Json::Array(value),
        b'{' => Json::Object(value),
        b't' if value == "true" => Json::Bool(true),
        b'f' if value == "false" => Json::Bool(false),
        b'n' if value == "null" => Json::Null,
        _ => Json::Number(Number::from_json(value)?),
    })
}

/// Elements of an array's text, each beginning at the element and running to the end.
pub(crate) struct Elements<'a> {
    rest: Option<&'a str>,
}

impl<'a> Elements<'a> {
    /// Of an array's text from its bracket on; empty when it is none.
    pub fn of(text: &'a str) -> Self {
        let rest = text.strip_prefix('[').map(trim).filter(|rest| !rest.starts_with(']'));
        Self { rest }
    }
}

impl<'a> Iterator for Elements<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        let element = self.rest.take()?;
        let after = trim(element.get(value_length(element)?..)?);
        self.rest = after.strip_prefix(',').map(trim);
        Some(element)
    }
}

/// The text of an object from the value of that key on.
fn member<'a>(object: &'a str, wanted: &str) -> Option<&'a str> {
    let mut rest = trim(object.get(1..)?);
    while rest.starts_with('"') {
        let length = string_length(rest.as_bytes())?;
        let key = rest.get(..length)?;
        let value = trim(trim(rest.get(length..)?).strip_prefix(':')?);
        if key_is(key, wanted) {
            return Some(value);
        }
        rest = trim(trim(value.get(value_length(value)?..)?).strip_prefix(',')?);
    }
    None
}

fn key_is(quoted: &str, wanted: &str) -> bool {
    match quoted.get(1..quoted.len().saturating_sub(1)) {
        Some(plain) if !plain.contains('\\') => plain == wanted,
        _ => string(quoted).is_some_and(|key| key == wanted),
    }
}

/// The text of a quoted string.
fn string(quoted: &str) -> Option<Cow<'_, str>> {
    let inner = quoted.get(1..quoted.len().checked_sub(1)?)?;
    if !inner.contains('\\') {
        return Some(Cow::Borrowed(inner));
    }
    serde_json::from_str::<String>(quoted).ok().map(Cow::Owned)
}

fn trim(text: &str) -> &str {
    text.trim_start_matches([' ', '\t', '\r', '\n'])
}

/// How many bytes the value at the start of `text` takes.
fn value_length(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    match bytes.first()? {
        b'"' => string_length(bytes),
        b'{' | b'[' => nested_length(bytes),
        _ => {
            let ends =
                |b: &u8| matches!(b, b',' | b']' | b'}' | b':' | b' ' | b'\t' | b'\r' | b'\n');
            let length = bytes.iter().position(ends).unwrap_or(bytes.len());
            (length > 0).then_some(length)
        }
    }
}

/// With both quotes.
fn string_length(bytes: &[u8]) -> Option<usize> {
    let mut at = 1;
    loop {
        match bytes.get(at)? {
            b'"' => return Some(at + 1),
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
}

/// With both brackets. Only counts: which bracket closes which was checked at the write.
fn nested_length(bytes: &[u8]) -> Option<usize> {
    let mut depth = 0usize;
    let mut at = 0;
    loop {
        match bytes.get(at)? {
            b'"' => {
                at += string_length(bytes.get(at..)?)?;
                continue;
            }
            b'{' | b'[' => depth += 1,
            b'}' | b']' => {
                depth -= 1;
                if depth == 0 {
                    return Some(at + 1);
                }
            }
            _ => {}
        }
        at += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(k: &str) -> Step {
        Step::Key(k.into())
    }

    #[test]
    fn walks_objects_and_arrays() {
        let text = r#" {"a": {"b": [1, {"c": "x\"y"}, -2.5e3]}, "k\u0065y": null, "z": "]}"} "#;
        let at = |path: &[Step]| find(text, path);
        assert_eq!(at(&[key("a"), key("b"), Step::Index(0)]), Some(Json::Number(Number::Int(1))));
        let c = [key("a"), key("b"), Step::Index(1), key("c")];
        assert_eq!(at(&c), Some(Json::Text("x\"y".into())));
        let last = [key("a"), key("b"), key("2")];
        assert_eq!(at(&last), Some(Json::Number(Number::Float(-2500.0))));
        assert_eq!(at(&[key("key")]), Some(Json::Null));
        assert_eq!(find_present(text, &[key("key")]), None);
        assert_eq!(at(&[key("z")]), Some(Json::Text("]}".into())));
        assert_eq!(at(&[key("z"), key("q")]), None);
        assert_eq!(at(&[key("a"), key("b"), Step::Index(3)]), None);
        assert!(matches!(at(&[key("a"), key("b")]), Some(Json::Array(_))));
    }

    #[test]
    fn finds_nothing_in_damaged_text() {
        let broken = [
            "",
            "{",
            "{\"a\"",
            "{\"a\":",
            "{\"a\":}",
            "[1,",
            "\"x",
            "{\"a\" 1}",
            "tru",
            "}",
            "]",
            "{\"a\":]",
            "\"\\",
            "1.2.3",
            "nan",
            "inf",
        ];
        for text in broken {
            assert_eq!(find(text, &[key("a")]), None, "{text}");
            let _ = find(text, &[]);
            let _ = find(text, &[Step::Index(0)]);
        }
        assert_eq!(find("inf", &[]), None);
    }
}
