//! Network namespaces: each has a table of its own.
#![allow(unsafe_code)]

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::Error;

/// A network namespace that sockets can be opened in.
///
/// It is entered by a thread of its own that is thrown away, so the caller's threads never
/// change theirs.
#[derive(Debug)]
pub struct Namespace {
    file: File,
    path: PathBuf,
}

impl Namespace {
    /// A namespace that `ip netns add NAME` made.
    pub fn by_name(name: &str) -> Result<Self, Error> {
        let path = Path::new("/run/netns").join(name);
        if name.is_empty() || name.contains('/') || name == ".." || name == "." {
            return Err(Error::Namespace {
                path,
                source: io::Error::new(io::ErrorKind::InvalidInput, "not a namespace's name"),
            });
        }
        Self::by_path(&path)
    }

    /// The namespace of a running process.
    pub fn by_pid(pid: u32) -> Result<Self, Error> {
        Self::by_path(Path::new(&format!("/proc/{pid}/ns/net")))
    }

    /// A namespace by its file.
    pub fn by_path(path: &Path) -> Result<Self, Error> {
        let at = |source| Error::Namespace {
            path: path.to_owned(),
            source,
        };
        let file = File::open(path).map_err(at)?;
        if namespace_type(&file).map_err(at)? != libc::CLONE_NEWNET {
            return Err(at(io::Error::new(
                io::ErrorKind::InvalidInput,
                "not a network namespace",
            )));
        }
        Ok(Self {
            file,
            path: path.to_owned(),
        })
    }

    /// A name, a path (anything with a slash), or a process's number.
    ///
    /// A name made only of digits is taken as a process, as `ip netns` takes it, unless there is
    /// a namespace of that name.
    pub fn parse(text: &str) -> Result<Self, Error> {
        if text.contains('/') {
            return Self::by_path(Path::new(text));
        }
        match (Self::by_name(text), text.parse()) {
            (Err(_), Ok(pid)) => Self::by_pid(pid),
            (result, _) => result,
        }
    }

    /// The namespace that the calling thread is in.
    pub fn current() -> Result<Self, Error> {
        Self::by_path(Path::new("/proc/thread-self/ns/net"))
    }

    /// A new, empty namespace without a name; it goes when the last descriptor of it does.
    ///
    /// Needs `CAP_SYS_ADMIN`.
    pub fn scratch() -> Result<Self, Error> {
        let path = PathBuf::from("(new)");
        on_a_thread(|| {
            // SAFETY: unshare(2) takes no pointers and changes this thread only, which does
            // nothing else.
            if unsafe { libc::unshare(libc::CLONE_NEWNET) } < 0 {
                return Err(io::Error::last_os_error());
            }
            File::open("/proc/thread-self/ns/net")
        })
        .map(|file| Self {
            file,
            path: path.clone(),
        })
        .map_err(|source| Error::Namespace { path, source })
    }

    /// Runs `work` inside the namespace, on a thread of its own, and gives back what it gives.
    pub fn run<T: Send>(&self, work: impl FnOnce() -> io::Result<T> + Send) -> Result<T, Error> {
        on_a_thread(|| {
            // SAFETY: setns(2) takes no pointers and changes this thread only.
            if unsafe { libc::setns(self.file.as_raw_fd(), libc::CLONE_NEWNET) } < 0 {
                return Err(io::Error::last_os_error());
            }
            work()
        })
        .map_err(|source| Error::Namespace {
            path: self.path.clone(),
            source,
        })
    }

    /// Whether it is the calling thread's.
    pub fn is_current(&self) -> Result<bool, Error> {
        self.is_at(Path::new("/proc/thread-self/ns/net"))
    }

    /// Whether the file by which it was opened is still this namespace: one that is deleted and made
    /// anew under its name is another, and the old one lives on for who holds it. An error if there is no such
    /// file any more.
    pub fn is_at_its_path(&self) -> Result<bool, Error> {
        self.is_at(&self.path)
    }

    fn is_at(&self, path: &Path) -> Result<bool, Error> {
        let identity = |file: io::Result<std::fs::Metadata>| {
            file.map(|file| (file.dev(), file.ino()))
                .map_err(|source| Error::Namespace {
                    path: self.path.clone(),
                    source,
                })
        };
        Ok(identity(self.file.metadata())? == identity(std::fs::metadata(path))?)
    }

    /// The file by which it was opened.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Another handle of the same namespace.
    pub fn try_clone(&self) -> Result<Self, Error> {
        self.file
            .try_clone()
            .map(|file| Self {
                file,
                path: self.path.clone(),
            })
            .map_err(|source| Error::Namespace {
                path: self.path.clone(),
                source,
            })
    }
}

fn on_a_thread<T: Send>(work: impl FnOnce() -> io::Result<T> + Send) -> io::Result<T> {
    std::thread::scope(|scope| {
        std::thread::Builder::new()
            .name("netns".to_owned())
            .spawn_scoped(scope, work)?
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// The kind of namespace behind a descriptor, as its `CLONE_NEW…` flag; an error for a file that
/// is none.
fn namespace_type(file: &File) -> io::Result<libc::c_int> {
    const NS_GET_NSTYPE: libc::c_ulong = 0xb703;
    // SAFETY: this request takes no argument and returns the type.
    let kind = unsafe { libc::ioctl(file.as_raw_fd(), NS_GET_NSTYPE as _) };
    if kind < 0 {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "not a namespace",
        ));
    }
    Ok(kind)
}
