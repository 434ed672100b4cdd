use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use engine::history::{Changes, Counted, History, Origin, Parts, Sample, Settings, State, Traffic};
use tempfile::TempDir;

use crate::run::Ran;

/// A daemon's folder, with a configuration that names it.
struct Recorded {
    folder: TempDir,
    /// The last second that was recorded.
    last: u64,
}

impl Recorded {
    /// Two hundred seconds until now, of which some in the middle are missing.
    fn new() -> Self {
        Self::by(Origin::here())
    }

    fn by(origin: Origin) -> Self {
        let recorded = Self::empty();
        let history = History::open(recorded.folder.path(), &Settings::default(), origin).unwrap();
        for second in recorded.last - 199..=recorded.last {
            if !recorded.gap().contains(&second) {
                history.record(sample(second));
            }
        }
        wait(&history);
        recorded
    }

    fn empty() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let last = engine::now() / 1_000_000_000;
        let config = format!("[server]\nstate = '{}'\n", folder.path().display());
        std::fs::write(folder.path().join("tracklight.toml"), config).unwrap();
        Self { folder, last }
    }

    fn gap(&self) -> std::ops::Range<u64> {
        self.last - 120..self.last - 80
    }

    fn config(&self) -> PathBuf {
        self.folder.path().join("tracklight.toml")
    }

    fn run(&self, flags: &[&str]) -> Ran {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tracklight"));
        command
            .arg("history")
            .args(flags)
            .env("TRACKLIGHT_CONFIG", self.config())
            .env("TZ", "UTC")
            .stdin(Stdio::null());
        command.output().unwrap().into()
    }

    /// Flags that ask for all of it, whenever this runs.
    fn whole(&self) -> [String; 4] {
        let (from, to) = (self.last - 199, self.last + 1);
        [
            "--from".into(),
            from.to_string(),
            "--to".into(),
            to.to_string(),
        ]
    }

    fn run_whole(&self, flags: &[&str]) -> Ran {
        let whole = self.whole();
        let whole: Vec<&str> = whole.iter().map(String::as_str).collect();
        self.run(&[&whole, flags].concat())
    }
}

fn wait(history: &Arc<History>) {
    let end = Instant::now() + Duration::from_secs(60);
    while history.status().waiting > 0 {
        assert!(Instant::now() < end, "{:?}", history.status());
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Five births, 2 kB and, by the kernel's count, a dropped packet a second.
fn sample(time: u64) -> Sample {
    let mut counters = [None; engine::history::COUNTERS.len()];
    counters[3] = Some(0);
    counters[9] = Some(1);
    let established = State::of(6, "ESTABLISHED").unwrap();
    Sample {
        time,
        connections: 1_000 + time % 10,
        limit: Some(4_000),
        parts: Some(Parts {
            seconds: 1,
            protocols: [900, 100, 0, 0, 0, 0, 0],
            states: vec![(established, 800)],
            assured: 700,
            unreplied: 50,
            nat: 10,
        }),
        changes: Some(Changes {
            millis: 1_000,
            births: 5,
            deaths: 4,
        }),
        traffic: Some(Traffic {
            millis: 1_000,
            bytes: 2_000,
            packets: 20,
        }),
        kernel: Some(Counted {
            millis: 1_000,
            counters,
        }),
    }
}

#[test]
fn every_second_is_there_and_gaps_are_left_out() {
    let recorded = Recorded::new();
    let series = recorded
        .run_whole(&["--step", "1s", "-o", "json"])
        .exits(0)
        .json();
    assert_eq!(
        (&series["step"], &series["rows"]),
        (&1.into(), &"second".into())
    );
    let points = series["points"].as_array().unwrap();
    let times: Vec<u64> = points
        .iter()
        .map(|point| point["time"].as_u64().unwrap())
        .collect();
    let all = recorded.last - 199..=recorded.last;
    assert!(
        times
            .iter()
            .copied()
            .eq(all.filter(|second| !recorded.gap().contains(second)))
    );
    let point = &points[0];
    assert_eq!(point["known_seconds"], 1);
    assert_eq!(point["connections"]["max"], 1_000 + times[0] % 10);
    assert_eq!(
        point["births"],
        serde_json::json!({"sum": 5, "per_second": 5.0})
    );
    assert_eq!(point["bytes"]["per_second"], 2_000.0);
    assert_eq!(point["kernel"]["drop"]["sum"], 1);
    assert!(
        point["kernel"].get("early_drop").is_none(),
        "this kernel has none"
    );
    assert_eq!(point["states"]["tcp"]["ESTABLISHED"], 800.0);
    assert_eq!(point["protocols"]["udp"], 100.0);
}

#[test]
fn coarser_steps_add_the_seconds_up() {
    let recorded = Recorded::new();
    for step in ["10", "30s", "1m"] {
        let series = recorded
            .run_whole(&["--step", step, "-o", "json"])
            .exits(0)
            .json();
        let points = series["points"].as_array().unwrap();
        let sum = |of: &dyn Fn(&serde_json::Value) -> u64| points.iter().map(of).sum::<u64>();
        // The first step may begin before what was asked for, and nothing is recorded there.
        assert_eq!(
            sum(&|point| point["known_seconds"].as_u64().unwrap()),
            160,
            "{step}"
        );
        assert_eq!(
            sum(&|point| point["births"]["sum"].as_u64().unwrap()),
            800,
            "{step}"
        );
        assert_eq!(
            sum(&|point| point["kernel"]["drop"]["sum"].as_u64().unwrap()),
            160
        );
        assert!(
            points
                .iter()
                .all(|point| point["births"]["per_second"] == 5.0)
        );
    }
    let few = recorded
        .run_whole(&["-n", "5", "-o", "json"])
        .exits(0)
        .json();
    assert!(
        (2..=6).contains(&few["points"].as_array().unwrap().len()),
        "{few}"
    );
}

#[test]
fn a_table_is_for_people_and_csv_for_programs() {
    let recorded = Recorded::new();
    let table = recorded.run_whole(&["--step", "1m"]).exits(0).out;
    let mut lines = table.lines();
    let head: Vec<_> = lines.next().unwrap().split_whitespace().collect();
    assert_eq!(
        head,
        [
            "TIME",
            "CONNECTIONS",
            "MOST",
            "FULL",
            "BIRTHS/S",
            "DEATHS/S",
            "BYTES/S",
            "PACKETS/S",
            "UNREPLIED",
            "DROPPED",
            "INVALID"
        ],
        "what this kernel does not count has no column"
    );
    let row = lines.next().unwrap();
    // How many seconds of the first minute are recorded depends on when it was.
    assert!(
        row.contains(" 5.0 ") && row.contains("2.0 kB") && row.contains(" 25."),
        "{row}"
    );
    let csv = recorded
        .run_whole(&["--step", "1", "-o", "csv"])
        .exits(0)
        .out;
    let mut lines = csv.lines();
    let head: Vec<_> = lines.next().unwrap().split(',').collect();
    let row: Vec<_> = lines.next().unwrap().split(',').collect();
    assert_eq!(head.len(), row.len());
    let cell = |name: &str| row[head.iter().position(|head| *head == name).unwrap()];
    assert_eq!((cell("births"), cell("bytes_per_second")), ("5", "2000.0"));
    assert_eq!(
        (cell("drop"), cell("early_drop")),
        ("1", ""),
        "unknown is empty and not 0"
    );
    let lines = recorded
        .run_whole(&["--step", "1", "-o", "ndjson"])
        .exits(0)
        .out;
    let lines: Vec<serde_json::Value> = lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines.len(), 161);
    assert_eq!(lines[160]["points"], 160);
}

#[test]
fn the_last_while_is_asked_for_in_words() {
    let recorded = Recorded::new();
    let series = recorded
        .run(&["--last", "1h", "-o", "json"])
        .exits(0)
        .json();
    let (from, to) = (
        series["from"].as_u64().unwrap(),
        series["to"].as_u64().unwrap(),
    );
    assert!((3_600..3_612).contains(&(to - from)), "{from} {to}");
    for flags in [
        ["--last", "yesterday"],
        ["--step", "0s"],
        ["--from", "25:00"],
        ["--to", "12:00"],
    ] {
        recorded.run(&flags).exits(2);
    }
    let backwards = recorded.run(&["--from", "2000", "--to", "1000"]).exits(2);
    assert!(backwards.err.contains("[usage]"), "{}", backwards.err);
}

#[test]
fn nothing_recorded_is_told_and_no_error_of_the_system() {
    let empty = Recorded::empty();
    let ran = empty.run(&[]).exits(1);
    assert!(
        ran.err.contains("[no-history]") && ran.err.contains("tracklight serve"),
        "{}",
        ran.err
    );
    let recorded = Recorded::new();
    let ran = recorded.run(&["--from", "1000", "--to", "2000"]).exits(1);
    assert!(
        ran.err
            .contains("nothing was recorded from 1970-01-01 00:16:"),
        "{}",
        ran.err
    );
    assert_eq!(ran.out, "");
}

#[test]
fn another_namespace_s_history_is_shown_and_named_so() {
    let elsewhere = Origin {
        namespace: Some(7),
        ..Origin::here()
    };
    let recorded = Recorded::by(elsewhere);
    let ran = recorded.run_whole(&[]).exits(0);
    assert!(ran.err.contains("another network namespace"), "{}", ran.err);
    let own = std::process::id().to_string();
    let ran = recorded.run_whole(&["--netns", &own]).exits(1);
    assert!(ran.err.contains("[no-history]"), "{}", ran.err);
}

#[test]
fn a_file_by_name_is_read_as_well_and_one_that_is_none_is_told() {
    let recorded = Recorded::new();
    let path = engine::history::path(recorded.folder.path());
    let copy = recorded.folder.path().join("a copy?of it.sqlite");
    std::fs::copy(&path, &copy).unwrap();
    let copy = copy.to_str().unwrap();
    recorded.run_whole(&["--file", copy]).exits(0);
    std::fs::write(
        copy,
        "no database, but long enough to be asked for a header".repeat(9),
    )
    .unwrap();
    let ran = recorded.run_whole(&["--file", copy]).exits(4);
    assert!(ran.err.contains("[damaged]"), "{}", ran.err);
}
