//! `tracklight protocols`.

use ctnetlink::{DccpState, Protocol, SctpState, TcpState};
use engine::Failure;
use engine::render::json::Object;

use crate::exit::Outcome;
use crate::output::Output;

/// Flags of `tracklight protocols`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Output: text or json
    #[arg(short, long, value_name = "FORMAT", default_value = "text")]
    output: Format,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// One line a protocol
    Text,
    /// One JSON object
    Json,
}

/// `tracklight protocols`.
pub(crate) fn run(args: &Args) -> Result<Outcome, Failure> {
    let mut out = Output::stdout()?;
    match args.output {
        Format::Text => {
            for protocol in Protocol::TRACKED {
                let line = format!(
                    "{protocol:<8} {:>3}  {}",
                    protocol.0,
                    states(protocol).join(" ")
                );
                out.text(line.trim_end())?;
                out.text("\n")?;
            }
        }
        Format::Json => {
            let mut object = Object::open(out.buffer());
            for protocol in Protocol::TRACKED {
                let mut inner = Object::open(object.key(protocol.name().unwrap_or_default()));
                inner.number("number", protocol.0);
                let states = serde_json::json!(states(protocol)).to_string();
                inner.key("states").extend_from_slice(states.as_bytes());
                inner.close();
            }
            object.close();
            out.buffer().push(b'\n');
        }
    }
    out.flush()?;
    Ok(Outcome::Done)
}

fn states(protocol: Protocol) -> Vec<&'static str> {
    match protocol {
        Protocol::TCP => TcpState::ALL
            .iter()
            .filter_map(|state| state.name())
            .collect(),
        Protocol::SCTP => SctpState::ALL
            .iter()
            .filter_map(|state| state.name())
            .collect(),
        Protocol::DCCP => DccpState::ALL
            .iter()
            .filter_map(|state| state.name())
            .collect(),
        _ => Vec::new(),
    }
}
