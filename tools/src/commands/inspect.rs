//! `elanus inspect`: what a store holds.

use std::io::Write;

use elanus_engine::offline::inspect::{CodebookReport, IndexForm, VectorIndexReport};
use elanus_engine::offline::{self, CollectionReport, StoreReport};

use crate::args::InspectArgs;
use crate::failure::Result;
use crate::format::human::{bytes, count, counted, shorten};
use crate::format::table::render_texts;

/// Longest key shown in the table.
const KEY_WIDTH: usize = 24;

/// Prints the report as text or JSON.
pub async fn run(args: InspectArgs) -> Result<()> {
    let report = offline::inspect(&args.data.to_string()).await?;
    let mut out = std::io::stdout();
    if args.json {
        serde_json::to_writer_pretty(&mut out, &report)?;
        writeln!(out)?;
        return Ok(());
    }
    print(&mut out, &report)
}

fn print(out: &mut dyn Write, report: &StoreReport) -> Result<()> {
    writeln!(out, "store        {}", report.location)?;
    writeln!(out, "id           {}", report.store_id)?;
    writeln!(out, "format       {}", report.format_version)?;
    writeln!(out, "bytes        {}", bytes(report.total_bytes))?;
    if report.orphan_files > 0 {
        let orphans = counted(report.orphan_files, "file");
        let size = bytes(report.orphan_bytes);
        writeln!(
            out,
            "unused       {orphans} ({size}): old versions and garbage, see `elanus gc`"
        )?;
    }
    writeln!(out, "collections  {}", count(report.collections.len() as u64))?;
    report.collections.iter().try_for_each(|collection| print_collection(out, collection))
}

fn print_collection(out: &mut dyn Write, c: &CollectionReport) -> Result<()> {
    writeln!(out)?;
    write!(out, "{}.{} (id {})", c.database, c.name, c.id)?;
    if !c.aliases.is_empty() {
        write!(out, ", also known as {}", c.aliases.join(", "))?;
    }
    writeln!(out)?;
    writeln!(
        out,
        "  manifest version {}, writer epoch {}: {} in {}, {} deleted, {}",
        c.version,
        c.epoch,
        counted(c.rows, "row"),
        counted(c.segments.len() as u64, "segment"),
        count(c.deleted_rows),
        bytes(c.data_bytes),
    )?;
    for (name, field, params) in &c.indexes {
        let params: Vec<String> = params.iter().map(|(k, v)| format!("{k}={v}")).collect();
        writeln!(out, "  index {name} on {field}: {}", params.join(", "))?;
    }
    for book in &c.codebooks {
        writeln!(out, "  codebook {}", codebook(book))?;
    }
    if c.segments.is_empty() {
        return Ok(());
    }
    let rows: Vec<Vec<String>> = c
        .segments
        .iter()
        .map(|s| {
            vec![
                s.id.to_string(),
                s.partition.clone(),
                format!("L{}", s.level),
                count(s.rows),
                count(s.deleted_rows),
                bytes(s.bytes),
                shorten(&s.min_key, KEY_WIDTH),
                shorten(&s.max_key, KEY_WIDTH),
                s.vector_indexes.iter().map(vector_index).collect::<Vec<_>>().join(", "),
            ]
        })
        .collect();
    let titles = [
        "segment",
        "partition",
        "level",
        "rows",
        "deleted",
        "bytes",
        "min key",
        "max key",
        "vector indexes",
    ];
    writeln!(out, "{}", render_texts(&titles, &rows)?)?;
    Ok(())
}

/// `v.12: 512 lists, trained on 100,000 rows, 1.5 MiB`.
fn codebook(book: &CodebookReport) -> String {
    let lists = book.lists.map_or("unreadable".to_string(), |lists| counted(lists, "list"));
    let rows = counted(book.trained_rows, "row");
    let size = bytes(book.bytes);
    format!("{}.{}: {lists}, trained on {rows}, {size}", book.field, book.version)
}

/// `v.12 lists 3.4 MiB`.
fn vector_index(index: &VectorIndexReport) -> String {
    let form = match index.form {
        IndexForm::Flat => "flat",
        IndexForm::Lists => "lists",
        IndexForm::Unknown => "unknown",
    };
    format!("{}.{} {form} {}", index.field, index.codebook_version, bytes(index.bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codebooks_and_vector_indexes_in_a_few_words() {
        let book = |lists| CodebookReport {
            field: "v".into(),
            version: 12,
            lists,
            trained_rows: 100_000,
            bytes: 3 << 19,
        };
        let told = codebook(&book(Some(512)));
        assert_eq!(told, "v.12: 512 lists, trained on 100,000 rows, 1.5 MiB");
        assert!(codebook(&book(None)).starts_with("v.12: unreadable, "));
        let index = |form| VectorIndexReport {
            field: "v".into(),
            codebook_version: 12,
            form,
            bytes: 2_048,
        };
        assert_eq!(vector_index(&index(IndexForm::Lists)), "v.12 lists 2.0 KiB");
        assert_eq!(vector_index(&index(IndexForm::Flat)), "v.12 flat 2.0 KiB");
    }
}
