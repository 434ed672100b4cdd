//! The connections contract as a panel sees it: the built program, one request on standard input,
//! one JSON object on standard output, and the kernel's table before and after.

mod delete;
mod list;
mod malformed;
mod program;
mod stats;
mod traffic;

use std::io::Write;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use ctnetlink::{
    Change, Client, DumpRequest, Entry, L4, NewEntry, ProtoInfo, Protocol, Status, TcpInfo,
    TcpState, Tuple, Zone,
};
use serde_json::Value;
use testkit::{Namespace, TestNamespace};

/// How long anything may take that is waited for.
const PATIENCE: Duration = Duration::from_secs(20);

/// A private table and the program that reads it.
struct Table {
    namespace: TestNamespace,
    client: Client,
}

/// What the program said.
#[derive(Debug)]
struct Answer {
    status: Option<i32>,
    stdout: String,
    stderr: String,
}

impl Table {
    /// A table of the test's own, or a skip.
    fn new() -> Option<Self> {
        let namespace = TestNamespace::new()?;
        let client = client_of(&namespace);
        Some(Self { namespace, client })
    }

    fn read(&self, request: &str) -> Answer {
        call(&self.namespace, "read", request.as_bytes())
    }

    fn delete(&self, request: &str) -> Answer {
        call(&self.namespace, "delete", request.as_bytes())
    }

    /// The connections of an answer that must be a success.
    fn list(&self, request: &str) -> Vec<Value> {
        self.read(request).connections()
    }

    fn create(&self, new: NewEntry) {
        self.client.create(new).unwrap();
    }

    /// Creates entries within a few milliseconds, so that their seconds pass at the same time.
    fn create_all(&self, all: impl IntoIterator<Item = NewEntry>) {
        let changes = all.into_iter().map(|new| Change::Create(Box::new(new)));
        self.client
            .apply(changes, |_, result| result.unwrap())
            .unwrap();
    }

    /// All entries, in an order of their own.
    fn entries(&self) -> Vec<Entry> {
        let dump = self.client.dump(&DumpRequest::default()).unwrap();
        let (mut entries, _) = dump.collect().unwrap();
        entries.sort_by_key(|entry| (entry.orig, entry.zone));
        entries
    }

    fn accounting(&self, on: bool) {
        let value = if on { "1" } else { "0" };
        self.namespace
            .sysctl("net/netfilter/nf_conntrack_acct", value)
            .unwrap();
    }
}

impl Answer {
    /// The one JSON object, with its newline.
    fn body(&self) -> Value {
        let line = self
            .stdout
            .strip_suffix('\n')
            .unwrap_or_else(|| panic!("{self:?}"));
        assert!(!line.contains('\n'), "one line: {self:?}");
        let value: Value = serde_json::from_str(line).unwrap_or_else(|_| panic!("{self:?}"));
        assert!(value.is_object(), "{self:?}");
        value
    }

    /// The body of a success.
    fn success(&self) -> Value {
        assert_eq!(self.status, Some(0), "{self:?}");
        self.body()
    }

    fn connections(&self) -> Vec<Value> {
        let Value::Object(mut body) = self.success() else {
            unreachable!()
        };
        let connections = body.remove("connections").unwrap();
        assert!(body.is_empty(), "{body:?}");
        connections.as_array().unwrap().clone()
    }

    /// The body of a failure, which must be of one of the contract's shapes.
    fn failure(&self, kind: &str) -> Value {
        assert_eq!(self.status, Some(1), "{self:?}");
        let body = self.body();
        assert_eq!(body["type"], kind, "{self:?}");
        assert!(body["id"].as_u64().unwrap() > 1_700_000_000);
        let mut keys: Vec<_> = body
            .as_object()
            .unwrap()
            .keys()
            .map(String::as_str)
            .collect();
        keys.sort_unstable();
        if kind == "NotValid" {
            assert_eq!(keys, ["attributes", "id", "message", "type"]);
            assert_eq!(body["message"], "validation_failed");
            assert!(!body["attributes"].as_array().unwrap().is_empty());
            for attribute in body["attributes"].as_array().unwrap() {
                for part in ["parameter", "value", "error"] {
                    assert!(attribute[part].is_string(), "{attribute}");
                }
            }
        } else {
            assert_eq!(keys, ["id", "message", "type"]);
            assert!(!body["message"].as_str().unwrap().is_empty());
        }
        if kind == "InvalidInput" {
            assert_eq!(body["message"], "no_json_data_available");
        }
        body
    }

    /// The wrong fields of a failed validation: parameter, value, error.
    fn wrong(&self) -> Vec<[String; 3]> {
        let body = self.failure("NotValid");
        let attributes = body["attributes"].as_array().unwrap();
        attributes
            .iter()
            .map(|attribute| {
                ["parameter", "value", "error"]
                    .map(|part| attribute[part].as_str().unwrap().to_owned())
            })
            .collect()
    }
}

fn client_of(namespace: &Namespace) -> Client {
    let namespace = ctnetlink::Namespace::by_path(&namespace.path()).unwrap();
    Client::open_in(&namespace).unwrap()
}

fn program(namespace: &Namespace) -> Command {
    let mut command = namespace.command(env!("CARGO_BIN_EXE_tracklight"));
    command.env_remove("TRACKLIGHT_CONFIG");
    command
}

fn call(namespace: &Namespace, call: &str, request: &[u8]) -> Answer {
    run(program(namespace).args(["api", call]), request)
}

fn run(command: &mut Command, request: &[u8]) -> Answer {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let output = std::thread::scope(|scope| {
        scope.spawn(move || {
            // A program that has read enough closes its end.
            let _ = stdin.write_all(request);
        });
        child.wait_with_output().unwrap()
    });
    Answer {
        status: output.status.code(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// Asks again until it holds, and says what was there instead.
fn until<T: std::fmt::Debug>(mut ask: impl FnMut() -> T, holds: impl Fn(&T) -> bool) -> T {
    let end = Instant::now() + PATIENCE;
    loop {
        let found = ask();
        if holds(&found) {
            return found;
        }
        assert!(Instant::now() < end, "still {found:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn ports(protocol: Protocol, src: &str, sport: u16, dst: &str, dport: u16) -> Tuple {
    Tuple::ports(
        protocol,
        src.parse().unwrap(),
        sport,
        dst.parse().unwrap(),
        dport,
    )
}

fn icmp(protocol: Protocol, src: &str, dst: &str, id: u16) -> Tuple {
    let kind = if protocol == Protocol::ICMP { 8 } else { 128 };
    Tuple {
        src: src.parse().unwrap(),
        dst: dst.parse().unwrap(),
        protocol,
        l4: L4::Icmp { kind, code: 0, id },
    }
}

fn tcp(number: u16, state: TcpState, timeout: u32) -> NewEntry {
    let orig = ports(Protocol::TCP, "10.0.0.5", 1000 + number, "192.0.2.1", 443);
    let mut new = NewEntry::new(orig, timeout);
    new.status = Status::SEEN_REPLY | Status::ASSURED;
    new.protoinfo = Some(ProtoInfo::Tcp(TcpInfo {
        state: Some(state),
        ..TcpInfo::default()
    }));
    new
}

fn udp(number: u16, timeout: u32) -> NewEntry {
    let orig = ports(Protocol::UDP, "10.0.0.6", 2000 + number, "192.0.2.2", 53);
    NewEntry::new(orig, timeout)
}

fn in_zone(mut new: NewEntry, zone: u16) -> NewEntry {
    new.zone = Zone::new(zone);
    new
}

/// One field of each connection.
fn field(connections: &[Value], name: &str) -> Vec<String> {
    connections
        .iter()
        .map(|connection| connection[name].as_str().unwrap_or_default().to_owned())
        .collect()
}
