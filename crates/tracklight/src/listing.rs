//! Short lists: one line each, or JSON.

use clap::ValueEnum;
use engine::Failure;

use crate::exit::{Outcome, note};
use crate::output::Output;

/// The flag for it.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(crate) struct OutputArgs {
    /// Output: text, json or ndjson
    #[arg(
        short = 'o',
        long = "output",
        value_name = "FORMAT",
        default_value = "text"
    )]
    pub(crate) format: Format,
}

/// How a list is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// One line each
    Text,
    /// A JSON array
    Json,
    /// One JSON object a line
    Ndjson,
}

/// Prints all of a list; an empty one is told with `nothing`.
pub(crate) fn print<T>(
    items: &[T],
    format: Format,
    line: impl Fn(&T) -> String,
    object: impl Fn(&mut Vec<u8>, &T),
    nothing: &str,
) -> Result<Outcome, Failure> {
    let mut out = Output::stdout()?;
    match format {
        Format::Text => {
            for item in items {
                out.text(&line(item))?;
                out.text("\n")?;
            }
        }
        Format::Ndjson => {
            for item in items {
                object(out.buffer(), item);
                out.text("\n")?;
            }
        }
        Format::Json => {
            out.text("[")?;
            for (index, item) in items.iter().enumerate() {
                out.text(if index > 0 { ",\n" } else { "\n" })?;
                object(out.buffer(), item);
            }
            out.text(if items.is_empty() { "]\n" } else { "\n]\n" })?;
        }
    }
    out.flush()?;
    if items.is_empty() {
        note(nothing);
        return Ok(Outcome::Nothing);
    }
    Ok(Outcome::Done)
}

/// Prints one thing: in JSON an object, without a list around it.
pub(crate) fn print_one<T>(
    item: &T,
    format: Format,
    line: impl Fn(&T) -> String,
    object: impl Fn(&mut Vec<u8>, &T),
) -> Result<Outcome, Failure> {
    let format = match format {
        Format::Json => Format::Ndjson,
        other => other,
    };
    print(std::slice::from_ref(item), format, line, object, "")
}
