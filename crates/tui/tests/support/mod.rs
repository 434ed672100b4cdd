//! A screen over an API that answers at once, from a table that a test makes.

#![allow(dead_code, unreachable_pub, reason = "each test uses a part of it")]

use std::collections::VecDeque;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::buffer::Buffer;
use serde_json::{Value, json};
use tui::event::{Answer, Effect, Event, Heard, Kind, Now, Reply, Stream};
use tui::format::Clock;
use tui::wire::{Fault, Row};
use tui::{State, View, begin, update};

/// The moment of every test: 2026-11-26 12:00:00 UTC.
pub const NOW: u64 = 1_795_694_400_000_000_000;

/// A screen and what it asks.
pub struct Screen {
    pub state: State,
    /// What was asked and not answered yet.
    pub waiting: VecDeque<Effect>,
    /// Everything that was asked, as method, path and body.
    pub asked: Vec<String>,
    /// What else was to be done.
    pub done: Vec<Effect>,
    /// The table.
    pub table: Table,
}

/// What the API answers from.
pub struct Table {
    pub rows: Vec<Value>,
    pub connections: u64,
    pub accounting: bool,
    pub timestamps: bool,
    pub role: &'static str,
    pub health: Value,
    pub own_session: Option<&'static str>,
    /// What is refused, and why.
    pub refused: Vec<(Kind, Fault)>,
    /// Why nothing is heard.
    pub unheard: Option<Fault>,
    /// How many rows more than are here are selected.
    pub more: u64,
    /// How many groups more than three there are.
    pub groups: u64,
    /// What is said of a query, where it is another thing than usual.
    pub checked: Option<fn(&str) -> Value>,
}

impl Default for Table {
    fn default() -> Self {
        Self {
            rows: rows(),
            connections: 12_345,
            accounting: true,
            timestamps: true,
            role: "operator",
            health: json!({"findings": [], "looked_at": [{"what": "a", "verdict": "fine"}]}),
            own_session: None,
            refused: Vec::new(),
            unheard: None,
            more: 0,
            groups: 0,
            checked: None,
        }
    }
}

impl Screen {
    /// Of a size, over a table, with everything answered that it asks at first.
    pub fn new(size: (u16, u16), table: Table) -> Self {
        let mut screen = Self::waiting(size, table, View::default());
        screen.settle();
        screen
    }

    /// The same, with nothing answered.
    pub fn waiting(size: (u16, u16), table: Table, view: View) -> Self {
        let folder = Some("/home/me/.config/tracklight".into());
        let mut state = State::new(size, String::new(), folder, view);
        state.clock = Clock::Utc;
        state.now = Now {
            wall_ns: NOW,
            ms: 1000,
        };
        let waiting = begin(&mut state).into();
        Self {
            state,
            waiting,
            asked: Vec::new(),
            done: Vec::new(),
            table,
        }
    }

    /// Something happens.
    pub fn tell(&mut self, event: Event) {
        let effects = update(&mut self.state, event);
        self.waiting.extend(effects);
    }

    /// Something happens, and everything is answered that is asked then.
    pub fn event(&mut self, event: Event) -> &mut Self {
        self.tell(event);
        self.settle();
        self
    }

    /// A key.
    pub fn key(&mut self, code: KeyCode) -> &mut Self {
        self.event(Event::Key(KeyEvent::new(code, KeyModifiers::NONE)))
    }

    /// Keys of a text.
    pub fn keys(&mut self, text: &str) -> &mut Self {
        for c in text.chars() {
            self.key(KeyCode::Char(c));
        }
        self
    }

    /// So many milliseconds pass.
    pub fn pass(&mut self, ms: u64) -> &mut Self {
        let Now { wall_ns, ms: now } = self.state.now;
        let later = Now {
            wall_ns: wall_ns + ms * 1_000_000,
            ms: now + ms,
        };
        self.event(Event::Tick(later))
    }

    /// Answers everything.
    pub fn settle(&mut self) {
        let mut rounds = 0;
        while let Some(effect) = self.waiting.pop_front() {
            rounds += 1;
            assert!(rounds < 1000, "it asks without end: {:?}", self.asked);
            match effect {
                Effect::Ask {
                    number,
                    kind,
                    request,
                } => {
                    self.note(&request);
                    let reply = self.table.reply(kind, &request);
                    self.tell(Event::Answer(Box::new(Answer {
                        number,
                        kind,
                        took_ms: 1,
                        reply,
                    })));
                }
                Effect::Listen {
                    number,
                    stream,
                    request,
                } => {
                    self.note(&request);
                    for heard in self.table.heard(stream) {
                        self.tell(Event::Heard(number, heard));
                    }
                }
                Effect::Tell(request) => self.note(&request),
                other => self.done.push(other),
            }
        }
    }

    fn note(&mut self, request: &tui::transport::Request) {
        let body = request.body.as_deref().unwrap_or_default();
        let line = format!("{} {} {body}", request.method.name(), request.path);
        self.asked.push(line.trim_end().to_owned());
    }

    /// Whether something with this in it was asked since this was asked last.
    pub fn has_asked(&mut self, part: &str) -> bool {
        let has = self.asked.iter().any(|asked| asked.contains(part));
        self.asked.clear();
        has
    }

    /// What is drawn.
    pub fn draw(&self) -> Buffer {
        let (width, height) = self.state.size;
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        terminal
            .draw(|frame| tui::view::view(&self.state, frame))
            .unwrap();
        terminal.backend().buffer().clone()
    }

    /// The same as text.
    pub fn text(&self) -> String {
        text_of(&self.draw())
    }
}

/// The text of a frame, without blanks at the ends of lines.
pub fn text_of(buffer: &Buffer) -> String {
    let area = buffer.area;
    let mut text = String::new();
    for y in 0..area.height {
        let mut line = String::new();
        let mut skip = 0;
        for x in 0..area.width {
            let symbol = buffer[(x, y)].symbol();
            if skip > 0 {
                skip -= 1;
                continue;
            }
            skip = usize::from(tui::column::cells(symbol).saturating_sub(1));
            line.push_str(symbol);
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

impl Table {
    fn truth(&self) -> Value {
        json!({"taken_ns": NOW, "source": "bpf", "complete": true, "events": true,
               "accounting": self.accounting, "timestamps": self.timestamps})
    }

    fn heard(&self, stream: Stream) -> Vec<Heard> {
        if let Some(fault) = &self.unheard {
            return vec![Heard::Ended(fault.clone())];
        }
        match stream {
            Stream::Pulse => (0..90).map(|second| self.summary(second)).collect(),
            Stream::Events => {
                let events = ["new", "update", "destroy"]
                    .iter()
                    .zip(&self.rows)
                    .enumerate();
                let happened = events.map(|(place, (event, row))| {
                    from(
                        json!({"event": event, "time_ns": NOW - 5_000_000_000 + place as u64,
                                "entry": row}),
                    )
                });
                vec![
                    Heard::Happened(happened.collect(), 0),
                    Heard::Missed(Some(17)),
                ]
            }
        }
    }

    fn summary(&self, second: u64) -> Heard {
        // Up and down, so that charts have something to show.
        let wave = 40 * (second % 30).abs_diff(15);
        let rates = json!({"bytes_orig": 1_200_000 + 10_000 * wave, "bytes_reply": 34_500_000,
                           "packets_orig": 900, "packets_reply": 25_000});
        Heard::Summary(from(json!({
            "time_ns": NOW - (89 - second) * 1_000_000_000,
            "connections": if second == 89 { self.connections } else { self.connections / 2 + wave },
            "limit": 262_144, "births": 123 * second, "deaths": 119 * second,
            "rates": if self.accounting { rates } else { Value::Null },
            "truth": self.truth(),
        })))
    }

    fn reply(&self, kind: Kind, request: &tui::transport::Request) -> Result<Reply, Fault> {
        if let Some((_, fault)) = self.refused.iter().find(|(refused, _)| *refused == kind) {
            return Err(fault.clone());
        }
        Ok(match kind {
            Kind::Page => Reply::Page(from(self.page(&request.path))),
            Kind::Groups => Reply::Groups(Box::new(from(self.groups()))),
            Kind::Known => Reply::Known(Box::new(from(self.known(&request.path)?))),
            Kind::Health => Reply::Health(from(self.health.clone())),
            Kind::Status => Reply::Status(from(json!({"you": {"name": "me", "role": self.role}}))),
            Kind::Fields => Reply::Fields(from(json!({
                "columns": [
                    {"name": "proto", "meaning": "Protocol.", "sorts": true},
                    {"name": "bytes", "meaning": "Bytes of both directions.", "sorts": true},
                    {"name": "rate", "meaning": "Bytes a second, both directions.", "sorts": true}],
                "groups": [
                    {"name": "src", "meaning": "Source address of the opener"},
                    {"name": "dport", "meaning": "Destination port, as the opener sent it"},
                    {"name": "app", "meaning": "Application, by the mark"}],
            }))),
            Kind::Check => {
                let body = request.body.as_deref().unwrap_or_default();
                let asked: Value = serde_json::from_str(body).unwrap();
                let query = asked["query"].as_str().unwrap();
                Reply::Check(from(
                    self.checked
                        .map_or_else(|| checked(query), |told| told(query)),
                ))
            }
            Kind::Complete => {
                Reply::Complete(from(json!({"offset": 8, "length": 3, "candidates": [
                {"text": "dport", "kind": "field", "meaning": "Destination port as the opener sent it."},
                {"text": "dst", "kind": "field", "meaning": "Destination as the opener sent it."}]})))
            }
            Kind::Deletion => Reply::Deletion(Box::new(from(self.deletion(&request.path)))),
        })
    }

    fn page(&self, path: &str) -> Value {
        let number = |name: &str| {
            let (_, after) = path.split_once(&format!("{name}="))?;
            after.split('&').next()?.parse::<usize>().ok()
        };
        let (offset, limit) = (
            number("offset").unwrap_or(0),
            number("limit").unwrap_or(100),
        );
        let rows: Vec<&Value> = self.rows.iter().skip(offset).take(limit).collect();
        let all = self.rows.len() as u64 + self.more;
        let mut page = json!({"connections": rows, "totals": {"connections": all},
                              "truth": self.truth()});
        if all > (offset + limit) as u64 {
            page["cursor"] = json!("c0ffee");
        }
        page
    }

    fn groups(&self) -> Value {
        let group = |src: &str, connections: u64, bytes: u64, rate: u64| {
            json!({"key": {"src": src}, "connections": connections,
                   "share": connections as f64 / 12_345.0, "bytes": bytes, "rate": rate,
                   "packets": bytes / 700, "uncounted": 0, "newest_start_ns": NOW - 7_000_000_000})
        };
        let mut groups = vec![
            group("10.0.0.7", 8000, 9_123_456_789, 12_300_000),
            group("10.0.0.2", 4000, 123_456_789, 45_000),
            group("2001:db8:1::2", 345, 1_234_567, 0),
        ];
        groups.extend((0..self.groups).map(|more| group(&format!("10.0.1.{more}"), 1, 60, 0)));
        json!({"by": ["src"], "groups": groups, "others": null, "ungrouped": null,
               "total": {"groups": 3 + self.groups, "connections": 12_345, "uncounted": 0},
               "names": {"10.0.0.7": {"name": "nas.lan", "from": "lease"}}, "complete": true,
               "truth": self.truth()})
    }

    fn known(&self, path: &str) -> Result<Value, Fault> {
        let mut rows = self.rows.iter();
        let row = rows.find(|row| path.ends_with(row["name"].as_str().unwrap()));
        let row = row.ok_or_else(|| Fault::new("not-found", "this connection is not there", ""))?;
        Ok(json!({"connection": row, "age": 3725,
               "path": {"sentence": "10.0.0.7:43345 speaks with 198.51.100.11:443, which sees it as 203.0.113.5:43345"},
               "routes": {"orig": {"to": "198.51.100.11", "route": {"kind": "unicast", "interface": "wan0",
                                   "gateway": "203.0.113.1", "table": 254}},
                          "reply": {"to": "10.0.0.7", "route": {"kind": "unicast", "interface": "lan0", "table": 254}}},
               "state_meaning": "both ends have agreed, and data can flow",
               "timeout_setting": {"name": "net.netfilter.nf_conntrack_tcp_timeout_established", "seconds": 432_000},
               "notes": [], "truth": self.truth()}))
    }

    fn deletion(&self, path: &str) -> Value {
        let mut deletion = json!({"id": "5f", "query": "tcp", "state": "waiting", "matched": 40,
            "owners": [{"src": "10.0.0.7", "connections": 30, "bytes": 9_160_000},
                       {"src": "10.0.0.2", "connections": 10}],
            "owners_total": 2, "sample": self.rows.get(..3).unwrap_or(&self.rows), "undoable": true,
            "expires_ns": NOW + 300_000_000_000_u64, "truth": self.truth()});
        if let Some(own) = self.own_session {
            deletion["own_session"] = json!(own);
        }
        if path.ends_with("/confirm") || path.ends_with("/undo") {
            deletion["result"] = json!({"matched": 40, "done": 37, "gone": 2, "refused": 1,
                "first": {"code": "busy", "message": "the kernel holds it", "hint": ""}});
        }
        if path.ends_with("/undo") {
            deletion["undone"] = json!({"matched": 37, "created": 35, "there": 2});
        }
        deletion
    }
}

/// As the API understands queries, as far as tests need it: `dprt` is wrong.
fn checked(query: &str) -> Value {
    match query.contains("dprt") {
        false => json!({"ok": true, "explanation": {"parsed": "", "everything": false,
                        "kernel": [], "warnings": []}}),
        true => json!({"ok": false, "error": {"code": "query-unknown-name",
            "message": "\"dprt\" is no field and no flag", "hint": "did you mean dport?",
            "offset": 8, "length": 4, "expected": ["a field", "a flag", "not", "("]}}),
    }
}

/// As the API's JSON is read.
pub fn from<T: serde::de::DeserializeOwned>(value: Value) -> T {
    let text = value.to_string();
    serde_json::from_value(value).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// A row of the API's.
pub fn row(name: &str, src: &str, sport: u16) -> Row {
    from(tcp(name, src, sport, 1000.0))
}

/// A TCP connection, translated.
pub fn tcp(name: &str, src: &str, sport: u16, rate: f64) -> Value {
    json!({"name": name, "family": "ipv4", "protocol": "tcp", "protocol_number": 6,
        "state": "ESTABLISHED",
        "orig": {"src": src, "dst": "198.51.100.11", "sport": sport, "dport": 443, "packets": 5, "bytes": 123_456},
        "reply": {"src": "198.51.100.11", "dst": "203.0.113.5", "sport": 443, "dport": sport,
                  "packets": 4, "bytes": 2_345_678},
        "nat": true, "zone": 0, "status": ["SEEN_REPLY", "ASSURED", "CONFIRMED", "SRC_NAT"],
        "status_bits": 414, "timeout": 431_999, "mark": 23_299, "use": 1, "id": 0x6b0c_b37a_u32,
        "start_ns": NOW - 3_725_000_000_000_u64, "provider": "wan1", "app": "TLS", "prio": "low",
        "service": "https", "names": {src: {"name": "nas.lan", "from": "lease"}},
        "rates": {"bytes_orig": rate, "bytes_reply": rate * 20.0, "packets_orig": 2.0, "packets_reply": 3.0}})
}

/// Connections of every sort.
pub fn rows() -> Vec<Value> {
    vec![
        tcp("6b0cb37a-1", "10.0.0.7", 43_345, 16_100.0),
        tcp("6b0cb37a-2", "192.168.100.200", 59_927, 690.0),
        json!({"name": "3", "family": "ipv6", "protocol": "udp", "protocol_number": 17,
            "orig": {"src": "2001:db8:1::2", "dst": "2001:db8:2::10", "sport": 33_980, "dport": 53, "packets": 1, "bytes": 76},
            "reply": {"src": "2001:db8:2::10", "dst": "2001:db8:1::2", "sport": 53, "dport": 33_980, "packets": 0, "bytes": 0},
            "nat": false, "zone": 0, "status": ["CONFIRMED"], "timeout": 8, "mark": 0, "id": 7,
            "start_ns": NOW - 22_000_000_000_u64, "service": "domain",
            "rates": {"bytes_orig": 0.0, "bytes_reply": 0.0, "packets_orig": 0.0, "packets_reply": 0.0}}),
        json!({"name": "4", "family": "ipv4", "protocol": "icmp", "protocol_number": 1,
            "orig": {"src": "10.0.0.3", "dst": "198.51.100.10", "type": 8, "code": 0, "id": 77, "packets": 6, "bytes": 504},
            "reply": {"src": "198.51.100.10", "dst": "203.0.113.5", "type": 0, "code": 0, "id": 77, "packets": 6, "bytes": 504},
            "nat": true, "zone": 0, "status": ["SEEN_REPLY", "CONFIRMED"], "timeout": 29, "mark": 0, "id": 8,
            "start_ns": NOW - 61_000_000_000_u64}),
        json!({"name": "5", "family": "ipv4", "protocol": "tcp", "protocol_number": 6, "state": "SYN_SENT",
            "orig": {"src": "10.0.0.5", "dst": "192.0.2.1", "sport": 37_643, "dport": 445, "packets": 1, "bytes": 60},
            "reply": {"src": "192.0.2.1", "dst": "203.0.113.5", "sport": 445, "dport": 37_643},
            "nat": true, "zone": 3, "status": ["CONFIRMED"], "timeout": 118, "mark": 16, "id": 9,
            "start_ns": NOW - 2_000_000_000_u64}),
        json!({"name": "6", "family": "ipv4", "protocol_number": 47,
            "orig": {"src": "10.0.0.9", "dst": "10.9.9.9"}, "reply": {"src": "10.9.9.9", "dst": "10.0.0.9"},
            "nat": false, "zone": 0, "status": ["SEEN_REPLY", "ASSURED", "OFFLOAD"], "id": 10}),
    ]
}

/// The same without what is counted and noted, as with both switched off.
pub fn bare_rows() -> Vec<Value> {
    let mut rows = rows();
    for row in &mut rows {
        let row = row.as_object_mut().unwrap();
        row.remove("rates");
        row.remove("start_ns");
        for way in ["orig", "reply"] {
            let way = row[way].as_object_mut().unwrap();
            way.remove("bytes");
            way.remove("packets");
        }
    }
    rows
}
