//! Whatever happens, in whatever order, on a terminal of whatever size: it is drawn, and places are where rows are.

mod support;

use crossterm::event::{
    Event as Input, KeyCode, KeyEvent, KeyModifiers, MouseButton, MouseEvent, MouseEventKind,
};
use proptest::prelude::*;
use serde_json::json;
use support::{Screen, Table, from, tcp};
use tui::View;
use tui::event::{Event, Heard, Kind};
use tui::wire::Fault;

/// Something that happens.
#[derive(Clone, Debug)]
enum Happens {
    Input(Input),
    Later(u64),
    /// The table has so many rows from now on.
    Rows(u16),
    /// Answers of a kind are refused from now on.
    Refused(Kind),
    /// All are answered again.
    Answered,
    /// So many connections end at once, in a stream of events.
    Ends(usize),
}

const KINDS: [Kind; 9] = [
    Kind::Page,
    Kind::Groups,
    Kind::Known,
    Kind::Health,
    Kind::Status,
    Kind::Fields,
    Kind::Check,
    Kind::Complete,
    Kind::Deletion,
];

/// Terminals that are of no use, usual ones, and very wide ones.
fn size() -> impl Strategy<Value = (u16, u16)> {
    prop_oneof![
        (0_u16..50, 0_u16..20),
        (40_u16..100, 12_u16..30),
        (100_u16..260, 20_u16..70),
    ]
}

fn key() -> impl Strategy<Value = KeyEvent> {
    let code = prop_oneof![
        4 => prop::char::range(' ', '~').prop_map(KeyCode::Char),
        1 => prop::sample::select(vec!['é', '漢', '\u{301}', '👍']).prop_map(KeyCode::Char),
        4 => prop::sample::select(vec![
            KeyCode::Up, KeyCode::Down, KeyCode::Left, KeyCode::Right, KeyCode::Home, KeyCode::End,
            KeyCode::PageUp, KeyCode::PageDown, KeyCode::Enter, KeyCode::Esc, KeyCode::Tab,
            KeyCode::BackTab, KeyCode::Backspace, KeyCode::Delete, KeyCode::Insert, KeyCode::F(1),
        ]),
    ];
    let modifiers = prop::sample::select(vec![
        KeyModifiers::NONE,
        KeyModifiers::NONE,
        KeyModifiers::NONE,
        KeyModifiers::SHIFT,
        KeyModifiers::CONTROL,
    ]);
    (code, modifiers).prop_map(|(code, modifiers)| KeyEvent::new(code, modifiers))
}

fn mouse() -> impl Strategy<Value = MouseEvent> {
    let kind = prop::sample::select(vec![
        MouseEventKind::Down(MouseButton::Left),
        MouseEventKind::Down(MouseButton::Right),
        MouseEventKind::ScrollUp,
        MouseEventKind::ScrollDown,
    ]);
    (kind, 0_u16..260, 0_u16..70).prop_map(|(kind, column, row)| MouseEvent {
        kind,
        column,
        row,
        modifiers: KeyModifiers::NONE,
    })
}

fn happens() -> impl Strategy<Value = Happens> {
    prop_oneof![
        12 => key().prop_map(|key| Happens::Input(Input::Key(key))),
        3 => mouse().prop_map(|mouse| Happens::Input(Input::Mouse(mouse))),
        2 => size().prop_map(|(width, height)| Happens::Input(Input::Resize(width, height))),
        1 => ".{0,20}".prop_map(|text| Happens::Input(Input::Paste(text))),
        2 => (0_u64..20_000).prop_map(Happens::Later),
        1 => (0_u16..300).prop_map(Happens::Rows),
        1 => prop::sample::select(KINDS.to_vec()).prop_map(Happens::Refused),
        1 => Just(Happens::Answered),
        1 => (0_usize..3000).prop_map(Happens::Ends),
    ]
}

fn rows(many: u16) -> Vec<serde_json::Value> {
    let mut rows = support::rows();
    rows.extend((0..many).map(|number| tcp(&format!("n{number}"), "10.0.0.1", number, 1.0)));
    rows.truncate(many.into());
    rows
}

fn make_happen(screen: &mut Screen, happens: Happens) {
    match happens {
        Happens::Input(Input::Key(key)) => screen.event(Event::Key(key)),
        Happens::Input(Input::Mouse(mouse)) => screen.event(Event::Mouse(mouse)),
        Happens::Input(Input::Resize(width, height)) => screen.event(Event::Resize(width, height)),
        Happens::Input(Input::Paste(text)) => screen.event(Event::Paste(text)),
        Happens::Input(_) => screen,
        Happens::Later(ms) => screen.pass(ms),
        Happens::Rows(many) => {
            screen.table.rows = rows(many);
            screen.pass(1000)
        }
        Happens::Refused(kind) => {
            let mut fault = Fault::new("too-busy", "the daemon is busy", "try again");
            fault.offset = Some(3);
            fault.length = Some(200);
            screen.table.refused.push((kind, fault));
            screen
        }
        Happens::Answered => {
            screen.table.refused.clear();
            screen
        }
        Happens::Ends(many) => {
            let row = support::rows().swap_remove(0);
            let end = json!({"event": "destroy", "time_ns": support::NOW, "entry": row});
            let ends = vec![from(end); many];
            let stream = screen.state.events.stream.unwrap_or(0);
            screen.event(Event::Heard(stream, Heard::Happened(ends, 3)))
        }
    };
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn nothing_that_happens_is_too_much(
        first in size(),
        many in 0_u16..200,
        all in prop::collection::vec(happens(), 1..60),
    ) {
        let table = Table { rows: rows(many), ..Table::default() };
        let mut screen = Screen::waiting(first, table, View::default());
        screen.draw();
        screen.settle();
        for happens in all {
            make_happen(&mut screen, happens);
            let (width, height) = screen.state.size;
            let drawn = screen.draw().area;
            prop_assert_eq!((drawn.width, drawn.height), (width, height));
            let table = &screen.state.table;
            prop_assert!(table.at < table.total().max(1), "{} of {}", table.at, table.total());
            let groups = &screen.state.groups;
            prop_assert!(groups.at < groups.all().len().max(1));
            let events = &screen.state.events;
            prop_assert!(events.at < events.told.len().max(1) && events.top <= events.at);
        }
    }
}
