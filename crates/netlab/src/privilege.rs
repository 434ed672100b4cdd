use std::fs;
use std::io;

use rustix::io::Errno;
use rustix::process::{DumpableBehavior, getegid, geteuid, set_dumpable_behavior};
use rustix::thread::{CapabilitySet, capabilities};

use crate::error::{Error, Result};
use crate::namespace::unshare_user;

/// With what right this process makes namespaces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Privilege {
    /// It was root already (of the machine, of a container, or of a user namespace).
    Root,
    /// It is a plain user who is root in a user namespace of its own.
    UserNamespace,
}

/// Lets a plain user build networks: enters a new user namespace in which this user is root.
///
/// Does nothing for a process that is root with CAP_NET_ADMIN and CAP_SYS_ADMIN. Afterwards the process
/// keeps its files and its rights to them, and has no more rights over the machine than before: only what
/// belongs to namespaces that it makes from now on obeys it.
///
/// To be called first in main, while the process has one thread.
///
/// # Errors
///
/// [`Error::UserNamespaceForbidden`] with the reason where the machine's settings tell it, and
/// [`Error::ManyThreads`] when called too late.
pub fn enter_user_namespace() -> Result<Privilege> {
    if is_root()? {
        return Ok(Privilege::Root);
    }
    let (uid, gid) = (geteuid().as_raw(), getegid().as_raw());
    let threads = thread_count();
    if threads > 1 {
        return Err(Error::ManyThreads { threads });
    }
    // A program that gained capabilities from its file may not be dumpable (prctl(2), PR_SET_DUMPABLE;
    // not so on Linux 6.18), and then its /proc/self belongs to root.
    set_dumpable_behavior(DumpableBehavior::Dumpable)
        .map_err(|cause| Error::system("make this process's /proc/self its own", cause))?;
    unshare_user().map_err(forbidden)?;
    // In this order: an unprivileged user may map groups only after giving up setgroups(2).
    write_own("setgroups", "deny")?;
    write_own("uid_map", &format!("0 {uid} 1"))?;
    write_own("gid_map", &format!("0 {gid} 1"))?;
    Ok(Privilege::UserNamespace)
}

/// Root by user id too: a plain user's capabilities do not pass to the programs it starts.
fn is_root() -> Result<bool> {
    let needed = CapabilitySet::NET_ADMIN | CapabilitySet::SYS_ADMIN;
    let own = capabilities(None).map_err(|cause| Error::system("read own capabilities", cause))?;
    Ok(geteuid().is_root() && own.effective.contains(needed))
}

fn write_own(name: &str, text: &str) -> Result<()> {
    fs::write(format!("/proc/self/{name}"), text).map_err(forbidden)
}

fn thread_count() -> usize {
    fs::read_dir("/proc/self/task").map_or(1, Iterator::count)
}

fn forbidden(cause: io::Error) -> Error {
    let (reason, remedy) = Settings::read().explain(Errno::from_io_error(&cause));
    Error::UserNamespaceForbidden {
        reason,
        remedy,
        cause,
    }
}

/// What of the machine's settings can forbid user namespaces. `None`: no such setting, or unreadable.
#[derive(Debug, Default)]
struct Settings {
    /// kernel.unprivileged_userns_clone: Debian's and Arch's own switch.
    clone: Option<u64>,
    /// kernel.apparmor_restrict_unprivileged_userns: Ubuntu since 23.10.
    apparmor: Option<u64>,
    /// user.max_user_namespaces: the kernel's own limit.
    limit: Option<u64>,
    /// The kind of system call filter on this process; 2 is a filter program, as containers have.
    seccomp: Option<u64>,
}

impl Settings {
    fn read() -> Self {
        let number = |path: &str| fs::read_to_string(path).ok()?.trim().parse().ok();
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        Self {
            clone: number("/proc/sys/kernel/unprivileged_userns_clone"),
            apparmor: number("/proc/sys/kernel/apparmor_restrict_unprivileged_userns"),
            limit: number("/proc/sys/user/max_user_namespaces"),
            seccomp: status
                .lines()
                .find_map(|line| line.strip_prefix("Seccomp:"))
                .and_then(|mode| mode.trim().parse().ok()),
        }
    }

    /// The reason and the remedy.
    fn explain(&self, errno: Option<Errno>) -> (&'static str, &'static str) {
        if self.limit == Some(0) {
            return (
                "user.max_user_namespaces is 0",
                "As root: sysctl -w user.max_user_namespaces=10000. Or run it as root.",
            );
        }
        if errno == Some(Errno::NOSPC) {
            return (
                "the limit user.max_user_namespaces is reached, here or in an outer namespace",
                "As root: raise user.max_user_namespaces. Or run it as root.",
            );
        }
        if self.clone == Some(0) {
            return (
                "kernel.unprivileged_userns_clone is 0",
                "As root: sysctl -w kernel.unprivileged_userns_clone=1. Or run it as root.",
            );
        }
        if matches!(errno, Some(Errno::INVAL | Errno::NOSYS)) {
            return (
                "this kernel is built without user namespaces",
                "Run it as root.",
            );
        }
        if self.apparmor == Some(1) {
            return (
                "AppArmor restricts them (kernel.apparmor_restrict_unprivileged_userns is 1)",
                "Run it as root, or give this program an AppArmor profile that allows `userns`.",
            );
        }
        if self.seccomp == Some(2) {
            return (
                "a system call filter is on this process, as in most containers",
                "Run it outside the container, or in one with CAP_NET_ADMIN and CAP_SYS_ADMIN.",
            );
        }
        ("the kernel refuses", "Run it as root.")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_switch_that_forbids_is_named_in_reason_and_remedy() {
        let open = Settings {
            clone: Some(1),
            apparmor: Some(0),
            limit: Some(9),
            seccomp: Some(0),
        };
        let none = Settings {
            limit: Some(0),
            ..Settings::default()
        };
        let debian = Settings {
            clone: Some(0),
            limit: Some(9),
            ..Settings::default()
        };
        let ubuntu = Settings {
            apparmor: Some(1),
            limit: Some(9),
            ..Settings::default()
        };
        let container = Settings {
            seccomp: Some(2),
            limit: Some(9),
            ..Settings::default()
        };
        for (settings, errno, word) in [
            (&none, Errno::NOSPC, "max_user_namespaces"),
            (&open, Errno::NOSPC, "max_user_namespaces"),
            (&debian, Errno::PERM, "unprivileged_userns_clone"),
            (&ubuntu, Errno::PERM, "AppArmor"),
            (&ubuntu, Errno::ACCESS, "AppArmor"),
            (&container, Errno::PERM, "container"),
        ] {
            let (reason, remedy) = settings.explain(Some(errno));
            assert!(reason.contains(word), "{errno:?}: {reason}");
            assert!(remedy.contains(word), "{errno:?}: {remedy}");
        }
        assert_eq!(open.explain(Some(Errno::PERM)).0, "the kernel refuses");
    }
}
