//! Every dependency has a licence that `deny.toml` allows.

use std::collections::BTreeMap;
use std::fs;

use super::judge;
use crate::context::Context;
use crate::report::Counts;
use crate::run::read;

/// Reads the licences of all packages from cargo.
pub fn check(context: &Context) -> Result<Counts, String> {
    let file = context.root.join("deny.toml");
    let text = fs::read_to_string(&file).map_err(|e| format!("{}: {e}", file.display()))?;
    let allowed = allowed(&text)?;
    let tree = read(&mut context.cargo(&[
        "tree",
        "--workspace",
        "--locked",
        "--edges=normal,build,dev",
        "--prefix=none",
        "--format={p}|{l}",
    ]))?;
    let packages: BTreeMap<&str, &str> = tree
        .lines()
        .filter_map(|line| line.split_once('|'))
        .map(|(package, licence)| (package, licence.trim_end_matches(" (*)").trim()))
        .collect();
    let findings: Vec<String> = packages
        .iter()
        .filter(|(_, licence)| !permits(licence, &allowed))
        .map(|(package, licence)| match *licence {
            "" => format!("{package}: names no licence"),
            licence => format!("{package}: {licence} is not in deny.toml"),
        })
        .collect();
    Ok(judge(&findings, &format!("{} packages have allowed licences", packages.len())))
}

/// The quoted words of `allow = [ … ]`.
fn allowed(text: &str) -> Result<Vec<&str>, String> {
    let (_, rest) = text.split_once("allow = [").ok_or("deny.toml has no list `allow`")?;
    let (list, _) = rest.split_once(']').ok_or("deny.toml: the list `allow` has no end")?;
    Ok(list.split('"').skip(1).step_by(2).collect())
}

/// Whether a licence expression can be met with these licences. `AND` binds tighter than `OR`.
fn permits(expression: &str, allowed: &[&str]) -> bool {
    // The old way to write OR, and brackets as words of their own.
    let spaced = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut at = 0;
    either(&words, &mut at, allowed) && at == words.len()
}

fn either(words: &[&str], at: &mut usize, allowed: &[&str]) -> bool {
    let mut met = both(words, at, allowed);
    while words.get(*at) == Some(&"OR") {
        *at += 1;
        met |= both(words, at, allowed);
    }
    met
}

fn both(words: &[&str], at: &mut usize, allowed: &[&str]) -> bool {
    let mut met = single(words, at, allowed);
    while words.get(*at) == Some(&"AND") {
        *at += 1;
        met &= single(words, at, allowed);
    }
    met
}

fn single(words: &[&str], at: &mut usize, allowed: &[&str]) -> bool {
    let Some(word) = words.get(*at) else { return false };
    *at += 1;
    if *word == "(" {
        let met = either(words, at, allowed);
        *at += 1;
        return met;
    }
    if words.get(*at) == Some(&"WITH") {
        let exception = words.get(*at + 1).copied().unwrap_or_default();
        *at += 2;
        return allowed.contains(&format!("{word} WITH {exception}").as_str());
    }
    allowed.contains(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn licence_expressions_are_understood() {
        let allowed = ["MIT", "Apache-2.0", "Apache-2.0 WITH LLVM-exception", "Unicode-3.0"];
        for (expression, met) in [
            ("MIT", true),
            ("MIT/Apache-2.0", true),
            ("GPL-3.0", false),
            ("GPL-3.0 OR MIT", true),
            ("(MIT OR Apache-2.0) AND Unicode-3.0", true),
            ("(MIT OR Apache-2.0) AND GPL-2.0", false),
            ("Apache-2.0 WITH LLVM-exception OR GPL-2.0", true),
            ("GPL-2.0 WITH Classpath-exception-2.0", false),
            ("", false),
        ] {
            assert_eq!(permits(expression, &allowed), met, "{expression}");
        }
    }

    #[test]
    fn the_list_is_read() {
        assert_eq!(allowed("allow = [\n \"MIT\", \"ISC\" ]"), Ok(vec!["MIT", "ISC"]));
    }
}
