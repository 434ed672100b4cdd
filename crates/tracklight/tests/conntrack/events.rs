//! `-E`: what is printed of what happens.

use std::io::Read;
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

/// The lines between what made it listen and the end, without the time and the cause, which only ours
/// leaves out of XML.
fn lines(output: &std::process::Output) -> Vec<String> {
    let came = came(output);
    assert_eq!(came.status, Some(0), "{came:?}");
    came.out
        .iter()
        .filter(|line| !line.contains("203.0.113."))
        .map(|line| {
            let line = line.split(" [USERSPACE]").next().unwrap_or(line);
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
