//! The codec on bytes that a real kernel (6.18) sent.
//!
//! `cargo test -p ctnetlink --test codec -- --ignored capture` takes them anew.
#![allow(clippy::indexing_slicing)]

#[macro_use]
mod own;

use std::fmt::Write as _;
use std::net::IpAddr;
use std::path::PathBuf;

use ctnetlink::constants::*;
use ctnetlink::wire::{Ack, Attrs, DecodeError, Header, Message, Messages, NfGen, Writer};
use ctnetlink::{
    Change, Counters, Entry, Event, Expectation, ExpectationFlags, Extra, Key, L4, Labels, Masked,
    NewEntry, NewExpectation, ProtoInfo, Protocol, SctpInfo, SctpState, SeqAdj, Status, SynProxy,
    TcpFlags, TcpInfo, TcpState, Timestamps, Tuple, Update, Zone, ZoneDirection,
};
use own::Outcome;
use proptest::prelude::*;
use testkit::Capture;

const FIXTURES: [&str; 5] = ["dump", "events", "expectations", "stats", "acks"];

fn path(name: &str, extension: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("tests/fixtures/{name}.{extension}"))
}

fn fixture(name: &str) -> Vec<u8> {
    std::fs::read(path(name, "bin")).expect(name)
}

/// What any message of these means, by the decoder that its type asks for.
fn decode(message: &Message<'_>) -> Result<String, DecodeError> {
    let subsystem = message.header.kind >> 8;
    match (message.header.kind, subsystem) {
        (NLMSG_DONE, _) => Ok(format!("{:?}", Ack::decode_done(message))),
        (NLMSG_ERROR, _) => Ok(format!("{:?}", Ack::decode(message))),
        (kind, _) if kind == ct_message(IPCTNL_MSG_CT_GET_STATS_CPU) => {
            message.nfnetlink().map(|(nfgen, _)| format!("{nfgen:?}"))
        }
        _ => Event::decode(message).map(|event| format!("{event:#?}")),
    }
}

fn decode_all(bytes: &[u8]) -> String {
    Messages::new(bytes).fold(String::new(), |mut text, message| {
        let decoded = message.and_then(|message| decode(&message));
        writeln!(text, "{decoded:#?}").expect("a string takes all");
        text.replace("\\n", "\n")
    })
}

#[test]
fn fixtures_decode_to_what_they_were_seen_to_be() {
    for name in FIXTURES {
        let seen = std::fs::read_to_string(path(name, "txt")).expect(name);
        assert!(
            decode_all(&fixture(name)) == seen,
            "{name} is read otherwise"
        );
    }
}

fn entries(bytes: &[u8]) -> Vec<Entry> {
    Messages::new(bytes)
        .map(|message| message.expect("a message"))
        .filter(|message| message.header.kind == ct_message(IPCTNL_MSG_CT_NEW))
        .map(|message| {
            let (_, attrs) = message.nfnetlink().expect("nfnetlink");
            Entry::decode(attrs).expect("an entry")
        })
        .collect()
}

#[test]
fn nothing_of_an_entry_stays_in_the_next_one_decoded_in_its_place() {
    let (bytes, events) = (fixture("dump"), fixture("events"));
    let all: Vec<Message<'_>> = Messages::new(&bytes)
        .chain(Messages::new(&events))
        .map(|message| message.expect("a message"))
        .filter(|message| message.header.kind == ct_message(IPCTNL_MSG_CT_NEW))
        .collect();
    let full = entries(&bytes).into_iter().map(|mut entry| {
        entry.zone = Zone::new(9);
        entry.secmark = Some(9);
        entry.event_time = Some(9);
        entry.helper = "ftp".try_into().ok();
        entry.labels = Some(Labels::from_bits(9));
        entry.extra = Some(Box::default());
        entry
    });
    for before in full {
        for message in &all {
            let (_, attrs) = message.nfnetlink().expect("nfnetlink");
            let mut entry = before.clone();
            entry.decode_into(attrs).expect("an entry");
            assert_eq!(entry, Entry::decode(attrs).expect("an entry"));
        }
    }
}

#[test]
fn a_captured_dump_has_what_was_put_in() {
    let entries = entries(&fixture("dump"));
    assert_eq!(entries.len(), 24);
    for new in table() {
        let entry = entries
            .iter()
            .find(|e| e.orig == new.orig)
            .expect("it is there");
        assert_eq!((entry.reply, entry.zone), (new.reply, new.zone));
        assert_eq!(entry.mark.unwrap_or(0), new.mark.unwrap_or(0));
        assert_eq!((entry.labels, entry.helper), (new.labels, new.helper));
        assert!(entry.has_status(new.status | Status::CONFIRMED));
        assert_eq!(entry.bytes(), Some(0));
        assert!(
            entry
                .timestamps
                .is_some_and(|t| t.start.is_some() && t.stop.is_none())
        );
        assert!(entry.id.is_some() && entry.use_count == Some(1) || entry.helper.is_some());
        let extra = entry.extra.as_deref().cloned().unwrap_or_default();
        assert_eq!(extra.seqadj_orig, new.seqadj_orig);
        assert_eq!(extra.synproxy, new.synproxy);
        assert_eq!(extra.master, new.master);
    }
    assert!(entries.iter().any(|e| e.master().is_some()));
}

#[test]
fn captured_acknowledgements_have_errno_and_sentence() {
    let bytes = fixture("acks");
    let acks: Vec<Ack<'_>> = Messages::new(&bytes)
        .map(|message| Ack::decode(&message.expect("a message")).expect("an ack"))
        .collect();
    assert!(acks.iter().any(|ack| ack.errno == 0));
    assert!(acks.iter().any(|ack| ack.errno == libc::EEXIST));
    assert!(
        acks.iter()
            .any(|ack| ack.message.is_some() && ack.offset.is_some())
    );
}

/// Every fixture cut short at every byte: an error that says what is missing, or fewer messages.
#[test]
fn cut_at_every_byte_it_is_an_error_or_shorter() {
    for name in FIXTURES {
        let bytes = fixture(name);
        let whole = Messages::new(&bytes).count();
        for length in 0..bytes.len() {
            let cut = &bytes[..length];
            let (good, bad): (Vec<_>, Vec<_>) = Messages::new(cut).partition(Result::is_ok);
            assert!(good.len() < whole || length + 4 > bytes.len());
            for error in bad {
                assert!(error.expect_err("bad").to_string().contains("nlmsghdr"));
            }
        }
        // And each message's own attributes.
        for message in Messages::new(&bytes).flatten() {
            for length in 0..message.payload.len() {
                let cut = Message {
                    header: message.header,
                    payload: &message.payload[..length],
                };
                check(&decode(&cut));
            }
        }
    }
}

#[test]
fn with_any_byte_changed_it_is_an_error_or_another_value() {
    for name in FIXTURES {
        for message in Messages::new(&fixture(name)).flatten() {
            let mut payload = message.payload.to_vec();
            for index in 0..payload.len() {
                for flip in [1, 0x80, 0xff, payload[index]] {
                    let old = payload[index];
                    payload[index] ^= flip;
                    check(&decode(&Message {
                        header: message.header,
                        payload: &payload,
                    }));
                    payload[index] = old;
                }
            }
        }
        let mut bytes = fixture(name);
        for index in 0..bytes.len() {
            let old = bytes[index];
            bytes[index] = !old;
            Messages::new(&bytes).for_each(|message| {
                if let Err(error) = message {
                    assert!(error.to_string().contains("nlmsghdr"));
                }
            });
            bytes[index] = old;
        }
    }
}

/// An error names what it could not read.
fn check(decoded: &Result<String, DecodeError>) {
    if let Err(error) = decoded {
        let text = error.to_string();
        let named = ["CTA_", "nlattr", "nfgenmsg", "NLMSGERR_"];
        assert!(named.iter().any(|name| text.contains(name)), "{text}");
    }
}

fn address(is_v6: bool) -> BoxedStrategy<IpAddr> {
    if is_v6 {
        any::<u128>()
            .prop_map(|bits| IpAddr::V6(bits.into()))
            .boxed()
    } else {
        any::<u32>()
            .prop_map(|bits| IpAddr::V4(bits.into()))
            .boxed()
    }
}

fn l4(protocol: Protocol) -> BoxedStrategy<L4> {
    let (a, b) = (any::<u16>(), any::<u16>());
    match protocol {
        Protocol::ICMP | Protocol::ICMPV6 => (any::<u8>(), any::<u8>(), a)
            .prop_map(|(kind, code, id)| L4::Icmp { kind, code, id })
            .boxed(),
        Protocol::GRE => (a, b)
            .prop_map(|(src_key, dst_key)| L4::Gre { src_key, dst_key })
            .boxed(),
        protocol if protocol.has_ports() => {
            (a, b).prop_map(|(src, dst)| L4::Ports { src, dst }).boxed()
        }
        _ => Just(L4::None).boxed(),
    }
}

fn tuple(is_v6: bool, protocol: Protocol) -> impl Strategy<Value = Tuple> {
    (address(is_v6), address(is_v6), l4(protocol)).prop_map(move |(src, dst, l4)| Tuple {
        src,
        dst,
        protocol,
        l4,
    })
}

fn zone() -> impl Strategy<Value = Zone> {
    let direction = prop_oneof![
        Just(ZoneDirection::Both),
        Just(ZoneDirection::Original),
        Just(ZoneDirection::Reply)
    ];
    // Zone 0 has no direction of its own.
    (any::<u16>(), direction).prop_map(|(id, direction)| match id {
        0 => Zone::new(0),
        id => Zone { id, direction },
    })
}

fn protoinfo() -> impl Strategy<Value = Option<ProtoInfo>> {
    let flags = || {
        proptest::option::of(
            (any::<u8>(), any::<u8>()).prop_map(|(flags, mask)| TcpFlags { flags, mask }),
        )
    };
    let byte = proptest::option::of(any::<u8>());
    let tcp = (byte.clone(), byte.clone(), byte, flags(), flags()).prop_map(
        |(state, wscale_orig, wscale_reply, flags_orig, flags_reply)| {
            ProtoInfo::Tcp(TcpInfo {
                state: state.map(TcpState),
                wscale_orig,
                wscale_reply,
                flags_orig,
                flags_reply,
            })
        },
    );
    let sctp =
        any::<(u8, Option<u32>, Option<u32>)>().prop_map(|(state, vtag_orig, vtag_reply)| {
            ProtoInfo::Sctp(SctpInfo {
                state: Some(SctpState(state)),
                vtag_orig,
                vtag_reply,
            })
        });
    let dccp = any::<(u8, Option<u8>, Option<u64>)>().prop_map(|(state, role, handshake_seq)| {
        ProtoInfo::Dccp(ctnetlink::DccpInfo {
            state: Some(ctnetlink::DccpState(state)),
            role,
            handshake_seq,
        })
    });
    proptest::option::of(prop_oneof![tcp, sctp, dccp])
}

fn seqadj() -> impl Strategy<Value = Option<SeqAdj>> {
    proptest::option::of(any::<(u32, i32, i32)>().prop_map(|(a, b, c)| SeqAdj {
        correction_pos: a,
        offset_before: b,
        offset_after: c,
    }))
}

fn new_entry() -> impl Strategy<Value = NewEntry> {
    let protocol = prop_oneof![
        proptest::sample::select(&Protocol::TRACKED[..]),
        any::<u8>().prop_map(Protocol)
    ];
    (any::<bool>(), protocol)
        .prop_flat_map(|(is_v6, protocol)| {
            (
                tuple(is_v6, protocol),
                tuple(is_v6, protocol),
                proptest::option::of(tuple(is_v6, Protocol::TCP)),
            )
        })
        .prop_flat_map(|(orig, reply, master)| {
            let helper = proptest::option::of("[a-zA-Z0-9.-]{1,15}");
            let synproxy = proptest::option::of((1..=u32::MAX, any::<u32>(), any::<u32>()));
            let numbers = any::<(u32, u32, Option<u32>, Option<u128>)>();
            (
                numbers,
                zone(),
                helper,
                protoinfo(),
                seqadj(),
                seqadj(),
                synproxy,
            )
                .prop_map(
                    move |(
                        numbers,
                        zone,
                        helper,
                        protoinfo,
                        seqadj_orig,
                        seqadj_reply,
                        synproxy,
                    )| {
                        let mut new = NewEntry::new(orig, numbers.0);
                        new.reply = reply;
                        new.zone = zone;
                        new.status = Status::from_bits_retain(numbers.1);
                        new.mark = numbers.2;
                        new.labels = numbers.3.map(Labels::from_bits);
                        new.helper = helper.and_then(|name| name.as_str().try_into().ok());
                        new.protoinfo = protoinfo;
                        new.seqadj_orig = seqadj_orig;
                        new.seqadj_reply = seqadj_reply;
                        new.synproxy =
                            synproxy.map(|(isn, its, tsoff)| SynProxy { isn, its, tsoff });
                        new.master = master;
                        new
                    },
                )
        })
}

/// An entry with everything that a dump can say of one.
fn entry() -> impl Strategy<Value = Entry> {
    let numbers = any::<[Option<u32>; 6]>();
    let counters = any::<[Option<(u64, u64)>; 2]>();
    let times = any::<(Option<(Option<u64>, Option<u64>)>, Option<u64>)>();
    let secctx = proptest::option::of("[a-z:_]{0,40}");
    (new_entry(), numbers, counters, times, secctx).prop_map(
        |(new, [id, status, timeout, secmark, use_count, mark], counters, times, secctx)| {
            let counters = counters
                .map(|counters| counters.map(|(packets, bytes)| Counters { packets, bytes }));
            let extra = Extra {
                secctx,
                seqadj_orig: new.seqadj_orig,
                seqadj_reply: new.seqadj_reply,
                synproxy: new.synproxy,
                master: new.master,
            };
            Entry {
                zone: new.zone,
                id,
                status: status.map(Status::from_bits_retain),
                timeout,
                mark,
                secmark,
                use_count,
                counters_orig: counters[0],
                counters_reply: counters[1],
                timestamps: times.0.map(|(start, stop)| Timestamps { start, stop }),
                event_time: times.1,
                protoinfo: new.protoinfo,
                helper: new.helper,
                labels: new.labels,
                extra: (extra != Extra::default()).then(|| Box::new(extra)),
                ..Entry::new(new.orig, new.reply)
            }
        },
    )
}

fn encoded(entry: &Entry) -> Vec<u8> {
    let mut writer = Writer::new();
    entry.encode(&mut writer);
    writer.bytes().to_vec()
}

#[test]
fn captured_entries_are_encoded_to_what_is_read_as_the_same() {
    for name in ["dump", "events"] {
        for entry in entries(&fixture(name)) {
            let again = Entry::decode(Attrs::from_bytes(&encoded(&entry)));
            assert_eq!(again.as_ref(), Ok(&entry));
        }
    }
}

proptest! {
    #[test]
    fn an_entry_is_read_as_it_was_encoded(entry in entry()) {
        let again = Entry::decode(Attrs::from_bytes(&encoded(&entry)));
        prop_assert_eq!(again.as_ref(), Ok(&entry));
    }

    #[test]
    fn what_is_written_is_read(new in new_entry()) {
        let mut writer = Writer::new();
        Change::Create(Box::new(new.clone())).write(&mut writer, 7, true);
        let messages: Vec<_> = Messages::new(writer.bytes()).collect();
        prop_assert_eq!(messages.len(), 1);
        let message = messages[0].as_ref().expect("a message");
        prop_assert_eq!(message.header.sequence, 7);
        let (nfgen, attrs) = message.nfnetlink().expect("nfnetlink");
        prop_assert_eq!(nfgen.family, new.orig.family().number());
        let entry = Entry::decode(attrs).expect("an entry");
        let kept = new.status - (Status::EXPECTED | Status::DYING);
        let status = kept | Status::CONFIRMED;
        prop_assert_eq!(entry.status, Some(status));
        let mut again = NewEntry::from(&entry);
        again.status = new.status;
        // Flags are read without the mask by which they are set.
        again.protoinfo = entry.protoinfo;
        prop_assert_eq!(again, new);
    }

    #[test]
    fn any_bytes_at_all_are_no_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        decode_all(&bytes);
        let _ = Entry::decode(Attrs::from_bytes(&bytes));
        let _ = Expectation::decode(Attrs::from_bytes(&bytes));
    }
}

/// What the dump's fixture is taken of.
fn table() -> Vec<NewEntry> {
    let mut table: Vec<NewEntry> = (0..21).map(testkit::fill::entry).collect();
    let mut adjusted = testkit::fill::entry(1000);
    adjusted.seqadj_orig = Some(SeqAdj {
        correction_pos: 1,
        offset_before: -2,
        offset_after: 3,
    });
    adjusted.synproxy = Some(SynProxy {
        isn: 4,
        its: 5,
        tsoff: 6,
    });
    adjusted.protoinfo = Some(ProtoInfo::Tcp(TcpInfo {
        state: Some(TcpState::ESTABLISHED),
        wscale_orig: Some(7),
        wscale_reply: Some(9),
        flags_orig: Some(TcpFlags {
            flags: 3,
            mask: 255,
        }),
        flags_reply: Some(TcpFlags {
            flags: 1,
            mask: 255,
        }),
    }));
    let mut child = testkit::fill::entry(1010);
    child.master = Some(table[0].orig);
    let dccp = {
        let any = |mut tuple: Tuple| {
            tuple.protocol = Protocol::DCCP;
            tuple.l4 = L4::Ports { src: 0, dst: 0 };
            tuple
        };
        let mut new = testkit::fill::entry(1002);
        new.orig = any(new.orig);
        new.reply = any(new.reply);
        new.protoinfo = None;
        new
    };
    table.extend([adjusted, child, dccp]);
    table
}

fn request(kind: u16, flags: u16) -> Vec<u8> {
    let nfgen = NfGen {
        family: AF_UNSPEC,
        version: 0,
        resource: 0,
    };
    let mut writer = Writer::new();
    writer.message(kind, NLM_F_REQUEST | flags, 1, nfgen, |_| {});
    writer.bytes().to_vec()
}

fn written(change: Change) -> Vec<u8> {
    let mut writer = Writer::new();
    change.write(&mut writer, 1, true);
    writer.bytes().to_vec()
}

#[test]
#[ignore = "writes the fixtures"]
fn capture() -> Outcome {
    let own = own!();
    own.allow_labels()?;
    own.set("nf_conntrack_acct", "1")?;
    own.set("nf_conntrack_timestamp", "1")?;
    let groups = [
        NFNLGRP_CONNTRACK_NEW,
        NFNLGRP_CONNTRACK_UPDATE,
        NFNLGRP_CONNTRACK_DESTROY,
        NFNLGRP_CONNTRACK_EXP_NEW,
        NFNLGRP_CONNTRACK_EXP_DESTROY,
    ];
    let events = Capture::open(&own.namespace, &groups)?;
    let asking = Capture::open(&own.namespace, &[])?;
    let ask = |request: &[u8]| -> std::io::Result<Vec<u8>> {
        asking.send(request)?;
        asking.answer()
    };

    let mut master = testkit::fill::entry(41 * 10);
    master.helper = Some("ftp".try_into()?);
    own.create(&master)?;
    own.client.update(
        Key::original(master.orig).in_zone(master.zone),
        Update {
            mark: Some(Masked::exactly(0x42)),
            ..Update::default()
        },
    )?;
    let mut expected = master.orig;
    let mut mask = master.orig;
    expected.l4 = L4::Ports { src: 0, dst: 5000 };
    (mask.src, mask.dst) = ("255.255.255.255".parse()?, "255.255.255.255".parse()?);
    mask.l4 = L4::Ports {
        src: 0,
        dst: 0xffff,
    };
    own.client.create_expectation(NewExpectation {
        tuple: expected,
        mask,
        master: master.orig,
        zone: master.zone.id,
        timeout: 300,
        flags: ExpectationFlags::PERMANENT,
        class: 0,
        helper: None,
        function: Some("nat-follow-master".to_owned()),
        nat: Some((ctnetlink::Direction::Reply, master.orig)),
    })?;
    let expectations = ask(&request(exp_message(IPCTNL_MSG_EXP_GET), NLM_F_DUMP))?;
    own.client.flush_expectations()?;
    own.client
        .delete(Key::original(master.orig).in_zone(master.zone))?;
    let mut told = Vec::new();
    for _ in 0..5 {
        told.extend(
            events
                .receive()
                .map_err(|e| format!("{e} after {}", decode_all(&told)))?,
        );
    }

    testkit::fill::fill_with(&own.client, table())?;
    let dump = ask(&request(ct_message(IPCTNL_MSG_CT_GET), NLM_F_DUMP))?;
    let mut stats = ask(&request(ct_message(IPCTNL_MSG_CT_GET_STATS), NLM_F_ACK))?;
    for kind in [
        ct_message(IPCTNL_MSG_CT_GET_STATS_CPU),
        exp_message(IPCTNL_MSG_EXP_GET_STATS_CPU),
    ] {
        stats.extend(ask(&request(kind, NLM_F_DUMP))?);
    }

    let mut acks = ask(&written(Change::Create(Box::new(testkit::fill::entry(
        500,
    )))))?;
    acks.extend(ask(&written(Change::Create(Box::new(
        testkit::fill::entry(500),
    ))))?);
    let mut wrong = Writer::new();
    let nfgen = NfGen {
        family: AF_INET,
        version: 0,
        resource: 0,
    };
    let kind = ct_message(IPCTNL_MSG_CT_NEW);
    wrong.message(kind, NLM_F_REQUEST | NLM_F_ACK, 1, nfgen, |w| {
        w.u8(CTA_TIMEOUT, 1);
    });
    acks.extend(ask(wrong.bytes())?);

    for (name, bytes) in FIXTURES
        .into_iter()
        .zip([dump, told, expectations, stats, acks])
    {
        assert!(bytes.len() > Header::SIZE);
        std::fs::write(path(name, "bin"), &bytes)?;
        std::fs::write(path(name, "txt"), decode_all(&bytes))?;
    }
    Ok(())
}
