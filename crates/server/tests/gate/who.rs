//! Who may.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::time::Duration;

use server::gate::Tokens;
use server::who::Role;

use crate::daemon::{Answer, Daemon};
use crate::tls::TlsFiles;

#[test]
fn nobody_without_a_token_is_answered_over_tcp() {
    let daemon = Daemon::start();
    for (head, code) in [
        ("", "not-signed-in"),
        ("Authorization: Bearer tl_00\r\n", "wrong-token"),
        ("Authorization: Basic dGw6dGw=\r\n", "wrong-token"),
        ("Cookie: tracklight=00\r\n", "not-signed-in"),
    ] {
        let answer = daemon.get("/look", head);
        assert_eq!(answer.status, 401, "{head}: {answer:?}");
        assert_eq!(answer.failure(), code, "{head}");
        assert!(!answer.json()["hint"].as_str().unwrap().is_empty());
        assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
    }
    // What is not there looks like what is.
    assert_eq!(daemon.get("/nothing", "").status, 401);
}

#[test]
fn a_token_is_answered_as_its_owner_until_it_is_revoked_by_another_process() {
    let daemon = Daemon::start();
    let secret = daemon.tokens().add("panel", Role::Viewer, None).unwrap();
    let head = format!("Authorization: Bearer {secret}\r\n");
    let answer = daemon.get("/look", &head);
    assert_eq!((answer.status, &*answer.body), (200, "panel Viewer"));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    daemon.tokens().revoke("panel").unwrap();
    assert_eq!(daemon.get("/look", &head).failure(), "wrong-token");
}

#[test]
fn a_token_holds_as_long_as_was_said() {
    let daemon = Daemon::start();
    let lasts = Some(Duration::ZERO);
    let secret = daemon.tokens().add("short", Role::Viewer, lasts).unwrap();
    let answer = daemon.get("/look", &format!("Authorization: Bearer {secret}\r\n"));
    assert_eq!(answer.failure(), "wrong-token");
}

#[test]
fn of_tokens_and_links_only_hashes_are_kept_in_a_file_of_the_owner() {
    let daemon = Daemon::start();
    let secret = daemon.tokens().add("one", Role::Operator, None).unwrap();
    let code = daemon.tokens().link("one").unwrap();
    let path = daemon.state().join("tokens.json");
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.contains("\"one\"") && !text.contains(&code));
    assert!(!text.contains(secret.trim_start_matches("tl_")), "{text}");
    let mode = fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn a_token_that_root_makes_is_the_daemons_to_read_and_to_change() {
    let folder = tempfile::tempdir().unwrap();
    let owner = |path: &Path| {
        let data = fs::metadata(path).unwrap();
        (data.uid(), data.gid())
    };
    if owner(Path::new("/proc/self")).0 != 0 {
        return testkit::skip("only root can make files of another user's");
    }
    let daemons = (65_000, 65_001);
    std::os::unix::fs::chown(folder.path(), Some(daemons.0), Some(daemons.1)).unwrap();
    let tokens = Tokens::open(folder.path()).unwrap();
    // What an older root left is mended too.
    fs::write(folder.path().join("tokens.lock"), "").unwrap();
    tokens.add("one", Role::Viewer, None).unwrap();
    tokens.link("one").unwrap();
    for name in ["tokens.json", "tokens.lock"] {
        assert_eq!(owner(&folder.path().join(name)), daemons, "{name}");
    }
    // The daemon's user may have put a link there.
    let elsewhere = tempfile::NamedTempFile::new().unwrap();
    let lock = folder.path().join("tokens.lock");
    fs::remove_file(&lock).unwrap();
    for link in [
        std::os::unix::fs::symlink::<&Path, &Path>,
        fs::hard_link::<&Path, &Path>,
    ] {
        link(elsewhere.path(), &lock).unwrap();
        assert_eq!(tokens.revoke("one").unwrap_err().code, "state-unusable");
        assert_eq!(owner(elsewhere.path()).0, 0);
        fs::remove_file(&lock).unwrap();
    }
    tokens.revoke("one").unwrap();
}

#[test]
fn writers_of_tokens_at_once_lose_none() {
    let daemon = Daemon::start();
    std::thread::scope(|scope| {
        for writer in 0..8 {
            let tokens = daemon.tokens();
            scope.spawn(move || {
                for each in 0..5 {
                    let name = format!("t{writer}-{each}");
                    tokens.add(&name, Role::Viewer, None).unwrap();
                }
            });
        }
    });
    assert_eq!(daemon.tokens().list().unwrap().len(), 40);
}

#[test]
fn a_link_signs_in_once_and_not_by_being_looked_at() {
    let daemon = Daemon::start();
    daemon.tokens().add("admin", Role::Operator, None).unwrap();
    let code = daemon.tokens().link("admin").unwrap();
    for _ in 0..2 {
        let page = daemon.get(&format!("/signin?code={code}"), "");
        assert_eq!(page.status, 200);
        assert_eq!(page.header("set-cookie"), None);
        assert!(page.body.contains(&code) && !page.body.contains("<script"));
        let policy = page.header("content-security-policy").unwrap();
        assert!(policy.contains("default-src 'self'") && policy.contains("frame-ancestors 'none'"));
        assert!(!policy.contains("script-src"), "{policy}");
        assert_eq!(page.header("referrer-policy"), Some("same-origin"));
    }
    let first = daemon.sign_in(&format!("code={code}"));
    assert_eq!((first.status, first.header("location")), (303, Some("/")));
    let cookie = first.header("set-cookie").unwrap();
    for flag in ["; HttpOnly", "; SameSite=Strict", "; Path=/"] {
        assert!(cookie.contains(flag), "{cookie}");
    }
    let again = daemon.sign_in(&format!("code={code}"));
    assert_eq!((again.status, again.header("set-cookie")), (401, None));
}

#[test]
fn what_a_link_says_cannot_write_into_the_page() {
    let daemon = Daemon::start();
    let page = daemon.get("/signin?code=%22%3E%3Cscript%3Ealert(1)%3C/script%3E", "");
    assert_eq!(page.status, 200);
    assert!(!page.body.contains("script") && !page.body.contains("alert"));
}

#[test]
fn a_session_ends_with_its_token_and_by_signing_out() {
    let daemon = Daemon::start();
    for revoke in [true, false] {
        let secret = daemon.tokens().add("me", Role::Operator, None).unwrap();
        let session = daemon.post(
            "/api/v1/session",
            &daemon.origin(),
            "application/json",
            &format!("{{\"token\":\"{secret}\"}}"),
        );
        assert_eq!(
            (session.status, session.json()["name"].as_str()),
            (200, Some("me")),
            "{session:?}"
        );
        assert_eq!(session.json()["role"], "operator");
        let cookie = session.cookie();
        assert_eq!(daemon.get("/api/v1/session", &cookie).json()["name"], "me");
        if revoke {
            daemon.tokens().revoke("me").unwrap();
        } else {
            let out = daemon.ask(
                "DELETE",
                "/api/v1/session",
                &format!("{cookie}{}", daemon.origin()),
                "",
            );
            assert_eq!(out.status, 204);
            assert!(out.header("set-cookie").unwrap().contains("Max-Age=0"));
        }
        assert_eq!(daemon.get("/look", &cookie).failure(), "not-signed-in");
    }
}

#[test]
fn a_page_of_another_origin_changes_nothing_with_somebodys_cookie() {
    let daemon = Daemon::start();
    let cookie = daemon.signed_in();
    let change = |more: &str| daemon.ask("POST", "/change", &format!("{cookie}{more}"), "");
    assert_eq!(change(&daemon.origin()).status, 200);
    for origin in [
        "",
        "Origin: null\r\n",
        "Origin: http://example.org\r\n",
        "Origin: http://127.0.0.1\r\n",
    ] {
        let answer = change(origin);
        assert_eq!(
            (answer.status, &*answer.failure()),
            (403, "wrong-origin"),
            "{origin}"
        );
    }
    // Nor does it sign anybody in as the stranger.
    let secret = daemon
        .tokens()
        .add("stranger", Role::Operator, None)
        .unwrap();
    let form = "application/x-www-form-urlencoded";
    let answer = daemon.post(
        "/signin",
        "Origin: http://example.org\r\n",
        form,
        &format!("token={secret}"),
    );
    assert_eq!((answer.status, answer.header("set-cookie")), (403, None));
}

#[test]
fn a_name_that_others_gave_our_address_is_not_ours() {
    let daemon = Daemon::start_with(|server| server.names = vec!["Gateway.lan".into()]);
    let cookie = daemon.signed_in();
    let of = |host: &str| {
        daemon.raw(
            format!("GET /look HTTP/1.1\r\nHost: {host}\r\n{cookie}Connection: close\r\n\r\n")
                .as_bytes(),
        )
    };
    for ours in [
        "localhost:8470",
        "[::1]:8470",
        "192.0.2.1",
        "gateway.lan",
        "GATEWAY.LAN:8470",
    ] {
        assert_eq!(of(ours).status, 200, "{ours}");
    }
    for other in [
        "rebound.example.org:8470",
        "localhost.example.org",
        "gateway.lan.example.org",
        "",
    ] {
        assert_eq!(of(other).failure(), "wrong-host", "{other}");
    }
}

#[test]
fn wrong_attempts_are_limited_and_right_tokens_are_not_shut_out_by_them() {
    let daemon = Daemon::start();
    let secret = daemon.tokens().add("program", Role::Viewer, None).unwrap();
    // However slow the machine is: a wrong one is forgotten after 12 s, five may be remembered.
    let wrong = (0..50)
        .map(|_| daemon.sign_in("token=tl_00"))
        .find(|answer| answer.status != 401)
        .unwrap();
    assert_eq!(wrong.status, 429);
    let wait: u64 = wrong.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=60).contains(&wait), "{wait}");
    assert_eq!(
        wrong.header("content-type"),
        Some("text/html; charset=utf-8")
    );
    let right = daemon.get("/look", &format!("Authorization: Bearer {secret}\r\n"));
    assert_eq!(right.status, 200, "{right:?}");
    let code = daemon.tokens().link("program").unwrap();
    assert_eq!(daemon.sign_in(&format!("code={code}")).status, 303);
}

#[test]
fn the_socket_is_its_owners_who_needs_no_token() {
    let daemon = Daemon::start();
    let mode = fs::metadata(daemon.socket()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let answer =
        daemon.raw_unix(b"GET /look HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    let uid = fs::metadata("/proc/self").unwrap().uid();
    assert_eq!(answer.body, format!("uid {uid} Operator"));
    let socket = daemon.socket();
    drop(daemon);
    assert!(!socket.exists());
}

#[test]
fn a_damaged_file_of_tokens_lets_nobody_in_and_says_so() {
    let daemon = Daemon::start();
    let secret = daemon.tokens().add("one", Role::Viewer, None).unwrap();
    let mut file = fs::OpenOptions::new()
        .append(true)
        .open(daemon.state().join("tokens.json"))
        .unwrap();
    file.write_all(b"}").unwrap();
    let answer: Answer = daemon.get("/look", &format!("Authorization: Bearer {secret}\r\n"));
    assert_eq!((answer.status, &*answer.failure()), (500, "state-unusable"));
}

#[test]
fn a_browser_signs_in_over_http_2_and_tls_with_a_cookie_that_goes_nowhere_else() {
    let files = TlsFiles::new();
    let daemon = Daemon::start_tls(&files);
    let secret = daemon.tokens().add("me", Role::Operator, None).unwrap();
    let address = daemon.address();
    let answer = files.h2(
        address,
        "POST",
        "/signin",
        &[("origin", &format!("https://{address}"))],
        &format!("token={secret}"),
    );
    assert_eq!(answer.status, 303, "{answer:?}");
    let cookie = answer.header("set-cookie").unwrap();
    assert!(
        cookie.starts_with("__Host-tracklight=") && cookie.contains("; Secure"),
        "{cookie}"
    );
    let pair = cookie.split(';').next().unwrap();
    let looked = files.h2(address, "GET", "/look", &[("cookie", pair)], "");
    assert_eq!((looked.status, &*looked.body), (200, "me Operator"));
}

/// Asks for an answer without end, waits until it has begun, and gives the rest when it has ended.
fn hear_out(daemon: &Daemon, path: &str, head: &str, end: impl FnOnce()) -> String {
    let mut stream = daemon.connect();
    let host = daemon.address();
    let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{head}\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut heard = Vec::new();
    let mut piece = [0; 1024];
    while !String::from_utf8_lossy(&heard).contains("first") {
        let many = stream.read(&mut piece).unwrap();
        assert!(many > 0, "{}", String::from_utf8_lossy(&heard));
        heard.extend_from_slice(&piece[..many]);
    }
    end();
    let mut rest = String::new();
    stream.read_to_string(&mut rest).unwrap();
    rest
}

#[test]
fn streams_end_with_the_right_to_them() {
    let daemon = Daemon::start();
    let tokens = daemon.tokens();
    let program = || {
        let secret = tokens.add("program", Role::Viewer, None).unwrap();
        format!("Authorization: Bearer {secret}\r\n")
    };
    let revoke = || tokens.revoke("program").unwrap();
    let events = hear_out(&daemon, "/events", &program(), revoke);
    assert!(events.contains("event: signed-out\ndata: {"), "{events}");
    assert!(events.ends_with("0\r\n\r\n"), "it ends well: {events}");
    // What has no way to say so breaks off.
    let rows = hear_out(&daemon, "/rows", &program(), revoke);
    assert!(!rows.contains("0\r\n"), "{rows}");
    let cookie = daemon.signed_in();
    let events = hear_out(&daemon, "/events", &cookie, || {
        let head = format!("{cookie}{}", daemon.origin());
        let answer = daemon.ask("DELETE", "/api/v1/session", &head, "");
        assert_eq!(answer.status, 204);
    });
    assert!(events.contains("event: signed-out"), "{events}");
    let secret = tokens.add("brief", Role::Viewer, Some(Duration::from_secs(2)));
    let brief = format!("Authorization: Bearer {}\r\n", secret.unwrap());
    let events = hear_out(&daemon, "/events", &brief, || ());
    assert!(events.contains("event: signed-out"), "{events}");
}

#[test]
fn behind_something_that_speaks_tls_for_it_browsers_sign_in_under_the_public_origin() {
    let public = "https://gateway.example.org";
    let daemon = Daemon::start_with(|server| {
        let text = format!("[server]\norigin = '{public}'\n");
        let config = engine::Config::parse(&text, Path::new("tracklight.toml")).unwrap();
        server.origin = config.server.origin;
    });
    let secret = daemon.tokens().add("me", Role::Operator, None).unwrap();
    let body = format!("token={secret}");
    let ask = |host: &str, origin: &str| {
        let head = format!(
            "POST /signin HTTP/1.1\r\nHost: {host}\r\nOrigin: {origin}\r\nConnection: close\r\n\
             Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        daemon.raw(head.as_bytes())
    };
    // What stands before it may hand on its own name or ask under the daemon's.
    for host in ["gateway.example.org", &daemon.address().to_string()] {
        let answer = ask(host, public);
        assert_eq!(answer.status, 303, "{answer:?}");
        let cookie = answer.header("set-cookie").unwrap();
        assert!(cookie.starts_with("__Host-tracklight="), "{cookie}");
        assert!(cookie.contains("; Secure"), "{cookie}");
        let head = format!("{}Origin: {public}\r\n", answer.cookie());
        assert_eq!(daemon.post("/change", &head, "text/plain", "").status, 200);
        let other = head.replace("gateway", "other");
        assert_eq!(daemon.post("/change", &other, "text/plain", "").status, 403);
    }
    // Directly, as before.
    let direct = daemon.sign_in(&body);
    assert!(
        direct
            .header("set-cookie")
            .unwrap()
            .starts_with("tracklight=")
    );
    assert_eq!(
        ask("gateway.example.org", "http://gateway.example.org").status,
        303
    );
    assert_eq!(
        ask("gateway.example.org", "https://evil.example.org").status,
        403
    );
}
