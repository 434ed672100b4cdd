//! `-E`: what is printed of what happens.

use std::io::Read;
use std::process::Child;

use ctnetlink::{Change, Client, Key, NewEntry, Update};

use crate::lines::entries;
use crate::twin::{Twin, came, without};

/// What is changed: the last of it can be told by its address.
fn work(client: &Client, last: &NewEntry) {
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
    client.create(last.clone()).unwrap();
}

/// The last entry: found again in every output.
fn last() -> NewEntry {
    let tuple = ctnetlink::Tuple::ports(
        ctnetlink::Protocol::UDP,
        "203.0.113.77".parse().unwrap(),
        7,
        "203.0.113.78".parse().unwrap(),
        8,
    );
    NewEntry::new(tuple, 3600)
}

/// Starts one, waits until it listens, works, and ends it when it has told the last event.
fn listen(mut child: Child, client: &Client) -> std::process::Output {
    let mut out = child.stdout.take().unwrap();
    let mut told = Vec::new();
    let mut buffer = [0; 4096];
    // It listens once an event comes through: one is made again and again until then.
    let first = last();
    let key = Key::original(first.orig);
    let mut is_heard = false;
    let reader = std::thread::scope(|scope| {
        let (sender, heard) = std::sync::mpsc::channel();
        let reader = scope.spawn(move || {
            let mut text = Vec::new();
            loop {
                let count = out.read(&mut buffer).unwrap();
                if count == 0 {
                    return text;
                }
                text.extend_from_slice(&buffer[..count]);
                let _ = sender.send(String::from_utf8_lossy(&text).into_owned());
            }
        });
        while !is_heard {
            client.create(first.clone()).unwrap();
            client.delete(key).unwrap();
            let patience = std::time::Duration::from_millis(20);
            is_heard = heard
                .recv_timeout(patience)
                .is_ok_and(|text| text.contains("203.0.113.77"));
        }
        let mut end = first.clone();
        end.orig.src = "203.0.113.99".parse().unwrap();
        end.reply = end.orig.mirror();
        work(client, &end);
        while !heard.recv().unwrap().contains("203.0.113.99") {}
        nix_interrupt(&child);
        reader.join().unwrap()
    });
    told.extend(reader);
    let mut output = child.wait_with_output().unwrap();
    output.stdout = told;
    output
}

fn nix_interrupt(child: &Child) {
    let status = std::process::Command::new("kill")
        .args(["-INT", &child.id().to_string()])
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
            outputs.push(lines(&listen(child, client)));
            client.flush(&ctnetlink::Filter::any()).unwrap();
        }
        assert!(outputs[0].len() > 5, "{words:?}: {:?}", outputs[0]);
        let differ = outputs[0].iter().zip(&outputs[1]).find(|(a, b)| a != b);
        assert_eq!(differ, None, "{words:?}");
        assert_eq!(outputs[0].len(), outputs[1].len(), "{words:?}");
    }
}
