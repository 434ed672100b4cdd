//! Typing a query.

mod support;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use serde_json::json;
use support::{Screen, Table};
use tui::event::{Answer, Effect, Event, Kind, Reply};

const SIZE: (u16, u16) = (80, 24);

fn key(code: KeyCode, modifiers: KeyModifiers) -> Event {
    Event::Key(KeyEvent::new(code, modifiers))
}

#[test]
fn ways_to_go_on_of_an_earlier_text_are_not_taken() {
    let mut screen = Screen::new(SIZE, Table::default());
    screen.keys("/tcp and ");
    let typed = |c| key(KeyCode::Char(c), KeyModifiers::NONE);
    screen.tell(typed('d'));
    screen.tell(typed('p'));
    // The answers to the first letter come now, and what they make it ask is not answered yet.
    let asked = std::mem::take(&mut screen.waiting);
    screen.settle();
    let later = screen.state.line.completing.clone();
    assert_eq!(later.0, "tcp and d");
    screen.waiting = asked;
    while let Some(effect) = screen.waiting.pop_front() {
        if let Effect::Ask {
            number,
            kind: Kind::Complete,
            ..
        } = effect
        {
            let completion =
                support::from(json!({"offset": 8, "length": 1, "candidates": [{"text": "dport"}]}));
            screen.tell(Event::Answer(Box::new(Answer {
                number,
                kind: Kind::Complete,
                took_ms: 1,
                reply: Ok(Reply::Complete(completion)),
            })));
            break;
        }
    }
    assert!(
        screen.state.line.candidates().is_empty(),
        "they are of “tcp and d”"
    );
}

#[test]
fn a_word_that_is_being_typed_is_no_mistake_yet() {
    let unknown = |query: &str| {
        json!({"ok": false, "error": {"code": "query-unknown-name", "message": "this is no field",
               "hint": "", "offset": 8, "length": query.chars().count().saturating_sub(8), "expected": []}})
    };
    let table = Table {
        checked: Some(unknown),
        ..Table::default()
    };
    let mut screen = Screen::new(SIZE, table);
    screen.keys("/tcp and d");
    assert!(
        !screen.text().contains("this is no field"),
        "{}",
        screen.text()
    );
    assert!(screen.text().contains("Destination port"));
    // Who wants it all the same is told.
    screen.key(KeyCode::Enter);
    assert!(screen.state.line.is_open);
    assert!(
        screen.text().contains("this is no field"),
        "{}",
        screen.text()
    );
    screen.keys("p");
    assert!(!screen.text().contains("this is no field"));
    // Elsewhere than at the cursor it is one.
    screen.key(KeyCode::Home);
    assert!(
        screen.text().contains("this is no field"),
        "{}",
        screen.text()
    );
}

#[test]
fn lines_that_are_pasted_are_parted_as_words_are() {
    let mut screen = Screen::new(SIZE, Table::default());
    screen.keys("/udp");
    screen.event(Event::Paste(" and\ndport == 53\r\n".to_owned()));
    assert_eq!(screen.state.line.text, "udp and dport == 53");
    screen.event(Event::Paste("x".repeat(20_000)));
    assert!(screen.text().contains("xxx"), "the cursor is on the screen");
}
