//! The filter as the engine and SQL use it.

use std::collections::HashMap;
use std::sync::Arc;

use datafusion::arrow::array::{
    ArrayRef, Float32Array, Float64Array, Int64Array, RecordBatch, RecordBatchOptions, StringArray,
};
use datafusion::arrow::datatypes::Schema;
use datafusion::common::Column;
use datafusion::logical_expr::{Expr, col, lit};
use elanus_engine::core::filter::{ColumnStats, RowFilter, UnitStats};

use super::fixture::{batch, run, run_on, schema};
use crate::lang::Filter;

fn parse(text: &str) -> Filter {
    Filter::parse(text, &schema(), &HashMap::new()).unwrap()
}

#[test]
fn reads_only_the_columns_it_needs() {
    let columns = |text: &str| parse(text).columns().to_vec();
    assert_eq!(columns("s == 'a' and id > 1 and color == 'red'"), ["id", "s", "$meta"]);
    assert_eq!(columns("id is not null"), [""; 0]);
    assert_eq!(columns("true"), [""; 0]);
}

#[test]
fn a_filter_without_columns_answers_by_row_count() {
    let rows = |n| {
        let options = RecordBatchOptions::new().with_row_count(Some(n));
        RecordBatch::try_new_with_options(Arc::new(Schema::empty()), vec![], &options).unwrap()
    };
    assert_eq!(parse("true").evaluate(&rows(3)).unwrap().true_count(), 3);
    assert_eq!(parse("1 > 2").evaluate(&rows(3)).unwrap().true_count(), 0);
    assert_eq!(parse("true").evaluate(&rows(0)).unwrap().len(), 0);
    assert!(parse("id == 1").evaluate(&rows(3)).is_err());
}

#[test]
fn sliced_batches_give_the_same_answers() {
    let texts = [
        "ai[0] == 1",
        "array_contains(ai, 2)",
        "array_contains_all(as, ['a'])",
        "array_length(ai) == 2",
        "ai == [2, 3]",
        "j[\"a\"] == 1",
        "json_contains(j[\"t\"], 'x')",
        "s like 'a%'",
        "id + 1 > 5",
        "i32 in [5, 9]",
        "exists color",
    ];
    let whole = batch();
    for text in texts {
        let filter = parse(text);
        let expected = run(&filter).unwrap().yes;
        let mut found = Vec::new();
        for start in [0, 4, 7] {
            let length = [4, 3, 3][start / 3];
            let part = run_on(&filter, &whole.slice(start, length)).unwrap();
            found.extend(part.yes.into_iter().map(|row| row + start));
        }
        assert_eq!(found, expected, "{text}");
    }
    assert!(run_on(&parse("ai[0] == 1"), &whole.slice(0, 0)).unwrap().yes.is_empty());
}

#[test]
fn nothing_but_space_is_no_filter() {
    let parse = |text| Filter::parse_optional(text, &schema(), &HashMap::new()).unwrap();
    assert!(parse("").is_none());
    assert!(parse(" \t\n").is_none());
    assert!(parse("id > 1").is_some());
    assert!(Filter::parse_optional("id >", &schema(), &HashMap::new()).is_err());
}

#[test]
fn shows_what_was_written() {
    assert_eq!(parse("  id  > 1 ").to_string(), "id  > 1");
    let filter = Filter::from_expr(col("id").gt(lit(1)), &schema()).unwrap();
    assert_eq!(filter.to_string(), "id > Int32(1)");
}

#[test]
fn takes_conditions_from_sql() {
    let qualified = |name: &str| Expr::Column(Column::new(Some("t"), name));
    let cases: Vec<(Expr, Vec<usize>)> = vec![
        (qualified("id").gt(lit(7i64)), vec![8, 9]),
        (qualified("id").gt(lit(7i32)).and(qualified("s").is_not_null()), vec![9]),
        (qualified("s").in_list(vec![lit("apple"), lit("zebra")], false), vec![1, 9]),
        (qualified("i8").eq(lit(300i64)), vec![]),
        ((qualified("id") % lit(5i64)).eq(lit(0i64)), vec![0, 5]),
        (lit(true), (0..10).collect()),
    ];
    for (expr, expected) in cases {
        let filter = Filter::from_expr(expr, &schema()).unwrap();
        assert_eq!(run(&filter).unwrap().yes, expected, "{filter}");
        assert!(!filter.expr().to_string().contains("t."), "{filter}");
    }
    assert!(Filter::from_expr(col("nothere").eq(lit(1)), &schema()).is_err());
    assert!(Filter::from_expr(col("id") + lit(1), &schema()).is_err());
}

/// Both doors lead to one meaning: a parsed filter's expression can be handed in again.
#[test]
fn a_parsed_expression_goes_through_sql_door() {
    for text in ["j[\"a\"] == 1", "f == 0.1", "ai[0] + 1 == 2", "s like 'a%' and color is null"] {
        let filter = parse(text);
        let again = Filter::from_expr(filter.expr().clone(), &schema()).unwrap();
        assert_eq!(run(&filter).unwrap(), run(&again).unwrap(), "{text}");
    }
}

fn stats(columns: Vec<(&str, ArrayRef, ArrayRef, u64)>) -> UnitStats {
    let columns = columns
        .into_iter()
        .map(|(name, min, max, nulls)| (name.to_owned(), ColumnStats { min, max, nulls }))
        .collect();
    UnitStats { rows: 10, columns }
}

fn int(v: i64) -> ArrayRef {
    Arc::new(Int64Array::from(vec![v]))
}

fn text(v: &str) -> ArrayRef {
    Arc::new(StringArray::from(vec![v]))
}

#[test]
fn prunes_by_bounds() {
    let units = [
        stats(vec![("i64", int(0), int(9), 0), ("s", text("a"), text("c"), 0)]),
        stats(vec![("i64", int(10), int(19), 0), ("s", text("m"), text("p"), 10)]),
        stats(vec![]),
    ];
    let units: Vec<&UnitStats> = units.iter().collect();
    let many = (100..200).map(|i| i.to_string()).collect::<Vec<_>>().join(",");
    let long = format!("i64 in [5, {many}]");
    let cases: [(&str, [bool; 3]); 19] = [
        ("i64 == 5", [true, false, true]),
        ("i64 > 9", [false, true, true]),
        ("i64 > 5", [true, true, true]),
        ("i64 > 100", [false, false, true]),
        ("not (i64 > 9)", [true, false, true]),
        ("i64 in [11, 12]", [false, true, true]),
        (&long, [true, false, true]),
        ("5 < i64 < 8", [true, false, true]),
        ("i64 < 0.5", [true, false, true]),
        ("i64 > 9.5", [false, true, true]),
        ("s == 'n'", [false, false, true]),
        ("s like 'b%'", [true, false, true]),
        ("s like '%b'", [true, false, true]),
        ("i64 + 1 > 100", [true, true, true]),
        ("j[\"a\"] == 1 and i64 > 9", [false, true, true]),
        ("j[\"a\"] == 1 or i64 > 9", [true, true, true]),
        ("s is null", [false, true, true]),
        ("true", [true, true, true]),
        ("i64 == 5 or s == 'n'", [true, false, true]),
    ];
    for (text, expected) in cases {
        let kept = parse(text).may_match(&units);
        // Keeping more is allowed; here it would mean that statistics are not used.
        let wrong = kept.iter().zip(expected).any(|(kept, may)| may && !kept);
        assert!(!wrong, "{text}: {kept:?} loses rows");
        if !["s == 'n'", "s like '%b'", "i64 == 5 or s == 'n'"].contains(&text) {
            assert_eq!(kept, expected, "{text}");
        }
    }
    assert!(parse("i64 == 5").may_match(&[]).is_empty());
}

/// Bounds of a wrong type, of no value or null are as good as none.
#[test]
fn strange_bounds_prune_nothing() {
    let null: ArrayRef = Arc::new(Int64Array::from(vec![None]));
    let none: ArrayRef = Arc::new(Int64Array::from(Vec::<i64>::new()));
    let units = [
        stats(vec![("i64", text("a"), text("b"), 0)]),
        stats(vec![("i64", null.clone(), null, 0)]),
        stats(vec![("i64", none.clone(), none, 0)]),
        stats(vec![("i64", int(0), text("x"), 0)]),
    ];
    let units: Vec<&UnitStats> = units.iter().collect();
    let many = (100..200).map(|i| i.to_string()).collect::<Vec<_>>().join(",");
    for text in ["i64 > 100".to_owned(), format!("i64 in [{many}]"), "i64 == 5".to_owned()] {
        let kept = parse(&text).may_match(&units);
        assert_eq!(kept, [true; 4], "{text}");
    }
}

/// Every unit of one row: what matches must be kept.
#[test]
fn pruning_never_loses_a_match() {
    let numbers = [-1.5, -0.0, 0.0, 0.1, 1.5, 3.0];
    for op in ["==", "!=", "<", "<=", ">", ">="] {
        for wanted in ["-1.5", "0", "-0.0", "0.1", "1", "3", "7"] {
            for (field, single) in [("f", true), ("d", false)] {
                let filter = parse(&format!("{field} {op} {wanted}"));
                for v in numbers {
                    let one: ArrayRef = if single {
                        Arc::new(Float32Array::from(vec![v as f32]))
                    } else {
                        Arc::new(Float64Array::from(vec![v]))
                    };
                    let field_of = schema().to_arrow().field_with_name(field).unwrap().clone();
                    let arrow = Arc::new(Schema::new(vec![field_of]));
                    let row = RecordBatch::try_new(arrow, vec![one.clone()]).unwrap();
                    let matches = filter.evaluate(&row).unwrap().value(0);
                    let unit = stats(vec![(field, one.clone(), one, 0)]);
                    let kept = filter.may_match(&[&unit])[0];
                    assert!(kept || !matches, "{filter} loses {v}");
                    let wanted: f64 = wanted.parse().unwrap();
                    let wanted = if single { f64::from(wanted as f32) } else { wanted };
                    let v = if single { f64::from(v as f32) } else { v };
                    let truth = match op {
                        "==" => v == wanted,
                        "!=" => v != wanted,
                        "<" => v < wanted,
                        "<=" => v <= wanted,
                        ">" => v > wanted,
                        _ => v >= wanted,
                    };
                    assert_eq!(matches, truth, "{filter} on {v}");
                }
            }
        }
    }
}
