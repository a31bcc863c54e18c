//! Shapes in the plane, written as well-known text (WKT).

use std::str::FromStr;

use arrow::array::{ArrayRef, AsArray};
use wkt::Wkt;

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
        format!(
            "invalid Geometry data, transform to wkb failed: syntax error in WKT '{text}': {why}"
        )
    };
    match Wkt::<f64>::from_str(text) {
        Ok(shape) if rings_close(&shape) => Ok(()),
        Ok(_) => {
            Err(wrong("a polygon's ring has at least four points, the last of them the first"))
        }
        Err(why) => Err(wrong(why)),
    }
}

/// Whether each ring of each polygon ends where it began.
fn rings_close(shape: &Wkt<f64>) -> bool {
    let polygon = |p: &wkt::types::Polygon<f64>| {
        p.rings().iter().all(|ring| {
            let points = ring.coords();
            let ends = points.first().zip(points.last());
            points.is_empty()
                || points.len() > 3 && ends.is_some_and(|(a, b)| (a.x, a.y) == (b.x, b.y))
        })
    };
    match shape {
        Wkt::Polygon(p) => polygon(p),
        Wkt::MultiPolygon(m) => m.polygons().iter().all(polygon),
        Wkt::GeometryCollection(all) => all.geometries().iter().all(rings_close),
        _ => true,
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
        for text in [
            "",
            "not-wkt",
            "POINT (1)",
            "POINT (1 2",
            "POLYGON (0 0, 1 1)",
            "CIRCLE (1 2)",
            "POLYGON ((0 0, 1 0))",
        ] {
            assert!(check_text(text).is_err_and(|e| e.contains("syntax error")), "{text}");
        }
    }
}
