//! Events of the real kernel.
#![allow(clippy::indexing_slicing)]

#[macro_use]
mod own;

use std::net::IpAddr;
use std::time::{Duration, Instant};

use ctnetlink::{
    Entry, Event, EventOptions, Events, ExpectationFlags, Groups, Key, Masked, NewEntry,
    NewExpectation, ProtoInfo, Protocol, Status, TcpInfo, TcpState, Tuple, Update,
};
use own::{Outcome, Own};

/// Longer than any machine takes; only a fault waits so long.
const LONG: Option<Duration> = Some(Duration::from_secs(60));

fn tuple(number: u32) -> Tuple {
    let src = IpAddr::V4((0x0a00_0000 + number).into());
    Tuple::ports(Protocol::TCP, src, 1, [192, 0, 2, 1].into(), 21)
}

fn new(number: u32) -> NewEntry {
    NewEntry::new(tuple(number), 3600)
}

fn create(own: &Own, numbers: std::ops::Range<u32>) -> Outcome {
    testkit::fill::fill_with(&own.client, numbers.map(new))?;
    Ok(())
}

/// The next events, until `enough` says so.
fn until(
    events: &mut Events,
    mut enough: impl FnMut(&[Event]) -> bool,
) -> Result<Vec<Event>, Box<dyn std::error::Error>> {
    let mut seen = Vec::new();
    while !enough(&seen) {
        let batch = events.next_batch(LONG)?.ok_or("nothing came")?;
        for event in batch.iter() {
            seen.push(event?);
        }
    }
    Ok(seen)
}

fn is_new(event: &Event, number: u32) -> bool {
    matches!(event, Event::New(entry) if entry.orig == tuple(number))
}

#[test]
fn births_changes_and_deaths_are_told() -> Outcome {
    let own = own!();
    own.set("nf_conntrack_acct", "1")?;
    own.set("nf_conntrack_timestamp", "1")?;
    let mut events = own
        .client
        .events(Groups::CONNTRACK, EventOptions::default())?;
    let mut entry = new(1);
    entry.mark = Some(7);
    entry.status = Status::SEEN_REPLY | Status::ASSURED;
    entry.protoinfo = Some(ProtoInfo::Tcp(TcpInfo {
        state: Some(TcpState::ESTABLISHED),
        ..TcpInfo::default()
    }));
    own.create(&entry)?;
    own.client.update(
        Key::original(tuple(1)),
        Update {
            mark: Some(Masked::exactly(8)),
            ..Update::default()
        },
    )?;
    own.client.delete(Key::original(tuple(1)))?;
    let seen = until(&mut events, |seen| seen.len() >= 3)?;
    let [
        Event::New(born),
        Event::Update(changed),
        Event::Destroy(dead),
    ] = &seen[..]
    else {
        panic!("{seen:?}");
    };
    assert_eq!(born.mark, Some(7));
    assert!(born.has_status(Status::ASSURED));
    assert_eq!(born.state_name(), Some("ESTABLISHED"));
    assert_eq!(changed.mark, Some(8));
    assert_eq!((changed.orig, changed.id), (born.orig, born.id));
    assert_eq!((dead.orig, dead.id), (born.orig, born.id));
    assert_eq!(dead.bytes(), Some(0));
    let times = dead.timestamps.expect("begin and end");
    assert!(times.start <= times.stop && times.stop.is_some());
    Ok(())
}

#[test]
fn only_the_groups_that_were_asked_for_are_told() -> Outcome {
    let own = own!();
    let options = EventOptions::default();
    let mut deaths = own.client.events(Groups::DESTROY, options)?;
    let mut births = own.client.events(Groups::NEW, options)?;
    create(&own, 0..3)?;
    own.client.delete(Key::original(tuple(1)))?;
    create(&own, 9..10)?;
    own.client.delete(Key::original(tuple(9)))?;
    let seen = until(&mut deaths, |seen| seen.len() >= 2)?;
    assert!(seen.iter().all(|e| matches!(e, Event::Destroy(_))));
    let seen = until(&mut births, |seen| seen.iter().any(|e| is_new(e, 9)))?;
    assert_eq!(seen.len(), 4);
    assert!(seen.iter().all(|e| matches!(e, Event::New(_))));
    Ok(())
}

#[test]
fn expectations_are_told() -> Outcome {
    let own = own!();
    let mut events = own
        .client
        .events(Groups::EXPECTATION, EventOptions::default())?;
    let mut master = new(1);
    master.helper = Some("ftp".try_into()?);
    own.create(&master)?;
    let any: IpAddr = [0, 0, 0, 0].into();
    let all: IpAddr = [255, 255, 255, 255].into();
    own.client.create_expectation(NewExpectation {
        tuple: Tuple::ports(Protocol::TCP, any, 0, [192, 0, 2, 1].into(), 5000),
        mask: Tuple::ports(Protocol::TCP, any, 0, all, 0xffff),
        master: tuple(1),
        zone: 0,
        timeout: 300,
        flags: ExpectationFlags::empty(),
        class: 0,
        helper: None,
        function: None,
        nat: None,
    })?;
    own.client.flush_expectations()?;
    let seen = until(&mut events, |seen| seen.len() >= 2)?;
    let [Event::ExpectationNew(born), Event::ExpectationDestroy(dead)] = &seen[..] else {
        panic!("{seen:?}");
    };
    assert_eq!(born.tuple.dst_port(), Some(5000));
    assert_eq!((born.master, born.id), (tuple(1), dead.id));
    Ok(())
}

#[test]
fn the_real_buffer_is_told() -> Outcome {
    let own = own!();
    let size = |receive_buffer| -> Result<usize, ctnetlink::Error> {
        let options = EventOptions {
            receive_buffer,
            ..EventOptions::default()
        };
        Ok(own.client.events(Groups::NEW, options)?.receive_buffer())
    };
    let (small, large) = (size(1)?, size(8 << 20)?);
    assert!(small > 1 && small < large, "{small}, {large}");
    Ok(())
}

/// Reads events up to the birth of `last`, which is created again and again until it is told: it
/// may itself be lost. Gives how many births were told, how many lost, in how many overruns, and
/// how many were created here.
fn births_and_losses(
    own: &Own,
    events: &mut Events,
    last: u32,
) -> Result<(u32, u32, u32, u32), Box<dyn std::error::Error>> {
    let (mut told, mut lost, mut overruns, mut created) = (0, 0, 0, 0);
    let mut drained = false;
    // First everything that waits; then a birth that finds the buffer empty.
    loop {
        let timeout = if drained {
            LONG
        } else {
            Some(Duration::from_millis(1))
        };
        match events.next_batch(timeout)? {
            Some(batch) => {
                for event in batch.iter() {
                    match event? {
                        Event::New(entry) => {
                            told += 1;
                            if entry.orig.src == tuple(last + created).src {
                                return Ok((told, lost, overruns, created));
                            }
                        }
                        Event::Overrun { lost: count } => {
                            overruns += 1;
                            lost += count.expect("a kernel that counts");
                        }
                        other => return Err(format!("{other:?}").into()),
                    }
                }
                drained = false;
            }
            None => {
                created += 1;
                create(own, last + created..last + created + 1)?;
                drained = true;
            }
        }
    }
}

#[test]
fn an_overrun_is_told_and_every_lost_event_counted() -> Outcome {
    let own = own!();
    let options = EventOptions {
        receive_buffer: 4096,
        ..EventOptions::default()
    };
    let mut events = own.client.events(Groups::NEW, options)?;
    // The buffer holds a handful; a send of many is worked through before the reader runs, or
    // beside it: some are lost in either case, and how many does not matter.
    for burst in 0..5 {
        let first = burst * 100_000;
        create(&own, first..first + 5_000)?;
        let (told, lost, overruns, more) = births_and_losses(&own, &mut events, first + 50_000)?;
        assert!(overruns > 0, "nothing lost in burst {burst}");
        assert_eq!(
            told + lost,
            5_000 + more,
            "burst {burst}: {told} told, {lost} lost"
        );
    }
    Ok(())
}

#[test]
fn nothing_is_lost_with_a_large_buffer_and_a_slow_reader() -> Outcome {
    let own = own!();
    // The queue lets the thread read one batch ahead; the rest waits in the kernel's buffer.
    let options = EventOptions {
        receive_buffer: 64 << 20,
        queue: 1,
        reliable: false,
    };
    let mut events = own.client.events(Groups::NEW, options)?;
    create(&own, 0..20_000)?;
    let seen = until(&mut events, |seen| {
        seen.last().is_some_and(|e| is_new(e, 19_999))
    })?;
    assert_eq!(seen.len(), 20_000);
    for (event, number) in seen.iter().zip(0..) {
        assert!(is_new(event, number), "{number}: {event:?}");
    }
    Ok(())
}

#[test]
fn reliable_deaths_come_though_the_buffer_was_full() -> Outcome {
    let own = own!();
    let options = EventOptions {
        receive_buffer: 4096,
        reliable: true,
        ..EventOptions::default()
    };
    let mut events = own.client.events(Groups::DESTROY, options)?;
    create(&own, 0..300)?;
    own.client.flush(&ctnetlink::Filter::any())?;
    let mut dead = std::collections::HashSet::new();
    while dead.len() < 300 {
        let batch = events.next_batch(LONG)?.ok_or("nothing came")?;
        for event in batch.iter() {
            if let Event::Destroy(Entry { orig, .. }) = event? {
                dead.insert(orig);
            }
        }
    }
    Ok(())
}

#[test]
fn another_thread_can_stop_it() -> Outcome {
    let own = own!();
    let mut events = own.client.events(Groups::NEW, EventOptions::default())?;
    create(&own, 0..10)?;
    until(&mut events, |seen| seen.len() == 10)?;
    let stopper = events.stopper()?;
    std::thread::scope(|scope| {
        scope.spawn(move || stopper.stop());
        // Waits for ever unless stopped.
        assert!(events.next_batch(None).expect("no error").is_none());
    });
    assert!(events.next_batch(None)?.is_none(), "and stays ended");
    Ok(())
}

#[test]
fn a_stop_ends_a_stream_whose_reader_has_stopped_reading() -> Outcome {
    let own = own!();
    let options = EventOptions {
        queue: 1,
        ..EventOptions::default()
    };
    let events = own.client.events(Groups::NEW, options)?;
    create(&own, 0..5_000)?;
    // The thread waits for room, or soon will; dropping joins it.
    drop(events);
    Ok(())
}

#[test]
fn a_timeout_is_no_end() -> Outcome {
    let own = own!();
    let mut events = own.client.events(Groups::NEW, EventOptions::default())?;
    assert!(events.next_batch(Some(Duration::from_millis(1)))?.is_none());
    create(&own, 0..1)?;
    until(&mut events, |seen| seen.len() == 1)?;
    Ok(())
}

/// Descriptors and threads of this process that have to do with us.
fn resources() -> (usize, usize) {
    let count = |path: &str, is_ours: &dyn Fn(&std::path::Path) -> bool| {
        std::fs::read_dir(path).map_or(0, |dir| {
            dir.flatten().filter(|entry| is_ours(&entry.path())).count()
        })
    };
    let fds = count("/proc/self/fd", &|_| true);
    let threads = count("/proc/self/task", &|path| {
        std::fs::read_to_string(path.join("comm"))
            .is_ok_and(|name| matches!(name.trim(), "events" | "dump" | "netns"))
    });
    (fds, threads)
}

#[test]
fn nothing_is_left_behind() -> Outcome {
    // Alone in a process of its own, so that no other test's descriptors count.
    if std::env::var_os("CTNETLINK_ALONE").is_none() {
        let output = std::process::Command::new(std::env::current_exe()?)
            .args(["--exact", "nothing_is_left_behind", "--nocapture"])
            .env("CTNETLINK_ALONE", "1")
            .output()?;
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{text}");
        return Ok(());
    }
    let own = own!();
    create(&own, 0..2_000)?;
    let before = resources();
    for _ in 0..20 {
        let events = own
            .client
            .events(Groups::CONNTRACK, EventOptions::default())?;
        let stopper = events.stopper()?;
        drop(events);
        stopper.stop();
        let mut dump = own.client.dump(&Default::default())?;
        assert!(dump.next_entry()?.is_some());
        let other = own!();
        drop(other);
    }
    // A dump's thread ends when the kernel has answered what was asked last.
    let deadline = Instant::now() + Duration::from_secs(60);
    while resources() != before {
        assert!(
            Instant::now() < deadline,
            "{before:?} became {:?}",
            resources()
        );
        std::thread::yield_now();
    }
    Ok(())
}

#[test]
fn when_all_that_preceded_a_loss_is_read_is_told() -> Outcome {
    let own = own!();
    let options = EventOptions {
        receive_buffer: 64 << 10,
        queue: 1,
        reliable: false,
    };
    let mut events = own.client.events(Groups::NEW, options)?;
    let backlog = events.backlog();
    assert!(backlog.is_empty());
    let before = Instant::now();
    create(&own, 0..2_000)?;
    assert!(!backlog.is_empty(), "what is not read waits");
    let mut told = 0;
    let mut lost = 0;
    // Nothing is told after the loss but what had waited: a batch that emptied the buffer comes all the same.
    let emptied = loop {
        let batch = events.next_batch(LONG)?.ok_or("nothing came")?;
        assert!(!backlog.is_empty(), "a batch is read when it is dropped");
        for event in batch.iter() {
            match event? {
                Event::Overrun { lost: many } => lost += many.unwrap_or(0),
                _ => told += 1,
            }
        }
        // The buffer may have been emptied before while more was still on its way.
        let is_all = lost > 0 && told + lost >= 2_000;
        if let Some(emptied) = batch.emptied().filter(|_| is_all) {
            break emptied;
        }
    };
    assert!(emptied >= before);
    assert_eq!(told + lost, 2_000);
    // The receiver may still be about to see that nothing more is there.
    let end = Instant::now() + LONG.unwrap_or_default();
    while !backlog.is_empty() && Instant::now() < end {
        std::thread::yield_now();
    }
    assert!(backlog.is_empty());
    Ok(())
}
