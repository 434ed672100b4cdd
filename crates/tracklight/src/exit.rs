//! Exit status and errors: one line what, one line what to do.

use std::io::Write;
use std::process::ExitCode;

use anstyle::{AnsiColor, Style};
use engine::Failure;

/// What a list says that may not be whole.
pub(crate) const INCOMPLETE: &str = "the table changed under the reading, as when it is resized: \
     entries may be missing or twice; try again";

/// How a command that did not fail ended.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Outcome {
    /// It did what it was asked to.
    Done,
    /// There was nothing that it could do it to, or not all of it could be done.
    Nothing,
    /// The contract has exit statuses of its own.
    Status(ExitCode),
}

/// The exit status of a code; see `EXIT_CODES` in cli.rs.
fn status(code: &str) -> u8 {
    match code {
        "not-found" | "no-history" | "refused" | "exists" | "busy" | "table-full"
        | "file-exists" | "own-session" => 1,
        "usage" | "no-namespace" | "unreadable" | "not-a-table" => 2,
        _ if code.starts_with("query-") => 2,
        "permission-denied"
        | "not-permitted"
        | "user-namespace-forbidden"
        | "not-signed-in"
        | "wrong-token"
        | "signed-out"
        | "forbidden" => 3,
        _ => 4,
    }
}

/// Prints a failure and gives the exit status.
pub(crate) fn report(result: Result<Outcome, Failure>) -> ExitCode {
    match result {
        Ok(Outcome::Done) => ExitCode::SUCCESS,
        Ok(Outcome::Nothing) => ExitCode::from(1),
        Ok(Outcome::Status(status)) => status,
        // Whoever read our output has seen enough.
        Err(failure) if failure.code == crate::output::CLOSED => ExitCode::SUCCESS,
        Err(failure) => {
            print(&failure);
            ExitCode::from(status(failure.code))
        }
    }
}

/// Prints what is wrong with the command line, or the help that was asked for.
pub(crate) fn report_usage(error: &clap::Error) -> ExitCode {
    if !error.use_stderr() {
        // Nobody is left to tell if this fails.
        let _ = error.print();
        return ExitCode::SUCCESS;
    }
    let text = error.render().to_string();
    // A subcommand that is missing is answered by the help.
    let Some(text) = text.strip_prefix("error: ") else {
        let _ = error.print();
        return ExitCode::from(2);
    };
    let mut paragraphs = text
        .split("\n\n")
        .map(|paragraph| paragraph.split_whitespace().collect::<Vec<_>>().join(" "));
    let message = paragraphs.next().unwrap_or_default();
    let tip = paragraphs.find_map(|paragraph| paragraph.strip_prefix("tip: ").map(str::to_owned));
    let hint = tip.unwrap_or_else(|| "see --help after the subcommand".to_owned());
    report(Err(Failure::new("usage", message, hint)))
}

/// Prints a failure to standard error.
pub(crate) fn print(failure: &Failure) {
    let red = Style::new().bold().fg_color(Some(AnsiColor::Red.into()));
    let cyan = Style::new().fg_color(Some(AnsiColor::Cyan.into()));
    let mut err = anstream::stderr().lock();
    // Nobody is left to tell if this fails.
    let _ = writeln!(
        err,
        "{red}tracklight:{red:#} {} [{}]",
        failure.message, failure.code
    );
    if let Some(place) = &failure.place {
        let (text, mark) = place.marked.split_once('\n').unwrap_or_default();
        let _ = writeln!(err, "  {text}\n  {red}{mark}{red:#}");
    }
    if !failure.hint.is_empty() {
        let _ = writeln!(err, "{cyan}  hint:{cyan:#} {}", failure.hint);
    }
}

/// Prints a remark to standard error.
pub(crate) fn note(text: &str) {
    let _ = writeln!(anstream::stderr().lock(), "tracklight: {text}");
}
