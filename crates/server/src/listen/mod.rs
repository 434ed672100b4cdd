//! Where the daemon listens.

mod activity;
mod connections;
mod places;
mod tls;

use std::fs;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use engine::Failure;
use engine::config::Server;

pub use connections::{Limits, serve};
pub use places::Place;
pub(crate) use places::network;
pub use tls::Tls;

/// Sockets that are listened on.
#[derive(Debug, Default)]
pub struct Listeners {
    /// Over TCP.
    pub tcp: Vec<TcpListener>,
    /// In the file system; its path, if we made it.
    pub unix: Vec<(UnixListener, Option<SocketFile>)>,
}

/// A socket's file, which goes with it.
#[derive(Debug)]
pub struct SocketFile {
    path: PathBuf,
    /// Another daemon may have put its own there since.
    id: Id,
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if fs::symlink_metadata(&self.path).is_ok_and(|data| id(&data) == self.id) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Device, inode and time of change: numbers of inodes are used again.
type Id = (u64, u64, i64, i64);

fn id(data: &fs::Metadata) -> Id {
    (data.dev(), data.ino(), data.ctime(), data.ctime_nsec())
}

impl Listeners {
    /// Those that a service manager hands over, else those of the configuration.
    pub fn open(server: &Server) -> Result<Self, Failure> {
        let mut listeners = Self::inherited()?;
        if listeners.tcp.is_empty() && listeners.unix.is_empty() {
            for address in &server.listen {
                listeners.tcp.push(bind(*address)?);
            }
            if !server.socket.as_os_str().is_empty() {
                let (socket, file) = bind_unix(&server.socket)?;
                listeners.unix.push((socket, Some(file)));
            }
        }
        if server.tls_certificate.is_none() && !server.allow_plain_http {
            for listener in &listeners.tcp {
                let address = listener
                    .local_addr()
                    .map_err(|error| failed("TCP", &error))?;
                if !address.ip().to_canonical().is_loopback() {
                    return Err(Failure::new(
                        "plain-http",
                        format!(
                            "{address} can be reached by others, and there is no TLS: tokens could be read on the way"
                        ),
                        "set server.tls-certificate and server.tls-key, listen on 127.0.0.1 only, or say \
                         --allow-plain-http where something else encrypts",
                    ));
                }
            }
        }
        if listeners.tcp.is_empty() && listeners.unix.is_empty() {
            return Err(Failure::new(
                "usage",
                "there is nowhere to listen",
                "name an address in server.listen, or a path in server.socket",
            ));
        }
        Ok(listeners)
    }

    /// `LISTEN_FDS`, as systemd hands sockets over.
    fn inherited() -> Result<Self, Failure> {
        let mut fds = listenfd::ListenFd::from_env();
        let mut listeners = Self::default();
        for index in 0..fds.len() {
            if let Ok(Some(listener)) = fds.take_tcp_listener(index) {
                listeners.tcp.push(listener);
            } else if let Ok(Some(listener)) = fds.take_unix_listener(index) {
                listeners.unix.push((listener, None));
            } else {
                return Err(Failure::new(
                    "usage",
                    format!(
                        "socket {index} that was handed over is neither TCP nor a stream in the file system"
                    ),
                    "see the ListenStream= lines of the socket unit",
                ));
            }
        }
        Ok(listeners)
    }

    /// Addresses of those over TCP.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        let addresses = self.tcp.iter().map(TcpListener::local_addr);
        addresses.filter_map(Result::ok).collect()
    }
}

/// Where browsers find the daemon that listens on an address.
pub fn base(server: &Server, address: SocketAddr) -> String {
    if let Some(origin) = &server.origin {
        return origin.as_str().to_owned();
    }
    let scheme = match server.tls_certificate {
        Some(_) => "https",
        None => "http",
    };
    // What stands for every address is none that a browser can open.
    let reachable: SocketAddr = match address {
        SocketAddr::V4(v4) if v4.ip().is_unspecified() => (Ipv4Addr::LOCALHOST, v4.port()).into(),
        SocketAddr::V6(v6) if v6.ip().is_unspecified() => (Ipv6Addr::LOCALHOST, v6.port()).into(),
        other => other,
    };
    format!("{scheme}://{reachable}")
}

fn bind(address: SocketAddr) -> Result<TcpListener, Failure> {
    TcpListener::bind(address).map_err(|error| {
        let hint = match error.kind() {
            io::ErrorKind::AddrInUse => {
                "another program listens there, perhaps another tracklight: ss -ltnp tells which; \
                 choose another port with --listen"
            }
            io::ErrorKind::PermissionDenied => "ports below 1024 need CAP_NET_BIND_SERVICE",
            _ => "see that the address is one of this machine's",
        };
        let code = match error.kind() {
            io::ErrorKind::AddrInUse => "address-in-use",
            _ => "cannot-listen",
        };
        Failure::new(code, format!("cannot listen on {address}: {error}"), hint)
    })
}

/// A socket that is its owner's only from its first moment on: it is made in a folder that nobody
/// else may enter, and moved.
fn bind_unix(path: &Path) -> Result<(UnixListener, SocketFile), Failure> {
    let failed = |error: &io::Error| failed(&path.display().to_string(), error);
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    if !folder.exists() {
        let mut builder = fs::DirBuilder::new();
        builder.recursive(true).mode(0o755);
        builder.create(folder).map_err(|error| failed(&error))?;
    }
    clear(path)?;
    let private = folder.join(format!(".tracklight-{}", std::process::id()));
    let mut builder = fs::DirBuilder::new();
    builder.mode(0o700);
    builder.create(&private).map_err(|error| failed(&error))?;
    let made = (|| {
        let inside = private.join("socket");
        let listener = UnixListener::bind(&inside)?;
        fs::set_permissions(&inside, fs::Permissions::from_mode(0o600))?;
        fs::rename(&inside, path)?;
        // Now that nothing of it changes any more.
        Ok((listener, id(&fs::symlink_metadata(path)?)))
    })();
    let _ = fs::remove_dir_all(&private);
    let (listener, id) = made.map_err(|error: io::Error| failed(&error))?;
    let path = path.to_owned();
    Ok((listener, SocketFile { path, id }))
}

/// Takes away the socket that a daemon left which was killed, and nothing else.
fn clear(path: &Path) -> Result<(), Failure> {
    let data = match fs::symlink_metadata(path) {
        Ok(data) => data,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed(&path.display().to_string(), &error)),
    };
    let shown = path.display();
    if !data.file_type().is_socket() {
        return Err(Failure::new(
            "cannot-listen",
            format!("{shown} is there already, and is no socket"),
            "choose another path with --socket, or move it away",
        ));
    }
    match UnixStream::connect(path) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            fs::remove_file(path).map_err(|error| failed(&shown.to_string(), &error))
        }
        Ok(_) => Err(Failure::new(
            "address-in-use",
            format!("another program listens on {shown}"),
            "end it, or choose another path with --socket",
        )),
        // Too many wait there, it is another kind of socket, or somebody else's.
        Err(error) => Err(Failure::new(
            "address-in-use",
            format!("another program may listen on {shown}: {error}"),
            "see what it is (ss -lxp), or choose another path with --socket",
        )),
    }
}

fn failed(place: &str, error: &io::Error) -> Failure {
    Failure::new(
        "cannot-listen",
        format!("cannot listen on {place}: {error}"),
        "see who owns the folder; --socket chooses another path",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(address: &str) -> Server {
        Server {
            listen: vec![address.parse().unwrap()],
            socket: PathBuf::new(),
            ..Server::default()
        }
    }

    #[test]
    fn an_address_that_others_reach_needs_tls_or_a_word() {
        assert!(Listeners::open(&server("127.0.0.1:0")).is_ok());
        let failure = Listeners::open(&server("0.0.0.0:0")).unwrap_err();
        assert_eq!(failure.code, "plain-http");
        let said = Server {
            allow_plain_http: true,
            ..server("0.0.0.0:0")
        };
        assert!(Listeners::open(&said).is_ok());
    }

    #[test]
    fn a_port_that_is_taken_is_told() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = taken.local_addr().unwrap().to_string();
        let failure = Listeners::open(&server(&address)).unwrap_err();
        assert_eq!(failure.code, "address-in-use");
        assert!(failure.message.contains(&address), "{failure}");
    }

    #[test]
    fn the_socket_is_its_owners_and_one_that_is_left_over_is_no_hindrance() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new/socket");
        let (first, file) = bind_unix(&path).unwrap();
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(bind_unix(&path).unwrap_err().code, "address-in-use");
        drop(first);
        std::mem::forget(file);
        let (second, file) = bind_unix(&path).unwrap();
        drop(file);
        assert!(!path.exists());
        // Another one's, which came to the same place, stays.
        let (third, file) = bind_unix(&path).unwrap();
        drop((second, third));
        let (_fourth, others) = bind_unix(&path).unwrap();
        drop(file);
        assert!(path.exists());
        drop(others);
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 0);
    }

    #[test]
    fn what_is_no_socket_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notes");
        fs::write(&path, "mine").unwrap();
        let dangling = folder.path().join("link");
        std::os::unix::fs::symlink(folder.path().join("nowhere"), &dangling).unwrap();
        for place in [&path, &dangling, &folder.path().to_owned()] {
            let failure = bind_unix(place).unwrap_err();
            assert_eq!(failure.code, "cannot-listen", "{failure}");
        }
        assert_eq!(fs::read_to_string(&path).unwrap(), "mine");
        assert!(dangling.is_symlink());
    }
}
