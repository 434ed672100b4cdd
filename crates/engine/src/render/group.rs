//! Groups as JSON, NDJSON and CSV. docs/output.md gives the shapes.

use std::io::Write;

use super::json::Object;
use super::{csv, push_number};
use crate::group::{Report, Row, Tally};

/// Appends all of it as one JSON object. `complete` says whether the table was read whole.
pub fn write_json(out: &mut Vec<u8>, report: &Report, complete: bool) {
    let mut object = Object::open(out);
    let by = object.key("by");
    for (index, field) in report.by().iter().enumerate() {
        by.push(if index == 0 { b'[' } else { b',' });
        push_quoted(by, field.name());
    }
    by.push(b']');
    let groups = object.key("groups");
    groups.push(b'[');
    for (index, row) in report.rows().enumerate() {
        groups.extend_from_slice(if index == 0 { b"\n" } else { b",\n" });
        write_row(groups, report, &row);
    }
    groups.extend_from_slice(b"\n]");
    write_rest(&mut object, report, complete);
    object.close();
    out.push(b'\n');
}

/// Appends one JSON object a group, and a last one with what is true of all of them.
pub fn write_ndjson(out: &mut Vec<u8>, report: &Report, complete: bool) {
    for row in report.rows() {
        write_row(out, report, &row);
        out.push(b'\n');
    }
    let mut object = Object::open(out);
    write_rest(&mut object, report, complete);
    object.close();
    out.push(b'\n');
}

/// Appends CSV with a heading. `now` is in nanoseconds since the epoch.
pub fn write_csv(out: &mut Vec<u8>, report: &Report, now: u64) {
    const SUMS: &str = "connections,share,bytes,bytes_orig,bytes_reply,share_bytes,packets,\
                        uncounted,newest,oldest,row\r\n";
    for field in report.by() {
        out.extend_from_slice(field.name().as_bytes());
        out.push(b',');
    }
    out.extend_from_slice(SUMS.as_bytes());
    for row in report.rows() {
        for cell in &row.cells {
            let start = out.len();
            cell.write_text(out);
            csv::quote_from(out, start);
            out.push(b',');
        }
        write_csv_sums(out, report, row.tally, "group", now);
    }
    let others = report.others().map(|(_, tally)| (tally, "others"));
    let ungrouped = report.ungrouped().map(|tally| (tally, "ungrouped"));
    for (tally, word) in others.into_iter().chain(ungrouped) {
        out.resize(out.len() + report.by().len(), b',');
        write_csv_sums(out, report, tally, word, now);
    }
}

fn write_row(out: &mut Vec<u8>, report: &Report, row: &Row<'_>) {
    let mut object = Object::open(out);
    let mut key = Object::open(object.key("key"));
    for (field, cell) in report.by().iter().zip(&row.cells) {
        cell.write_json(key.key(field.name()));
    }
    key.close();
    write_sums(&mut object, report, row.tally);
    object.close();
}

/// What is no group: those left off, those not told apart, the sum of everything.
fn write_rest(object: &mut Object<'_>, report: &Report, complete: bool) {
    if let Some((groups, tally)) = report.others() {
        let mut others = Object::open(object.key("others"));
        others.number("groups", groups);
        write_sums(&mut others, report, tally);
        others.close();
    }
    if let Some(tally) = report.ungrouped() {
        let mut ungrouped = Object::open(object.key("ungrouped"));
        write_sums(&mut ungrouped, report, tally);
        ungrouped.close();
    }
    let mut total = Object::open(object.key("total"));
    total.number("groups", report.groups());
    total.number("groups_shown", report.rows().len());
    write_sums(&mut total, report, report.total());
    total.close();
    object.flag("complete", complete);
}

fn write_sums(object: &mut Object<'_>, report: &Report, tally: &Tally) {
    object.number("connections", tally.connections());
    if let Some(share) = report.share(tally) {
        push_share(object.key("share"), share);
    }
    object.maybe("bytes", tally.bytes());
    object.maybe("bytes_orig", tally.bytes_orig());
    object.maybe("bytes_reply", tally.bytes_reply());
    if let Some(share) = report.share_bytes(tally) {
        push_share(object.key("share_bytes"), share);
    }
    object.maybe("packets", tally.packets());
    object.maybe("rate", tally.rate());
    object.maybe("rate_orig", tally.rate_orig());
    object.maybe("rate_reply", tally.rate_reply());
    object.number("uncounted", tally.uncounted());
    object.maybe("newest_start_ns", tally.newest());
    object.maybe("oldest_start_ns", tally.oldest());
}

fn write_csv_sums(out: &mut Vec<u8>, report: &Report, tally: &Tally, row: &str, now: u64) {
    let age = |start: Option<u64>| start.map(|start| now.saturating_sub(start) / 1_000_000_000);
    push_value(out, Some(tally.connections()));
    push_share_field(out, report.share(tally));
    push_value(out, tally.bytes());
    push_value(out, tally.bytes_orig());
    push_value(out, tally.bytes_reply());
    push_share_field(out, report.share_bytes(tally));
    push_value(out, tally.packets());
    push_value(out, Some(tally.uncounted()));
    push_value(out, age(tally.newest()));
    push_value(out, age(tally.oldest()));
    out.extend_from_slice(row.as_bytes());
    out.extend_from_slice(b"\r\n");
}

fn push_value(out: &mut Vec<u8>, value: Option<u64>) {
    if let Some(value) = value {
        push_number(out, value);
    }
    out.push(b',');
}

fn push_share_field(out: &mut Vec<u8>, share: Option<f64>) {
    if let Some(share) = share {
        push_share(out, share);
    }
    out.push(b',');
}

/// A millionth is exact enough.
fn push_share(out: &mut Vec<u8>, share: f64) {
    // Writing to a vector does not fail.
    let _ = write!(out, "{share:.6}");
}

fn push_quoted(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    out.extend_from_slice(text.as_bytes());
    out.push(b'"');
}
