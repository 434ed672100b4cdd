//! A page at a moment, and what is different from the one before.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use axum::body::Bytes;
use engine::live::{Page, Row, name};
use engine::names::Name;
use engine::naming::{Naming, Unknown};
use engine::render::connection::write_connection;
use engine::render::json::Object;

use super::shape::{Totals, Truth};
use super::sse::frame;

/// Which page is watched.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Asked {
    /// The text of the query.
    pub query: String,
    /// The name of what it is sorted by.
    pub sort: Option<String>,
    /// The other way round.
    pub reverse: bool,
    /// How many rows.
    pub limit: u32,
    /// How many before them.
    pub offset: u32,
}

/// A page at a moment.
pub struct Shot {
    number: u64,
    rows: Vec<Arc<Sent>>,
    totals: Totals,
    truth: Truth,
    /// By which the rows were written.
    naming: Arc<Naming>,
    /// As it is sent to who comes new.
    whole: OnceLock<Bytes>,
    /// As it is sent to who has the one before; `None` where nothing is different.
    difference: Option<Bytes>,
}

/// A row as it was sent.
#[derive(Debug)]
struct Sent {
    name: String,
    row: Row,
    names: Vec<(IpAddr, Name)>,
    at: Instant,
    json: Vec<u8>,
}

impl Sent {
    /// Whether a row is the same but for a timeout that has run down.
    fn is(&self, row: &Row, names: &[(IpAddr, Name)], at: Instant) -> bool {
        let passed = u32::try_from((at - self.at).as_secs()).unwrap_or(u32::MAX);
        let ran_down = match (self.row.entry.timeout, row.entry.timeout) {
            (Some(then), Some(now)) => then.saturating_sub(passed).abs_diff(now) <= 1,
            (then, now) => then == now,
        };
        if !ran_down || self.row.rates != row.rates || self.names != names {
            return false;
        }
        let mut entry = row.entry.clone();
        entry.timeout = self.row.entry.timeout;
        entry.use_count = self.row.entry.use_count;
        entry == self.row.entry
    }
}

impl Shot {
    /// Of a page; rows that are the same as before are not written again.
    pub fn of(page: Page, before: Option<&Self>, naming: Arc<Naming>) -> Self {
        let at = Instant::now();
        let known: HashMap<&str, &Arc<Sent>> = before
            .into_iter()
            .filter(|shot| Arc::ptr_eq(&shot.naming, &naming))
            .flat_map(|shot| &shot.rows)
            .map(|sent| (sent.name.as_str(), sent))
            .collect();
        let sent = |row: Row| {
            let name = name(&row.entry);
            let names = naming.addresses(&row.entry, Unknown::Ask);
            match known.get(name.as_str()) {
                Some(sent) if sent.is(&row, &names, at) => return Arc::clone(sent),
                _ => {}
            }
            let mut json = Vec::with_capacity(1024);
            write_connection(&mut json, &row, &naming, &names);
            Arc::new(Sent {
                name,
                row,
                names,
                at,
                json,
            })
        };
        let rows = page.rows.into_iter().map(sent).collect();
        let mut shot = Self {
            number: before.map_or(0, |shot| shot.number + 1),
            rows,
            totals: Totals::from(page.totals),
            truth: Truth::from(&page.truth),
            naming,
            whole: OnceLock::new(),
            difference: None,
        };
        shot.difference = before.and_then(|before| shot.difference_from(before));
        shot
    }

    /// What is to be sent to somebody who was sent another one last, or none.
    pub fn frame_after(&self, last: Option<&Self>) -> Option<Bytes> {
        match last {
            None => Some(self.whole.get_or_init(|| self.whole()).clone()),
            Some(last) if last.number + 1 == self.number => self.difference.clone(),
            Some(last) => self.difference_from(last),
        }
    }

    fn whole(&self) -> Bytes {
        let mut data = Vec::with_capacity(64 << 10);
        let mut object = Object::open(&mut data);
        write_rows(object.key("connections"), self.rows.iter());
        self.write_rest(&mut object);
        object.close();
        frame("page", None, &data)
    }

    fn difference_from(&self, last: &Self) -> Option<Bytes> {
        let known: HashMap<&str, &Arc<Sent>> = last
            .rows
            .iter()
            .map(|sent| (sent.name.as_str(), sent))
            .collect();
        let present: HashMap<&str, ()> = self
            .rows
            .iter()
            .map(|sent| (sent.name.as_str(), ()))
            .collect();
        let is_new = |sent: &&Arc<Sent>| !known.contains_key(sent.name.as_str());
        let is_changed = |sent: &&Arc<Sent>| {
            known
                .get(sent.name.as_str())
                .is_some_and(|other| !Arc::ptr_eq(other, sent))
        };
        let removed: Vec<&str> = last
            .rows
            .iter()
            .map(|sent| sent.name.as_str())
            .filter(|name| !present.contains_key(name))
            .collect();
        let order = |shot: &Self| -> Vec<String> {
            shot.rows.iter().map(|sent| sent.name.clone()).collect()
        };
        let names = order(self);
        let has_moved = names != order(last);
        let is_same = !has_moved
            && !self.rows.iter().any(|sent| is_changed(&sent))
            && self.totals == last.totals
            && self.truth == last.truth;
        if is_same {
            return None;
        }
        let mut data = Vec::with_capacity(4096);
        let mut object = Object::open(&mut data);
        write_rows(object.key("added"), self.rows.iter().filter(is_new));
        write_rows(object.key("changed"), self.rows.iter().filter(is_changed));
        write_json(object.key("removed"), &removed);
        if has_moved {
            write_json(object.key("order"), &names);
        }
        self.write_rest(&mut object);
        object.close();
        Some(frame("difference", None, &data))
    }

    fn write_rest(&self, object: &mut Object<'_>) {
        write_json(object.key("totals"), &self.totals);
        write_json(object.key("truth"), &self.truth);
    }
}

fn write_rows<'a>(out: &mut Vec<u8>, rows: impl Iterator<Item = &'a Arc<Sent>>) {
    out.push(b'[');
    for (place, sent) in rows.enumerate() {
        if place > 0 {
            out.push(b',');
        }
        out.extend_from_slice(&sent.json);
    }
    out.push(b']');
}

fn write_json(out: &mut Vec<u8>, value: &impl serde::Serialize) {
    // Plain structs always serialise, and writing to a vector does not fail.
    let _ = serde_json::to_writer(out, value);
}
