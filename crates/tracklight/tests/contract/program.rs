//! How the program is started, configured and read from.

use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::Stdio;

use ctnetlink::TcpState;
use serde_json::json;

use super::{Table, program, run, tcp, udp};

/// A folder with a panel's layout: links named `read` and `delete` in a folder `connections`.
struct Panel(PathBuf);

impl Panel {
    fn new(name: &str) -> Self {
        let root = std::env::temp_dir().join(format!("tracklight-{name}-{}", std::process::id()));
        let folder = root.join("api/connections");
        std::fs::create_dir_all(&folder).unwrap();
        for call in ["read", "delete"] {
            let link = folder.join(call);
            let _ = std::fs::remove_file(&link);
            symlink(env!("CARGO_BIN_EXE_tracklight"), link).unwrap();
        }
        Self(root)
    }

    fn connections(&self) -> PathBuf {
        self.0.join("api/connections")
    }
}

impl Drop for Panel {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[test]
fn links_named_read_and_delete_in_a_folder_connections_are_the_calls() {
    let Some(table) = Table::new() else { return };
    table.create(tcp(1, TcpState::ESTABLISHED, 600));
    let panel = Panel::new("links");
    let read = br#"{"action":"conntrack"}"#;
    let full = run(
        &mut table.namespace.command(panel.connections().join("read")),
        read,
    );
    assert_eq!(full.connections().len(), 1);
    // As a shell starts it: from the folder, from above, and found in PATH.
    for (folder, script) in [
        (panel.connections(), "./read"),
        (panel.0.clone(), "api/connections/read"),
        (panel.0.clone(), "PATH=api/connections:$PATH; command read"),
        (panel.0.clone(), "PATH=$PWD/api/connections:$PATH; env read"),
    ] {
        if script.contains("command read") {
            // `read` is a word of the shell's own.
            continue;
        }
        let mut shell = table.namespace.command("sh");
        let answer = run(shell.args(["-c", script]).current_dir(folder), read);
        assert_eq!(answer.connections().len(), 1, "{script}");
    }
    let mut delete = table.namespace.command(panel.connections().join("delete"));
    assert_eq!(
        run(&mut delete, br#"{"action":"flush"}"#).success(),
        json!({"state": "success"})
    );
    assert_eq!(table.entries().len(), 0);
}

#[test]
fn a_link_of_that_name_elsewhere_is_the_whole_program() {
    let Some(table) = Table::new() else { return };
    table.create(tcp(1, TcpState::ESTABLISHED, 600));
    let panel = Panel::new("elsewhere");
    let link = panel.0.join("delete");
    symlink(env!("CARGO_BIN_EXE_tracklight"), &link).unwrap();
    let answer = run(&mut table.namespace.command(link), br#"{"action":"flush"}"#);
    assert_eq!(answer.status, Some(2));
    assert_eq!(table.entries().len(), 1);
}

#[test]
fn another_namespace_can_be_named() {
    let (Some(here), Some(there)) = (Table::new(), Table::new()) else {
        return;
    };
    here.create(udp(1, 600));
    there.accounting(false);
    for number in 0..3 {
        there.create(udp(number, 600 - u32::from(number) * 100));
    }
    let mut command = program(&here.namespace);
    command
        .args(["api", "read", "--netns"])
        .arg(there.namespace.path());
    let found = run(&mut command, br#"{"action":"conntrack"}"#).connections();
    assert_eq!(super::field(&found, "sport"), ["2000", "2001", "2002"]);
    // Its accounting counts, not ours.
    assert_eq!(found[0].get("bytes"), None);
    let mut command = program(&here.namespace);
    command
        .args(["api", "delete", "--netns"])
        .arg(there.namespace.path());
    run(&mut command, br#"{"action":"flush"}"#).success();
    assert_eq!((here.entries().len(), there.entries().len()), (1, 0));
}

#[test]
fn names_in_marks_are_configuration_and_the_kernel_s_list_of_applications_comes_first() {
    let Some(table) = Table::new() else { return };
    let mut new = tcp(1, TcpState::ESTABLISHED, 600);
    new.mark = Some(0x0002_5b03);
    table.create(new);
    let panel = Panel::new("marks");
    let (config, list) = (panel.0.join("tracklight.toml"), panel.0.join("proto"));
    std::fs::write(
        &list,
        "#id mark ~mask name # count\n5b  5b/000000ff TLS  # 0\n",
    )
    .unwrap();
    let text = format!(
        "[marks.application]\nlist = {list:?}\n[marks.uplink.names]\n1 = 'fibre'\n2 = 'lte'\n[marks.class.names]\n3 = 'bulk'\n"
    );
    std::fs::write(&config, text).unwrap();
    let request = br#"{"action":"conntrack"}"#;
    let by_flag = run(
        program(&table.namespace)
            .args(["api", "read", "--config"])
            .arg(&config),
        request,
    );
    let by_variable = run(
        program(&table.namespace)
            .args(["api", "read"])
            .env("TRACKLIGHT_CONFIG", &config),
        request,
    );
    for answer in [by_flag, by_variable] {
        let one = &answer.connections()[0];
        assert_eq!(
            [&one["prio"], &one["ndpi"], &one["provider"]],
            ["bulk", "TLS", "lte"]
        );
    }
    let by_default = table.list(r#"{"action":"conntrack"}"#);
    let one = &by_default[0];
    assert_eq!(
        [&one["prio"], &one["ndpi"], &one["provider"]],
        ["low", "SSL", "2"]
    );
}

#[test]
fn a_configuration_that_cannot_be_used_is_told_with_file_and_line() {
    let Some(table) = Table::new() else { return };
    table.create(udp(1, 600));
    let panel = Panel::new("config");
    let config = panel.0.join("tracklight.toml");
    std::fs::write(&config, "[marks.class]\nshfit = 8\n").unwrap();
    for (path, expected) in [
        (config, "tracklight.toml, line 2: unknown setting `shfit`"),
        (
            panel.0.join("missing.toml"),
            "there is no configuration file",
        ),
        (panel.0.clone(), "cannot read"),
    ] {
        let mut command = program(&table.namespace);
        command.args(["api", "delete", "--config"]).arg(&path);
        let body = run(&mut command, br#"{"action":"flush"}"#).failure("ConfigurationError");
        assert!(
            body["message"].as_str().unwrap().contains(expected),
            "{body}"
        );
    }
    assert_eq!(table.entries().len(), 1);
}

#[test]
fn without_privilege_the_answer_says_what_is_needed() {
    let Some(table) = Table::new() else { return };
    table.create(udp(1, 600));
    for (call, request) in [
        ("read", r#"{"action":"conntrack"}"#),
        ("delete", r#"{"action":"flush"}"#),
        (
            "delete",
            r#"{"action":"connection","protocol":"udp","src":"10.0.0.6","sport":2001,"dst":"192.0.2.2","dport":53}"#,
        ),
    ] {
        let mut command = table.namespace.command("setpriv");
        command.args([
            "--bounding-set=-all",
            "--inh-caps=-all",
            env!("CARGO_BIN_EXE_tracklight"),
            "api",
            call,
        ]);
        let body = run(&mut command, request.as_bytes()).failure("PermissionDenied");
        assert!(
            body["message"].as_str().unwrap().contains("CAP_NET_ADMIN"),
            "{body}"
        );
    }
    assert_eq!(table.entries().len(), 1);
    // What needs no privilege works without.
    let mut command = table.namespace.command("setpriv");
    command.args([
        "--bounding-set=-all",
        "--inh-caps=-all",
        env!("CARGO_BIN_EXE_tracklight"),
        "api",
        "read",
    ]);
    run(&mut command, br#"{"action":"protocols"}"#).success();
}

#[test]
fn a_reader_that_goes_away_is_no_failure_and_a_full_disk_is() {
    let Some(table) = Table::new() else { return };
    for number in 0..500 {
        table.create(udp(number, 600));
    }
    let status = |redirect: &str| {
        let script = format!(
            "echo '{{\"action\":\"conntrack\"}}' | {{ {} api read {redirect}; echo $? >&2; }}",
            env!("CARGO_BIN_EXE_tracklight")
        );
        let mut shell = table.namespace.command("sh");
        let output = shell
            .args(["-c", &script])
            .stdin(Stdio::null())
            .output()
            .unwrap();
        String::from_utf8(output.stderr).unwrap()
    };
    assert_eq!(status("| head -c 10 >/dev/null").trim(), "0");
    let full = status(">/dev/full");
    assert!(
        full.contains("cannot write") && full.trim().ends_with('1'),
        "{full}"
    );

    let mut child = program(&table.namespace)
        .args(["api", "read"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let mut stdin = child.stdin.take().unwrap();
    std::io::Write::write_all(&mut stdin, br#"{"action":"conntrack"}"#).unwrap();
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), output.stderr), (Some(0), Vec::new()));
}

#[test]
fn an_input_that_cannot_be_read_is_no_json() {
    let Some(table) = Table::new() else { return };
    for redirect in ["<&-", "</", "</dev/null"] {
        let script = format!(
            "exec {} api read {redirect}",
            env!("CARGO_BIN_EXE_tracklight")
        );
        let answer = run(table.namespace.command("sh").args(["-c", &script]), b"");
        answer.failure("InvalidInput");
    }
}
