//! Recorded history under the faults that it has to survive: killed processes, full disks, damaged files.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use engine::history::{
    self, Ask, Changes, Follower, History, Origin, Sample, Seen, Series, Settings,
};
use engine::live::Summary;
use tempfile::TempDir;

/// The begin of an hour, in November 2026.
const NOON: u64 = 1_795_608_000;

/// How long anything may take that is waited for.
const PATIENCE: Duration = Duration::from_secs(60);

/// Set in a process that this test starts anew, to what it is to do and where.
const CHILD: &str = "TRACKLIGHT_TEST_HISTORY";

fn folder() -> TempDir {
    tempfile::tempdir().unwrap()
}

fn open(folder: &Path) -> std::sync::Arc<History> {
    History::open(folder, &Settings::default(), Origin::here()).unwrap()
}

fn sample(time: u64) -> Sample {
    Sample {
        time,
        connections: time % 1_000,
        limit: Some(262_144),
        changes: Some(Changes {
            millis: 1_000,
            births: 10,
            deaths: 9,
        }),
        ..Sample::default()
    }
}

fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < end, "{what} does not come");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// All seconds from noon on.
fn ask() -> Ask {
    Ask {
        from: NOON,
        to: NOON + 100_000,
        step: Some(1),
        points: None,
    }
}

fn read(folder: &Path) -> Series {
    history::series(&history::path(folder), &Settings::default(), &ask()).unwrap()
}

/// The seconds since noon that are there; each must hold what was recorded.
fn seconds(series: &Series) -> Vec<u64> {
    let points = series.points.iter();
    points
        .map(|point| {
            assert_eq!(point.connections.max, point.time % 1_000);
            assert_eq!(point.births.unwrap().sum, 10);
            point.time - NOON
        })
        .collect()
}

fn write_all(history: &History, seconds: std::ops::Range<u64>) {
    for second in seconds {
        history.record(sample(NOON + second));
        // The queue is bounded.
        if second % 200 == 199 {
            until("room", || history.status().waiting == 0);
        }
    }
    until("the last sample in the file", || {
        history.status().waiting == 0
    });
}

/// What a process does that was started for it.
#[test]
fn child() {
    let Ok(task) = std::env::var(CHILD) else {
        return;
    };
    let (task, folder) = task.split_once(':').unwrap();
    match task {
        "record" => record_until_killed(Path::new(folder)),
        "full" => fill_the_disk(Path::new(folder)),
        _ => panic!("{task}"),
    }
}

/// This program once more, to run [`child`] alone.
fn start(wrapper: &[&str], task: &str, folder: &Path) -> Command {
    let own = std::env::current_exe().unwrap();
    let mut command = match wrapper {
        [] => Command::new(own),
        [program, args @ ..] => {
            let mut command = Command::new(program);
            command.args(args).arg(own);
            command
        }
    };
    command
        .args(["--exact", "child", "--nocapture"])
        .env(CHILD, format!("{task}:{}", folder.display()));
    command
}

/// Records some seconds' samples every ten milliseconds and says each.
fn record_until_killed(folder: &Path) {
    let history = open(folder);
    for second in 0.. {
        history.record(sample(NOON + second));
        println!("recorded {second}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// A child that records, killed some seconds after it began; what it said, with the time of each.
fn recorded_and_killed(folder: &Path) -> (Vec<(Instant, u64)>, Instant) {
    struct Killed(Child);
    impl Drop for Killed {
        fn drop(&mut self) {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }
    let child = start(&[], "record", folder).stdout(Stdio::piped()).spawn();
    let mut child = Killed(child.unwrap());
    let mut said = Vec::new();
    for line in BufReader::new(child.0.stdout.take().unwrap()).lines() {
        let line = line.unwrap();
        if let Some(second) = line.strip_prefix("recorded ") {
            said.push((Instant::now(), second.parse().unwrap()));
        }
        let first = said.first().map(|(at, _)| *at);
        if first.is_some_and(|first: Instant| first.elapsed() > Duration::from_millis(2_700)) {
            break;
        }
    }
    child.0.kill().unwrap();
    let at = Instant::now();
    child.0.wait().unwrap();
    (said, at)
}

#[test]
fn killed_in_the_middle_of_writing_it_has_all_that_is_older_than_two_seconds() {
    let folder = folder();
    let (said, killed) = recorded_and_killed(folder.path());
    let must: Vec<u64> = said
        .iter()
        .filter(|(at, _)| killed - *at >= Duration::from_secs(2))
        .map(|(_, second)| *second)
        .collect();
    assert!(must.len() > 5, "{}", must.len());
    // Read as it lies, and opened again by the next daemon.
    let found = seconds(&read(folder.path()));
    assert!(
        must.iter().all(|second| found.contains(second)),
        "{must:?} {found:?}"
    );
    let history = open(folder.path());
    let next = found.last().unwrap() + 1;
    history.record(sample(NOON + next));
    until("the next daemon's sample", || history.status().waiting == 0);
    let status = history.status();
    assert_eq!((status.set_aside, status.trouble), (None, None));
    assert_eq!(seconds(&read(folder.path())), [found, vec![next]].concat());
}

#[test]
fn a_log_that_was_cut_off_loses_its_end_and_nothing_before_it() {
    let folder = folder();
    recorded_and_killed(folder.path());
    let log = PathBuf::from(format!("{}-wal", history::path(folder.path()).display()));
    let before = seconds(&read(folder.path()));
    let length = log.metadata().unwrap().len();
    let file = std::fs::OpenOptions::new().write(true).open(&log).unwrap();
    file.set_len(length / 2 + 7).unwrap();
    let history = open(folder.path());
    until("the opening", || history.status().rows.is_some());
    assert_eq!(history.status().set_aside, None);
    let after = seconds(&read(folder.path()));
    assert!(!after.is_empty() && after.len() < before.len());
    assert_eq!(after, before[..after.len()]);
}

/// In a mount namespace of its own, with a small disk on the folder.
fn fill_the_disk(folder: &Path) {
    let history = open(folder);
    write_all(&history, 0..50);
    let filler = folder.join("filler");
    let mut file = std::fs::File::create(&filler).unwrap();
    while file.write_all(&[7; 4096]).is_ok() {}
    let mut second = 50;
    until("the trouble", || {
        history.record(sample(NOON + second));
        second += 1;
        history.status().trouble.is_some()
    });
    let status = history.status();
    let trouble = status.trouble.unwrap();
    assert_eq!(trouble.failure.code, "disk-full", "{trouble:?}");
    // It is told as long as it lasts, nobody waits, and what waits is in the answers.
    for _ in 0..200 {
        let started = Instant::now();
        history.record(sample(NOON + second));
        assert!(started.elapsed() < Duration::from_secs(1));
        second += 1;
    }
    assert!(history.status().waiting >= 200);
    let all: Vec<u64> = (0..second).collect();
    assert_eq!(seconds(&history.series(&ask()).unwrap()), all);
    assert!(seconds(&read(folder)).len() < all.len());
    drop(file);
    std::fs::remove_file(&filler).unwrap();
    until("the end of the trouble", || {
        let status = history.status();
        status.trouble.is_none() && status.waiting == 0
    });
    let status = history.status();
    assert_eq!((status.lost, status.set_aside), (0, None));
    assert_eq!(seconds(&read(folder)), all);
    println!("as good as new");
}

#[test]
fn a_full_disk_is_told_and_nothing_is_lost_when_there_is_room_again() {
    let folder = folder();
    let mount = "mount -t tmpfs -o size=512k tracklight \"$1\" && shift && exec \"$@\"";
    let place = folder.path().to_str().unwrap();
    let inside = ["-c", mount, "sh", place];
    let mut probe = Command::new("unshare");
    probe.args(["-Urm", "true"]).stderr(Stdio::null());
    let as_root = Command::new("unshare")
        .args(["-m", "true"])
        .stderr(Stdio::null())
        .status();
    let options = if as_root.is_ok_and(|status| status.success()) {
        "-m"
    } else if probe.status().is_ok_and(|status| status.success()) {
        "-Urm"
    } else {
        return testkit::skip("no mount namespace can be made here");
    };
    let wrapper = [&["unshare", options, "sh"][..], &inside].concat();
    let output = start(&wrapper, "full", folder.path()).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && text.contains("as good as new"),
        "{text}{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn a_damaged_file_is_kept_aside_and_a_new_one_begun() {
    let whole = folder();
    let history = open(whole.path());
    write_all(&history, 0..1_500);
    drop(history);
    let good = std::fs::read(history::path(whole.path())).unwrap();
    let stranger = folder();
    let other = rusqlite::Connection::open(stranger.path().join("x")).unwrap();
    other
        .execute_batch("CREATE TABLE pictures (name TEXT)")
        .unwrap();
    drop(other);
    let mut garbled = good.clone();
    garbled[4096..30_000].fill(0xa5);
    let damages = [
        ("no database", b"what is this? ".repeat(1_000)),
        ("cut in half", good[..good.len() / 2 + 3].to_vec()),
        ("garbled", garbled),
        (
            "another's",
            std::fs::read(stranger.path().join("x")).unwrap(),
        ),
    ];
    for (name, bytes) in damages {
        let folder = folder();
        let path = history::path(folder.path());
        std::fs::write(&path, &bytes).unwrap();
        let history = open(folder.path());
        write_all(&history, 0..20);
        let status = history.status();
        assert_eq!(status.trouble, None, "{name}");
        let aside = status.set_aside.unwrap_or_else(|| panic!("{name}"));
        assert!(!aside.reason.is_empty());
        assert_eq!(std::fs::read(&aside.kept_as).unwrap(), bytes, "{name}");
        let kept = aside.kept_as.file_name().unwrap().to_str().unwrap();
        assert!(kept.starts_with("history.sqlite.damaged-20"), "{kept}");
        assert_eq!(seconds(&read(folder.path())), Vec::from_iter(0..20));
        // The next daemon tells of it as well.
        drop(history);
        let history = open(folder.path());
        until("the opening", || history.status().rows.is_some());
        assert_eq!(history.status().set_aside, None);
        assert_eq!(history.status().damaged, [aside.kept_as]);
    }
}

#[test]
fn a_file_that_is_cut_to_nothing_while_it_is_open_is_noticed_and_a_new_one_begun() {
    let folder = folder();
    let path = history::path(folder.path());
    let history = open(folder.path());
    write_all(&history, 0..20);
    std::fs::File::create(&path).unwrap();
    // Whoever reads meanwhile takes nothing away.
    let asked = history::series(&path, &Settings::default(), &ask());
    assert_eq!(asked.unwrap_err().code, "no-history");
    write_all(&history, 20..40);
    let status = history.status();
    assert_eq!(status.trouble, None);
    let aside = status.set_aside.expect("it is told");
    assert!(aside.reason.contains("cut to nothing"), "{}", aside.reason);
    drop(history);
    assert_eq!(seconds(&read(folder.path())), Vec::from_iter(20..40));
    // Its log alone.
    let history = open(folder.path());
    write_all(&history, 40..50);
    std::fs::remove_file(folder.path().join("history.sqlite-wal")).unwrap();
    write_all(&history, 50..60);
    assert!(history.status().set_aside.is_some());
    drop(history);
    let rest = seconds(&read(folder.path()));
    assert_eq!(rest, Vec::from_iter(50..60));
}

#[test]
fn no_more_than_three_damaged_files_are_kept() {
    let folder = folder();
    for number in 0..5 {
        let text = format!("damage {number}").repeat(100);
        std::fs::write(history::path(folder.path()), text).unwrap();
        let history = open(folder.path());
        until("the opening", || history.status().rows.is_some());
        let kept = history.status().damaged;
        assert_eq!(kept.len(), (number + 1).min(3), "{kept:?}");
        let newest = std::fs::read_to_string(history.status().set_aside.unwrap().kept_as);
        assert!(newest.unwrap().starts_with(&format!("damage {number}")));
    }
}

#[test]
fn damage_that_a_reader_finds_is_dealt_with_while_the_daemon_runs() {
    let folder = folder();
    let history = open(folder.path());
    write_all(&history, 0..3_000);
    drop(history);
    let history = open(folder.path());
    until("the opening", || history.status().rows.is_some());
    let path = history::path(folder.path());
    let size = usize::try_from(path.metadata().unwrap().len()).unwrap();
    // By another process: this one would let go of SQLite's locks by closing the file.
    let status = Command::new("dd")
        .args(["if=/dev/zero", "bs=1024", "seek=4", "conv=notrunc"])
        .arg(format!("count={}", size / 1024 - 8))
        .arg(format!("of={}", path.display()))
        .stderr(Stdio::null())
        .status();
    assert!(status.unwrap().success());
    until("the file aside", || {
        let _ = history.series(&ask());
        history.status().set_aside.is_some()
    });
    write_all(&history, 3_000..3_010);
    assert_eq!(history.status().trouble, None);
    assert_eq!(seconds(&read(folder.path())), Vec::from_iter(3_000..3_010));
}

#[test]
fn a_file_of_a_newer_program_is_refused_and_left_as_it_is() {
    let folder = folder();
    let history = open(folder.path());
    write_all(&history, 0..10);
    drop(history);
    let path = history::path(folder.path());
    let other = rusqlite::Connection::open(&path).unwrap();
    other.pragma_update(None, "user_version", 99).unwrap();
    drop(other);
    let history = open(folder.path());
    history.record(sample(NOON + 10));
    until("the trouble", || history.status().trouble.is_some());
    let status = history.status();
    let failure = status.trouble.unwrap().failure;
    assert_eq!((failure.code, status.set_aside), ("newer-format", None));
    assert!(failure.message.contains("version 99"), "{failure}");
    assert_eq!(status.waiting, 1);
    let failure = history.series(&ask()).unwrap_err();
    assert_eq!(failure.code, "newer-format");
    drop(history);
    let other = rusqlite::Connection::open(&path).unwrap();
    let rows = other.query_row("SELECT count(*) FROM seconds", [], |row| {
        row.get::<_, u64>(0)
    });
    assert_eq!(rows, Ok(10));
}

#[test]
fn readers_see_whole_seconds_in_order_while_the_daemon_writes() {
    let folder = folder();
    let history = open(folder.path());
    until("the opening", || history.status().rows.is_some());
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| write_all(&history, 0..5_000));
        let mut before = 0;
        while !writer.is_finished() {
            let found = seconds(&read(folder.path()));
            assert!(found.len() >= before);
            assert!(found.iter().copied().eq(0..found.len() as u64));
            before = found.len();
        }
        assert!(before > 0);
    });
    assert_eq!(seconds(&read(folder.path())).len(), 5_000);
}

#[test]
fn the_folder_is_made_and_nobody_else_may_read() {
    let folder = folder();
    let inner = folder.path().join("state/tracklight");
    let history = open(&inner);
    write_all(&history, 0..3);
    let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&inner) & 0o027, 0);
    let path = history::path(&inner);
    for suffix in ["", "-wal", "-shm"] {
        let file = PathBuf::from(format!("{}{suffix}", path.display()));
        assert_eq!(mode(&file) & 0o137, 0, "{}", file.display());
    }
    let status = history.status();
    assert!(status.bytes.unwrap() > 0);
    assert_eq!(status.rows, Some([3, 0, 0, 0]));
}

#[test]
fn what_cannot_be_written_waits_and_the_oldest_is_given_up() {
    let folder = folder();
    let inner = folder.path().join("state");
    // A file where the folder should be.
    std::fs::write(&inner, "").unwrap();
    let history = open(&inner);
    for second in 0..700 {
        history.record(sample(NOON + second));
    }
    until("the trouble", || history.status().trouble.is_some());
    let status = history.status();
    assert_eq!((status.waiting, status.lost), (600, 100));
    let trouble = status.trouble.unwrap();
    assert_eq!(trouble.failure.code, "history-unusable", "{trouble:?}");
    assert!(trouble.since_ns > 0);
    std::fs::remove_file(&inner).unwrap();
    until("the end of the trouble", || history.status().waiting == 0);
    assert_eq!(history.status().trouble, None);
    assert_eq!(seconds(&read(&inner)), Vec::from_iter(100..700));
}

#[test]
fn the_contract_s_stats_have_what_cannot_be_written() {
    let Some(namespace) = testkit::TestNamespace::new() else {
        return;
    };
    let folder = folder();
    let state = folder.path().join("state");
    // A link, which can be made another at one stroke.
    let leads_to = |name: &str| {
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(folder.path().join(name), &link).unwrap();
        std::fs::rename(&link, &state).unwrap();
    };
    std::fs::create_dir(folder.path().join("disk")).unwrap();
    std::fs::write(folder.path().join("none"), "").unwrap();
    leads_to("disk");
    let origin = namespace.run(Origin::here).unwrap();
    let history = History::open(&state, &Settings::default(), origin).unwrap();
    let setup = engine::contract::Setup {
        namespace: Some(ctnetlink::Namespace::by_path(&namespace.path()).unwrap()),
        history: Some(std::sync::Arc::clone(&history)),
        ..Default::default()
    };
    let stats = || {
        let reply = engine::contract::read(br#"{"action":"stats","time":900}"#, &setup);
        let mut body = Vec::new();
        reply.write_to(&mut body).unwrap();
        let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
        let rows = body["data"].as_array().expect("counts").clone();
        rows.iter()
            .map(|row| row[0].as_u64().unwrap())
            .collect::<Vec<_>>()
    };
    let now = engine::now() / 1_000_000_000;
    let record = |seconds: std::ops::RangeInclusive<u64>| {
        for second in seconds {
            history.record(sample(second));
        }
    };
    record(now - 9..=now - 5);
    until("the file", || history.status().waiting == 0);
    // No folder: it can neither be written nor read.
    leads_to("none");
    record(now - 4..=now);
    until("the trouble", || history.status().trouble.is_some());
    assert_eq!(stats(), Vec::from_iter((now - 4..=now).rev()));
    leads_to("disk");
    assert_eq!(stats(), Vec::from_iter((now - 9..=now).rev()));
    until("the end of the trouble", || history.status().waiting == 0);
    assert_eq!(stats(), Vec::from_iter((now - 9..=now).rev()));
}

#[test]
fn a_file_that_was_taken_away_is_begun_anew() {
    let folder = folder();
    let history = open(folder.path());
    write_all(&history, 0..5);
    std::fs::rename(history::path(folder.path()), folder.path().join("old")).unwrap();
    for suffix in ["-wal", "-shm"] {
        let path = format!("{}{suffix}", history::path(folder.path()).display());
        std::fs::rename(path, folder.path().join(format!("old{suffix}"))).unwrap();
    }
    write_all(&history, 5..8);
    assert_eq!(seconds(&read(folder.path())), [5, 6, 7]);
}

#[test]
fn no_file_is_told_and_none_is_made_by_reading() {
    let folder = folder();
    let path = history::path(folder.path());
    let failure = history::series(&path, &Settings::default(), &ask()).unwrap_err();
    assert_eq!(failure.code, "no-history");
    assert!(failure.message.contains(path.to_str().unwrap()));
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn a_table_is_followed_second_by_second() {
    let folder = folder();
    let history = open(folder.path());
    let mut births = 0;
    let follower = Follower::of(&history, move || {
        births += 7;
        Some(Seen {
            connections: 42,
            limit: None,
            summary: Some(Summary {
                births,
                ..Summary::default()
            }),
            counters_ns: None,
            kernel: None,
        })
    });
    let _follower = follower.unwrap();
    let begin = engine::now() / 1_000_000_000 - 1;
    let recorded = || {
        let ask = Ask {
            from: begin,
            to: begin + 100,
            step: Some(1),
            points: None,
        };
        let path = history::path(folder.path());
        history::series(&path, &Settings::default(), &ask)
            .map_or(Vec::new(), |series| series.points)
    };
    until("three seconds", || recorded().len() >= 3);
    let points = recorded();
    // A reading that comes late may tell of a part of the first second, never of all of it.
    let first = points[0].births;
    assert!(
        first.is_none_or(|births| (births.sum as f64) < births.per_second),
        "nothing is known of the time before: {first:?}"
    );
    for point in &points[1..] {
        assert_eq!(point.connections.max, 42);
        assert!(point.births.unwrap().sum > 0);
    }
    let births = points.iter().filter_map(|point| point.births);
    assert_eq!(births.map(|births| births.sum).sum::<u64>() % 7, 0);
}

#[test]
fn a_live_table_is_recorded_with_its_births_parts_and_the_kernel_s_counters() {
    let Some(namespace) = testkit::TestNamespace::new() else {
        return;
    };
    let inside = || ctnetlink::Namespace::by_path(&namespace.path()).unwrap();
    let settings = engine::live::Settings {
        cpu_percent: 100.0,
        shortest_seconds: 0.2,
        longest_seconds: 1.0,
        ..engine::live::Settings::default()
    };
    let live = engine::live::Live::open(Some(inside()), engine::Way::Netlink, &settings).unwrap();
    assert!(live.wait_until_ready(PATIENCE));
    let folder = folder();
    let origin = namespace.run(Origin::here).unwrap();
    let history = History::open(folder.path(), &Settings::default(), origin.clone()).unwrap();
    let follower = Follower::of_live(&history, std::sync::Arc::clone(&live)).unwrap();
    let begin = engine::now() / 1_000_000_000 - 1;
    let recorded = || {
        let ask = Ask {
            from: begin,
            to: begin + 1_000,
            step: Some(1),
            points: None,
        };
        history
            .series(&ask)
            .map_or(Vec::new(), |series| series.points)
    };
    until("two seconds", || recorded().len() >= 2);
    let client = ctnetlink::Client::open_in(&inside()).unwrap();
    testkit::fill(&client, 500).unwrap();
    until("the births", || {
        let points = recorded();
        let births: u64 = points
            .iter()
            .filter_map(|point| point.births)
            .map(|births| births.sum)
            .sum();
        births >= 500 && points.last().unwrap().connections.max >= 500
    });
    let points = recorded();
    let last = points.last().unwrap();
    let parts: f64 = last.protocols.as_ref().unwrap().values().sum();
    assert!(parts >= 500.0, "{last:?}");
    assert!(last.states.as_ref().unwrap()["tcp"].values().sum::<f64>() > 1.0);
    assert!(last.limit.unwrap() > 0);
    assert!(last.counter("insert_failed").is_some());
    drop(follower);
    history.close();
    let path = history::path(folder.path());
    let ask = Ask {
        from: begin,
        to: begin + 1_000,
        step: None,
        points: Some(10),
    };
    let series = history::series(&path, &Settings::default(), &ask).unwrap();
    assert_eq!(series.origin, origin);
    live.close();
}
