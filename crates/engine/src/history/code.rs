//! A span as bytes, for a row of the file: numbers of variable length (LEB128), in the order of
//! docs/history.md. Most are small, and take a byte or two.

use super::sample::{COUNTERS, Changes, Counted, PROTOCOLS, Parts, State, Traffic};
use super::span::Span;

/// More states than all protocols have.
const MOST_STATES: u64 = 64;

/// Appends a span's bytes.
pub(super) fn encode(span: &Span, out: &mut Vec<u8>) {
    let mean = span.connections / span.seconds.max(1);
    for number in [
        span.seconds,
        span.connections,
        // Small, and 0 in a second.
        mean.saturating_sub(span.least),
        span.most.saturating_sub(mean),
        span.limit.map_or(0, |limit| u64::from(limit) + 1),
    ] {
        push(out, number);
    }
    match &span.parts {
        None => push(out, 0),
        Some(parts) => encode_parts(parts, out),
    }
    let changes = span.changes.unwrap_or_default();
    push(out, changes.millis);
    if changes.millis > 0 {
        push(out, changes.births);
        push(out, changes.deaths);
    }
    let traffic = span.traffic.unwrap_or_default();
    push(out, traffic.millis);
    if traffic.millis > 0 {
        push(out, traffic.bytes);
        push(out, traffic.packets);
    }
    let kernel = span.kernel.unwrap_or_default();
    push(out, kernel.millis);
    if kernel.millis > 0 {
        let counters = kernel.counters.iter().enumerate();
        let known = counters.fold(0, |known, (index, counter)| {
            known | u64::from(counter.is_some()) << index
        });
        push(out, known);
        for counter in kernel.counters.into_iter().flatten() {
            push(out, counter);
        }
    }
}

/// Reads a span's bytes; `None` if they are none.
pub(super) fn decode(mut bytes: &[u8]) -> Option<Span> {
    let from = &mut bytes;
    let seconds = pull(from).filter(|&seconds| seconds > 0)?;
    let connections = pull(from)?;
    let mean = connections / seconds;
    let least = mean.checked_sub(pull(from)?)?;
    let most = mean.checked_add(pull(from)?)?;
    let limit = match pull(from)? {
        0 => None,
        more => Some(u32::try_from(more - 1).ok()?),
    };
    let parts = match pull(from)? {
        0 => None,
        seconds => Some(decode_parts(seconds, from)?),
    };
    let changes = match pull(from)? {
        0 => None,
        millis => Some(Changes {
            millis,
            births: pull(from)?,
            deaths: pull(from)?,
        }),
    };
    let traffic = match pull(from)? {
        0 => None,
        millis => Some(Traffic {
            millis,
            bytes: pull(from)?,
            packets: pull(from)?,
        }),
    };
    let kernel = match pull(from)? {
        0 => None,
        millis => Some(Counted {
            millis,
            counters: pull_counters(from)?,
        }),
    };
    from.is_empty().then_some(Span {
        seconds,
        connections,
        least,
        most,
        limit,
        parts,
        changes,
        traffic,
        kernel,
    })
}

fn encode_parts(parts: &Parts, out: &mut Vec<u8>) {
    push(out, parts.seconds);
    for number in parts.protocols {
        push(out, number);
    }
    for number in [parts.assured, parts.unreplied, parts.nat] {
        push(out, number);
    }
    push(out, parts.states.len() as u64);
    for (state, connections) in &parts.states {
        out.push(pack(*state));
        push(out, *connections);
    }
}

fn decode_parts(seconds: u64, from: &mut &[u8]) -> Option<Parts> {
    let mut protocols = [0; PROTOCOLS.len()];
    for sum in &mut protocols {
        *sum = pull(from)?;
    }
    let (assured, unreplied, nat) = (pull(from)?, pull(from)?, pull(from)?);
    let count = pull(from).filter(|&count| count <= MOST_STATES)?;
    let mut states: Vec<(State, u64)> = Vec::with_capacity(usize::try_from(count).ok()?);
    for _ in 0..count {
        let (&packed, rest) = from.split_first()?;
        *from = rest;
        let state = unpack(packed)?;
        if states.last().is_some_and(|(last, _)| *last >= state) {
            return None;
        }
        states.push((state, pull(from)?));
    }
    Some(Parts {
        seconds,
        protocols,
        states,
        assured,
        unreplied,
        nat,
    })
}

fn pull_counters(from: &mut &[u8]) -> Option<[Option<u64>; COUNTERS.len()]> {
    let known = pull(from).filter(|&known| known >> COUNTERS.len() == 0)?;
    let mut counters = [None; COUNTERS.len()];
    for (index, counter) in counters.iter_mut().enumerate() {
        if known >> index & 1 == 1 {
            *counter = Some(pull(from)?);
        }
    }
    Some(counters)
}

/// The protocols that have states, ascending: their place here is the upper half of a state's byte.
const WITH_STATES: [u8; 3] = [6, 33, 132];

fn pack(state: State) -> u8 {
    let place = WITH_STATES
        .iter()
        .position(|&known| known == state.protocol);
    // No other protocol has a `State`; the last value is none that can be read.
    let place = place
        .and_then(|place| u8::try_from(place).ok())
        .unwrap_or(15);
    place << 4 | state.state & 0x0f
}

fn unpack(packed: u8) -> Option<State> {
    let protocol = *WITH_STATES.get(usize::from(packed >> 4))?;
    let state = packed & 0x0f;
    Some(State { protocol, state })
}

fn push(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number.to_le_bytes()[0] | 0x80);
        number >>= 7;
    }
    out.push(number.to_le_bytes()[0]);
}

fn pull(from: &mut &[u8]) -> Option<u64> {
    let mut number = 0u64;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = from.split_first()?;
        *from = rest;
        let part = u64::from(byte & 0x7f);
        if shift == 63 && part > 1 {
            return None;
        }
        number |= part << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::super::sample::Sample;
    use super::*;

    /// Any sample, of a table of any size.
    pub(in crate::history) fn any_sample() -> impl Strategy<Value = Sample> {
        let number = || prop_oneof![Just(0u64), 0..100u64, 0..1u64 << 40];
        let state = (0..3usize, 0..10u8).prop_map(|(protocol, state)| State {
            protocol: [6, 33, 132][protocol],
            state,
        });
        let states = proptest::collection::btree_map(state, 1..1u64 << 32, 0..12);
        let changes =
            (1..5_000u64, number(), number()).prop_map(|(millis, births, deaths)| Changes {
                millis,
                births,
                deaths,
            });
        let traffic =
            (1..60_000u64, number(), number()).prop_map(|(millis, bytes, packets)| Traffic {
                millis,
                bytes,
                packets,
            });
        let counters = proptest::array::uniform15(proptest::option::of(number()));
        let kernel =
            (1..5_000u64, counters).prop_map(|(millis, counters)| Counted { millis, counters });
        let parts = (
            proptest::array::uniform7(number()),
            states,
            number(),
            number(),
            number(),
        )
            .prop_map(|(protocols, states, assured, unreplied, nat)| Parts {
                seconds: 1,
                protocols,
                states: states.into_iter().collect(),
                assured,
                unreplied,
                nat,
            });
        (
            number(),
            proptest::option::of(any::<u32>()),
            proptest::option::of(parts),
            proptest::option::of(changes),
            proptest::option::of(traffic),
            proptest::option::of(kernel),
        )
            .prop_map(
                |(connections, limit, parts, changes, traffic, kernel)| Sample {
                    time: 0,
                    connections,
                    limit,
                    parts,
                    changes,
                    traffic,
                    kernel,
                },
            )
    }

    fn any_span() -> impl Strategy<Value = Span> {
        proptest::collection::vec(any_sample(), 1..20).prop_map(|samples| {
            let mut spans = samples.iter().map(Span::from);
            let mut sum = spans.next().unwrap();
            spans.for_each(|span| sum.add(&span));
            sum
        })
    }

    proptest! {
        #[test]
        fn a_span_comes_back_from_its_bytes_and_never_from_a_part_of_them(span in any_span()) {
            let mut bytes = Vec::new();
            encode(&span, &mut bytes);
            prop_assert_eq!(decode(&bytes), Some(span));
            for length in 0..bytes.len() {
                prop_assert_eq!(decode(&bytes[..length]), None);
            }
            bytes.push(0);
            prop_assert_eq!(decode(&bytes), None);
        }

        #[test]
        fn any_bytes_are_a_span_or_none(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = decode(&bytes);
        }
    }
}
