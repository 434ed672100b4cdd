//! `read`: `stats`, against Debian's Netdata and against servers that only look like one.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use engine::history::{Follower, History, Origin, Seen, Settings};
use serde_json::{Value, json};
use testkit::skip;

use super::{Answer, Table, client_of, program, run, udp, until};

const STATS: &str = r#"{"action": "stats", "time": 900}"#;

/// Where Netdata listens if nobody says otherwise.
const ADDRESS: &str = "127.0.0.1:19999";

/// A folder that goes with the value.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("tracklight-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

struct Netdata(Child);

impl Drop for Netdata {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn rows(answer: &Answer) -> Vec<(u64, u64)> {
    let body = answer.success();
    assert_eq!(body["labels"], json!(["time", "connections"]));
    assert_eq!(body.as_object().unwrap().len(), 2);
    body["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| {
            let row = row.as_array().unwrap();
            assert_eq!(row.len(), 2);
            (row[0].as_u64().unwrap(), row[1].as_u64().unwrap())
        })
        .collect()
}

impl Netdata {
    /// A real one in the table's namespace, or a skip.
    fn start(table: &Table, folder: &Folder) -> Option<Self> {
        let script = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../../scripts/netdata-for-tests"
        );
        let found = ["/usr/sbin/netdata", "/usr/bin/netdata"];
        if !found.iter().any(|path| std::path::Path::new(path).exists()) {
            skip("netdata is not installed: scripts/setup test");
            return None;
        }
        let netdata = table
            .namespace
            .command(script)
            .arg(&folder.0)
            .arg("19999")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        Some(Self(netdata.unwrap()))
    }
}

/// Our own recording of a table, in a folder, and a configuration that names it.
struct Recording {
    folder: Folder,
    history: Arc<History>,
    follower: Option<Follower>,
}

impl Recording {
    fn start(table: &Table, name: &str) -> Self {
        let folder = Folder::new(name);
        let origin = table.namespace.run(Origin::here).unwrap();
        let history = History::open(&folder.0, &Settings::default(), origin).unwrap();
        let client = client_of(&table.namespace);
        let follower = Follower::of(&history, move || {
            let connections = client.global_stats().ok()?.entries?;
            Some(Seen {
                connections: connections.into(),
                limit: None,
                summary: None,
                counters_ns: None,
                kernel: None,
            })
        });
        let follower = Some(follower.unwrap());
        let recording = Self {
            folder,
            history,
            follower,
        };
        let config = format!("[server]\nstate = '{}'\n", recording.folder.0.display());
        std::fs::write(recording.config(), config).unwrap();
        recording
    }

    fn config(&self) -> PathBuf {
        self.folder.0.join("tracklight.toml")
    }

    /// Asks the program, with this folder.
    fn read(&self, table: &Table) -> Answer {
        let mut command = program(&table.namespace);
        command.args(["api", "read", "--config"]).arg(self.config());
        run(&mut command, STATS.as_bytes())
    }

    /// Waits for so many more seconds in the file.
    fn wait_for(&self, seconds: u64) {
        let now = || engine::now() / 1_000_000_000;
        let ask = |from| engine::history::Ask {
            from,
            to: from + 1_000,
            step: Some(1),
            points: None,
        };
        let from = now() + 1;
        until(
            || {
                let series = self.history.series(&ask(from));
                series.map_or(0, |series| series.points.len() as u64)
            },
            |&found| found >= seconds,
        );
    }

    /// Ends recording, as a daemon that is stopped.
    fn stop(&mut self) {
        self.follower = None;
        self.history.close();
    }
}

#[test]
fn our_own_counts_are_those_of_debian_s_netdata() {
    let Some(table) = Table::new() else { return };
    let folder = Folder::new("netdata-beside");
    let Some(netdata) = Netdata::start(&table, &folder) else {
        return;
    };
    let theirs = || table.read(STATS);
    until(theirs, |answer| answer.status == Some(0));
    let mut recording = Recording::start(&table, "beside");
    // Counts that stay for some seconds each: the two look at other moments of a second.
    for step in 0..3u16 {
        recording.wait_for(3);
        table.create_all((0..200).map(|number| udp(step * 200 + number, 600)));
    }
    recording.wait_for(3);
    let theirs = rows(&until(theirs, |answer| rows(answer).len() > 10));
    drop(netdata);
    let answer = recording.read(&table);
    let ours = rows(&answer);
    assert!(
        ours.windows(2).all(|pair| pair[0].0 > pair[1].0),
        "{ours:?}"
    );
    let note = format!(
        "statistics from our own history in {}",
        recording.folder.0.display()
    );
    assert!(answer.stderr.contains(&note), "{}", answer.stderr);
    let at = |second: u64| {
        let mut found = theirs.iter().filter(|(time, _)| *time == second);
        found.next().map(|&(_, connections)| connections)
    };
    let (mut compared, mut equal) = (0, 0);
    for &(second, connections) in &ours {
        let (Some(before), Some(then), Some(after)) = (at(second - 1), at(second), at(second + 1))
        else {
            continue;
        };
        let near = before.min(then).min(after)..=before.max(then).max(after);
        assert!(near.contains(&connections), "{second}: {ours:?} {theirs:?}");
        compared += 1;
        equal += u32::from(connections == then);
    }
    assert!(compared >= 8, "{ours:?} {theirs:?}");
    assert!(equal * 2 > compared, "{ours:?} {theirs:?}");
    recording.stop();
}

#[test]
fn without_netdata_our_own_history_answers_in_the_same_shape() {
    let Some(table) = Table::new() else { return };
    table.create_all((0..7).map(|number| udp(number, 600)));
    let mut recording = Recording::start(&table, "alone");
    recording.wait_for(2);
    let answer = recording.read(&table);
    let found = rows(&answer);
    // The question to Netdata is a connection too, though nobody answers.
    assert!(found.len() >= 2, "{found:?}");
    assert!((7..9).contains(&found[0].1), "{found:?}");
    assert_eq!(found.last().unwrap().1, 7);
    assert!(
        found.windows(2).all(|pair| pair[0].0 > pair[1].0),
        "{found:?}"
    );
    assert!(answer.stderr.contains(ADDRESS), "{}", answer.stderr);
    // Also after the daemon has gone.
    recording.stop();
    assert!(rows(&recording.read(&table)).len() >= found.len());
    // But not another namespace's.
    let Some(other) = Table::new() else { return };
    let body = recording.read(&other).failure("NoStatistics");
    let message = body["message"].as_str().unwrap();
    assert!(message.contains("another network namespace"), "{message}");
}

#[test]
fn debian_s_netdata_answers_with_what_the_table_had() {
    let Some(table) = Table::new() else { return };
    let folder = Folder::new("netdata");
    let Some(_netdata) = Netdata::start(&table, &folder) else {
        return;
    };
    // Every question is a connection over loopback too, so the table grows as we ask.
    let answered = |answer: &Answer| answer.status == Some(0);
    until(
        || table.read(STATS),
        |answer| answered(answer) && rows(answer).len() >= 2,
    );
    for number in 0..5_000 {
        table.create(udp(number, 600));
    }
    let newest = |answer: &Answer| rows(answer)[0].1;
    let full = until(|| table.read(STATS), |answer| newest(answer) >= 5_000);
    assert!(newest(&full) <= table.namespace.conntrack_count().unwrap() as u64);
    table.delete(r#"{"action":"flush"}"#).success();
    let answer = until(|| table.read(STATS), |answer| newest(answer) < 5_000);
    let rows = rows(&answer);
    assert!(rows.iter().any(|&(_, connections)| connections >= 5_000));
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_secs();
    assert!(
        rows[0].0 <= now && rows[0].0 + 10 > now,
        "{} {now}",
        rows[0].0
    );
    // Newest first, one a second; 890 of 900 seconds were before its start, and are left out.
    assert!(rows.windows(2).all(|pair| pair[0].0 > pair[1].0));
    assert!(rows.len() < 100, "{}", rows.len());
    assert!(answer.stderr.contains("Netdata"), "{}", answer.stderr);

    let two = self::rows(&table.read(r#"{"action":"stats","time":"2"}"#));
    assert!(two.len() <= 2, "{two:?}");
    let default = self::rows(&table.read(r#"{"action":"stats"}"#));
    assert!(default.len() >= rows.len());
}

#[test]
fn without_netdata_the_answer_says_what_to_do() {
    let Some(table) = Table::new() else { return };
    let body = table.read(STATS).failure("NoStatistics");
    let message = body["message"].as_str().unwrap();
    assert!(
        message.contains(ADDRESS) && message.contains("start Netdata"),
        "{message}"
    );
    assert!(message.contains("nor of our own: "), "{message}");
}

/// A server in the table's namespace that gives everybody the same answer, until it is dropped.
struct Fake {
    stop: Arc<AtomicBool>,
    address: SocketAddr,
    thread: Option<std::thread::JoinHandle<Vec<String>>>,
    table: Arc<Table>,
}

impl Fake {
    fn start(table: &Arc<Table>, answer: impl Fn(&mut TcpStream) + Send + 'static) -> Self {
        let listener = table
            .namespace
            .run(|| TcpListener::bind(ADDRESS))
            .unwrap()
            .unwrap();
        let address = listener.local_addr().unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            let mut asked = Vec::new();
            for stream in listener.incoming() {
                if stopped.load(Ordering::Relaxed) {
                    break;
                }
                let mut stream = stream.unwrap();
                let mut request = Vec::new();
                let mut buffer = [0; 1024];
                while !request.ends_with(b"\r\n\r\n") {
                    match stream.read(&mut buffer) {
                        Ok(length @ 1..) => request.extend_from_slice(&buffer[..length]),
                        _ => break,
                    }
                }
                asked.push(String::from_utf8_lossy(&request).into_owned());
                answer(&mut stream);
            }
            asked
        });
        Self {
            stop,
            address,
            thread: Some(thread),
            table: Arc::clone(table),
        }
    }

    fn body(table: &Arc<Table>, status: &'static str, body: Vec<u8>) -> Self {
        Self::start(table, move |stream| {
            let head = format!(
                "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
                body.len()
            );
            let _ = stream.write_all(head.as_bytes());
            let _ = stream.write_all(&body);
        })
    }

    /// What was asked.
    fn stop(&mut self) -> Vec<String> {
        self.stop.store(true, Ordering::Relaxed);
        let _ = self
            .table
            .namespace
            .run(|| TcpStream::connect(self.address));
        self.thread
            .take()
            .map_or_else(Vec::new, |thread| thread.join().unwrap())
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.stop();
    }
}

fn data(rows: &str) -> Vec<u8> {
    format!("{{\n \"labels\": [\"time\",\"connections\"],\n \"data\":\n [{rows}]\n}}").into_bytes()
}

#[test]
fn the_document_s_example_comes_out_and_gaps_do_not() {
    let Some(table) = Table::new().map(Arc::new) else {
        return;
    };
    let mut fake = Fake::body(
        &table,
        "200 OK",
        data("[1553521930,null],[1553521929,422],[1553521928,423.0],[1553521927,null]"),
    );
    let answer = table.read(STATS);
    let document = json!({"data": [[1_553_521_929, 422], [1_553_521_928, 423]], "labels": ["time", "connections"]});
    assert_eq!(answer.success(), document);
    assert_eq!(
        answer.stderr.trim(),
        format!("tracklight: statistics from Netdata at {ADDRESS}")
    );
    let asked = fake.stop();
    let expected =
        "GET /api/v1/data?chart=netfilter.conntrack_sockets&after=-900&format=json HTTP/1.1";
    assert_eq!(asked[0].lines().next(), Some(expected));
    assert!(!asked[0].to_lowercase().contains("accept-encoding: gzip"));
}

#[test]
fn no_rows_are_an_empty_list() {
    let Some(table) = Table::new().map(Arc::new) else {
        return;
    };
    let _fake = Fake::body(&table, "200 OK", data("[1553521929,null]"));
    assert_eq!(rows(&table.read(STATS)), []);
}

#[test]
fn a_netdata_without_counts_does_not_hide_our_own() {
    let Some(table) = Table::new().map(Arc::new) else {
        return;
    };
    table.create_all((0..7).map(|number| udp(number, 600)));
    let mut recording = Recording::start(&table, "beside-empty");
    recording.wait_for(2);
    recording.stop();
    let _fake = Fake::body(&table, "200 OK", data("[1553521929,null]"));
    let answer = recording.read(&table);
    let found = rows(&answer);
    assert!(found.len() >= 2 && found[0].1 == 7, "{found:?}");
    let note = format!(
        "our own history in {}, for there are none of Netdata's: Netdata at {ADDRESS} has no counts",
        recording.folder.0.join("history.sqlite").display()
    );
    assert!(answer.stderr.contains(&note), "{}", answer.stderr);
}

#[test]
fn what_is_no_answer_of_netdata_s_is_an_error_and_not_an_empty_list() {
    let answers: [(&str, Vec<u8>); 9] = [
        (
            "404 Not Found",
            b"No metrics where matched to query.".to_vec(),
        ),
        ("500 Internal Server Error", Vec::new()),
        ("302 Found", Vec::new()),
        ("200 OK", Vec::new()),
        ("200 OK", b"<html>".to_vec()),
        (
            "200 OK",
            b"{\"labels\":[\"time\",\"connections\"],\"data\":[[1,2],".to_vec(),
        ),
        (
            "200 OK",
            br#"{"labels":["time","new"],"data":[[1,2]]}"#.to_vec(),
        ),
        ("200 OK", data("[1,-5]")),
        ("200 OK", b"[".repeat(10_000)),
    ];
    for (status, body) in answers {
        // Another namespace each, for the port is not free at once.
        let Some(table) = Table::new().map(Arc::new) else {
            return;
        };
        let shown = String::from_utf8_lossy(&body).into_owned();
        let fake = Fake::body(&table, status, body);
        let found = table.read(STATS).failure("NoStatistics");
        drop(fake);
        assert!(
            found["message"].as_str().unwrap().contains(ADDRESS),
            "{status} {shown}"
        );
    }
    let Some(table) = Table::new().map(Arc::new) else {
        return;
    };
    let _fake = Fake::start(&table, |stream| {
        let _ = stream.write_all(b"220 mail ESMTP\r\n");
    });
    table.read(STATS).failure("NoStatistics");
}

#[test]
fn an_answer_without_end_is_cut() {
    let Some(table) = Table::new().map(Arc::new) else {
        return;
    };
    let _fake = Fake::start(&table, |stream| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{\"data\":[");
        let row = b"[1553521929,422],".repeat(10_000);
        while stream.write_all(&row).is_ok() {}
    });
    // 256 MiB of address space.
    let script = format!(
        "ulimit -v 262144; exec {} api read",
        env!("CARGO_BIN_EXE_tracklight")
    );
    let mut limited = table.namespace.command("sh");
    let body = run(limited.args(["-c", &script]), STATS.as_bytes()).failure("NoStatistics");
    assert!(
        body["message"]
            .as_str()
            .unwrap()
            .contains("more than 8 MiB"),
        "{body}"
    );
}

#[test]
fn a_slow_answer_is_given_up_and_the_time_is_configuration() {
    let Some(table) = Table::new().map(Arc::new) else {
        return;
    };
    let folder = Folder::new("slow");
    let config = folder.0.join("tracklight.toml");
    std::fs::write(&config, "[netdata]\ntimeout-ms = 300\n").unwrap();
    // Byte by byte it would go on for ever: the deadline is for the whole answer.
    let _fake = Fake::start(&table, |stream| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n");
        while stream.write_all(b" ").is_ok() {
            std::thread::sleep(Duration::from_millis(50));
        }
    });
    let started = Instant::now();
    let mut command = program(&table.namespace);
    command.args(["api", "read", "--config"]).arg(&config);
    let body = run(&mut command, STATS.as_bytes()).failure("NoStatistics");
    assert!(started.elapsed() < Duration::from_secs(10));
    assert!(
        body["message"].as_str().unwrap().contains("in time"),
        "{body}"
    );
}

#[test]
fn the_address_is_configuration_and_no_proxy_is_asked() {
    let Some(table) = Table::new().map(Arc::new) else {
        return;
    };
    let folder = Folder::new("address");
    let config = folder.0.join("tracklight.toml");
    std::fs::write(&config, "[netdata]\naddress = '127.0.0.1:7'\n").unwrap();
    let mut fake = Fake::body(&table, "200 OK", data("[1,1]"));
    let mut command = program(&table.namespace);
    command
        .args(["api", "read"])
        .env("TRACKLIGHT_CONFIG", &config);
    command
        .env("http_proxy", format!("http://{ADDRESS}"))
        .env("HTTP_PROXY", format!("http://{ADDRESS}"));
    let body = run(&mut command, STATS.as_bytes()).failure("NoStatistics");
    assert!(
        body["message"].as_str().unwrap().contains("127.0.0.1:7"),
        "{body}"
    );
    let asked = fake.stop();
    assert!(asked.iter().all(String::is_empty), "{asked:?}");
}

#[test]
fn a_wrong_time_is_told() {
    let Some(table) = Table::new() else { return };
    for (time, error) in [
        ("0", "out_of_range"),
        ("-1", "out_of_range"),
        ("\"9e2\"", "not_an_integer"),
        ("[]", "wrong_type"),
    ] {
        let wrong = table
            .read(&format!(r#"{{"action":"stats","time":{time}}}"#))
            .wrong();
        assert_eq!(wrong, [["time", time.trim_matches('"'), error]]);
    }
    let _: Value = table
        .read(r#"{"action":"stats","time":""}"#)
        .failure("NoStatistics");
}
