//! What is to be asked now: looked at after everything that happened.

use crate::event::{Effect, Kind, Stream};
use crate::state::pulse::Link;
use crate::state::{Overlay, Screen, State};
use crate::transport::Request;

/// Milliseconds between two looks at the findings, while they are shown and otherwise.
const HEALTH_MS: (u64, u64) = (5_000, 15_000);

/// All that is to be asked now.
pub(super) fn due(state: &mut State) -> Vec<Effect> {
    let mut effects = Vec::new();
    pulse(state, &mut effects);
    once(state, &mut effects);
    line(state, &mut effects);
    page(state, &mut effects);
    groups(state, &mut effects);
    events(state, &mut effects);
    health(state, &mut effects);
    details(state, &mut effects);
    effects
}

fn pulse(state: &mut State, effects: &mut Vec<Effect>) {
    let is_due = match state.pulse.due_ms {
        None => state.pulse.stream == 0,
        Some(due) => due <= state.now.ms,
    };
    if is_due {
        let number = state.next_number();
        state.pulse.stream = number;
        state.pulse.due_ms = None;
        effects.push(Effect::Listen {
            number,
            stream: Stream::Pulse,
            request: Request::get("/api/v1/live", &[("limit", "0")]).stream(),
        });
    }
}

/// What does not change while it is shown. Asked anew where the daemon is another one.
fn once(state: &mut State, effects: &mut Vec<Effect>) {
    if state.pulse.link != Link::Heard || state.once_due_ms > state.now.ms {
        return;
    }
    if state.you.is_none() && !state.is_asked(Kind::Status) {
        effects.push(state.ask(Kind::Status, Request::get("/api/v1/status", &[])));
    }
    if state.fields.columns.is_empty() && !state.is_asked(Kind::Fields) {
        effects.push(state.ask(Kind::Fields, Request::get("/api/v1/query/fields", &[])));
    }
}

fn line(state: &mut State, effects: &mut Vec<Effect>) {
    if !state.line.is_open {
        return;
    }
    let text = state.line.text.clone();
    let is_known = state.line.checked.as_ref() == Some(&text);
    if !is_known && !state.is_asked(Kind::Check) {
        state.line.checking = Some(text.clone());
        let body = serde_json::json!({ "query": text });
        effects.push(state.ask(Kind::Check, Request::post("/api/v1/query/check", &body)));
        state.line.completing = (text.clone(), state.line.cursor);
        let cursor = state.line.cursor.to_string();
        let parameters = [("query", text.as_str()), ("cursor", cursor.as_str())];
        let request = Request::get("/api/v1/query/complete", &parameters);
        effects.push(state.ask(Kind::Complete, request));
    }
}

fn page(state: &mut State, effects: &mut Vec<Effect>) {
    if state.screen != Screen::Connections || state.is_asked(Kind::Page) {
        return;
    }
    let height = state.height();
    let is_wanted = state.table.due_ms == 0 || state.table.lacks(height);
    let is_due = state.table.due_ms <= state.now.ms && !state.is_frozen;
    let is_resting = state.table.fault.is_some() && state.table.due_ms > state.now.ms;
    if !(is_wanted || is_due) || is_resting {
        return;
    }
    let wanted = state.table.wanted(height);
    let (offset, limit) = (wanted.offset.to_string(), wanted.limit.to_string());
    let mut parameters = vec![("limit", limit.as_str()), ("offset", offset.as_str())];
    let view = state.view.clone();
    match &wanted.cursor {
        Some(cursor) => parameters.push(("cursor", cursor)),
        None => {
            parameters.push(("query", &view.query));
            if !view.sort.is_empty() {
                parameters.push(("sort", &view.sort));
            }
            if view.reverse {
                parameters.push(("order", "desc"));
            }
        }
    }
    let request = Request::get("/api/v1/connections", &parameters);
    state.table.asked = wanted;
    // Until the answer comes.
    state.table.due_ms = state.now.ms + state.view.interval_ms();
    effects.push(state.ask(Kind::Page, request));
}

fn groups(state: &mut State, effects: &mut Vec<Effect>) {
    let is_due = state.groups.due_ms <= state.now.ms && !state.is_frozen;
    let is_first = state.groups.due_ms == 0;
    if state.screen != Screen::Groups || state.is_asked(Kind::Groups) || !(is_due || is_first) {
        return;
    }
    let view = state.view.clone();
    let by = view.group_by.join(",");
    let mut parameters = vec![
        ("by", by.as_str()),
        ("query", &view.query),
        ("sort", &view.group_sort),
        ("limit", "1000"),
    ];
    if view.group_reverse {
        parameters.push(("order", "desc"));
    }
    state.groups.due_ms = state.now.ms + view.interval_ms();
    let request = Request::get("/api/v1/groups", &parameters);
    effects.push(state.ask(Kind::Groups, request));
}

fn events(state: &mut State, effects: &mut Vec<Effect>) {
    if state.screen != Screen::Events {
        if state.events.stream.take().is_some() {
            effects.push(Effect::Unlisten(Stream::Events));
        }
        return;
    }
    let is_same = state.events.query == state.view.query;
    let is_due = match state.events.due_ms {
        Some(due) => due <= state.now.ms || !is_same,
        None => state.events.stream.is_none() || !is_same,
    };
    if !is_due {
        return;
    }
    if !is_same {
        state.events.told.clear();
        state.events.at = 0;
        state.events.top = 0;
    }
    let number = state.next_number();
    state.events.stream = Some(number);
    state.events.due_ms = None;
    state.events.fault = None;
    state.events.query = state.view.query.clone();
    effects.push(Effect::Listen {
        number,
        stream: Stream::Events,
        request: Request::get("/api/v1/events", &[("query", &state.view.query)]).stream(),
    });
}

fn health(state: &mut State, effects: &mut Vec<Effect>) {
    let is_known = state.pulse.link == Link::Heard;
    if state.health.due_ms > state.now.ms || state.is_asked(Kind::Health) || !is_known {
        return;
    }
    let is_shown = state.screen == Screen::Health;
    let rest = if is_shown { HEALTH_MS.0 } else { HEALTH_MS.1 };
    state.health.due_ms = state.now.ms + rest;
    effects.push(state.ask(Kind::Health, Request::get("/api/v1/health", &[])));
    // What troubles the daemon, and who asks, may have changed as well.
    if state.you.is_some() && !state.is_asked(Kind::Status) {
        effects.push(state.ask(Kind::Status, Request::get("/api/v1/status", &[])));
    }
}

fn details(state: &mut State, effects: &mut Vec<Effect>) {
    if state.is_asked(Kind::Known) {
        return;
    }
    let (now, rest) = (state.now.ms, state.view.interval_ms());
    let Some(Overlay::Details(details)) = &mut state.overlay else {
        return;
    };
    if details.due_ms > now || details.is_over {
        return;
    }
    details.due_ms = now + rest;
    let path = format!("/api/v1/connections/{}", details.row.name);
    effects.push(state.ask(Kind::Known, Request::get(&path, &[])));
}
