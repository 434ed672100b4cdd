//! Findings as the real kernel provokes them, and their remedies as it takes them.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::Stdio;
use std::time::{Duration, Instant};

use ctnetlink::{Client, EventOptions, Filter, Groups, NewEntry, Protocol, Status, Tuple};
use engine::health::{Ask, Facts, Finding, Report, Severity, Step, examine, gather};
use engine::{Kernel, Source, Way};
use testkit::fill::fill_with;
use testkit::{Lab, Namespace, TestNamespace, available};

/// The table of a namespace.
struct Patient {
    namespace: ctnetlink::Namespace,
    source: Source,
    path: String,
}

impl Patient {
    fn new(namespace: &Namespace) -> Self {
        let path = namespace.path();
        let open = || ctnetlink::Namespace::by_path(&path).unwrap();
        let kernel = Kernel::open(Some(open()), Way::Netlink).unwrap();
        Self {
            namespace: open(),
            source: Source::Kernel(Box::new(kernel)),
            path: path.to_str().unwrap().to_owned(),
        }
    }

    fn ask(&self) -> Ask<'_> {
        Ask {
            source: &self.source,
            namespace: Some(&self.namespace),
            named: Some(&self.path),
            event_buffer: 1 << 16,
            watch: Duration::ZERO,
            read_table: true,
            try_walk: false,
        }
    }

    fn client(&self) -> &Client {
        self.source.client().unwrap()
    }

    fn facts(&self) -> Facts {
        gather(&self.ask(), |_| {}).unwrap()
    }

    fn report(&self) -> Report {
        examine(&self.facts())
    }
}

fn find<'a>(report: &'a Report, code: &str) -> Option<&'a Finding> {
    report.findings.iter().find(|finding| finding.code == code)
}

#[track_caller]
fn found<'a>(report: &'a Report, code: &str) -> &'a Finding {
    find(report, code).unwrap_or_else(|| panic!("no {code} in {:#?}", report.findings))
}

/// Runs those commands of a finding that begin as said, as root would by hand.
#[track_caller]
fn mend(finding: &Finding, program: &str) {
    let mut count = 0;
    for step in &finding.remedy {
        if let Step::Run(command) = step
            && command.contains(program)
        {
            let mut shell = std::process::Command::new("sh");
            let ran = shell.args(["-c", command]).output().unwrap();
            assert!(ran.status.success(), "{command}: {ran:?}");
            count += 1;
        }
    }
    assert!(count > 0, "{finding:#?}");
}

#[test]
fn switches_and_timeouts_are_found_and_the_commands_mend_them() {
    let Some(namespace) = TestNamespace::new() else {
        return;
    };
    let patient = Patient::new(&namespace);
    let codes = |report: &Report| {
        let codes = report.findings.iter().map(|finding| finding.code);
        let others = codes.filter(|code| *code != "loose-pickup");
        others.collect::<Vec<_>>()
    };
    let healthy = codes(&patient.report());
    for (name, value, code, severity) in [
        ("acct", "0", "accounting-off", Severity::Notice),
        ("timestamp", "0", "timestamps-off", Severity::Notice),
        ("tcp_loose", "1", "loose-pickup", Severity::Info),
        ("tcp_be_liberal", "1", "liberal-tcp", Severity::Notice),
        ("checksum", "0", "checksum-off", Severity::Notice),
        ("events", "0", "events-off", Severity::Warning),
        ("tcp_timeout_established", "60", "timeout", Severity::Notice),
        ("udp_timeout_stream", "36000", "timeout", Severity::Notice),
    ] {
        let setting = format!("net/netfilter/nf_conntrack_{name}");
        namespace.sysctl(&setting, value).unwrap();
        let report = patient.report();
        let finding = found(&report, code);
        assert_eq!(finding.severity, severity, "{name}");
        if code == "timeout" {
            let subject = format!("nf_conntrack_{name}");
            assert_eq!(finding.subject.as_ref(), Some(&subject));
        }
        mend(finding, "sysctl -w");
        assert_eq!(find(&patient.report(), code), None, "{name}");
    }
    assert_eq!(
        codes(&patient.report()),
        healthy,
        "nothing else has changed"
    );
}

/// A UDP entry of one source that nobody has answered.
fn unanswered(port: u16) -> NewEntry {
    let (src, dst) = ("10.1.2.3".parse().unwrap(), "192.0.2.9".parse().unwrap());
    NewEntry::new(Tuple::ports(Protocol::UDP, src, port, dst, 53), 600)
}

fn answered(port: u16) -> NewEntry {
    let mut entry = unanswered(port);
    entry.status = Status::SEEN_REPLY | Status::ASSURED;
    entry
}

#[test]
fn who_fills_the_table_is_found_and_can_be_limited() {
    let Some(namespace) = TestNamespace::new() else {
        return;
    };
    let patient = Patient::new(&namespace);
    // The limit is one for all namespaces of this machine, so it is only thought to be low.
    let nearly_full = || {
        let mut facts = patient.facts();
        let usage = facts.usage.as_mut().unwrap();
        assert_eq!(usage.entries, 300);
        usage.limit = Some(310);
        examine(&facts)
    };
    fill_with(patient.client(), (0..300).map(unanswered)).unwrap();
    let report = nearly_full();
    let full = found(&report, "table-fill");
    assert_eq!(full.severity, Severity::Critical);
    assert!(full.evidence.contains("10.1.2.3 (300)"), "{full:#?}");
    let source = found(&report, "one-source");
    assert_eq!(source.subject.as_deref(), Some("10.1.2.3"));
    assert_eq!(source.values["unreplied"], 300);
    let unreplied = found(&report, "unanswered");
    assert_eq!(unreplied.severity, Severity::Warning);
    assert_eq!(find(&report, "little-to-evict"), None, "all can be");
    mend(source, "nft");
    let rules = namespace.output("nft", &["list", "ruleset"], "").unwrap();
    assert!(rules.contains("ct count over 100"), "{rules}");

    patient.client().flush(&Filter::any()).unwrap();
    fill_with(patient.client(), (0..300).map(answered)).unwrap();
    let report = nearly_full();
    let evictable = found(&report, "little-to-evict");
    assert_eq!(evictable.severity, Severity::Critical);
    assert_eq!(find(&report, "unanswered"), None);
}

#[test]
fn connections_from_before_the_counting_are_found() {
    let Some(namespace) = TestNamespace::new() else {
        return;
    };
    let patient = Patient::new(&namespace);
    let counting = "net/netfilter/nf_conntrack_acct";
    namespace.sysctl(counting, "0").unwrap();
    patient.client().create(unanswered(1)).unwrap();
    namespace.sysctl(counting, "1").unwrap();
    patient.client().create(unanswered(2)).unwrap();
    let report = patient.report();
    let finding = found(&report, "uncounted");
    assert_eq!(finding.values["uncounted"], 1);
    assert_eq!(finding.values["entries"], 2);
}

/// Another program that listens with a small buffer, and does not read; ends with the value.
struct Sleeper {
    program: std::process::Child,
    /// Its socket's, which is not the process's number: that is of its first socket.
    port: u32,
}

impl Sleeper {
    fn start(namespace: &Namespace, patient: &Patient) -> Self {
        let mut program = namespace.command("conntrack");
        program.args(["-E", "-e", "NEW", "-b", "4096"]);
        let program = program.stdout(Stdio::null()).stderr(Stdio::null());
        let mut sleeper = Self {
            program: program.spawn().expect("conntrack(8) is installed"),
            port: 0,
        };
        let end = Instant::now() + Duration::from_secs(60);
        while sleeper.port == 0 {
            assert!(Instant::now() < end, "it does not listen");
            let listeners = patient.facts().listeners.unwrap();
            sleeper.port = listeners.first().map_or(0, |listener| listener.port);
        }
        let stop = format!("kill -STOP {}", sleeper.program.id());
        let mut shell = std::process::Command::new("sh");
        assert!(shell.args(["-c", &stop]).status().unwrap().success());
        sleeper
    }
}

impl Drop for Sleeper {
    fn drop(&mut self) {
        let _ = self.program.kill();
        let _ = self.program.wait();
    }
}

#[test]
fn another_program_that_does_not_keep_up_is_found_and_our_own_sockets_are_not() {
    let Some(namespace) = TestNamespace::new() else {
        return;
    };
    let patient = Patient::new(&namespace);
    let options = EventOptions {
        receive_buffer: 4096,
        queue: 1,
        reliable: false,
    };
    let _own = patient.client().events(Groups::NEW, options).unwrap();
    fill_with(patient.client(), (0..3000).map(unanswered)).unwrap();
    assert_eq!(find(&patient.report(), "listener-overrun"), None);

    let sleeper = Sleeper::start(&namespace, &patient);
    patient.client().flush(&Filter::any()).unwrap();
    fill_with(patient.client(), (0..3000).map(unanswered)).unwrap();
    let report = patient.report();
    let finding = found(&report, "listener-overrun");
    assert!(finding.values["lost"].as_u64() > Some(0), "{finding:#?}");
    assert_eq!(finding.subject, Some(sleeper.port.to_string()));
}

/// How many ports the rule allows, and from which on.
const PORTS: u16 = 20;
const FIRST: u16 = 40_000;
const PUBLIC: &str = "203.0.113.5";

#[test]
fn nat_that_runs_out_of_ports_is_found_by_its_ports_and_by_failed_inserts() {
    let Some(lab) = available(Lab::builder().ipv6(false).build()) else {
        return;
    };
    let last = FIRST + PORTS - 1;
    let rule = format!(
        "insert rule ip lab-nat hide-inside oifname \"wan0\" ip saddr 10.0.0.0/24 tcp dport 7000 \
         snat to {PUBLIC}:{FIRST}-{last}"
    );
    lab.gateway().nft(&rule).unwrap();
    let server: SocketAddr = "198.51.100.10:7000".parse().unwrap();
    let listening = lab.server().run(|| TcpListener::bind(server)).unwrap();
    let _listener = listening.unwrap();
    let dial = |patience: u64| {
        let patience = Duration::from_millis(patience);
        let client = lab.client();
        let dialled = client.run(|| TcpStream::connect_timeout(&server, patience));
        dialled.unwrap()
    };
    let patient = Patient::new(lab.gateway());
    let _half: Vec<TcpStream> = (0..PORTS / 2).map(|_| dial(5000).unwrap()).collect();
    // There are more. The kernel draws ports; by chance those in use may lie side by side.
    if let Some(finding) = find(&patient.report(), "nat-ports") {
        assert!(
            finding.values["usable"].as_u64() < Some(PORTS.into()),
            "{finding:#?}"
        );
    }
    let _all: Vec<TcpStream> = (0..PORTS / 2).map(|_| dial(5000).unwrap()).collect();
    let mut facts = patient.facts();
    let refused = dial(300);
    assert!(refused.is_err(), "{refused:?}");
    facts.watch(&patient.ask(), Duration::ZERO).unwrap();
    let report = examine(&facts);
    let ports = found(&report, "nat-ports");
    assert_eq!(ports.severity, Severity::Critical);
    assert_eq!(ports.subject, Some(format!("tcp {PUBLIC}")));
    assert_eq!(ports.values["used"], PORTS);
    assert_eq!(ports.values["usable"], PORTS);
    assert_eq!(ports.values["lowest_port"], FIRST);
    let failed = found(&report, "insert-failed");
    assert!(failed.values["rose_by"].as_u64() > Some(0), "{failed:#?}");
    assert!(failed.severity >= Severity::Notice);
    if let Some(drops) = find(&report, "drops") {
        assert_eq!(drops.severity, Severity::Notice, "they may be the same");
    }
}

/// An entry of many sources; the kernel gives up what is not assured when the table is full.
fn one_of_many(index: u32, status: Status) -> NewEntry {
    let [_, a, b, c] = index.to_be_bytes();
    let (src, dst) = ([10, a, b, c].into(), "192.0.2.9".parse().unwrap());
    let mut entry = NewEntry::new(Tuple::ports(Protocol::UDP, src, 53, dst, 53), 600);
    entry.status = status;
    entry
}

#[test]
fn a_table_that_is_really_full_evicts_and_drops_and_both_are_found() {
    let Some(namespace) = TestNamespace::new() else {
        return;
    };
    let patient = Patient::new(&namespace);
    // Of this namespace alone: others count for themselves.
    let limit = patient.facts().usage.unwrap().limit.unwrap();
    let limit = u32::try_from(limit).unwrap();
    let fill = |status| {
        let entries = (0..limit).map(|index| one_of_many(index, status));
        fill_with(patient.client(), entries).unwrap();
    };
    let speak = || {
        let spoken = namespace.run(|| {
            let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
            socket.send_to(b"word", "127.0.0.1:9").map(drop)
        });
        spoken.unwrap()
    };
    fill(Status::empty());
    let mut facts = patient.facts();
    speak().expect("somebody else had to go");
    facts.watch(&patient.ask(), Duration::ZERO).unwrap();
    let report = examine(&facts);
    let full = found(&report, "table-fill");
    assert_eq!(full.title, "The connection table is full");
    assert_eq!(found(&report, "evictions").severity, Severity::Warning);
    assert_eq!(find(&report, "drops"), None, "there was a victim");

    patient.client().flush(&Filter::any()).unwrap();
    fill(Status::SEEN_REPLY | Status::ASSURED);
    let mut facts = patient.facts();
    let refused = speak();
    assert!(refused.is_err(), "nobody had to go: {refused:?}");
    facts.watch(&patient.ask(), Duration::ZERO).unwrap();
    let report = examine(&facts);
    assert_eq!(found(&report, "drops").severity, Severity::Critical);
    let evictable = found(&report, "little-to-evict");
    assert_eq!(evictable.severity, Severity::Critical);
    assert_eq!(evictable.values["evictable"], 0);
    // So that the namespace goes at once.
    patient.client().flush(&Filter::any()).unwrap();
}
