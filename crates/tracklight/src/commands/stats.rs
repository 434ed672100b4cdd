//! `tracklight stats`.

use ctnetlink::{CpuStats, ExpectationCpuStats, GlobalStats, Namespace};
use engine::Failure;
use engine::actions;
use engine::render::json::Object;

use crate::cli::Global;
use crate::exit::Outcome;
use crate::flags::open;
use crate::output::Output;

/// Flags of `tracklight stats`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Output: text or json
    #[arg(short, long, value_name = "FORMAT", default_value = "text")]
    output: Format,
    /// One row a CPU, and rows that are all zero
    #[arg(short, long)]
    all: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// For people
    Text,
    /// One JSON object
    Json,
}

/// Switches of the namespace without which some columns are empty.
#[derive(Clone, Copy, Debug)]
pub(super) struct Switches {
    pub(super) accounting: Option<bool>,
    pub(super) timestamps: Option<bool>,
}

/// `tracklight stats`.
pub(crate) fn run(args: &Args, global: &Global) -> Result<Outcome, Failure> {
    let client = open(global)?;
    let usage = actions::usage(&client)?;
    let cpus = client.cpu_stats()?;
    let expectations = client.expectation_cpu_stats()?;
    let switches = switches(global)?;
    let mut out = Output::stdout()?;
    match args.output {
        Format::Text => write_text(&mut out, args.all, usage, &cpus, &expectations, switches)?,
        Format::Json => write_json(&mut out, usage, &cpus, &expectations, switches),
    }
    out.flush()?;
    Ok(Outcome::Done)
}

fn write_text(
    out: &mut Output,
    all: bool,
    usage: GlobalStats,
    cpus: &[CpuStats],
    expectations: &[ExpectationCpuStats],
    switches: Switches,
) -> Result<(), Failure> {
    let count = |value: Option<u32>| value.map_or("unknown".to_owned(), |value| value.to_string());
    out.text(&format!("entries      {}", count(usage.entries)))?;
    if let (Some(entries), Some(max)) = (usage.entries, usage.max_entries.filter(|&max| max > 0)) {
        let share = f64::from(entries) * 100.0 / f64::from(max);
        out.text(&format!(" of {max} ({share:.1} %)"))?;
    }
    out.text("\n")?;
    let on = |on: Option<bool>, name: &str| match on {
        Some(true) => "on".to_owned(),
        Some(false) => format!("off; to turn it on: sysctl -w net.netfilter.{name}=1"),
        None => "unknown".to_owned(),
    };
    out.text(&format!(
        "accounting   {}\n",
        on(switches.accounting, "nf_conntrack_acct")
    ))?;
    out.text(&format!(
        "timestamps   {}\n\n",
        on(switches.timestamps, "nf_conntrack_timestamp")
    ))?;

    let sum = cpus
        .iter()
        .copied()
        .reduce(|a, b| a.plus(&b))
        .unwrap_or_default();
    let rows = fields(&sum, |stats| stats.fields().collect(), cpus, all);
    write_counters(out, "", &rows, all, cpus.len())?;
    let sum = expectations
        .iter()
        .copied()
        .reduce(|a, b| a.plus(&b))
        .unwrap_or_default();
    let rows = fields(&sum, |stats| stats.fields().collect(), expectations, all);
    write_counters(out, "expect_", &rows, all, expectations.len())
}

type Row = (&'static str, Vec<Option<u32>>);

/// One row a counter: the sum, then every CPU's if all are wanted.
fn fields<T>(
    sum: &T,
    fields: impl Fn(&T) -> Vec<(&'static str, Option<u32>)>,
    cpus: &[T],
    all: bool,
) -> Vec<Row> {
    let mut rows: Vec<Row> = fields(sum)
        .into_iter()
        .map(|(name, value)| (name, vec![value]))
        .collect();
    if all {
        for cpu in cpus {
            rows.iter_mut()
                .zip(fields(cpu))
                .for_each(|(row, (_, value))| row.1.push(value));
        }
    }
    rows
}

fn write_counters(
    out: &mut Output,
    prefix: &str,
    rows: &[Row],
    all: bool,
    cpus: usize,
) -> Result<(), Failure> {
    if all && prefix.is_empty() {
        let heads: String = (0..cpus)
            .map(|cpu| format!("{:>11}", format!("cpu{cpu}")))
            .collect();
        out.text(&format!("{:<17}{:>11}{heads}\n", "", "all"))?;
    }
    for (name, values) in rows
        .iter()
        .filter(|(_, values)| values.iter().any(Option::is_some))
    {
        let cells: String = values
            .iter()
            .map(|value| value.map_or(format!("{:>11}", "-"), |value| format!("{value:>11}")))
            .collect();
        out.text(&format!("{:<17}{cells}\n", format!("{prefix}{name}")))?;
    }
    Ok(())
}

fn write_json(
    out: &mut Output,
    usage: GlobalStats,
    cpus: &[CpuStats],
    expectations: &[ExpectationCpuStats],
    switches: Switches,
) {
    let mut object = Object::open(out.buffer());
    for (name, value) in [
        ("entries", usage.entries),
        ("max_entries", usage.max_entries),
    ] {
        if let Some(value) = value {
            object.number(name, value);
        }
    }
    for (name, on) in [
        ("accounting", switches.accounting),
        ("timestamps", switches.timestamps),
    ] {
        if let Some(on) = on {
            object
                .key(name)
                .extend_from_slice(if on { b"true" } else { b"false" });
        }
    }
    write_cpus(
        object.key("cpus"),
        cpus.iter().map(|cpu| (cpu.cpu, cpu.fields().collect())),
    );
    write_cpus(
        object.key("expectation_cpus"),
        expectations
            .iter()
            .map(|cpu| (cpu.cpu, cpu.fields().collect())),
    );
    object.close();
    out.buffer().push(b'\n');
}

fn write_cpus(
    out: &mut Vec<u8>,
    cpus: impl Iterator<Item = (u16, Vec<(&'static str, Option<u32>)>)>,
) {
    out.push(b'[');
    for (index, (cpu, fields)) in cpus.enumerate() {
        if index > 0 {
            out.push(b',');
        }
        let mut object = Object::open(out);
        object.number("cpu", cpu);
        for (name, value) in fields {
            if let Some(value) = value {
                object.number(name, value);
            }
        }
        object.close();
    }
    out.push(b']');
}

pub(super) fn switches(global: &Global) -> Result<Switches, Failure> {
    let read = || {
        let switch = |name: &str| {
            let text = std::fs::read_to_string(format!("/proc/sys/net/netfilter/{name}")).ok()?;
            text.trim().parse::<u8>().ok().map(|value| value != 0)
        };
        Switches {
            accounting: switch("nf_conntrack_acct"),
            timestamps: switch("nf_conntrack_timestamp"),
        }
    };
    match &global.netns {
        None => Ok(read()),
        Some(name) => Ok(Namespace::parse(name)?.run(|| Ok(read()))?),
    }
}
