//! A whole datagram: its messages, acknowledgements and events.
#![no_main]

use ctnetlink::wire::{Ack, Messages};
use ctnetlink::{Event, Filter};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    for message in Messages::new(bytes) {
        let Ok(message) = message else {
            continue;
        };
        let _ = Ack::decode(&message);
        let _ = Ack::decode_done(&message);
        if let Ok(Some(Event::New(entry) | Event::Update(entry) | Event::Destroy(entry))) =
            Event::decode(&message)
        {
            let _ = (entry.bytes(), entry.packets(), entry.is_nat(), entry.key());
            let _ = (
                entry.state_name(),
                entry.master(),
                Filter::any().matches(&entry),
            );
        }
    }
});
