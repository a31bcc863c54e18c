//! Boosts: rows that a filter matches get their score multiplied or raised before the best are kept.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{Array, AsArray, BooleanArray};
use arrow::datatypes::Int64Type;
use elanus_engine::api::{Hit, Metric, RowAddress, Snapshot};
use elanus_engine::core::filter::RowFilter;
use elanus_engine::core::runtime::random_id;
use elanus_engine::core::schema::{CollectionSchema, DataType};
use elanus_proto::schema::{FunctionSchema, TemplateValue};
use elanus_sql::lang::Filter;
use serde_json::Value;

use crate::convert::params::{Params, to_map};
use crate::convert::{ids, internal, invalid, template};
use crate::proxy::dml::e_with;
use crate::status::{Failure, code};

/// How two numbers become one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Multiply,
    Sum,
}

impl Mode {
    fn read(text: Option<&str>, what: &str) -> Result<Self, Failure> {
        match text.unwrap_or("multiply").to_ascii_lowercase().as_str() {
            "multiply" => Ok(Self::Multiply),
            "sum" => Ok(Self::Sum),
            other => Err(invalid(format!("unknown {what} mode: {other}"))),
        }
    }

    fn apply(self, a: f32, b: f32) -> f32 {
        match self {
            Self::Multiply => a * b,
            Self::Sum => a + b,
        }
    }
}

/// One boost.
#[derive(Debug, Clone)]
struct Boost {
    /// The rows it is for; none: all.
    filter: Option<Arc<dyn RowFilter>>,
    weight: f32,
    random: Option<Random>,
}

/// A number from 0 to 1 in place of 1, drawn from a row's key or another field.
#[derive(Debug, Clone)]
struct Random {
    seed: u64,
    field: Option<String>,
}

/// All boosts of a search.
#[derive(Debug, Clone)]
pub(super) struct Boosts {
    boosts: Vec<Boost>,
    /// How several boosts of one row become one.
    among: Mode,
    /// How the boost changes the score.
    onto: Mode,
}

impl Boosts {
    /// Reads the functions whose reranker is `boost`; `None` if there is none.
    pub fn read(
        functions: &[&FunctionSchema],
        params: &Params,
        schema: &CollectionSchema,
        templates: &HashMap<String, TemplateValue>,
    ) -> Result<Option<Self>, Failure> {
        if functions.is_empty() {
            return Ok(None);
        }
        let boosts = functions
            .iter()
            .map(|function| Boost::read(function, schema, templates))
            .collect::<Result<_, _>>()
            .map_err(|e| e_with(e, "failed to create query plan"))?;
        Ok(Some(Self {
            boosts,
            among: Mode::read(params.text("function_mode"), "function")?,
            onto: Mode::read(params.text("boost_mode"), "boost")?,
        }))
    }

    /// Changes the scores of rows that were found and puts each query's in order again.
    pub async fn apply(
        &self,
        snapshot: &Snapshot,
        metric: Metric,
        hits: &mut [Vec<Hit>],
    ) -> Result<(), Failure> {
        let rows: Vec<RowAddress> = hits.iter().flatten().map(|h| h.row).collect();
        let factors = self.factors(snapshot, &rows).await?;
        let mut factors = factors.into_iter();
        for list in hits {
            for hit in list.iter_mut() {
                if let Some(factor) = factors.next().flatten() {
                    // Of distances the nearest is the largest score, as in Milvus: the negative counts.
                    let sign = if metric.higher_is_nearer() { 1.0 } else { -1.0 };
                    hit.score = sign * self.onto.apply(sign * hit.score, factor);
                }
            }
            // Equals stay as they are, by key.
            list.sort_by(|a, b| match metric.higher_is_nearer() {
                true => b.score.total_cmp(&a.score),
                false => a.score.total_cmp(&b.score),
            });
        }
        Ok(())
    }

    async fn factors(
        &self,
        snapshot: &Snapshot,
        rows: &[RowAddress],
    ) -> Result<Vec<Option<f32>>, Failure> {
        let mut factors: Vec<Option<f32>> = vec![None; rows.len()];
        for boost in &self.boosts {
            let own = boost.factors(snapshot, rows).await?;
            for (total, own) in factors.iter_mut().zip(own) {
                let Some(own) = own else { continue };
                *total = Some(total.map_or(own, |before| self.among.apply(before, own)));
            }
        }
        Ok(factors)
    }
}

impl Boost {
    fn read(
        function: &FunctionSchema,
        schema: &CollectionSchema,
        templates: &HashMap<String, TemplateValue>,
    ) -> Result<Self, Failure> {
        let given = to_map(&function.params);
        let filter = match given.get("filter") {
            None => None,
            Some(text) => {
                let templates = template::templates(templates.clone())?;
                let filter = Filter::parse_optional(text, schema, &templates)
                    .map_err(|e| e_with(e.into(), "parse expr failed"))?;
                filter.map(|f| Arc::new(f) as Arc<dyn RowFilter>)
            }
        };
        let weight = given
            .get("weight")
            .ok_or_else(|| invalid("must set weight params for weight scorer"))?;
        let weight = weight.trim().parse::<f32>().map_err(|e| {
            invalid(format!("parse function scorer weight params failed: {weight}: {e}"))
        })?;
        let random =
            given.get("random_score").map(|text| Random::read(text, schema)).transpose()?;
        Ok(Self { filter, weight, random })
    }

    /// What the boost gives each row; nothing to those that it is not for.
    async fn factors(
        &self,
        snapshot: &Snapshot,
        rows: &[RowAddress],
    ) -> Result<Vec<Option<f32>>, Failure> {
        let matching = match &self.filter {
            None => None,
            Some(filter) => {
                let batch = snapshot.fetch(rows, filter.columns()).await?;
                Some(filter.evaluate(&batch)?)
            }
        };
        let chosen = |mask: &Option<BooleanArray>, row: usize| {
            mask.as_ref().is_none_or(|m| m.is_valid(row) && m.value(row))
        };
        let drawn = match &self.random {
            None => vec![1.0; rows.len()],
            Some(random) => random.draw(snapshot, rows).await?,
        };
        let factor =
            |(row, drawn): (usize, f32)| chosen(&matching, row).then_some(drawn * self.weight);
        Ok(drawn.into_iter().enumerate().map(factor).collect())
    }
}

impl Random {
    fn read(text: &str, schema: &CollectionSchema) -> Result<Self, Failure> {
        let given: Value = serde_json::from_str(text)
            .map_err(|e| invalid(format!("random_score [{text}] is no JSON object: {e}")))?;
        let seed = match given.get("seed") {
            None => random_id(),
            Some(Value::Number(n)) => {
                n.as_u64().or_else(|| n.as_i64().map(i64::cast_unsigned)).ok_or_else(|| {
                    invalid(format!("random seed must be a whole number, but got {n}"))
                })?
            }
            Some(_) => return Err(invalid("random seed must be number")),
        };
        let field = match given.get("field") {
            None => None,
            Some(Value::String(name)) => Some(seed_field(name, schema)?),
            Some(_) => return Err(invalid("random seed field name must be string")),
        };
        Ok(Self { seed, field })
    }

    /// A number for each row; the same seed and value draw the same one.
    async fn draw(&self, snapshot: &Snapshot, rows: &[RowAddress]) -> Result<Vec<f32>, Failure> {
        let primary = snapshot.schema().primary()?.name.clone();
        let column = self.field.clone().unwrap_or_else(|| primary.clone());
        let batch = snapshot.fetch(rows, std::slice::from_ref(&column)).await?;
        if self.field.is_none() {
            let keys = ids::key_column(&batch, &primary)?;
            let bytes = (0..keys.len()).map(|row| keys.get(row).to_string());
            return Ok(bytes.map(|key| unit(hash(key.as_bytes(), self.seed))).collect());
        }
        let array = batch.column_by_name(&column).and_then(|c| c.as_primitive_opt::<Int64Type>());
        let array = array.ok_or_else(|| internal(format!("field {column} was not fetched")))?;
        let of = |value: Option<i64>| hash(&value.unwrap_or_default().to_le_bytes(), self.seed);
        Ok(array.iter().map(|value| unit(of(value))).collect())
    }
}

fn seed_field(name: &str, schema: &CollectionSchema) -> Result<String, Failure> {
    let field = schema.fields.iter().find(|f| f.name == name).ok_or_else(|| {
        Failure::new(
            code::FIELD_NOT_FOUND,
            format!("random seed field not found: field not found[field={name}]"),
        )
    })?;
    if field.data_type != DataType::Int64 {
        return Err(invalid(format!(
            "only support int64 field as random seed, but got {}",
            field.data_type.display_name()
        )));
    }
    Ok(name.to_string())
}

/// A hash of bytes that never changes: FNV-1a, then the finaliser of SplitMix64 to spread it.
fn hash(bytes: &[u8], seed: u64) -> u64 {
    let mut h = 0xcbf2_9ce4_8422_2325 ^ seed;
    for byte in bytes {
        h = (h ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    }
    h = (h ^ (h >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    h = (h ^ (h >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    h ^ (h >> 31)
}

/// From 0 up to, but without, 1.
fn unit(hash: u64) -> f32 {
    (hash >> 40) as f32 / (1u32 << 24) as f32
}

#[cfg(test)]
mod tests {
    use super::*;
    use elanus_engine::core::schema::FieldSchema;
    use elanus_proto::common::KeyValuePair;

    fn read(params: &[(&str, &str)]) -> Result<Boost, String> {
        let schema = CollectionSchema::new(vec![
            FieldSchema::new("id", DataType::Int64).primary(),
            FieldSchema::new("s", DataType::VarChar { max_length: 9 }),
        ]);
        let pair = |(k, v): &(&str, &str)| KeyValuePair { key: (*k).into(), value: (*v).into() };
        let params = params.iter().map(pair).collect();
        let function = FunctionSchema { params, ..Default::default() };
        Boost::read(&function, &schema, &HashMap::new()).map_err(|f| f.reason)
    }

    #[test]
    fn wrong_boosts_are_refused() {
        for (params, words) in [
            (&[][..], "must set weight params"),
            (&[("weight", "x")], "parse function scorer weight params failed"),
            (&[("weight", "1"), ("filter", "id @@ 1")], "@"),
            (&[("weight", "1"), ("random_score", "{\"seed\": \"x\"}")], "seed must be number"),
            (&[("weight", "1"), ("random_score", "{\"field\": \"s\"}")], "only support int64"),
            (&[("weight", "1"), ("random_score", "{\"field\": \"q\"}")], "field not found"),
        ] {
            let reason = read(params).err().unwrap_or_default();
            assert!(reason.contains(words), "{params:?}: {reason}");
        }
        assert!(read(&[("weight", "0.5"), ("filter", "id > 1")]).is_ok());
    }

    #[test]
    fn draws_depend_on_seed_and_value_and_lie_below_one() {
        let draw = |value: i64, seed| unit(hash(&value.to_le_bytes(), seed));
        assert_eq!(draw(7, 1), draw(7, 1));
        assert_ne!(draw(7, 1), draw(7, 2));
        let all: Vec<f32> = (0..1_000).map(|v| draw(v, 42)).collect();
        assert!(all.iter().all(|d| (0.0..1.0).contains(d)));
        let mean = all.iter().sum::<f32>() / 1_000.0;
        assert!((0.45..0.55).contains(&mean), "{mean}");
    }

    #[test]
    fn modes_are_read_in_any_case() {
        assert_eq!(Mode::read(Some("Sum"), "boost"), Ok(Mode::Sum));
        assert_eq!(Mode::read(None, "boost"), Ok(Mode::Multiply));
        assert!(Mode::read(Some("max"), "boost").is_err());
    }
}
