//! `tracklight top` as people see it, in a real terminal over a network with real traffic.

mod connect;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::run::Ran;
use crate::terminal::{PATIENCE, Terminal, has};

const TRACKLIGHT: &str = env!("CARGO_BIN_EXE_tracklight");

/// A terminal with a shell in it.
fn bash(width: u16, height: u16) -> Terminal {
    const PROMPT: &str = "top> ";
    let home = tempfile::tempdir().unwrap();
    let rc = home.path().join("rc");
    std::fs::write(&rc, format!("PS1='{PROMPT}'\n")).unwrap();
    std::fs::write(home.path().join("tracklight.toml"), "").unwrap();
    let program = ["bash", "--noprofile", "--rcfile", "rc", "-i"];
    let path = std::env::var("PATH").unwrap();
    Terminal::open(home, (width, height), &program, &path, PROMPT)
}

/// A row of the table that is on a screen.
fn row_of(screen: &str, row: usize) -> Option<&str> {
    let mut lines = screen
        .lines()
        .skip_while(|line| !line.starts_with("  Proto"));
    lines.nth(row + 1)
}

/// In what follows the demo's traffic is shown, newest rates first.
fn demo(width: u16, height: u16) -> Option<Terminal> {
    let _kernel = testkit::TestNamespace::new()?;
    let terminal = bash(width, height);
    terminal.shell(&format!("{TRACKLIGHT} demo top --utc"));
    terminal.until("connections", |screen| {
        screen.contains("Proto") && screen.contains("tcp") && screen.contains(" match")
    });
    Some(terminal)
}

#[test]
fn top_shows_sorts_searches_opens_and_gives_the_terminal_back() {
    let Some(terminal) = demo(160, 40) else {
        return;
    };
    terminal.until("rates", has("kB/s"));
    // Sorted by another column.
    terminal.keys(&["s"]);
    terminal.until("orders", has("Sort by"));
    terminal.text("proto");
    terminal.keys(&["Enter"]);
    terminal.until("the order", has("by proto"));
    terminal.until("icmp first", |screen| {
        row_of(screen, 0).is_some_and(|row| row.trim_start().starts_with("icmp"))
    });
    terminal.keys(&["r"]);
    terminal.until("the order turned round", has("by proto, reversed"));
    // A query that is wrong is told, one that is right is shown.
    terminal.keys(&["/"]);
    terminal.text("tcp and dprt == 443");
    terminal.until("what is wrong", has("did you mean dport?"));
    terminal.keys(&["C-u"]);
    terminal.text("tcp and dport == 443");
    terminal.keys(&["Enter"]);
    terminal.until("only these", |screen| {
        let rows = (0..5).filter_map(|row| row_of(screen, row));
        let mut rows = rows.filter(|row| !row.trim().is_empty()).peekable();
        screen.contains("/ tcp and dport == 443")
            && rows.peek().is_some()
            && rows.all(|row| row.contains(":443"))
    });
    // One of them.
    terminal.keys(&["Enter"]);
    let details = terminal.until("details", has("Route there"));
    assert!(
        details.contains("speaks with") && details.contains("Timeout"),
        "{details}"
    );
    terminal.keys(&["Escape"]);
    terminal.until("the table", has("Proto"));
    terminal.keys(&["q"]);
    let screen = terminal.until("the shell", has("ended: 0"));
    assert!(
        !screen.contains("Proto"),
        "the screen before is back:\n{screen}"
    );
    assert!(terminal.is_cooked(), "keys are shown as they are typed");
}

#[test]
fn top_groups_leads_into_a_group_and_back() {
    let Some(terminal) = demo(120, 40) else {
        return;
    };
    terminal.keys(&["g"]);
    terminal.until("groups", has("grouped by src"));
    terminal.until("their sums", has("10.0.0."));
    terminal.keys(&["g"]);
    terminal.until("fields", has("Group by, up to four"));
    terminal.text("proto");
    terminal.keys(&["Enter"]);
    terminal.until("other groups", has("grouped by proto"));
    terminal.until("udp", has("udp"));
    terminal.keys(&["Enter"]);
    let screen = terminal.until("connections of the group", has("/ proto == "));
    assert!(screen.contains("by rate"), "{screen}");
    terminal.keys(&["Escape"]);
    terminal.until("the groups again", has("grouped by proto"));
    // What happens, and what is wrong.
    terminal.keys(&["e"]);
    terminal.until("births", |screen| {
        screen.contains(" new ") && screen.contains(" → ")
    });
    terminal.keys(&["h"]);
    terminal.until("findings", has("things were looked at"));
    terminal.keys(&["q"]);
    terminal.until("the shell", has("ended: 0"));
}

#[test]
fn top_deletes_exactly_what_it_showed_and_puts_it_back() {
    let Some(terminal) = demo(120, 40) else {
        return;
    };
    terminal.keys(&["/"]);
    terminal.text("udp and dport == 443");
    terminal.keys(&["Enter"]);
    terminal.until("only these", |screen| {
        row_of(screen, 0).is_some_and(|row| row.contains("udp") && row.contains(":443"))
    });
    terminal.keys(&["Space"]);
    terminal.until("frozen", has("frozen"));
    terminal.keys(&["x"]);
    terminal.until("what there is", has("all that match the query"));
    terminal.text("2");
    let preview = terminal.until("a preview", has("would be deleted."));
    assert!(preview.contains("It can be undone"), "{preview}");
    terminal.keys(&["y"]);
    let done = terminal.until("what came of it", has("that were named:"));
    assert!(done.contains("deleted"), "{done}");
    terminal.keys(&["u"]);
    terminal.until("what came of undoing", has("put back"));
    // Escape and a letter right behind it would be Alt and the letter.
    terminal.keys(&["Enter"]);
    terminal.until("the table alone", |screen| !screen.contains("put back"));
    terminal.keys(&["q"]);
    terminal.until("the shell", has("ended: 0"));
}

#[test]
fn top_follows_the_size_stops_and_goes_on() {
    let Some(terminal) = demo(160, 40) else {
        return;
    };
    terminal.until("the wide screen", has("connections of 262,144"));
    terminal.resize(60, 16);
    terminal.until("the narrow screen", |screen| {
        screen.contains(" of 262,144")
            && !screen.contains("connections of")
            && screen.contains("? help")
    });
    terminal.keys(&["C-z"]);
    let screen = terminal.until("the shell", has("Stopped"));
    terminal.shell_line("clear");
    assert!(!screen.contains("Proto"), "{screen}");
    assert!(terminal.is_cooked());
    terminal.shell("fg");
    terminal.until("the screen again", |screen| {
        screen.contains("Proto") && screen.contains("? help")
    });
    // Stopped from elsewhere, it gives the terminal back as well.
    let processes = terminal.processes("tracklight");
    let is_top = |pid: &&String| {
        let words = std::fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap();
        words.split('\0').all(|word| word != "demo")
    };
    let top = processes.iter().find(is_top).expect("top runs in the demo");
    kill(Pid::from_raw(top.parse().unwrap()), Signal::SIGTSTP).unwrap();
    terminal.until("the shell", has("Stopped"));
    terminal.shell_line("clear");
    assert!(terminal.is_cooked());
    terminal.shell("fg");
    terminal.until("the screen again", |screen| {
        screen.contains("Proto") && screen.contains("? help")
    });
    terminal.keys(&["?"]);
    terminal.until("the keys", has("query line"));
    terminal.keys(&["Escape"]);
    terminal.resize(200, 50);
    terminal.until("the wide screen again", has("Priority"));
    terminal.keys(&["C-c"]);
    terminal.until("the shell", has("ended: 0"));
}

#[test]
fn top_keeps_a_view_and_shows_it_at_the_next_start() {
    let Some(terminal) = demo(100, 24) else {
        return;
    };
    terminal.keys(&["/"]);
    terminal.text("udp");
    terminal.keys(&["Enter"]);
    terminal.until("only udp", has("/ udp"));
    terminal.keys(&["w"]);
    terminal.until("the question", has("Save this view"));
    terminal.keys(&["Enter"]);
    terminal.until("where it is", has("Saved as "));
    terminal.keys(&["q"]);
    terminal.until("the shell", has("ended: 0"));
    let kept = std::fs::read_to_string(terminal.home().join(".config/tracklight/top.toml"));
    assert!(kept.unwrap().contains("query = \"udp\""));
    terminal.shell_line("clear");
    terminal.shell(&format!("{TRACKLIGHT} demo top"));
    terminal.until("the view", has("/ udp"));
}

#[test]
fn top_says_at_the_end_how_often_it_refreshed_and_read() {
    let Some(_kernel) = testkit::TestNamespace::new() else {
        return;
    };
    let terminal = bash(160, 24);
    terminal.shell(&format!("{TRACKLIGHT} --verbose demo top"));
    terminal.until(
        "rates, which are known from the second reading on",
        has("kB/s"),
    );
    terminal.keys(&["q"]);
    let screen = terminal.until("the shell", has("ended: 0"));
    let told = screen.lines().find(|line| line.contains("rows refreshed"));
    let told = told.unwrap_or_else(|| panic!("nothing is told:\n{screen}"));
    let many = |before: &str| -> u64 {
        let (_, after) = told.split_once(before).expect(told);
        let number = after.split(' ').next().unwrap();
        if number == "once" {
            1
        } else {
            number.replace(',', "").parse().expect(told)
        }
    };
    assert!(many("rows refreshed ") >= 1, "{told}");
    assert!(many("the table read ") >= 2, "{told}");
    assert!(
        told.contains(" by bpf") || told.contains(" by netlink"),
        "{told}"
    );
}

#[test]
fn a_terminal_that_is_closed_ends_top_and_what_belongs_to_it() {
    let Some(terminal) = demo(100, 24) else {
        return;
    };
    let top = terminal.processes("tracklight");
    assert!(top.len() >= 2, "the demo and top: {top:?}");
    terminal.close();
    let started = std::time::Instant::now();
    while top
        .iter()
        .any(|pid| std::fs::exists(format!("/proc/{pid}/exe")).unwrap_or(false))
    {
        assert!(started.elapsed() < PATIENCE, "still there: {top:?}");
        std::thread::yield_now();
    }
}

#[test]
fn batch_prints_rounds_for_scripts() {
    let Some(_) = testkit::TestNamespace::new() else {
        return;
    };
    let run = |arguments: &[&str]| -> Ran {
        let mut command = std::process::Command::new(TRACKLIGHT);
        command.args(["demo", "top"]).args(arguments);
        command.env("HOME", "/nowhere").output().unwrap().into()
    };
    let ran = run(&[
        "-b",
        "2",
        "-i",
        "0.2",
        "-n",
        "3",
        "--columns",
        "proto,source,bytes",
        "tcp",
    ]);
    let out = ran.exits(0).out;
    let rounds: Vec<&str> = out.split("\n\n").collect();
    assert_eq!(rounds.len(), 2, "{out}");
    for round in rounds {
        let lines: Vec<&str> = round.trim_end().lines().collect();
        assert!(lines[0].contains(" connections of "), "{out}");
        assert!(lines[1].starts_with("Proto"), "{out}");
        assert!(lines[1].ends_with("Bytes"), "{out}");
        assert!(
            lines.len() <= 5 && lines[2..].iter().all(|line| line.starts_with("tcp")),
            "{out}"
        );
    }
    let wrong = run(&["-b", "1", "tcp and dprt"]).exits(2);
    assert!(wrong.err.contains("[query-unknown-name]"), "{}", wrong.err);
    let wrong = run(&["-b", "1", "--columns", "nothing"]).exits(2);
    assert!(wrong.err.contains("there is no column"), "{}", wrong.err);
    let none = run(&[]).exits(2);
    assert!(none.err.contains("tracklight top -b 1"), "{}", none.err);
}
