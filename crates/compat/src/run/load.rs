//! `-R`: the lines of a file.
//!
//! All lines are read before the first is done, so that a wrong one changes nothing; they are done
//! in order, and the first that fails ends it. What makes an entry is kept as the message that the
//! kernel is sent, for a file may have millions of lines.

use std::io::Read;

use ctnetlink::Exchange;
use ctnetlink::wire::Writer;
use ctnetlink::{Change, Operation};

use super::{Session, change, create, words};
use crate::exit::Fault;
use crate::options::{Table, Verb};
use crate::parse::{Line, parse};

/// What a line comes to.
enum Step {
    /// So many bytes of messages, one line each, of these lengths, and what each asks for.
    Make(Vec<(u32, Verb)>),
    /// Anything else.
    Other(Box<Line>),
}

/// Does what the lines of a file say; `-` is standard input.
pub(crate) fn load(path: &str, session: &mut Session) -> Result<u8, Fault> {
    let text = read(path)?;
    let text = String::from_utf8_lossy(&text);
    let mut steps = Vec::new();
    let mut messages = Writer::new();
    // A line that cannot be read is told before one whose command does not belong here.
    let mut refused = None;
    for line in text.lines() {
        let Some(line) = parse_line(line)? else {
            continue;
        };
        if refused.is_none() {
            match refusal(&line) {
                None => push(&mut steps, &mut messages, line)?,
                fault => refused = fault,
            }
        }
    }
    if let Some(fault) = refused {
        return Err(fault);
    }
    let mut rest = messages.bytes();
    let mut exchange = None;
    for step in steps {
        match step {
            Step::Make(lengths) => {
                if exchange.is_none() {
                    exchange = Some(session.client()?.exchange()?);
                }
                if let Some(exchange) = &mut exchange {
                    rest = make(exchange, rest, &lengths)?;
                }
            }
            Step::Other(line) => other(&line, session)?,
        }
    }
    Ok(0)
}

fn read(path: &str) -> Result<Vec<u8>, Fault> {
    let mut text = Vec::new();
    if path == "-" {
        return match std::io::stdin().lock().read_to_end(&mut text) {
            Ok(_) => Ok(text),
            Err(error) => Err(Fault::Failed(format!("cannot read: {error}"))),
        };
    }
    let mut file = std::fs::File::open(path)
        .map_err(|_| Fault::usage(format!("Failed to open file {path} for reading")))?;
    // A folder has no lines.
    match file.read_to_end(&mut text) {
        Err(error) if error.kind() != std::io::ErrorKind::IsADirectory => {
            Err(Fault::Failed(format!("cannot read {path}: {error}")))
        }
        _ => Ok(text),
    }
}

/// Reads one line; `None` where it is empty or a remark.
fn parse_line(text: &str) -> Result<Option<Line>, Fault> {
    let trimmed = text.trim_start();
    if trimmed.is_empty() || trimmed.starts_with('#') {
        return Ok(None);
    }
    let mut words = words::split(text)?;
    words.insert(0, "conntrack".to_owned());
    parse(words).map(Some)
}

/// Why a line's command is not done: it changes nothing, or it is about expectations.
fn refusal(line: &Line) -> Option<Fault> {
    let table = match line.table {
        Table::Expect => " expect",
        _ => "",
    };
    let letter = match (line.verb, line.table) {
        // So the original calls it.
        (Verb::Create, Table::Expect) => Some('C'),
        (
            Verb::Create | Verb::Add | Verb::Update | Verb::Delete | Verb::Flush,
            Table::Conntrack,
        ) => return None,
        (verb, _) => verb.letter(),
    };
    let name = letter.map_or_else(
        || "unknown".to_owned(),
        |letter| format!("-{letter}{table}"),
    );
    Some(Fault::usage(format!(
        "Cannot use command `{name}' with --load-file"
    )))
}

fn push(steps: &mut Vec<Step>, messages: &mut Writer, line: Line) -> Result<(), Fault> {
    let makes = matches!(line.verb, Verb::Create | Verb::Add);
    // What cannot even be said fails when its turn comes, not before.
    let change = if makes {
        create::change(&line).ok()
    } else {
        None
    };
    let Some(change) = change else {
        steps.push(Step::Other(Box::new(line)));
        return Ok(());
    };
    let before = messages.len();
    write(&change, messages);
    let length = u32::try_from(messages.len() - before)
        .map_err(|_| Fault::Failed("a line is too long".to_owned()))?;
    if let Some(Step::Make(lengths)) = steps.last_mut() {
        lengths.push((length, line.verb));
    } else {
        steps.push(Step::Make(vec![(length, line.verb)]));
    }
    Ok(())
}

fn write(change: &Change, messages: &mut Writer) {
    change.write(messages, 1, false);
}

/// Sends messages one by one: none is sent after one that failed.
fn make<'a>(
    exchange: &mut Exchange,
    mut messages: &'a [u8],
    lengths: &[(u32, Verb)],
) -> Result<&'a [u8], Fault> {
    for (length, verb) in lengths {
        let (message, rest) = messages
            .split_at_checked(*length as usize)
            .unwrap_or((messages, &[]));
        exchange
            .tell(Operation::Create, message)
            .map_err(|error| create::fault(*verb, &error))?;
        messages = rest;
    }
    Ok(messages)
}

/// A line that makes no entry; how many it hits does not matter.
fn other(line: &Line, session: &mut Session) -> Result<(), Fault> {
    match line.verb {
        Verb::Create | Verb::Add => create::create(session, line),
        Verb::Update => change::update(session, line)?.printed,
        Verb::Delete => change::delete(session, line)?.printed,
        _ => change::flush(session, line).map(drop),
    }
}
