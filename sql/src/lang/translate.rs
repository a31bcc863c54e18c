//! The tree of a filter and a collection's schema to one DataFusion expression.

use std::collections::HashMap;

use datafusion::functions_nested::expr_fn::array_element;
use datafusion::logical_expr::{Expr, and, ident, lit, not, or};
use elanus_engine::core::schema::{CollectionSchema, DYNAMIC_FIELD, DataType};
use elanus_engine::core::structs::sub_name;
use elanus_engine::core::timestamptz::Zone;

use super::arith::{Arith, Leaf};
use super::ast::{ArithOp, Kind, Node, Sign, Step};
use super::compare;
use super::elements::{ELEMENT, element_name, no_struct_field};
use super::fault::{Fault, Outcome};
use super::json::Place;
use super::moment::{self, Interval};
use super::parser::unquoted_key;
use super::template::{self, TemplateValue};
use super::value::Value;

/// What a part of a filter turns out to be.
#[derive(Debug, Clone)]
pub(super) enum Meaning {
    /// A constant.
    Const(Value),
    /// A column of a scalar type, or an element of an array.
    Scalar(Expr, DataType),
    /// A place in a JSON column.
    Json(Place),
    /// An array column and the type of its elements.
    Array(Expr, DataType),
    /// A vector column, or one of arrays of them: good for null tests only.
    Vector(Expr, DataType),
    /// A struct array, by the column of one of its sub-fields: good for null tests and its length.
    Struct(Expr),
    /// A calculated number.
    Calc(Arith),
    /// A span of time.
    Interval(Interval),
    /// A moment so much later than a column's.
    Moment(Expr, Interval),
    /// True, false or null.
    Truth(Expr),
}

impl Meaning {
    /// The name Milvus gives its type.
    pub fn type_name(&self) -> String {
        match self {
            Self::Const(value) => value.type_name().to_owned(),
            Self::Scalar(_, t) | Self::Vector(_, t) => type_name(t),
            Self::Json(_) => "JSON".to_owned(),
            Self::Array(_, t) => format!("Array[{}]", type_name(t)),
            Self::Struct(_) => "ArrayOfStruct".to_owned(),
            Self::Calc(arith) if arith.fractional => "Double".to_owned(),
            Self::Calc(_) => "Int64".to_owned(),
            Self::Truth(_) => "Bool".to_owned(),
            Self::Interval(_) => "Interval".to_owned(),
            Self::Moment(..) => "Timestamptz".to_owned(),
        }
    }

    /// As a truth value, if it is one.
    fn truth(self) -> Option<Expr> {
        match self {
            Self::Truth(expr) | Self::Scalar(expr, DataType::Bool) => Some(expr),
            Self::Const(Value::Bool(value)) => Some(lit(value)),
            _ => None,
        }
    }

    /// As a number that can be calculated with, if it is one.
    pub fn arith(self) -> Option<Arith> {
        match self {
            Self::Calc(arith) => Some(arith),
            Self::Const(value) => value.number().map(Arith::constant),
            Self::Scalar(expr, t) if t.is_integer() => Some(Arith::leaf(expr, Leaf::Plain, false)),
            Self::Scalar(expr, DataType::Float | DataType::Double) => {
                Some(Arith::leaf(expr, Leaf::Plain, true))
            }
            Self::Json(place) => Some(json_number(place)),
            _ => None,
        }
    }
}

/// The number at a place in JSON.
pub(super) fn json_number(place: Place) -> Arith {
    Arith::leaf(ident(place.column), Leaf::Json(place.path), false)
}

/// The name Milvus gives a type in its errors.
pub(super) fn type_name(data_type: &DataType) -> String {
    match data_type {
        DataType::VarChar { .. } => "VarChar".to_owned(),
        DataType::Json => "JSON".to_owned(),
        DataType::Array { element, .. } => format!("Array[{}]", type_name(element)),
        vector if vector.is_vector() => {
            let name = vector.display_name();
            name.split('(').next().unwrap_or_default().to_owned()
        }
        other => format!("{other:?}"),
    }
}

/// Translates the parts of one filter.
pub(super) struct Translator<'a> {
    /// The filter's text, for errors.
    pub text: &'a str,
    /// The collection's fields.
    pub schema: &'a CollectionSchema,
    /// Values for the places `{name}`.
    pub templates: &'a HashMap<String, TemplateValue>,
    /// Where moments that name no offset are.
    pub zone: Zone,
}

impl Translator<'_> {
    /// The whole filter: must be a truth value.
    pub fn filter(&self, node: &Node) -> Outcome<Expr> {
        let meaning = self.meaning(node)?;
        let kind = meaning.type_name();
        meaning.truth().ok_or_else(|| {
            let text = self.source(node);
            Fault::new(format!("predicate is not a boolean expression: {text}, data type: {kind}"))
        })
    }

    /// The text of a part.
    pub fn source(&self, node: &Node) -> &str {
        self.text.get(node.start..node.end).unwrap_or(self.text)
    }

    /// What a part is.
    pub fn meaning(&self, node: &Node) -> Outcome<Meaning> {
        Ok(match &node.kind {
            Kind::Bool(v) => Meaning::Const(Value::Bool(*v)),
            Kind::Int(v) => Meaning::Const(Value::Int(*v)),
            Kind::Float(v) => Meaning::Const(Value::Float(*v)),
            Kind::Text(v) => Meaning::Const(Value::Text(v.clone())),
            Kind::Moment(text) => {
                Meaning::Const(Value::Moment(self.zone.parse(text).map_err(Fault::new)?))
            }
            Kind::Interval(text) => Meaning::Interval(Interval::read(text)?),
            Kind::List(items) => Meaning::Const(Value::List(self.constants(items)?)),
            Kind::Template(name) => Meaning::Const(template::fill(name, self.templates)?),
            Kind::Field(name, path) => return self.field(name, path),
            Kind::Element(sub) => return self.element(sub.as_deref()),
            Kind::Sub { of, at, sub } => return self.sub_field(of, *at, sub),
            Kind::Unary(sign, value) => return self.unary(*sign, value),
            Kind::Arith(op, left, right) => return self.arith(node, *op, left, right),
            Kind::Compare(op, left, right) => {
                let (l, r) = (self.meaning(left)?, self.meaning(right)?);
                compare::compare(self.source(node), *op, l, r)?
            }
            Kind::Range(parts, ops) => return self.range(node, parts, *ops),
            Kind::And(parts) => self.junction(parts, "and", and)?,
            Kind::Or(parts) => self.junction(parts, "or", or)?,
            Kind::In { value, list, negated } => return self.is_in(value, list, *negated),
            Kind::Like(value, pattern) => return self.like(value, pattern),
            Kind::Regex { value, pattern, negated } => {
                return self.regex(value, pattern, *negated);
            }
            Kind::IsNull { value, negated } => return self.is_null(value, *negated),
            Kind::Exists(value) => return self.exists(value),
            Kind::Call(name, args) => return self.call(node, name, args),
        })
    }

    /// A constant, or an error that names the part.
    pub fn constants(&self, items: &[Node]) -> Outcome<Vec<Value>> {
        let constant = |item| match self.meaning(item)? {
            Meaning::Const(value) => Ok(value),
            _ => Err(Fault::new(format!(
                "array element type must be generic value, but got: {}",
                self.source(item)
            ))),
        };
        items.iter().map(constant).collect()
    }

    fn field(&self, name: &str, path: &[Step]) -> Outcome<Meaning> {
        if name == DYNAMIC_FIELD && self.schema.enable_dynamic_field {
            return Ok(Meaning::Json(Place { column: name.into(), path: path.to_vec() }));
        }
        let field = match self.schema.field(name) {
            Ok(field) => field,
            Err(_) if name.eq_ignore_ascii_case("null") => {
                return Err(Fault::new(
                    "NULL literal is not supported in expressions; use '<field> is null' or \
                     '<field> is not null' instead",
                ));
            }
            Err(_) if path.is_empty() && self.schema.struct_named(name).is_some() => {
                let own = self.schema.struct_named(name);
                let sub = own.and_then(|own| self.schema.counted_field(own));
                let sub = sub.ok_or_else(|| no_struct_field(name))?;
                return Ok(Meaning::Struct(ident(&sub.name)));
            }
            Err(_) if self.schema.enable_dynamic_field => return Ok(dynamic(name, path)),
            Err(error) => return Err(Fault::new(error.message())),
        };
        let column = ident(name);
        match (&field.data_type, path) {
            (DataType::Json, path) => {
                Ok(Meaning::Json(Place { column: name.into(), path: path.to_vec() }))
            }
            (DataType::Array { element, .. }, _) if element.is_vector() => {
                Ok(Meaning::Vector(column, (**element).clone()))
            }
            (DataType::Array { element, .. }, []) => {
                Ok(Meaning::Array(column, (**element).clone()))
            }
            (DataType::Array { element, .. }, [Step::Index(at)]) => {
                // DataFusion counts from 1.
                let place = i64::try_from(*at).ok().and_then(|at| at.checked_add(1));
                let place = place.ok_or_else(|| Fault::new(format!("there is no element {at}")))?;
                Ok(Meaning::Scalar(array_element(column, lit(place)), (**element).clone()))
            }
            (DataType::Array { .. }, [Step::Key(_), ..]) => {
                Err(Fault::new("can only access array field with integer index"))
            }
            (t, []) if t.is_vector() => Ok(Meaning::Vector(column, t.clone())),
            (t, []) => Ok(Meaning::Scalar(column, t.clone())),
            (t, _) => Err(Fault::new(format!(
                "{} data type not supported accessed with []",
                type_name(match t {
                    DataType::Array { element, .. } => element,
                    other => other,
                })
            ))),
        }
    }

    /// `$[sub]`: a field of the schema of elements.
    fn element(&self, sub: Option<&str>) -> Outcome<Meaning> {
        let name = sub.map_or_else(|| ELEMENT.to_owned(), element_name);
        if self.schema.has_field(&name) {
            return self.field(&name, &[]);
        }
        let inside = self.schema.fields.iter().any(|f| f.name.starts_with('$'));
        Err(match inside {
            true => no_struct_field(&name),
            false => Fault::new(format!(
                "{name} stands for an element: it can only be used in element_filter and match \
                 functions"
            )),
        })
    }

    /// `s[sub]` or `s[0][sub]`.
    fn sub_field(&self, of: &str, at: Option<usize>, sub: &str) -> Outcome<Meaning> {
        let name = sub_name(of, sub);
        if self.schema.struct_named(of).is_none() {
            let json = self.schema.enable_dynamic_field
                || self.schema.field(of).is_ok_and(|f| f.data_type == DataType::Json);
            return Err(match json {
                true => Fault::new(unquoted_key(sub)),
                false => no_struct_field(&name),
            });
        }
        if !self.schema.has_field(&name) {
            return Err(no_struct_field(&name));
        }
        let path: Vec<Step> = at.map(Step::Index).into_iter().collect();
        self.field(&name, &path)
    }

    fn unary(&self, sign: Sign, value: &Node) -> Outcome<Meaning> {
        let meaning = self.meaning(value)?;
        if sign == Sign::Not {
            let why = "not op can only be applied on boolean expression";
            return match meaning {
                Meaning::Const(Value::Bool(v)) => Ok(Meaning::Const(Value::Bool(!v))),
                other => other.truth().map(|e| Meaning::Truth(not(e))).ok_or_else(|| {
                    // `not` binds tighter than a comparison, which surprises.
                    Fault::new(format!("{why}; put parentheses around what 'not' belongs to"))
                }),
            };
        }
        if let Meaning::Const(value) = &meaning
            && let Some(number) = value.number()
        {
            let result = match sign {
                Sign::Minus => number.negate(),
                Sign::Invert => number.invert(),
                Sign::Plus | Sign::Not => Ok(number),
            };
            return result
                .ok()
                .and_then(Value::from_number)
                .map(Meaning::Const)
                .ok_or_else(|| Fault::new(format!("the sign cannot be applied to {value}")));
        }
        let name = meaning.type_name();
        let bad = || Fault::new(format!("a sign can only be put before a number, not {name}"));
        let arith = meaning.arith().ok_or_else(bad)?;
        match sign {
            Sign::Plus => Ok(Meaning::Calc(arith)),
            Sign::Invert if arith.fractional => Err(bad()),
            sign => Ok(Meaning::Calc(arith.signed(sign))),
        }
    }

    fn arith(&self, node: &Node, op: ArithOp, left: &Node, right: &Node) -> Outcome<Meaning> {
        let (l, r) = match (self.meaning(left)?, self.meaning(right)?) {
            (Meaning::Scalar(expr, DataType::Timestamptz), Meaning::Interval(interval)) => {
                return moment::shifted(expr, op, interval);
            }
            sides => sides,
        };
        if let (Meaning::Const(a), Meaning::Const(b)) = (&l, &r) {
            return fold(op, a, b).map(Meaning::Const);
        }
        if matches!(l, Meaning::Array(..)) || matches!(r, Meaning::Array(..)) {
            return Err(Fault::new("can not comparisons array fields directly"));
        }
        let zero = matches!(&r, Meaning::Const(v) if v.number().is_some_and(|n| n.as_f64() == 0.0));
        if zero && matches!(op, ArithOp::Div | ArithOp::Mod) {
            return Err(Fault::new("division or modulus by zero"));
        }
        let bad = format!(
            "'{}' can only be used between numbers, got {} and {}: {}",
            op.symbol(),
            l.type_name(),
            r.type_name(),
            self.source(node)
        );
        let (Some(a), Some(b)) = (l.arith(), r.arith()) else { return Err(Fault::new(bad)) };
        if op == ArithOp::Mod && (a.fractional || b.fractional) {
            return Err(Fault::new("modulo can only apply on integer types"));
        }
        if op.is_bitwise() && (a.fractional || b.fractional) {
            return Err(Fault::new(format!("{bad}; bit operators take integers")));
        }
        Ok(Meaning::Calc(a.binary(op, b)))
    }

    /// Joins parts as a balanced tree: DataFusion walks it by recursion.
    fn junction(
        &self,
        parts: &[Node],
        word: &str,
        join: fn(Expr, Expr) -> Expr,
    ) -> Outcome<Meaning> {
        let truth = |part| {
            self.meaning(part)?.truth().ok_or_else(|| {
                Fault::new(format!("'{word}' can only be used between boolean expressions"))
            })
        };
        let mut level = parts.iter().map(truth).collect::<Outcome<Vec<_>>>()?;
        while level.len() > 1 {
            let mut above = Vec::with_capacity(level.len().div_ceil(2));
            let mut rest = level.into_iter();
            while let Some(first) = rest.next() {
                above.push(match rest.next() {
                    Some(second) => join(first, second),
                    None => first,
                });
            }
            level = above;
        }
        level.pop().map(Meaning::Truth).ok_or_else(|| Fault::new(format!("'{word}' joins nothing")))
    }
}

/// A key that the schema does not name.
fn dynamic(name: &str, path: &[Step]) -> Meaning {
    let mut whole = vec![Step::Key(name.to_owned())];
    whole.extend_from_slice(path);
    Meaning::Json(Place { column: DYNAMIC_FIELD.into(), path: whole })
}

/// Calculates two constants.
fn fold(op: ArithOp, a: &Value, b: &Value) -> Outcome<Value> {
    let (Some(x), Some(y)) = (a.number(), b.number()) else {
        let (a, b) = (a.type_name(), b.type_name());
        return Err(Fault::new(format!(
            "'{}' can only be used between numbers, got {a} and {b}",
            op.symbol()
        )));
    };
    if op == ArithOp::Mod && (matches!(a, Value::Float(_)) || matches!(b, Value::Float(_))) {
        return Err(Fault::new("modulo can only apply on integer types"));
    }
    let result = x.calculate(op, y).map_err(|why| Fault::new(why.message()))?;
    Value::from_number(result).ok_or_else(|| Fault::new("the result does not fit in 64 bits"))
}
