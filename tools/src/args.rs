//! The command line as types.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// Where `serve` and `sql` look for a store when `--data` is not given.
const DEFAULT_DATA: &str = "./elanus-data";
/// Where `demo` keeps its store when `--data` is not given.
const DEFAULT_DEMO_DATA: &str = "./elanus-data/demo";
/// Milvus's own port on this machine only.
const DEFAULT_LISTEN: &str = "127.0.0.1:19530";

/// Elanus: a vector store that speaks Milvus's gRPC protocol and SQL.
#[derive(Debug, Parser)]
#[command(name = "elanus", version, about, disable_help_subcommand = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serve a store to Milvus clients until stopped
    Serve(ServeArgs),
    /// Load a small real data set, ask it two ways, then serve it
    Demo(DemoArgs),
    /// Run SQL: one text, a script on standard input, or a shell
    Sql(SqlArgs),
    /// Show what a store holds: collections, segments, deletes, bytes
    Inspect(InspectArgs),
    /// Merge the segments of a store that nobody serves
    Compact(CompactArgs),
    /// Check every file of a store; exit 1 when something is wrong
    Verify(VerifyArgs),
    /// Make damaged indexes anew from the rows; exit 1 when something else is wrong
    Repair(RepairArgs),
    /// Remove the files that a store no longer names
    Gc(GcArgs),
    /// Print the settings in force as a TOML file with explanations
    Settings(SettingsArgs),
}

/// Arguments of `elanus serve`.
#[derive(Debug, Args)]
pub struct ServeArgs {
    /// The store: a folder (made if absent) or s3://BUCKET/PREFIX
    #[arg(long, value_name = "DIR|URL", default_value = DEFAULT_DATA)]
    pub data: Location,
    /// Address to listen on; port 0 takes any free port
    #[arg(long, value_name = "ADDR", default_value = DEFAULT_LISTEN)]
    pub listen: SocketAddr,
    #[command(flatten)]
    pub config: ConfigArgs,
}

/// Arguments of `elanus demo`.
#[derive(Debug, Args)]
pub struct DemoArgs {
    /// The store: a folder (made if absent) or s3://BUCKET/PREFIX
    #[arg(long, value_name = "DIR|URL", default_value = DEFAULT_DEMO_DATA)]
    pub data: Location,
    /// Address to listen on; port 0 takes any free port
    #[arg(long, value_name = "ADDR", default_value = DEFAULT_LISTEN)]
    pub listen: SocketAddr,
    /// End after the answers instead of serving
    #[arg(long)]
    pub once: bool,
    #[command(flatten)]
    pub config: ConfigArgs,
}

/// Arguments of `elanus sql`.
#[derive(Debug, Args)]
pub struct SqlArgs {
    /// The store: a folder or s3://BUCKET/PREFIX
    #[arg(long, value_name = "DIR|URL", default_value = DEFAULT_DATA)]
    pub data: Location,
    /// SQL to run, one or more statements; may be given again
    #[arg(short = 'c', long = "command", value_name = "SQL")]
    pub commands: Vec<String>,
    /// How to print rows
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub format: Format,
    /// The database whose tables need no prefix
    #[arg(long, value_name = "NAME", default_value = "default")]
    pub database: String,
    #[command(flatten)]
    pub config: ConfigArgs,
}

/// Arguments of `elanus inspect`.
#[derive(Debug, Args)]
pub struct InspectArgs {
    /// The store: a folder or s3://BUCKET/PREFIX
    pub data: Location,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `elanus compact`.
#[derive(Debug, Args)]
pub struct CompactArgs {
    /// The store: a folder or s3://BUCKET/PREFIX
    pub data: Location,
    /// Only this collection: NAME, or DATABASE.NAME
    #[arg(long, value_name = "NAME")]
    pub collection: Option<String>,
    /// Rewrite everything into as few segments as the settings allow, not only what pays
    #[arg(long)]
    pub all: bool,
    #[command(flatten)]
    pub config: ConfigArgs,
}

/// Arguments of `elanus verify`.
#[derive(Debug, Args)]
pub struct VerifyArgs {
    /// The store: a folder or s3://BUCKET/PREFIX
    pub data: Location,
    /// Exit 1 also when there are files that nothing needs
    #[arg(long)]
    pub strict: bool,
}

/// Arguments of `elanus repair`.
#[derive(Debug, Args)]
pub struct RepairArgs {
    /// The store: a folder or s3://BUCKET/PREFIX
    pub data: Location,
    #[command(flatten)]
    pub config: ConfigArgs,
}

/// Arguments of `elanus gc`.
#[derive(Debug, Args)]
pub struct GcArgs {
    /// The store: a folder or s3://BUCKET/PREFIX
    pub data: Location,
    #[command(flatten)]
    pub config: ConfigArgs,
}

/// Arguments of `elanus settings`.
#[derive(Debug, Args)]
pub struct SettingsArgs {
    #[command(flatten)]
    pub config: ConfigArgs,
}

/// Where the settings come from.
#[derive(Debug, Default, Args)]
pub struct ConfigArgs {
    /// Settings in TOML; the environment (ELANUS_SECTION_NAME) wins over it. See `elanus settings`
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

/// How rows are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people: long vectors are shortened
    Table,
    /// Comma separated, with a header; vectors as JSON arrays
    Csv,
    /// One JSON array of objects for each statement
    Json,
}

/// Where a store lies: a folder, or a bucket and prefix on S3.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Location {
    /// A folder of this machine.
    Folder(PathBuf),
    /// The whole URL, `s3://bucket/prefix`.
    S3(String),
}

impl FromStr for Location {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let Some((scheme, rest)) = text.split_once("://") else {
            return match text {
                "" => Err("the path is empty".into()),
                path => Ok(Self::Folder(path.into())),
            };
        };
        match scheme {
            "s3" if !cfg!(feature = "s3") => {
                Err("this binary was built without S3 (cargo feature \"s3\")".into())
            }
            "s3" if rest.is_empty() || rest.starts_with('/') => {
                Err("the bucket is missing: s3://BUCKET/PREFIX".into())
            }
            "s3" => Ok(Self::S3(text.into())),
            "file" => Ok(Self::Folder(rest.into())),
            other => {
                Err(format!("\"{other}://\" is not known; give a folder or s3://BUCKET/PREFIX"))
            }
        }
    }
}

impl std::fmt::Display for Location {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Folder(path) => write!(f, "{}", path.display()),
            Self::S3(url) => f.write_str(url),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Command, String> {
        Cli::try_parse_from(line.split_whitespace()).map(|c| c.command).map_err(|e| e.to_string())
    }

    #[test]
    fn the_definition_is_sound() {
        use clap::CommandFactory;
        Cli::command().debug_assert();
    }

    #[test]
    fn serve_has_defaults() {
        let Ok(Command::Serve(args)) = parse("elanus serve") else { panic!("not serve") };
        assert_eq!(args.data, Location::Folder("./elanus-data".into()));
        assert_eq!(args.listen.to_string(), "127.0.0.1:19530");
        assert_eq!(args.config.config, None);
    }

    #[test]
    fn sql_takes_several_commands_and_a_format() {
        let line = "elanus sql --data s3://b/p -c one -c two --format json --database d";
        let Ok(Command::Sql(args)) = parse(line) else { panic!("not sql") };
        assert_eq!(args.data, Location::S3("s3://b/p".into()));
        assert_eq!(args.commands, ["one", "two"]);
        assert_eq!(args.format, Format::Json);
        assert_eq!(args.database, "d");
    }

    #[test]
    fn compact_and_demo_have_their_flags() {
        let Ok(Command::Compact(args)) = parse("elanus compact d --collection c --all") else {
            panic!("not compact")
        };
        assert_eq!((args.collection.as_deref(), args.all), (Some("c"), true));
        let Ok(Command::Demo(args)) = parse("elanus demo --once --listen [::1]:0") else {
            panic!("not demo")
        };
        assert!(args.once && args.listen.is_ipv6());
    }

    #[test]
    fn bad_arguments_say_what_is_wrong() {
        for (line, says) in [
            ("elanus serve --listen here", "--listen"),
            ("elanus sql --format xml", "table, csv, json"),
            ("elanus inspect", "<DATA>"),
            ("elanus verify gs://b", "\"gs://\" is not known"),
            ("elanus verify s3://", "bucket is missing"),
            ("elanus nothing", "nothing"),
        ] {
            let error = parse(line).map(|_| ()).err().unwrap_or_default();
            assert!(error.contains(says), "{line}: {error}");
        }
    }
}
