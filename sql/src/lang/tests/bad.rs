//! Filters that are refused, and in which words.

use std::collections::HashMap;

use elanus_engine::core::error::{ErrorKind, Subject};

use super::fixture::{run, schema, strict_schema, templates};
use crate::lang::Filter;

#[test]
fn bad_filters_are_refused_with_a_reason() {
    let cases: &[(&str, &str)] = &[
        // Text.
        ("", "unexpected the end"),
        ("   ", "unexpected the end"),
        ("id ==", "line 1:5 unexpected the end"),
        ("id == 1 1", "line 1:8 unexpected '1'"),
        ("id == 1)", "unexpected ')'"),
        ("(id == 1", "expecting ')'"),
        ("id in [1, 2", "expecting ']'"),
        ("id in 1", "the right-hand side of 'in' must be a list, but got: 1"),
        ("id in \"in\"", "the right-hand side of 'in' must be a list"),
        ("id in (mn)", "field mn not exist"),
        ("id == \"abc", "no closing quote"),
        ("id == 12abc", "neither a number nor a name"),
        ("id == 089", "is not a number"),
        ("id == 99999999999999999999", "does not fit in a 64-bit integer"),
        ("id == 9223372036854775808", "does not fit in a 64-bit integer"),
        ("id == 0x", "needs digits"),
        ("id == 1e999", "does not fit in a 64-bit float"),
        ("id @ 1", "token recognition error at: '@'"),
        ("id\n== 1 @", "line 2:5 "),
        ("id == 1 And id == 2", "unexpected 'And'"),
        ("id == 1 Or id == 2", "unexpected 'Or'"),
        ("id In [1]", "unexpected 'In'"),
        ("and id == 1", "unexpected 'and'"),
        ("s == \"\\u12\"", "a Unicode escape needs 4"),
        ("s == \"\\xff\"", "valid UTF-8"),
        ("s like", "unexpected the end"),
        ("{1} == id", "the name of a template value"),
        // Names.
        ("nothere == 1", "field nothere not exist"),
        ("vectr is null", "field vectr not exist"),
        ("$meta[\"a\"] == 1", "field $meta not exist"),
        ("i8 == null", "NULL literal is not supported in expressions"),
        (
            "id == {missing}",
            "the value of expression template variable name {missing} is not found",
        ),
        ("foo(id)", "function foo is not known"),
        ("json_contain(j, 1)", "did you mean json_contains?"),
        // Types.
        ("id", "predicate is not a boolean expression: id, data type: Int64"),
        ("j", "predicate is not a boolean expression: j, data type: JSON"),
        ("1 + 1", "predicate is not a boolean expression: 1 + 1, data type: Int64"),
        ("id + 1", "data type: Int64"),
        ("\"x\"", "data type: VarChar"),
        ("s == 1", "comparisons between VarChar and Int64 are not supported"),
        ("1 == s", "comparisons between Int64 and VarChar are not supported"),
        ("id == \"1\"", "comparisons between Int64 and VarChar are not supported"),
        ("b == 1", "comparisons between Bool and Int64 are not supported"),
        ("b > 0.5", "comparisons between Bool and Double are not supported"),
        ("id == true", "comparisons between Int64 and Bool are not supported"),
        ("id == s", "comparisons between Int64 and VarChar are not supported"),
        ("b == id", "comparisons between Bool and Int64 are not supported"),
        ("vec == 1", "comparisons between FloatVector and Int64 are not supported"),
        ("1 == \"a\"", "two incompatible operands: 1 == \"a\""),
        ("j[\"a\"] == id", "two column comparison with JSON type is not supported"),
        ("j[\"a\"] == j[\"b\"]", "two column comparison with JSON type is not supported"),
        ("id in [1, 2.0]", "value 'float_val:2' in list cannot be casted to Int64"),
        ("id in [1, \"3\"]", "value 'string_val:\"3\"' in list cannot be casted to Int64"),
        ("b in [0]", "value 'int64_val:0' in list cannot be casted to Bool"),
        ("s in [1]", "value 'int64_val:1' in list cannot be casted to VarChar"),
        ("1 in [1]", "'term' can only be used on non-const expression, but got: 1"),
        ("id + 1 in [1]", "'term' can only be used on single field, but got: id + 1"),
        ("id in [i8]", "array element type must be generic value, but got: i8"),
        ("id and b", "'and' can only be used between boolean expressions"),
        ("b or 1", "'or' can only be used between boolean expressions"),
        ("not id", "not op can only be applied on boolean expression"),
        ("not id == 1", "put parentheses around"),
        ("5 < id < 3", "invalid range: lowerbound is greater than upperbound"),
        ("3 < id < 3", "invalid range: lowerbound is greater than upperbound"),
        ("3 > id > 5", "invalid range: lowerbound is greater than upperbound"),
        ("1 < id > 3", "comparisons between"),
        ("id & 1 == 1", "can only be used between numbers, got Int64 and Bool"),
        ("s + 1 == 2", "'+' can only be used between numbers, got VarChar and Int64"),
        ("d % 2 == 1", "modulo can only apply on integer types"),
        ("(d & 1) == 1", "bit operators take integers"),
        ("id / 0 == 1", "division or modulus by zero"),
        ("id % 0 == 1", "division or modulus by zero"),
        ("d / 0.0 == 1", "division or modulus by zero"),
        ("id == 1 / 0", "division or modulus by zero"),
        ("id == 9223372036854775807 + 1", "does not fit in a 64-bit integer"),
        ("id == -9223372036854775808 - 1", "does not fit in a 64-bit integer"),
        ("-s == 1", "a sign can only be put before a number"),
        ("id like \"1\"", "like operation on non-string or no-json field is unsupported"),
        ("s like 1", "the right operand of like must be a text, but got: 1"),
        ("s like \"a\\\\\"", "ends in a lone backslash"),
        ("s =~ \"(\"", "invalid regex pattern"),
        ("exists s", "exists operations are only supportted on json field, got:VarChar"),
        ("exists j", "exists operations are only supportted on json key"),
        ("exists 1", "exists operations are only supported on single fields now, got: 1"),
        ("id[0] == 1", "Int64 data type not supported accessed with []"),
        ("j[a] == 1", "json key must be enclosed in double quotes or single quotes: \"a\""),
        ("j[-1] == 1", "expecting a quoted key or a position"),
        ("j[\"\"] == 1", "a key of a path cannot be empty"),
        ("ai[\"a\"] == 1", "can only access array field with integer index"),
        ("ai == 1", "comparisons between Array[Int64] and Int64 are not supported"),
        ("ai == [\"a\"]", "comparisons between Array[Int64] and Array are not supported"),
        ("ai < [1]", "can not comparisons array fields directly"),
        ("ai + 1 == 2", "can not comparisons array fields directly"),
        (
            "array_contains(id, 1)",
            "contains operation are only supported on json or array fields now",
        ),
        ("array_contains(ai, \"x\")", "array element type: Int64 and elements type: VarChar"),
        ("array_contains(as, 1)", "array element type: VarChar and elements type: Int64"),
        ("array_contains(ai, id)", "contains operation are only supported explicitly specified"),
        ("array_contains_all(ai, 1)", "contains_all operation element must be an array"),
        ("json_contains_any(j[\"t\"], 1)", "contains_any operation element must be an array"),
        ("json_contains(j)", "takes a field and a value, got 1"),
        ("array_length(id) == 1", "array_length operation are only supported on json or array"),
        ("array_length(ai) == \"x\"", "comparisons between Int64 and VarChar are not supported"),
        ("(id > 1) is null", "'is null' can only be used on a field"),
    ];
    let mut wrong = Vec::new();
    for (text, fragment) in cases {
        match Filter::parse(text, &strict_schema(), &templates()) {
            Ok(filter) => wrong.push(format!("{text}: accepted as {}", filter.expr())),
            Err(error) => {
                let message = error.message();
                let start = format!("cannot parse expression: {text}: ");
                let good = message.starts_with(&start)
                    && message.contains(fragment)
                    && error.subject == Subject::Expression
                    && error.kind == ErrorKind::InvalidRequest;
                if !good {
                    wrong.push(format!("{text}: {message}, expected {fragment}"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
}

#[test]
fn what_milvus_has_and_we_lack_is_called_unsupported() {
    let cases = ["text_match_fuzzy(s, 'a', x=1)"];
    for text in cases {
        let error = Filter::parse(text, &strict_schema(), &HashMap::new()).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Unsupported, "{text}: {error}");
        assert!(error.message().starts_with("cannot parse expression: "), "{error}");
        assert!(error.message().contains("not supported"), "{error}");
    }
}

#[test]
fn an_overflow_in_a_row_is_an_error_not_a_wrong_row() {
    for text in [
        "i64 + 1 > 0",
        "i64 * 2 > 0",
        "-i64 > 0",
        "i64 - 1 < 0",
        "i64 ** 3 > 0",
        "i64 << 1 > 0",
        r#"j["big"] + 1 > 0"#,
    ] {
        let filter = Filter::parse(text, &schema(), &HashMap::new()).unwrap();
        let error = run(&filter).unwrap_err();
        assert!(error.message().contains("does not fit in a 64-bit integer"), "{text}: {error}");
        assert!(error.message().contains(text), "{error}");
    }
}

#[test]
fn long_texts_are_cut_in_errors() {
    let text = format!("id in [{}", "1, ".repeat(10_000));
    let error = Filter::parse(&text, &schema(), &HashMap::new()).unwrap_err();
    assert!(error.message().len() < 2_000);
}
