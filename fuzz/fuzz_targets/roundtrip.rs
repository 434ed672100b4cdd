//! Whatever can be asked for is written so that it is read as what was asked for.
#![no_main]

use std::net::IpAddr;

use arbitrary::Arbitrary;
use ctnetlink::wire::{Messages, Writer};
use ctnetlink::{
    Change, Entry, L4, Labels, NewEntry, ProtoInfo, Protocol, SctpInfo, SctpState, SeqAdj, Status,
    SynProxy, TcpFlags, TcpInfo, TcpState, Tuple, Zone, ZoneDirection,
};
use libfuzzer_sys::fuzz_target;

#[derive(Arbitrary, Debug)]
struct Asked {
    is_v6: bool,
    protocol: u8,
    orig: Side,
    reply: Side,
    zone: (u16, u8),
    timeout: u32,
    status: u32,
    mark: Option<u32>,
    labels: Option<u128>,
    helper: Option<[u8; 15]>,
    tcp: Option<(Option<u8>, Option<u8>, Option<u8>, Option<(u8, u8)>)>,
    sctp: Option<(Option<u8>, Option<u32>, Option<u32>)>,
    seqadj: [Option<(u32, i32, i32)>; 2],
    synproxy: Option<(u32, u32, u32)>,
    master: Option<Side>,
}

#[derive(Arbitrary, Debug)]
struct Side {
    addresses: (u128, u128),
    l4: (u16, u16, u16),
}

impl Side {
    fn tuple(&self, is_v6: bool, protocol: Protocol) -> Tuple {
        let address = |bits: u128| {
            if is_v6 {
                IpAddr::V6(bits.into())
            } else {
                IpAddr::V4((bits as u32).into())
            }
        };
        let (a, b, c) = self.l4;
        Tuple {
            src: address(self.addresses.0),
            dst: address(self.addresses.1),
            protocol,
            l4: match protocol {
                Protocol::ICMP | Protocol::ICMPV6 => L4::Icmp {
                    kind: a as u8,
                    code: b as u8,
                    id: c,
                },
                Protocol::GRE => L4::Gre {
                    src_key: a,
                    dst_key: b,
                },
                protocol if protocol.has_ports() => L4::Ports { src: a, dst: b },
                _ => L4::None,
            },
        }
    }
}

fn seqadj((correction_pos, offset_before, offset_after): (u32, i32, i32)) -> SeqAdj {
    SeqAdj {
        correction_pos,
        offset_before,
        offset_after,
    }
}

fuzz_target!(|asked: Asked| {
    let protocol = Protocol(asked.protocol);
    let mut new = NewEntry::new(asked.orig.tuple(asked.is_v6, protocol), asked.timeout);
    new.reply = asked.reply.tuple(asked.is_v6, protocol);
    new.zone = match asked.zone {
        (0, _) => Zone::new(0),
        (id, direction) => Zone {
            id,
            direction: match direction % 3 {
                0 => ZoneDirection::Both,
                1 => ZoneDirection::Original,
                _ => ZoneDirection::Reply,
            },
        },
    };
    new.status = Status::from_bits_retain(asked.status);
    new.mark = asked.mark;
    new.labels = asked.labels.map(Labels::from_bits);
    new.helper = asked.helper.and_then(|bytes| {
        let end = bytes.iter().position(|&byte| byte == 0)?;
        std::str::from_utf8(&bytes[..end]).ok()?.try_into().ok()
    });
    new.protoinfo = asked
        .tcp
        .map(|(state, orig, reply, flags)| {
            let flags = flags.map(|(flags, mask)| TcpFlags { flags, mask });
            ProtoInfo::Tcp(TcpInfo {
                state: state.map(TcpState),
                wscale_orig: orig,
                wscale_reply: reply,
                flags_orig: flags,
                flags_reply: flags,
            })
        })
        .or(asked.sctp.map(|(state, vtag_orig, vtag_reply)| {
            ProtoInfo::Sctp(SctpInfo {
                state: state.map(SctpState),
                vtag_orig,
                vtag_reply,
            })
        }));
    let [orig, reply] = asked.seqadj;
    (new.seqadj_orig, new.seqadj_reply) = (orig.map(seqadj), reply.map(seqadj));
    // Zeros are read as no proxy at all.
    new.synproxy = asked
        .synproxy
        .filter(|&synproxy| synproxy != (0, 0, 0))
        .map(|(isn, its, tsoff)| SynProxy { isn, its, tsoff });
    new.master = asked
        .master
        .map(|side| side.tuple(asked.is_v6, Protocol::TCP));

    let mut writer = Writer::new();
    Change::Create(Box::new(new.clone())).write(&mut writer, 1, false);
    let mut messages = Messages::new(writer.bytes());
    let message = messages.next().expect("one message").expect("well formed");
    assert!(messages.next().is_none());
    let (_, attrs) = message.nfnetlink().expect("nfnetlink");
    let entry = Entry::decode(attrs).expect("an entry");
    let mut again = NewEntry::from(&entry);
    again.status = new.status;
    again.protoinfo = entry.protoinfo;
    assert_eq!(again, new);
});
