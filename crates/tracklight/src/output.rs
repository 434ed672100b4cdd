//! Standard output: buffered, and quiet when its reader goes away.

use std::fs::File;
use std::io::{self, IsTerminal, Write};
use std::os::fd::AsFd;

use engine::Failure;

/// Code of the failure that is a success: whoever read our output closed it.
pub(crate) const CLOSED: &str = "output-closed";

/// Bytes that are written at once.
const BUFFER: usize = 128 * 1024;

/// Standard output with a large buffer of its own.
pub(crate) struct Output {
    file: File,
    buffer: Vec<u8>,
    is_terminal: bool,
}

impl Output {
    /// Takes standard output.
    pub(crate) fn stdout() -> Result<Self, Failure> {
        let stdout = io::stdout();
        let file = stdout.as_fd().try_clone_to_owned().map_err(failure)?.into();
        let is_terminal = stdout.is_terminal();
        Ok(Self {
            file,
            buffer: Vec::with_capacity(BUFFER + 4096),
            is_terminal,
        })
    }

    /// Whether somebody looks at it.
    pub(crate) const fn is_terminal(&self) -> bool {
        self.is_terminal
    }

    /// What is appended here is written sooner or later.
    pub(crate) const fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.buffer
    }

    /// Writes if there is enough to be worth it.
    pub(crate) fn spill(&mut self) -> Result<(), Failure> {
        if self.buffer.len() >= BUFFER {
            self.flush()
        } else {
            Ok(())
        }
    }

    /// Writes everything.
    pub(crate) fn flush(&mut self) -> Result<(), Failure> {
        let result = self.file.write_all(&self.buffer);
        self.buffer.clear();
        result.map_err(failure)
    }

    /// Appends text.
    pub(crate) fn text(&mut self, text: &str) -> Result<(), Failure> {
        self.buffer.extend_from_slice(text.as_bytes());
        self.spill()
    }
}

fn failure(error: io::Error) -> Failure {
    if error.kind() == io::ErrorKind::BrokenPipe {
        return Failure::new(CLOSED, "standard output was closed", "");
    }
    Failure::new(
        "output-failed",
        format!("cannot write to standard output: {error}"),
        "check the space left where it goes to",
    )
}

/// Prints one line.
pub(crate) fn print_line(text: &str) -> Result<(), Failure> {
    let mut out = Output::stdout()?;
    out.text(text)?;
    out.text("\n")?;
    out.flush()
}
