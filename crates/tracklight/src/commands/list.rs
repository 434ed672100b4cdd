//! `tracklight list`.

use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use clap::ValueEnum;
use ctnetlink::Entry;
use engine::actions::{self, Listed};
use engine::kernel::Reading;
use engine::render::{conntrack, csv, json};
use engine::{Column, Failure, Query, Sort, Source, Style, Top};

use crate::cli::Global;
use crate::exit::{INCOMPLETE, Outcome, note};
use crate::flags::{FilterArgs, SourceArgs, usage};
use crate::grid::Page;
use crate::output::Output;
use crate::progress::Progress;
use crate::table::Table;
use crate::untracked::note_nothing;

/// Flags of `tracklight list`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    filter: FilterArgs,
    #[command(flatten)]
    source: SourceArgs,
    /// Output: table, json, ndjson, csv, or conntrack with ,extended ,id ,ktimestamp behind it
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    output: Format,
    /// Sort by a column: quantities from the largest, everything else ascending
    #[arg(long, value_name = "COLUMN", value_parser = parse_column)]
    sort: Option<Column>,
    /// Turn the order round
    #[arg(long, requires = "sort")]
    reverse: bool,
    /// Print at most so many
    #[arg(short = 'n', long, value_name = "N")]
    limit: Option<usize>,
    /// Columns of table and csv, in order: `--columns help` lists them
    #[arg(long, value_name = "COLUMN,…", value_delimiter = ',', value_parser = parse_columns)]
    columns: Vec<ColumnChoice>,
    /// Another list of the kernel: entries being removed, or not yet confirmed
    #[arg(long, value_name = "TABLE", default_value = "conntrack")]
    table: TableName,
    /// Set the counters of the listed entries to zero in the same step
    #[arg(short, long, conflicts_with_all = ["table", "limit"])]
    zero: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum TableName {
    /// The connection tracking table
    Conntrack,
    /// Entries whose end could not be told to every listener yet
    Dying,
    /// Entries whose first packet is still on its way
    Unconfirmed,
}

#[derive(Clone, Copy, Debug)]
enum ColumnChoice {
    Column(Column),
    Help,
}

/// How entries are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    Table,
    Json,
    Ndjson,
    Csv,
    Conntrack(conntrack::Options),
}

impl std::str::FromStr for Format {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut parts = text.split(',');
        let format = match parts.next().unwrap_or_default() {
            "table" => Self::Table,
            "json" => Self::Json,
            "ndjson" => Self::Ndjson,
            "csv" => Self::Csv,
            "conntrack" => {
                let mut options = conntrack::Options::default();
                for option in parts {
                    match option {
                        "extended" => options.extended = true,
                        "id" => options.id = true,
                        "ktimestamp" => options.ktimestamp = true,
                        _ => {
                            return Err("conntrack takes extended, id and ktimestamp".to_owned());
                        }
                    }
                }
                return Ok(Self::Conntrack(options));
            }
            _ => {
                return Err("expected table, json, ndjson, csv or conntrack".to_owned());
            }
        };
        match parts.next() {
            None => Ok(format),
            Some(_) => Err("only conntrack takes options".to_owned()),
        }
    }
}

/// `tracklight list`.
pub(crate) fn run(args: &Args, global: &Global) -> Result<Outcome, Failure> {
    if args
        .columns
        .iter()
        .any(|choice| matches!(choice, ColumnChoice::Help))
    {
        return list_columns();
    }
    if !args.columns.is_empty() && !matches!(args.output, Format::Table | Format::Csv) {
        return Err(usage("--columns goes with table and csv", "leave it out"));
    }
    let source = args.source.open(global)?;
    let query = args.filter.query_in(&source, global)?;
    let started = Instant::now();
    let mut printer = Printer::new(args, source.now()?, global)?;
    let mut progress = Progress::new("reading", None).unless(printer.out.is_terminal());
    let listed = match args.sort {
        None => stream(args, &source, &query, &mut printer, &mut progress),
        Some(column) => sort(args, column, &source, &query, &mut printer, &mut progress),
    };
    // What came before a failure is true.
    let listed = match listed {
        Ok(listed) => listed,
        Err(failure) => {
            printer.abandon()?;
            return Err(failure);
        }
    };
    drop(progress);
    let printed = printer.finish()?;
    if !listed.outcome.complete {
        note(INCOMPLETE);
    }
    if global.verbose {
        explain(&source, &query, &listed, started.elapsed());
    }
    if printed == 0 && args.limit != Some(0) {
        return nothing(&source, &query, args.table);
    }
    Ok(Outcome::Done)
}

fn stream(
    args: &Args,
    source: &Source,
    query: &Query,
    printer: &mut Printer,
    progress: &mut Progress,
) -> Result<Listed, Failure> {
    let mut left = args.limit.unwrap_or(usize::MAX);
    let mut done = 0;
    let mut each = |entry: &Entry| {
        if left == 0 {
            return Ok(ControlFlow::Break(()));
        }
        left -= 1;
        done += 1;
        progress.at(done);
        printer.print(entry)?;
        Ok(if left == 0 {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        })
    };
    if args.zero {
        actions::list_and_zero(source.client()?, query, each)
    } else {
        actions::list(source, args.table.into(), query, &mut each)
    }
}

fn sort(
    args: &Args,
    column: Column,
    source: &Source,
    query: &Query,
    printer: &mut Printer,
    progress: &mut Progress,
) -> Result<Listed, Failure> {
    let order = Sort {
        column,
        reverse: args.reverse,
        now: printer.now,
    };
    let (entries, listed) = if args.zero {
        // The counters are gone once they are read: there is no beginning anew.
        let mut top = Top::new(None, |a: &Entry, b: &Entry| order.compare(a, b));
        let listed = actions::list_and_zero(source.client()?, query, |entry| {
            top.offer(entry);
            Ok(ControlFlow::Continue(()))
        })?;
        (top.into_sorted(), listed)
    } else {
        let (table, limit) = (args.table.into(), args.limit);
        actions::first(source, table, query, limit, order, |read| progress.at(read))?
    };
    for entry in &entries {
        printer.print(entry)?;
    }
    Ok(listed)
}

/// Prints entries in one of the formats.
pub(crate) struct Printer {
    out: Output,
    format: Format,
    columns: Vec<Column>,
    table: Table,
    now: u64,
    printed: u64,
}

impl Printer {
    fn new(args: &Args, now: u64, global: &Global) -> Result<Self, Failure> {
        let columns: Vec<Column> = args
            .columns
            .iter()
            .filter_map(|choice| match choice {
                ColumnChoice::Column(column) => Some(*column),
                ColumnChoice::Help => None,
            })
            .collect();
        if columns.is_empty() {
            Self::usual(args.output, now, global)
        } else {
            Self::with(args.output, &columns, true, now, global)
        }
    }

    /// A printer of a format's usual columns.
    pub(crate) fn usual(format: Format, now: u64, global: &Global) -> Result<Self, Failure> {
        let columns = if format == Format::Csv {
            Column::CSV
        } else {
            Column::TABLE
        };
        Self::with(format, columns, false, now, global)
    }

    fn with(
        format: Format,
        columns: &[Column],
        chosen: bool,
        now: u64,
        global: &Global,
    ) -> Result<Self, Failure> {
        let out = Output::stdout()?;
        let table = Table::new(columns, chosen, Page::of(&out, global), now);
        Ok(Self {
            out,
            format,
            columns: columns.to_vec(),
            table,
            now,
            printed: 0,
        })
    }

    /// Prints one entry.
    pub(crate) fn print(&mut self, entry: &Entry) -> Result<(), Failure> {
        let buffer = self.out.buffer();
        match self.format {
            Format::Table => {
                self.printed += 1;
                return self.table.push(entry, &mut self.out);
            }
            Format::Json => {
                buffer.extend_from_slice(if self.printed == 0 { b"[\n" } else { b",\n" });
                json::write_entry(buffer, entry);
            }
            Format::Ndjson => {
                json::write_entry(buffer, entry);
                buffer.push(b'\n');
            }
            Format::Csv => {
                if self.printed == 0 {
                    buffer.extend_from_slice(csv_head(&self.columns).as_bytes());
                }
                write_csv(buffer, &self.columns, entry, self.now);
            }
            Format::Conntrack(options) => {
                let now = (self.now / 1_000_000_000).cast_signed();
                conntrack::write_entry(buffer, entry, options, now);
                buffer.push(b'\n');
            }
        }
        self.printed += 1;
        self.out.spill()
    }

    /// Prints what is left of a list that has no end: a JSON array stays open.
    fn abandon(mut self) -> Result<(), Failure> {
        self.table.finish(&mut self.out)?;
        self.out.flush()
    }

    /// Prints what is left and gives the number of entries printed.
    pub(crate) fn finish(mut self) -> Result<u64, Failure> {
        match self.format {
            Format::Json => {
                self.out
                    .text(if self.printed == 0 { "[]\n" } else { "\n]\n" })?;
            }
            Format::Csv if self.printed == 0 => self.out.text(&csv_head(&self.columns))?,
            _ => {}
        }
        self.table.finish(&mut self.out)?;
        Ok(self.printed)
    }
}

fn csv_head(columns: &[Column]) -> String {
    let names: Vec<_> = columns.iter().map(|column| column.name()).collect();
    names.join(",") + "\r\n"
}

fn write_csv(buffer: &mut Vec<u8>, columns: &[Column], entry: &Entry, now: u64) {
    for (index, column) in columns.iter().enumerate() {
        if index > 0 {
            buffer.push(b',');
        }
        let start = buffer.len();
        column.write(buffer, entry, Style::Exact, now);
        csv::quote_from(buffer, start);
    }
    buffer.extend_from_slice(b"\r\n");
}

/// Says why nothing was printed.
fn nothing(source: &Source, query: &Query, table: TableName) -> Result<Outcome, Failure> {
    match table {
        TableName::Conntrack => note_nothing(source, query)?,
        _ => note("that list is empty"),
    }
    Ok(Outcome::Nothing)
}

fn explain(source: &Source, query: &Query, listed: &Listed, took: Duration) {
    let reading = source.reading();
    let explained = query.explain();
    let by = match (source, explained.kernel.as_slice()) {
        (Source::Saved(_), _) => String::new(),
        _ if reading.by == "bpf" => match explained.walk.as_slice() {
            [] => String::new(),
            alternatives => format!(", filtered in the kernel by {}", alternatives.join("; or ")),
        },
        (_, []) => ", no filter in the kernel".to_owned(),
        (_, filters) => format!(
            ", filtered in the kernel by {} in {} walks of the table",
            filters.join("; or "),
            listed.outcome.requests
        ),
    };
    let fallbacks = match listed.outcome.fallbacks {
        0 => String::new(),
        _ => ", but this kernel could not filter all of it, so it was asked again".to_owned(),
    };
    note(&format!(
        "{} entries by {} in {took:.2?}{by}{fallbacks}",
        listed.selected, reading.by
    ));
    note_reading(&reading);
}

/// Says in which way the table was read, where somebody wants to know.
pub(crate) fn note_source(source: &Source, global: &Global) {
    let reading = source.reading();
    if global.verbose {
        note(&format!("read by {}", reading.by));
        note_reading(&reading);
    }
}

/// Says why a table was not read by BPF.
pub(crate) fn note_reading(reading: &Reading) {
    if let Some((code, words)) = &reading.because {
        note(&format!("not by BPF ({code}): {words}"));
    }
}

fn list_columns() -> Result<Outcome, Failure> {
    let mut out = Output::stdout()?;
    for column in Column::ALL {
        out.text(&format!("{:<14}{}\n", column.name(), column.meaning()))?;
    }
    out.flush()?;
    Ok(Outcome::Done)
}

fn parse_column(name: &str) -> Result<Column, String> {
    Column::from_name(name).ok_or_else(|| {
        let names: Vec<_> = Column::ALL.iter().map(|column| column.name()).collect();
        format!("expected one of {}", names.join(", "))
    })
}

fn parse_columns(name: &str) -> Result<ColumnChoice, String> {
    if name == "help" {
        return Ok(ColumnChoice::Help);
    }
    parse_column(name).map(ColumnChoice::Column)
}

impl From<TableName> for ctnetlink::Table {
    fn from(name: TableName) -> Self {
        match name {
            TableName::Conntrack => Self::Conntrack,
            TableName::Dying => Self::Dying,
            TableName::Unconfirmed => Self::Unconfirmed,
        }
    }
}
