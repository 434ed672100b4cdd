use std::io::{self, Write};
use std::process::{Command, Stdio};

use crate::error::{Error, Result};
use crate::namespace::Namespace;

/// The Debian packages of the programs that this crate and its users run.
const PACKAGES: [(&str, &str); 5] = [
    ("ip", "iproute2"),
    ("ss", "iproute2"),
    ("nft", "nftables"),
    ("conntrack", "conntrack"),
    ("nsenter", "util-linux"),
];

impl Namespace {
    /// Runs a program inside the namespace to its end, with `input` on its standard input, and gives
    /// back what it wrote on standard output.
    ///
    /// # Errors
    ///
    /// [`Error::ProgramMissing`] names the package to install; [`Error::ProgramFailed`] has the program's
    /// own words.
    pub fn output(&self, program: &str, arguments: &[&str], input: &str) -> Result<String> {
        let mut command = self.command(program);
        command.args(arguments);
        complete(command, input)
    }

    /// Runs a batch of `ip` commands, one a line, in one process. Stops at the first that fails.
    ///
    /// # Errors
    ///
    /// As [`Namespace::output`].
    pub fn ip(&self, batch: &str) -> Result<()> {
        self.output("ip", &["-batch", "-"], batch).map(drop)
    }

    /// Loads an nftables ruleset: all of it or, if any of it is wrong, nothing.
    ///
    /// # Errors
    ///
    /// As [`Namespace::output`].
    pub fn nft(&self, ruleset: &str) -> Result<()> {
        self.output("nft", &["-f", "-"], ruleset).map(drop)
    }
}

fn complete(mut command: Command, input: &str) -> Result<String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|cause| not_started(&name, cause))?;
    let mut pipe = child.stdin.take().expect("standard input was asked for");
    // Another thread, so that a program that answers before it has read all cannot block us.
    let output = std::thread::scope(|scope| {
        scope.spawn(move || {
            // A program that ends early says why itself, on standard error.
            let _ = pipe.write_all(input.as_bytes());
        });
        child.wait_with_output()
    })
    .map_err(|cause| Error::system(format!("wait for `{name}`"), cause))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let arguments: Vec<_> = command
        .get_args()
        .map(|argument| argument.to_string_lossy())
        .collect();
    Err(Error::ProgramFailed {
        program: format!("{name} {}", arguments.join(" "))
            .trim_end()
            .to_owned(),
        status: output.status,
        message: String::from_utf8_lossy(&output.stderr).trim().to_owned(),
    })
}

fn not_started(name: &str, cause: io::Error) -> Error {
    if cause.kind() != io::ErrorKind::NotFound {
        return Error::system(format!("start `{name}`"), cause);
    }
    let package = PACKAGES
        .iter()
        .find(|(program, _)| *program == name)
        .map(|(_, package)| *package);
    Error::ProgramMissing {
        program: name.to_owned(),
        package,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_program_names_its_package() {
        let error = not_started("nft", io::ErrorKind::NotFound.into());
        assert_eq!(error.code(), "program_missing");
        assert!(
            error.hint().contains("apt install nftables"),
            "{}",
            error.hint()
        );
    }

    #[test]
    fn a_program_that_may_not_be_run_is_not_called_missing() {
        let error = not_started("nft", io::ErrorKind::PermissionDenied.into());
        assert_eq!(error.code(), "not_permitted");
    }
}
