//! One connection: all that is known of it.

use ratatui::buffer::Buffer;

use crate::cell::{Context, Look, as_f64, cell, look_of_state};
use crate::format;
use crate::state::State;
use crate::state::details::Details;
use crate::wire::{Known, OneWay, Row, Way};

use super::paint::{Styled, put, put_lines, wrap};
use super::theme::style;

/// Cells of what stands before a value.
const LABEL: usize = 14;

/// All lines, of which a part is on the screen.
pub fn lines(state: &State, details: &Details) -> Vec<Styled> {
    let width = state.size.0.saturating_sub(4).min(110);
    let row = &details.row;
    let mut text = Text {
        width,
        lines: Vec::new(),
    };
    let from = format::endpoint(&row.orig.src, row.orig.sport);
    let to = format::endpoint(&row.orig.dst, row.orig.dport);
    text.line(&format!("{}  {from} → {to}", row.protocol()), Look::Strong);
    if details.is_over {
        text.line("It has ended. This is how it was seen last.", Look::Notice);
    }
    if let Some(fault) = &details.fault {
        text.line(&crate::state::sentence(fault), Look::Bad);
    }
    if let Some(own) = details
        .known
        .as_ref()
        .and_then(|known| known.own_session.as_ref())
    {
        text.line(own, Look::Notice);
    }
    if let Some(known) = &details.known {
        text.line(&known.path.sentence, Look::Plain);
        for note in &known.notes {
            text.line(note, Look::Notice);
        }
    }
    text.blank();
    entry(state, details, &mut text);
    if let Some(known) = &details.known {
        text.blank();
        ways(known, &mut text);
    }
    text.lines
}

fn entry(state: &State, details: &Details, text: &mut Text) {
    let row = &details.row;
    let since = state.now.ms.saturating_sub(details.came_ms) / 1000;
    let context = Context {
        now_ns: state.now.wall_ns,
        since: if details.is_over {
            0
        } else {
            u32::try_from(since).unwrap_or(u32::MAX)
        },
        names: state.view.names,
        truth: state.truth(),
    };
    let shown = |id| cell(id, row, &context).text;
    let known = details.known.as_ref();
    if let Some(name) = &row.state {
        let meaning = known.and_then(|known| known.state_meaning.as_deref());
        let value = match meaning {
            Some(meaning) => format!("{name} – {meaning}"),
            None => name.clone(),
        };
        text.value("State", &value, look_of_state(name));
    }
    text.value("Status", &shown("status"), Look::Plain);
    for address in [&row.orig.src, &row.orig.dst, &row.reply.src, &row.reply.dst] {
        if let Some(name) = row.names.get(address)
            && !text.has(&format::printable(&name.name))
        {
            let value = format!(
                "{} is {} ({})",
                address,
                format::printable(&name.name),
                name.from
            );
            text.value("Name", &value, Look::Name);
        }
    }
    way(
        text,
        "Opened",
        &row.orig,
        row.rates.map(|r| (r.bytes_orig, r.packets_orig)),
        &context,
    );
    way(
        text,
        "Answered",
        &row.reply,
        row.rates.map(|r| (r.bytes_reply, r.packets_reply)),
        &context,
    );
    let nat = shown("nat");
    let nat = if nat.is_empty() {
        "none".to_owned()
    } else {
        nat
    };
    text.value("Translation", &nat, Look::Translated);
    let began = row
        .start_ns
        .map(|start| format!(", since {}", state.clock.date(start)));
    text.value(
        "Age",
        &format!("{}{}", shown("age"), began.unwrap_or_default()),
        Look::Plain,
    );
    let setting = known.and_then(|known| known.timeout_setting.as_ref());
    let setting = setting.map(|setting| match setting.seconds {
        Some(seconds) => format!(" ({} is {seconds})", setting.name),
        None => format!(" ({})", setting.name),
    });
    text.value(
        "Timeout",
        &format!("{}{}", shown("timeout"), setting.unwrap_or_default()),
        Look::Plain,
    );
    marked(text, row, &shown("mark"));
    for (label, value) in [("Service", &row.service), ("Helper", &row.helper)] {
        if let Some(value) = value {
            text.value(label, value, Look::Plain);
        }
    }
    if !row.labels.is_empty() {
        text.value("Labels", &shown("labels"), Look::Plain);
    }
    if let Some(master) = &row.master {
        let from = format::endpoint(&master.src, master.sport);
        let to = format::endpoint(&master.dst, master.dport);
        text.value("Expected by", &format!("{from} → {to}"), Look::Plain);
    }
    text.value("Zone", &row.zone.to_string(), Look::Plain);
    text.value("Id", &shown("id"), Look::Quiet);
}

fn marked(text: &mut Text, row: &Row, mark: &str) {
    let parts = [
        ("uplink", &row.provider),
        ("app", &row.app),
        ("priority", &row.prio),
    ];
    let parts = parts.iter().filter_map(|(name, value)| {
        let value = value.as_ref().filter(|value| !value.is_empty())?;
        Some(format!("{name} {}", format::printable(value)))
    });
    let parts: Vec<String> = parts.collect();
    let value = match parts.is_empty() {
        true => mark.to_owned(),
        false => format!("{mark}: {}", parts.join(", ")),
    };
    text.value("Mark", &value, Look::Plain);
}

fn way(text: &mut Text, label: &str, way: &Way, rates: Option<(f64, f64)>, context: &Context<'_>) {
    let from = format::endpoint(&way.src, way.sport);
    let to = format::endpoint(&way.dst, way.dport);
    text.value(label, &format!("{from} → {to}"), Look::Plain);
    let counted = match (way.bytes, way.packets) {
        (None, None) if !context.truth.accounting => {
            "accounting is off: sysctl -w net.netfilter.nf_conntrack_acct=1".to_owned()
        }
        (None, None) => "not counted".to_owned(),
        (bytes, packets) => format!(
            "{} in {} packets",
            format::size(as_f64(bytes.unwrap_or(0))),
            format::count(packets.unwrap_or(0)),
        ),
    };
    let moving = rates.map(|(bytes, packets)| {
        let packets = format::each_second(packets);
        format!(", now {} in {packets} packets/s", format::rate(bytes))
    });
    text.value(
        "",
        &format!("{counted}{}", moving.unwrap_or_default()),
        Look::Quiet,
    );
}

fn ways(known: &Known, text: &mut Text) {
    for (label, one) in [
        ("Route there", &known.routes.orig),
        ("Route back", &known.routes.reply),
    ] {
        text.value(label, &route(one), Look::Plain);
    }
}

fn route(way: &OneWay) -> String {
    let Some(route) = &way.route else {
        return match &way.failure {
            Some(fault) => format!("to {}: {}", way.to, crate::state::sentence(fault)),
            None => format!("to {}: none", way.to),
        };
    };
    let mut text = format!("to {}", way.to);
    if route.kind != "unicast" {
        text.push_str(&format!(", {}", route.kind));
    }
    if let Some(gateway) = &route.gateway {
        text.push_str(&format!(" over {gateway}"));
    }
    if let Some(interface) = &route.interface {
        text.push_str(&format!(" by {interface}"));
    }
    // 254 is the table that is meant where nothing is said.
    if route.table != 254 && route.table != 255 {
        text.push_str(&format!(", table {}", route.table));
    }
    text
}

struct Text {
    width: u16,
    lines: Vec<Styled>,
}

impl Text {
    fn blank(&mut self) {
        self.lines.push((String::new(), Look::Plain));
    }

    fn line(&mut self, text: &str, look: Look) {
        let lines = wrap(&format::printable(text), self.width);
        self.lines
            .extend(lines.into_iter().map(|line| (line, look)));
    }

    fn has(&self, text: &str) -> bool {
        self.lines.iter().any(|(line, _)| line.contains(text))
    }

    fn value(&mut self, label: &str, value: &str, look: Look) {
        let room = self.width.saturating_sub(14);
        let value = if value.is_empty() { "–" } else { value };
        for (place, line) in wrap(&format::printable(value), room)
            .into_iter()
            .enumerate()
        {
            let label = if place == 0 { label } else { "" };
            self.lines.push((format!("{label:<LABEL$}{line}"), look));
        }
    }
}

pub(super) fn draw(state: &State, details: &Details, buffer: &mut Buffer) {
    let area = state.layout().whole();
    let lines = lines(state, details);
    let rows = usize::from(area.height);
    put_lines(buffer, area, &lines, details.top, state.palette);
    if lines.len() > details.top + rows {
        // The last line of the screen says so instead.
        let left = lines.len() - (details.top + rows).saturating_sub(1);
        let text = format!("{left} more lines below");
        let blank = " ".repeat(usize::from(area.width));
        put(
            buffer,
            (0, area.bottom() - 1),
            area.width,
            &blank,
            style(state.palette, Look::Plain),
        );
        put(
            buffer,
            (2, area.bottom() - 1),
            area.width - 3,
            &text,
            style(state.palette, Look::Quiet),
        );
    }
}
