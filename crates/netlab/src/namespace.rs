//! The only file with unsafe code: unshare(2), and setns(2) between fork and exec.
#![allow(unsafe_code)]

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::panic;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, mpsc};
use std::thread::{self, JoinHandle};

use rustix::io::Errno;
use rustix::thread::{LinkNameSpaceType, UnshareFlags, move_into_link_name_space};

use crate::error::{Error, Result};

/// Where the system's programs are; a plain user's PATH often lacks these folders.
const SYSTEM_FOLDERS: &str = "/usr/local/sbin:/usr/sbin:/sbin";

/// A network namespace without a name.
///
/// It is held by a file descriptor only: no bind mount, nothing in /run/netns. The kernel frees it, with
/// its devices, rules and tracked connections, when the last descriptor, socket, thread and process in it
/// is gone; a killed process leaves nothing behind.
#[derive(Debug)]
pub struct Namespace {
    fd: Arc<OwnedFd>,
}

impl Namespace {
    /// Makes a new, empty network namespace: loopback is down, nothing is tracked.
    ///
    /// # Errors
    ///
    /// [`Error::NotPermitted`] without CAP_SYS_ADMIN (see [`crate::enter_user_namespace`]),
    /// [`Error::NamespaceLimit`] when the user has as many as `user.max_net_namespaces` allows.
    pub fn new() -> Result<Self> {
        let fd = on_thread(|| {
            unshare(UnshareFlags::NEWNET)?;
            // Of the thread, not of the process: /proc/self is the main thread's.
            File::open("/proc/thread-self/ns/net").map(OwnedFd::from)
        })?
        .map_err(|cause| match Errno::from_io_error(&cause) {
            Some(Errno::NOSPC) => Error::NamespaceLimit { cause },
            _ => Error::system("create a network namespace", cause),
        })?;
        Ok(Self { fd: Arc::new(fd) })
    }

    /// Runs a closure on a fresh thread inside the namespace and gives back its result.
    ///
    /// A socket that the closure opens belongs to the namespace for good, wherever it is used later.
    /// Files of the namespace are under /proc/thread-self/net and /proc/sys/net; /proc/net and
    /// /proc/self/net are those of the process's main thread. A panic of the closure goes on in the caller.
    ///
    /// # Errors
    ///
    /// When no thread could be started, or the namespace not be entered.
    pub fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T> {
        on_thread(|| enter(&self.fd).map(|()| work()))?
            .map_err(|cause| Error::system("enter a network namespace", cause))
    }

    /// Starts a named thread inside the namespace, which lives as long as the thread does.
    ///
    /// # Errors
    ///
    /// When no thread could be started, or the namespace not be entered.
    pub fn spawn(
        &self,
        name: &str,
        work: impl FnOnce() + Send + 'static,
    ) -> Result<JoinHandle<()>> {
        let fd = Arc::clone(&self.fd);
        let (tell, entered) = mpsc::sync_channel(1);
        let body = move || {
            let entry = enter(&fd);
            // The thread itself holds the namespace now.
            drop(fd);
            let inside = entry.is_ok();
            if tell.send(entry).is_ok() && inside {
                work();
            }
        };
        let thread = thread::Builder::new()
            .name(name.to_owned())
            .spawn(body)
            .map_err(|cause| Error::system("start a thread", cause))?;
        match entered.recv() {
            Ok(Ok(())) => Ok(thread),
            Ok(Err(cause)) => Err(Error::system("enter a network namespace", cause)),
            Err(_) => unreachable!("the thread tells how it entered before it can end"),
        }
    }

    /// A program that will start inside the namespace, whichever thread starts it.
    ///
    /// It is looked for in PATH and in the system folders (/usr/sbin, …).
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let fd = Arc::clone(&self.fd);
        let mut command = Command::new(program);
        command.env("PATH", search_path());
        // SAFETY: the closure runs in the forked child, where only async-signal-safe work is sound. It does
        // one system call on a descriptor that it owns a share of (so that the descriptor is open), and
        // makes an io::Error from an errno, which allocates nothing.
        unsafe {
            command.pre_exec(move || enter(&fd));
        }
        command
    }

    /// As [`command`](Self::command), for a program that must not outlive us: the kernel ends it when the
    /// thread that started it is gone, however that came about.
    pub fn bound_command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = self.command(program);
        bind_to_us(&mut command);
        command
    }

    /// A path that names the namespace for other programs while this value lives:
    /// `ip link set eth0 netns PATH`, `nsenter --net=PATH`.
    ///
    /// Only programs of the same user that see the same /proc can open it.
    pub fn path(&self) -> PathBuf {
        PathBuf::from(format!(
            "/proc/{}/fd/{}",
            std::process::id(),
            self.fd.as_raw_fd()
        ))
    }

    /// Writes a kernel setting of the namespace, named by its path under /proc/sys:
    /// `sysctl("net/netfilter/nf_conntrack_acct", "1")`.
    ///
    /// # Errors
    ///
    /// [`Error::Sysctl`] where there is no such setting, it may not be written, or the value is refused.
    pub fn sysctl(&self, name: &str, value: &str) -> Result<()> {
        self.sysctls(&[(name, value)])
    }

    /// Writes several kernel settings in order; stops at the first that fails.
    ///
    /// # Errors
    ///
    /// As [`Namespace::sysctl`].
    pub fn sysctls(&self, settings: &[(&str, &str)]) -> Result<()> {
        self.run(|| {
            settings.iter().try_for_each(|(name, value)| {
                // Not fs::write: it would create what is missing, and give EACCES for an unknown name.
                fs::OpenOptions::new()
                    .write(true)
                    .open(sysctl_path(name))
                    .and_then(|mut file| io::Write::write_all(&mut file, value.as_bytes()))
                    .map_err(|cause| Error::Sysctl {
                        name: (*name).to_owned(),
                        cause,
                    })
            })
        })?
    }

    /// Reads a kernel setting of the namespace, without the newline at its end.
    ///
    /// # Errors
    ///
    /// [`Error::Sysctl`] where there is no such setting or it may not be read.
    pub fn read_sysctl(&self, name: &str) -> Result<String> {
        self.run(|| fs::read_to_string(sysctl_path(name)))?
            .map(|text| text.trim_end().to_owned())
            .map_err(|cause| Error::Sysctl {
                name: name.to_owned(),
                cause,
            })
    }

    /// How many entries the namespace's conntrack table has, by the kernel's own counter.
    ///
    /// # Errors
    ///
    /// [`Error::Sysctl`] where the kernel does not track or hides the counter.
    pub fn conntrack_count(&self) -> Result<usize> {
        let name = "net/netfilter/nf_conntrack_count";
        self.read_sysctl(name)?.parse().map_err(|_| Error::Sysctl {
            name: name.to_owned(),
            cause: io::Error::new(io::ErrorKind::InvalidData, "not a number"),
        })
    }
}

impl AsFd for Namespace {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Takes the calling process out of its user namespace into a new one, where it has all capabilities but
/// no identity yet. EINVAL with more than one thread.
pub(crate) fn unshare_user() -> io::Result<()> {
    unshare(UnshareFlags::NEWUSER)
}

fn unshare(flags: UnshareFlags) -> io::Result<()> {
    debug_assert!(!flags.contains(UnshareFlags::FILES));
    // SAFETY: unshare is unsound only with CLONE_FILES, after which the descriptors of this thread and
    // those of others are no longer the same; the callers in this file never pass it.
    unsafe { rustix::thread::unshare_unsafe(flags) }?;
    Ok(())
}

fn enter(namespace: &OwnedFd) -> io::Result<()> {
    Ok(move_into_link_name_space(
        namespace.as_fd(),
        Some(LinkNameSpaceType::Network),
    )?)
}

/// A thread that is thrown away: it may change its namespace without a way back.
fn on_thread<T: Send>(work: impl FnOnce() -> T + Send) -> Result<T> {
    thread::scope(|scope| {
        let thread = thread::Builder::new()
            .name("netlab".to_owned())
            .spawn_scoped(scope, work)
            .map_err(|cause| Error::system("start a thread", cause))?;
        Ok(thread
            .join()
            .unwrap_or_else(|panic| panic::resume_unwind(panic)))
    })
}

fn sysctl_path(name: &str) -> PathBuf {
    Path::new("/proc/sys").join(name)
}

fn search_path() -> OsString {
    let mut path = std::env::var_os("PATH").unwrap_or_default();
    if !path.is_empty() {
        path.push(":");
    }
    path.push(SYSTEM_FOLDERS);
    path
}

/// A program that is ended (SIGTERM) when the thread that starts it is gone, however that comes about.
pub fn bind_to_us(command: &mut Command) {
    // SAFETY: the closure runs in the forked child. It makes one system call and, on failure, an io::Error
    // from an errno, which allocates nothing.
    unsafe {
        command.pre_exec(|| {
            rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::TERM))
                .map_err(io::Error::from)
        });
    }
}
