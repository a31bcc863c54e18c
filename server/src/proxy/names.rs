//! What may be a name, refused in Milvus's words.

use crate::status::{Failure, code};

/// What is wrong with a name.
enum Fault {
    Empty,
    Long,
    First,
    Inside,
}

fn fault(name: &str, max_bytes: usize, also: &str) -> Option<Fault> {
    let good = |c: char| c == '_' || c.is_ascii_alphanumeric();
    let first = name.chars().next();
    if first.is_none() {
        Some(Fault::Empty)
    } else if name.len() > max_bytes {
        Some(Fault::Long)
    } else if first.is_some_and(|c| c != '_' && !c.is_ascii_alphabetic()) {
        Some(Fault::First)
    } else if !name.chars().all(|c| good(c) || also.contains(c)) {
        Some(Fault::Inside)
    } else {
        None
    }
}

/// A collection's name.
pub fn collection(name: &str, max_bytes: usize) -> Result<(), Failure> {
    collection_or_alias(name, "name", max_bytes)
}

/// An alias.
pub fn alias(name: &str, max_bytes: usize) -> Result<(), Failure> {
    collection_or_alias(name, "alias", max_bytes)
}

fn collection_or_alias(name: &str, what: &str, max_bytes: usize) -> Result<(), Failure> {
    let why = match fault(name, max_bytes, "") {
        None => return Ok(()),
        Some(Fault::Empty) => {
            return Err(Failure::parameter(format!("collection {what} should not be empty")));
        }
        Some(Fault::Long) => {
            format!("the length of a collection {what} must be less than {max_bytes} characters")
        }
        Some(Fault::First) => {
            format!("the first character of a collection {what} must be an underscore or letter")
        }
        Some(Fault::Inside) => {
            format!("collection {what} can only contain numbers, letters and underscores")
        }
    };
    Err(Failure::parameter(format!("Invalid collection {what}: {name}. {why}")))
}

/// A database's name.
pub fn database(name: &str, max_bytes: usize) -> Result<(), Failure> {
    let why = match fault(name, max_bytes, "") {
        None => return Ok(()),
        Some(Fault::Empty) => "database name couldn't be empty".to_string(),
        Some(Fault::Long) => {
            format!("the length of a database name must be less than {max_bytes} characters")
        }
        Some(Fault::First) => {
            "the first character of a database name must be an underscore or letter".to_string()
        }
        Some(Fault::Inside) => {
            "database name can only contain numbers, letters and underscores".to_string()
        }
    };
    let reason = format!("{why}: invalid database name[database={name}]");
    Err(Failure::new(code::DATABASE_NAME, reason))
}

/// A partition's name.
pub fn partition(name: &str, max_bytes: usize) -> Result<(), Failure> {
    // A partition may begin with a digit, and may hold hyphens.
    let probe = name.replacen(|c: char| c.is_ascii_digit(), "_", 1);
    let why = match fault(&probe, max_bytes, "-") {
        None => return Ok(()),
        Some(Fault::Empty) => "Partition name should not be empty.".to_string(),
        Some(Fault::Long) => {
            format!("The length of a partition name must be less than {max_bytes} characters.")
        }
        Some(Fault::First) => {
            "The first character of a partition name must be an underscore or letter.".to_string()
        }
        Some(Fault::Inside) => {
            "Partition name can only contain numbers, letters and underscores.".to_string()
        }
    };
    Err(Failure::parameter(format!("Invalid partition name: {name}. {why}")))
}

/// Words that the filter language keeps for itself, in this spelling.
const KEYWORDS: [&str; 10] =
    ["like", "exists", "EXISTS", "and", "or", "not", "in", "True", "False", "$meta"];

/// Words that it keeps in small and in capital letters.
const FUNCTIONS: [&str; 12] = [
    "json_contains",
    "json_contains_all",
    "json_contains_any",
    "array_contains",
    "array_contains_all",
    "array_contains_any",
    "array_length",
    "text_match",
    "phrase_match",
    "random_sample",
    "true",
    "false",
];

/// A field's name.
pub fn field(name: &str, max_bytes: usize) -> Result<(), Failure> {
    let why = match fault(name, max_bytes, "") {
        _ if reserved(name) => format!("{name} is keyword in milvus."),
        None => return Ok(()),
        Some(Fault::Empty) => "field name should not be empty".to_string(),
        Some(Fault::Long) => {
            format!("The length of a field name must be less than {max_bytes} characters.")
        }
        Some(Fault::First) => {
            "The first character of a field name must be an underscore or letter.".to_string()
        }
        Some(Fault::Inside) => {
            "Field name can only contain numbers, letters, and underscores.".to_string()
        }
    };
    let reason = format!("Invalid field name: {name}. {why}: field name invalid[field={name}]");
    Err(Failure::new(code::FIELD_NAME, reason))
}

fn reserved(name: &str) -> bool {
    let function = |known: &str| name == known || name == known.to_uppercase();
    name == elanus_engine::core::schema::TIMESTAMP_FIELD
        || name.eq_ignore_ascii_case("null")
        || KEYWORDS.contains(&name)
        || FUNCTIONS.iter().any(|known| function(known))
}

/// An index's name.
pub fn index(name: &str, max_bytes: usize) -> Result<(), Failure> {
    let why = match fault(name, max_bytes, "[]\"'.$/-") {
        None => return Ok(()),
        Some(Fault::Empty) => "index name should not be empty".to_string(),
        Some(Fault::Long) => {
            format!("The length of a index name must be less than {max_bytes} characters.")
        }
        Some(Fault::First) => {
            "The first character of a index name must be an underscore or letter.".to_string()
        }
        Some(Fault::Inside) => {
            "Index name can only contain numbers, letters, and underscores.".to_string()
        }
    };
    Err(Failure::parameter(format!("Invalid index name: {name}. {why}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reason(result: Result<(), Failure>) -> String {
        result.err().map(|f| f.reason).unwrap_or_default()
    }

    #[test]
    fn good_names_pass() {
        for name in ["a", "_", "a1", "Under_Score_9"] {
            assert_eq!(reason(collection(name, 255)), "");
            assert_eq!(reason(database(name, 255)), "");
            assert_eq!(reason(field(name, 255)), "");
        }
        assert_eq!(reason(partition("2024-01", 255)), "");
        assert_eq!(reason(index("meta[\"a\"]", 255)), "");
    }

    #[test]
    fn bad_names_are_refused_in_milvus_words() {
        let text = reason(collection("1a", 255));
        assert_eq!(
            text,
            "Invalid collection name: 1a. the first character of a collection name must be an \
             underscore or letter: invalid parameter"
        );
        let long = "a".repeat(256);
        let text = reason(collection(&long, 255));
        assert!(text.contains("the length of a collection name must be less than 255 characters"));
        assert!(reason(alias("", 255)).contains("collection alias should not be empty"));
        assert!(reason(collection("a b", 255)).contains("numbers, letters and underscores"));
        assert!(reason(collection("数", 255)).contains("the first character"));
        assert!(reason(partition("  ", 255)).starts_with("Invalid partition name:   ."));
        assert_eq!(database("1a", 255).err().map(|f| f.code), Some(802));
        assert_eq!(field("JSON_CONTAINS", 255).err().map(|f| f.code), Some(1701));
        assert!(reason(field("$meta", 255)).starts_with("Invalid field name: $meta."));
        assert!(reason(field("a-b", 255)).ends_with("field name invalid[field=a-b]"));
    }
}
