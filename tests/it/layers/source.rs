//! Reading Rust source just well enough to see which paths it names.

/// The source with comments, strings, character literals and test modules blanked; lines stay.
pub fn code(source: &str) -> String {
    without_tests(&without_text(source))
}

fn without_text(source: &str) -> String {
    let chars: Vec<char> = source.chars().collect();
    let mut out = String::with_capacity(source.len());
    let mut at = 0;
    while at < chars.len() {
        let end = match chars[at] {
            '/' if chars.get(at + 1) == Some(&'/') => line_end(&chars, at),
            '/' if chars.get(at + 1) == Some(&'*') => comment_end(&chars, at),
            '"' => string_end(&chars, at),
            'r' if !follows_word(&chars, at) => raw_string_end(&chars, at).unwrap_or(at),
            '\'' => char_end(&chars, at).unwrap_or(at),
            _ => at,
        };
        if end == at {
            out.push(chars[at]);
            at += 1;
        } else {
            out.extend(chars[at..end].iter().map(|c| if *c == '\n' { '\n' } else { ' ' }));
            at = end;
        }
    }
    out
}

fn follows_word(chars: &[char], at: usize) -> bool {
    // `br"…"` is a raw string, too.
    at > 0
        && is_word(chars[at - 1])
        && !(chars[at - 1] == 'b' && (at < 2 || !is_word(chars[at - 2])))
}

fn line_end(chars: &[char], at: usize) -> usize {
    chars[at..].iter().position(|c| *c == '\n').map_or(chars.len(), |n| at + n)
}

fn comment_end(chars: &[char], at: usize) -> usize {
    let mut depth = 0;
    let mut i = at;
    while i + 1 < chars.len() {
        match (chars[i], chars[i + 1]) {
            ('/', '*') => depth += 1,
            ('*', '/') => depth -= 1,
            _ => {
                i += 1;
                continue;
            }
        }
        i += 2;
        if depth == 0 {
            return i;
        }
    }
    chars.len()
}

fn string_end(chars: &[char], at: usize) -> usize {
    let mut i = at + 1;
    while i < chars.len() {
        match chars[i] {
            '\\' => i += 2,
            '"' => return i + 1,
            _ => i += 1,
        }
    }
    chars.len()
}

fn raw_string_end(chars: &[char], at: usize) -> Option<usize> {
    let hashes = chars[at + 1..].iter().take_while(|c| **c == '#').count();
    let open = at + 1 + hashes;
    if chars.get(open) != Some(&'"') {
        return None;
    }
    let close = |i: usize| {
        chars[i] == '"'
            && chars[i + 1..].iter().take(hashes).filter(|c| **c == '#').count() == hashes
    };
    Some((open + 1..chars.len()).find(|i| close(*i)).map_or(chars.len(), |i| i + 1 + hashes))
}

/// A character literal's end; a lifetime has none.
fn char_end(chars: &[char], at: usize) -> Option<usize> {
    if chars.get(at + 1) == Some(&'\\') {
        return chars[at + 3..].iter().position(|c| *c == '\'').map(|n| at + 4 + n);
    }
    (chars.get(at + 2) == Some(&'\'')).then_some(at + 3)
}

fn without_tests(source: &str) -> String {
    let mut out = source.to_string();
    let mut from = 0;
    while let Some(at) = out[from..].find("#[cfg(test)]").map(|n| from + n) {
        let end = item_end(&out, at);
        let blank: String =
            out[at..end].chars().map(|c| if c == '\n' { '\n' } else { ' ' }).collect();
        let next = at + blank.len();
        out.replace_range(at..end, &blank);
        from = next;
    }
    out
}

/// The end of the item that begins at `at`: its closing brace or its semicolon.
fn item_end(source: &str, at: usize) -> usize {
    let mut depth = 0;
    for (offset, c) in source[at..].char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 1 => return at + offset + 1,
            '}' => depth -= 1,
            ';' if depth == 0 => return at + offset + 1,
            _ => {}
        }
    }
    source.len()
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn line_of(text: &str, at: usize) -> usize {
    text[..at].matches('\n').count() + 1
}

/// Lines of `text` that name a path which begins with `needle`. A crate's name (`rand::`) counts only
/// at the start of a path: `crate::rand::` is something else.
pub fn mentions(text: &str, needle: &str) -> Vec<usize> {
    let krate = needle.strip_suffix("::");
    let mut lines: Vec<usize> = text
        .match_indices(needle)
        .filter(|(at, _)| {
            let before = &text[..*at];
            !(before.ends_with(is_word) || krate.is_some() && before.ends_with("::"))
        })
        .filter(|(at, _)| krate.is_some() || !text[at + needle.len()..].starts_with(is_word))
        .map(|(at, _)| line_of(text, at))
        .collect();
    if let Some(name) = krate {
        let whole = [format!("use {name};"), format!("use {name} as ")];
        lines.extend(
            whole
                .iter()
                .flat_map(|w| text.match_indices(w.as_str()))
                .map(|(at, _)| line_of(text, at)),
        );
    }
    lines
}

/// The names that follow `crate::` in `text`, also inside braces, with their lines; and those that
/// follow exactly `depth` times `super::`, which leads to the same place.
pub fn idents_after_crate(text: &str, depth: usize) -> Vec<(usize, String)> {
    let prefixes = ["crate::".to_string(), "super::".repeat(depth)];
    let mut found = Vec::new();
    for prefix in prefixes {
        for (at, _) in text.match_indices(&prefix) {
            let before = &text[..at];
            let after = &text[at + prefix.len()..];
            if before.ends_with(is_word) || before.ends_with("::") || after.starts_with("super::") {
                continue;
            }
            let line = line_of(text, at);
            found.extend(
                first_names(after)
                    .into_iter()
                    .map(|(offset, name)| (line + after[..offset].matches('\n').count(), name)),
            );
        }
    }
    found
}

/// The first name of a path, or of each path of a group in braces.
fn first_names(path: &str) -> Vec<(usize, String)> {
    let name_at =
        |at: usize| -> String { path[at..].chars().take_while(|c| is_word(*c)).collect() };
    if !path.starts_with('{') {
        return vec![(0, name_at(0))].into_iter().filter(|(_, name)| !name.is_empty()).collect();
    }
    let mut found = Vec::new();
    let mut depth = 0;
    let mut expected = false;
    for (at, c) in path.char_indices() {
        match c {
            '{' => {
                depth += 1;
                expected = depth == 1;
            }
            '}' if depth == 1 => break,
            '}' => depth -= 1,
            ',' => expected = depth == 1,
            c if is_word(c) && expected => {
                found.push((at, name_at(at)));
                expected = false;
            }
            _ => {}
        }
    }
    found
}
