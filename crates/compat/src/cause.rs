//! Which program made an event happen: all that the kernel tells is the port of its netlink socket.

use std::fs;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;

/// `NETLINK_NETFILTER`
const NETFILTER: &str = "12";

/// The programs behind netlink ports. A port is mostly the number of its process, but not for a process's
/// second socket, nor for a process of another process namespace; so it is looked up which socket has
/// it, and who has that socket open.
#[derive(Debug)]
pub(crate) struct Causes {
    /// Whether the ports are those of this process's network namespace, of which /proc tells.
    is_own: bool,
    last: Option<Cause>,
    /// Whether the last one was looked up for an event that came together with the next.
    is_fresh: bool,
}

#[derive(Debug)]
struct Cause {
    port: u32,
    /// The socket's number. A port is given again, this is not.
    socket: Option<String>,
    name: Option<Vec<u8>>,
}

impl Causes {
    pub(crate) const fn new(is_own: bool) -> Self {
        Self {
            is_own,
            last: None,
            is_fresh: false,
        }
    }

    /// Writes what is known of a port.
    pub(crate) fn push(&mut self, out: &mut Vec<u8>, port: u32) {
        let _ = write!(out, " [USERSPACE] portid={port}");
        if self.is_own
            && let Some(name) = self.name(port)
        {
            out.extend_from_slice(b" progname=");
            out.extend_from_slice(name);
        }
    }

    /// Another socket may have the port of the last one from now on.
    pub(crate) const fn forget(&mut self) {
        self.is_fresh = false;
    }

    fn name(&mut self, port: u32) -> Option<&[u8]> {
        let last = self.last.as_ref().filter(|last| last.port == port);
        if !(self.is_fresh && last.is_some()) {
            let socket = socket_of(port);
            // A program that has ended since its last event is still the one that was found then.
            let is_known = last.is_some_and(|last| socket.is_none() || last.socket == socket);
            if !is_known {
                let name = socket.as_deref().and_then(|socket| owner(socket, port));
                self.last = Some(Cause { port, socket, name });
            }
            self.is_fresh = true;
        }
        self.last.as_ref()?.name.as_deref()
    }
}

/// The socket that has a port: `sk Eth Pid … Inode` of /proc/net/netlink.
fn socket_of(port: u32) -> Option<String> {
    let sockets = fs::read_to_string("/proc/net/netlink").ok()?;
    let port = port.to_string();
    sockets.lines().find_map(|line| {
        let mut columns = line.split_ascii_whitespace().skip(1);
        let is_it = columns.next() == Some(NETFILTER) && columns.next() == Some(&port);
        is_it.then(|| columns.last().map(str::to_owned))?
    })
}

/// The name of the program that has a socket open.
fn owner(socket: &str, port: u32) -> Option<Vec<u8>> {
    let link = format!("socket:[{socket}]");
    let likely = port.to_string();
    if has_open(&likely, &link) {
        return name(&likely);
    }
    fs::read_dir("/proc")
        .ok()?
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|process| process.bytes().all(|byte| byte.is_ascii_digit()))
        .find(|process| has_open(process, &link))
        .and_then(|process| name(&process))
}

fn has_open(process: &str, link: &str) -> bool {
    let Ok(files) = fs::read_dir(format!("/proc/{process}/fd")) else {
        return false;
    };
    files
        .filter_map(|file| fs::read_link(file.ok()?.path()).ok())
        .any(|target| target.as_os_str().as_bytes() == link.as_bytes())
}

fn name(process: &str) -> Option<Vec<u8>> {
    let mut name = fs::read(format!("/proc/{process}/comm")).ok()?;
    name.pop_if(|last| *last == b'\n');
    Some(name)
}
