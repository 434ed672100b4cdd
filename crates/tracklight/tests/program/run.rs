use std::process::{Command, Output, Stdio};

use ctnetlink::{Client, NewEntry, ProtoInfo, Protocol, Status, TcpInfo, TcpState, Tuple};
use testkit::Namespace;

/// What a run of the program left behind.
#[derive(Debug)]
pub struct Ran {
    pub status: i32,
    pub out: String,
    pub err: String,
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        Self {
            status: output.status.code().expect("ended by a signal"),
            out: String::from_utf8(output.stdout).expect("standard output is UTF-8"),
            err: String::from_utf8(output.stderr).expect("standard error is UTF-8"),
        }
    }
}

impl Ran {
    /// Asserts the exit status, showing everything if it is another.
    #[track_caller]
    pub fn exits(self, status: i32) -> Self {
        assert_eq!(self.status, status, "{self:#?}");
        self
    }

    /// Standard output as JSON.
    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error} in {}", self.out))
    }
}

/// The program, to be run in a namespace.
pub fn command(namespace: &Namespace, arguments: &[&str]) -> Command {
    let mut command = namespace.command(env!("CARGO_BIN_EXE_tracklight"));
    command
        .args(arguments)
        .env("TZ", "UTC")
        .stdin(Stdio::null());
    command
}

/// Runs the program in a namespace.
#[track_caller]
pub fn tracklight(namespace: &Namespace, arguments: &[&str]) -> Ran {
    command(namespace, arguments)
        .output()
        .expect("the program starts")
        .into()
}

/// A client of a namespace's table.
pub fn client(namespace: &Namespace) -> Client {
    let namespace = ctnetlink::Namespace::by_path(&namespace.path()).unwrap();
    Client::open_in(&namespace).unwrap()
}

/// A TCP entry, established and assured, without translation.
pub fn tcp(src: &str, src_port: u16, dst: &str, dst_port: u16) -> NewEntry {
    let (src, dst) = (src.parse().unwrap(), dst.parse().unwrap());
    let tuple = Tuple::ports(Protocol::TCP, src, src_port, dst, dst_port);
    let mut entry = NewEntry::new(tuple, 3600);
    entry.status = Status::SEEN_REPLY | Status::ASSURED;
    entry.protoinfo = Some(in_state(TcpState::ESTABLISHED));
    entry
}

/// A UDP entry that nobody has answered.
pub fn udp(src: &str, src_port: u16, dst: &str, dst_port: u16) -> NewEntry {
    let (src, dst) = (src.parse().unwrap(), dst.parse().unwrap());
    NewEntry::new(
        Tuple::ports(Protocol::UDP, src, src_port, dst, dst_port),
        1800,
    )
}

/// A TCP state.
pub fn in_state(state: TcpState) -> ProtoInfo {
    ProtoInfo::Tcp(TcpInfo {
        state: Some(state),
        ..TcpInfo::default()
    })
}
