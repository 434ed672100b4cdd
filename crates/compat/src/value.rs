//! The values of options, read as conntrack(8) reads them.
//!
//! Numbers go through C's conversions there: what does not begin with a number is 0, what follows
//! one is left, what is too large is cut to the width of its field. Scripts may live on it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ctnetlink::{Masked, Protocol, Status};

use crate::exit::{Fault, warn};

/// `isspace(3)`.
const SPACE: [char; 6] = [' ', '\t', '\n', '\u{b}', '\u{c}', '\r'];

/// `atol(3)`.
pub(crate) fn decimal(text: &str) -> i64 {
    let text = text.trim_start_matches(SPACE);
    let (is_negative, digits) = match text.as_bytes().first() {
        Some(b'-') => (true, text.get(1..).unwrap_or("")),
        Some(b'+') => (false, text.get(1..).unwrap_or("")),
        _ => (false, text),
    };
    let value = digits
        .bytes()
        .map_while(|byte| byte.is_ascii_digit().then(|| i64::from(byte - b'0')))
        .fold(0i64, |value, digit| {
            value.saturating_mul(10).saturating_add(digit)
        });
    if is_negative { -value } else { value }
}

/// `strtoul(3)` with base 0.
pub(crate) fn strtoul(text: &str) -> u64 {
    strtoul_end(text).0
}

/// `strtoul(3)` with base 0, and what follows the number.
pub(crate) fn strtoul_end(text: &str) -> (u64, &str) {
    let trimmed = text.trim_start_matches(SPACE);
    let (is_negative, rest) = match trimmed.as_bytes().first() {
        Some(b'-') => (true, trimmed.get(1..).unwrap_or("")),
        Some(b'+') => (false, trimmed.get(1..).unwrap_or("")),
        _ => (false, trimmed),
    };
    let bytes = rest.as_bytes();
    let is_hex = matches!(bytes, [b'0', b'x' | b'X', third, ..] if third.is_ascii_hexdigit());
    let (base, digits) = match bytes {
        _ if is_hex => (16, rest.get(2..).unwrap_or("")),
        [b'0', ..] => (8, rest),
        _ => (10, rest),
    };
    let length = digits
        .bytes()
        .take_while(|byte| (*byte as char).is_digit(base))
        .count();
    if length == 0 {
        return (0, text);
    }
    let value = digits
        .get(..length)
        .unwrap_or("")
        .chars()
        .filter_map(|digit| digit.to_digit(base))
        .fold(0u64, |value, digit| {
            value
                .saturating_mul(u64::from(base))
                .saturating_add(u64::from(digit))
        });
    let value = if is_negative {
        value.wrapping_neg()
    } else {
        value
    };
    (value, digits.get(length..).unwrap_or(""))
}

/// An IPv4 address as `inet_aton(3)` takes it, or an IPv6 address.
pub(crate) fn address(text: &str) -> Result<IpAddr, Fault> {
    let invalid = || Fault::usage(format!("Invalid IP address `{text}'"));
    if let Ok(address) = text.parse::<Ipv4Addr>() {
        return Ok(address.into());
    }
    match inet_aton(text) {
        Some(address) => Ok(address.into()),
        None => text
            .parse::<Ipv6Addr>()
            .map(IpAddr::V6)
            .map_err(|_| invalid()),
    }
}

fn inet_aton(text: &str) -> Option<Ipv4Addr> {
    let parts: Vec<&str> = text.split('.').collect();
    let mut numbers = Vec::with_capacity(4);
    for (index, part) in parts.iter().enumerate() {
        if !part.starts_with(|first: char| first.is_ascii_digit()) {
            return None;
        }
        let (number, rest) = strtoul_end(part);
        let is_last = index + 1 == parts.len();
        let is_over = rest.is_empty() || is_last && rest.starts_with([' ', '\t', '\n']);
        if !is_over {
            return None;
        }
        numbers.push(u32::try_from(number).ok()?);
    }
    let (last, first) = numbers.split_last()?;
    if first.len() > 3 || first.iter().any(|part| *part > 255) {
        return None;
    }
    let bits = 32 - 8 * u32::try_from(first.len()).ok()?;
    if u64::from(*last) >> bits != 0 {
        return None;
    }
    let high = first
        .iter()
        .zip([24, 16, 8])
        .fold(0, |high, (part, shift)| high | part << shift);
    Some(Ipv4Addr::from(high | last))
}

/// An address, and the text behind its `/` where it has one. What that is worth, [`prefix`] says: other
/// things are wrong before it is.
pub(crate) fn network(text: &str) -> Result<(IpAddr, Option<&str>), Fault> {
    match text.split_once('/') {
        Some((host, length)) => Ok((address(host)?, Some(length))),
        None => Ok((address(text)?, None)),
    }
}

/// The length of a network's prefix, as `strtol(3)` puts it into an `int`.
pub(crate) fn prefix(length: &str, is_ipv4: bool) -> Result<u8, Fault> {
    let most = if is_ipv4 { 32 } else { 128 };
    let digits = length.trim_start_matches(SPACE);
    let digits = digits.strip_prefix(['+', '-']).unwrap_or(digits);
    let is_number =
        length.is_empty() || !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    match u8::try_from(decimal(length) as i32) {
        Ok(length) if is_number && length <= most => Ok(length),
        _ => Err(Fault::usage("Invalid netmask")),
    }
}

/// The mask of a prefix of so many bits.
pub(crate) fn mask(length: u8, is_ipv4: bool) -> IpAddr {
    if is_ipv4 {
        let bits = u32::MAX.checked_shl(32 - u32::from(length)).unwrap_or(0);
        Ipv4Addr::from(bits).into()
    } else {
        let bits = u128::MAX.checked_shl(128 - u32::from(length)).unwrap_or(0);
        Ipv6Addr::from(bits).into()
    }
}

/// The bits of an address that a mask selects.
pub(crate) fn masked(address: IpAddr, mask: IpAddr) -> IpAddr {
    match (address, mask) {
        (IpAddr::V4(address), IpAddr::V4(mask)) => (address & mask).into(),
        (IpAddr::V6(address), IpAddr::V6(mask)) => (address & mask).into(),
        _ => address,
    }
}

/// `ADDRESS`, `ADDRESS:PORT`, `[ADDRESS]:PORT`: what is translated to.
/// Whether it has the form of a network is told too.
pub(crate) fn nat(text: &str) -> Result<(IpAddr, Option<u16>, bool), Fault> {
    let (host, port) = if let Some((_, rest)) = text.split_once('[') {
        let (host, behind) = rest
            .split_once(']')
            .ok_or_else(|| Fault::usage("No closing ']' around IPv6 address"))?;
        if host.is_empty() {
            return Err(Fault::usage("No IPv6 address specified"));
        }
        match behind.split_once(':') {
            Some((_, port)) => (host, Some(port)),
            // Brackets are for an address with a port only.
            None => (text, None),
        }
    } else if text.matches(':').count() == 1 {
        let (host, port) = text.split_once(':').unwrap_or((text, ""));
        (host, Some(port))
    } else {
        (text, None)
    };
    let port = match port {
        None => None,
        Some("") => return Err(Fault::usage("No port specified after `:'")),
        Some(port) => Some(nat_port(port)?),
    };
    let (host, length) = network(host)?;
    Ok((host, port, length.is_some()))
}

fn nat_port(text: &str) -> Result<u16, Fault> {
    let (value, rest) = strtoul_end(text);
    match u16::try_from(value) {
        Ok(port) if rest.is_empty() && text.starts_with(|first: char| first.is_ascii_digit()) => {
            Ok(port)
        }
        _ => Err(Fault::usage(format!("Invalid port `{text}'"))),
    }
}

/// `MARK` or `MARK/MASK`.
pub(crate) fn mark(text: &str) -> Masked {
    let (value, rest) = strtoul_end(text);
    let mask = rest.strip_prefix('/').map_or(u32::MAX, |mask| {
        // What is no number at all masks nothing.
        strtoul(mask) as u32
    });
    Masked {
        value: value as u32,
        mask,
    }
}

/// Protocols by name that the C library finds in /etc/protocols, or by number.
pub(crate) fn protocol(text: &str) -> Option<Protocol> {
    let own = Protocol::TRACKED.into_iter().find(|protocol| {
        protocol
            .name()
            .is_some_and(|name| name.eq_ignore_ascii_case(text))
    });
    if own.is_some() {
        return own;
    }
    let file = std::fs::read_to_string("/etc/protocols").unwrap_or_default();
    let number = file.lines().find_map(|line| {
        let mut words = line.split('#').next()?.split_whitespace();
        let name = words.next()?;
        let number = words.next()?;
        (name == text || words.any(|alias| alias == text)).then(|| number.parse().ok())?
    });
    if let Some(number) = number {
        return Some(Protocol(number));
    }
    let (value, rest) = strtoul_end(text);
    (!text.is_empty() && rest.is_empty())
        .then(|| u8::try_from(value).ok().map(Protocol))
        .flatten()
}

/// What `-u` says of the status, once or several times.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Bits {
    /// Bits that are to be there.
    pub(crate) set: Status,
    /// Bits that are not to be there.
    pub(crate) clear: Status,
}

impl Bits {
    /// The bits of which anything is said.
    pub(crate) const fn all(self) -> Status {
        self.set.union(self.clear)
    }

    /// Whether a status is so.
    pub(crate) const fn matches(self, status: Status) -> bool {
        status.contains(self.set) && !status.intersects(self.clear)
    }

    /// Takes the words of one `-u` as well: names of bits, a `!` before one that is not to be there.
    pub(crate) fn take(&mut self, text: &str) -> Result<(), Fault> {
        const NAMES: [(&str, Status); 7] = [
            ("ASSURED", Status::ASSURED),
            ("SEEN_REPLY", Status::SEEN_REPLY),
            ("UNSET", Status::empty()),
            ("FIXED_TIMEOUT", Status::FIXED_TIMEOUT),
            ("EXPECTED", Status::EXPECTED),
            ("OFFLOAD", Status::OFFLOAD),
            ("HW_OFFLOAD", Status::HW_OFFLOAD),
        ];
        for (word, rest) in list(text) {
            // Unlike the others: in this case only, and whatever follows it.
            if word.starts_with("UNREPLIED") {
                self.clear |= Status::SEEN_REPLY;
                continue;
            }
            let (word, rest, bits) = match (word.strip_prefix('!'), rest.strip_prefix('!')) {
                (Some(word), Some(rest)) => (word, rest, &mut self.clear),
                _ => (word, rest, &mut self.set),
            };
            if let Some(bit) = meaning(word, rest, &NAMES)? {
                *bits |= bit;
            }
        }
        Ok(())
    }
}

/// What to show beside the usual, and in which form.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Output {
    pub(crate) extended: bool,
    pub(crate) xml: bool,
    pub(crate) timestamp: bool,
    pub(crate) id: bool,
    pub(crate) ktimestamp: bool,
    pub(crate) labels: bool,
    pub(crate) userspace: bool,
    pub(crate) save: bool,
}

/// The words of `-o`.
pub(crate) fn output(text: &str, output: &mut Output) -> Result<(), Fault> {
    type Set = fn(&mut Output);
    const WORDS: [(&str, Set); 8] = [
        ("xml", |output| output.xml = true),
        ("extended", |output| output.extended = true),
        ("timestamp", |output| output.timestamp = true),
        ("id", |output| output.id = true),
        ("ktimestamp", |output| output.ktimestamp = true),
        ("labels", |output| output.labels = true),
        ("userspace", |output| output.userspace = true),
        ("save", |output| output.save = true),
    ];
    words(text, &WORDS, |set| set(output))
}

/// Which events are asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct EventMask {
    pub(crate) new: bool,
    pub(crate) update: bool,
    pub(crate) destroy: bool,
}

/// The words of `-e`.
pub(crate) fn event_mask(text: &str, mask: &mut EventMask) -> Result<(), Fault> {
    const WORDS: [(&str, [bool; 3]); 4] = [
        ("ALL", [true, true, true]),
        ("NEW", [true, false, false]),
        ("UPDATES", [false, true, false]),
        ("DESTROY", [false, false, true]),
    ];
    words(text, &WORDS, |[new, update, destroy]| {
        mask.new |= new;
        mask.update |= update;
        mask.destroy |= destroy;
    })
}

/// The words of a list, each with the list from there on.
fn list(text: &str) -> impl Iterator<Item = (&str, &str)> {
    std::iter::successors(Some(text), |rest| Some(rest.split_once(',')?.1))
        .map(|rest| (rest.split_once(',').map_or(rest, |(word, _)| word), rest))
}

/// A list of words, each whole or its beginning, in either case.
fn words<T: Copy>(text: &str, known: &[(&str, T)], mut each: impl FnMut(T)) -> Result<(), Fault> {
    for (word, rest) in list(text) {
        if let Some(meaning) = meaning(word, rest, known)? {
            each(meaning);
        }
    }
    Ok(())
}

/// What a word means; `None` if it is one of those that are only warned of. `rest` is what a refusal
/// quotes.
fn meaning<T: Copy>(word: &str, rest: &str, known: &[(&str, T)]) -> Result<Option<T>, Fault> {
    let is_word = |whole: &str| {
        whole
            .get(..word.len())
            .is_some_and(|begin| !word.is_empty() && begin.eq_ignore_ascii_case(word))
    };
    // The original looks for these two in every list.
    for (nat, option) in [("SRC_NAT", "--src-nat"), ("DST_NAT", "--dst-nat")] {
        if is_word(nat) {
            warn(&format!("WARNING: ignoring {nat}, use {option} instead"));
            return Ok(None);
        }
    }
    match known.iter().find(|(whole, _)| is_word(whole)) {
        Some((_, meaning)) => Ok(Some(*meaning)),
        None => Err(Fault::usage(format!("Bad parameter `{rest}'"))),
    }
}
