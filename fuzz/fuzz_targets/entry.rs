//! The attributes of an entry; what can be read can be written and read again.
#![no_main]

use ctnetlink::wire::{Attrs, Messages, Writer};
use ctnetlink::{Change, Entry, NewEntry};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(entry) = Entry::decode(Attrs::from_bytes(bytes)) else {
        return;
    };
    let mut writer = Writer::new();
    entry.encode(&mut writer);
    let kept = Entry::decode(Attrs::from_bytes(writer.bytes()));
    assert_eq!(kept.as_ref(), Ok(&entry));
    // The kernel's entries have two tuples of one kind.
    if entry.orig.family() != entry.reply.family() {
        return;
    }
    let new = NewEntry::from(&entry);
    writer.clear();
    Change::Create(Box::new(new.clone())).write(&mut writer, 1, false);
    let message = Messages::new(writer.bytes())
        .next()
        .expect("one message")
        .expect("well formed");
    let (_, attrs) = message.nfnetlink().expect("nfnetlink");
    let again = Entry::decode(attrs).expect("what was read can be read again");
    assert_eq!((again.orig, again.reply), (entry.orig, entry.reply));
    assert_eq!((again.mark, again.labels), (entry.mark, entry.labels));
    assert_eq!(again.helper, entry.helper);
});
