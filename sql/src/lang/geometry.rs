//! How shapes lie to each other: a Geometry column against one constant shape.
//!
//! Relations are those of the OGC, from the matrix of how interiors, boundaries and exteriors meet.
//! A shape that is not valid (a polygon that cuts itself) stands in no relation.

use std::str::FromStr;
use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, AsArray, BooleanArray};
use datafusion::arrow::datatypes::DataType as ArrowType;
use datafusion::common::{DataFusionError, Result};
use elanus_engine::core::geometry::check_text;
use elanus_engine::core::schema::DataType;
use geo::relate::IntersectionMatrix;
use geo::{
    BoundingRect, Distance, Euclidean, Geometry, Intersects, Point, Rect, Relate, Validation,
};

use super::ast::Node;
use super::fault::{Fault, Outcome};
use super::translate::{Meaning, Translator};
use super::udf::{self, Kernel};
use super::value::Value;

/// Names of the functions over shapes.
pub(super) const NAMES: [&str; 9] = [
    "st_equals",
    "st_touches",
    "st_overlaps",
    "st_crosses",
    "st_contains",
    "st_intersects",
    "st_within",
    "st_dwithin",
    "st_isvalid",
];

/// Mean radius of the Earth in metres.
const EARTH: f64 = 6_371_000.0;
/// Metres in a degree of latitude.
const METRES: f64 = 111_320.0;

impl Translator<'_> {
    /// A call of a function over shapes.
    pub(super) fn shape_call(&self, node: &Node, name: &str, args: &[Node]) -> Outcome<Meaning> {
        let Some((field, rest)) = args.split_first() else {
            return Err(Fault::at(node.start, format!("{name} takes a geometry field first")));
        };
        let Meaning::Scalar(column, DataType::Geometry) = self.meaning(field)? else {
            return Err(Fault::new(format!(
                "spatial operation are only supported on geometry fields now, got: {}",
                self.source(node)
            )));
        };
        let question = match (name, rest) {
            ("st_isvalid", []) => Question::Valid,
            ("st_dwithin", [point, distance]) => self.near(point, distance)?,
            ("st_isvalid" | "st_dwithin", _) => {
                let count = if name == "st_isvalid" { "only a field" } else { "three arguments" };
                return Err(Fault::at(node.start, format!("{name} takes {count}")));
            }
            (_, [shape]) => Question::Relation(relation(name), Shape::new(self.shape(shape)?)),
            _ => return Err(Fault::at(node.start, format!("{name} takes a field and a shape"))),
        };
        let label = self.label(name, rest)?;
        Ok(Meaning::Truth(udf::call(label, question, vec![column])))
    }

    /// A name that tells calls with other constants apart.
    fn label(&self, name: &str, args: &[Node]) -> Outcome<String> {
        Ok(format!("{name}{}", Value::List(self.constants(args)?)))
    }

    fn shape(&self, node: &Node) -> Outcome<Geometry> {
        let Meaning::Const(Value::Text(text)) = self.meaning(node)? else {
            let got = self.source(node);
            return Err(Fault::new(format!("a shape is written as WKT in quotes, got: {got}")));
        };
        check_text(&text).map_err(Fault::new)?;
        read(&text).ok_or_else(|| Fault::new(format!("not a shape: {text}")))
    }

    fn near(&self, point: &Node, distance: &Node) -> Outcome<Question> {
        let Geometry::Point(point) = self.shape(point)? else {
            let got = self.source(point);
            return Err(Fault::new(format!("only supports POINT geometry: {got}")));
        };
        let metres = match self.meaning(distance)? {
            Meaning::Const(value) => value.number(),
            _ => None,
        };
        let Some(metres) = metres.map(|n| n.as_f64()) else {
            return Err(Fault::new(format!(
                "distance parameter must be a constant numeric value, got: {}",
                self.source(distance)
            )));
        };
        if metres < 0.0 || metres.is_nan() {
            return Err(Fault::new(format!(
                "distance parameter must be non-negative, got: {metres}"
            )));
        }
        Ok(Question::Near(point, metres))
    }
}

fn read(text: &str) -> Option<Geometry> {
    let shape = wkt::Wkt::<f64>::from_str(text).ok()?;
    shape.try_into().ok()
}

type Test = fn(&IntersectionMatrix) -> bool;

fn relation(name: &str) -> Test {
    match name {
        "st_equals" => IntersectionMatrix::is_equal_topo,
        "st_touches" => IntersectionMatrix::is_touches,
        "st_overlaps" => IntersectionMatrix::is_overlaps,
        "st_crosses" => IntersectionMatrix::is_crosses,
        "st_contains" => IntersectionMatrix::is_contains,
        "st_within" => IntersectionMatrix::is_within,
        _ => IntersectionMatrix::is_intersects,
    }
}

/// A constant shape and what is asked of it again and again.
#[derive(Debug)]
struct Shape {
    shape: Geometry,
    bounds: Option<Rect>,
    valid: bool,
}

impl Shape {
    fn new(shape: Geometry) -> Self {
        Self { bounds: shape.bounding_rect(), valid: shape.is_valid(), shape }
    }

    /// Shapes whose rectangles are apart stand in no relation: all of them need a common point.
    fn is_apart(&self, other: &Geometry) -> bool {
        match (self.bounds, other.bounding_rect()) {
            (Some(a), Some(b)) => !a.intersects(&b),
            _ => true,
        }
    }
}

#[derive(Debug)]
enum Question {
    Relation(Test, Shape),
    Near(Point, f64),
    Valid,
}

impl Question {
    fn ask(&self, shape: &Geometry) -> bool {
        match self {
            Self::Valid => shape.is_valid(),
            Self::Near(point, metres) => distance(shape, *point) <= *metres,
            Self::Relation(test, other) => {
                let related = other.valid && !other.is_apart(shape) && shape.is_valid();
                related && test(&shape.relate(&other.shape))
            }
        }
    }
}

/// Metres between a shape and a point in degrees: along the Earth between two points, else the distance in the
/// plane by the size of a degree there, as Milvus has it.
fn distance(shape: &Geometry, point: Point) -> f64 {
    let latitude = point.y().to_radians();
    if let Geometry::Point(other) = shape {
        let half = |degrees: f64| (degrees.to_radians() / 2.0).sin().powi(2);
        let chord = half(other.y() - point.y())
            + latitude.cos() * other.y().to_radians().cos() * half(other.x() - point.x());
        return 2.0 * EARTH * chord.sqrt().atan2((1.0 - chord).sqrt());
    }
    if shape.bounding_rect().is_none() {
        return f64::NAN;
    }
    let degrees = Euclidean.distance(shape, &Geometry::Point(point));
    degrees * METRES * f64::midpoint(1.0, latitude.cos().powi(2)).sqrt()
}

impl Kernel for Question {
    fn output(&self) -> ArrowType {
        ArrowType::Boolean
    }

    fn run(&self, args: &[ArrayRef], _: usize) -> Result<ArrayRef> {
        let texts = args.first().and_then(|a| a.as_string_opt::<i32>()).ok_or_else(|| {
            DataFusionError::Execution("a function of shapes takes a geometry column".into())
        })?;
        let answers: BooleanArray =
            texts.iter().map(|text| read(text?).map(|shape| self.ask(&shape))).collect();
        Ok(Arc::new(answers))
    }
}

/// A call on a column.
#[cfg(test)]
fn asked(name: &str, row: &str, shape: &str) -> bool {
    let question = Question::Relation(relation(name), Shape::new(read(shape).unwrap()));
    question.ask(&read(row).unwrap())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SQUARE: &str = "POLYGON ((0 0, 10 0, 10 10, 0 10, 0 0))";

    #[test]
    fn relations_of_shapes() {
        let cases = [
            ("st_within", "POINT (5 5)", SQUARE, true),
            ("st_within", SQUARE, SQUARE, true),
            ("st_within", "POINT (0 5)", SQUARE, false),
            ("st_contains", SQUARE, "POINT (5 5)", true),
            ("st_contains", "POINT (5 5)", SQUARE, false),
            ("st_intersects", SQUARE, "POINT (0 5)", true),
            ("st_intersects", SQUARE, "POINT (11 5)", false),
            ("st_touches", SQUARE, "POINT (0 5)", true),
            ("st_touches", SQUARE, "POLYGON ((10 0, 20 0, 20 10, 10 0))", true),
            ("st_touches", SQUARE, "POINT (5 5)", false),
            ("st_overlaps", SQUARE, "POLYGON ((5 5, 15 5, 15 15, 5 15, 5 5))", true),
            ("st_overlaps", SQUARE, "POLYGON ((1 1, 2 1, 2 2, 1 1))", false),
            ("st_crosses", "LINESTRING (-5 5, 5 5)", SQUARE, true),
            ("st_crosses", "LINESTRING (1 1, 5 5)", SQUARE, false),
            ("st_equals", "LINESTRING (0 0, 2 2)", "LINESTRING (2 2, 1 1, 0 0)", true),
            ("st_equals", "POINT (1 1)", "POINT (1 2)", false),
            ("st_intersects", "GEOMETRYCOLLECTION (POINT (1 1))", SQUARE, true),
            ("st_intersects", "POINT EMPTY", SQUARE, false),
            ("st_intersects", "POLYGON ((0 0, 2 2, 2 0, 0 2, 0 0))", SQUARE, false),
        ];
        for (name, row, shape, expected) in cases {
            assert_eq!(asked(name, row, shape), expected, "{name}({row}, {shape})");
        }
        let valid = |text: &str| Question::Valid.ask(&read(text).unwrap());
        assert!(valid(SQUARE) && !valid("POLYGON ((0 0, 2 2, 2 0, 0 2, 0 0))"));
    }

    #[test]
    fn distances_are_in_metres() {
        let point = Point::new(0.0, 0.0);
        let metres = |text: &str| distance(&read(text).unwrap(), point).round();
        assert_eq!(metres("POINT (1 0)"), 111_195.0);
        assert_eq!(metres("POINT (0 0)"), 0.0);
        assert_eq!(metres("LINESTRING (1 -1, 1 1)"), 111_320.0);
        assert!(!Question::Near(point, 1e9).ask(&read("LINESTRING EMPTY").unwrap()));
        assert!(
            !Question::Near(point, 1e9).ask(
                &read("POINT EMPTY").unwrap_or(Geometry::LineString(vec![(0.0, 0.0); 0].into()))
            )
        );
    }
}
