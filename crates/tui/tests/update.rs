//! What keys, answers and time do to the state.

mod support;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers, MouseButton, MouseEvent, MouseEventKind};
use serde_json::json;
use support::{Screen, Table, tcp};
use tui::View;
use tui::event::{Answer, Effect, Event, Heard, Kind, Reply};
use tui::state::{Overlay, Screen as Shown};
use tui::wire::Fault;

const SIZE: (u16, u16) = (80, 24);

/// Rows for 18 lines: that many are on the screen.
fn many(rows: u16) -> Table {
    let row = |number: u16| tcp(&format!("n{number}"), "10.0.0.1", number, 1.0);
    Table {
        rows: (0..rows).map(row).collect(),
        ..Table::default()
    }
}

fn key(code: KeyCode, modifiers: KeyModifiers) -> Event {
    Event::Key(KeyEvent::new(code, modifiers))
}

fn click(column: u16, row: u16) -> Event {
    Event::Mouse(MouseEvent {
        kind: MouseEventKind::Down(MouseButton::Left),
        column,
        row,
        modifiers: KeyModifiers::NONE,
    })
}

#[test]
fn an_answer_to_an_earlier_request_does_not_count() {
    let mut screen = Screen::new(SIZE, Table::default());
    screen.pass(2000);
    screen.tell(key(KeyCode::Char('r'), KeyModifiers::NONE));
    let Some(Effect::Ask { number, .. }) = screen.waiting.pop_front() else {
        panic!("it asks for the other order");
    };
    let answer = |number| {
        Event::Answer(Box::new(Answer {
            number,
            kind: Kind::Page,
            took_ms: 1,
            reply: Ok(Reply::Page(tui::wire::Page::default())),
        }))
    };
    screen.tell(answer(number - 1));
    assert_eq!(screen.state.table.rows.len(), 6, "those that were there");
    screen.tell(answer(number));
    assert_eq!(screen.state.table.rows.len(), 0);
}

#[test]
fn pages_are_asked_again_after_the_interval_and_not_before_they_were_answered() {
    let mut screen = Screen::new(SIZE, Table::default());
    screen.asked.clear();
    screen.pass(500);
    assert!(!screen.has_asked("/connections"));
    screen.pass(600);
    assert!(screen.has_asked("/connections?limit=50&offset=0&query=&sort=rate"));
}

#[test]
fn a_page_that_took_long_rests_longer() {
    let view = View::default();
    let mut screen = Screen::waiting(SIZE, Table::default(), view);
    let waiting = std::mem::take(&mut screen.waiting);
    let page = waiting.into_iter().find_map(|effect| match effect {
        Effect::Ask {
            number,
            kind: Kind::Page,
            ..
        } => Some(number),
        _ => None,
    });
    screen.event(Event::Answer(Box::new(Answer {
        number: page.unwrap(),
        kind: Kind::Page,
        took_ms: 1000,
        reply: Ok(Reply::Page(tui::wire::Page::default())),
    })));
    screen.pass(2500);
    assert!(!screen.has_asked("/connections"), "it took a second");
    screen.pass(1000);
    assert!(screen.has_asked("/connections"));
}

#[test]
fn the_chosen_connection_is_followed_when_the_order_changes() {
    let mut screen = Screen::new(SIZE, many(10));
    screen.keys("jj");
    assert_eq!(screen.state.table.current().unwrap().name, "n2");
    screen.table.rows.rotate_left(1);
    screen.pass(2000);
    assert_eq!(screen.state.table.at, 1);
    assert_eq!(screen.state.table.current().unwrap().name, "n2");
    screen.table.rows.retain(|row| row["name"] != "n2");
    screen.pass(2000);
    assert_eq!(screen.state.table.at, 1, "the place stays where it ended");
}

#[test]
fn nobody_is_followed_before_somebody_chose() {
    let mut screen = Screen::new(SIZE, many(10));
    screen.table.rows.rotate_left(1);
    screen.pass(2000);
    assert_eq!(screen.state.table.at, 0);
}

#[test]
fn below_the_top_the_order_is_held_and_every_page_is_reached() {
    let mut screen = Screen::new(SIZE, many(5000));
    screen.asked.clear();
    screen.key(KeyCode::PageDown).key(KeyCode::PageDown);
    assert!(screen.state.table.is_held());
    screen.key(KeyCode::End);
    assert!(screen.has_asked("cursor=c0ffee"));
    let table = &screen.state.table;
    assert_eq!(table.at, 4999);
    assert_eq!(table.current().unwrap().name, "n4999");
    assert!(screen.text().contains("order held"));
    screen.asked.clear();
    screen.key(KeyCode::Home);
    assert!(!screen.state.table.is_held());
    assert!(screen.has_asked("offset=0&query="), "it is live again");
    assert_eq!(screen.state.table.current().unwrap().name, "n0");
}

#[test]
fn an_order_that_was_forgotten_begins_from_the_top() {
    let mut screen = Screen::new(SIZE, many(5000));
    screen.key(KeyCode::PageDown);
    let expired = Fault::new("cursor-expired", "this cursor is not known", "");
    screen.table.refused = vec![(Kind::Page, expired)];
    screen.key(KeyCode::End);
    screen.table.refused.clear();
    screen.pass(3000);
    assert_eq!(screen.state.table.top, 0);
    assert!(screen.state.table.fault.is_none());
}

#[test]
fn what_failed_is_tried_again_and_old_rows_stay() {
    let mut screen = Screen::new(SIZE, many(10));
    let busy = Fault::new("too-busy", "the daemon is busy", "try again in a moment");
    screen.table.refused = vec![(Kind::Page, busy)];
    screen.pass(1500);
    assert_eq!(screen.state.table.rows.len(), 10);
    assert!(
        screen
            .text()
            .contains("as it was: the daemon is busy – try again")
    );
    screen.table.refused.clear();
    screen.pass(2500);
    assert!(!screen.text().contains("busy"));
}

#[test]
fn frozen_nothing_is_asked_and_keys_still_work() {
    let mut screen = Screen::new(SIZE, many(10));
    screen.keys(" ");
    screen.asked.clear();
    screen.pass(5000);
    assert!(!screen.has_asked("/connections"));
    screen.keys("j");
    assert_eq!(screen.state.table.at, 1);
    screen.keys(" ");
    assert!(screen.has_asked("/connections"));
}

#[test]
fn a_query_is_taken_once_it_is_known_to_be_one() {
    let mut screen = Screen::new(SIZE, Table::default());
    screen.keys("/tcp and dprt").key(KeyCode::Enter);
    assert!(screen.state.line.is_open, "a wrong one is not");
    assert_eq!(screen.state.view.query, "");
    for _ in 0..4 {
        screen.key(KeyCode::Backspace);
    }
    screen.keys("dport == 443");
    screen.asked.clear();
    screen.key(KeyCode::Enter);
    assert_eq!(screen.state.view.query, "tcp and dport == 443");
    assert!(screen.has_asked("query=tcp%20and%20dport%20%3D%3D%20443"));
    screen.keys("/");
    screen.event(key(KeyCode::Char('u'), KeyModifiers::CONTROL));
    screen.key(KeyCode::Esc);
    assert_eq!(screen.state.view.query, "tcp and dport == 443");
}

#[test]
fn keys_behind_enter_are_not_part_of_the_query() {
    let mut screen = Screen::new(SIZE, Table::default());
    screen.keys("/");
    for typed in ["u", "d", "p"] {
        screen.tell(key(
            KeyCode::Char(typed.parse().unwrap()),
            KeyModifiers::NONE,
        ));
    }
    screen.tell(key(KeyCode::Enter, KeyModifiers::NONE));
    screen.tell(key(KeyCode::Char('w'), KeyModifiers::NONE));
    assert_eq!(screen.state.view.query, "udp");
    assert!(matches!(screen.state.overlay, Some(Overlay::Save(_))));
}

#[test]
fn what_turns_out_to_be_no_query_is_in_the_line_again() {
    let mut screen = Screen::new(SIZE, Table::default());
    let wrong = Fault {
        offset: Some(0),
        ..Fault::new("query-unknown-name", "\"x\" is no field", "did you mean y?")
    };
    screen.table.refused = vec![(Kind::Page, wrong)];
    screen.keys("/");
    screen.tell(key(KeyCode::Char('x'), KeyModifiers::NONE));
    screen.tell(key(KeyCode::Enter, KeyModifiers::NONE));
    assert!(!screen.state.line.is_open);
    screen.settle();
    assert!(screen.state.line.is_open);
    assert_eq!(screen.state.line.text, "x");
    assert_eq!(screen.state.view.query, "");
    assert!(screen.text().contains("did you mean y?"));
}

#[test]
fn groups_lead_into_a_query_and_back() {
    let mut screen = Screen::new(SIZE, Table::default());
    screen.keys("/tcp").key(KeyCode::Enter).keys("g");
    screen.key(KeyCode::Down).key(KeyCode::Enter);
    assert_eq!(screen.state.view.query, "(tcp) and src == 10.0.0.2");
    assert_eq!(screen.state.screen, Shown::Connections);
    screen.key(KeyCode::Esc);
    assert_eq!(screen.state.view.query, "tcp");
    assert_eq!(screen.state.screen, Shown::Groups);
}

#[test]
fn groups_are_by_what_was_chosen_or_typed() {
    let mut screen = Screen::new(SIZE, Table::default());
    screen.keys("gg").key(KeyCode::Down).key(KeyCode::Char(' '));
    screen.key(KeyCode::Enter);
    assert!(screen.has_asked("/api/v1/groups?by=src%2Cdport&"));
    screen.keys("gdst/20");
    assert!(screen.text().contains("Enter groups by “dst/20”"));
    screen.key(KeyCode::Enter);
    assert!(screen.has_asked("/api/v1/groups?by=dst%2F20&"));
}

#[test]
fn deleting_asks_shows_and_only_then_deletes() {
    let mut screen = Screen::new(SIZE, Table::default());
    screen.asked.clear();
    screen.keys("x");
    assert!(!screen.has_asked("deletions"));
    screen.keys("1");
    let asked = screen.asked.join("\n");
    assert!(asked.contains("POST /api/v1/deletions {"), "{asked}");
    assert!(asked.contains("id == 0x6b0cb37a and proto == tcp and src == 10.0.0.7"));
    assert!(asked.contains("\"all\":false"));
    screen.asked.clear();
    screen.key(KeyCode::Enter);
    assert!(!screen.has_asked("confirm"), "Enter is no yes");
    screen.keys("y");
    assert!(screen.has_asked("POST /api/v1/deletions/5f/confirm {\"force\":false}"));
    screen.keys("u");
    assert!(screen.has_asked("POST /api/v1/deletions/5f/undo"));
    screen.key(KeyCode::Enter).keys("u");
    assert!(!screen.has_asked("undo"), "it is undone already");
}

#[test]
fn a_preview_that_is_left_is_forgotten() {
    let mut screen = Screen::new(SIZE, Table::default());
    screen.keys("x1");
    screen.asked.clear();
    screen.key(KeyCode::Esc);
    assert!(screen.has_asked("DELETE /api/v1/deletions/5f"));
    assert!(screen.state.overlay.is_none());
}

#[test]
fn every_connection_is_deleted_only_where_that_was_chosen() {
    let mut screen = Screen::new(SIZE, Table::default());
    screen.keys("x2");
    assert!(screen.has_asked("{\"all\":true,\"query\":\"\"}"));
}

#[test]
fn who_may_only_see_is_told_and_asks_nothing() {
    let table = Table {
        role: "viewer",
        ..Table::default()
    };
    let mut screen = Screen::new(SIZE, table);
    screen.pass(1500).keys("x1y");
    assert!(!screen.has_asked("deletions"));
    assert!(screen.text().contains("your token has the role viewer"));
}

#[test]
fn undo_is_over_after_its_time() {
    let mut screen = Screen::new(SIZE, Table::default());
    screen.keys("x1y").key(KeyCode::Enter);
    screen.pass(301_000);
    screen.asked.clear();
    screen.keys("u");
    assert!(!screen.has_asked("undo"));
    assert!(screen.text().contains("five minutes are over"));
}

#[test]
fn streams_that_end_are_listened_to_again_and_say_so_meanwhile() {
    let mut screen = Screen::new(SIZE, Table::default());
    let number = screen.state.pulse.stream;
    let gone = Fault::new(
        "no-answer",
        "the daemon does not answer",
        "look whether it runs",
    );
    screen.event(Event::Heard(number, Heard::Ended(gone)));
    assert!(screen.text().contains("no answer"));
    screen.asked.clear();
    screen.pass(1000);
    assert!(!screen.has_asked("/live"));
    screen.pass(1500);
    assert!(screen.has_asked("/live"));
    assert!(!screen.text().contains("no answer"));
}

#[test]
fn events_are_listened_to_while_they_are_shown() {
    let mut screen = Screen::new(SIZE, Table::default());
    screen.keys("e");
    assert!(screen.has_asked("/api/v1/events?query="));
    let number = screen.state.events.stream.unwrap();
    screen.keys("t");
    assert!(
        screen
            .done
            .iter()
            .any(|done| matches!(done, Effect::Unlisten(_)))
    );
    let late = Heard::Happened(vec![tui::wire::Happened::default()], 0);
    let before = screen.state.events.told.len();
    screen.event(Event::Heard(number, late));
    assert_eq!(screen.state.events.told.len(), before);
}

#[test]
fn columns_sort_by_keys_and_by_the_mouse() {
    let mut screen = Screen::new((200, 50), Table::default());
    screen.keys(">");
    assert_eq!(screen.state.view.sort, "proto");
    screen.keys("<<");
    assert_eq!(screen.state.view.sort, "zone");
    let bytes = screen.state.placed();
    let bytes = bytes.iter().find(|placed| placed.column.id == "bytes");
    let at = bytes.unwrap().x;
    screen.event(click(at, 4));
    assert_eq!(
        (screen.state.view.sort.as_str(), screen.state.view.reverse),
        ("bytes", false)
    );
    screen.event(click(at, 4));
    assert!(screen.state.view.reverse, "again turns it round");
}

#[test]
fn the_mouse_chooses_opens_and_goes_elsewhere() {
    let mut screen = Screen::new(SIZE, many(10));
    screen.event(click(5, 7));
    assert_eq!(screen.state.table.current().unwrap().name, "n2");
    // The rows move between the two clicks.
    screen.table.rows.rotate_right(1);
    screen.state.table.due_ms = 1;
    screen.pass(300).event(click(5, 7));
    let Some(Overlay::Details(details)) = &screen.state.overlay else {
        panic!("no details");
    };
    assert_eq!(details.row.name, "n2");
    screen.key(KeyCode::Esc).event(click(16, 0));
    assert_eq!(screen.state.screen, Shown::Groups);
}

#[test]
fn a_connection_that_ends_stays_as_it_was() {
    let mut screen = Screen::new(SIZE, Table::default());
    screen.key(KeyCode::Enter);
    let gone = Fault::new("not-found", "it is not there", "");
    screen.table.refused = vec![(Kind::Known, gone)];
    screen.pass(1500);
    let text = screen.text();
    assert!(text.contains("It has ended") && text.contains("198.51.100.11:443"));
    screen.asked.clear();
    screen.pass(5000);
    assert!(!screen.has_asked("connections/"), "it is asked no more");
}

#[test]
fn a_view_is_written_where_it_is_looked_for() {
    let mut screen = Screen::new(SIZE, Table::default());
    screen.keys("nw").key(KeyCode::Enter);
    let Some(Effect::Save { path, text }) = screen.done.pop() else {
        panic!("nothing is saved");
    };
    assert_eq!(path.to_str(), Some("/home/me/.config/tracklight/top.toml"));
    let view = View::parse(&text).unwrap();
    assert!(view.names);
    assert_eq!(view.screen, Some(Shown::Connections));
}

#[test]
fn columns_that_were_chosen_are_shown_in_their_order() {
    let mut screen = Screen::new((120, 40), Table::default());
    screen.keys("c>>").key(KeyCode::Enter);
    let columns = &screen.state.view.columns;
    assert_eq!(columns[..3], ["source", "destination", "proto"]);
}

#[test]
fn keys_that_end_end_and_keys_that_stop_stop() {
    let mut screen = Screen::new(SIZE, Table::default());
    screen.event(key(KeyCode::Char('z'), KeyModifiers::CONTROL));
    assert_eq!(screen.done.pop(), Some(Effect::Suspend));
    for open in ["", "?", "/", "x", "c"] {
        screen
            .keys(open)
            .event(key(KeyCode::Char('c'), KeyModifiers::CONTROL));
        assert_eq!(screen.done.pop(), Some(Effect::Quit), "after {open:?}");
        screen.key(KeyCode::Esc);
    }
    screen.event(Event::Ended);
    assert_eq!(screen.done.pop(), Some(Effect::Quit));
}

#[test]
fn every_size_can_be_drawn_in_every_view() {
    for keys in ["", "g", "e", "h", "?", "c", "x1", "/tcp and d", "w", "gg"] {
        for width in (1..70).step_by(7).chain([80, 333]) {
            for height in [0, 1, 2, 5, 12, 13, 17, 24, 120] {
                let mut screen = Screen::new(SIZE, Table::default());
                screen.keys(keys).event(Event::Resize(width, height));
                screen.draw();
            }
        }
    }
}

#[test]
fn a_stranger_cannot_write_on_the_screen() {
    let mut table = Table::default();
    table.rows[0]["names"]["10.0.0.7"]["name"] = json!("evil\u{1b}[2J\u{202e}name");
    let mut screen = Screen::new(SIZE, table);
    screen.keys("n");
    let text = screen.text();
    assert!(text.contains("evil\u{fffd}[2J\u{fffd}name"), "{text}");
}

#[test]
fn refreshes_are_counted_as_they_come() {
    let mut screen = Screen::new(SIZE, many(10));
    assert_eq!(screen.state.tally.rows.many, 1);
    for _ in 0..3 {
        screen.pass(1100);
    }
    assert_eq!(screen.state.tally.rows.many, 4);
    // Nothing is refreshed that stands still, nor what failed.
    screen.keys(" ").pass(5000);
    assert_eq!(screen.state.tally.rows.many, 4);
    screen.table.refused = vec![(Kind::Page, Fault::new("too-busy", "the daemon is busy", ""))];
    screen.keys(" ").pass(5000);
    assert_eq!(screen.state.tally.rows.many, 4);
    screen.keys("g");
    assert_eq!(screen.state.tally.groups.many, 1);
    assert_eq!(screen.state.tally.readings, 1, "all answers are from one");
    assert_eq!(screen.state.tally.source, "bpf");
}

#[test]
fn counters_that_are_old_say_so() {
    let mut screen = Screen::new(SIZE, Table::default());
    assert!(!screen.text().contains(" old"));
    let stream = screen.state.pulse.stream;
    let summary = support::from(json!({
        "time_ns": support::NOW, "connections": 3,
        "truth": {"taken_ns": support::NOW - 12_900_000_000_u64, "complete": true, "events": true,
                  "accounting": true, "timestamps": true}}));
    screen.event(Event::Heard(stream, Heard::Summary(Box::new(summary))));
    assert!(
        screen.text().contains("counters 12s old"),
        "{}",
        screen.text()
    );
}

#[test]
fn what_is_refused_at_the_start_is_not_asked_without_a_rest() {
    let busy = Fault::new("too-busy", "the daemon is busy", "try again");
    let table = Table {
        refused: vec![(Kind::Status, busy.clone()), (Kind::Fields, busy)],
        ..Table::default()
    };
    let mut screen = Screen::new(SIZE, table);
    let asked = |screen: &mut Screen| {
        let asked = std::mem::take(&mut screen.asked);
        asked.iter().filter(|one| one.contains("/status")).count()
    };
    assert_eq!(asked(&mut screen), 1);
    screen.pass(500);
    assert_eq!(asked(&mut screen), 0);
    screen.table.refused.clear();
    screen.pass(2000);
    assert_eq!(asked(&mut screen), 1);
    assert!(screen.state.you.is_some());
}

#[test]
fn another_size_chooses_nobody() {
    let mut screen = Screen::new(SIZE, many(40));
    screen
        .event(Event::Resize(60, 16))
        .event(Event::Resize(80, 24));
    assert_eq!(screen.state.table.name, None);
    // Who has chosen one still sees it.
    screen.key(KeyCode::PageDown);
    let chosen = screen.state.table.current().unwrap().name.clone();
    screen.event(Event::Resize(60, 12));
    let table = &screen.state.table;
    assert_eq!(table.name.as_ref(), Some(&chosen));
    assert!((table.top..table.top + screen.state.height()).contains(&table.at));
}

#[test]
fn the_group_that_keys_are_about_is_never_below_the_line_of_the_others() {
    let mut screen = Screen::new(
        SIZE,
        Table {
            groups: 40,
            ..Table::default()
        },
    );
    screen.keys("g");
    assert!(
        screen.text().contains("26 more below, 43 groups in all"),
        "{}",
        screen.text()
    );
    for _ in 0..42 {
        screen.key(KeyCode::Down);
        let key = screen.state.groups.current().unwrap().key["src"].clone();
        let text = screen.text();
        assert!(
            text.contains(key.as_str().unwrap()),
            "{key} is hidden:\n{text}"
        );
    }
    assert!(!screen.text().contains("more below"));
}

#[test]
fn a_preview_is_scrolled_as_far_as_it_goes_and_no_further() {
    let mut screen = Screen::new((60, 16), Table::default());
    screen.keys("x1");
    let first = screen.text();
    for _ in 0..50 {
        screen.key(KeyCode::Down);
    }
    let last = screen.text();
    assert_ne!(first, last);
    screen.key(KeyCode::Up);
    assert_ne!(screen.text(), last, "one step back is seen at once");
}
