//! Relative links and anchors in the documents lead somewhere.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Component, Path, PathBuf};

use super::judge;
use crate::context::Context;
use crate::report::Counts;

/// Looks at every link of every Markdown file.
pub fn check(context: &Context) -> Result<Counts, String> {
    let mut texts = BTreeMap::new();
    for name in context.files()?.into_iter().filter(|name| name.ends_with(".md")) {
        let text =
            fs::read_to_string(context.root.join(&name)).map_err(|e| format!("{name}: {e}"))?;
        texts.insert(PathBuf::from(name), text);
    }
    let mut findings = Vec::new();
    let mut checked = 0;
    for (name, text) in &texts {
        for (line, target) in links(text) {
            if target.contains("://") || target.starts_with("mailto:") {
                continue;
            }
            checked += 1;
            if let Err(why) = follow(&context.root, &texts, name, &target) {
                findings.push(format!("{}:{line}: {target}: {why}", name.display()));
            }
        }
    }
    Ok(judge(&findings, &format!("{checked} links in {} documents", texts.len())))
}

fn follow(
    root: &Path,
    texts: &BTreeMap<PathBuf, String>,
    from: &Path,
    target: &str,
) -> Result<(), String> {
    let (path, anchor) = target.split_once('#').unwrap_or((target, ""));
    let to = match path {
        "" => from.to_path_buf(),
        path => flatten(&from.parent().unwrap_or(Path::new("")).join(path))
            .ok_or("leads out of the repository")?,
    };
    if !root.join(&to).exists() {
        return Err("no such file".into());
    }
    match texts.get(&to) {
        Some(text) if !anchor.is_empty() && !anchors(text).iter().any(|a| a == anchor) => {
            Err("no such heading".into())
        }
        _ => Ok(()),
    }
}

/// Takes `.` and `..` out of a relative path.
fn flatten(path: &Path) -> Option<PathBuf> {
    let mut flat = PathBuf::new();
    for part in path.components() {
        match part {
            Component::Normal(name) => flat.push(name),
            Component::CurDir => {}
            Component::ParentDir => flat.pop().then_some(())?,
            Component::RootDir | Component::Prefix(_) => return None,
        }
    }
    Some(flat)
}

/// The lines outside fenced code, with code spans blanked.
fn prose(text: &str) -> impl Iterator<Item = (usize, String)> + '_ {
    let mut fenced = false;
    text.lines().enumerate().filter_map(move |(number, line)| {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
            return None;
        }
        let plain = line.split('`').step_by(2).collect::<Vec<_>>().join("``");
        (!fenced).then_some((number + 1, plain))
    })
}

/// Targets of `[text](target)` and `[name]: target`, with their lines.
fn links(text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for (number, line) in prose(text) {
        for part in line.split("](").skip(1) {
            let target = part.split([')', ' ']).next().unwrap_or_default();
            found.push((number, target.to_string()));
        }
        if let Some((_, target)) = line.strip_prefix('[').and_then(|rest| rest.split_once("]: ")) {
            found.push((number, target.split(' ').next().unwrap_or_default().to_string()));
        }
    }
    found
}

/// The anchors of a document's headings, as web hosts of repositories make them.
fn anchors(text: &str) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    let mut fenced = false;
    for line in text.lines() {
        fenced ^= line.trim_start().starts_with("```");
        let title = line.trim_start_matches('#');
        if fenced || title.len() == line.len() || !title.starts_with(' ') {
            continue;
        }
        let slug: String = title
            .trim()
            .to_lowercase()
            .chars()
            .filter(|c| c.is_alphanumeric() || " -_".contains(*c))
            .map(|c| if c == ' ' { '-' } else { c })
            .collect();
        let same = found.iter().filter(|a| **a == slug).count();
        found.push(if same == 0 { slug } else { format!("{slug}-{same}") });
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_in_code_are_no_links() {
        let text = "a [b](c.md#d) `[no](no.md)`\n```\n[no](no.md)\n```\n[e]: f.md";
        assert_eq!(links(text), [(1, "c.md#d".to_string()), (5, "f.md".to_string())]);
    }

    #[test]
    fn dead_links_are_found() {
        let texts = BTreeMap::from([(PathBuf::from("a.md"), "# One `two`, three\n".to_string())]);
        let package = std::env::var("CARGO_MANIFEST_DIR").expect("cargo sets it");
        let root = Path::new(&package);
        let follow = |target| follow(root, &texts, Path::new("a.md"), target);
        assert!(follow("Cargo.toml").is_ok());
        assert!(follow("Cargo.tml").is_err());
        assert!(follow("../x").is_err());
        assert_eq!(anchors(&texts[Path::new("a.md")]), ["one-two-three"]);
    }
}
