//! `tracklight get`.

use ctnetlink::Direction;
use engine::column::{Column, Style};
use engine::render::json;
use engine::{Failure, actions};

use crate::cli::Global;
use crate::exit::Outcome;
use crate::flags::{SourceArgs, TupleArgs};
use crate::output::Output;

/// Flags of `tracklight get`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    tuple: TupleArgs,
    #[command(flatten)]
    source: SourceArgs,
    /// The flags name the reply direction
    #[arg(long)]
    reply: bool,
    /// Output: text or json
    #[arg(short, long, value_name = "FORMAT", default_value = "text")]
    output: Format,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// One line a field
    Text,
    /// One JSON object
    Json,
}

/// `tracklight get`.
pub(crate) fn run(args: &Args, global: &Global) -> Result<Outcome, Failure> {
    let direction = if args.reply {
        Direction::Reply
    } else {
        Direction::Original
    };
    let key = args.tuple.key(direction)?;
    let source = args.source.open(global)?;
    let entry = actions::get(&source, &key)?;
    let mut out = Output::stdout()?;
    match args.output {
        Format::Json => {
            json::write_entry(out.buffer(), &entry);
            out.buffer().push(b'\n');
        }
        Format::Text => {
            let now = source.now()?;
            for column in Column::ALL {
                let mut value = Vec::new();
                column.write(&mut value, &entry, Style::Human, now);
                if !value.is_empty() {
                    let value = String::from_utf8_lossy(&value);
                    out.text(&format!("{:<14}{value}\n", column.name()))?;
                }
            }
        }
    }
    out.flush()?;
    Ok(Outcome::Done)
}
