//! Conditions without `and`, `or` and `not`.

use elanus_proto::schema::template_value::Val as Template;
use elanus_proto::schema::{LongArray, TemplateArrayValue, template_array_value};
use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;

use super::super::things::{PARTITIONS, TEXTS, eighths};
use super::Condition;

/// A comparison as both languages write it.
const COMPARE: [(&str, &str); 6] =
    [("==", "="), ("!=", "<>"), ("<", "<"), ("<=", "<="), (">", ">"), (">=", ">=")];
const SMALL: [&str; 6] = ["i8", "i16", "i32", "ni8", "ni16", "ni32"];
const PATTERNS: [&str; 13] = [
    "app%", "%le", "%p%l%", "a_b", r"a\_b", r"app\%%", "%日%", "_本", "%", "", "it's%", "ox",
    "%e_b%",
];

fn one<T: Copy>(rng: &mut StdRng, of: &[T]) -> T {
    *of.choose(rng).expect("not empty")
}

/// A text for each language.
fn quoted(text: &str) -> (String, String) {
    let escaped = text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
    (format!("\"{escaped}\""), format!("'{}'", text.replace('\'', "''")))
}

/// A list in brackets and one in parentheses.
fn lists(items: &[(String, String)]) -> (String, String) {
    let (milvus, sql): (Vec<&str>, Vec<&str>) =
        items.iter().map(|(m, s)| (m.as_str(), s.as_str())).unzip();
    (format!("[{}]", milvus.join(", ")), format!("({})", sql.join(", ")))
}

fn both(value: impl ToString) -> (String, String) {
    (value.to_string(), value.to_string())
}

/// `left op right` with a random comparison.
fn compare(rng: &mut StdRng, left: (&str, &str), right: (&str, &str)) -> Condition {
    let (milvus, sql) = one(rng, &COMPARE);
    Condition::new(
        format!("{} {milvus} {}", left.0, right.0),
        format!("{} {sql} {}", left.1, right.1),
    )
}

/// `left in [..]` or `left not in [..]`.
fn is_in(rng: &mut StdRng, left: (&str, &str), items: &[(String, String)]) -> Condition {
    let (milvus, sql) = lists(items);
    let (a, b) = one(rng, &[("in", "IN"), ("not in", "NOT IN")]);
    Condition::new(format!("{} {a} {milvus}", left.0), format!("{} {b} {sql}", left.1))
}

/// A random condition on one or two fields.
pub fn atom(rng: &mut StdRng) -> Condition {
    const KINDS: [fn(&mut StdRng) -> Condition; 16] = [
        small, small, big, key, float, boolean, text, text, null, arithmetic, arithmetic, json,
        json, dynamic, array, array,
    ];
    one(rng, &KINDS)(rng)
}

fn small(rng: &mut StdRng) -> Condition {
    let field = one(rng, &SMALL);
    let at = rng.random_range(-25..25);
    match rng.random_range(0..7) {
        0 => {
            let items: Vec<_> = (0..rng.random_range(1..6))
                .map(|_| both(rng.random_range(-20..20)))
                .chain([both(300)])
                .collect();
            is_in(rng, (field, field), &items)
        }
        1 => {
            let to = at + rng.random_range(1..40);
            let (a, b) = one(rng, &[("<=", "<="), ("<", "<")]);
            let text = format!("{at} {a} {field} {b} {to}");
            let sql = match a {
                "<=" => format!("{field} BETWEEN {at} AND {to}"),
                _ => format!("{field} > {at} AND {field} < {to}"),
            };
            Condition::new(text, sql)
        }
        2 => {
            let other = one(rng, &SMALL);
            compare(rng, (field, field), (other, other))
        }
        3 => {
            let name = format!("t{}", rng.random::<u32>());
            let place = format!("{{{name}}}");
            let given = compare(rng, (field, field), (&place, &at.to_string()));
            given.with(name, Template::Int64Val(at))
        }
        4 => {
            let name = format!("t{}", rng.random::<u32>());
            let data: Vec<i64> = (0..4).map(|_| rng.random_range(-20..20)).collect();
            let sql: Vec<String> = data.iter().map(i64::to_string).collect();
            let sql = format!("{field} IN ({})", sql.join(", "));
            let list = template_array_value::Data::LongData(LongArray { data });
            Condition::new(format!("{field} in {{{name}}}"), sql)
                .with(name, Template::ArrayVal(TemplateArrayValue { data: Some(list) }))
        }
        5 => {
            // Beyond what the type holds, and fractions.
            let odd = one(rng, &["300", "-70000", "2.5", "-0.5", "0.0"]);
            compare(rng, (field, field), (odd, odd))
        }
        _ => {
            let at = at.to_string();
            compare(rng, (field, field), (&at, &at))
        }
    }
}

fn big(rng: &mut StdRng) -> Condition {
    let field = one(rng, &["i64", "ni64", "filled"]);
    let edges = ["9223372036854775807", "-9223372036854775807", "9007199254740993", "7", "25"];
    let edge = one(rng, &edges);
    let common = both(rng.random_range(0..50));
    match rng.random_range(0..4) {
        0 => compare(rng, ("i64", "i64"), ("ni64", "ni64")),
        1 => is_in(rng, (field, field), &[both(edge), both(3), common]),
        2 => compare(rng, (edge, edge), (field, field)),
        _ => compare(rng, (field, field), (edge, edge)),
    }
}

/// On the key. Marks stand around what depends on its type; see [`on_key`].
fn key(rng: &mut StdRng) -> Condition {
    let low = rng.random_range(0..900);
    let high = low + rng.random_range(1..300);
    let (milvus, sql) = one(rng, &COMPARE);
    match rng.random_range(0..3) {
        0 => Condition::new(
            format!("@{low}@ <= @key@ < @{high}@"),
            format!("@key@ >= @{low}@ AND @key@ < @{high}@"),
        ),
        1 => Condition::new(
            format!("@key@ in [@{low}@, @{high}@]"),
            format!("@key@ IN (@{low}@, @{high}@)"),
        ),
        _ => Condition::new(format!("@key@ {milvus} @{low}@"), format!("@key@ {sql} @{low}@")),
    }
}

/// Puts keys of the type that there is in place of the marks.
pub fn on_key(condition: Condition, text_keys: bool) -> Condition {
    let unmark = |text: &str, quote: char| {
        let part = |(at, part): (usize, &str)| match (at % 2, part) {
            (0, outside) => outside.to_string(),
            (_, "key") => "id".to_string(),
            (_, number) if text_keys => format!("{quote}k{number:0>5}{quote}"),
            (_, number) => number.to_string(),
        };
        text.split('@').enumerate().map(part).collect::<String>()
    };
    let (milvus, sql) = (unmark(&condition.milvus, '"'), unmark(&condition.sql, '\''));
    Condition { milvus, sql, templates: condition.templates }
}

fn float(rng: &mut StdRng) -> Condition {
    let at = format!("{:?}", eighths(rng));
    let odd = one(rng, &["0.1", "0.2", "1e-7"]);
    // A filter rounds a number as the field rounded it; SQL compares in double precision.
    let rounded = format!("CAST({odd} AS FLOAT)");
    match rng.random_range(0..7) {
        0 => compare(rng, ("f", "f"), (odd, &rounded)),
        1 => compare(rng, ("nf", "nf"), (odd, &rounded)),
        2 => compare(rng, ("d", "d"), (odd, odd)),
        3 => compare(rng, ("nd", "nd"), ("d", "d")),
        4 => compare(rng, ("f", "f"), ("nd", "nd")),
        5 => is_in(rng, ("nf", "nf"), &[(odd.into(), rounded), both(at)]),
        _ => {
            let field = one(rng, &["f", "nf", "d", "nd"]);
            compare(rng, (field, field), (&at, &at))
        }
    }
}

fn boolean(rng: &mut StdRng) -> Condition {
    match rng.random_range(0..5) {
        0 => Condition::same("b"),
        1 => Condition::same("nb"),
        2 => Condition::new("b == nb", "b = nb"),
        3 => Condition::new("nb != true", "nb <> true"),
        _ => Condition::new("b == false", "b = false"),
    }
}

fn text(rng: &mut StdRng) -> Condition {
    let field = one(rng, &["s", "ns"]);
    let (milvus, sql) = quoted(one(rng, &TEXTS));
    match rng.random_range(0..6) {
        0 | 1 => {
            // A raw text: its backslashes are the pattern's.
            let pattern = one(rng, &PATTERNS);
            let sql = format!("{field} LIKE {}", quoted(pattern).1);
            Condition::new(format!("{field} like r\"{pattern}\""), sql)
        }
        2 => {
            let items: Vec<_> =
                (0..rng.random_range(1..5)).map(|_| quoted(one(rng, &TEXTS))).collect();
            is_in(rng, (field, field), &items)
        }
        3 => compare(rng, ("s", "s"), ("ns", "ns")),
        4 => {
            let (milvus, sql) = quoted(one(rng, &PARTITIONS));
            compare(rng, ("part", "part"), (&milvus, &sql))
        }
        _ => compare(rng, (field, field), (&milvus, &sql)),
    }
}

fn null(rng: &mut StdRng) -> Condition {
    let fields =
        ["nb", "ni8", "ni64", "nf", "nd", "ns", "nj", "nints", "words", "w", "s", "v", "floats"];
    let field = one(rng, &fields);
    let (a, b) = one(rng, &[("is null", "IS NULL"), ("is not null", "IS NOT NULL")]);
    Condition::new(format!("{field} {a}"), format!("{field} {b}"))
}

fn arithmetic(rng: &mut StdRng) -> Condition {
    let (a, b) = (one(rng, &SMALL), one(rng, &SMALL));
    let small = rng.random_range(2..6);
    let left = match rng.random_range(0..12) {
        0 => both(format!("{a} + {b}")),
        1 => both(format!("{a} - {b} * {small}")),
        2 => both(format!("({a} + {small}) * i8")),
        3 => both(format!("{a} % {small}")),
        4 => both(format!("{a} / {small}")),
        5 => both(format!("-{a}")),
        6 => (format!("{a} / i8"), format!("{a} / nullif(i8, 0)")),
        7 => (format!("{a} % ni8"), format!("{a} % nullif(ni8, 0)")),
        8 => both(format!("({a} & {small})")),
        9 => both("d * 2".to_string()),
        10 => ("f + 0.5".into(), "CAST(f AS DOUBLE) + 0.5".into()),
        _ => both("nd - i16 / 2.0".to_string()),
    };
    let right = rng.random_range(-30..30).to_string();
    compare(rng, (&left.0, &left.1), (&right, &right))
}

fn json(rng: &mut StdRng) -> Condition {
    let j = one(rng, &["j", "nj"]);
    let number = rng.random_range(-5..6).to_string();
    let (milvus, sql) = quoted(one(rng, &TEXTS));
    let a = (format!(r#"{j}["a"]"#), format!("json_get_float({j}, 'a')"));
    let s = (format!(r#"{j}["s"]"#), format!("json_get_str({j}, 's')"));
    match rng.random_range(0..12) {
        0 => compare(rng, (&a.0, &a.1), (&number, &number)),
        1 => compare(rng, (&number, &number), (&a.0, &a.1)),
        2 => compare(rng, (&s.0, &s.1), (&milvus, &sql)),
        3 => is_in(rng, (&a.0, &a.1), &[both(1), both(&number), both(2.5)]),
        4 => is_in(rng, (&s.0, &s.1), &[(milvus, sql), quoted("ox")]),
        5 => {
            let (what, path) = one(
                rng,
                &[
                    (r#"["a"]"#, "'a'"),
                    (r#"["n"]["m"]"#, "'n', 'm'"),
                    (r#"["n"]["m"][1]"#, "'n', 'm', 1"),
                    (r#"["none"]"#, "'none'"),
                ],
            );
            let sql = format!("json_get({j}, {path}) IS NOT NULL");
            let milvus = one(rng, &["exists $p", "$p is not null", "not ($p is null)"]);
            Condition::new(milvus.replace("$p", &format!("{j}{what}")), sql)
        }
        6 => {
            let at = rng.random_range(0..3);
            let left =
                (format!(r#"{j}["n"]["m"][{at}]"#), format!("json_get_int({j}, 'n', 'm', {at})"));
            compare(rng, (&left.0, &left.1), ("4", "4"))
        }
        7 => {
            let value = one(rng, &["true", "false"]);
            let left = (format!(r#"{j}["flag"]"#), format!("json_get_bool({j}, 'flag')"));
            compare(rng, (&left.0, &left.1), (value, value))
        }
        8 => {
            let pattern = one(rng, &PATTERNS);
            let sql = format!("{} LIKE {}", s.1, quoted(pattern).1);
            Condition::new(format!("{} like r\"{pattern}\"", s.0), sql)
        }
        9 => compare(rng, (&format!("{} * 2 + 1", a.0), &format!("{} * 2 + 1", a.1)), ("3", "3")),
        10 => contains(j, &["\"x\""], "json_get_str", "x"),
        _ => contains(j, &["1"], "json_get_float", "1"),
    }
}

/// Whether a list in JSON has an element; SQL looks at each place.
fn contains(j: &str, wanted: &[&str], get: &str, value: &str) -> Condition {
    let value = if get == "json_get_str" { format!("'{value}'") } else { value.to_string() };
    let places: Vec<String> =
        (0..5).map(|at| format!("coalesce({get}({j}, 't', {at}) = {value}, false)")).collect();
    let sql = format!("CASE WHEN json_get({j}, 't') LIKE '[%' THEN {} END", places.join(" OR "));
    Condition::new(format!(r#"json_contains({j}["t"], {})"#, wanted[0]), sql)
}

fn dynamic(rng: &mut StdRng) -> Condition {
    let name = |rng: &mut StdRng, key: &str| match rng.random::<bool>() {
        true => key.to_string(),
        false => format!("$meta[\"{key}\"]"),
    };
    let number = rng.random_range(-3..9).to_string();
    match rng.random_range(0..4) {
        0 => {
            let color = name(rng, "color");
            let (milvus, sql) = quoted(one(rng, &["red", "green", "blue"]));
            compare(rng, (&color, "json_get_str(\"$meta\", 'color')"), (&milvus, &sql))
        }
        1 => {
            let n = name(rng, "n");
            compare(rng, (&n, "json_get_int(\"$meta\", 'n')"), (&number, &number))
        }
        2 => Condition::new("exists color", "json_get(\"$meta\", 'color') IS NOT NULL"),
        _ => Condition::new(
            format!("{} is null", name(rng, "n")),
            "json_get(\"$meta\", 'n') IS NULL",
        ),
    }
}

fn array(rng: &mut StdRng) -> Condition {
    let field = one(rng, &["ints", "nints"]);
    let number = rng.random_range(0..7);
    let list = format!("[{number}, {}]", rng.random_range(0..7));
    let (milvus, sql) = quoted(one(rng, &["a", "b", "it's", ""]));
    match rng.random_range(0..11) {
        0 | 1 => Condition::new(
            format!("array_contains({field}, {number})"),
            format!("array_has({field}, {number})"),
        ),
        2 => Condition::new(
            format!("array_contains_all({field}, {list})"),
            format!("array_has_all({field}, {list})"),
        ),
        3 => Condition::new(
            format!("array_contains_any({field}, {list})"),
            format!("array_has_any({field}, {list})"),
        ),
        4 | 5 => {
            let length = format!("array_length({field})");
            let number = (number % 5).to_string();
            compare(rng, (&length, &length), (&number, &number))
        }
        6 => Condition::new(
            format!("array_contains(words, {milvus})"),
            format!("array_has(words, {sql})"),
        ),
        7 => Condition::new(
            format!("array_contains_any(words, [{milvus}, \"zz\"])"),
            format!("array_has_any(words, [{sql}, 'zz'])"),
        ),
        8 => Condition::new("array_contains(floats, 0.5)", "array_has(floats, 0.5)"),
        9 => compare(rng, ("words[0]", "words[1]"), (&milvus, &sql)),
        _ => {
            let at = rng.random_range(0..4);
            let left = (format!("{field}[{at}]"), format!("{field}[{}]", at + 1));
            compare(rng, (&left.0, &left.1), (&number.to_string(), &number.to_string()))
        }
    }
}
