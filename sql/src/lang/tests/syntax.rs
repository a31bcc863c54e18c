//! Precedence, depth and garbage.

use std::collections::HashMap;

use super::fixture::{run, schema, templates};
use crate::lang::ast::{Kind, Node};
use crate::lang::parser::{LOGIC_DEPTH, MAX_DEPTH, parse};
use crate::lang::{Filter, TemplateValue};

/// The tree with all its parentheses.
fn shape(node: &Node) -> String {
    let list =
        |nodes: &[Node], between: &str| nodes.iter().map(shape).collect::<Vec<_>>().join(between);
    match &node.kind {
        Kind::Bool(v) => v.to_string(),
        Kind::Int(v) => v.to_string(),
        Kind::Float(v) => format!("{v:?}"),
        Kind::Text(v) => format!("{v:?}"),
        Kind::Moment(v) => format!("(iso {v:?})"),
        Kind::Interval(v) => format!("(interval {v:?})"),
        Kind::List(items) => format!("[{}]", list(items, " ")),
        Kind::Template(name) => format!("{{{name}}}"),
        Kind::Field(name, path) => format!("{name}{}", crate::lang::ast::path_text(path)),
        Kind::Element(sub) => {
            let sub = sub.as_ref().map(|sub| format!("[{sub}]"));
            format!("${}", sub.unwrap_or_default())
        }
        Kind::Sub { of, at, sub } => {
            let at = at.map(|at| format!("[{at}]")).unwrap_or_default();
            format!("{of}{at}[{sub}]")
        }
        Kind::Unary(sign, v) => format!("({sign:?} {})", shape(v)),
        Kind::Arith(op, a, b) => format!("({} {} {})", shape(a), op.symbol(), shape(b)),
        Kind::Compare(op, a, b) => format!("({} {} {})", shape(a), op.symbol(), shape(b)),
        Kind::Range(parts, [x, y]) => {
            let [a, b, c] = &**parts;
            format!("({} {} {} {} {})", shape(a), x.symbol(), shape(b), y.symbol(), shape(c))
        }
        Kind::And(parts) => format!("({})", list(parts, " and ")),
        Kind::Or(parts) => format!("({})", list(parts, " or ")),
        Kind::In { value, list, negated } => {
            format!("({} {} {})", shape(value), if *negated { "notin" } else { "in" }, shape(list))
        }
        Kind::Like(a, b) => format!("({} like {})", shape(a), shape(b)),
        Kind::Regex { value, pattern, negated } => {
            format!("({} {} {})", shape(value), if *negated { "!~" } else { "=~" }, shape(pattern))
        }
        Kind::IsNull { value, negated } => {
            format!("({} {})", shape(value), if *negated { "isnotnull" } else { "isnull" })
        }
        Kind::Exists(v) => format!("(exists {})", shape(v)),
        Kind::Call(name, args) => format!("{name}({})", list(args, " ")),
    }
}

#[test]
fn precedence_is_as_in_milvus() {
    let cases = [
        ("a or b and c", "(a or (b and c))"),
        ("a and b or c and d", "((a and b) or (c and d))"),
        ("a or b or c", "(a or b or c)"),
        ("a or (b or c) or (d and (e and f))", "(a or b or c or (d and e and f))"),
        ("not a and b", "((Not a) and b)"),
        ("not a == b", "((Not a) == b)"),
        ("not a in [1]", "((Not a) in [1])"),
        ("not a like 'x'", "(Not (a like \"x\"))"),
        ("not a is null", "(Not (a isnull))"),
        ("not exists a", "(Not (exists a))"),
        ("a == 1 and b is not null", "((a == 1) and (b isnotnull))"),
        ("a + b * c", "(a + (b * c))"),
        ("a - b - c", "((a - b) - c)"),
        ("a * b / c % d", "(((a * b) / c) % d)"),
        ("-a ** 2", "(Minus (a ** 2))"),
        ("2 ** -1", "(2 ** (Minus 1))"),
        ("2 ** 3 ** 2", "((2 ** 3) ** 2)"),
        ("-2 ** 2", "(Minus (2 ** 2))"),
        ("-9223372036854775808", "-9223372036854775808"),
        ("a + b << c", "((a + b) << c)"),
        ("a << b < c", "((a << b) < c)"),
        ("a < b == c > d", "((a < b) == (c > d))"),
        ("a & b == c", "(a & (b == c))"),
        ("a | b ^ c & d", "(a | (b ^ (c & d)))"),
        ("a == b & c == d", "((a == b) & (c == d))"),
        ("a | b and c", "((a | b) and c)"),
        ("1 < a < 5", "(1 < a < 5)"),
        ("1 < a + 1 <= 5", "(1 < (a + 1) <= 5)"),
        ("5 > a >= 1", "(5 > a >= 1)"),
        ("1 < a > 5", "((1 < a) > 5)"),
        ("1 < a == b", "((1 < a) == b)"),
        ("a in [1] and b", "((a in [1]) and b)"),
        ("a + 1 in [1]", "((a + 1) in [1])"),
        ("a not in (1, 2)", "(a notin [1 2])"),
        ("a in (1)", "(a in [1])"),
        ("a in ([1, 2])", "(a in [1 2])"),
        ("a in {x}", "(a in {x})"),
        ("a in [1] == b", "((a in [1]) == b)"),
        ("a like 'x' == true", "((a like \"x\") == true)"),
        ("a =~ 'x' and b !~ 'y'", "((a =~ \"x\") and (b !~ \"y\"))"),
        ("~a & b", "((Invert a) & b)"),
        ("exists a[\"k\"] and b", "((exists a[\"k\"]) and b)"),
        ("F(a, b[0])", "f(a b[0])"),
        ("f()", "f()"),
        ("a[0]['b']", "a[0][\"b\"]"),
        ("$meta['k'][1]", "$meta[\"k\"][1]"),
        ("a==1||!b&&c", "((a == 1) or ((Not b) and c))"),
        ("a - -1", "(a - (Minus 1))"),
        ("a-1", "(a - 1)"),
        ("is == 1", "(is == 1)"),
        ("null == 1", "(null == 1)"),
        ("r == 1", "(r == 1)"),
    ];
    for (text, expected) in cases {
        match parse(text) {
            Ok(node) => assert_eq!(shape(&node), expected, "{text}"),
            Err(fault) => panic!("{text}: {fault:?}"),
        }
    }
}

#[test]
fn nesting_ends_in_an_error_not_in_a_crash() {
    let many = 10_000;
    let deep = [
        format!("{}id == 1{}", "(".repeat(many), ")".repeat(many)),
        "(".repeat(many),
        "[".repeat(many),
        "not ".repeat(many) + "b",
        "!".repeat(many) + "b",
        "-".repeat(many) + "id == 1",
        "exists ".repeat(many) + "j",
        format!("id == 1{}", " + 1".repeat(many)),
        format!("id {} == 1", "+ id ".repeat(many)),
        "array_length(".repeat(many),
        "id in [".repeat(many),
        "b == ".repeat(many) + "b",
        "b or (b and (".repeat(many),
    ];
    for text in deep {
        let error = Filter::parse(&text, &schema(), &HashMap::new()).unwrap_err();
        assert!(error.message().contains("nested deeper"), "{error}");
    }
}

/// Everything that is allowed must also get through the planner on a thread's usual stack.
#[test]
fn the_deepest_allowed_filters_run() {
    let work = || {
        let most = MAX_DEPTH - 3;
        let logic = MAX_DEPTH / LOGIC_DEPTH - 1;
        let deep = [
            format!("{}id == 1{}", "(".repeat(most), ")".repeat(most)),
            format!("id {} >= 0", "+ id ".repeat(most - LOGIC_DEPTH)),
            format!("{}id >= 0", "-".repeat(most - LOGIC_DEPTH)),
            "not ".repeat(logic) + "b",
            format!("{}b{}", "b == (".repeat(logic), ")".repeat(logic)),
            format!("{}b{}", "b or (b and (".repeat(logic / 2), "))".repeat(logic / 2)),
            format!("{}b{}", "id > 0 or not (".repeat(logic / 2), ")".repeat(logic / 2)),
            format!("{}b{}", "b or (".repeat(most / 2), ")".repeat(most / 2)),
            format!("{}b{}", "(".repeat(most), " or b)".repeat(most)),
        ];
        for text in deep {
            let filter = Filter::parse(&text, &schema(), &HashMap::new()).unwrap();
            run(&filter).unwrap();
        }
    };
    std::thread::Builder::new().stack_size(2 << 20).spawn(work).unwrap().join().unwrap();
}

#[test]
fn long_chains_and_lists_are_not_deep() {
    let chain = (0..5_000).map(|i| format!("id == {i}")).collect::<Vec<_>>().join(" or ");
    let filter = Filter::parse(&chain, &schema(), &HashMap::new()).unwrap();
    assert_eq!(run(&filter).unwrap().yes.len(), 10);
    let chain = (0..2_000).map(|i| format!("i16 + {i} != 1 ")).collect::<Vec<_>>().join(" and ");
    let filter = Filter::parse(&chain, &schema(), &HashMap::new()).unwrap();
    assert_eq!(run(&filter).unwrap().yes.len(), 9 - 1);
}

#[test]
fn long_lists_run() {
    let numbers = (5..50_005).map(|i| i.to_string()).collect::<Vec<_>>().join(",");
    let filter = Filter::parse(&format!("id in [{numbers}]"), &schema(), &HashMap::new()).unwrap();
    assert_eq!(run(&filter).unwrap().yes, [5, 6, 7, 8, 9]);
    let many =
        TemplateValue::Array((0..50_000).map(|i| TemplateValue::Text(i.to_string())).collect());
    let templates = HashMap::from([("many".to_owned(), many)]);
    for text in
        ["s in {many}", "s not in {many}", "color in {many}", "array_contains_any(as, {many})"]
    {
        run(&Filter::parse(text, &schema(), &templates).unwrap()).unwrap();
    }
}

/// Marsaglia's xorshift: enough to make texts.
struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % n as u64).unwrap()
    }
}

#[test]
fn garbage_never_panics() {
    let words = [
        "id",
        "i8",
        "f",
        "d",
        "s",
        "b",
        "j",
        "ai",
        "as",
        "color",
        "$meta",
        "$",
        "vec",
        "[",
        "]",
        "(",
        ")",
        "{",
        "}",
        "\"a\"",
        "'",
        "\"",
        "r'",
        "\\",
        "1",
        "0",
        "2.5",
        "-1",
        "1e308",
        "0x",
        "9223372036854775807",
        "==",
        "=",
        "!=",
        "<",
        "<=",
        ">",
        ">=",
        "+",
        "-",
        "*",
        "/",
        "%",
        "**",
        "&",
        "|",
        "^",
        "~",
        "<<",
        ">>",
        "and",
        "or",
        "not",
        "!",
        "&&",
        "||",
        "in",
        "like",
        "=~",
        "!~",
        "is null",
        "is not null",
        "exists",
        "true",
        "False",
        ",",
        "json_contains(",
        "array_contains_all(",
        "array_length(",
        "text_match(",
        "{one}",
        "{ids}",
        "{json}",
        "é",
        "日",
        "\u{0}",
        "\n",
        ";",
        "[\"a\"]",
        "[0]",
        "_",
        ".",
    ];
    let (schema, templates) = (schema(), templates());
    let mut random = Random(0x9E37_79B9_7F4A_7C15);
    let mut accepted = 0;
    for _ in 0..20_000 {
        let length = 1 + random.below(12);
        let glue = [" ", "", " "][random.below(3)];
        let text =
            (0..length).map(|_| words[random.below(words.len())]).collect::<Vec<_>>().join(glue);
        if let Ok(filter) = Filter::parse(&text, &schema, &templates) {
            accepted += 1;
            // An overflow may be an error; a panic may not.
            let _ = run(&filter);
        }
    }
    assert!(accepted > 20, "{accepted}");
    for _ in 0..20_000 {
        let length = random.below(30);
        let bytes: Vec<u8> =
            (0..length).map(|_| u8::try_from(random.below(256)).unwrap()).collect();
        let _ = Filter::parse(&String::from_utf8_lossy(&bytes), &schema, &templates);
    }
}

/// Changes one place of a good filter: more of these get far into the translation.
#[test]
fn damaged_filters_never_panic() {
    let good = [
        r#"j["a"][0] in [1, "x"] and not (1 < id + 2 * 3 <= 5)"#,
        r#"array_contains_any(as, ["a", "\u00e9"]) or s like "a\_%" || exists $meta["k"]"#,
        r#"json_contains_all(j["t"], [1, 2.5, [true]]) and -i64 % 7 == 0x1F"#,
    ];
    let (schema, templates) = (schema(), templates());
    let mut random = Random(42);
    for _ in 0..5_000 {
        let mut chars: Vec<char> = good[random.below(good.len())].chars().collect();
        for _ in 0..=random.below(3) {
            let at = random.below(chars.len());
            match random.below(3) {
                0 => drop(chars.remove(at)),
                1 => chars.insert(at, char::from(u8::try_from(32 + random.below(95)).unwrap())),
                _ => {
                    let other = random.below(chars.len());
                    chars.swap(at, other);
                }
            }
        }
        let text: String = chars.into_iter().collect();
        if let Ok(filter) = Filter::parse(&text, &schema, &templates) {
            let _ = run(&filter);
        }
    }
}
