//! Moments (Timestamptz) on the wire: texts come in and go out, microseconds since 1970 are what is kept.

use std::collections::BTreeMap;

use elanus_engine::core::timestamptz::{Part, Zone};
use elanus_proto::schema::field_data::Field;
use elanus_proto::schema::scalar_field::Data;
use elanus_proto::schema::{
    ArrayArray, DataType, FieldData, FieldSchema, LongArray, ScalarField, StringArray,
    TimestamptzArray, value_field,
};

use super::invalid;
use super::params::Params;
use crate::status::Failure;

/// The property of collections and databases, and the parameter of requests, that names a time zone.
pub const PROPERTY: &str = "timezone";

/// Refuses a property that names no time zone.
pub fn check(properties: &BTreeMap<String, String>) -> Result<(), Failure> {
    properties.get(PROPERTY).map_or(Ok(()), |name| named(name).map(|_| ()))
}

/// The time zone that a collection's properties name; UTC where none does.
pub fn of_properties(properties: &BTreeMap<String, String>) -> Zone {
    properties.get(PROPERTY).and_then(|name| Zone::named(name)).unwrap_or_default()
}

fn named(name: &str) -> Result<Zone, Failure> {
    Zone::named(name)
        .ok_or_else(|| invalid(format!("unknown or invalid IANA Time Zone ID: {name}")))
}

/// Makes moments of the texts in the columns of an insert.
pub fn read(
    columns: &mut [FieldData],
    is_moment: impl Fn(&str) -> bool,
    zone: Zone,
) -> Result<(), Failure> {
    for column in columns.iter_mut().filter(|c| is_moment(&c.field_name)) {
        let Some(Field::Scalars(ScalarField { data: data @ Some(_), .. })) = &mut column.field
        else {
            continue;
        };
        let Some(Data::StringData(texts)) = data else {
            return Err(invalid("timestamptz field data must be a string array"));
        };
        let moments = texts.data.iter().map(|text| moment(text, zone)).collect::<Result<_, _>>()?;
        *data = Some(Data::TimestamptzData(TimestamptzArray { data: moments }));
    }
    Ok(())
}

fn moment(text: &str, zone: Zone) -> Result<i64, Failure> {
    zone.parse(text).map_err(|_| {
        invalid(format!(
            "got invalid timestamptz string '{text}': invalid timezone name; must be a valid IANA Time \
             Zone ID (e.g., 'Asia/Shanghai' or 'UTC')"
        ))
    })
}

/// Makes a moment of the text that is a field's default.
pub fn read_default(field: &mut FieldSchema, zone: Zone) -> Result<(), Failure> {
    if field.data_type() != DataType::Timestamptz {
        return Ok(());
    }
    if let Some(value_field::Data::StringData(text)) =
        field.default_value.as_ref().and_then(|v| v.data.as_ref())
    {
        let moment = zone.parse(text).map_err(invalid)?;
        let data = Some(value_field::Data::TimestamptzData(moment));
        field.default_value = Some(elanus_proto::schema::ValueField { data });
    }
    Ok(())
}

/// Shows a field's default as text.
pub fn show_default(field: &mut FieldSchema, zone: Zone) {
    if let Some(value) = &mut field.default_value
        && let Some(value_field::Data::TimestamptzData(moment)) = value.data
    {
        value.data = Some(value_field::Data::StringData(zone.text(moment)));
    }
}

/// How a read understands texts without an offset and how it shows moments.
#[derive(Debug, Clone, Default)]
pub struct Clock {
    /// The zone.
    pub zone: Zone,
    /// Only these parts are shown, as numbers.
    parts: Option<Vec<Part>>,
}

impl Clock {
    /// That of a collection.
    pub fn of_properties(properties: &BTreeMap<String, String>) -> Self {
        Self { zone: of_properties(properties), parts: None }
    }

    /// With what a request asks for instead: `timezone` and `time_fields`.
    pub fn with(self, params: &Params) -> Result<Self, Failure> {
        let zone = params.text(PROPERTY).map_or(Ok(self.zone), named)?;
        let parts = params.text("time_fields").map(read_parts).transpose()?;
        Ok(Self { zone, parts: parts.or(self.parts) })
    }

    /// Shows the moments in the columns of an answer.
    pub fn show(&self, columns: &mut [FieldData]) {
        for column in columns.iter_mut().filter(|c| c.r#type() == DataType::Timestamptz) {
            let Some(Field::Scalars(scalars)) = &mut column.field else { continue };
            let Some(Data::TimestamptzData(moments)) = &scalars.data else { continue };
            let moments = moments.data.iter();
            scalars.data = Some(match &self.parts {
                None => Data::StringData(StringArray {
                    data: moments.map(|m| self.zone.text(*m)).collect(),
                }),
                Some(parts) => {
                    column.r#type = DataType::Array.into();
                    let numbers = moments.map(|m| self.zone.parts(*m, parts));
                    let row = |data| ScalarField {
                        data: Some(Data::LongData(LongArray { data })),
                        ..Default::default()
                    };
                    Data::ArrayData(ArrayArray {
                        data: numbers.map(row).collect(),
                        element_type: DataType::Int64.into(),
                    })
                }
            });
        }
    }
}

/// Parts between commas or spaces.
fn read_parts(text: &str) -> Result<Vec<Part>, Failure> {
    let names = text.split([',', ' ']).filter(|name| !name.is_empty());
    let part = |name: &str| {
        Part::named(name).ok_or_else(|| {
            invalid(format!(
                "unsupported field for extraction: {name}, fields should be seprated by ',' or ' '"
            ))
        })
    };
    names.map(part).collect()
}
