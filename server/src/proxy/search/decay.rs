//! Decay: a score shrinks with the distance of a field's value from an origin.

use arrow::array::{ArrayRef, AsArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType as ArrowType, Float64Type};
use elanus_engine::core::error::Error;
use elanus_engine::core::schema::{CollectionSchema, DataType};
use elanus_proto::schema::FunctionSchema;

use super::rank::input_field;
use crate::convert::params::to_map;
use crate::convert::{internal, invalid, schema as wire_schema};
use crate::status::{Failure, code};

/// The form of the curve.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Curve {
    Gauss,
    Exp,
    Linear,
}

/// How much of its score a row keeps.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Decay {
    /// The field of numbers whose distance counts.
    pub field: String,
    curve: Curve,
    origin: f64,
    scale: f64,
    offset: f64,
    decay: f64,
}

/// Nearer to 0 or 1 the curves lose their meaning; Milvus's bounds.
const DECAYS: std::ops::RangeInclusive<f64> = 0.001..=0.999;

impl Decay {
    /// Reads a function whose reranker is `decay`.
    pub fn read(function: &FunctionSchema, schema: &CollectionSchema) -> Result<Self, Failure> {
        let given = to_map(&function.params);
        let number = |key: &str| -> Result<Option<f64>, Failure> {
            let Some(text) = given.get(key) else { return Ok(None) };
            let value = text.trim().parse().ok().filter(|v: &f64| v.is_finite());
            value
                .map(Some)
                .ok_or_else(|| invalid(format!("decay param {key}: {text} is not a number")))
        };
        let (origin, scale) = (number("origin")?, number("scale")?);
        let (offset, decay) = (number("offset")?.unwrap_or(0.0), number("decay")?.unwrap_or(0.5));
        let name = given.get("function").map(|f| f.trim().to_ascii_lowercase());
        let missing = |what: &str| Failure::missing(format!("decay {what} not specified"));
        let name = name.ok_or_else(|| missing("function"))?;
        let origin = origin.ok_or_else(|| missing("origin"))?;
        let scale = scale.ok_or_else(|| missing("scale"))?;
        let field = input_field(function, "decay")?.to_string();
        check_field(schema, &field)?;
        if scale <= 0.0 {
            return Err(invalid(format!("decay: scale must be > 0, got {scale:.6}")));
        }
        if offset < 0.0 {
            return Err(invalid(format!("decay: offset must be >= 0, got {offset:.6}")));
        }
        if !(decay > 0.0 && decay < 1.0) {
            return Err(invalid(format!("decay: decay must be 0 < decay < 1, got {decay:.6}")));
        }
        if !DECAYS.contains(&decay) {
            return Err(invalid(format!(
                "decay: decay must be between {:.6} and {:.6} for numerical stability, got {decay:.6}",
                DECAYS.start(),
                DECAYS.end()
            )));
        }
        Ok(Self { field, curve: curve(&name)?, origin, scale, offset, decay })
    }

    /// The factor for a value: 1 within the offset of the origin, `decay` at the scale behind it.
    fn factor(&self, value: f64) -> f64 {
        let far = ((value - self.origin).abs() - self.offset).max(0.0);
        match self.curve {
            Curve::Gauss => (far.powi(2) * self.decay.ln() / self.scale.powi(2)).exp(),
            Curve::Exp => (far * self.decay.ln() / self.scale).exp(),
            Curve::Linear => (1.0 - (1.0 - self.decay) * far / self.scale).max(self.decay),
        }
    }

    /// The factor of each row of the field's column; 0 where there is no value.
    pub fn factors(&self, column: &ArrayRef) -> Result<Vec<f32>, Failure> {
        let column = cast(column, &ArrowType::Float64).map_err(Error::from)?;
        let values = column
            .as_primitive_opt::<Float64Type>()
            .ok_or_else(|| internal("a column of numbers is none"))?;
        Ok(values.iter().map(|v| v.map_or(0.0, |v| self.factor(v) as f32)).collect())
    }
}

fn curve(name: &str) -> Result<Curve, Failure> {
    match name {
        "gauss" => Ok(Curve::Gauss),
        "exp" => Ok(Curve::Exp),
        "linear" => Ok(Curve::Linear),
        other => Err(invalid(format!(
            "decay: invalid function \"{other}\", must be one of [gauss, exp, linear]"
        ))),
    }
}

fn check_field(schema: &CollectionSchema, name: &str) -> Result<(), Failure> {
    let field = schema.fields.iter().find(|f| f.name == name).ok_or_else(|| {
        invalid(format!("rerank_builder: input field {name} not found in collection schema"))
    })?;
    match field.data_type {
        DataType::Int8
        | DataType::Int16
        | DataType::Int32
        | DataType::Int64
        | DataType::Float
        | DataType::Double => Ok(()),
        // Milvus fails on these when it has the values in hand.
        ref other
            if other.is_vector() || matches!(other, DataType::Json | DataType::Array { .. }) =>
        {
            let kind = wire_schema::wire_type(other).as_str_name();
            Err(Failure::new(code::UNEXPECTED, format!("unsupported field type: {kind}")))
        }
        ref other => Err(invalid(format!(
            "rerank_builder: decay input field {name} must be numeric, got {}",
            wire_schema::wire_type(other).as_str_name()
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::Int64Array;
    use elanus_engine::core::schema::FieldSchema;
    use elanus_proto::common::KeyValuePair;
    use std::sync::Arc;

    fn read(params: &[(&str, &str)], inputs: &[&str]) -> Result<Decay, String> {
        let schema = CollectionSchema::new(vec![
            FieldSchema::new("n", DataType::Int64),
            FieldSchema::new("s", DataType::VarChar { max_length: 9 }),
        ]);
        let pair = |(k, v): &(&str, &str)| KeyValuePair { key: (*k).into(), value: (*v).into() };
        let function = FunctionSchema {
            params: params.iter().map(pair).collect(),
            input_field_names: inputs.iter().map(|s| s.to_string()).collect(),
            ..Default::default()
        };
        Decay::read(&function, &schema).map_err(|f| f.reason)
    }

    const GOOD: [(&str, &str); 4] =
        [("function", "gauss"), ("origin", "10"), ("scale", "5"), ("offset", "1")];

    fn near(got: f64, wanted: f64) -> bool {
        (got - wanted).abs() < 1e-12
    }

    #[test]
    fn curves_are_one_at_the_origin_and_decay_at_the_scale() -> Result<(), String> {
        for name in ["gauss", "exp", "linear"] {
            let mut params = GOOD;
            params[0].1 = name;
            let decay = read(&params, &["n"])?;
            assert_eq!(decay.factor(10.0), 1.0);
            assert_eq!(decay.factor(11.0), 1.0);
            assert!(near(decay.factor(16.0), 0.5) && near(decay.factor(4.0), 0.5), "{name}");
            assert!(decay.factor(13.0) > 0.5);
        }
        let gauss = read(&GOOD, &["n"])?;
        assert!(near(gauss.factor(21.0), 0.5f64.powi(4)));
        let column: ArrayRef = Arc::new(Int64Array::from(vec![Some(10), None]));
        assert_eq!(gauss.factors(&column).map_err(|f| f.reason)?, [1.0, 0.0]);
        Ok(())
    }

    #[test]
    fn wrong_decays_are_refused_in_milvus_words() {
        let with = |key: &'static str, value: &'static str| {
            let mut params = GOOD.to_vec();
            params.retain(|(k, _)| *k != key);
            params.push((key, value));
            read(&params, &["n"]).err().unwrap_or_default()
        };
        for (key, value, words) in [
            ("origin", "x", "decay param origin: x is not a number"),
            ("scale", "-1", "decay: scale must be > 0, got -1"),
            ("offset", "-1", "decay: offset must be >= 0, got -1"),
            ("decay", "2", "decay: decay must be 0 < decay < 1, got 2"),
            ("decay", "0.0001", "for numerical stability"),
            ("function", "sine", "invalid function \"sine\", must be one of [gauss, exp, linear]"),
        ] {
            let reason = with(key, value);
            assert!(reason.contains(words), "{key}={value}: {reason}");
        }
        let reason = |inputs: &[&str]| read(&GOOD, inputs).err().unwrap_or_default();
        assert!(reason(&["n", "s"]).contains("requires exactly 1 input field, got 2"));
        assert!(reason(&["s"]).contains("input field s must be numeric, got VarChar"));
        assert!(reason(&["z"]).contains("input field z not found in collection schema"));
        let reason = read(&GOOD[..1], &["n"]).err().unwrap_or_default();
        assert!(reason.contains("decay origin not specified"));
    }
}
