//! Properties of a collection that mean something here: time to live, and those that change the
//! collection itself.

use std::collections::BTreeMap;

use elanus_engine::api::Collection;
use elanus_engine::core::schema::{CollectionSchema, DataType};
use elanus_proto::common::ConsistencyLevel;

use crate::convert::invalid;
use crate::status::Failure;

const TTL_SECONDS: &str = "collection.ttl.seconds";
const TTL_FIELD: &str = "ttl_field";
const DYNAMIC: &str = "dynamicfield.enabled";
const CONSISTENCY: &str = "consistency_level";
const DESCRIPTION: &str = "collection.description";

/// A hundred years, Milvus's bound.
const MAX_TTL_SECONDS: i64 = 3_155_760_000;

/// Checks the times to live that `set` asks for, beside the properties that stay.
pub fn check_ttl(
    set: &BTreeMap<String, String>,
    staying: &BTreeMap<String, String>,
    schema: &CollectionSchema,
) -> Result<(), Failure> {
    if let Some(text) = set.get(TTL_SECONDS) {
        let seconds: i64 = text
            .trim()
            .parse()
            .map_err(|_| invalid("collection TTL is not a valid positive integer"))?;
        if !(-1..=MAX_TTL_SECONDS).contains(&seconds) {
            return Err(invalid(format!(
                "collection TTL is out of range, expect [-1, {MAX_TTL_SECONDS}], got {seconds}"
            )));
        }
    }
    if let Some(name) = set.get(TTL_FIELD) {
        let field = schema.fields.iter().find(|f| f.name == *name);
        let field =
            field.ok_or_else(|| invalid(format!("ttl field name {name} not found in schema")))?;
        if field.data_type != DataType::Timestamptz {
            return Err(invalid(format!("ttl field must be timestamptz, field name = {name}")));
        }
    }
    let has = |key: &str| set.contains_key(key) || staying.contains_key(key);
    if (set.contains_key(TTL_SECONDS) || set.contains_key(TTL_FIELD))
        && has(TTL_SECONDS)
        && has(TTL_FIELD)
    {
        return Err(invalid("collection TTL and ttl field cannot be set at the same time"));
    }
    Ok(())
}

/// What changes the collection itself, taken out of the properties to set.
#[derive(Debug, Default, PartialEq)]
pub struct Changes {
    dynamic: Option<bool>,
    consistency: Option<u32>,
    description: Option<String>,
}

impl Changes {
    /// Takes them.
    pub fn take(set: &mut BTreeMap<String, String>, removed: &[String]) -> Result<Self, Failure> {
        for key in [DYNAMIC, CONSISTENCY, DESCRIPTION] {
            if removed.iter().any(|r| r == key) {
                return Err(invalid(format!("cannot delete key {key}")));
            }
        }
        let dynamic = match set.remove(DYNAMIC).map(|v| v.to_ascii_lowercase()).as_deref() {
            None => None,
            Some("true") => Some(true),
            Some("false") => Some(false),
            Some(other) => {
                return Err(invalid(format!("invalid dynamic schema property value: {other}")));
            }
        };
        let consistency = match set.remove(CONSISTENCY) {
            None => None,
            Some(text) => Some(level(&text)?),
        };
        Ok(Self { dynamic, consistency, description: set.remove(DESCRIPTION) })
    }

    /// Makes them.
    pub async fn apply(self, collection: &Collection) -> Result<(), Failure> {
        if let Some(on) = self.dynamic {
            collection.set_dynamic(on).await?;
        }
        if let Some(level) = self.consistency {
            collection.set_consistency_level(level).await?;
        }
        if let Some(text) = self.description {
            collection.set_description(&text).await?;
        }
        Ok(())
    }
}

/// A consistency level by its name or number.
fn level(text: &str) -> Result<u32, Failure> {
    let wrong = || invalid(format!("invalid consistency level: {text}"));
    let number = match text.trim().parse::<i32>() {
        Ok(number) => ConsistencyLevel::try_from(number).map_err(|_| wrong())?,
        Err(_) => ConsistencyLevel::from_str_name(text.trim()).ok_or_else(wrong)?,
    };
    Ok(number as u32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use elanus_engine::core::schema::FieldSchema;

    fn map(list: &[(&str, &str)]) -> BTreeMap<String, String> {
        list.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect()
    }

    #[test]
    fn times_to_live_are_checked_in_milvus_words() {
        let schema = CollectionSchema::new(vec![
            FieldSchema::new("id", DataType::Int64).primary(),
            FieldSchema::new("end", DataType::Timestamptz),
        ]);
        let check = |set: &[(&str, &str)], there: &[(&str, &str)]| {
            check_ttl(&map(set), &map(there), &schema).err().map(|f| f.reason).unwrap_or_default()
        };
        assert_eq!(check(&[(TTL_SECONDS, "-1")], &[]), "");
        assert_eq!(check(&[(TTL_FIELD, "end")], &[]), "");
        assert_eq!(check(&[("other", "1")], &[(TTL_SECONDS, "1"), (TTL_FIELD, "end")]), "");
        for (set, there, words) in [
            (&[(TTL_SECONDS, "x")][..], &[][..], "not a valid positive integer"),
            (&[(TTL_SECONDS, "-2")], &[], "out of range, expect [-1, 3155760000], got -2"),
            (&[(TTL_FIELD, "x")], &[], "ttl field name x not found in schema"),
            (&[(TTL_FIELD, "id")], &[], "ttl field must be timestamptz, field name = id"),
            (&[(TTL_FIELD, "end")], &[(TTL_SECONDS, "5")], "cannot be set at the same time"),
        ] {
            let reason = check(set, there);
            assert!(reason.contains(words), "{set:?}: {reason}");
        }
    }

    #[test]
    fn changes_are_taken_out_of_the_properties() -> Result<(), Failure> {
        let mut set =
            map(&[(DYNAMIC, "True"), (CONSISTENCY, "Strong"), (DESCRIPTION, "d"), ("x", "y")]);
        let changes = Changes::take(&mut set, &[])?;
        let expected =
            Changes { dynamic: Some(true), consistency: Some(0), description: Some("d".into()) };
        assert_eq!(changes, expected);
        assert_eq!(set, map(&[("x", "y")]));
        assert!(Changes::take(&mut map(&[(DYNAMIC, "x")]), &[]).is_err());
        assert!(Changes::take(&mut map(&[(CONSISTENCY, "x")]), &[]).is_err());
        Ok(())
    }
}
