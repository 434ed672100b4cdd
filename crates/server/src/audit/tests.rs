use std::fs;
use std::os::unix::fs::PermissionsExt;

use serde_json::json;

use super::*;

fn who(name: &str) -> Who {
    Who {
        name: name.to_owned(),
        role: Role::Operator,
        from: Some("192.0.2.7:40000".parse().unwrap()),
    }
}

fn changes(path: &Path, filter: Filter) -> Vec<Change> {
    read(path, filter).unwrap().map(Result::unwrap).collect()
}

#[test]
fn a_change_is_one_row_with_who_what_and_counts() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(FILE);
    let audit = Audit::open(folder.path()).unwrap();
    let mode = fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "its owner's only");

    let first = audit.begin(&who("ops"), "delete", json!({"query": "dport 53"}));
    let first = first.unwrap();
    let second = audit.begin(&who("cron"), "flush", Value::Null).unwrap();
    second.failed(&Failure::new("permission-denied", "", ""));
    first.done(Counts {
        matched: Some(9),
        changed: Some(8),
        failed: Some(1),
    });
    drop(audit.begin(&who("ops"), "update", Value::Null).unwrap());
    std::mem::forget(audit.begin(&who("ops"), "create", Value::Null).unwrap());

    let all = changes(&path, Filter::default());
    let results: Vec<_> = all
        .iter()
        .map(|change| (change.action.as_str(), change.result.as_str()))
        .collect();
    let expected = [
        ("delete", DONE),
        ("flush", "permission-denied"),
        ("update", UNKNOWN),
        ("create", BEGUN),
    ];
    assert_eq!(results, expected);
    let delete = &all[0];
    assert_eq!(delete.details, json!({"query": "dport 53"}));
    assert_eq!(
        (delete.matched, delete.changed, delete.failed),
        (Some(9), Some(8), Some(1))
    );
    assert_eq!(delete.from, who("").from);
    assert!(
        delete
            .ended
            .as_ref()
            .is_some_and(|ended| *ended >= delete.time)
    );

    let of = |who: Option<&str>, since| {
        let who = who.map(str::to_owned);
        changes(&path, Filter { since, who }).len()
    };
    assert_eq!(of(Some("cron"), None), 1);
    assert_eq!(of(None, Some(Utc::now() - chrono::TimeDelta::hours(1))), 4);
    assert_eq!(of(None, Some(Utc::now() + chrono::TimeDelta::hours(1))), 0);
}

#[test]
fn a_change_that_cannot_be_written_down_is_refused() {
    let audit = Audit::open_file(Path::new("/dev/full")).unwrap();
    let failure = audit.begin(&who("ops"), "delete", Value::Null).err();
    let failure = failure.expect("the disk is full");
    assert_eq!(failure.code, "audit-failed");
    assert!(failure.message.contains("/dev/full"), "{failure}");
}

#[test]
fn a_torn_line_is_told_and_costs_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(FILE);
    let begin = |action| {
        let audit = Audit::open(folder.path()).unwrap();
        audit.begin(&who("ops"), action, Value::Null).unwrap()
    };
    begin("first").done(Counts::default());
    let whole = fs::metadata(&path).unwrap().len();
    begin("second").done(Counts::default());
    // Cut within the second change's first line, as a loss of power would.
    let file = OpenOptions::new().write(true).open(&path).unwrap();
    file.set_len(whole + 40).unwrap();

    let torn: Vec<_> = read(&path, Filter::default()).unwrap().collect();
    assert_eq!(torn.len(), 2);
    assert_eq!(torn[0].as_ref().unwrap().action, "first");
    let unreadable = torn[1].as_ref().unwrap_err();
    assert_eq!(
        (unreadable.line, unreadable.message.as_str()),
        (3, "it is cut off")
    );

    begin("third").done(Counts::default());
    let rows = read(&path, Filter::default()).unwrap();
    let actions: Vec<_> = rows.filter_map(Result::ok).map(|row| row.action).collect();
    assert_eq!(actions, ["first", "third"]);
}

#[test]
fn what_a_killed_daemon_left_open_is_unknown() {
    let folder = tempfile::tempdir().unwrap();
    let open = || Audit::open(folder.path()).unwrap();
    std::mem::forget(open().begin(&who("ops"), "flush", Value::Null).unwrap());
    open()
        .begin(&who("ops"), "delete", Value::Null)
        .unwrap()
        .done(Counts::default());
    let all = changes(&folder.path().join(FILE), Filter::default());
    let results: Vec<_> = all.iter().map(|change| change.result.as_str()).collect();
    assert_eq!(results, [UNKNOWN, DONE]);
}

#[test]
fn lines_of_several_threads_do_not_mix() {
    let folder = tempfile::tempdir().unwrap();
    let audit = Audit::open(folder.path()).unwrap();
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let audit = audit.clone();
            scope.spawn(move || {
                for number in 0..25 {
                    let details = json!({"keys": vec![number; 200]});
                    let pending = audit.begin(&who(&thread.to_string()), "delete", details);
                    pending.unwrap().done(Counts::default());
                }
            });
        }
    });
    let all = changes(&folder.path().join(FILE), Filter::default());
    assert_eq!(all.len(), 100);
    assert!(all.iter().all(|change| change.result == DONE));
}

#[test]
fn details_that_are_too_long_are_cut_and_marked_so() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(FILE);
    let audit = Audit::open(folder.path()).unwrap();
    let long = "ö".repeat(LONGEST);
    let change = audit.begin(&who("ops"), "delete", json!({ "query": long }));
    change.unwrap().done(Counts::default());
    let details = &changes(&path, Filter::default())[0].details;
    assert_eq!(
        details["length"],
        json!({ "query": long }).to_string().len()
    );
    let begin = details["begin"].as_str().unwrap();
    assert!(begin.starts_with("{\"query\":\"ö") && begin.len() <= LONGEST);
}

#[test]
fn a_log_that_was_moved_away_is_begun_anew_where_it_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(FILE);
    let audit = Audit::open(folder.path()).unwrap();
    let change = audit.begin(&who("ops"), "delete", Value::Null).unwrap();
    fs::rename(&path, folder.path().join("audit.log.1")).unwrap();
    change.done(Counts::default());
    audit
        .begin(&who("ops"), "flush", Value::Null)
        .unwrap()
        .done(Counts::default());
    let mode = fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let all = changes(&path, Filter::default());
    assert!(
        all.iter()
            .any(|change| change.action == "flush" && change.result == DONE)
    );
    fs::remove_file(&path).unwrap();
    audit
        .begin(&who("ops"), "create", Value::Null)
        .unwrap()
        .done(Counts::default());
    assert_eq!(changes(&path, Filter::default()).len(), 1);
}
