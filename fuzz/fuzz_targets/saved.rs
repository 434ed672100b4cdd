//! Saved tables of both kinds: any bytes at all are entries or a failure, in little memory.
#![no_main]

use std::io::Cursor;

use engine::saved::{Header, Saved, TableWriter, line};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let mut saved = match Saved::from_reader(Cursor::new(bytes.to_vec()), "it") {
        Ok(saved) => saved,
        Err(failure) => return assert!(!failure.code.is_empty()),
    };
    let mut writer = TableWriter::new(Vec::new(), &Header::default()).expect("a vector takes all");
    let mut entries = Vec::new();
    let mut text = Vec::new();
    while let Ok(Some(entry)) = saved.next_entry() {
        writer.push(entry).expect("what was read can be saved");
        line::write(&mut text, entry);
        text.push(b'\n');
        entries.push(entry.clone());
    }
    let again = writer.finish(None).expect("a vector takes all");
    let mut again = Saved::from_reader(Cursor::new(again), "again").expect("a table");
    for entry in &entries {
        let read = again.next_entry().expect("what was written is whole");
        assert_eq!(read, Some(entry));
    }
    assert_eq!(again.next_entry(), Ok(None));
    for line in String::from_utf8(text).expect("text").lines() {
        // Not every entry has what conntrack wants of a line.
        let _ = line::parse(line);
    }
});
