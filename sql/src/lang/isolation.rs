//! Whether a filter names one value of the partition key, as collections that isolate partition keys ask.

use elanus_engine::core::error::Result;

use super::ast::{CompareOp, Kind, Node, Sign};
use super::fault::{Fault, Outcome};
use super::parser;

/// Refuses a filter that does not say by `==`, and joined by nothing but `and`, which partition key is meant.
pub fn check_isolation(text: &str, key: &str) -> Result<()> {
    let named = || match text.trim() {
        "" => Ok(false),
        _ => names_key(&parser::parse(text)?, key),
    };
    let missing = "partition key not found in expr or the expr is invalid when validating partition \
                   key isolation";
    match named() {
        Ok(true) => Ok(()),
        Ok(false) => Err(Fault::new(missing).into_error(text)),
        Err(fault) => Err(fault.into_error(text)),
    }
}

fn names_key(node: &Node, key: &str) -> Outcome<bool> {
    let is_key =
        |n: &Node| matches!(&n.kind, Kind::Field(name, path) if name == key && path.is_empty());
    let refuse =
        |what: &str| Err(Fault::new(format!("partition key isolation does not support {what}")));
    let any = |parts: &[Node]| -> Outcome<bool> {
        let found = parts.iter().map(|p| names_key(p, key)).collect::<Outcome<Vec<_>>>()?;
        Ok(found.contains(&true))
    };
    match &node.kind {
        Kind::And(parts) => any(parts),
        Kind::Or(parts) => {
            if any(parts)? {
                refuse("OR")
            } else {
                Ok(false)
            }
        }
        Kind::Unary(Sign::Not, value) => {
            if names_key(value, key)? {
                refuse("NOT")
            } else {
                Ok(false)
            }
        }
        Kind::In { value, .. } if is_key(value) => refuse("IN"),
        Kind::Range(parts, _) if parts.iter().any(is_key) => refuse("BinaryRange"),
        Kind::Compare(op, a, b) if is_key(a) || is_key(b) => match op {
            CompareOp::Eq => Ok(true),
            CompareOp::Ne => refuse("NotEqual"),
            CompareOp::Lt => refuse("LessThan"),
            CompareOp::Le => refuse("LessEqual"),
            CompareOp::Gt => refuse("GreaterThan"),
            CompareOp::Ge => refuse("GreaterEqual"),
        },
        _ => Ok(false),
    }
}

#[cfg(test)]
mod tests {
    use super::check_isolation;

    #[test]
    fn one_key_has_to_be_named() {
        for text in [
            "k == 1",
            "1 == k",
            "k == 1 and x > 2",
            "x > 2 and (y < 1 and k == {v})",
            "k == 1 and (x == 1 or y == 1)",
        ] {
            assert!(check_isolation(text, "k").is_ok(), "{text}");
        }
        for (text, words) in [
            ("", "partition key not found in expr"),
            ("x == 1", "partition key not found in expr"),
            ("not (x == 1)", "partition key not found in expr"),
            ("k > 1", "does not support GreaterThan"),
            ("k in [1]", "does not support IN"),
            ("k not in [1]", "does not support IN"),
            ("1 < k < 3", "does not support BinaryRange"),
            ("k == 1 or x == 1", "does not support OR"),
            ("not (k == 1)", "does not support NOT"),
            ("k == 1 and k != 2", "does not support NotEqual"),
            ("k ==", "unexpected the end"),
        ] {
            let error = check_isolation(text, "k").unwrap_err();
            assert!(error.message().contains(words), "{text}: {error}");
        }
    }
}
