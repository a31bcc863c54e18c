//! Filters and the rows they match.

use datafusion::arrow::array::Array;
use elanus_engine::core::filter::{ColumnStats, RowFilter, UnitStats};

use super::fixture::{batch, run, schema, templates};
use crate::lang::Filter;

/// All ids but these.
pub(super) fn but(ids: &[usize]) -> Vec<usize> {
    (0..10).filter(|i| !ids.contains(i)).collect()
}

/// What is known of a unit that holds one row only.
fn one_row(row: usize) -> UnitStats {
    let rows = batch();
    let schema = rows.schema();
    let columns = schema.fields().iter().zip(rows.columns()).filter_map(|(field, column)| {
        let value = column.slice(row, 1);
        let stats = ColumnStats {
            min: value.clone(),
            max: value.clone(),
            nulls: value.null_count() as u64,
        };
        (!field.data_type().is_nested()).then(|| (field.name().clone(), stats))
    });
    UnitStats { rows: 1, columns: columns.collect() }
}

/// The rows that match are as expected, and pruning keeps all of them.
pub(super) fn check(cases: &[(&str, &[usize])]) {
    let mut wrong = Vec::new();
    let units: Vec<UnitStats> = (0..10).map(one_row).collect();
    let units: Vec<&UnitStats> = units.iter().collect();
    for (text, expected) in cases {
        match Filter::parse(text, &schema(), &templates())
            .and_then(|f| Ok((run(&f)?, f.may_match(&units))))
        {
            Ok((answers, kept)) if answers.yes == *expected => {
                if !answers.yes.iter().all(|row| kept[*row]) {
                    wrong.push(format!("{text}: pruning by bounds loses a match, {kept:?}"));
                }
            }
            Ok((answers, _)) => {
                wrong.push(format!("{text}: {:?}, expected {expected:?}", answers.yes))
            }
            Err(error) => wrong.push(format!("{text}: {error}, expected {expected:?}")),
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
}

#[test]
fn integers() {
    check(&[
        ("id == 3", &[3]),
        ("id = 3", &[3]),
        ("3 == id", &[3]),
        ("id != 3", &but(&[3])),
        ("id < 2", &[0, 1]),
        ("2 > id", &[0, 1]),
        ("id <= 2", &[0, 1, 2]),
        ("id > 7", &[8, 9]),
        ("id >= 7", &[7, 8, 9]),
        ("i8 == 127", &[7]),
        ("i8 == -128", &[6]),
        ("i8 < 300", &but(&[8])),
        ("i8 > 300", &[]),
        ("i8 != 300", &but(&[8])),
        ("not (i8 == 300)", &but(&[8])),
        ("i8 >= -1000", &but(&[8])),
        ("i8 in [1, 300, -128]", &[1, 6]),
        ("i8 not in [300]", &but(&[8])),
        ("i16 >= 70", &[7, 8]),
        ("i16 < 70000", &but(&[9])),
        ("i32 == -5", &[3, 4]),
        ("i64 == 9007199254740993", &[4]),
        ("i64 == 9007199254740992", &[]),
        ("i64 == 9007199254740992.0", &[]),
        ("i64 > 9007199254740992.0", &[4, 6]),
        ("i64 == -9223372036854775808", &[5]),
        ("i64 <= -9223372036854775807", &[5]),
        ("i64 == 9223372036854775807", &[6]),
        ("i64 == 2.0", &[2]),
        ("i64 == 2.5", &[]),
        ("i64 != 2.5", &but(&[7])),
        ("i64 < 2.5", &[0, 1, 2, 5]),
        ("i64 <= 2.5", &[0, 1, 2, 5]),
        ("i64 > 2.5", &[3, 4, 6, 8, 9]),
        ("i64 >= 2.5", &[3, 4, 6, 8, 9]),
        ("i64 < 1e30", &but(&[7])),
        ("i64 > 1e30", &[]),
        ("i8 == id", &[0, 1, 2, 3, 4, 5]),
        ("i64 == id", &[0, 1, 2, 3, 8, 9]),
        ("i64 < d", &[0, 5, 6]),
        ("i32 in [5, 7]", &[0, 1, 2, 7]),
        ("i32 in [5, 7,]", &[0, 1, 2, 7]),
        ("i32 in (5, 7)", &[0, 1, 2, 7]),
        ("i32 not in [5, 7]", &[3, 4, 5, 8, 9]),
        ("i32 NOT IN [5, 7]", &[3, 4, 5, 8, 9]),
        ("i32 ! in [5, 7]", &[3, 4, 5, 8, 9]),
        ("i32 in []", &[]),
        ("i32 not in []", &but(&[6])),
        ("id in [0x1, 0b10, 010]", &[1, 2, 8]),
        ("1 < id <= 3", &[2, 3]),
        ("3 >= id > 1", &[2, 3]),
        ("1 <= i64 < 3", &[1, 2]),
        ("not (1 < i64 < 9)", &[0, 1, 4, 5, 6, 9]),
    ]);
}

#[test]
fn floats_and_booleans() {
    check(&[
        ("f == 0.1", &[0, 8]),
        ("f in [0.1, 0.2]", &[0, 1, 8]),
        ("f == 0", &[2, 3]),
        ("f == 0.0", &[2, 3]),
        ("f == -0.0", &[2, 3]),
        ("f != 0", &[0, 1, 4, 5, 6, 8, 9]),
        ("f >= 0", &[0, 1, 2, 3, 4, 6, 8, 9]),
        ("f > 0", &[0, 1, 4, 6, 8, 9]),
        ("f <= 0", &[2, 3, 5]),
        ("f < 0", &[5]),
        ("f in [0]", &[2, 3]),
        ("f not in [0, 3]", &[0, 1, 4, 5, 6, 8]),
        ("f < 1e300", &but(&[7])),
        ("f == 3", &[9]),
        ("d == 0.1", &[0]),
        ("d == .25", &[1]),
        ("d == 25e-2", &[1]),
        ("d == 0x1p-2", &[1]),
        ("d > 1e299", &[6]),
        ("d == 0", &[2, 3]),
        ("d in [0.0, 3]", &[2, 3, 9]),
        ("-2 < d < 0", &[5]),
        ("d == {half}", &[4]),
        ("d == {nan}", &[]),
        ("d != {nan}", &but(&[7])),
        ("f == d", &[2, 3, 4, 5, 9]),
        ("b == true", &[0, 3, 5, 7]),
        ("b == True", &[0, 3, 5, 7]),
        ("b == FALSE", &[1, 4, 6, 8]),
        ("b != true", &[1, 4, 6, 8]),
        ("b", &[0, 3, 5, 7]),
        ("not b", &[1, 4, 6, 8]),
        ("b in [true]", &[0, 3, 5, 7]),
        ("b in [true, false]", &but(&[2, 9])),
        ("b == (id > 4)", &[1, 4, 5, 7]),
        ("(id > 4) == true", &[5, 6, 7, 8, 9]),
        ("true", &but(&[])),
        ("false", &[]),
        ("1 == 1", &but(&[])),
        ("2 * 3 > 7 or id == 0", &[0]),
        ("true and id == 1", &[1]),
    ]);
}

#[test]
fn texts() {
    check(&[
        (r#"s == "apple""#, &[1]),
        ("s == 'apple'", &[1]),
        (r#"s == """#, &[0]),
        (r#"s != "apple""#, &[0, 2, 3, 4, 5, 6, 7, 9]),
        (r#"s > "b""#, &[5, 6, 7, 9]),
        (r#""b" > s"#, &[0, 1, 2, 3, 4]),
        (r#"s in ["apple", "zebra", "none"]"#, &[1, 9]),
        (r#"s == "\u65e5\u672c""#, &[5]),
        (r#"s == "\xe6\x97\xa5\346\234\254""#, &[5]),
        (r#"s == "line\nbreak""#, &[6]),
        (r#"s == "back\\slash""#, &[7]),
        (r#"s == r"back\slash""#, &[7]),
        (r#"s == u8"apple""#, &[1]),
        (r#""app" <= s < "b""#, &[1, 3]),
        (r#"s like "app%""#, &[1, 3]),
        (r#"s LIKE "%le""#, &[1, 2, 3]),
        (r#"s like "%ppl%""#, &[1, 2]),
        (r#"s like "app\%%""#, &[3]),
        (r#"s like "a\_b""#, &[4]),
        (r#"s like "a_b""#, &[4]),
        (r#"s like "a___e""#, &[1]),
        (r#"s like "line%break""#, &[6]),
        (r#"s like "back\\\\slash""#, &[7]),
        (r#"s like r"back\\slash""#, &[7]),
        (r#"s like r"\a\p\p\l\e""#, &[1]),
        (r#"s like "日_""#, &[5]),
        (r#"s like "%""#, &but(&[8])),
        (r#"s like """#, &[0]),
        (r#"not s like "a%""#, &[0, 2, 5, 6, 7, 9]),
        ("s like {pattern}", &[1, 3]),
        (r#"s =~ "^a.*e$""#, &[1, 3]),
        (r#"s =~ "pp""#, &[1, 2, 3]),
        (r#"s !~ "pp""#, &[0, 4, 5, 6, 7, 9]),
        (r#"s =~ r"\s""#, &[6]),
        (r#"s =~ "\s""#, &[6]),
        (r#"s =~ "(?i)^APPLE$""#, &[1, 2]),
        ("s == {name}", &[1]),
        ("s is null", &[8]),
        ("s IS NULL", &[8]),
        ("s is not null", &but(&[8])),
        ("s IS NOT NULL and id < 2", &[0, 1]),
        ("not s is null", &but(&[8])),
        ("id is null", &[]),
        ("id is not null", &but(&[])),
        ("vec is not null", &but(&[])),
    ]);
}

#[test]
fn logic_is_three_valued() {
    check(&[
        ("id == 1 or id == 2", &[1, 2]),
        ("id == 1 || id == 2", &[1, 2]),
        ("id == 1 OR id == 2", &[1, 2]),
        ("id > 1 and id < 4", &[2, 3]),
        ("id > 1 && id < 4", &[2, 3]),
        ("id > 1 AND id < 4", &[2, 3]),
        ("not (id > 1)", &[0, 1]),
        ("!(id > 1)", &[0, 1]),
        ("NOT (id > 1)", &[0, 1]),
        ("!!(id > 7)", &[8, 9]),
        ("b or id == 2", &[0, 2, 3, 5, 7]),
        ("b and id > 0", &[3, 5, 7]),
        ("not (b and id > 100)", &but(&[])),
        ("not (b or id < 0)", &[1, 4, 6, 8]),
        ("b or not b", &but(&[2, 9])),
        ("not (i32 == 5)", &[3, 4, 5, 7, 8, 9]),
        ("id == 9 or id == 1 and id == 2", &[9]),
        ("(id == 9 or id == 1) and id == 2", &[]),
        ("((((id == 9))))", &[9]),
        ("id in {ids}", &[1, 3]),
        ("id in ({ids})", &[1, 3]),
        ("id not in {ids}", &but(&[1, 3])),
        ("id in [{one}, 2]", &[1, 2]),
        ("id in {empty}", &[]),
        ("id == {one}", &[1]),
        ("b == {yes}", &[0, 3, 5, 7]),
    ]);
}

#[test]
fn arithmetic() {
    check(&[
        ("id + 1 == 3", &[2]),
        ("1 + id == 3", &[2]),
        ("3 - id == 1", &[2]),
        ("id - 1 < 0", &[0]),
        ("id * 2 >= 16", &[8, 9]),
        ("id / 2 == 1", &[2, 3]),
        ("id % 3 == 0", &[0, 3, 6, 9]),
        ("i32 % 2 == -1", &[3, 4]),
        ("i32 / 2 == -2", &[3, 4]),
        ("id / 2.0 == 0.5", &[1]),
        ("id * 1.5 > 12", &[9]),
        ("d + 1 == 2.5", &[4]),
        ("d * 2 == 0.5", &[1]),
        ("-id == -3", &[3]),
        ("+id == 3", &[3]),
        ("-i32 == 5", &[3, 4]),
        ("- - id == 3", &[3]),
        ("id == 1 + 2", &[3]),
        ("id == 7 / 2", &[3]),
        ("id == 2 ** 3", &[8]),
        ("id ** 2 == 49", &[7]),
        ("2 ** id == 8", &[3]),
        ("id ** -1 == 0.5", &[2]),
        ("(id & 1) == 1", &[1, 3, 5, 7, 9]),
        ("(id | 1) == 3", &[2, 3]),
        ("(id ^ 3) == 1", &[2]),
        ("id << 1 == 4", &[2]),
        ("id >> 1 == 4", &[8, 9]),
        ("~id == -4", &[3]),
        ("~1 == -2 and id == 0", &[0]),
        ("id + i32 == 7", &[2]),
        ("id - i16 / 10 == 0", &[0, 1, 2, 3, 4, 5, 6, 7, 8]),
        ("10 / i32 == 2", &[0, 1, 2]),
        ("not (10 / i32 == 2)", &[3, 4, 7, 8, 9]),
        ("10 % i32 == 0", &[0, 1, 2, 3, 4]),
        ("i64 % 2 == 0", &[0, 2, 5, 8]),
        ("i64 % -1 == 0", &but(&[7])),
        ("id * 2 + 1 == 7", &[3]),
        ("(id + 1) * 2 == 8", &[3]),
        ("1 < id + 1 < 4", &[1, 2]),
        ("d / 0.5 == 3", &[4]),
        ("array_length(ai) + 1 == 3", &[4, 8]),
    ]);
}

#[test]
fn json_paths() {
    check(&[
        (r#"j["a"] == 1"#, &[0, 1]),
        (r#"j["a"] == 1.0"#, &[0, 1]),
        (r#"j['a'] == 1"#, &[0, 1]),
        (r#"1 == j["a"]"#, &[0, 1]),
        (r#"j["a"] != 1"#, &[6, 8]),
        (r#"not (j["a"] == 1)"#, &[6, 8]),
        (r#"j["a"] < 1"#, &[8]),
        (r#"j["a"] >= 1"#, &[0, 1, 6]),
        (r#"1 > j["a"]"#, &[8]),
        (r#"j["a"] == 9007199254740993"#, &[6]),
        (r#"j["a"] == 9007199254740992"#, &[]),
        (r#"j["a"] == 9007199254740992.0"#, &[]),
        (r#"j["big"] > 9223372036854775807"#, &[6]),
        (r#"j["big"] > 1"#, &[6]),
        (r#"j["a"] == "1""#, &[2]),
        (r#"j["a"] != "2""#, &[2]),
        (r#"j["a"] == true"#, &[7]),
        (r#"j["a"] != false"#, &[7]),
        (r#"j["flag"] == false"#, &[1]),
        (r#"j["a"] == [1, 2]"#, &[9]),
        (r#"j["a"] == [1.0, 2.0]"#, &[9]),
        (r#"j["a"] != [1]"#, &[9]),
        (r#"j["a"] == {json}"#, &[9]),
        (r#"j["a"][1] == 2"#, &[9]),
        (r#"j["a"]["1"] == 2"#, &[9]),
        (r#"j["n"]["m"][0] == 10"#, &[0]),
        (r#"j["n"]["m"][5] == 10"#, &[]),
        (r#"not (j["n"]["m"][0] == 11)"#, &[0]),
        (r#"j["s"] == "a\"bé""#, &[9]),
        (r#"j["s"] > "x""#, &[1, 2]),
        (r#"j["s"] in ["x", "y"]"#, &[0, 1]),
        (r#"j["s"] not in ["x", "y"]"#, &[2, 7, 9]),
        (r#"j["a"] in [1, "1"]"#, &[0, 1, 2]),
        (r#"j["a"] not in [1, "1"]"#, &[6, 8]),
        (r#"j["a"] in {mixed}"#, &[0, 1, 2, 7]),
        (r#"j["a"] in [-2.5]"#, &[8]),
        (r#"j["a"] in [[1, 2]]"#, &[9]),
        (r#"j["a"] in []"#, &[]),
        (r#"j["a"] not in []"#, &[0, 1, 2, 6, 7, 8, 9]),
        (r#"0 < j["a"] <= 1"#, &[0, 1]),
        (r#""x" <= j["s"] < "y""#, &[0, 2]),
        (r#"exists j["a"]"#, &[0, 1, 2, 6, 7, 8, 9]),
        (r#"not exists j["a"]"#, &[3, 4, 5]),
        (r#"EXISTS j["n"]["m"]"#, &[0, 1, 8]),
        (r#"exists j["a"] and id < 2"#, &[0, 1]),
        (r#"j["a"] is null"#, &[3, 4, 5]),
        (r#"j["a"] is not null"#, &[0, 1, 2, 6, 7, 8, 9]),
        ("j is null", &[5]),
        ("j is not null", &but(&[5])),
        (r#"j["s"] like "x%""#, &[0, 2]),
        (r#"j["s"] like "100\%""#, &[7]),
        (r#"not (j["s"] like "x%")"#, &[1, 7, 9]),
        (r#"j["s"] =~ "^.$""#, &[0, 1]),
        (r#"j["s"] !~ "^.$""#, &[2, 7, 9]),
        (r#"j["a"] + 1 > 1.5"#, &[0, 1, 6]),
        (r#"j["a"] + 1 != 2"#, &[6, 8]),
        (r#"j["a"] + 1 == 9007199254740994"#, &[6]),
        (r#"j["a"] * 2 == -5"#, &[8]),
        (r#"-j["a"] == 2.5"#, &[8]),
        (r#"j["a"] % 2 == 1"#, &[0, 1, 6]),
        (r#"j["a"] - id == 1"#, &[0]),
        (r#"array_length(j["t"]) == 2"#, &[0, 8]),
        (r#"array_length(j["t"]) == 0"#, &[2]),
        (r#"not (array_length(j["t"]) == 0)"#, &[0, 1, 7, 8]),
    ]);
}

#[test]
fn json_contains() {
    check(&[
        (r#"json_contains(j["t"], "x")"#, &[0, 8]),
        (r#"JSON_CONTAINS(j["t"], "x")"#, &[0, 8]),
        (r#"Json_Contains(j["t"], "x")"#, &[0, 8]),
        (r#"json_contains(j["t"], 1)"#, &[1, 7]),
        (r#"json_contains(j["t"], 1.0)"#, &[1, 7]),
        (r#"json_contains(j["t"], [1, 2])"#, &[1]),
        (r#"json_contains(j["t"], ["x"])"#, &[8]),
        (r#"json_contains(j["t"], {object})"#, &[7]),
        (r#"json_contains(j["t"], {json})"#, &[1]),
        (r#"not json_contains(j["t"], "x")"#, &[1, 2, 7]),
        (r#"array_contains(j["t"], "y")"#, &[0, 1]),
        (r#"json_contains_all(j["t"], ["x", "y"])"#, &[0]),
        (r#"json_contains_all(j["t"], [1, 2])"#, &[7]),
        (r#"json_contains_all(j["t"], [1, [1, 2]])"#, &[1]),
        (r#"json_contains_all(j["t"], [])"#, &[0, 1, 2, 7, 8]),
        (r#"json_contains_any(j["t"], ["y", 2])"#, &[0, 1, 7]),
        (r#"json_contains_any(j["t"], [[1, 2], ["x"]])"#, &[1, 8]),
        (r#"json_contains_any(j["t"], [])"#, &[]),
        (r#"json_contains(j["n"]["m"], 20)"#, &[0]),
        (r#"json_contains(tags, "p")"#, &[5]),
        ("json_contains(ai, 2)", &[0, 1, 8, 9]),
    ]);
}

#[test]
fn dynamic_fields() {
    check(&[
        (r#"color == "red""#, &[0, 4]),
        (r#"$meta["color"] == "red""#, &[0, 4]),
        (r#"color != "red""#, &[1, 9]),
        (r#"color in ["red", "green"]"#, &[0, 4, 9]),
        ("n > 1", &[1, 4]),
        ("n == 2", &[1]),
        (r#"n == "2""#, &[6]),
        ("exists n", &[0, 1, 4, 6]),
        ("color is null", &[2, 3, 5, 6, 7, 8]),
        ("color is not null", &[0, 1, 4, 9]),
        (r#"$meta["x y"] == 1"#, &[4]),
        (r#"o["p"]["q"] == 7"#, &[7]),
        (r#"$meta["o"]["p"]["q"] == 7"#, &[7]),
        (r#"tags[1] == "q""#, &[5]),
        ("nowhere == 1", &[]),
        ("not (nowhere == 1)", &[]),
        ("1 < n < 3", &[1, 4]),
        ("n + n == 4", &[1]),
        (r#"color like "%re%""#, &[0, 4, 9]),
    ]);
}

#[test]
fn arrays() {
    check(&[
        ("ai[0] == 1", &[0, 6, 9]),
        ("ai[2] == 3", &[0, 9]),
        ("ai[2] != 3", &[]),
        ("not (ai[1] == 2)", &[4, 8]),
        ("ai[0] in [10, -1]", &[5, 7]),
        ("ai[0] + 1 == 3", &[1, 8]),
        ("ai[7] is null", &but(&[])),
        ("1 <= ai[0] <= 2", &[0, 1, 6, 8, 9]),
        (r#"as[0] == "a""#, &[0, 5, 8]),
        (r#"as[1] like "%b""#, &[0]),
        ("af[0] == 0.1", &[0, 4]),
        ("af[0] == 0", &[5]),
        ("ab[0] == true", &[2, 4, 6, 8]),
        ("ab[0]", &[2, 4, 6, 8]),
        ("array_contains(ai, 3)", &[0, 4, 8, 9]),
        ("ARRAY_CONTAINS(ai, 3.0)", &[0, 4, 8, 9]),
        ("array_contains(ai, 3.5)", &[]),
        ("not array_contains(ai, 3)", &[1, 2, 5, 6, 7]),
        ("array_contains_all(ai, [2, 3])", &[0, 8, 9]),
        ("array_contains_all(ai, [3, 3])", &[0, 4, 8, 9]),
        ("array_contains_all(ai, [])", &but(&[3])),
        ("array_contains_any(ai, [10, -1])", &[5, 7]),
        ("array_contains_any(ai, [])", &[]),
        ("array_contains_any(ai, {ids})", &[0, 4, 6, 8, 9]),
        (r#"array_contains(as, "a")"#, &[0, 5, 8, 9]),
        (r#"array_contains_all(as, ["a", "b"])"#, &[0, 9]),
        (r#"array_contains_any(as, ["é", ""])"#, &[6, 7]),
        ("array_contains(af, 0.1)", &[0, 4]),
        ("array_contains(af, 0)", &[5]),
        ("array_contains(af, 2)", &[1]),
        ("array_contains(ab, true)", &[2, 4, 6, 8]),
        ("array_length(ai) == 3", &[0, 9]),
        ("array_length(ai) == 0", &[2]),
        ("ARRAY_LENGTH(ab) > 7", &[8, 9]),
        ("1 < array_length(ai) <= 3", &[0, 4, 8, 9]),
        ("ai is null", &[3]),
        ("ai is not null", &but(&[3])),
        ("ai == [1, 2, 3]", &[0, 9]),
        ("ai != [1, 2, 3]", &[1, 2, 4, 5, 6, 7, 8]),
        ("ai == []", &[2]),
        ("[3, 3] == ai", &[4]),
        (r#"as == ["b", "a"]"#, &[9]),
    ]);
}

#[test]
fn null_is_neither_true_nor_false() {
    let unknown =
        |text: &str| run(&Filter::parse(text, &schema(), &templates()).unwrap()).unwrap().unknown;
    assert_eq!(unknown("i32 == 5"), [6]);
    assert_eq!(unknown("not (i32 == 5)"), [6]);
    assert_eq!(unknown("i8 < 300"), [8]);
    assert_eq!(unknown("i32 in []"), [6]);
    assert_eq!(unknown(r#"j["a"] == 1"#), [2, 3, 4, 5, 7, 9]);
    assert_eq!(unknown(r#"exists j["a"]"#), [0usize; 0]);
    assert_eq!(unknown(r#"j["a"] in [1, "1"]"#), [3, 4, 5, 7, 9]);
    assert_eq!(unknown(r#"json_contains(j["t"], 1)"#), [3, 4, 5, 6, 9]);
    assert_eq!(unknown("ai[1] == 2"), [1, 2, 3, 5, 6, 7]);
    assert_eq!(unknown("array_length(ai) > 0"), [3]);
    assert_eq!(unknown("10 / i32 == 2"), [5, 6]);
}
