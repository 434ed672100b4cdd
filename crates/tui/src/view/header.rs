//! The table in numbers: how full, how fast, how well, how far it can be believed.

use ratatui::buffer::Buffer;

use crate::cell::Look;
use crate::column::cells;
use crate::format;
use crate::layout;
use crate::state::State;
use crate::state::pulse::Link;

use super::paint::{bar, put, put_right, spark};
use super::theme::{self, style};

/// Texts beside each other, each with its look.
type Pieces = Vec<(String, Look)>;

pub(super) fn draw(state: &State, buffer: &mut Buffer) {
    let header = state.layout().header;
    tabs(state, buffer, header.y);
    usage(state, buffer, header.y + 1);
    movement(state, buffer, header.y + 2);
}

fn tabs(state: &State, buffer: &mut Buffer, y: u16) {
    let mut end = 0;
    for (screen, title, x, width) in layout::tabs() {
        let look = match screen == state.screen {
            true => theme::heading(state.palette),
            false => theme::plain(),
        };
        let text = format!(" {title} ");
        put(buffer, (x, y), width, &text, look);
        end = x + width;
    }
    let marks = marks(state);
    let room = state.size.0.saturating_sub(end + 1);
    // Marks that do not fit are fewer, the most important stay.
    let mut kept: Pieces = Vec::new();
    let mut width = 0;
    for (text, look) in marks {
        let more = cells(&text) + u16::from(!kept.is_empty()) * 2;
        if width + more > room {
            break;
        }
        width += more;
        kept.push((text, look));
    }
    let mut x = state.size.0.saturating_sub(width);
    for (place, (text, look)) in kept.into_iter().enumerate() {
        x += if place > 0 { 2 } else { 0 };
        x = put(
            buffer,
            (x, y),
            state.size.0 - x,
            &text,
            style(state.palette, look),
        );
    }
}

/// Seconds after which it is told how old counters and rates are: a large table is read less often.
const OLD: u64 = 5;

/// What has to be known of what is shown, the most important first.
fn marks(state: &State) -> Pieces {
    let mut marks = Pieces::new();
    match &state.pulse.link {
        Link::Broken(fault) if is_signed_out(&fault.code) => {
            marks.push(("signed out".to_owned(), Look::Bad));
        }
        Link::Broken(_) => marks.push(("no answer".to_owned(), Look::Bad)),
        Link::Opening => marks.push(("…".to_owned(), Look::Quiet)),
        Link::Heard => {}
    }
    if state.is_frozen {
        marks.push(("frozen".to_owned(), Look::Notice));
    }
    if let Some(report) = &state.health.report {
        let has = |severity: &str| {
            let findings = report.findings.iter();
            findings
                .filter(|finding| finding.severity == severity)
                .count()
        };
        let many = |many: usize, one: &str, more: &str| match many {
            1 => format!("health: 1 {one}"),
            many => format!("health: {many} {more}"),
        };
        let (text, look) = match (has("critical"), has("warning"), has("notice")) {
            (0, 0, 0) => ("health: well".to_owned(), Look::Good),
            (0, 0, notices) => (many(notices, "notice", "notices"), Look::Up),
            (0, warnings, _) => (many(warnings, "warning", "warnings"), Look::Notice),
            (critical, ..) => (many(critical, "critical", "critical"), Look::Bad),
        };
        marks.push((text, look));
    }
    if state.pulse.summary.is_none() {
        return marks;
    }
    let truth = &state.pulse.truth;
    if let Some(age) = state.pulse.counters_age().filter(|&age| age >= OLD) {
        marks.push((
            format!("counters {} old", format::duration(age)),
            Look::Quiet,
        ));
    }
    let mut mark = |holds: bool, text: &str, look: Look| {
        if holds {
            marks.push((text.to_owned(), look));
        }
    };
    mark(
        truth.taken_ns > 0 && !truth.complete,
        "incomplete",
        Look::Notice,
    );
    mark(truth.losses > 0, "events lost", Look::Notice);
    mark(!truth.events, "events off", Look::Quiet);
    mark(!truth.accounting, "accounting off", Look::Quiet);
    mark(!truth.timestamps, "start times off", Look::Quiet);
    mark(truth.offloaded > 0, "counters stand still", Look::Quiet);
    mark(!state.place.is_empty(), &state.place, Look::Quiet);
    marks
}

/// Whether a code says that a token is wanted.
pub(super) fn is_signed_out(code: &str) -> bool {
    matches!(code, "not-signed-in" | "signed-out" | "wrong-token")
}

/// Connections against the limit, births and deaths.
fn usage(state: &State, buffer: &mut Buffer, y: u16) {
    let width = state.size.0;
    let palette = state.palette;
    let Some(summary) = &state.pulse.summary else {
        put(
            buffer,
            (1, y),
            width - 1,
            "Connections –",
            style(palette, Look::Quiet),
        );
        return;
    };
    let each_second = |rate: Option<f64>| match rate {
        Some(rate) => format!("{}/s", format::each_second(rate)),
        None => "–".to_owned(),
    };
    let flow = format!(
        "New {}  Closed {}",
        each_second(state.pulse.births),
        each_second(state.pulse.deaths)
    );
    let flow_width = cells(&flow).max(26);
    put(
        buffer,
        (width.saturating_sub(flow_width), y),
        flow_width,
        &flow,
        theme::plain(),
    );
    let left = width.saturating_sub(flow_width + 2);
    let count = format::count(summary.connections);
    let mut x = put(buffer, (1, y), left, &count, style(palette, Look::Strong));
    let Some((part, limit)) = state.pulse.part().zip(summary.limit) else {
        put(
            buffer,
            (x, y),
            left.saturating_sub(x),
            " connections, no limit known",
            style(palette, Look::Quiet),
        );
        return;
    };
    let of = match width {
        0..=79 => format!(" of {}", format::count(limit)),
        _ => format!(" connections of {}", format::count(limit)),
    };
    x = put(
        buffer,
        (x, y),
        left.saturating_sub(x),
        &of,
        style(palette, Look::Quiet),
    );
    let percent = format::percent(part);
    let room = left.saturating_sub(x + 1 + cells(&percent) + 2);
    let gauge = room.min(60);
    if gauge >= 4 {
        let look = style(palette, theme::look_of_part(part));
        let empty = "░".repeat(usize::from(gauge));
        put(
            buffer,
            (x + 1, y),
            gauge,
            &empty,
            style(palette, Look::Quiet),
        );
        put(buffer, (x + 1, y), gauge, &bar(part, gauge), look);
        x += 1 + gauge;
    }
    put(
        buffer,
        (x + 1, y),
        left.saturating_sub(x + 1),
        &percent,
        theme::plain(),
    );
}

/// Throughput, and the last minutes of it.
fn movement(state: &State, buffer: &mut Buffer, y: u16) {
    let palette = state.palette;
    let width = state.size.0;
    let Some(summary) = &state.pulse.summary else {
        return;
    };
    let mut x = 1;
    match summary.rates {
        Some(rates) => {
            let parts = [
                ("Up ", rates.bytes_orig, Look::Up),
                ("  Down ", rates.bytes_reply, Look::Down),
            ];
            for (name, bytes, look) in parts {
                x = put(buffer, (x, y), width - x, name, style(palette, Look::Quiet));
                // As wide as it ever is, so that what follows stands still.
                let text = format!("{:<10}", format::rate(bytes));
                x = put(buffer, (x, y), width - x, &text, style(palette, look));
            }
        }
        None => {
            let text = match state.pulse.truth.accounting {
                true => "Throughput –",
                false => "Throughput off (accounting is off)",
            };
            x = put(buffer, (x, y), width - x, text, style(palette, Look::Quiet));
        }
    }
    let room = width.saturating_sub(x + 1);
    let samples = &state.pulse.samples;
    let counts: Vec<f64> = samples
        .iter()
        .map(|sample| crate::cell::as_f64(sample.connections))
        .collect();
    // Rates are known from the second reading on.
    let known = samples.iter().skip_while(|sample| sample.bytes.is_none());
    let bytes: Vec<f64> = known.filter_map(|sample| sample.bytes).collect();
    let mut charts = vec![("connections ", counts, Look::Protocol)];
    if summary.rates.is_some() {
        charts.insert(0, ("throughput ", bytes, Look::Down));
    }
    charts.truncate(if room >= 70 { 2 } else { 1 });
    let each = room / u16::try_from(charts.len()).unwrap_or(1);
    for (place, (name, values, look)) in charts.into_iter().enumerate() {
        let x = x + 1 + each * u16::try_from(place).unwrap_or(0);
        let named = if each >= 40 { name } else { "" };
        let chart = each.saturating_sub(cells(named) + 1);
        put(buffer, (x, y), each, named, style(palette, Look::Quiet));
        let text = spark(&values, chart);
        put_right(
            buffer,
            (x + cells(named), y),
            chart,
            &text,
            style(palette, look),
        );
    }
}
