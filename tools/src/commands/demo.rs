//! `elanus demo`: loads a small real data set, asks it two ways, then serves it.

use std::io::Write;
use std::sync::Arc;

use arrow::array::{ArrayRef, Float32Array};
use elanus_engine::api::{Engine, OpenOptions};
use elanus_server::Server;

use super::serve;
use crate::args::DemoArgs;
use crate::config;
use crate::demo::ask::{self, Found, Searched, Selected};
use crate::demo::data::{self, Example};
use crate::demo::load;
use crate::failure::{Failure, Result};
use crate::format::human::{count, duration, shorten};
use crate::format::table::{render_texts, short_text};
use crate::signals::Shutdown;

/// The entry whose neighbours are asked for: "timber wolf".
const EXAMPLE: i64 = 12_259;
/// Widths of words and glosses that let the table fit a terminal.
const WORD_WIDTH: usize = 28;
const GLOSS_WIDTH: usize = 44;

/// Opens the store, runs the demo, closes the store.
pub async fn run(args: DemoArgs) -> Result<()> {
    let shutdown = Shutdown::listen()?;
    let settings = config::load(&args.config)?;
    let location = args.data.to_string();
    let engine = Engine::open(OpenOptions { location, settings, create: true }).await?;
    let done = with_engine(&engine, &args, shutdown).await;
    let closed = engine.close().await.map_err(Failure::from);
    done.and(closed)
}

async fn with_engine(engine: &Engine, args: &DemoArgs, shutdown: Shutdown) -> Result<()> {
    // An address that is taken is better known now than after the work.
    let server = if args.once { None } else { Some(serve::bind(engine, args.listen).await?) };
    let mut out = std::io::stdout();
    tokio::select! {
        () = shutdown.clone().wait() => return Ok(()),
        done = show(engine, args, &mut out) => done?,
    }
    let Some(server) = server else { return print_next(&mut out, args) };
    print_serving(&mut out, args, &server)?;
    serve::finish(server, shutdown).await
}

/// Loads, asks both ways, prints.
async fn show(engine: &Engine, args: &DemoArgs, out: &mut dyn Write) -> Result<()> {
    let rows = data::rows()?;
    let dictionary = "entries of the dictionary WordNet, with vectors of their meanings";
    writeln!(out, "{} {dictionary}, into {}\n", count(rows.num_rows() as u64), args.data)?;
    let collection = load::fill(engine, &rows, out).await?;
    let example = data::example(&rows, EXAMPLE)?;
    let searched = ask::search(&collection, &example).await?;
    let selected = ask::select(engine, &example).await?;
    print_question(out, &example)?;
    print_answers(out, &searched, &selected)
}

fn print_question(out: &mut dyn Write, example: &Example) -> Result<()> {
    let vector: ArrayRef = Arc::new(Float32Array::from(example.vector.clone()));
    let vector = short_text(&vector)?;
    writeln!(out, "\nWhich animals with a short description are most like \"{}\"?", example.word)?;
    writeln!(out, "\nAs a Milvus search, with metric COSINE, limit {} and this filter:", ask::TOP)?;
    writeln!(out, "  {}", ask::filter_text(example))?;
    writeln!(out, "In SQL:")?;
    writeln!(out, "  {}\n", ask::sql_text(example, &vector).replace('\n', "\n  "))?;
    Ok(())
}

fn print_answers(out: &mut dyn Write, searched: &Searched, selected: &Selected) -> Result<()> {
    let cell = |found: Option<&Found>| match found {
        Some(f) => format!("{} {:.4}", shorten(&f.word, WORD_WIDTH), f.similarity),
        None => "-".to_string(),
    };
    let places = searched.rows.len().max(selected.rows.len());
    let rows: Vec<Vec<String>> = (0..places)
        .map(|i| {
            let (left, right) = (searched.rows.get(i), selected.rows.get(i));
            let gloss = left.or(right).map_or("", |f| f.gloss.as_str());
            vec![(i + 1).to_string(), cell(left), cell(right), shorten(gloss, GLOSS_WIDTH)]
        })
        .collect();
    writeln!(out, "{}", render_texts(&["#", "search", "SQL", "meaning"], &rows)?)?;
    let counts = searched.counts;
    writeln!(
        out,
        "search  {}, {} rows considered, {} rows scanned",
        duration(searched.took),
        count(counts.rows_considered),
        count(counts.rows_scanned),
    )?;
    writeln!(out, "SQL     {}, {}", duration(selected.took), selected.counts)?;
    if searched.rows != selected.rows {
        return Err(Failure::new("the two answers differ")
            .hint("this is a mistake in elanus: please report it with the text above"));
    }
    writeln!(out, "Both give the same rows in the same order.")?;
    Ok(())
}

fn print_serving(out: &mut dyn Write, args: &DemoArgs, server: &Server) -> Result<()> {
    let address = server.local_addr();
    writeln!(out, "\nServing on {address}.")?;
    writeln!(
        out,
        "  Python  from pymilvus import MilvusClient\n          \
         MilvusClient(\"http://{address}\").query(\"{}\", filter=\"length < 15\", \
         output_fields=[\"word\", \"gloss\"])",
        data::COLLECTION
    )?;
    writeln!(out, "  SQL     stop this first, then: {}", sql_command(args))?;
    writeln!(out, "  Stop    Ctrl-C")?;
    Ok(())
}

fn print_next(out: &mut dyn Write, args: &DemoArgs) -> Result<()> {
    writeln!(out, "\nNext:")?;
    writeln!(out, "  SQL    {}", sql_command(args))?;
    writeln!(out, "  Serve  {} serve --data {}", program(), args.data)?;
    Ok(())
}

fn sql_command(args: &DemoArgs) -> String {
    format!("{} sql --data {}", program(), args.data)
}

/// This program as the person called it (or as cargo did).
fn program() -> String {
    std::env::args().next().unwrap_or_else(|| "elanus".into())
}
