//! What stands in the cells of a connection.

use crate::format;
use crate::wire::{Row, Truth, Way};

/// How a text is drawn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Look {
    /// As everything.
    #[default]
    Plain,
    /// Less than everything.
    Quiet,
    /// As it should be.
    Good,
    /// Worth a look.
    Notice,
    /// Wrong.
    Bad,
    /// What is sent.
    Up,
    /// What is received.
    Down,
    /// Translated.
    Translated,
    /// A name instead of an address.
    Name,
    /// Protocols.
    Protocol,
    /// Headings.
    Strong,
}

/// A text and how it is drawn.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cell {
    /// The text.
    pub text: String,
    /// How it is drawn.
    pub look: Look,
    /// Whether its end matters more than its middle, where it must be cut.
    pub keeps_end: bool,
}

impl Cell {
    fn new(text: impl Into<String>, look: Look) -> Self {
        Self {
            text: text.into(),
            look,
            keeps_end: false,
        }
    }

    fn plain(text: impl Into<String>) -> Self {
        Self::new(text, Look::Plain)
    }
}

/// What cells depend on beside their connection.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// Nanoseconds since the epoch, by this machine's clock.
    pub now_ns: u64,
    /// Seconds since the row was received.
    pub since: u32,
    /// Whether names stand for addresses.
    pub names: bool,
    /// What is switched off.
    pub truth: &'a Truth,
}

/// The cell of a column.
pub fn cell(id: &str, row: &Row, context: &Context<'_>) -> Cell {
    match id {
        "proto" => Cell::new(row.protocol(), Look::Protocol),
        "source" => end(row, &row.orig.src, row.orig.sport, context),
        "destination" => destination(row, context),
        "nat" => translated(row),
        "rate" => moved(row.rates.map(|rates| rates.bytes()), Look::Plain, context),
        "rate_orig" => moved(row.rates.map(|rates| rates.bytes_orig), Look::Up, context),
        "rate_reply" => moved(
            row.rates.map(|rates| rates.bytes_reply),
            Look::Down,
            context,
        ),
        "bytes" => counted(
            row.bytes().map(|bytes| format::size(as_f64(bytes))),
            context,
        ),
        "packets" => counted(row.packets().map(format::count), context),
        "state" => state(row),
        "status" => status(row),
        "age" => age(row, context),
        "timeout" => timeout(row, context),
        "service" => text(row.service.as_deref()),
        "app" => text(row.app.as_deref()),
        "provider" => text(row.provider.as_deref()),
        "prio" => text(row.prio.as_deref()),
        "helper" => text(row.helper.as_deref()),
        "zone" => Cell::new(row.zone.to_string(), quiet_if(row.zone == 0)),
        "mark" => match row.mark {
            None => unknown(),
            Some(mark) => Cell::new(format!("{mark:#x}"), quiet_if(mark == 0)),
        },
        "labels" => {
            let labels: Vec<String> = row.labels.iter().map(u8::to_string).collect();
            Cell::plain(labels.join(" "))
        }
        "id" => match row.id {
            None => unknown(),
            Some(id) => Cell::new(format!("{id:#010x}"), Look::Quiet),
        },
        _ => Cell::default(),
    }
}

#[expect(clippy::cast_precision_loss, reason = "it is shown with three digits")]
pub(crate) const fn as_f64(number: u64) -> f64 {
    number as f64
}

/// What is not known is never shown as zero.
fn unknown() -> Cell {
    Cell::new("–", Look::Quiet)
}

fn off() -> Cell {
    Cell::new("off", Look::Quiet)
}

const fn quiet_if(is_quiet: bool) -> Look {
    if is_quiet { Look::Quiet } else { Look::Plain }
}

fn text(value: Option<&str>) -> Cell {
    Cell::plain(format::printable(value.unwrap_or_default()))
}

fn end(row: &Row, address: &str, port: Option<u16>, context: &Context<'_>) -> Cell {
    let named = row.names.get(address);
    let name = named.filter(|name| context.names && name.from != "network");
    let (text, look) = match name {
        Some(name) => (format::printable(&name.name), Look::Name),
        None => (address.to_owned(), Look::Plain),
    };
    let text = match (name, port) {
        (Some(_), Some(port)) => format!("{text}:{port}"),
        _ => format::endpoint(&text, port),
    };
    Cell {
        text,
        look,
        keeps_end: true,
    }
}

fn destination(row: &Row, context: &Context<'_>) -> Cell {
    let mut cell = end(row, &row.orig.dst, row.orig.dport, context);
    if let Some(kind) = row.orig.kind {
        let code = row.orig.code.unwrap_or(0);
        cell.text.push_str(&format!(" type {kind}"));
        if code != 0 {
            cell.text.push_str(&format!("/{code}"));
        }
    }
    cell
}

/// Whether the far end sees another source than the opener has.
pub fn is_source_translated(row: &Row) -> bool {
    row.reply.dst != row.orig.src || (row.orig.sport.is_some() && row.reply.dport != row.orig.sport)
}

/// Whether another end answers than was addressed.
pub fn is_destination_translated(row: &Row) -> bool {
    row.reply.src != row.orig.dst || (row.orig.dport.is_some() && row.reply.sport != row.orig.dport)
}

/// `as 203.0.113.5:40000` and `to 10.0.0.9:443`.
fn translated(row: &Row) -> Cell {
    let mut parts = Vec::new();
    let Way { src, dst, .. } = &row.reply;
    if is_source_translated(row) {
        parts.push(format!("as {}", format::endpoint(dst, row.reply.dport)));
    }
    if is_destination_translated(row) {
        parts.push(format!("to {}", format::endpoint(src, row.reply.sport)));
    }
    Cell::new(parts.join(" "), Look::Translated)
}

fn moved(bytes: Option<f64>, look: Look, context: &Context<'_>) -> Cell {
    match bytes {
        None if !context.truth.accounting => off(),
        None => unknown(),
        Some(bytes) if bytes < 1.0 => Cell::new("0 B/s", Look::Quiet),
        Some(bytes) => Cell::new(format::rate(bytes), look),
    }
}

fn counted(text: Option<String>, context: &Context<'_>) -> Cell {
    match text {
        None if !context.truth.accounting => off(),
        None => unknown(),
        Some(text) => Cell::plain(text),
    }
}

fn age(row: &Row, context: &Context<'_>) -> Cell {
    match row.start_ns {
        None if !context.truth.timestamps => off(),
        None => unknown(),
        Some(start) => {
            let end = row.stop_ns.unwrap_or(context.now_ns);
            let seconds = end.saturating_sub(start) / 1_000_000_000;
            Cell::plain(format::duration(seconds))
        }
    }
}

/// The kernel does not count down what a flow table forwards.
fn timeout(row: &Row, context: &Context<'_>) -> Cell {
    let Some(timeout) = row.timeout else {
        return unknown();
    };
    let passed = if row.is_offloaded() { 0 } else { context.since };
    let left = timeout.saturating_sub(passed);
    let look = if left < 10 { Look::Notice } else { Look::Plain };
    Cell::new(format::duration(u64::from(left)), look)
}

/// How a state is drawn.
pub fn look_of_state(state: &str) -> Look {
    match state {
        "ESTABLISHED" | "OPEN" => Look::Good,
        _ if state.starts_with("SYN_") || state.starts_with("COOKIE") => Look::Notice,
        "REQUEST" | "RESPOND" | "PARTOPEN" => Look::Notice,
        _ => Look::Quiet,
    }
}

fn state(row: &Row) -> Cell {
    let state = row.state.as_deref().unwrap_or_default();
    Cell::new(state, look_of_state(state))
}

/// The bits that mean something to an administrator.
fn status(row: &Row) -> Cell {
    if row.status.is_none() {
        return unknown();
    }
    let mut words = Vec::new();
    for bit in ["DYING", "HW_OFFLOAD", "OFFLOAD", "ASSURED", "EXPECTED"] {
        if row.has(bit) && !(bit == "OFFLOAD" && row.has("HW_OFFLOAD")) {
            words.push(bit);
        }
    }
    let is_unreplied = !row.has("SEEN_REPLY");
    if is_unreplied {
        words.push("UNREPLIED");
    }
    let look = match () {
        () if row.has("DYING") => Look::Bad,
        () if is_unreplied => Look::Notice,
        () => Look::Quiet,
    };
    Cell::new(words.join(" "), look)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Rates;

    fn context(truth: &Truth) -> Context<'_> {
        Context {
            now_ns: 10_000_000_000,
            since: 3,
            names: true,
            truth,
        }
    }

    #[test]
    fn what_is_off_says_so_and_is_never_zero() {
        let (off, on) = (
            Truth::default(),
            Truth {
                accounting: true,
                timestamps: true,
                ..Truth::default()
            },
        );
        for id in ["rate", "rate_orig", "bytes", "packets", "age"] {
            assert_eq!(
                cell(id, &Row::default(), &context(&off)).text,
                "off",
                "{id}"
            );
            assert_eq!(cell(id, &Row::default(), &context(&on)).text, "–", "{id}");
        }
        let still = Row {
            rates: Some(Rates::default()),
            ..Row::default()
        };
        assert_eq!(cell("rate", &still, &context(&on)).text, "0 B/s");
    }

    #[test]
    fn timeouts_run_down_but_not_in_a_flow_table() {
        let truth = Truth::default();
        let mut row = Row {
            timeout: Some(100),
            ..Row::default()
        };
        assert_eq!(cell("timeout", &row, &context(&truth)).text, "1m 37s");
        row.status = Some(vec!["OFFLOAD".to_owned()]);
        assert_eq!(cell("timeout", &row, &context(&truth)).text, "1m 40s");
    }

    #[test]
    fn translation_says_how_it_is_seen_and_who_answers() {
        let way = |src: &str, sport, dst: &str, dport| Way {
            src: src.to_owned(),
            sport: Some(sport),
            dst: dst.to_owned(),
            dport: Some(dport),
            ..Way::default()
        };
        let row = Row {
            orig: way("10.0.0.2", 4000, "203.0.113.1", 443),
            reply: way("10.9.0.9", 8443, "192.0.2.1", 5000),
            ..Row::default()
        };
        let text = cell("nat", &row, &context(&Truth::default())).text;
        assert_eq!(text, "as 192.0.2.1:5000 to 10.9.0.9:8443");
    }
}
