use testkit::TestNamespace;

use crate::run::tracklight;

#[test]
fn a_timeout_policy_is_made_shown_and_deleted() {
    let Some(namespace) = TestNamespace::new() else {
        return;
    };
    let run = |words: &str| {
        let words: Vec<&str> = words.split(' ').collect();
        tracklight(&namespace, &words)
    };
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
        assert!(gone.contains("[not-found]"), "{gone}");
        assert!(gone.contains("tracklight timeout list"), "{gone}");
    }
}

#[test]
fn the_own_times_of_a_namespace_are_shown_and_set() {
    let Some(namespace) = TestNamespace::new() else {
        return;
    };
    let run = |words: &str| {
        let words: Vec<&str> = words.split(' ').collect();
        tracklight(&namespace, &words)
    };
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
        (&["add", "", "inet", "tcp", "close=1"], "1 to 31 letters"),
    ] {
        let refused = tracklight(&namespace, &[&["timeout"], words].concat()).exits(2);
        assert!(refused.err.contains(what), "{}", refused.err);
    }
    tracklight(&namespace, &["timeout", "list"]).exits(1);
}

/// Most kernels have none; one without the module for them says so.
#[test]
fn helpers_in_user_space_are_listed_or_what_is_missing_is_told() {
    let Some(namespace) = TestNamespace::new() else {
        return;
    };
    let ran = tracklight(&namespace, &["helper", "list"]);
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
