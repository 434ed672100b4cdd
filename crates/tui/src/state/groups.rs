//! Connections by what they have in common.

use serde_json::Value;

use crate::wire::{Fault, Group, Groups as Told};

/// By how many fields at most.
pub const MOST_FIELDS: usize = 4;

/// What groups can be sorted by.
pub const SORTS: [(&str, &str); 6] = [
    ("connections", "the most connections first"),
    ("bytes", "the most bytes first"),
    ("packets", "the most packets first"),
    ("rate", "the most bytes a second first"),
    ("newest", "the newest connection first"),
    ("key", "by what they have in common"),
];

/// Groups, as they were asked for last.
#[derive(Clone, Debug, Default)]
pub struct Groups {
    /// What was told; nothing before the first answer.
    pub told: Option<Told>,
    /// Why there is nothing newer.
    pub fault: Option<Fault>,
    /// The first that is on the screen.
    pub top: usize,
    /// The one that keys are about.
    pub at: usize,
    /// Whether somebody chose it, so that it is followed.
    pub is_chosen: bool,
    /// When to ask again.
    pub due_ms: u64,
}

impl Groups {
    /// The groups that are here.
    pub fn all(&self) -> &[Group] {
        self.told.as_ref().map_or(&[], |told| &told.groups)
    }

    /// The one that keys are about.
    pub fn current(&self) -> Option<&Group> {
        self.all().get(self.at)
    }

    /// Other fields, another order or query.
    pub(crate) fn restart(&mut self) {
        *self = Self::default();
    }

    /// Takes what was told; the chosen group is followed.
    pub(crate) fn take(&mut self, told: Told, height: usize) {
        let key = self.current().map(|group| group.key.clone());
        self.told = Some(told);
        self.fault = None;
        if let Some(key) = key.filter(|_| self.is_chosen)
            && let Some(place) = self.all().iter().position(|group| group.key == key)
        {
            self.at = place;
        }
        self.go(self.at, height);
    }

    /// How many lines have groups, of so many: the last one tells of the others where there are more.
    pub fn lines(&self, height: usize) -> usize {
        let others = self.told.as_ref().and_then(|told| told.others.as_ref());
        match self.all().len() > height || others.is_some() {
            true => height.saturating_sub(1).max(1),
            false => height.max(1),
        }
    }

    /// Moves by so many.
    pub(crate) fn step(&mut self, by: isize, height: usize) {
        self.is_chosen = true;
        self.go(self.at.saturating_add_signed(by), height);
    }

    /// Goes to one.
    pub(crate) fn go(&mut self, place: usize, height: usize) {
        let height = self.lines(height);
        let many = self.all().len();
        self.at = place.min(many.saturating_sub(1));
        self.top = self.top.min(many.saturating_sub(height));
        if self.at < self.top {
            self.top = self.at;
        } else if self.at >= self.top + height {
            self.top = self.at + 1 - height;
        }
    }
}

/// What selects exactly the connections of a group.
pub fn term(by: &[String], group: &Group) -> String {
    let terms = by.iter().map(|field| {
        let value = group.key.get(field).unwrap_or(&Value::Null);
        term_of(field, value)
    });
    terms.collect::<Vec<_>>().join(" and ")
}

fn term_of(field: &str, value: &Value) -> String {
    let text = text_of(field, value);
    if let Some((address, _)) = field.split_once('/') {
        let address = if address.is_empty() { "src" } else { address };
        return match text.contains('/') {
            true => format!("{address} in {text}"),
            false => format!("{address} == {text}"),
        };
    }
    match (field, text.as_str()) {
        ("nat", "none") => "not nat".to_owned(),
        ("nat", "snat") => "snat and not dnat".to_owned(),
        ("nat", "dnat") => "dnat and not snat".to_owned(),
        ("nat", _) => "snat and dnat".to_owned(),
        ("status", _) if !value.is_null() => term_of_status(&text),
        (_, "") => format!("not has {field}"),
        ("label", _) => {
            let labels = text.split([' ', ',']).filter(|label| !label.is_empty());
            let terms = labels.map(|label| format!("label == {label}"));
            terms.collect::<Vec<_>>().join(" and ")
        }
        _ => format!("{field} == {}", quoted(&text)),
    }
}

const STATUS: [(&str, &str); 7] = [
    ("ASSURED", "assured"),
    ("UNREPLIED", "unreplied"),
    ("DYING", "dying"),
    ("EXPECTED", "expected"),
    ("OFFLOAD", "offloaded"),
    ("HW_OFFLOAD", "status == HW_OFFLOAD"),
    ("FIXED_TIMEOUT", "status == FIXED_TIMEOUT"),
];

/// All words that are there, and none of the others.
fn term_of_status(text: &str) -> String {
    let words: Vec<&str> = text.split([' ', ',']).collect();
    let is_there =
        |word: &str| words.contains(&word) || (word == "OFFLOAD" && words.contains(&"HW_OFFLOAD"));
    let (there, absent): (Vec<_>, Vec<_>) = STATUS.iter().partition(|(word, _)| is_there(word));
    let absent: Vec<&str> = absent.iter().map(|(_, term)| *term).collect();
    let mut terms: Vec<String> = there.iter().map(|(_, term)| (*term).to_owned()).collect();
    terms.push(format!("not ({})", absent.join(" or ")));
    terms.join(" and ")
}

/// A value as it is shown; empty where the connections lack it.
pub fn text_of(field: &str, value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Array(all) => {
            let all: Vec<String> = all.iter().map(|value| text_of(field, value)).collect();
            all.join(", ")
        }
        Value::Number(number) if field == "mark" => match number.as_u64() {
            Some(number) => format!("{number:#x}"),
            None => number.to_string(),
        },
        other => other.to_string(),
    }
}

/// A value as a query wants it.
pub fn quoted(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "_.:/+-".contains(c);
    if !text.is_empty() && text.chars().all(is_plain) {
        return text.to_owned();
    }
    let text = text.replace('\\', "\\\\").replace('"', "\\\"");
    format!("\"{text}\"")
}

/// Both of two queries.
pub fn both(one: &str, other: &str) -> String {
    match (one.trim(), other.trim()) {
        ("", other) => other.to_owned(),
        (one, "") => one.to_owned(),
        (one, other) => format!("({one}) and {other}"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_group_is_a_query() {
        for (field, value, wanted) in [
            ("src", json!("10.0.0.1"), "src == 10.0.0.1"),
            ("/24", json!("10.0.0.0/24"), "src in 10.0.0.0/24"),
            ("peer/24/56", json!("2001:db8::1"), "peer == 2001:db8::1"),
            ("dport", json!(null), "not has dport"),
            ("dport", json!(443), "dport == 443"),
            ("mark", json!(255), "mark == 0xff"),
            ("nat", json!("both"), "snat and dnat"),
            ("app", json!("a \"b\""), "app == \"a \\\"b\\\"\""),
            ("label", json!([1, 5]), "label == 1 and label == 5"),
        ] {
            assert_eq!(term_of(field, &value), wanted);
        }
        let status = term_of("status", &json!("SEEN_REPLY, ASSURED"));
        assert!(status.starts_with("assured and not (unreplied or "));
    }

    #[test]
    fn two_queries_together_keep_their_meaning() {
        assert_eq!(both("", "b"), "b");
        assert_eq!(both("a or c", "b"), "(a or c) and b");
    }
}
