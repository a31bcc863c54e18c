//! Shapes in the plane, written as well-known text (WKT).

use std::str::FromStr;

use arrow::array::{ArrayRef, AsArray};

use super::error::{Error, Result, Subject};
use super::schema::FieldSchema;

/// Refuses a column with a text that is no shape.
pub fn check(field: &FieldSchema, column: &ArrayRef) -> Result<()> {
    for (row, text) in column.as_string::<i32>().iter().enumerate() {
        let Some(text) = text else { continue };
        check_text(text).map_err(|why| {
            let place = format!("field {}, row {row}", field.name);
            Error::invalid(Subject::Field, format!("{why}: {place}"))
        })?;
    }
    Ok(())
}

/// Refuses a text that is no shape; says why in words that Milvus's clients look for.
pub fn check_text(text: &str) -> Result<(), String> {
    let wrong = |why: &str| {
        format!("invalid Geometry data, transform to wkb failed: syntax error in WKT '{text}': {why}")
    };
    match wkt::Wkt::<f64>::from_str(text) {
        Ok(_) => Ok(()),
        Err(why) => Err(wrong(why)),
    }
}

#[cfg(test)]
mod tests {
    use super::check_text;

    #[test]
    fn shapes_and_what_is_none() {
        for text in [
            "POINT (1 2)",
            "POINT(1 2)",
            "point (1.5 -2e3)",
            "POINT EMPTY",
            "LINESTRING (0 0, 1 1)",
            "POLYGON ((0 0, 4 0, 4 4, 0 0), (1 1, 2 1, 2 2, 1 1))",
            "MULTIPOINT ((0 0), (1 1))",
            "MULTIPOLYGON (((0 0, 1 0, 1 1, 0 0)))",
            "GEOMETRYCOLLECTION (POINT (1 1), LINESTRING (0 0, 1 1))",
        ] {
            assert_eq!(check_text(text), Ok(()), "{text}");
        }
        for text in ["", "not-wkt", "POINT (1)", "POINT (1 2", "POLYGON (0 0, 1 1)", "CIRCLE (1 2)"] {
            assert!(check_text(text).is_err_and(|e| e.contains("syntax error")), "{text}");
        }
    }
}
