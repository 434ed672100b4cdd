use std::os::unix::ffi::OsStrExt;

use ctnetlink::constants::*;
use ctnetlink::wire::{Messages, NfGen, Writer};
use ctnetlink::{Protocol, TimeoutPolicy};
use testkit::{Capture, Namespace, TestNamespace};

use crate::run::{Ran, client, tracklight};

/// Runs the program with words that a space parts.
#[track_caller]
fn run(namespace: &Namespace, words: &str) -> Ran {
    tracklight(namespace, &words.split(' ').collect::<Vec<_>>())
}

#[test]
fn a_timeout_policy_is_made_shown_and_deleted() {
    let Some(namespace) = TestNamespace::new() else {
        return;
    };
    let run = |words: &str| run(&namespace, words);
    let nothing = run("timeout list").exits(1);
    assert_eq!(
        (nothing.out.as_str(), nothing.err.as_str()),
        ("", "tracklight: no timeout policies\n")
    );
    run("timeout add web inet tcp established=1h close=10s").exits(0);
    // The form of nfct(8): names and times as words of their own.
    run("timeout add dns inet6 udp unreplied 5 replied 10").exits(0);

    let web = run("timeout get web").exits(0).out;
    assert!(web.starts_with("web inet tcp syn_sent="), "{web}");
    assert!(web.contains(" established=3600 "), "{web}");
    assert!(web.contains(" close=10 "), "{web}");
    let dns = run("timeout get dns").exits(0).out;
    assert_eq!(dns, "dns inet6 udp unreplied=5 replied=10\n");
    let mut all: Vec<String> = run("timeout list")
        .exits(0)
        .out
        .lines()
        .map(|line| format!("{line}\n"))
        .collect();
    all.sort();
    assert_eq!(all, [dns.as_str(), web.as_str()]);

    // What is shown is taken again.
    run("timeout delete web").exits(0);
    run(&format!("timeout add {}", web.trim_end())).exits(0);
    assert_eq!(run("timeout get web").exits(0).out, web);

    let twice = run("timeout add dns inet tcp close=5").exits(1).err;
    assert!(twice.contains("[exists]"), "{twice}");
    assert!(twice.contains("tracklight timeout delete"), "{twice}");
    run("timeout delete dns").exits(0);
    for gone in ["timeout get dns", "timeout delete dns"] {
        let gone = run(gone).exits(1).err;
        assert!(
            gone.contains("there is no timeout policy dns [not-found]"),
            "{gone}"
        );
        assert!(gone.contains("tracklight timeout list"), "{gone}");
    }
}

#[test]
fn the_own_times_of_a_namespace_are_shown_and_set() {
    let Some(namespace) = TestNamespace::new() else {
        return;
    };
    let run = |words: &str| run(&namespace, words);
    namespace
        .sysctls(&[("net/netfilter/nf_conntrack_udp_timeout", "33")])
        .unwrap();
    let own = run("timeout default inet udp").exits(0).out;
    assert!(
        own.starts_with("default inet udp unreplied=33 replied="),
        "{own}"
    );
    run("timeout default inet udp replied=2m").exits(0);
    assert_eq!(
        run("timeout default inet udp").exits(0).out,
        "default inet udp unreplied=33 replied=120\n"
    );
    run("timeout default inet tcp established=1d").exits(0);
    let set = namespace
        .command("cat")
        .arg("/proc/sys/net/netfilter/nf_conntrack_tcp_timeout_established")
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&set.stdout), "86400\n");
}

#[test]
fn times_that_are_none_are_refused_with_what_could_be() {
    let Some(namespace) = TestNamespace::new() else {
        return;
    };
    for (words, what) in [
        (&["add", "x", "inet", "tcp", "foo=1"][..], "established"),
        (&["add", "x", "inet", "tcp", "close=1y"], "1y is no time"),
        (&["add", "x", "inet", "tcp", "close"], "close has no time"),
        (&["add", "", "inet", "tcp", "close=1"], "1 to 31 bytes"),
        (&["add", "x", "inet", "esp", "timeout=1"], "or generic"),
        (
            &["add", "x", "inet", "99x", "timeout=1"],
            "or an IANA number",
        ),
        (&["add", "x", "bridge", "tcp", "close=1"], "inet or inet6"),
    ] {
        let refused = tracklight(&namespace, &[&["timeout"], words].concat()).exits(2);
        assert!(refused.err.contains(what), "{}", refused.err);
    }
    tracklight(&namespace, &["timeout", "list"]).exits(1);
}

/// The kernel's words for a name that is too long speak of a policy of attributes.
#[test]
fn a_name_too_long_is_told_so_by_every_action() {
    let Some(namespace) = TestNamespace::new() else {
        return;
    };
    let longest = "x".repeat(31);
    run(&namespace, &format!("timeout add {longest} inet tcp")).exits(0);
    run(&namespace, &format!("timeout get {longest}")).exits(0);
    let long = "x".repeat(49);
    for words in [
        format!("timeout get {long}"),
        format!("timeout delete {long}"),
        format!("timeout add {long} inet tcp close=1"),
    ] {
        let refused = run(&namespace, &words).exits(2).err;
        let told = "a policy's name has 1 to 31 bytes, and this one has 49 [usage]";
        assert!(refused.contains(told), "{words}: {refused}");
    }
}

#[test]
fn a_failure_says_what_was_being_done_and_to_what() {
    let Some(namespace) = TestNamespace::new() else {
        return;
    };
    run(&namespace, "timeout add web inet tcp close=5").exits(0);
    for (words, status, told) in [
        (
            "timeout get no\u{1b}[2J",
            1,
            r"there is no timeout policy $'no\033[2J' [not-found]",
        ),
        (
            "timeout add web inet udp",
            1,
            "there is a timeout policy web already [exists]",
        ),
        (
            "timeout add esp inet 50 timeout=5",
            4,
            "this kernel has no times for protocol 50 by itself [unsupported]",
        ),
        (
            "timeout default inet 50",
            4,
            "this kernel has no times for protocol 50 by itself [unsupported]",
        ),
    ] {
        let failed = run(&namespace, words).exits(status);
        assert!(failed.err.contains(told), "{words}: {}", failed.err);
        assert!(failed.err.contains("\n  hint: "), "{}", failed.err);
    }
}

/// As nfct(8) takes and prints them: `CLOSE`, `generic`, and what /etc/protocols calls ICMP of IPv6.
#[test]
fn states_and_protocols_are_taken_as_nfct_writes_them() {
    let Some(namespace) = TestNamespace::new() else {
        return;
    };
    let run = |words: &str| run(&namespace, words);
    run("timeout add up inet tcp CLOSE=5 Time_Wait 7").exits(0);
    let up = run("timeout get up").exits(0).out;
    assert!(up.contains(" time_wait=7 close=5 "), "{up}");
    run("timeout add rest inet generic TIMEOUT 50").exits(0);
    assert_eq!(
        run("timeout get rest").exits(0).out,
        "rest inet generic timeout=50\n"
    );
    run("timeout add same inet 255 timeout=50").exits(0);
    run("timeout add ping inet6 ipv6-icmp timeout 9").exits(0);
    assert_eq!(
        run("timeout get ping").exits(0).out,
        "ping inet6 icmpv6 timeout=9\n"
    );
    let own = run("timeout default inet generic").exits(0).out;
    assert!(own.starts_with("default inet generic timeout="), "{own}");
}

#[test]
fn policies_and_own_times_are_json_too() {
    let Some(namespace) = TestNamespace::new() else {
        return;
    };
    let run = |words: &str| run(&namespace, words);
    assert_eq!(run("timeout list -o json").exits(1).out, "[]\n");
    run("timeout add dns inet6 udp unreplied=5 replied=10").exits(0);
    let dns = serde_json::json!({
        "name": "dns", "family": "ipv6", "family_number": 10, "protocol": "udp", "protocol_number": 17,
        "timeouts": {"unreplied": 5, "replied": 10}, "users": 0,
    });
    let list = run("timeout list --output json").exits(0).json();
    assert_eq!(list, serde_json::json!([dns]));
    for words in [
        "timeout get dns -o json",
        "timeout get dns -o ndjson",
        "timeout list -o ndjson",
    ] {
        assert_eq!(run(words).exits(0).json(), dns, "{words}");
    }
    run("timeout default inet generic timeout=44").exits(0);
    assert_eq!(
        run("timeout default inet generic -o json").exits(0).json(),
        serde_json::json!({
            "family": "ipv4", "family_number": 2, "protocol": "generic", "protocol_number": 255,
            "timeouts": {"timeout": 44},
        })
    );
}

/// Whoever may make policies chooses their names.
#[test]
fn a_name_is_shown_as_a_word_that_a_shell_takes_again() {
    let Some(namespace) = TestNamespace::new() else {
        return;
    };
    let client = client(&namespace);
    let names = [
        &b"a b"[..],
        b"\x1b]0;owned\x07",
        b"\xff\xfe",
        b"it's",
        b"-x",
        b"#y",
        "\u{202e}z".as_bytes(),
    ];
    for name in names {
        let policy = TimeoutPolicy {
            name: std::ffi::OsStr::from_bytes(name).to_owned(),
            family: 2,
            protocol: Protocol::UDP,
            seconds: vec![(1, 3)],
            users: None,
        };
        client.create_timeout_policy(&policy).unwrap();
    }
    let list = tracklight(&namespace, &["timeout", "list"]).exits(0).out;
    let is_seen = |c: char| c == '\n' || !engine::printable::is_unseen(c);
    assert!(list.chars().all(is_seen), "{list:?}");
    assert_eq!(list.lines().count(), names.len(), "{list}");
    tracklight(&namespace, &["timeout", "list", "-o", "json"])
        .exits(0)
        .json();

    for name in names {
        client
            .delete_timeout_policy(std::ffi::OsStr::from_bytes(name))
            .unwrap();
    }
    for line in list.lines() {
        let pasted = format!("{} timeout add {line}", env!("CARGO_BIN_EXE_tracklight"));
        let ran: Ran = namespace
            .command("bash")
            .args(["-c", &pasted])
            .output()
            .unwrap()
            .into();
        ran.exits(0);
    }
    assert_eq!(
        tracklight(&namespace, &["timeout", "list"]).exits(0).out,
        list
    );
}

#[test]
fn a_family_that_is_neither_is_shown_by_its_number_and_taken_again() {
    let Some(namespace) = TestNamespace::new() else {
        return;
    };
    for family in ["0", "7"] {
        let line = format!("bridged {family} udp unreplied=3 replied=4");
        run(&namespace, &format!("timeout add {line}")).exits(0);
        let shown = run(&namespace, "timeout get bridged").exits(0).out;
        assert_eq!(shown, format!("{line}\n"));
        let json = run(&namespace, "timeout get bridged -o json")
            .exits(0)
            .json();
        assert_eq!(json["family_number"].to_string(), family);
        assert!(json.get("family").is_none(), "{json}");
        run(&namespace, "timeout delete bridged").exits(0);
    }
}

/// It would drop such connections at once, all over the namespace, and nothing would say why.
#[test]
fn an_own_time_of_zero_is_refused_and_a_policy_s_is_taken() {
    let Some(namespace) = TestNamespace::new() else {
        return;
    };
    let before = run(&namespace, "timeout default inet udp").exits(0).out;
    for words in [
        "timeout default inet udp unreplied=0",
        "timeout default inet udp replied=9 UNREPLIED 0m",
    ] {
        let refused = run(&namespace, words).exits(2).err;
        assert!(refused.contains("unreplied=0 would drop"), "{refused}");
        assert!(refused.contains("[usage]"), "{refused}");
    }
    assert_eq!(
        run(&namespace, "timeout default inet udp").exits(0).out,
        before
    );
    run(
        &namespace,
        "timeout add none inet udp unreplied=0 replied=1",
    )
    .exits(0);
    assert_eq!(
        run(&namespace, "timeout get none").exits(0).out,
        "none inet udp unreplied=0 replied=1\n"
    );
}

#[test]
fn a_policy_in_use_is_not_deleted_and_its_line_is_taken_again() {
    let Some(namespace) = TestNamespace::new() else {
        return;
    };
    run(&namespace, "timeout add web inet tcp established=1h").exits(0);
    use_in_a_rule(&namespace, "web");
    use_in_a_rule(&namespace, "web");
    let policy = client(&namespace).timeout_policy("web").unwrap().unwrap();
    assert_eq!(policy.users, Some(2));
    let web = run(&namespace, "timeout get web").exits(0).out;
    assert!(web.ends_with("  # used by 2\n"), "{web}");
    let json = run(&namespace, "timeout get web -o json").exits(0).json();
    assert_eq!(json["users"], 2);

    let refused = run(&namespace, "timeout delete web").exits(1).err;
    assert!(
        refused.contains("rules use the timeout policy web [busy]"),
        "{refused}"
    );
    assert!(refused.contains("-j CT --timeout web"), "{refused}");
    assert!(!refused.contains("status"), "{refused}");

    // As of a command's substitution: the remark behind the times is words like all others.
    let again = web.trim_end().replacen("web", "web2", 1);
    let words: Vec<&str> = ["timeout", "add"]
        .into_iter()
        .chain(again.split_whitespace())
        .collect();
    tracklight(&namespace, &words).exits(0);
    let unused = web.replacen("web", "web2", 1).replace("  # used by 2", "");
    assert_eq!(run(&namespace, "timeout get web2").exits(0).out, unused);
}

/// Puts a rule of iptables into the namespace: `-t raw -p tcp -j CT --timeout NAME`, in the way of
/// iptables-nft, without needing that program.
#[track_caller]
fn use_in_a_rule(namespace: &Namespace, policy: &str) {
    namespace
        .nft(
            "table ip raw {
                chain PREROUTING { type filter hook prerouting priority raw; }
            }",
        )
        .unwrap();
    let place = ctnetlink::Namespace::by_path(&namespace.path()).unwrap();
    let socket = Capture::open(&place, &[]).unwrap();
    socket.send(&rule(policy)).unwrap();
    let answer = socket.answer().unwrap();
    for message in Messages::new(&answer).flatten() {
        assert_eq!(message.header.kind, NLMSG_ERROR);
        assert_eq!(message.payload.get(..4), Some(&[0; 4][..]), "errno");
    }
}

/// A batch with that rule (`linux/netfilter/nf_tables.h`, `nf_tables_compat.h`).
fn rule(policy: &str) -> Vec<u8> {
    const NFTABLES: u16 = 10;
    const NEW_RULE: u16 = NFTABLES << 8 | 6;
    const APPEND: u16 = 0x800;
    const NESTED_IN_RULE: u16 = 4;
    const COMPAT: u16 = 5;
    let ipv4 = NfGen {
        family: 2,
        version: 0,
        resource: 0,
    };
    let batch = NfGen {
        family: 0,
        version: 0,
        resource: NFTABLES,
    };
    let mut w = Writer::new();
    w.message(0x10, NLM_F_REQUEST, 1, batch, |_| {});
    let flags = NLM_F_REQUEST | NLM_F_CREATE | NLM_F_ACK | APPEND;
    w.message(NEW_RULE, flags, 2, ipv4, |w| {
        w.text(1, "raw");
        w.text(2, "PREROUTING");
        w.nested(NESTED_IN_RULE, |w| {
            w.nested(1, |w| {
                w.text(1, "target");
                w.nested(2, |w| {
                    w.text(1, "CT");
                    w.be32(2, 1);
                    w.attr(3, &target(policy));
                });
            });
        });
        w.nested(COMPAT, |w| {
            w.be32(1, u32::from(Protocol::TCP.0));
            w.be32(2, 0);
        });
    });
    w.message(0x11, NLM_F_REQUEST, 3, batch, |_| {});
    w.bytes().to_vec()
}

/// `struct xt_ct_target_info_v1`: of its 72 bytes, the name of the policy is at 28.
fn target(policy: &str) -> Vec<u8> {
    let mut target = vec![0; 28];
    target.extend_from_slice(policy.as_bytes());
    target.resize(72, 0);
    target
}

/// Most kernels have none; one without the module for them says so.
#[test]
fn helpers_in_user_space_are_listed_or_what_is_missing_is_told() {
    let Some(namespace) = TestNamespace::new() else {
        return;
    };
    let json = run(&namespace, "helper list -o json");
    let ran = run(&namespace, "helper list");
    assert_eq!(json.err, ran.err);
    assert_eq!(json.out, if ran.status == 4 { "" } else { "[]\n" });
    match ran.status {
        4 => {
            assert!(ran.err.contains("[unsupported]"), "{}", ran.err);
            assert!(ran.err.contains("nfnetlink_cthelper"), "{}", ran.err);
        }
        status => {
            assert_eq!(status, 1, "{ran:?}");
            assert_eq!(ran.err, "tracklight: no helpers in user space\n");
        }
    }
}
