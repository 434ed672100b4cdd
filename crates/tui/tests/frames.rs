//! Every view at several sizes, as people see it: texts in `frames/`, rewritten with TRACKLIGHT_UPDATE=1.

mod support;

use std::fmt::Write as _;
use std::path::Path;

use crossterm::event::KeyCode;
use ratatui::style::Color;
use serde_json::json;
use support::{Screen, Table, bare_rows, text_of};
use tui::View;
use tui::event::Kind;
use tui::view::theme::Palette;
use tui::wire::Fault;

const SIZES: [(u16, u16); 4] = [(60, 16), (80, 24), (120, 40), (200, 50)];

/// Compares what a scene looks like at every size with what is kept, and looks at its colours.
#[track_caller]
fn looks(name: &str, sizes: &[(u16, u16)], scene: impl Fn((u16, u16)) -> Screen) {
    let mut text = String::new();
    for &size in sizes {
        let mut screen = scene(size);
        let _ = writeln!(text, "=== {} × {}", size.0, size.1);
        text.push_str(&screen.text());
        for palette in [Palette::None, Palette::Sixteen, Palette::True] {
            screen.state.palette = palette;
            let frame = screen.draw();
            assert_eq!(text_of(&frame), screen.text());
            for cell in &frame.content {
                for colour in [cell.fg, cell.bg] {
                    let is_true = matches!(colour, Color::Rgb(..) | Color::Indexed(_));
                    let is_allowed = match palette {
                        Palette::None => colour == Color::Reset,
                        Palette::Sixteen => !is_true,
                        Palette::True => is_true || colour == Color::Reset,
                    };
                    assert!(is_allowed, "{name}: {colour:?} with {palette:?}");
                }
            }
        }
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/frames/{name}.txt"));
    if std::env::var_os("TRACKLIGHT_UPDATE").is_some_and(|value| value == "1") {
        std::fs::write(&path, text).unwrap();
        return;
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    if kept != text {
        let mut pairs = kept.lines().zip(text.lines());
        let first = pairs.find(|(kept, now)| kept != now);
        panic!(
            "{name} looks different, first here: {first:#?}\nIf it should: TRACKLIGHT_UPDATE=1 cargo test -p tui \
             --test frames\n{text}"
        );
    }
}

fn usual(size: (u16, u16)) -> Screen {
    Screen::new(size, Table::default())
}

#[test]
fn connections() {
    looks("connections", &SIZES, usual);
}

#[test]
fn connections_with_names_marks_and_frozen() {
    looks("connections-chosen", &SIZES, |size| {
        let mut screen = usual(size);
        screen.keys("nmjm ");
        screen
    });
}

#[test]
fn connections_with_accounting_and_start_times_off() {
    looks("connections-off", &SIZES, |size| {
        let table = Table {
            rows: bare_rows(),
            accounting: false,
            timestamps: false,
            ..Table::default()
        };
        Screen::new(size, table)
    });
}

#[test]
fn states_in_which_there_are_no_rows() {
    let size = SIZES;
    looks("loading", &size, |size| {
        Screen::waiting(size, Table::default(), View::default())
    });
    let none = || Table {
        rows: Vec::new(),
        connections: 0,
        ..Table::default()
    };
    looks("empty", &size, |size| Screen::new(size, none()));
    looks("not-tracking", &size, |size| {
        let health = json!({"findings": [{"code": "not-tracking", "severity": "notice"}]});
        let mut screen = Screen::new(size, Table { health, ..none() });
        screen.pass(1500);
        screen
    });
    looks("no-match", &size, |size| {
        let table = Table {
            rows: Vec::new(),
            ..Table::default()
        };
        let view = View {
            query: "dport == 7".to_owned(),
            ..View::default()
        };
        let mut screen = Screen::waiting(size, table, view);
        screen.settle();
        screen
    });
    for (name, code) in [("signed-out", "not-signed-in"), ("no-answer", "no-answer")] {
        looks(name, &size, |size| {
            let fault = Fault::new(
                code,
                "nobody listens at 127.0.0.1:8470: connection refused",
                "look whether it runs and listens there: systemctl status tracklight",
            );
            let table = Table {
                refused: vec![(Kind::Page, fault.clone())],
                unheard: Some(fault),
                ..Table::default()
            };
            Screen::new(size, table)
        });
    }
    looks("too-small", &[(30, 8), (59, 24), (80, 15)], usual);
}

#[test]
fn the_query_line() {
    looks("query", &SIZES, |size| {
        let mut screen = usual(size);
        screen.keys("/tcp and d");
        screen.key(KeyCode::Down);
        screen
    });
    looks("query-wrong", &SIZES, |size| {
        let mut screen = usual(size);
        screen.keys("/tcp and dprt == 443");
        screen
    });
}

#[test]
fn groups() {
    looks("groups", &SIZES, |size| {
        let mut screen = usual(size);
        screen.keys("gn");
        screen
    });
}

#[test]
fn details() {
    looks("details", &SIZES, |size| {
        let mut screen = usual(size);
        screen.key(KeyCode::Enter);
        screen
    });
}

#[test]
fn events() {
    looks("events", &SIZES, |size| {
        let mut screen = usual(size);
        screen.keys("e");
        screen
    });
}

#[test]
fn health() {
    let health = json!({
        "findings": [
            {"code": "table-fill", "severity": "critical", "title": "The table is nearly full",
             "evidence": "250000 of 262144 entries.", "consequence": "New connections will be dropped.",
             "remedy": [{"kind": "run", "text": "sysctl -w net.netfilter.nf_conntrack_max=524288"},
                        {"kind": "do", "text": "look who holds them"}]},
            {"code": "accounting-off", "severity": "notice", "title": "Bytes and packets are not counted",
             "evidence": "nf_conntrack_acct is 0.", "consequence": "Connections show no bytes.", "remedy": []}],
        "looked_at": [{"what": "a", "verdict": "fine"}, {"what": "b", "verdict": "found"}],
        "unseen": [{"what": "drops", "message": "the kernel did not say", "hint": ""}]});
    looks("health", &SIZES, |size| {
        let table = Table {
            health: health.clone(),
            ..Table::default()
        };
        let mut screen = Screen::new(size, table);
        screen.keys("h").pass(1500);
        screen
    });
}

#[test]
fn deleting() {
    looks("deletion-which", &SIZES, |size| {
        let mut screen = usual(size);
        screen.keys("mx");
        screen
    });
    looks("deletion-preview", &SIZES, |size| {
        let mut screen = usual(size);
        screen.keys("x1");
        screen
    });
    looks("deletion-own-session", &SIZES, |size| {
        let table = Table {
            own_session: Some("192.0.2.9:50000 → 192.0.2.1:22"),
            ..Table::default()
        };
        let mut screen = Screen::new(size, table);
        screen.keys("x1");
        screen
    });
    looks("deletion-done", &SIZES, |size| {
        let mut screen = usual(size);
        screen.keys("x1y");
        screen
    });
    looks("deletion-undone", &SIZES, |size| {
        let mut screen = usual(size);
        screen.keys("x1yu");
        screen
    });
    looks("deletion-viewer", &SIZES, |size| {
        let table = Table {
            role: "viewer",
            ..Table::default()
        };
        let mut screen = Screen::new(size, table);
        screen.keys("x");
        screen
    });
}

#[test]
fn windows() {
    for (name, keys) in [
        ("help", "?"),
        ("columns", "c"),
        ("sort", "s"),
        ("fields", "gg"),
        ("save", "w"),
    ] {
        looks(name, &SIZES, |size| {
            let mut screen = usual(size);
            screen.keys(keys);
            screen
        });
    }
}
