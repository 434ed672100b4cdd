//! Some hundred requests that are wrong, made from a grammar: never a panic, never half done.

use std::io::Write;
use std::process::Stdio;

use ctnetlink::TcpState;

use super::{Answer, Table, call, tcp, udp};

/// Values of every JSON type and of every way to be a wrong text.
const VALUES: &[&str] = &[
    "null",
    "true",
    "false",
    "0",
    "-1",
    "1.5",
    "65536",
    "1e300",
    "-1e300",
    "18446744073709551616",
    "\"\"",
    "\" \"",
    "\"x\"",
    "\"tcp \"",
    "\"\\u0000\"",
    "\"\\ud83d\\ude00\"",
    "\"Ａ\"",
    "\"-1\"",
    "\"0x10\"",
    "\"1e3\"",
    "\"NaN\"",
    "\"10.0.0.1/8\"",
    "\"010.0.0.1\"",
    "\"10.0.0\"",
    "\"fe80::1%lo\"",
    "\"::g\"",
    "\"ESTABLISHED\\n\"",
    "\"../../etc/passwd\"",
    "\"'; DROP TABLE\"",
    "[]",
    "[\"tcp\"]",
    "{}",
    "{\"a\":1}",
];

/// Inputs that are no JSON object at all.
fn not_json() -> Vec<Vec<u8>> {
    let mut inputs: Vec<Vec<u8>> = [
        "",
        " ",
        "\n",
        "\0",
        "{",
        "}",
        "[",
        "]",
        "[]",
        "[{}]",
        "null",
        "true",
        "1",
        "-",
        "\"flush\"",
        "flush",
        "action=flush",
        "{action:\"flush\"}",
        "{'action':'flush'}",
        "{\"action\":flush}",
        "{\"action\"}",
        "{\"action\":}",
        "{\"action\":\"flush\"",
        "{\"action\":\"flush}",
        "{\"action\":\"flush\",}",
        "{\"action\":\"flush\"}}",
        "{\"action\":\"flush\"}{\"action\":\"flush\"}",
        "{\"action\":\"flush\"} x",
        "/**/{\"action\":\"flush\"}",
        "{\"action\":\"flush\",\"x\":NaN}",
        "{\"action\":\"flush\",\"x\":Infinity}",
        "{\"action\":\"flush\",\"x\":1e999}",
        "{\"action\":\"flush\",\"x\":01}",
        "{\"action\":\"flush\",\"x\":+1}",
        "{\"action\":\"flush\",\"x\":.5}",
        "{\"action\":\"flush\",\"x\":0x10}",
        "{\"action\":\"flush\",\"x\":\"\\x41\"}",
        "{\"action\":\"flush\",\"x\":\"\\ud800\"}",
        "{\"action\":\"flush\",\"x\":\"\u{1}\"}",
        "\u{feff}{\"action\":\"flush\"}",
        "{\"action\":\"flush\",\"x\":tru}",
        "<json/>",
    ]
    .iter()
    .map(|text| text.as_bytes().to_vec())
    .collect();
    inputs.push(b"{\"action\":\"fl\xffush\"}".to_vec());
    inputs.push(b"\xff\xfe{\0}\0".to_vec());
    for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
        let deep = open.repeat(10_000) + "1" + &close.repeat(10_000);
        inputs.push(deep.clone().into_bytes());
        inputs.push(format!("{{\"action\":\"flush\",\"x\":{deep}}}").into_bytes());
        inputs.push(open.repeat(10_000).into_bytes());
    }
    inputs
}

/// Each field of each action with each value that it must not have.
fn not_valid() -> Vec<(&'static str, String)> {
    let mut requests = Vec::new();
    for value in VALUES {
        for call in ["read", "delete"] {
            requests.push((call, format!("{{\"action\":{value}}}")));
        }
        let text = value.starts_with('"') && *value != "\"\"";
        let other = matches!(value.as_bytes()[0], b'[' | b'{' | b't' | b'f');
        if text || other {
            requests.push((
                "read",
                format!(r#"{{"action":"conntrack","protocol":{value}}}"#),
            ));
            requests.push((
                "read",
                format!(r#"{{"action":"conntrack","state":{value}}}"#),
            ));
        }
        if other || (text && *value != "\"-1\"") || *value == "1.5" {
            requests.push((
                "read",
                format!(r#"{{"action":"conntrack","limit":{value}}}"#),
            ));
        }
        if !matches!(*value, "null" | "\"\"" | "65536") {
            requests.push(("read", format!(r#"{{"action":"stats","time":{value}}}"#)));
        }
        // A connection that is there, but for one field.
        let fields = [
            ("protocol", "\"tcp\""),
            ("src", "\"10.0.0.5\""),
            ("sport", "1001"),
            ("dst", "\"192.0.2.1\""),
            ("dport", "443"),
            ("zone", "0"),
        ];
        for (changed, _) in fields {
            let harmless = match changed {
                "zone" => matches!(*value, "null" | "\"\"" | "0"),
                // Another protocol's number, or another port: valid, and another test's matter.
                "protocol" | "sport" | "dport" => *value == "0",
                _ => false,
            };
            if harmless {
                continue;
            }
            let body: Vec<String> = fields
                .iter()
                .map(|(name, good)| {
                    format!("\"{name}\":{}", if *name == changed { value } else { good })
                })
                .collect();
            requests.push((
                "delete",
                format!(r#"{{"action":"connection",{}}}"#, body.join(",")),
            ));
        }
    }
    for twice in ["action", "protocol", "src", "dst", "sport", "dport"] {
        requests.push((
            "delete",
            format!(
                r#"{{"action":"connection","protocol":"tcp","src":"10.0.0.5","sport":1001,"dst":"192.0.2.1","dport":443,"{twice}":"connection"}}"#
            ),
        ));
    }
    requests.push(("delete", r#"{"Action":"flush"}"#.to_owned()));
    requests.push(("delete", r#"{"action":"Flush"}"#.to_owned()));
    requests.push(("read", r#"{"action":"flush"}"#.to_owned()));
    requests
}

/// A table with the entry that wrong requests nearly name.
fn table() -> Option<Table> {
    let table = Table::new()?;
    table.create(tcp(1, TcpState::ESTABLISHED, 600));
    table.create(udp(1, 600));
    Some(table)
}

fn ids(table: &Table) -> Vec<Option<u32>> {
    table.entries().iter().map(|entry| entry.id).collect()
}

#[test]
fn no_json_is_told_so_by_both_calls_and_changes_nothing() {
    let Some(table) = table() else { return };
    let before = ids(&table);
    for input in not_json() {
        for name in ["read", "delete"] {
            let answer = call(&table.namespace, name, &input);
            answer.failure("InvalidInput");
            assert_eq!(answer.stderr, "");
        }
    }
    assert_eq!(ids(&table), before);
}

#[test]
fn hundreds_of_wrong_requests_are_told_so_and_change_nothing() {
    let Some(table) = table() else { return };
    let before = ids(&table);
    let requests = not_valid();
    assert!(
        requests.len() + not_json().len() * 2 >= 300,
        "{}",
        requests.len()
    );
    for (name, request) in &requests {
        let answer = call(&table.namespace, name, request.as_bytes());
        assert_eq!(answer.status, Some(1), "{name} {request}: {answer:?}");
        assert_eq!(
            answer.body()["type"],
            "NotValid",
            "{name} {request}: {answer:?}"
        );
        answer.wrong();
        assert_eq!(answer.stderr, "", "{request}");
    }
    assert_eq!(ids(&table), before);
}

#[test]
fn of_a_hundred_megabytes_no_more_is_read_than_the_first() {
    let Some(table) = table() else { return };
    let before = ids(&table);
    // 64 MiB of address space is less than the input is long.
    let script = format!(
        "ulimit -v 65536; exec {} api delete",
        env!("CARGO_BIN_EXE_tracklight")
    );
    let mut child = table
        .namespace
        .command("sh")
        .args(["-c", &script])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(br#"{"action":"flush","x":""#).unwrap();
    let block = [b'x'; 4096];
    let taken = (0..25_600)
        .take_while(|_| stdin.write_all(&block).is_ok())
        .count()
        * block.len();
    drop(stdin);
    // A pipe may hold another mebibyte.
    assert!((1 << 20..3 << 20).contains(&taken), "{taken}");
    let output = child.wait_with_output().unwrap();
    let answer = Answer {
        status: output.status.code(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    };
    answer.failure("InvalidInput");
    assert_eq!(ids(&table), before);
}

#[test]
fn a_request_of_just_the_longest_length_is_read() {
    let Some(table) = table() else { return };
    let head = r#"{"action":"protocols","x":""#;
    let fill = |length: usize| format!("{head}{}\"}}", "x".repeat(length - head.len() - 2));
    table.read(&fill(1 << 20)).success();
    table.read(&fill((1 << 20) + 1)).failure("InvalidInput");
}
