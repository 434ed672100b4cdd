//! From bytes to the fields of a request: bounded, and with every wrong field told.

use std::fmt;
use std::io::{self, Read};
use std::net::IpAddr;
use std::ops::RangeInclusive;

use ctnetlink::Protocol;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::Value;

use super::fault::{Attribute, Fault, word};

/// The longest request: far more than any of the contract's, little enough to hold.
pub const INPUT_LIMIT: usize = 1 << 20;

/// The longest part of a wrong value that is told back, in characters.
const TOLD: usize = 200;

/// Reads a request, but no more of it than [`INPUT_LIMIT`] and one byte, by which its being too
/// long is noticed.
pub fn read_input(reader: impl Read) -> io::Result<Vec<u8>> {
    let mut input = Vec::new();
    reader
        .take(INPUT_LIMIT as u64 + 1)
        .read_to_end(&mut input)?;
    Ok(input)
}

/// The fields of a request in the order in which they came, twice if they came twice.
#[derive(Debug)]
pub(super) struct Request(Vec<(String, Value)>);

impl Request {
    /// A JSON object; anything else is no request. The parser itself refuses nesting deeper than
    /// 128, numbers beyond an f64 and text that is not UTF-8.
    pub(super) fn parse(input: &[u8]) -> Result<Self, Fault> {
        if input.len() > INPUT_LIMIT {
            return Err(Fault::no_json());
        }
        serde_json::from_slice(input).map_err(|_| Fault::no_json())
    }
}

impl<'de> Deserialize<'de> for Request {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Object)
    }
}

struct Object;

impl<'de> Visitor<'de> for Object {
    type Value = Request;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Request, A::Error> {
        let mut fields = Vec::new();
        while let Some(field) = map.next_entry()? {
            fields.push(field);
        }
        Ok(Request(fields))
    }
}

/// Reads fields and notes what is wrong with them.
#[derive(Debug)]
pub(super) struct Fields<'a> {
    request: &'a Request,
    wrong: Vec<Attribute>,
}

impl<'a> Fields<'a> {
    pub(super) const fn new(request: &'a Request) -> Self {
        Self {
            request,
            wrong: Vec::new(),
        }
    }

    /// `value` if no field was wrong, else all that were.
    pub(super) fn finish<T>(self, value: Option<T>) -> Result<T, Fault> {
        match value {
            Some(value) if self.wrong.is_empty() => Ok(value),
            _ => Err(Fault::not_valid(self.wrong)),
        }
    }

    /// Notes what is wrong with a field.
    pub(super) fn wrong(&mut self, parameter: &'static str, error: &'static str) {
        self.note(parameter, error, None);
    }

    fn note(
        &mut self,
        parameter: &'static str,
        error: &'static str,
        valid: Option<Vec<&'static str>>,
    ) {
        let value = self.values(parameter).last().map_or_else(String::new, told);
        self.wrong.push(Attribute {
            parameter,
            value,
            error,
            valid,
        });
    }

    /// A field's value. Absent, `null` and an empty string are all nothing: panels send the
    /// empty choice of a form in each of these ways.
    fn value(&mut self, name: &'static str) -> Option<&'a Value> {
        if self.values(name).nth(1).is_some() {
            self.wrong(name, word::DUPLICATE);
            return None;
        }
        self.values(name)
            .next()
            .filter(|value| !value.is_null() && value.as_str() != Some(""))
    }

    fn values(&self, name: &'static str) -> impl Iterator<Item = &'a Value> + use<'a> {
        let fields = &self.request.0;
        fields
            .iter()
            .filter(move |(found, _)| found == name)
            .map(|(_, value)| value)
    }

    /// Notes a required field's absence; one that is wrong has been noted already.
    fn required<T>(&mut self, name: &'static str, value: Option<T>) -> Option<T> {
        let noted = self.wrong.iter().any(|noted| noted.parameter == name);
        if value.is_none() && !noted {
            self.wrong(name, word::MISSING);
        }
        value
    }

    /// One word out of a list, as it is written.
    pub(super) fn one_of(
        &mut self,
        name: &'static str,
        valid: &[&'static str],
    ) -> Option<&'static str> {
        let Some(value) = self.value(name) else {
            let duplicate = self.wrong.iter().any(|noted| noted.parameter == name);
            if !duplicate {
                self.note(name, word::MISSING, Some(valid.to_vec()));
            }
            return None;
        };
        let found = value
            .as_str()
            .and_then(|text| valid.iter().find(|&&known| known == text));
        if found.is_none() {
            let error = if value.is_string() {
                word::UNKNOWN
            } else {
                word::WRONG_TYPE
            };
            self.note(name, error, Some(valid.to_vec()));
        }
        found.copied()
    }

    /// A text.
    pub(super) fn text(&mut self, name: &'static str) -> Option<&'a str> {
        let value = self.value(name)?;
        let text = value.as_str();
        if text.is_none() {
            self.wrong(name, word::WRONG_TYPE);
        }
        text
    }

    /// Notes a word that is none of `valid`.
    pub(super) fn unknown(&mut self, name: &'static str, valid: Vec<&'static str>) {
        self.note(name, word::UNKNOWN, Some(valid));
    }

    /// A protocol by name, in any case, or number.
    pub(super) fn protocol(&mut self, name: &'static str) -> Option<Protocol> {
        let value = self.value(name)?;
        let protocol = match value {
            Value::String(text) => protocol_of(text),
            Value::Number(number) => number
                .as_u64()
                .and_then(|number| u8::try_from(number).ok())
                .map(Protocol),
            _ => {
                self.wrong(name, word::WRONG_TYPE);
                return None;
            }
        };
        if protocol.is_none() {
            self.unknown(name, protocol_names());
        }
        protocol
    }

    /// A protocol that must be there.
    pub(super) fn required_protocol(&mut self, name: &'static str) -> Option<Protocol> {
        let value = self.protocol(name);
        self.required(name, value)
    }

    /// An address that must be there.
    pub(super) fn required_address(&mut self, name: &'static str) -> Option<IpAddr> {
        let address = self.text(name).and_then(|text| {
            let address = text.parse().ok();
            if address.is_none() {
                self.wrong(name, word::NOT_AN_ADDRESS);
            }
            address
        });
        self.required(name, address)
    }

    /// A whole number, as a number or as digits.
    pub(super) fn integer(
        &mut self,
        name: &'static str,
        range: RangeInclusive<i64>,
    ) -> Option<i64> {
        let number = self.any_integer(name)?;
        if range.contains(&number) {
            return Some(number);
        }
        self.wrong(name, word::OUT_OF_RANGE);
        None
    }

    /// A whole number of 16 bits.
    pub(super) fn number16(&mut self, name: &'static str) -> Option<u16> {
        self.integer(name, 0..=i64::from(u16::MAX))
            .and_then(|number| u16::try_from(number).ok())
    }

    /// A port that must be there.
    pub(super) fn required_port(&mut self, name: &'static str) -> Option<u16> {
        let value = self.number16(name);
        self.required(name, value)
    }

    /// A whole number, as a number or as digits; beyond 64 bits it is the nearest that fits.
    pub(super) fn any_integer(&mut self, name: &'static str) -> Option<i64> {
        let number = match self.value(name)? {
            Value::Number(number) => integer_of(number),
            Value::String(text) => integer_of_digits(text),
            _ => {
                self.wrong(name, word::WRONG_TYPE);
                return None;
            }
        };
        if number.is_none() {
            self.wrong(name, word::NOT_AN_INTEGER);
        }
        number
    }
}

/// The names of the protocols of which conntrack knows more than the number.
fn protocol_names() -> Vec<&'static str> {
    Protocol::TRACKED
        .into_iter()
        .filter_map(Protocol::name)
        .collect()
}

/// A name in any case, or a number's digits and nothing else.
fn protocol_of(text: &str) -> Option<Protocol> {
    let starts_well = text
        .bytes()
        .next()
        .is_some_and(|byte| byte.is_ascii_alphanumeric());
    Protocol::from_name(text).filter(|_| starts_well)
}

fn integer_of(number: &serde_json::Number) -> Option<i64> {
    if let Some(number) = number.as_i64() {
        return Some(number);
    }
    if number.is_u64() {
        return Some(i64::MAX);
    }
    // 25.0 and 2.5e1 are the same number as 25; a cast beyond the range saturates.
    number
        .as_f64()
        .filter(|number| number.fract() == 0.0)
        .map(|number| number as i64)
}

fn integer_of_digits(text: &str) -> Option<i64> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text),
    };
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let size: i64 = digits.parse().unwrap_or(i64::MAX);
    Some(if negative { -size } else { size })
}

/// A wrong value as text, cut where it is long.
fn told(value: &Value) -> String {
    let text = match value {
        Value::Null => return String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    match text.char_indices().nth(TOLD) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::Kind;

    fn integer(text: &str) -> Result<Option<i64>, &'static str> {
        let request = Request::parse(format!("{{\"n\":{text}}}").as_bytes()).unwrap();
        let mut fields = Fields::new(&request);
        let number = fields.any_integer("n");
        match fields.wrong.first() {
            Some(wrong) => Err(wrong.error),
            None => Ok(number),
        }
    }

    #[test]
    fn whole_numbers_come_as_numbers_or_digits() {
        assert_eq!(integer("25"), Ok(Some(25)));
        assert_eq!(integer("25.0"), Ok(Some(25)));
        assert_eq!(integer("2.5e1"), Ok(Some(25)));
        assert_eq!(integer("\"0025\""), Ok(Some(25)));
        assert_eq!(integer("\"-3\""), Ok(Some(-3)));
        assert_eq!(integer("null"), Ok(None));
        assert_eq!(integer("\"\""), Ok(None));
        assert_eq!(integer("1e300"), Ok(Some(i64::MAX)));
        assert_eq!(integer("18446744073709551615"), Ok(Some(i64::MAX)));
        assert_eq!(
            integer(&format!("\"{}\"", "9".repeat(500))),
            Ok(Some(i64::MAX))
        );
    }

    #[test]
    fn what_is_no_whole_number_is_told_so() {
        for text in [
            "2.5", "\"2.5\"", "\" 25\"", "\"+25\"", "\"0x19\"", "\"-\"", "\"٣\"", "\"NaN\"",
        ] {
            assert_eq!(integer(text), Err(word::NOT_AN_INTEGER), "{text}");
        }
        for text in ["true", "[25]", "{}"] {
            assert_eq!(integer(text), Err(word::WRONG_TYPE), "{text}");
        }
    }

    #[test]
    fn a_field_given_twice_is_wrong_and_one_nobody_asks_for_is_not() {
        let request = Request::parse(br#"{"n":1,"x":1,"n":2,"x":[]}"#).unwrap();
        let mut fields = Fields::new(&request);
        assert_eq!(fields.any_integer("n"), None);
        assert_eq!(fields.wrong.len(), 1);
        assert_eq!(fields.wrong[0].error, word::DUPLICATE);
        assert_eq!(fields.wrong[0].value, "2");
    }

    #[test]
    fn a_protocol_is_a_name_in_any_case_or_digits() {
        assert_eq!(protocol_of("TcP"), Some(Protocol::TCP));
        assert_eq!(protocol_of("50"), Some(Protocol(50)));
        for text in ["+6", "256", "", "tcp ", "-1", "tсp"] {
            assert_eq!(protocol_of(text), None, "{text}");
        }
    }

    #[test]
    fn a_long_wrong_value_is_cut_between_characters() {
        let told = told(&Value::String("é".repeat(5000)));
        assert_eq!(told.chars().count(), TOLD + 1);
    }

    #[test]
    fn no_object_is_no_request() {
        let deep = "[".repeat(10_000) + &"]".repeat(10_000);
        let nested = format!("{{\"action\":\"protocols\",\"x\":{deep}}}");
        let long = format!("{{\"action\":\"{}\"}}", "x".repeat(INPUT_LIMIT));
        for input in [
            "",
            " ",
            "[]",
            "1",
            "\"x\"",
            "null",
            "{",
            "{}{}",
            "{\"a\":NaN}",
            "{\"a\":1e999}",
            "{'a':1}",
            "\u{feff}{}",
            &deep,
            &nested,
            &long,
        ] {
            let fault = Request::parse(input.as_bytes()).unwrap_err();
            assert_eq!(fault.kind, Kind::InvalidInput, "{:.40}", input);
        }
        assert!(Request::parse(b"{\"a\":\"\xff\"}").is_err());
    }
}
