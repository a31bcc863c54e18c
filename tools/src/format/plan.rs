//! Answers of EXPLAIN: lines too long for a table's frame, with query vectors in them.

use arrow::array::{AsArray, RecordBatch};

use super::table::{SHOWN, WHOLE};

/// The plans as indented text; `None` if this is no answer of EXPLAIN.
pub fn render(batches: &[RecordBatch]) -> Option<String> {
    let mut out = String::new();
    for batch in batches {
        if batch.schema().fields().iter().map(|f| f.name()).ne(["plan_type", "plan"]) {
            return None;
        }
        let column = |i: usize| batch.column(i).as_string_opt::<i32>();
        for (kind, plan) in column(0)?.iter().zip(column(1)?) {
            out.push_str(kind.unwrap_or_default());
            for line in shorten(plan.unwrap_or_default()).trim_end().lines() {
                out.push_str("\n  ");
                out.push_str(line);
            }
            out.push('\n');
        }
    }
    out.pop().map(|_| out)
}

/// Replaces each long list of numbers by its first numbers and its length. Lists are written as
/// `[0.5, 1.5]` or `make_array(Float64(0.5),Float64(1.5))`.
fn shorten(plan: &str) -> String {
    let mut out = String::with_capacity(plan.len().min(4_096));
    let mut rest = plan;
    while let Some((before, list)) = next_list(rest) {
        out.push_str(before);
        rest = list;
        // Up to the next bracket of either kind: nested lists are tried again from inside.
        let end = if before.ends_with('[') {
            list.find(['[', ']']).filter(|end| list[*end..].starts_with(']'))
        } else {
            list.find("))").map(|end| end + 1)
        };
        let Some(end) = end else { continue };
        let numbers: Option<Vec<&str>> = list[..end].split(',').map(number).collect();
        if let Some(numbers) = numbers.filter(|numbers| numbers.len() > WHOLE) {
            out.push_str(&numbers[..SHOWN].join(", "));
            out.push_str(&format!(", … {}", numbers.len()));
            rest = &list[end..];
        }
    }
    out.push_str(rest);
    out
}

/// The text up to and with the opening of the next list, and what follows.
fn next_list(text: &str) -> Option<(&str, &str)> {
    let openings = ["[", "make_array("];
    let ends = openings.iter().filter_map(|o| text.find(o).map(|at| at + o.len()));
    ends.min().map(|end| text.split_at(end))
}

/// A number, bare or as in `Float64(0.5)`.
fn number(text: &str) -> Option<&str> {
    let text = text.trim();
    let bare = text.strip_suffix(')').and_then(|t| t.split_once('(')).map_or(text, |(_, n)| n);
    bare.parse::<f64>().is_ok().then_some(bare)
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{ArrayRef, StringArray};
    use std::sync::Arc;

    #[test]
    fn plans_are_told_by_their_columns() -> Result<(), arrow::error::ArrowError> {
        let column = |text: &str| Arc::new(StringArray::from(vec![text])) as ArrayRef;
        let names = |names: [&'static str; 2]| {
            let columns = [column("logical"), column("Sort\n  Scan\n")];
            RecordBatch::try_from_iter(names.into_iter().zip(columns))
        };
        let plan = render(&[names(["plan_type", "plan"])?]);
        assert_eq!(plan.as_deref(), Some("logical\n  Sort\n    Scan"));
        assert_eq!(render(&[names(["a", "plan"])?]), None);
        assert_eq!(render(&[]), None);
        Ok(())
    }

    #[test]
    fn only_long_lists_of_numbers_are_shortened() {
        let long = (0..10).map(|i| format!("{i}.5")).collect::<Vec<_>>().join(", ");
        let typed = ["Float64(0.5)"; 9].join(",");
        for (plan, short) in [
            (format!("f([{long}]), [a]"), "f([0.5, 1.5, … 10]), [a]"),
            (format!("f(make_array({typed}))"), "f(make_array(0.5, 0.5, … 9))"),
            (format!("[[{long}], 1]"), "[[0.5, 1.5, … 10], 1]"),
            (
                "columns=[a, b, c, d, e, f, g, h, i, j]".into(),
                "columns=[a, b, c, d, e, f, g, h, i, j]",
            ),
            ("[1, 2, 3]".into(), "[1, 2, 3]"),
            ("open [1, 2".into(), "open [1, 2"),
            (format!("open [{long}"), &format!("open [{long}")),
        ] {
            assert_eq!(shorten(&plan), short);
        }
    }
}
