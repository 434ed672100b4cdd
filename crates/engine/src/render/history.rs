//! Recorded history as text.

use serde::Serialize;

use super::push_number;
use crate::history::{COUNTERS, PROTOCOLS, Point, Series};

/// Columns of CSV, before those of protocols and of the kernel's counters.
const COLUMNS: [&str; 19] = [
    "time",
    "known_seconds",
    "connections",
    "connections_min",
    "connections_max",
    "limit",
    "assured",
    "unreplied",
    "nat",
    "births",
    "births_per_second",
    "deaths",
    "deaths_per_second",
    "bytes",
    "bytes_per_second",
    "packets",
    "packets_per_second",
    "established",
    "syn_sent",
];

/// Appends one JSON object: the series with all points.
pub fn write_json(out: &mut Vec<u8>, series: &Series) {
    push(out, series);
    out.push(b'\n');
}

/// Appends one object a point, and a last line with what belongs to all of them.
pub fn write_ndjson(out: &mut Vec<u8>, series: &Series) {
    #[derive(Serialize)]
    struct All<'a> {
        points: usize,
        from: u64,
        to: u64,
        step: u64,
        rows: crate::history::Step,
        origin: &'a crate::history::Origin,
        unreadable: u64,
    }
    for point in &series.points {
        push(out, point);
        out.push(b'\n');
    }
    let all = All {
        points: series.points.len(),
        from: series.from,
        to: series.to,
        step: series.step,
        rows: series.rows,
        origin: &series.origin,
        unreadable: series.unreadable,
    };
    push(out, &all);
    out.push(b'\n');
}

/// Appends CSV with a heading. What is not known is an empty field.
pub fn write_csv(out: &mut Vec<u8>, series: &Series) {
    let heads = COLUMNS.iter().chain(&PROTOCOLS).chain(&COUNTERS);
    for (index, head) in heads.enumerate() {
        if index > 0 {
            out.push(b',');
        }
        out.extend_from_slice(head.as_bytes());
    }
    out.extend_from_slice(b"\r\n");
    for point in &series.points {
        write_row(out, point);
    }
}

fn write_row(out: &mut Vec<u8>, point: &Point) {
    push_number(out, point.time);
    let whole = |out: &mut Vec<u8>, number: Option<u64>| {
        out.push(b',');
        if let Some(number) = number {
            push_number(out, number);
        }
    };
    let part = |out: &mut Vec<u8>, number: Option<f64>| {
        out.push(b',');
        if let Some(number) = number {
            push(out, &number);
        }
    };
    whole(out, Some(point.known_seconds));
    part(out, Some(point.connections.mean));
    whole(out, Some(point.connections.min));
    whole(out, Some(point.connections.max));
    whole(out, point.limit.map(u64::from));
    for mean in [point.assured, point.unreplied, point.nat] {
        part(out, mean);
    }
    for amount in [point.births, point.deaths, point.bytes, point.packets] {
        whole(out, amount.map(|amount| amount.sum));
        part(out, amount.map(|amount| amount.per_second));
    }
    for state in ["ESTABLISHED", "SYN_SENT"] {
        let mean = point.states.as_ref().map(|states| {
            let of_tcp = states.get("tcp");
            of_tcp.and_then(|states| states.get(state)).copied()
        });
        // A state that is not listed had none.
        part(out, mean.map(Option::unwrap_or_default));
    }
    for protocol in PROTOCOLS {
        let protocols = point.protocols.as_ref();
        part(out, protocols.and_then(|all| all.get(protocol)).copied());
    }
    for counter in COUNTERS {
        whole(out, point.counter(counter).map(|amount| amount.sum));
    }
    out.extend_from_slice(b"\r\n");
}

fn push(out: &mut Vec<u8>, value: &impl Serialize) {
    // Writing to a vector does not fail, and every key here is text.
    let _ = serde_json::to_writer(out, value);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_has_as_many_fields_as_the_heading() {
        let point = Point {
            time: 7,
            known_seconds: 1,
            connections: crate::history::Range {
                mean: 2.5,
                min: 2,
                max: 3,
            },
            limit: None,
            protocols: None,
            states: None,
            assured: None,
            unreplied: None,
            nat: None,
            births: None,
            deaths: None,
            bytes: None,
            packets: None,
            kernel: None,
        };
        let mut out = Vec::new();
        write_row(&mut out, &point);
        let text = String::from_utf8(out).unwrap();
        let fields: Vec<_> = text.trim_end().split(',').collect();
        assert_eq!(
            fields.len(),
            COLUMNS.len() + PROTOCOLS.len() + COUNTERS.len()
        );
        assert_eq!(fields[..6], ["7", "1", "2.5", "2", "3", ""]);
    }
}
