//! Names from a server of the DNS that the tests are themselves.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use super::*;

/// Longer than anything takes that works.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a server says: a name as bytes of one label and for how many seconds, that there is none, or
/// nothing at all.
enum Says {
    Name(Vec<u8>, u32),
    NoSuchName,
    Nothing,
}

/// A server of the DNS on loopback; ends with the value.
struct TestServer {
    address: SocketAddr,
    asked: Arc<AtomicU64>,
    is_over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl TestServer {
    /// `says` is given how many questions there were before.
    fn start(says: impl Fn(u64) -> Says + Send + 'static) -> Self {
        Self::start_at((Ipv4Addr::LOCALHOST, 0).into(), says)
    }

    fn start_at(address: SocketAddr, says: impl Fn(u64) -> Says + Send + 'static) -> Self {
        let socket = UdpSocket::bind(address).unwrap();
        socket
            .set_read_timeout(Some(Duration::from_millis(50)))
            .unwrap();
        let address = socket.local_addr().unwrap();
        let (asked, is_over) = (
            Arc::new(AtomicU64::new(0)),
            Arc::new(AtomicBool::new(false)),
        );
        let (count, end) = (Arc::clone(&asked), Arc::clone(&is_over));
        let thread = thread::spawn(move || {
            let mut question = [0; 1_500];
            while !end.load(Ordering::Relaxed) {
                let Ok((length, from)) = socket.recv_from(&mut question) else {
                    continue;
                };
                let before = count.fetch_add(1, Ordering::Relaxed);
                if let Some(answer) = answer(&question[..length], &says(before)) {
                    socket.send_to(&answer, from).unwrap();
                }
            }
        });
        Self {
            address,
            asked,
            is_over,
            thread: Some(thread),
        }
    }

    fn asked(&self) -> u64 {
        self.asked.load(Ordering::Relaxed)
    }

    fn settings(&self) -> Settings {
        Settings {
            dns: true,
            dns_servers: vec![Server(self.address)],
            dns_timeout_ms: 10_000,
            ..files_aside()
        }
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        self.thread.take().unwrap().join().unwrap();
    }
}

/// RFC 1035, 4.1: the question's header and question, and an answer that points to its name.
fn answer(question: &[u8], says: &Says) -> Option<Vec<u8>> {
    let (code, name) = match says {
        Says::Name(name, ttl) => (0, Some((name, *ttl))),
        Says::NoSuchName => (3, None),
        Says::Nothing => return None,
    };
    let end = question[12..].iter().position(|byte| *byte == 0).unwrap() + 12 + 5;
    let mut answer = question[..2].to_vec();
    answer.extend_from_slice(&[
        0x81,
        0x80 | code,
        0,
        1,
        0,
        u8::from(name.is_some()),
        0,
        0,
        0,
        0,
    ]);
    answer.extend_from_slice(&question[12..end]);
    if let Some((name, ttl)) = name {
        answer.extend_from_slice(&[0xc0, 12, 0, 12, 0, 1]);
        answer.extend_from_slice(&ttl.to_be_bytes());
        answer.extend_from_slice(&(name.len() as u16 + 6).to_be_bytes());
        answer.push(name.len() as u8);
        answer.extend_from_slice(name);
        answer.extend_from_slice(b"\x03lan\x00");
    }
    Some(answer)
}

/// Without this machine's own files.
fn files_aside() -> Settings {
    Settings {
        hosts_file: "/nonexistent/hosts".into(),
        dhcp_leases: "/nonexistent/leases".into(),
        ..Settings::default()
    }
}

/// A clock that the test sets, in seconds.
fn clock() -> (Arc<AtomicU64>, Clock) {
    let passed = Arc::new(AtomicU64::new(0));
    let (start, read) = (Instant::now(), Arc::clone(&passed));
    let clock = move || start + Duration::from_secs(read.load(Ordering::Relaxed));
    (passed, Box::new(clock))
}

fn at(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn shown(names: &Names, address: &str) -> Option<(String, Origin)> {
    let name = names.of(at(address))?;
    Some((name.name.to_string(), name.from))
}

#[track_caller]
fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < end, "{what}: not in time");
        thread::sleep(Duration::from_millis(2));
    }
}

#[test]
fn a_name_of_the_dns_is_there_later_and_asked_again_when_it_runs_out() {
    let server = TestServer::start(|before| {
        let name = if before == 0 { "old" } else { "new" };
        Says::Name(name.into(), 300)
    });
    let (passed, clock) = clock();
    let names = Names::with_clock(&server.settings(), clock).unwrap();
    for address in ["192.0.2.1", "192.0.2.1", "::ffff:192.0.2.1"] {
        let _later = names.of(at(address));
    }
    let dns = |name: &str| Some((name.to_owned(), Origin::Dns));
    until("a name", || shown(&names, "192.0.2.1") == dns("old.lan"));
    passed.store(299, Ordering::Relaxed);
    assert_eq!(shown(&names, "192.0.2.1"), dns("old.lan"));
    assert_eq!(server.asked(), 1, "one address, one question");
    // The old name is shown until the new one is there.
    passed.store(301, Ordering::Relaxed);
    assert_eq!(shown(&names, "192.0.2.1"), dns("old.lan"));
    until("another name", || {
        shown(&names, "192.0.2.1") == dns("new.lan")
    });
    assert_eq!(server.asked(), 2);
    // An hour later nobody knows whether it still holds.
    passed.store(4_000, Ordering::Relaxed);
    assert_eq!(shown(&names, "192.0.2.1"), None);
}

/// Says that every address has this name.
fn says(name: &'static str) -> impl Fn(u64) -> Says {
    move |_| Says::Name(name.into(), 300)
}

#[test]
fn the_system_s_servers_are_asked_as_soon_as_they_can_be_read_and_others_when_they_change() {
    let Some(namespace) = testkit::TestNamespace::new() else {
        return;
    };
    // The file can name no port but 53.
    let ran = namespace.run(|| {
        let _first = TestServer::start_at("127.0.0.1:53".parse().unwrap(), says("first"));
        let _second = TestServer::start_at("127.0.0.2:53".parse().unwrap(), says("second"));
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("resolv.conf");
        let settings = Settings {
            dns: true,
            ..files_aside()
        };
        let names = Names::with_resolver(&settings, Box::new(Instant::now), &file).unwrap();
        let _asked_in_vain = names.of(at("192.0.2.1"));
        until("no file is told", || names.trouble().is_some());
        std::fs::write(&file, "").unwrap();
        until("an empty file is told", || {
            let trouble = names.trouble();
            trouble.is_some_and(|trouble| trouble.message.contains("no nameservers"))
        });
        std::fs::write(&file, "nameserver 127.0.0.1\n").unwrap();
        until("the trouble is over", || names.trouble().is_none());
        until("it is asked then", || {
            shown(&names, "192.0.2.1") == Some(("first.lan".to_owned(), Origin::Dns))
        });
        std::fs::write(&file, "nameserver 127.0.0.2 \n").unwrap();
        // Each address is asked once: others until one is answered by the other server.
        let mut last = 1;
        until("the other server is asked", || {
            last += 1;
            let address = format!("198.18.{}.{}", last / 250, last % 250);
            until("it is answered", || shown(&names, &address).is_some());
            shown(&names, &address) == Some(("second.lan".to_owned(), Origin::Dns))
        });
        std::fs::remove_file(&file).unwrap();
        until("that it is gone is told", || names.trouble().is_some());
    });
    ran.unwrap();
}

#[test]
fn no_name_is_an_answer_too() {
    let server = TestServer::start(|_| Says::NoSuchName);
    let (passed, clock) = clock();
    let names = Names::with_clock(&server.settings(), clock).unwrap();
    assert_eq!(shown(&names, "2001:db8::1"), None);
    until("an answer", || names.counts().remembered == 1);
    assert_eq!(shown(&names, "2001:db8::1"), None);
    assert_eq!((server.asked(), names.counts().failed), (1, 0));
    passed.store(3_700, Ordering::Relaxed);
    assert_eq!(shown(&names, "2001:db8::1"), None);
    until("a second question", || server.asked() == 2);
}

#[test]
fn a_server_that_does_not_answer_delays_nobody() {
    let server = TestServer::start(|_| Says::Nothing);
    let settings = Settings {
        dns_timeout_ms: 60_000,
        ..server.settings()
    };
    let names = Names::new(&settings).unwrap();
    for number in 0..20_000u32 {
        assert_eq!(names.of(IpAddr::V4((0xc000_0000 + number).into())), None);
    }
    let counts = names.counts();
    assert_eq!(counts.failed, 0, "somebody waited: {counts:?}");
    assert!(
        counts.waiting <= WAITING + settings.dns_at_once,
        "{counts:?}"
    );
    assert!(counts.passed_over > 0, "{counts:?}");
    until("questions under way", || names.counts().asked == 16);
    // It also ends at once.
    drop(names);
}

#[test]
fn what_got_no_answer_is_told_and_not_asked_at_once_again() {
    let server = TestServer::start(|_| Says::Nothing);
    let settings = Settings {
        dns_timeout_ms: 20,
        ..server.settings()
    };
    let names = Names::new(&settings).unwrap();
    until("a failure", || {
        let _none = names.of(at("192.0.2.1"));
        names.counts().failed == 1
    });
    for _ in 0..100 {
        assert_eq!(names.of(at("192.0.2.1")), None);
    }
    assert_eq!(names.counts().asked, 1);
}

#[test]
fn memory_is_bounded_whoever_comes() {
    let server = TestServer::start(|_| Says::Name("x".into(), 300));
    let settings = Settings {
        dns_remembered: 1_000,
        ..server.settings()
    };
    let names = Names::new(&settings).unwrap();
    for number in 0..100_000u32 {
        let _later = names.of(IpAddr::V4((0xc000_0000 + number).into()));
        if number % 1_000 == 0 {
            let counts = names.counts();
            assert!(counts.remembered <= 1_000, "{counts:?}");
            assert!(
                counts.waiting <= WAITING + settings.dns_at_once,
                "{counts:?}"
            );
        }
    }
    // More than are remembered get an answer, and then room is made.
    let mut next = 0u32;
    until("many answers", || {
        next += 1;
        let _later = names.of(IpAddr::V4((0xc100_0000 + next).into()));
        names.counts().asked > 2_500
    });
    until("all answers", || names.counts().waiting == 0);
    assert_eq!(names.counts().remembered, 1_000);
}

#[test]
fn a_hostile_name_is_harmless() {
    let server = TestServer::start(|_| Says::Name(b"a\x1b[2J<\xff\n".to_vec(), 300));
    let names = Names::new(&server.settings()).unwrap();
    until("a name", || shown(&names, "192.0.2.1").is_some());
    let (name, _) = shown(&names, "192.0.2.1").unwrap();
    let is_tame = |letter: char| letter.is_ascii_alphanumeric() || "?.-_".contains(letter);
    assert!(name.chars().all(is_tame), "{name:?}");
    assert!(name.starts_with('a') && name.ends_with(".lan"), "{name:?}");
}

#[test]
fn nobody_is_asked_unless_told_so_nor_for_what_each_link_has() {
    let server = TestServer::start(|_| Says::Name("x".into(), 300));
    let off = Names::new(&Settings {
        dns: false,
        ..server.settings()
    })
    .unwrap();
    assert_eq!(shown(&off, "192.0.2.1"), None);
    let on = Names::new(&server.settings()).unwrap();
    for address in [
        "127.0.0.1",
        "::1",
        "fe80::1",
        "169.254.0.1",
        "224.0.0.1",
        "ff02::1",
        "0.0.0.0",
    ] {
        assert_eq!(shown(&on, address), None);
    }
    assert_eq!(on.counts().waiting, 0);
    until("the one that may be asked", || {
        shown(&on, "192.0.2.2").is_some()
    });
    assert_eq!((server.asked(), off.counts().asked), (1, 0));
}

#[test]
fn the_configuration_is_believed_first_then_leases_hosts_and_at_last_the_network() {
    let folder = tempfile::tempdir().unwrap();
    let (leases, hosts) = (folder.path().join("leases"), folder.path().join("hosts"));
    std::fs::write(&leases, "1 aa 10.0.0.5 lease *\n1 aa 10.0.0.6 lease *\n").unwrap();
    std::fs::write(&hosts, "10.0.0.5 hosts\n10.0.0.6 hosts\n10.0.0.7 hosts\n").unwrap();
    let settings = Settings {
        dhcp_leases: leases.clone(),
        hosts_file: hosts,
        hosts: [(at("10.0.0.5"), "printer of the office".to_owned())].into(),
        networks: [
            ("10.0.0.0/24".parse().unwrap(), "office".to_owned()),
            ("2001:db8::/32".parse().unwrap(), "six".to_owned()),
        ]
        .into(),
        ..Settings::default()
    };
    let names = Names::new(&settings).unwrap();
    for (address, expected) in [
        (
            "10.0.0.5",
            Some(("printer of the office", Origin::Configuration)),
        ),
        ("10.0.0.6", Some(("lease", Origin::Lease))),
        ("10.0.0.7", Some(("hosts", Origin::Hosts))),
        ("10.0.0.8", Some(("office", Origin::Network))),
        ("::ffff:10.0.0.8", Some(("office", Origin::Network))),
        ("2001:db8::8", Some(("six", Origin::Network))),
        ("192.0.2.1", None),
    ] {
        let expected = expected.map(|(name, from)| (name.to_owned(), from));
        assert_eq!(shown(&names, address), expected, "{address}");
    }
    assert_eq!(
        names.network(at("10.0.0.5")).unwrap().name.as_ref(),
        "office"
    );
    // A lease that is given out later.
    std::fs::write(&leases, "1 aa 10.0.0.8 newcomer *\n").unwrap();
    until("the new lease", || {
        shown(&names, "10.0.0.8") == Some(("newcomer".to_owned(), Origin::Lease))
    });
    assert_eq!(
        shown(&names, "10.0.0.6"),
        Some(("hosts".to_owned(), Origin::Hosts))
    );
    let json = serde_json::to_value(names.of(at("10.0.0.8"))).unwrap();
    assert_eq!(
        json,
        serde_json::json!({ "name": "newcomer", "from": "lease" })
    );
}
