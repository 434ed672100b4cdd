//! Who may.

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

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
    assert_eq!(
        (wrong.status, &*wrong.failure()),
        (429, "too-many-attempts")
    );
    let wait: u64 = wrong.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=60).contains(&wait), "{wait}");
    let right = daemon.get("/look", &format!("Authorization: Bearer {secret}\r\n"));
    assert_eq!(right.status, 200, "{right:?}");
}

#[test]
fn the_socket_is_its_owners_who_needs_no_token() {
    let daemon = Daemon::start();
    let mode = fs::metadata(daemon.socket()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let answer =
        daemon.raw_unix(b"GET /look HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    let uid = std::os::unix::fs::MetadataExt::uid(&fs::metadata("/proc/self").unwrap());
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
