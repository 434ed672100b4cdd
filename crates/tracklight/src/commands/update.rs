//! `tracklight update`.

use ctnetlink::{HelperName, Labels, Status, TcpState};
use engine::Failure;
use engine::actions::{self, Edit};

use super::delete::{finish, require_filter};
use super::list::note_source;
use crate::cli::Global;
use crate::exit::Outcome;
use crate::flags::{FilterArgs, table, usage};
use crate::progress::Progress;
use crate::values::{Mark, StatusIs, labels, parse_helper, parse_label};

/// Flags of `tracklight update`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    filter: FilterArgs,
    /// Change all entries of the table
    #[arg(long)]
    all: bool,
    /// New timeout in seconds; the kernel holds 24 days or more, as its clock ticks, and shortens the rest
    #[arg(long, value_name = "SECONDS", help_heading = "What to change")]
    set_timeout: Option<u32>,
    /// New mark; with a mask only its bits
    #[arg(long, value_name = "MARK[/MASK]", help_heading = "What to change")]
    set_mark: Option<Mark>,
    /// Status bits to set, such as ASSURED; the kernel lets none be cleared
    #[arg(
        long,
        value_name = "STATUS,…",
        value_delimiter = ',',
        help_heading = "What to change"
    )]
    set_status: Vec<StatusIs>,
    /// New state of TCP
    #[arg(long, value_name = "STATE", value_parser = parse_state, help_heading = "What to change")]
    set_state: Option<TcpState>,
    /// Labels to set
    #[arg(long, value_name = "LABEL,…", value_delimiter = ',', value_parser = parse_label,
          help_heading = "What to change")]
    add_labels: Vec<u8>,
    /// Labels to clear
    #[arg(long, value_name = "LABEL,…", value_delimiter = ',', value_parser = parse_label,
          help_heading = "What to change")]
    clear_labels: Vec<u8>,
    /// Helper; an empty name takes it away. The kernel gives one only at creation
    #[arg(long, value_name = "NAME", value_parser = parse_helper, help_heading = "What to change")]
    set_helper: Option<HelperName>,
}

/// `tracklight update`.
pub(crate) fn run(args: &Args, global: &Global) -> Result<Outcome, Failure> {
    let query = args.filter.query(global)?;
    require_filter(&query, args.all, "update")?;
    let edit = edit(args)?;
    let source = table(global)?;
    let mut progress = Progress::new("changing", None);
    let changed = actions::update(&source, &query, &edit, |done| progress.at(done))?;
    drop(progress);
    note_source(&source, global);
    finish(&changed, "changed")
}

fn edit(args: &Args) -> Result<Edit, Failure> {
    if let Some(status) = args.set_status.iter().find(|status| !status.set) {
        let name = status
            .bit
            .iter_names()
            .next()
            .map_or("a bit", |(name, _)| name);
        return Err(usage(
            format!("the kernel does not let the status {name} be cleared"),
            "delete the entry instead",
        ));
    }
    let status = args
        .set_status
        .iter()
        .fold(Status::empty(), |all, status| all | status.bit);
    let fixed = status & Status::UNCHANGEABLE;
    if let Some((name, _)) = fixed.iter_names().next() {
        return Err(usage(
            format!("the status {name} is the kernel's own: it cannot be set"),
            "SEEN_REPLY, ASSURED, FIXED_TIMEOUT and HELPER can",
        ));
    }
    let (add, clear) = (labels(&args.add_labels), labels(&args.clear_labels));
    if add.bits() & clear.bits() != 0 {
        return Err(usage("a label is both set and cleared", "name it once"));
    }
    let mask = Labels::from_bits(add.bits() | clear.bits());
    let edit = Edit {
        timeout: args.set_timeout,
        mark: args.set_mark.map(|mark| mark.0),
        status: (!status.is_empty()).then_some(status),
        state: args.set_state,
        labels: (mask != Labels::NONE).then_some((add, mask)),
        helper: args.set_helper,
    };
    if edit.is_empty() {
        return Err(usage(
            "nothing to change",
            "say what: --set-timeout, --set-mark, …",
        ));
    }
    Ok(edit)
}

fn parse_state(text: &str) -> Result<TcpState, String> {
    TcpState::from_name(text).ok_or_else(|| {
        let names: Vec<_> = TcpState::ALL
            .iter()
            .filter_map(|state| state.name())
            .collect();
        format!("expected one of {}", names.join(", "))
    })
}
