//! Cuts a text into SQL statements at the semicolons that end them.

/// What a character position is inside of.
enum Inside {
    Plain,
    /// A text or a quoted name; holds its quote.
    Quoted(char),
    LineComment,
    /// Block comments nest; holds the depth.
    BlockComment(usize),
}

/// The complete statements of a text without their semicolons, and what follows the last of them.
///
/// Semicolons in texts, quoted names and comments do not count. Statements of nothing but blanks and
/// comments are left out.
pub fn split(text: &str) -> (Vec<&str>, &str) {
    let (statements, rest, _) = scan(text);
    (statements, rest)
}

/// All statements of a text; the last needs no semicolon.
pub fn statements(text: &str) -> Vec<&str> {
    let (mut found, rest, rest_has_words) = scan(text);
    if rest_has_words {
        found.push(rest.trim());
    }
    found
}

/// Whether a text holds more than blanks and comments.
pub fn has_words(text: &str) -> bool {
    !statements(text).is_empty()
}

/// The complete statements, the rest, and whether the rest is more than blanks and comments.
fn scan(text: &str) -> (Vec<&str>, &str, bool) {
    let mut statements = Vec::new();
    let mut start = 0;
    let mut has_words = false;
    let mut inside = Inside::Plain;
    let mut chars = text.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        let next = chars.peek().map(|(_, c)| *c);
        let mut pair = false;
        inside = match (inside, c, next) {
            (Inside::Plain, '\'' | '"' | '`', _) => {
                has_words = true;
                Inside::Quoted(c)
            }
            (Inside::Plain, '-', Some('-')) => Inside::LineComment,
            (Inside::Plain, '/', Some('*')) => {
                pair = true;
                Inside::BlockComment(1)
            }
            (Inside::Plain, ';', _) => {
                if has_words {
                    statements.push(text[start..at].trim());
                }
                (start, has_words) = (at + 1, false);
                Inside::Plain
            }
            (Inside::Plain, c, _) => {
                has_words |= !c.is_whitespace();
                Inside::Plain
            }
            // A doubled quote ends the text and begins the next: the same in effect.
            (Inside::Quoted(quote), c, _) if c == quote => Inside::Plain,
            (Inside::LineComment, '\n', _) => Inside::Plain,
            (Inside::BlockComment(depth), '*', Some('/')) => {
                pair = true;
                if depth == 1 { Inside::Plain } else { Inside::BlockComment(depth - 1) }
            }
            (Inside::BlockComment(depth), '/', Some('*')) => {
                pair = true;
                Inside::BlockComment(depth + 1)
            }
            (same, _, _) => same,
        };
        if pair {
            chars.next();
        }
    }
    (statements, &text[start..], has_words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_end_at_their_semicolons_only() {
        for (text, complete, rest) in [
            ("select 1; select 2", vec!["select 1"], " select 2"),
            ("select ';' ; x", vec!["select ';'"], " x"),
            ("select 'it''s; ok';", vec!["select 'it''s; ok'"], ""),
            ("select \"a;b\";", vec!["select \"a;b\""], ""),
            ("select 1 -- no; \n + 1;", vec!["select 1 -- no; \n + 1"], ""),
            ("select /* ; /* ; */ ; */ 1;", vec!["select /* ; /* ; */ ; */ 1"], ""),
            (";;  ; -- only; \n ;", vec![], ""),
            ("select 'open; ", vec![], "select 'open; "),
            ("/*;*/;a;", vec!["a"], ""),
        ] {
            assert_eq!(split(text), (complete, rest), "{text}");
        }
    }

    #[test]
    fn the_last_statement_needs_no_semicolon() {
        assert_eq!(statements("a; b"), ["a", "b"]);
        assert_eq!(statements("a;\n-- end\n"), ["a"]);
        assert_eq!(statements("select 'open"), ["select 'open"]);
        assert_eq!(statements("select 1 /* open"), ["select 1 /* open"]);
        assert!(statements(" /* nothing */ -- at all").is_empty());
    }

    #[test]
    fn words_are_told_from_blanks() {
        assert!(has_words("x") && has_words("'"));
        assert!(!has_words("  \n") && !has_words("-- x") && !has_words(""));
    }
}
