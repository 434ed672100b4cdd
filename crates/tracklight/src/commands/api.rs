//! `tracklight api`: the connections contract for panels.

use std::ffi::OsStr;
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use ctnetlink::Namespace;
use engine::contract::{self, Reply, Setup};
use engine::{Config, Failure, Way};

use crate::cli::Global;
use crate::exit;

/// Which of the contract's two programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Call {
    /// Lists connections, protocols or statistics.
    Read,
    /// Deletes one connection or all.
    Delete,
}

/// Flags of `tracklight api`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Which of the contract's calls; the request is read from standard input
    call: Call,
}

/// The call whose name the program was started under: `…/connections/read`.
pub(crate) fn called_as() -> Option<Call> {
    let name = std::env::args_os().next()?;
    let path = std::env::var_os("PATH").unwrap_or_default();
    [started_as(&name, &path), std::env::current_exe().ok()]
        .into_iter()
        .flatten()
        .find_map(|path| call_of(&path))
}

/// `tracklight api`.
pub(crate) fn run(args: &Args, global: &Global) -> ExitCode {
    let setup = setup(
        global.config.as_deref(),
        global.netns.as_deref(),
        global.way(),
    );
    answer(args.call, setup)
}

/// One call under a panel's name for it: no flags, for panels give none.
pub(crate) fn run_call(call: Call) -> ExitCode {
    answer(call, setup(None, None, Way::Auto))
}

/// Where a program that was started by `name` lies. A shell that found it in `PATH` passes on the
/// bare name.
fn started_as(name: &OsStr, path: &OsStr) -> Option<PathBuf> {
    if Path::new(name).components().count() == 1 && !name.as_encoded_bytes().contains(&b'/') {
        return std::env::split_paths(path)
            .map(|folder| folder.join(name))
            .find(|file| is_program(file))
            .and_then(|file| std::path::absolute(file).ok());
    }
    std::path::absolute(name).ok()
}

fn is_program(file: &Path) -> bool {
    file.metadata()
        .is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
}

/// The call that a program at this place answers.
fn call_of(file: &Path) -> Option<Call> {
    if file.parent()?.file_name()? != "connections" {
        return None;
    }
    match file.file_name()?.to_str()? {
        "read" => Some(Call::Read),
        "delete" => Some(Call::Delete),
        _ => None,
    }
}

fn setup(config: Option<&Path>, netns: Option<&str>, way: Way) -> Result<Setup, Failure> {
    Ok(Setup {
        config: Config::load(config)?,
        namespace: netns.map(Namespace::parse).transpose()?,
        way,
        history: None,
    })
}

/// Standard input to standard output.
fn answer(call: Call, setup: Result<Setup, Failure>) -> ExitCode {
    let reply = match (setup, contract::read_input(io::stdin().lock())) {
        (Err(failure), _) => contract::refuse(failure),
        (Ok(_), Err(_)) => contract::refuse_input(),
        (Ok(setup), Ok(input)) => match call {
            Call::Read => contract::read(&input, &setup),
            Call::Delete => contract::delete(&input, &setup),
        },
    };
    reply.notes().iter().for_each(|note| exit::note(note));
    match print(&reply) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            exit::note(&format!("cannot write to standard output: {error}"));
            ExitCode::FAILURE
        }
        _ if reply.is_ok() => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    }
}

fn print(reply: &Reply) -> io::Result<()> {
    let mut output = BufWriter::with_capacity(64 * 1024, io::stdout().lock());
    reply.write_to(&mut output)?;
    output.write_all(b"\n")?;
    output.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(name: &str) -> Option<Call> {
        started_as(OsStr::new(name), OsStr::new("/nonexistent")).and_then(|path| call_of(&path))
    }

    #[test]
    fn a_link_in_a_folder_named_connections_is_a_call() {
        assert_eq!(call("/usr/libexec/api/connections/read"), Some(Call::Read));
        assert_eq!(call("api/connections/delete"), Some(Call::Delete));
        assert_eq!(call("connections/./delete"), Some(Call::Delete));
    }

    #[test]
    fn any_other_name_or_folder_is_not() {
        for name in [
            "tracklight",
            "/usr/bin/read",
            "/usr/bin/connections",
            "/usr/libexec/api/connections/update",
            "/usr/libexec/api/Connections/read",
            "/usr/libexec/api/connections/read/x",
            "read",
            "delete",
            "",
            "/",
        ] {
            assert_eq!(call(name), None, "{name}");
        }
    }

    #[test]
    fn a_bare_name_is_where_the_shell_found_it() {
        let root = std::env::temp_dir().join(format!("tracklight-called-{}", std::process::id()));
        let folder = root.join("connections");
        std::fs::create_dir_all(&folder).unwrap();
        let program = folder.join("read");
        std::fs::write(&program, "").unwrap();
        let path = folder.clone().into_os_string();
        let unfit = started_as(OsStr::new("read"), &path);
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
        let found = started_as(OsStr::new("read"), &path);
        std::fs::remove_dir_all(&root).unwrap();
        assert_eq!(unfit, None);
        assert_eq!(found.as_deref().and_then(call_of), Some(Call::Read));
    }
}
