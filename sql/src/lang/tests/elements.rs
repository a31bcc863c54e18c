//! Filters on the elements of struct arrays and of arrays.

use std::collections::HashMap;
use std::sync::Arc;

use datafusion::arrow::array::{
    ArrayRef, AsArray, FixedSizeListBuilder, Float32Builder, Int64Array, Int64Builder, ListBuilder,
    RecordBatch, StringBuilder,
};
use elanus_engine::core::filter::RowFilter;
use elanus_engine::core::schema::{CollectionSchema, DataType, FieldSchema};
use elanus_engine::core::structs::StructSchema;

use super::fixture::{Answers, run, run_on, schema as flat_schema};
use crate::lang::Filter;

/// The sub-fields `n` and `t` of each element; none: the row is null.
const ROWS: [Option<&[(i64, &str)]>; 6] = [
    Some(&[(1, "a"), (2, "b"), (3, "a")]),
    Some(&[(2, "a")]),
    Some(&[]),
    None,
    Some(&[(3, "b"), (3, "b")]),
    Some(&[(9, "a"), (1, "b"), (2, "a"), (3, "c")]),
];

fn schema() -> CollectionSchema {
    let array = |name: &str, element: DataType| {
        let kind = DataType::Array { element: Box::new(element), max_capacity: 9 };
        FieldSchema::new(name, kind).nullable()
    };
    let mut schema = CollectionSchema {
        fields: vec![
            FieldSchema::new("id", DataType::Int64).primary(),
            array("s[v]", DataType::FloatVector { dim: 2 }),
            array("s[n]", DataType::Int64),
            array("s[t]", DataType::VarChar { max_length: 9 }),
        ],
        structs: vec![StructSchema { name: "s".into(), nullable: true, ..Default::default() }],
        ..CollectionSchema::default()
    };
    schema.number_fields();
    schema
}

fn batch() -> RecordBatch {
    let mut numbers = ListBuilder::new(Int64Builder::new());
    let mut texts = ListBuilder::new(StringBuilder::new());
    for row in ROWS {
        numbers.append_option(row.map(|r| r.iter().map(|e| Some(e.0)).collect::<Vec<_>>()));
        texts.append_option(row.map(|r| r.iter().map(|e| Some(e.1)).collect::<Vec<_>>()));
    }
    let arrow = schema().to_arrow();
    let mut vectors = ListBuilder::new(FixedSizeListBuilder::new(Float32Builder::new(), 2));
    for row in ROWS {
        for (n, _) in row.into_iter().flatten() {
            vectors.values().values().append_slice(&[*n as f32, 1.0]);
            vectors.values().append(true);
        }
        vectors.append(row.is_some());
    }
    let ids = Int64Array::from_iter_values(0..ROWS.len() as i64);
    let columns: Vec<ArrayRef> = vec![
        Arc::new(ids),
        Arc::new(vectors.finish()),
        Arc::new(numbers.finish()),
        Arc::new(texts.finish()),
    ];
    RecordBatch::try_new(arrow, columns).unwrap()
}

fn parse(text: &str) -> Filter {
    Filter::parse(text, &schema(), &HashMap::new()).unwrap_or_else(|e| panic!("{text}: {e}"))
}

fn answers(text: &str) -> Answers {
    run_on(&parse(text), &batch()).unwrap_or_else(|e| panic!("{text}: {e}"))
}

#[test]
fn rows_count_the_elements_that_match() {
    let counts = |test: fn(&(i64, &str)) -> bool, holds: fn(usize, usize) -> bool| -> Vec<usize> {
        let matching = |row: &[(i64, &str)]| row.iter().filter(|e| test(e)).count();
        let rows = ROWS.iter().enumerate();
        // A row that is null has no elements.
        rows.map(|(id, row)| (id, row.map_or(0, matching), row.map_or(0, <[_]>::len)))
            .filter(|(_, count, all)| holds(*count, *all))
            .map(|(id, ..)| id)
            .collect()
    };
    type Test = fn(&(i64, &str)) -> bool;
    let conditions: [(&str, Test); 5] = [
        ("$[n] == 3", |e| e.0 == 3),
        ("$[n] > 1 && $[t] == \"a\"", |e| e.0 > 1 && e.1 == "a"),
        ("not ($[t] in [\"a\", \"c\"])", |e| e.1 == "b"),
        ("$[n] % 2 == 1 || $[t] like \"c%\"", |e| e.0 % 2 == 1 || e.1 == "c"),
        ("true", |_| true),
    ];
    for (condition, test) in conditions {
        type Holds = fn(usize, usize) -> bool;
        let functions: [(&str, &str, Holds); 6] = [
            ("element_filter", "", |n, _| n > 0),
            ("MATCH_ANY", "", |n, _| n > 0),
            ("match_all", "", |n, all| n == all),
            ("match_least", ", threshold=2", |n, _| n >= 2),
            ("match_most", ", threshold=1", |n, _| n <= 1),
            ("match_exact", ", threshold=2", |n, _| n == 2),
        ];
        for (function, threshold, holds) in functions {
            let text = format!("{function}(s, {condition}{threshold})");
            let found = answers(&text);
            assert_eq!(found.yes, counts(test, holds), "{text}");
            assert!(found.unknown.is_empty(), "{text}");
        }
    }
}

#[test]
fn a_part_of_a_batch_gives_what_the_whole_gives() {
    let filter = parse("match_any(s, $[n] == 3 and $[t] != 'c')");
    for from in 0..ROWS.len() {
        for length in 1..=ROWS.len() - from {
            let part = run_on(&filter, &batch().slice(from, length)).expect("a part");
            let yes: Vec<usize> = part.yes.iter().map(|row| row + from).collect();
            let whole = run_on(&filter, &batch()).expect("the whole");
            let within = |row: &&usize| (from..from + length).contains(*row);
            assert_eq!(yes, whole.yes.iter().filter(within).copied().collect::<Vec<_>>());
        }
    }
}

#[test]
fn sub_fields_are_arrays() {
    assert_eq!(answers("array_contains(s[n], 3)").yes, [0, 4, 5]);
    assert_eq!(answers("array_contains_all(s[t], ['a', 'b'])").yes, [0, 5]);
    assert_eq!(answers("array_length(s[t]) >= 3").yes, [0, 5]);
    assert_eq!(answers("array_length(s) == 0").yes, [2]);
    assert_eq!(answers("s[0][n] in [1, 9]").yes, [0, 5]);
    assert_eq!(answers("s[1][t] == 'b' and s[0][n] < 3").yes, [0]);
    assert_eq!(answers("s is null").yes, [3]);
    assert_eq!(answers("s[v] is null").yes, [3]);
}

#[test]
fn arrays_of_scalars_match_too() {
    let run = |text: &str| {
        let filter = Filter::parse(text, &flat_schema(), &HashMap::new());
        run(&filter.unwrap_or_else(|e| panic!("{text}: {e}"))).expect(text)
    };
    assert_eq!(run("match_any(ai, $ == 3)").yes, run("array_contains(ai, 3)").yes);
    assert_eq!(run("match_least(ai, $ > 1, threshold=2)").yes, [0, 4, 8, 9]);
}

#[test]
fn an_element_filter_tells_which_elements_match() {
    let filter = parse("id >= 0 and (id < 9 and element_filter(s, $[n] == 3))");
    let elements = filter.elements().expect("an element filter");
    assert_eq!((elements.of(), elements.columns()), ("s", &["s[n]".to_string()][..]));
    let numbers = batch().column_by_name("s[n]").cloned().expect("a column");
    let truth = elements.test(vec![numbers.as_list::<i32>().values().clone()]).expect("an answer");
    let hits: Vec<usize> = (0..truth.len()).filter(|at| truth.value(*at)).collect();
    assert_eq!(hits, [2, 4, 5, 9]);
    assert!(parse("match_any(s, $[n] == 3)").elements().is_none());
}

#[test]
fn what_is_wrong_with_elements_is_told() {
    const LAST: &str = "can only be the last expression in the logical and expression";
    let cases = [
        ("none[0][n] > 0", "struct field not found"),
        ("s[0][x] > 0", "struct field not found: s[x]"),
        ("s[n][0] > 0", "invalid expression"),
        ("array_length(s[0][n]) == 1", "mismatched input"),
        ("$[n] > 1", "it can only be used in element_filter and match functions"),
        ("match_any(s, $[x] > 1)", "struct field not found: $[x]"),
        ("match_any(s, id > 1)", "field id not exist"),
        ("match_any(id, $[n] > 1)", "struct field not found: id"),
        ("match_any(s, $[v] == 1)", "comparisons between FloatVector and Int64 are not supported"),
        ("match_least(s, $[n] > 1)", "and threshold=n"),
        ("match_least(s, $[n] > 1, threshold=-1)", "threshold must be a whole number"),
        ("match_any(s, $[n])", "predicate is not a boolean expression"),
        ("match_least(s, $[n] > 1, threshold=0)", "threshold of match_least must be above 0"),
        ("element_filter(s, $[n] > 1) or id > 1", LAST),
        ("element_filter(s, $[n] > 1) and id > 1", LAST),
        ("not element_filter(s, $[n] > 1)", LAST),
        ("element_filter(s, $[n] > 1) and element_filter(s, $[n] < 9)", LAST),
    ];
    for (text, words) in cases {
        let error = Filter::parse(text, &schema(), &HashMap::new()).expect_err(text);
        assert!(error.message().contains(words), "{text}: {error}");
    }
}
