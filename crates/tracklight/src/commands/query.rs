//! `tracklight query`: what becomes of a query, what can follow, what there is.

use std::io::IsTerminal;

use clap::Subcommand;
use engine::{Failure, Query};
use query::{Explanation, Field, Flag, complete};

use crate::cli::Global;
use crate::exit::Outcome;
use crate::flags::{FilterFlags, vocabulary};
use crate::output::{Output, print_line};
use crate::shell::{self, Shell};

/// Flags of `tracklight query`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Show how a query is understood, what the kernel filters, what is left, and what looks wrong
    Explain(Box<Explain>),
    /// Print what can follow: one candidate a line, its meaning behind a tab
    Complete(Complete),
    /// List the fields, flags and operators of the language
    Fields,
}

#[derive(Debug, clap::Args)]
struct Explain {
    /// The query
    #[arg(value_name = "QUERY")]
    query: Vec<String>,
    #[command(flatten)]
    flags: FilterFlags,
    /// Output: text or json
    #[arg(short, long, value_name = "FORMAT", default_value = "text")]
    output: Format,
}

#[derive(Debug, clap::Args)]
struct Complete {
    /// The query as far as it is typed; with --shell the whole command line
    #[arg(value_name = "QUERY", default_value = "", allow_hyphen_values = true)]
    query: String,
    /// Where the cursor is, in characters; the end if nothing is said
    #[arg(long, value_name = "N")]
    cursor: Option<usize>,
    /// Answer the script of `tracklight completions SHELL`: the text is a command line up to the
    /// cursor, and the candidates, for a query or a flag's value, take the place of its last word.
    /// Exit status 2 if neither can stand there
    #[arg(long, value_name = "SHELL", conflicts_with_all = ["cursor", "output"])]
    shell: Option<Shell>,
    /// The characters at which bash cuts words ($COMP_WORDBREAKS)
    #[arg(
        long,
        value_name = "CHARACTERS",
        requires = "shell",
        default_value = " \t\n\"'@><=;|&(:",
        hide_default_value = true,
        allow_hyphen_values = true
    )]
    word_breaks: String,
    /// Output: text or json
    #[arg(short, long, value_name = "FORMAT", default_value = "text")]
    output: Format,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// For people
    Text,
    /// One JSON object
    Json,
}

/// `tracklight query`.
pub(crate) fn run(args: &Args, global: &Global) -> Result<Outcome, Failure> {
    match &args.verb {
        Verb::Explain(args) => explain(args, global),
        Verb::Complete(args) => completions(args, global),
        Verb::Fields => fields(),
    }
}

fn explain(args: &Explain, global: &Global) -> Result<Outcome, Failure> {
    let query = match vocabulary(global)
        .and_then(|vocabulary| args.flags.query(&args.query, &vocabulary))
    {
        Ok(query) => query,
        Err(failure) if args.output == Format::Json && failure.place.is_some() => {
            print_json(&failure)?;
            return Ok(Outcome::Status(2.into()));
        }
        Err(failure) => return Err(failure),
    };
    let explanation = query.explain();
    match args.output {
        Format::Json => print_json(&explanation)?,
        Format::Text => print_explanation(&query, &explanation)?,
    }
    Ok(Outcome::Done)
}

fn print_json(value: &impl serde::Serialize) -> Result<(), Failure> {
    // Plain structs always serialise.
    print_line(&serde_json::to_string(value).unwrap_or_default())
}

fn print_explanation(query: &Query, explanation: &Explanation) -> Result<(), Failure> {
    let mut out = Output::stdout()?;
    let parsed = match explanation.parsed.as_str() {
        "" => "everything",
        parsed => parsed,
    };
    out.text(&format!("query   {parsed}\n"))?;
    let walks = match explanation.requests {
        1 => "one walk of the table".to_owned(),
        several => format!("{several} walks of the table"),
    };
    match explanation.kernel.as_slice() {
        _ if explanation.requests == 0 => {
            out.text("kernel  is not asked: no connection can be such\n")?;
        }
        [] => out.text("kernel  sends every entry\n")?,
        filters => {
            print_alternatives(&mut out, "kernel", filters)?;
            out.text(&format!("        in {walks}\n"))?;
        }
    }
    if explanation.requests > 0 {
        let nothing = |rest: &Option<String>| rest.as_deref().unwrap_or("nothing").to_owned();
        out.text(&format!("rest    {}\n", nothing(&explanation.rest)))?;
        match explanation.walk.as_slice() {
            [] => out.text("bpf     copies every entry\n")?,
            walk => print_alternatives(&mut out, "bpf", walk)?,
        }
        out.text(&format!("rest    {}\n", nothing(&explanation.walk_rest)))?;
    }
    for warning in &explanation.warnings {
        out.text(&format!("warning {} [{}]\n", warning.message, warning.code))?;
    }
    if query.is_any() && !explanation.parsed.is_empty() {
        out.text("        it selects every entry: delete and update ask for --all\n")?;
    }
    out.flush()
}

fn print_alternatives(out: &mut Output, name: &str, all: &[String]) -> Result<(), Failure> {
    for (index, one) in all.iter().enumerate() {
        let name = if index == 0 { name } else { "    or" };
        out.text(&format!("{name:<8}{one}\n"))?;
    }
    Ok(())
}

fn completions(args: &Complete, global: &Global) -> Result<Outcome, Failure> {
    if let Some(shell) = args.shell {
        let lines = shell::complete(shell, &args.query, &args.word_breaks, global)?;
        let mut out = Output::stdout()?;
        for line in &lines {
            out.text(line)?;
            out.text("\n")?;
        }
        out.flush()?;
        return Ok(found(lines.len()));
    }
    let vocabulary = vocabulary(global)?;
    let cursor = args.cursor.unwrap_or(usize::MAX);
    let completion = complete(&args.query, cursor, &vocabulary)
        .map_err(|error| Failure::of_query(&error, &args.query))?;
    if args.output == Format::Json {
        print_json(&completion)?;
    } else {
        let mut out = Output::stdout()?;
        for candidate in &completion.candidates {
            out.text(&format!("{}\t{}\n", candidate.text, candidate.meaning))?;
        }
        out.flush()?;
    }
    Ok(found(completion.candidates.len()))
}

const fn found(candidates: usize) -> Outcome {
    match candidates {
        0 => Outcome::Nothing,
        _ => Outcome::Done,
    }
}

fn fields() -> Result<Outcome, Failure> {
    let mut out = Output::stdout()?;
    let mut line = |name: &str, meaning: &str, example: &str| {
        out.text(format!("{name:<17} {meaning:<78} {example}").trim_end())?;
        out.text("\n")
    };
    for field in Field::ALL {
        line(field.name(), field.meaning(), field.example())?;
    }
    line("", "", "")?;
    for flag in Flag::ALL {
        line(flag.name(), flag.meaning(), "")?;
    }
    if std::io::stdout().is_terminal() {
        line("", "", "")?;
        line(
            "",
            "Joined by and, or, not, ( ); docs/query.md has it all.",
            "",
        )?;
    }
    out.flush()?;
    Ok(Outcome::Done)
}
