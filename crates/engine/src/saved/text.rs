//! Reads the lines of conntrack(8) `-o save`.

use std::io::{BufRead, Read};

use ctnetlink::Entry;

use super::End;
use super::format::{Next, Wrong};
use super::line::{self, Verb};

/// Bytes of a line; conntrack(8) takes 10 kB.
const LINE_LIMIT: u64 = 16 * 1024;

/// Entries out of lines; holds one line.
pub(super) struct TextReader<R> {
    input: R,
    line: Vec<u8>,
    number: u64,
    entries: u64,
    entry: Option<Entry>,
}

impl<R: BufRead> TextReader<R> {
    pub(super) const fn new(input: R) -> Self {
        Self {
            input,
            line: Vec::new(),
            number: 0,
            entries: 0,
            entry: None,
        }
    }

    /// The next entry, or the end.
    pub(super) fn next_entry(&mut self) -> Result<Next<'_>, Wrong> {
        loop {
            self.line.clear();
            let read = self
                .input
                .by_ref()
                .take(LINE_LIMIT)
                .read_until(b'\n', &mut self.line)?;
            if read == 0 {
                return Ok(Next::End(End {
                    entries: self.entries,
                    complete: None,
                }));
            }
            self.number += 1;
            if let Some(entry) = self.parse()? {
                self.entries += 1;
                return Ok(Next::Entry(self.entry.insert(entry)));
            }
        }
    }

    fn parse(&self) -> Result<Option<Entry>, Wrong> {
        let number = self.number;
        let wrong = |wrong: String| Wrong::Line { number, wrong };
        if self.line.len() as u64 == LINE_LIMIT && !self.line.ends_with(b"\n") {
            return Err(wrong(format!("it is longer than {LINE_LIMIT} bytes")));
        }
        let text = str::from_utf8(&self.line).map_err(|_| wrong("it is not text".to_owned()))?;
        let Some(command) = line::parse(text).map_err(wrong)? else {
            return Ok(None);
        };
        match command.verb {
            Verb::Add | Verb::Insert => Ok(Some(command.entry)),
            verb => Err(wrong(format!(
                "{verb} does not belong into a saved table, which has entries to be created (-A, -I)"
            ))),
        }
    }
}
