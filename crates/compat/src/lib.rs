//! The command line of conntrack(8), version 1.4.8: a drop-in for scripts that call it.
//!
//! `getopt` reads the words as getopt_long(3) does, `parse` makes plain data of them, [`run()`]
//! does it. Where this differs from the original on purpose, `docs/compat.md` says so.

mod cause;
mod exit;
mod getopt;
mod help;
mod l4;
mod labels;
mod options;
mod parse;
mod run;
mod select;
mod show;
mod template;
mod value;
mod xml;

use std::ffi::OsString;

use ctnetlink::Namespace;
use engine::Way;

use crate::exit::Fault;
use crate::run::Session;

/// Does what a command line of conntrack(8) asks for, the program's name first, and gives its exit
/// status. The table is that of a namespace, or of the caller's; `way` is how it is read.
pub fn run(
    words: impl IntoIterator<Item = OsString>,
    namespace: Option<Namespace>,
    way: Way,
) -> u8 {
    let words: Vec<String> = words
        .into_iter()
        .map(|word| word.to_string_lossy().into_owned())
        .collect();
    let mut session = Session::new(namespace, way);
    match go(words, &mut session) {
        Ok(status) => status,
        Err(fault) => fault.report(),
    }
}

fn go(words: Vec<String>, session: &mut Session) -> Result<u8, Fault> {
    // Only as the first word; what follows the file is not looked at.
    if let [_, option, file, ..] = words.as_slice()
        && (option == "-R" || option == "--load-file")
    {
        return run::load(file, session);
    }
    let line = parse::parse(words)?;
    run::run(&line, session)
}
