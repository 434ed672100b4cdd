//! `-E`: what is printed of what happens.

use std::io::Read;
use std::os::unix::process::ExitStatusExt;
use std::process::Child;
use std::sync::mpsc::RecvTimeoutError;
use std::time::Duration;

use ctnetlink::{Change, Client, Key, NewEntry, Update};

use crate::lines::entries;
use crate::twin::{Twin, came, without};

/// What is changed.
fn work(client: &Client) {
    let entries = entries();
    for entry in entries.iter().take(20) {
        client.create(entry.clone()).unwrap();
    }
    for entry in entries.iter().take(5) {
        let update = Update {
            timeout: Some(500),
            mark: Some(ctnetlink::Masked::exactly(77)),
            ..Update::default()
        };
        client
            .update(Key::original(entry.orig).in_zone(entry.zone), update)
            .unwrap();
    }
    let changes = entries
        .iter()
        .take(20)
        .map(|entry| Change::Delete(Key::original(entry.orig).in_zone(entry.zone)));
    client.apply(changes, |_, result| result.unwrap()).unwrap();
}

/// An entry that is found again in every output by the address that it comes from.
fn marker(address: &str) -> NewEntry {
    let tuple = ctnetlink::Tuple::ports(
        ctnetlink::Protocol::UDP,
        address.parse().unwrap(),
        7,
        "203.0.113.78".parse().unwrap(),
        8,
    );
    NewEntry::new(tuple, 3600)
}

/// Waits until the program listens, works, and ends it when it has told what comes after that.
fn listen(mut child: Child, client: &Client, work: impl FnOnce(&Child)) -> std::process::Output {
    let mut out = child.stdout.take().unwrap();
    let (sender, heard) = std::sync::mpsc::channel();
    let told = std::thread::scope(|scope| {
        let reader = scope.spawn(move || {
            let mut text = Vec::new();
            let mut buffer = [0; 65536];
            loop {
                let count = out.read(&mut buffer).unwrap();
                if count == 0 {
                    return text;
                }
                text.extend_from_slice(&buffer[..count]);
                let _ = sender.send(buffer[..count].to_vec());
            }
        });
        let mut text = String::new();
        let mut is_told = |address: &str, patience: Duration| {
            match heard.recv_timeout(patience) {
                Ok(more) => text.push_str(&String::from_utf8_lossy(&more)),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => panic!("it has ended: {text}"),
            }
            text.contains(address)
        };
        // Until events come through, at the beginning and after a loss, the same ones are made again.
        let mut until_told = |address: &str| {
            let entry = marker(address);
            loop {
                client.create(entry.clone()).unwrap();
                client.delete(Key::original(entry.orig)).unwrap();
                if is_told(address, Duration::from_millis(20)) {
                    break;
                }
            }
        };
        until_told("203.0.113.77");
        work(&child);
        until_told("203.0.113.88");
        // Once, as the last: a signal in the middle of a line would leave half of it.
        client.create(marker("203.0.113.99")).unwrap();
        while !is_told("203.0.113.99", Duration::MAX) {}
        signal(&child, "-INT");
        reader.join().unwrap()
    });
    let mut output = child.wait_with_output().unwrap();
    output.stdout = told;
    output
}

fn signal(child: &Child, name: &str) {
    let status = std::process::Command::new("kill")
        .args([name, &child.id().to_string()])
        .status()
        .unwrap();
    assert!(status.success());
}

/// The lines between what made it listen and the end, without the time, and without the cause in XML, where
/// only ours leaves it out.
fn lines(output: &std::process::Output) -> Vec<String> {
    let came = came(output);
    assert_eq!(came.status, Some(0), "{came:?}");
    came.out
        .iter()
        .filter(|line| !line.contains("203.0.113."))
        .map(|line| {
            let line = match line.split_once(" [USERSPACE]") {
                Some((xml, _)) if xml.ends_with('>') => xml,
                _ => line,
            };
            let line = line.split("\t").last().unwrap_or(line);
            // The time may be another second.
            without(line, "<when>", "</when>")
        })
        .collect()
}

#[test]
fn events_are_printed_the_same() {
    let Some(twin) = Twin::new(Vec::new()) else {
        return;
    };
    let cases: [&[&str]; 9] = [
        &["-E"],
        &["-E", "-o", "id,extended"],
        &["-E", "-o", "save"],
        &["-E", "-o", "timestamp"],
        &["-E", "-o", "xml"],
        &["-E", "-o", "xml,timestamp"],
        &["-E", "-e", "NEW,DESTROY"],
        &["-E", "-e", "updates,new"],
        &["--event", "-p", "udp"],
    ];
    for words in cases {
        let mut outputs = Vec::new();
        for (mut command, client) in [
            (twin.their_command(), twin.their_table()),
            (twin.our_command(), twin.our_table()),
        ] {
            let child = command.args(words).spawn().unwrap();
            outputs.push(lines(&listen(child, client, |_| work(client))));
            client.flush(&ctnetlink::Filter::any()).unwrap();
        }
        assert!(outputs[0].len() > 5, "{words:?}: {:?}", outputs[0]);
        let differ = outputs[0].iter().zip(&outputs[1]).find(|(a, b)| a != b);
        assert_eq!(differ, None, "{words:?}");
        assert_eq!(outputs[0].len(), outputs[1].len(), "{words:?}");
    }
}

/// A mark that the last event of an entry does not tell is no mark 0.
#[test]
fn an_event_without_a_mark_is_of_no_mark() {
    let Some(twin) = Twin::new(Vec::new()) else {
        return;
    };
    let mut outputs = Vec::new();
    for (mut command, client) in [
        (twin.their_command(), twin.their_table()),
        (twin.our_command(), twin.our_table()),
    ] {
        let child = command.args(["-E", "-m", "0/1"]).spawn().unwrap();
        let made = |client: &Client, mark| {
            let mut entry = entries().swap_remove(0);
            entry.mark = Some(mark);
            client.create(entry.clone()).unwrap();
            client.delete(Key::original(entry.orig)).unwrap();
        };
        outputs.push(lines(&listen(child, client, |_| {
            for mark in [0, 1, 2] {
                made(client, mark);
            }
        })));
    }
    assert_eq!(outputs[0], outputs[1]);
}

/// The program behind our own sockets, whose ports are not our number, is found.
#[test]
fn the_program_behind_a_second_socket_is_named() {
    let Some(twin) = Twin::new(Vec::new()) else {
        return;
    };
    let child = twin.our_command().arg("-E").spawn().unwrap();
    let client = twin.other_client();
    let output = listen(child, &client, |_| work(&client));
    let name = std::fs::read_to_string("/proc/self/comm").unwrap();
    let told = String::from_utf8(output.stdout).unwrap();
    let named = format!(" progname={}", name.trim());
    for line in told.lines() {
        assert!(line.ends_with(&named), "{line}");
    }
}

/// Waits until something is so.
fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    for _ in 0..500 {
        if is_so() {
            return;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    panic!("in vain: {what}");
}

/// As nohup(1) starts it.
#[test]
fn a_hangup_ends_it_only_where_it_is_not_ignored() {
    let Some(twin) = Twin::new(Vec::new()) else {
        return;
    };
    let client = twin.our_table();
    let ignoring = |trap: &str| {
        let script = format!("{trap} exec \"$0\" conntrack -E");
        let mut command = twin.in_our_namespace("sh");
        command.args(["-c", &script, env!("CARGO_BIN_EXE_tracklight")]);
        command.spawn().unwrap()
    };
    let output = listen(ignoring("trap '' HUP;"), client, |child| {
        signal(child, "-HUP");
    });
    assert_eq!(came(&output).status, Some(0));
    let mut child = ignoring("");
    listening(&child);
    signal(&child, "-HUP");
    assert_eq!(child.wait().unwrap().signal(), Some(1));
}

/// Nobody reads what it prints, and it waits for that for ever.
#[test]
fn the_second_signal_does_not_wait_for_standard_output() {
    let Some(twin) = Twin::new(Vec::new()) else {
        return;
    };
    let client = twin.our_table();
    let mut child = twin.our_command().arg("-E").spawn().unwrap();
    listening(&child);
    // More than a pipe holds.
    for index in 0..2000 {
        client.create(testkit::fill::entry(index)).unwrap();
    }
    let wchan = format!("/proc/{}/wchan", child.id());
    let waits_for = || std::fs::read_to_string(&wchan).unwrap();
    until("it waits for its reader", || {
        waits_for().contains("pipe_write")
    });
    signal(&child, "-TERM");
    // Two signals of a kind that wait together are one.
    until("it ends", || {
        signal(&child, "-TERM");
        child.try_wait().unwrap().is_some()
    });
    assert_eq!(child.wait().unwrap().signal(), Some(15));
}

/// Waits until it handles signals, which is when it hears of events.
fn listening(child: &Child) {
    let signals = |child: &Child| {
        let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
        let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:"));
        u64::from_str_radix(caught.unwrap().trim(), 16).unwrap()
    };
    // SIGTERM is the fifteenth.
    until("it listens", || signals(child) >> 14 & 1 == 1);
}

/// Whether every thread has stopped.
fn is_stopped(child: &Child) -> bool {
    let threads = std::fs::read_dir(format!("/proc/{}/task", child.id())).unwrap();
    threads.into_iter().all(|thread| {
        let stat = std::fs::read_to_string(thread.unwrap().path().join("stat"));
        stat.is_ok_and(|stat| stat.contains(") T "))
    })
}

/// A buffer that overflows while the program cannot read: conntrack(8) may end then.
#[test]
fn lost_events_are_told_and_it_goes_on() {
    let Some(twin) = Twin::new(Vec::new()) else {
        return;
    };
    let client = twin.our_table();
    let child = twin
        .our_command()
        .args(["-E", "-b", "4608"])
        .spawn()
        .unwrap();
    let output = listen(child, client, |child| {
        signal(child, "-STOP");
        while !is_stopped(child) {
            std::thread::yield_now();
        }
        for index in 0..2000 {
            client.create(testkit::fill::entry(index)).unwrap();
        }
        signal(child, "-CONT");
    });
    let came = came(&output);
    assert_eq!(came.status, Some(0), "{:?}", came.err);
    let lost = came.err.iter().find(|line| line.contains("ENOBUFS"));
    let lost = lost.unwrap_or_else(|| panic!("no loss is told: {:?}", came.err));
    assert!(lost.starts_with("WARNING: We have hit ENOBUFS!"), "{lost}");
    assert!(
        came.err
            .last()
            .is_some_and(|line| line.ends_with("flow events have been shown.")),
        "{:?}",
        came.err
    );
}
