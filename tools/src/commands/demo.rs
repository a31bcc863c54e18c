//! `elanus demo`: loads a small real data set, asks it two ways, then serves it.

use std::io::Write;
use std::sync::Arc;

use arrow::array::{ArrayRef, Float32Array};
use elanus_engine::api::{Engine, OpenOptions};
use elanus_server::Server;

use super::serve;
use crate::args::DemoArgs;
use crate::config;
use crate::demo::ask::{self, Answer, Found};
use crate::demo::data::{self, Example};
use crate::demo::load;
use crate::failure::{Failure, Result};
use crate::format::human::{count, duration, shorten};
use crate::format::table::{render_texts, short_text};
use crate::signals::Shutdown;

/// The entry whose neighbours are asked for: "timber wolf".
const EXAMPLE: i64 = 12_259;
/// Width of words that lets two answers stand side by side on a terminal of 80 columns.
const WORD_WIDTH: usize = 26;

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
    let entries = count(rows.num_rows() as u64);
    writeln!(out, "Loading {entries} WordNet entries with their vectors into {}\n", args.data)?;
    let collection = load::fill(engine, &rows, out).await?;
    let example = data::example(&rows, EXAMPLE)?;
    let searched = ask::search(&collection, &example).await?;
    let selected = ask::select(engine, &example).await?;
    print_question(out, &example)?;
    print_answers(out, &searched, &selected)
}

fn print_question(out: &mut dyn Write, example: &Example) -> Result<()> {
    let vector: ArrayRef = Arc::new(Float32Array::from(example.vector.clone()));
    let sql = ask::sql_text(example, &short_text(&vector)?).replace('\n', "\n          ");
    writeln!(out, "\nWhich animals with a short description are most like this one?")?;
    writeln!(out, "  {}\n", example.word)?;
    writeln!(out, "  filter  {}", ask::filter_text(example))?;
    writeln!(out, "  SQL     {sql}\n")?;
    Ok(())
}

fn print_answers(out: &mut dyn Write, searched: &Answer, selected: &Answer) -> Result<()> {
    let cell = |found: Option<&Found>| match found {
        Some(f) => format!("{:WORD_WIDTH$} {:.4}", shorten(&f.word, WORD_WIDTH), f.similarity),
        None => String::new(),
    };
    let rows: Vec<Vec<String>> = (0..searched.rows.len().max(selected.rows.len()))
        .map(|i| {
            let both = [&searched.rows, &selected.rows].map(|rows| cell(rows.get(i)));
            [vec![(i + 1).to_string()], both.to_vec()].concat()
        })
        .collect();
    let titles = ["#", "search with filter, COSINE", "SQL"];
    writeln!(out, "{}", render_texts(&titles, &rows)?)?;
    for (way, answer) in [("search", searched), ("SQL", selected)] {
        let (first, again) = (duration(answer.first), duration(answer.again));
        writeln!(out, "{way:7} {first}, again {again}: {}", answer.counts)?;
    }
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
         MilvusClient(\"http://{address}\").query(\"{}\", filter='word like \"%wolf%\"', \
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
