//! `tracklight doctor`.

use std::time::Duration;

use anstyle::{AnsiColor, Style};
use ctnetlink::Namespace;
use engine::health::{
    Ask, Finding, Report, Severity, Step, Unseen, Verdict, examine, gather, grouped,
};
use engine::{Config, Failure, Kernel, Source, Way};

use crate::cli::Global;
use crate::exit::Outcome;
use crate::grid::Page;
use crate::output::Output;
use crate::progress::Progress;

/// Flags of `tracklight doctor`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Exit status:
  0  nothing worse than a notice
  1  a warning or something critical

docs/health.md explains every finding. It needs no daemon and changes nothing. Without privilege it
says what it can, and what it could not see.")]
pub(crate) struct Args {
    /// Output: table or json
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    output: Format,
    /// How long to watch which of the kernel's counters rise; the time to a full table needs 30
    #[arg(long, value_name = "N", default_value_t = 1,
          value_parser = clap::value_parser!(u64).range(0..=3600))]
    seconds: u64,
    /// List everything that was looked at, also what is fine
    #[arg(short, long)]
    all: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// For people
    Table,
    /// One JSON object
    Json,
}

/// `tracklight doctor`.
pub(crate) fn run(args: &Args, global: &Global) -> Result<Outcome, Failure> {
    let config = Config::load(global.config.as_deref())?;
    let parse = || global.netns.as_deref().map(Namespace::parse).transpose();
    let namespace = parse()?;
    let source = Source::Kernel(Box::new(Kernel::open(parse()?, global.way())?));
    let ask = Ask {
        source: &source,
        namespace: namespace.as_ref(),
        named: global.netns.as_deref(),
        event_buffer: config.live.event_buffer as u64,
        watch: Duration::from_secs(args.seconds),
        read_table: true,
        try_walk: global.way() != Way::Netlink,
    };
    let mut progress = Progress::new("reading", None);
    let facts = gather(&ask, |read| progress.at(read))?;
    drop(progress);
    let report = examine(&facts);
    if report.looked_at.len() == report.ended(Verdict::Unknown)
        && let Some(unseen) = report.unseen.first()
    {
        return Err(unseen.failure.clone());
    }
    let mut out = Output::stdout()?;
    match args.output {
        Format::Json => write_json(&mut out, &report)?,
        Format::Table => {
            let page = Page::of(&out, global);
            let text = People::new(page).report(&report, args.all);
            out.text(&text)?;
        }
    }
    out.flush()?;
    let worst = report.findings.first().map(|finding| finding.severity);
    Ok(if worst >= Some(Severity::Warning) {
        Outcome::Nothing
    } else {
        Outcome::Done
    })
}

fn write_json(out: &mut Output, report: &Report) -> Result<(), Failure> {
    serde_json::to_writer(out.buffer(), report).map_err(|error| {
        Failure::new("output-failed", format!("cannot write JSON: {error}"), "")
    })?;
    out.text("\n")
}

/// Lines that are longer are hard to read.
const WIDEST: usize = 100;

/// The report for people.
struct People {
    width: usize,
    color: bool,
    text: String,
    /// How to keep settings, as far as it was said: once is enough.
    kept: Vec<String>,
}

impl People {
    fn new(page: Page) -> Self {
        Self {
            width: page.width.unwrap_or(WIDEST).clamp(40, WIDEST),
            color: page.color,
            text: String::new(),
            kept: Vec::new(),
        }
    }

    fn report(mut self, report: &Report, all: bool) -> String {
        self.head(report);
        for finding in &report.findings {
            self.finding(finding);
        }
        if all {
            self.looked_at(report);
        }
        self.unseen(report);
        self.sum(report);
        self.text
    }

    /// How full the table is, and who holds it.
    fn head(&mut self, report: &Report) {
        if let Some(usage) = report.usage {
            let limit = match usage.limit {
                Some(0) => ", without a limit".to_owned(),
                Some(limit) => {
                    let share = usage.entries as f64 * 100.0 / limit as f64;
                    format!(" of {} ({share:.1} %)", grouped(limit))
                }
                None => String::new(),
            };
            self.wrapped(
                0,
                &format!("Connections: {}{limit}", grouped(usage.entries)),
            );
        }
        if let Some(table) = &report.table {
            self.wrapped(
                0,
                &format!(
                    "Of those: {} assured, {} that a full table could evict, {} without an answer",
                    grouped(table.assured),
                    grouped(table.evictable),
                    grouped(table.unreplied)
                ),
            );
            let sources: Vec<String> = table
                .sources
                .iter()
                .take(3)
                // The others do not matter.
                .filter(|source| source.entries * 100 >= table.entries)
                .map(|source| format!("{} ({})", source.address, grouped(source.entries)))
                .collect();
            if !sources.is_empty() {
                self.wrapped(0, &format!("Most are held by: {}", sources.join(", ")));
            }
        }
        if report.usage.is_some() {
            self.text.push('\n');
        }
    }

    fn finding(&mut self, finding: &Finding) {
        let word = self.styled(style(finding.severity), finding.severity.name());
        let title = self.styled(Style::new().bold(), &finding.title);
        let code = self.styled(Style::new().dimmed(), &format!("[{}]", finding.code));
        self.text.push_str(&format!("{word}: {title} {code}\n"));
        self.wrapped(2, &finding.evidence);
        self.wrapped(2, &finding.consequence);
        let mut last = None;
        for step in &finding.remedy {
            match step {
                Step::Run(command) => {
                    if !matches!(last, Some("run" | "colon")) {
                        self.label(match finding.severity {
                            Severity::Info => "To change it:",
                            _ => "Run:",
                        });
                    }
                    self.command(command);
                    last = Some("run");
                }
                Step::Keep(text) | Step::Do(text) if self.kept.contains(text) => {}
                Step::Keep(command) => {
                    self.kept.push(command.clone());
                    if last != Some("keep") {
                        self.label("To keep it over a restart:");
                    }
                    self.command(command);
                    last = Some("keep");
                }
                Step::Do(sentence) => {
                    // A sentence with a colon belongs to the commands behind it.
                    let leads = sentence.ends_with(':');
                    if !leads {
                        self.kept.push(sentence.clone());
                    }
                    self.wrapped(2, &capital(sentence));
                    last = Some(if leads { "colon" } else { "do" });
                }
            }
        }
        self.text.push('\n');
    }

    fn looked_at(&mut self, report: &Report) {
        for looked in &report.looked_at {
            let (word, style) = match looked.verdict {
                Verdict::Fine => ("fine   ", AnsiColor::Green),
                Verdict::Found => ("found  ", AnsiColor::Yellow),
                Verdict::Unknown => ("unknown", AnsiColor::BrightBlack),
            };
            let word = self.styled(Style::new().fg_color(Some(style.into())), word);
            self.text
                .push_str(&format!("{word}  {}: {}\n", looked.code, looked.what));
        }
        self.text.push('\n');
    }

    /// What could not be seen: several things may have one cause.
    fn unseen(&mut self, report: &Report) {
        let mut causes: Vec<(&Unseen, Vec<&str>)> = Vec::new();
        for unseen in &report.unseen {
            let is_same = |(first, _): &&mut (&Unseen, _)| {
                (first.failure.code, &first.failure.hint)
                    == (unseen.failure.code, &unseen.failure.hint)
            };
            match causes.iter_mut().find(is_same) {
                Some((_, what)) => what.push(unseen.what),
                None => causes.push((unseen, vec![unseen.what])),
            }
        }
        for (first, what) in causes {
            let failure = &first.failure;
            let what = format!("Not seen: {}", what.join(", "));
            let what = self.styled(Style::new().bold(), &what);
            self.text.push_str(&format!("{what}\n"));
            self.wrapped(2, &format!("{} [{}]", failure.message, failure.code));
            if !failure.hint.is_empty() {
                self.wrapped(2, &format!("Hint: {}", failure.hint));
            }
        }
        if !report.unseen.is_empty() {
            self.text.push('\n');
        }
    }

    fn sum(&mut self, report: &Report) {
        let worse = report.count(Severity::Critical) + report.count(Severity::Warning);
        let mut parts = vec![format!("{worse} to mend")];
        for (count, word) in [
            (report.count(Severity::Notice), "worth a look"),
            (report.count(Severity::Info), "to know"),
        ] {
            if count > 0 {
                parts.push(format!("{count} {word}"));
            }
        }
        parts.push(format!("{} fine", report.ended(Verdict::Fine)));
        let unknown = report.ended(Verdict::Unknown);
        if unknown > 0 {
            parts.push(format!("{unknown} not known (--all lists them)"));
        }
        let sum = format!(
            "{} things looked at: {}.",
            report.looked_at.len(),
            parts.join(", ")
        );
        self.wrapped(0, &sum);
        let watched = match report.over_seconds {
            Some(seconds) => format!(
                "The kernel's counters were read twice, {seconds:.1} seconds apart; --seconds 60 watches longer."
            ),
            None => {
                "The kernel's counters were not read twice: what rises is not known.".to_owned()
            }
        };
        self.wrapped(0, &watched);
    }

    fn label(&mut self, text: &str) {
        let label = self.styled(Style::new().fg_color(Some(AnsiColor::Cyan.into())), text);
        self.text.push_str(&format!("  {label}\n"));
    }

    /// A command on a line of its own, never broken, so that it can be copied.
    fn command(&mut self, command: &str) {
        self.text.push_str(&format!("      {command}\n"));
    }

    fn wrapped(&mut self, indent: usize, text: &str) {
        let mut column = 0;
        for word in text.split_whitespace() {
            let length = word.chars().count();
            if column > 0 && column + 1 + length > self.width {
                self.text.push('\n');
                column = 0;
            }
            if column == 0 {
                self.text.extend(std::iter::repeat_n(' ', indent));
                column = indent;
            } else {
                self.text.push(' ');
                column += 1;
            }
            self.text.push_str(word);
            column += length;
        }
        self.text.push('\n');
    }

    fn styled(&self, style: Style, text: &str) -> String {
        if self.color {
            format!("{style}{text}{style:#}")
        } else {
            text.to_owned()
        }
    }
}

fn style(severity: Severity) -> Style {
    let color = |color: AnsiColor| Style::new().bold().fg_color(Some(color.into()));
    match severity {
        Severity::Critical => color(AnsiColor::Red),
        Severity::Warning => color(AnsiColor::Yellow),
        Severity::Notice => color(AnsiColor::Cyan),
        Severity::Info => Style::new().dimmed(),
    }
}

fn capital(sentence: &str) -> String {
    let mut chars = sentence.chars();
    let first = chars.next().into_iter().flat_map(char::to_uppercase);
    let mut text: String = first.chain(chars).collect();
    if !text.ends_with([':', '.']) {
        text.push('.');
    }
    text
}
