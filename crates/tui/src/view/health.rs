//! What is not as it should be, and what mends it.

use ratatui::buffer::Buffer;

use crate::cell::Look;
use crate::state::State;
use crate::wire::{Finding, Health};

use super::paint::{Styled, put_lines, wrap};
use super::table::{draw_words, words_of};

/// All lines, of which a part is on the screen.
pub fn lines(state: &State) -> Vec<Styled> {
    let width = state.size.0.saturating_sub(4).min(100);
    let Some(report) = &state.health.report else {
        return Vec::new();
    };
    let mut lines = Vec::new();
    verdict(report, &mut lines);
    for finding in &report.findings {
        lines.push((String::new(), Look::Plain));
        found(finding, width, &mut lines);
    }
    if !report.unseen.is_empty() {
        lines.push((String::new(), Look::Plain));
        lines.push(("What could not be seen".to_owned(), Look::Strong));
        for unseen in &report.unseen {
            let text = format!("{}: {}. {}", unseen.what, unseen.message, unseen.hint);
            let text = wrap(text.trim(), width.saturating_sub(2));
            lines.extend(
                text.into_iter()
                    .map(|line| (format!("  {line}"), Look::Plain)),
            );
        }
    }
    lines
}

fn verdict(report: &Health, lines: &mut Vec<Styled>) {
    let fine = report.looked_at.iter().filter(|one| one.verdict == "fine");
    let fine = fine.count();
    let all = report.looked_at.len();
    let (text, look) = match report.findings.len() {
        0 => (
            format!("All is well: {all} things were looked at."),
            Look::Good,
        ),
        1 => (
            format!("One finding. {all} things were looked at, {fine} of them fine."),
            Look::Strong,
        ),
        many => (
            format!("{many} findings. {all} things were looked at, {fine} of them fine."),
            Look::Strong,
        ),
    };
    lines.push((text, look));
}

fn found(finding: &Finding, width: u16, lines: &mut Vec<Styled>) {
    let look = match finding.severity.as_str() {
        "critical" => Look::Bad,
        "warning" => Look::Notice,
        "notice" => Look::Up,
        _ => Look::Quiet,
    };
    let subject = finding.subject.as_ref();
    let subject = subject.map_or(String::new(), |subject| format!(" ({subject})"));
    let title = format!("{}: {}{subject}", finding.severity, finding.title);
    let mut say = |text: &str, indent: &str, look| {
        let text = crate::format::printable(text);
        let room = width.saturating_sub(4);
        let wrapped = wrap(&text, room);
        lines.extend(
            wrapped
                .into_iter()
                .map(|line| (format!("{indent}{line}"), look)),
        );
    };
    say(&title, "", look);
    say(&finding.evidence, "  ", Look::Plain);
    say(&finding.consequence, "  ", Look::Plain);
    for step in &finding.remedy {
        match step.kind.as_str() {
            // Commands are copied: they are not broken between words by us.
            "run" | "keep" => say(&format!("$ {}", step.text), "    ", Look::Name),
            _ => say(&step.text, "  ", Look::Plain),
        }
    }
}

pub(super) fn draw(state: &State, buffer: &mut Buffer) {
    let area = state.layout().whole();
    let lines = lines(state);
    if lines.is_empty() {
        let (title, more) = match &state.health.fault {
            Some(fault) => words_of(fault, "The findings could not be read"),
            None => ("Looking".to_owned(), "This takes a second.".to_owned()),
        };
        return draw_words(state, buffer, &title, &more);
    }
    put_lines(buffer, area, &lines, state.health.top, state.palette);
}
