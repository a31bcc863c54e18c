//! One parameter's value, read by its rule: the same refusals, in the same words, as Milvus's index
//! library gives.

use serde_json::Value;

/// What values a parameter takes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Kind {
    /// A whole number from the first to the second, both included.
    Integer(i64, i64),
    /// A number from the first to the second, both included.
    Float(f32, f32),
    /// True or false.
    Truth,
    /// A text.
    Text,
}

/// A value that was read.
#[derive(Debug, Clone, PartialEq)]
pub enum Typed {
    /// Of [`Kind::Integer`].
    Integer(i64),
    /// Of [`Kind::Float`].
    Float(f64),
    /// Of [`Kind::Truth`].
    Truth(bool),
    /// Of [`Kind::Text`].
    Text(String),
}

/// Why a parameter is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The kind of fault, in Milvus's words.
    pub status: &'static str,
    /// What is wrong with which parameter.
    pub why: String,
}

impl Fault {
    /// A value outside its range.
    pub fn out_of_range(why: String) -> Self {
        Self { status: "out of range in json", why }
    }

    /// Values that do not fit together.
    pub fn invalid(why: String) -> Self {
        Self { status: "invalid args", why }
    }

    fn unreadable(why: String) -> Self {
        Self { status: "invalid value in json", why }
    }

    fn conflict(key: &str, value: &Value, wanted: &str) -> Self {
        let why = format!("Type conflict in json: param '{key}' ({value}) should be {wanted}");
        Self { status: "type conflict in json", why }
    }
}

/// Turns a text that holds a number or truth value into that, as flat parameters are all texts. A
/// text that is no number is refused, one that is no truth value is left for [`typed`] to refuse.
pub fn plain(kind: Kind, key: &str, value: &Value) -> Result<Value, Fault> {
    let Value::String(text) = value else { return Ok(value.clone()) };
    match kind {
        Kind::Integer(..) => whole(key, text).map(Value::from),
        Kind::Float(..) => leading_float(text)
            .map(|number| serde_json::Number::from_f64(number).map_or(Value::Null, Value::Number))
            .ok_or_else(|| {
                Fault::unreadable(format!("invalid float value, key: '{key}', value: '{text}'"))
            }),
        Kind::Truth => Ok(match text.as_str() {
            "true" | "True" | "TRUE" => Value::Bool(true),
            "false" | "False" | "FALSE" => Value::Bool(false),
            _ => value.clone(),
        }),
        Kind::Text => Ok(value.clone()),
    }
}

/// A value that went through [`plain`], checked against its type and range.
pub fn typed(kind: Kind, key: &str, value: &Value) -> Result<Typed, Fault> {
    match (kind, value) {
        (Kind::Integer(least, most), Value::Number(n)) if !n.is_f64() => {
            let number = n.as_i64().filter(|v| *v <= i64::from(i32::MAX)).ok_or_else(|| Fault {
                status: "arithmetic overflow",
                why: format!(
                    "Arithmetic overflow: param '{key}' ({value}) should not bigger than {}",
                    i32::MAX
                ),
            })?;
            match (least..=most).contains(&number) {
                true => Ok(Typed::Integer(number)),
                false => Err(outside(key, value, &format!("[{least}, {most}]"))),
            }
        }
        (Kind::Integer(..), _) => Err(Fault::conflict(key, value, "integer")),
        (Kind::Float(least, most), Value::Number(n)) => {
            let number = n.as_f64().unwrap_or(f64::NAN);
            match (f64::from(least)..=f64::from(most)).contains(&number) {
                true => Ok(Typed::Float(number)),
                false => Err(outside(key, value, &format!("[{least:.6}, {most:.6}]"))),
            }
        }
        (Kind::Float(..), _) => Err(Fault::conflict(key, value, "a number")),
        (Kind::Truth, Value::Bool(truth)) => Ok(Typed::Truth(*truth)),
        (Kind::Truth, _) => Err(Fault::conflict(key, value, "a boolean")),
        (Kind::Text, Value::String(text)) => Ok(Typed::Text(text.clone())),
        (Kind::Text, _) => Err(Fault::conflict(key, value, "a string")),
    }
}

fn outside(key: &str, value: &Value, range: &str) -> Fault {
    Fault::out_of_range(format!(
        "Out of range in json: param '{key}' ({value}) should be in range {range}"
    ))
}

/// A whole number of 32 bits; what follows its digits is a fault of its own.
fn whole(key: &str, text: &str) -> Result<i64, Fault> {
    let fault = |what: &str| Fault::unreadable(format!("{what}, key: '{key}', value: '{text}'"));
    let start = text.trim_start();
    let unsigned = start.strip_prefix(['-', '+']).unwrap_or(start);
    let digits = unsigned.len() - unsigned.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    if digits == 0 {
        return Err(fault("invalid integer value"));
    }
    let (number, rest) = start.split_at(start.len() - unsigned.len() + digits);
    let number = number.parse::<i32>().map_err(|_| fault("integer value out of range"))?;
    if !rest.is_empty() {
        return Err(fault("wrong data type in json"));
    }
    Ok(number.into())
}

/// The number at the start of a text, as C reads it.
fn leading_float(text: &str) -> Option<f64> {
    let start = text.trim_start();
    let ends = start.char_indices().map(|(at, c)| at + c.len_utf8()).take(64);
    let number = ends.filter_map(|end| start[..end].parse::<f64>().ok()).last();
    number.filter(|v| v.is_finite())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(kind: Kind, value: Value) -> Result<Typed, String> {
        plain(kind, "p", &value).and_then(|v| typed(kind, "p", &v)).map_err(|f| f.why)
    }

    #[test]
    fn numbers_are_read_from_json_and_from_text() {
        let int = Kind::Integer(2, 2_048);
        assert_eq!(read(int, json!(16)), Ok(Typed::Integer(16)));
        assert_eq!(read(int, json!("16")), Ok(Typed::Integer(16)));
        let float = Kind::Float(1.0, f32::MAX);
        assert_eq!(read(float, json!(2)), Ok(Typed::Float(2.0)));
        assert_eq!(read(float, json!("2.5x")), Ok(Typed::Float(2.5)));
        assert_eq!(read(Kind::Truth, json!("True")), Ok(Typed::Truth(true)));
        assert_eq!(read(Kind::Text, json!("SQ8")), Ok(Typed::Text("SQ8".into())));
    }

    #[test]
    fn faults_have_milvus_words() {
        let int = Kind::Integer(2, 2_048);
        let float = Kind::Float(1.0, f32::MAX);
        for (kind, value, words) in [
            (int, json!(-1), "Out of range in json: param 'p' (-1) should be in range [2, 2048]"),
            (int, json!("2049"), "param 'p' (2049) should be in range [2, 2048]"),
            (int, json!("16.0"), "wrong data type in json, key: 'p', value: '16.0'"),
            (int, json!("True"), "invalid integer value, key: 'p', value: 'True'"),
            (int, json!("[16]"), "invalid integer value, key: 'p', value: '[16]'"),
            (int, json!("99999999999"), "integer value out of range, key: 'p'"),
            (int, json!(99_999_999_999_i64), "should not bigger than 2147483647"),
            (int, json!(32.0), "Type conflict in json: param 'p' (32.0) should be integer"),
            (int, json!(true), "Type conflict in json: param 'p' (true) should be integer"),
            (int, json!(null), "Type conflict in json: param 'p' (null) should be integer"),
            (int, json!([32]), "param 'p' ([32]) should be integer"),
            (
                float,
                json!(0.5),
                "param 'p' (0.5) should be in range [1.000000, \
                 340282346638528859811704183484516925440.000000]",
            ),
            (float, json!(0), "Out of range in json"),
            (float, json!(""), "invalid float value, key: 'p', value: ''"),
            (float, json!(true), "param 'p' (true) should be a number"),
            (Kind::Truth, json!("1"), "param 'p' (\"1\") should be a boolean"),
            (Kind::Truth, json!(1), "param 'p' (1) should be a boolean"),
            (Kind::Text, json!(8), "param 'p' (8) should be a string"),
        ] {
            let why = read(kind, value.clone()).err().unwrap_or_default();
            assert!(why.contains(words), "{value}: {why}");
        }
    }
}
