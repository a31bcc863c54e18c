//! Which rows lie in a damaged place of a Lance file.

use std::collections::BTreeMap;
use std::ops::Range;

use lance_file::reader::CachedFileMetadata;

/// Columns told by name at most; more are counted.
const NAMED_COLUMNS: usize = 3;

/// Where the pages of a file lie: column, rows, bytes of each buffer.
pub type Pages = Vec<(String, Range<u64>, Vec<Range<u64>>)>;

/// The pages of an open file.
pub fn pages(metadata: &CachedFileMetadata) -> Pages {
    // Columns of the file are the leaves of its schema; each of our fields has one.
    let names = &metadata.file_schema.fields;
    let exact = names.len() == metadata.column_infos.len();
    let mut found = Pages::new();
    for (at, column) in metadata.column_infos.iter().enumerate() {
        let name = names.get(at).filter(|_| exact).map(|field| field.name.clone());
        let name = name.unwrap_or_else(|| format!("#{at}"));
        let mut row = 0;
        for page in column.page_infos.iter() {
            let buffers = page.buffer_offsets_and_sizes.iter().map(|(at, size)| *at..at + size);
            found.push((name.clone(), row..row + page.num_rows, buffers.collect()));
            row += page.num_rows;
        }
    }
    found
}

/// Tells of a damaged block, with the rows that have values in it.
pub fn describe(block: &Range<u64>, pages: Option<&Pages>) -> String {
    let mut hit: BTreeMap<&str, Range<u64>> = BTreeMap::new();
    for (name, rows, buffers) in pages.into_iter().flatten() {
        if buffers.iter().any(|b| b.start < block.end && block.start < b.end) {
            let all = hit.entry(name).or_insert_with(|| rows.clone());
            *all = all.start.min(rows.start)..all.end.max(rows.end);
        }
    }
    let told: Vec<String> = hit
        .iter()
        .take(NAMED_COLUMNS)
        .map(|(name, rows)| format!("column {name} of rows {} to {}", rows.start, rows.end - 1))
        .collect();
    let more = hit.len().saturating_sub(NAMED_COLUMNS);
    let more = if more > 0 { format!(" and {more} more columns") } else { String::new() };
    let whose = match told.is_empty() {
        true => "the file's description of itself, so all rows".to_string(),
        false => format!("{}{more}", told.join(", ")),
    };
    format!("bytes {} to {} are not what was written: {whose}", block.start, block.end - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_a_damaged_block_are_told() {
        let pages: Pages = vec![
            ("a".into(), 0..10, vec![0..100, 100..150]),
            ("a".into(), 10..20, vec![150..200, 200..300]),
            ("b".into(), 0..20, vec![300..310, 310..400]),
        ];
        let told = describe(&(120..200), Some(&pages));
        assert!(told.contains("column a of rows 0 to 19") && !told.contains("column b"), "{told}");
        assert!(describe(&(300..310), Some(&pages)).contains("column b of rows 0 to 19"));
        assert!(describe(&(400..410), Some(&pages)).contains("all rows"));
        assert!(describe(&(0..1), None).contains("all rows"));
    }
}
