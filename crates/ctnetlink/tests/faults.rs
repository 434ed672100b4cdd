//! What a kernel could say wrongly, and what comes of it: never a panic, never half an answer
//! taken for a whole one.
#![allow(clippy::indexing_slicing)]

use std::time::Duration;

use ctnetlink::constants::*;
use ctnetlink::{
    Change, Client, Dump, DumpOutcome, DumpRequest, Entry, Error, ErrorKind, Filter, Key,
    Namespace, NewEntry, Operation, Protocol,
};
use testkit::{FakeKernel, Reply, Request, fill};

type Outcome = Result<(), Box<dyn std::error::Error>>;

fn table(count: u32) -> Vec<NewEntry> {
    (0..count).map(fill::entry).collect()
}

fn read(client: &Client) -> Result<(Vec<Entry>, DumpOutcome), Error> {
    client.dump(&DumpRequest::default()).and_then(Dump::collect)
}

/// A client of a kernel that answers everything so.
fn client(script: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Client {
    FakeKernel::new(script).client().expect("a socket pair")
}

#[test]
fn a_dump_is_the_same_however_it_is_split() -> Outcome {
    for in_each in 1..=11 {
        let client = client(move |request| Reply::to(request).entries(&table(10), in_each).done(0));
        let (entries, outcome) = read(&client)?;
        assert_eq!(entries.len(), 10);
        assert!(outcome.complete);
        for (entry, (new, id)) in entries.iter().zip(table(10).iter().zip(1..)) {
            assert_eq!(
                (entry.orig, entry.reply, entry.zone),
                (new.orig, new.reply, new.zone)
            );
            assert_eq!(entry.id, Some(id));
        }
    }
    Ok(())
}

#[test]
fn an_interrupted_dump_is_not_complete() -> Outcome {
    let on_entry = client(|request| {
        let reply = Reply::to(request).entries(&table(3), 1);
        let reply = reply.entry(&fill::entry(3), 4).with_flags(NLM_F_DUMP_INTR);
        reply.entries(&table(2), 9).done(0)
    });
    let on_end = client(|request| {
        let reply = Reply::to(request).entries(&table(6), 4);
        reply.done(0).with_flags(NLM_F_DUMP_INTR)
    });
    for client in [on_entry, on_end] {
        let (entries, outcome) = read(&client)?;
        assert_eq!(entries.len(), 6);
        assert!(!outcome.complete);
    }
    Ok(())
}

#[test]
fn fold_begins_anew_after_an_interruption_and_not_for_ever() -> Outcome {
    // The first two dumps are interrupted, each after more than the last.
    let kernel = FakeKernel::new(|request| {
        let reply = Reply::to(request).entries(&table(request.number as u32 + 5), 2);
        let reply = reply.done(0);
        if request.number < 2 {
            reply.with_flags(NLM_F_DUMP_INTR)
        } else {
            reply
        }
    });
    let client = kernel.client()?;
    let count = |attempts| {
        client.fold(
            &DumpRequest::default(),
            attempts,
            || 0,
            |count, _| *count += 1,
        )
    };
    let (counted, outcome) = count(2)?;
    assert_eq!((counted, outcome.complete), (6, false));
    assert_eq!(kernel.requests().len(), 2);
    let (counted, outcome) = count(9)?;
    assert_eq!((counted, outcome.complete), (7, true));
    assert_eq!(kernel.requests().len(), 3);
    Ok(())
}

#[test]
fn an_error_in_the_middle_of_a_dump_is_an_error() {
    let with_error = client(|r| Reply::to(r).entries(&table(4), 3).ack(libc::ENOMEM));
    let with_done = client(|r| Reply::to(r).entries(&table(4), 3).done(libc::ENOMEM));
    for client in [with_error, with_done] {
        let mut dump = client.dump(&DumpRequest::default()).expect("it begins");
        for _ in 0..4 {
            assert!(dump.next_entry().expect("an entry").is_some());
        }
        let error = dump.next_entry().expect_err("the kernel's error");
        assert_eq!(error.errno(), Some(libc::ENOMEM));
        assert_eq!(error.operation(), Some(Operation::Dump));
        assert!(dump.next_entry().expect("over").is_none());
    }
}

#[test]
fn a_closed_socket_is_no_end_of_a_dump() {
    let client = client(|r| Reply::to(r).entries(&table(4), 2).close());
    let error = read(&client).expect_err("closed");
    assert!(
        matches!(
            error,
            Error::Closed {
                operation: Operation::Dump
            }
        ),
        "{error}"
    );
    assert_eq!(error.kind(), ErrorKind::BadAnswer);
}

#[test]
fn silence_is_an_error_in_time() -> Outcome {
    let client = client(|_| Reply::silence()).with_patience(Duration::from_millis(20))?;
    let results = [
        read(&client).map(drop),
        client.global_stats().map(drop),
        client.create(fill::entry(0)),
        client.expectations(None).map(drop),
        client.get(&Key::original(fill::entry(0).orig)).map(drop),
    ];
    for result in results {
        let error = result.expect_err("no answer");
        assert!(matches!(error, Error::Timeout { .. }), "{error}");
    }
    Ok(())
}

#[test]
fn a_late_answer_is_not_taken_for_another_requests() -> Outcome {
    // Never answers the first request but together with the second, with the first's number.
    let client = client(|request| {
        if request.number == 0 {
            return Reply::silence();
        }
        let late = Reply::to(request).with_sequence(request.header.sequence - 1);
        let payload = testkit::fake_kernel::entry_payload(&fill::entry(7), 7);
        late.message(ct_message(IPCTNL_MSG_CT_NEW), 0, &payload)
            .ack(libc::EEXIST)
            .with_sequence(request.header.sequence)
            .message(
                ct_message(IPCTNL_MSG_CT_NEW),
                0,
                &testkit::fake_kernel::entry_payload(&fill::entry(8), 8),
            )
            .ack(0)
    })
    .with_patience(Duration::from_millis(20))?;
    let first = Key::original(fill::entry(7).orig);
    assert!(matches!(client.get(&first), Err(Error::Timeout { .. })));
    let client = client.with_patience(Duration::from_secs(30))?;
    let second = client.get(&Key::original(fill::entry(8).orig))?;
    assert_eq!(second.id, Some(8));
    Ok(())
}

#[test]
fn messages_of_foreign_sequence_are_no_part_of_a_dump() -> Outcome {
    let client = client(|request| {
        Reply::to(request)
            .entries(&table(2), 9)
            .with_sequence(request.header.sequence.wrapping_add(1))
            .entry(&fill::entry(9), 9)
            .done(libc::EIO)
            .split()
            .with_sequence(request.header.sequence)
            .entry(&fill::entry(3), 3)
            .done(0)
    });
    let (entries, outcome) = read(&client)?;
    assert_eq!(entries.len(), 3);
    assert!(outcome.complete);
    Ok(())
}

#[test]
fn truncated_messages_and_wrong_lengths_are_malformed() {
    let cut_entry = |r: &Request| Reply::to(r).entries(&table(3), 9).cut(8);
    let too_long = |r: &Request| Reply::to(r).entry(&fill::entry(0), 1).with_length(4000);
    let too_short = |r: &Request| Reply::to(r).entry(&fill::entry(0), 1).with_length(3);
    let no_header = |r: &Request| Reply::to(r).raw(&[1, 2, 3]);
    let scripts: [fn(&Request) -> Reply; 4] = [cut_entry, too_long, too_short, no_header];
    for script in scripts {
        let client = client(script);
        let error = read(&client).expect_err("malformed");
        assert!(matches!(error, Error::Malformed { .. }), "{error}");
        let error = client.global_stats().expect_err("malformed");
        assert!(matches!(error, Error::Malformed { .. }), "{error}");
    }
    // A header that ends within the entry: its attributes are cut.
    let client = client(|r| {
        Reply::to(r)
            .entry(&fill::entry(0), 1)
            .with_length(41)
            .cut(60)
    });
    assert!(read(&client).is_err());
}

#[test]
fn a_message_longer_than_any_is_told_as_such() {
    let client = client(|r| Reply::to(r).raw(&vec![0; 100_000]));
    let error = read(&client).expect_err("too long");
    assert!(
        matches!(
            error,
            Error::Truncated {
                length: 100_000,
                ..
            }
        ),
        "{error}"
    );
    let error = client.global_stats().expect_err("too long");
    assert!(
        matches!(
            error,
            Error::Truncated {
                length: 100_000,
                ..
            }
        ),
        "{error}"
    );
}

#[test]
fn an_acknowledgement_too_short_for_an_errno_is_malformed() {
    let client = client(|r| Reply::to(r).message(NLMSG_ERROR, 0, &[1, 2]));
    assert!(matches!(read(&client), Err(Error::Malformed { .. })));
    let result = client.create(fill::entry(0));
    assert!(matches!(result, Err(Error::Malformed { .. })));
}

#[test]
fn an_errno_with_unreadable_attributes_is_still_an_errno() {
    let flags = NLM_F_CAPPED | NLM_F_ACK_TLVS;
    let errno = (-libc::EPERM).to_ne_bytes();
    let client = client(move |r| Reply::to(r).message(NLMSG_ERROR, flags, &errno));
    let error = client.create(fill::entry(0)).expect_err("refused");
    assert_eq!(error.kind(), ErrorKind::PermissionDenied, "{error}");
}

#[test]
fn the_kernels_sentence_is_passed_on() {
    let client = client(|r| Reply::to(r).ack_with_text(libc::EINVAL, "no such thing", 20));
    let error = client.create(fill::entry(0)).expect_err("refused");
    assert_eq!(
        error.to_string(),
        "cannot create the entry: Invalid argument (no such thing)"
    );
    assert_eq!(error.kind(), ErrorKind::Invalid);
}

#[test]
fn a_full_table_has_its_kind() {
    let client = client(|r| Reply::to(r).ack(libc::ENOMEM));
    let error = client.create(fill::entry(0)).expect_err("full");
    assert_eq!(error.kind(), ErrorKind::TableFull);
}

#[test]
fn a_lost_acknowledgement_is_no_success() -> Outcome {
    // Answers failures, but never the last message's acknowledgement.
    let client = client(|r| {
        if r.number == 1 {
            Reply::to(r).ack(libc::EEXIST)
        } else {
            Reply::silence()
        }
    })
    .with_patience(Duration::from_millis(20))?;
    let changes = table(3)
        .into_iter()
        .map(|new| Change::Create(Box::new(new)));
    let mut told = 0;
    let result = client.apply(changes, |_, _| told += 1);
    assert!(matches!(result, Err(Error::Timeout { .. })));
    assert_eq!(told, 0);
    Ok(())
}

#[test]
fn an_answer_without_content_is_an_error() {
    let client = client(|r| Reply::to(r).ack(0));
    let error = client
        .get(&Key::original(fill::entry(0).orig))
        .expect_err("nothing");
    assert!(matches!(error, Error::Malformed { .. }), "{error}");
    assert!(client.global_stats().is_err());
}

/// Entries that the filter selects and entries that it does not.
fn check_filtered(kernel: &FakeKernel, filter: Filter, fallbacks: u32) -> Outcome {
    let (entries, outcome) = kernel.client()?.dump(&filter.into())?.collect()?;
    let expected = table(60).iter().filter(|new| selects(&filter, new)).count();
    assert!(expected > 0);
    assert_eq!(entries.len(), expected);
    assert!(entries.iter().all(|entry| filter.matches(entry)));
    assert_eq!(outcome.fallbacks, fallbacks);
    Ok(())
}

fn selects(filter: &Filter, new: &NewEntry) -> bool {
    let mut entry = Entry::new(new.orig, new.reply);
    entry.mark = new.mark;
    entry.zone = new.zone;
    entry.status = Some(new.status);
    filter.matches(&entry)
}

fn of_family<'a>(request: &Request, table: &'a [NewEntry]) -> Vec<&'a NewEntry> {
    let is_of = |new: &&NewEntry| {
        request.nfgen.family == AF_UNSPEC || request.nfgen.family == new.orig.family().number()
    };
    table.iter().filter(is_of).collect()
}

#[test]
fn a_kernel_that_ignores_filters_makes_no_difference() -> Outcome {
    let kernel = FakeKernel::new(|r| Reply::to(r).entries(of_family(r, &table(60)), 7).done(0));
    let mut filter = Filter::any();
    filter.protocol = Some(Protocol::TCP);
    filter.orig.dst_port = Some(443);
    check_filtered(&kernel, filter, 0)
}

#[test]
fn a_kernel_that_refuses_filters_is_asked_without() -> Outcome {
    for errno in [libc::EOPNOTSUPP, libc::EINVAL] {
        let kernel = FakeKernel::new(move |request| {
            let reply = Reply::to(request);
            if request.attribute(CTA_FILTER).is_some() {
                reply.ack(errno)
            } else {
                reply.entries(of_family(request, &table(60)), 7).done(0)
            }
        });
        let mut filter = Filter::any();
        filter.orig.src = Some(fill::entry(0).orig.src);
        check_filtered(&kernel, filter, 1)?;
    }
    // Any other refusal is an error.
    let client = client(|r| Reply::to(r).ack(libc::EPERM));
    let mut filter = Filter::any();
    filter.protocol = Some(Protocol::TCP);
    let error = client
        .dump(&filter.into())
        .and_then(Dump::collect)
        .expect_err("refused");
    assert_eq!(error.kind(), ErrorKind::PermissionDenied);
    Ok(())
}

#[test]
fn a_kernel_that_compares_ipv6_addresses_the_wrong_way_round_is_seen_through() -> Outcome {
    let wanted = table(60)
        .into_iter()
        .find(|new| new.orig.src.is_ipv6())
        .expect("one");
    let source = wanted.orig.src;
    let kernel = FakeKernel::new(move |request| {
        let all = table(60);
        let entries = of_family(request, &all).into_iter().filter(|new| {
            // CTA_TUPLE_IP with 16 bytes of address is what makes the tuple so long.
            let has_address = request
                .attribute(CTA_TUPLE_ORIG)
                .is_some_and(|t| t.len() >= 24);
            !has_address || new.orig.src != source
        });
        Reply::to(request).entries(entries, 7).done(0)
    });
    let mut filter = Filter::any();
    filter.orig.src = Some(source);
    check_filtered(&kernel, filter, 1)
}

#[test]
fn what_cannot_be_probed_is_not_flushed_by_a_filter() {
    let kernel = FakeKernel::new(|r| Reply::to(r).ack(0));
    let client = kernel.client().expect("a socket pair");
    let mut filter = Filter::any();
    filter.protocol = Some(Protocol::TCP);
    let error = client.flush(&filter).expect_err("not proven");
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    let error = client
        .dump_and_zero(&filter)
        .map(drop)
        .expect_err("not proven");
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(kernel.requests().is_empty(), "nothing was sent");
    client
        .flush(&Filter::any())
        .expect("everything can be flushed");
}

#[test]
fn a_contradictory_filter_asks_nothing_and_selects_nothing() -> Outcome {
    let kernel = FakeKernel::new(|r| Reply::to(r).entries(&table(5), 9).done(0));
    let mut filter = Filter::any();
    filter.orig.src = Some("10.0.0.1".parse()?);
    filter.orig.dst = Some("2001:db8::1".parse()?);
    let (entries, outcome) = kernel.client()?.dump(&filter.into())?.collect()?;
    assert!(entries.is_empty() && outcome.complete);
    assert!(kernel.requests().is_empty());
    Ok(())
}

#[test]
fn unknown_namespaces_have_their_kind() {
    for text in [
        "no-such-namespace",
        "/no/such/file",
        "4194999",
        "",
        "..",
        "/etc/passwd",
    ] {
        let error = Namespace::parse(text).expect_err(text);
        assert_eq!(error.kind(), ErrorKind::Namespace, "{text}: {error}");
    }
}

#[test]
fn without_privilege_everything_is_denied_as_such() {
    // A child of ours that has nothing; the thread's own table is asked, nothing is changed.
    if std::env::var_os("CTNETLINK_UNPRIVILEGED").is_some() {
        let client = Client::open().expect("anyone may open a socket");
        let results = [
            read(&client).map(drop),
            client.create(fill::entry(0)),
            client.delete(Key::original(fill::entry(0).orig)),
            client.global_stats().map(drop),
            Namespace::scratch().map(drop),
        ];
        for result in results {
            let error = result.expect_err("no privilege");
            assert_eq!(error.kind(), ErrorKind::PermissionDenied, "{error}");
        }
        let mut filter = Filter::any();
        filter.protocol = Some(Protocol::TCP);
        assert!(client.flush(&filter).is_err());
        return;
    }
    let program = std::env::current_exe().expect("our own path");
    let output = std::process::Command::new("setpriv")
        .args(["--bounding-set=-all", "--inh-caps=-all"])
        .arg("--reuid=65534")
        .arg("--clear-groups")
        .arg(&program)
        .args(["--exact", "without_privilege_everything_is_denied_as_such"])
        .env("CTNETLINK_UNPRIVILEGED", "1")
        .output();
    let required = std::env::var_os("TRACKLIGHT_REQUIRE_KERNEL").is_some_and(|v| v == "1");
    match output {
        Ok(output) if output.status.success() => {}
        // Not privileged ourselves, or the program cannot be reached by another user.
        Ok(output) if !required && output.status.code() == Some(127) => {
            eprintln!("SKIPPED: {}", String::from_utf8_lossy(&output.stderr));
        }
        Ok(output) => panic!(
            "{}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        ),
        Err(error) => assert!(!required, "setpriv: {error}"),
    }
}
