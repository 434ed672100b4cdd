//! Gives up what the daemon does not need, so that whoever gets hold of it has as little.
//!
//! What is given up is each thread's own: both functions have to run before other threads are made,
//! which then have as little, and they refuse when there are others already.

use std::collections::HashSet;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use caps::{CapSet, Capability};
use engine::Failure;
use landlock::{
    ABI, Access, AccessFs, BitFlags, PathBeneath, PathFd, Ruleset, RulesetAttr, RulesetCreated,
    RulesetCreatedAttr, RulesetStatus,
};

/// What the daemon works with: the table, the BPF walk of it, and the addresses of the kernel's
/// symbols for that.
const NEEDED: [Capability; 4] = [
    Capability::CAP_NET_ADMIN,
    Capability::CAP_BPF,
    Capability::CAP_PERFMON,
    Capability::CAP_SYSLOG,
];

/// What is read besides the files that are named: the kernel's settings and statistics, types for
/// BPF, the resolver's configuration, which may be a link into /run, time zones, names of services,
/// and network namespaces by name.
const READ: [&str; 10] = [
    "/proc",
    "/sys",
    "/etc",
    "/usr",
    "/dev",
    "/run/systemd",
    "/run/netns",
    "/run/resolvconf",
    "/run/NetworkManager",
    "/var/lib/misc",
];

/// The newest interface of Landlock that is used, of Linux 6.10; older ones do with what they have.
const LANDLOCK: ABI = ABI::V5;

/// How long a thread may take to be gone.
const ENDING: Duration = Duration::from_secs(1);

/// Which files the daemon needs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Paths {
    /// Files and folders that are read: the configuration, certificates. Of a file its folder is
    /// read, since a new version is often another file by the same name.
    pub read: Vec<PathBuf>,
    /// Folders in which files are made, written and removed: that of the state, and that of the
    /// socket. They have to exist.
    pub write: Vec<PathBuf>,
}

/// How far Landlock holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Landlock {
    /// Everything that was asked for.
    Full,
    /// What this kernel can.
    Partial,
    /// Nothing: the kernel has no Landlock, or it is switched off.
    Absent,
}

impl fmt::Display for Landlock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full => "files are confined by Landlock",
            Self::Partial => "files are confined by Landlock as far as this kernel can",
            Self::Absent => "files are not confined: this kernel has no Landlock",
        })
    }
}

/// Drops every capability but those that the daemon needs, for good: no program that it starts gets
/// any back. With `needs_admin`, CAP_SYS_ADMIN stays, by which other network namespaces are entered.
///
/// Gives the names of those that are left; the daemon may have had fewer. Fails with
/// `confine-failed`.
pub fn drop_capabilities(needs_admin: bool) -> Result<Vec<String>, Failure> {
    refuse_threads()?;
    let failed = |error: &dyn fmt::Display| failure("cannot drop capabilities", error);
    let read = |set| caps::read(None, set).map_err(|error| failed(&error));
    let admin = needs_admin.then_some(Capability::CAP_SYS_ADMIN);
    let needed: HashSet<Capability> = NEEDED.into_iter().chain(admin).collect();
    // Only who may set capabilities may take them from the bounding set; for others, no_new_privs
    // has the same effect.
    if read(CapSet::Effective)?.contains(&Capability::CAP_SETPCAP) {
        for capability in read(CapSet::Bounding)?.difference(&needed) {
            caps::drop(None, CapSet::Bounding, *capability).map_err(|error| failed(&error))?;
        }
    }
    let kept = &read(CapSet::Permitted)? & &needed;
    caps::clear(None, CapSet::Ambient).map_err(|error| failed(&error))?;
    for (set, value) in [
        (CapSet::Inheritable, &HashSet::new()),
        (CapSet::Effective, &kept),
        (CapSet::Permitted, &kept),
    ] {
        caps::set(None, set, value).map_err(|error| failed(&error))?;
    }
    rustix::thread::set_no_new_privs(true).map_err(|error| failed(&error))?;
    let mut names: Vec<String> = kept.iter().map(ToString::to_string).collect();
    names.sort_unstable();
    Ok(names)
}

/// Leaves only the files that the daemon needs: those of `paths`, and what it reads of the system.
///
/// Network namespaces can be opened as before by name, and the daemon's own; those of other
/// processes (`/proc/PID/ns/net`) have to be opened before. Connections and programs are no files:
/// what is done with sockets stays as it is, and nothing can be executed.
///
/// Fails with `confine-failed`; not if the kernel has no Landlock, which the answer says.
pub fn landlock(paths: &Paths) -> Result<Landlock, Failure> {
    refuse_threads()?;
    let failed = |error: &dyn fmt::Display| failure("cannot confine files", error);
    let all = AccessFs::from_all(LANDLOCK);
    let read = AccessFs::ReadFile | AccessFs::ReadDir;
    let mut rules = Ruleset::default()
        .handle_access(all)
        .and_then(Ruleset::create)
        .map_err(|error| failed(&error))?;
    for path in readable(&paths.read) {
        rules = allow(rules, &path, read)?;
    }
    for path in &paths.write {
        let write = (all & !AccessFs::Execute) & !AccessFs::IoctlDev;
        rules = allow(rules, path, write)?;
    }
    // Where standard streams of programs that want none go to.
    let null = AccessFs::ReadFile | AccessFs::WriteFile;
    rules = allow(rules, Path::new("/dev/null"), null)?;
    let status = rules.restrict_self().map_err(|error| failed(&error))?;
    Ok(match status.ruleset {
        RulesetStatus::FullyEnforced => Landlock::Full,
        RulesetStatus::PartiallyEnforced => Landlock::Partial,
        RulesetStatus::NotEnforced => Landlock::Absent,
    })
}

fn allow(
    rules: RulesetCreated,
    path: &Path,
    access: BitFlags<AccessFs>,
) -> Result<RulesetCreated, Failure> {
    let failed =
        |error: &dyn fmt::Display| failure(&format!("cannot confine {}", path.display()), error);
    let fd = PathFd::new(path).map_err(|error| failed(&error))?;
    rules
        .add_rule(PathBeneath::new(fd, access))
        .map_err(|error| failed(&error))
}

/// The folders that are read, as far as they exist.
fn readable(named: &[PathBuf]) -> Vec<PathBuf> {
    let folder = |path: PathBuf| {
        if path.is_dir() {
            Some(path)
        } else {
            path.parent().map(Path::to_owned)
        }
    };
    let resolver = fs::canonicalize("/etc/resolv.conf").ok();
    let targets = named.iter().filter_map(|path| fs::canonicalize(path).ok());
    let mut folders: Vec<PathBuf> = READ
        .iter()
        .map(PathBuf::from)
        .chain(
            named
                .iter()
                .cloned()
                .chain(targets)
                .chain(resolver)
                .filter_map(folder),
        )
        .filter(|path| path.is_dir())
        .collect();
    folders.sort_unstable();
    folders.dedup();
    folders
}

/// Other threads would keep what this one gives up. One that has been joined is still there for a
/// moment.
fn refuse_threads() -> Result<(), Failure> {
    let count = || fs::read_dir("/proc/self/task").map_or(0, Iterator::count);
    let until = Instant::now() + ENDING;
    let mut threads = count();
    while threads > 1 && Instant::now() < until {
        std::thread::sleep(Duration::from_millis(1));
        threads = count();
    }
    if threads == 1 {
        return Ok(());
    }
    Err(failure(
        "cannot give up privileges",
        &format_args!("{threads} threads are running already"),
    ))
}

fn failure(what: &str, error: &dyn fmt::Display) -> Failure {
    Failure::new(
        "confine-failed",
        format!("{what}: {error}"),
        "see that /proc is mounted and that the folders of state and socket exist",
    )
}
