//! Another decoder reads the same bytes: the two agree on all that it reads rightly. It does not
//! read CTA_TIMESTAMP rightly, and sequence adjustment only without its sign.
#![allow(clippy::indexing_slicing)]

use std::net::IpAddr;

use ctnetlink::constants::*;
use ctnetlink::wire::{Header, Messages, NfGen};
use ctnetlink::{Counters, Entry, L4, Labels, ProtoInfo, Protocol, Tuple, ZoneDirection};
use netlink_bindings::conntrack::{
    ConntrackAttrs, IterableConntrackAttrs, IterableCounterAttrs, IterableTupleAttrs,
};

fn fixture(name: &str) -> Vec<u8> {
    let path = format!("{}/tests/fixtures/{name}.bin", env!("CARGO_MANIFEST_DIR"));
    std::fs::read(path).expect(name)
}

fn check_tuple(ours: &Tuple, theirs: &IterableTupleAttrs<'_>) {
    let ip = theirs.get_tuple_ip().expect("addresses");
    let src = ip.get_ip_v4_src().map(IpAddr::V4);
    let src = src.or(ip.get_ip_v6_src().map(IpAddr::V6));
    let dst = ip.get_ip_v4_dst().map(IpAddr::V4);
    let dst = dst.or(ip.get_ip_v6_dst().map(IpAddr::V6));
    assert_eq!((Some(ours.src), Some(ours.dst)), (src.ok(), dst.ok()));
    let proto = theirs.get_tuple_proto().expect("a protocol");
    assert_eq!(Some(ours.protocol.0), proto.get_proto_num().ok());
    match ours.l4 {
        L4::None => assert!(proto.get_proto_src_port().is_err()),
        L4::Ports { src, dst }
        | L4::Gre {
            src_key: src,
            dst_key: dst,
        } => {
            assert_eq!(proto.get_proto_src_port().unwrap_or(0), src);
            assert_eq!(proto.get_proto_dst_port().unwrap_or(0), dst);
        }
        L4::Icmp { kind, code, id } if ours.protocol == Protocol::ICMPV6 => {
            assert_eq!(proto.get_proto_icmpv6_type().ok(), Some(kind));
            assert_eq!(proto.get_proto_icmpv6_code().ok(), Some(code));
            assert_eq!(proto.get_proto_icmpv6_id().ok(), Some(id));
        }
        L4::Icmp { kind, code, id } => {
            assert_eq!(proto.get_proto_icmp_type().ok(), Some(kind));
            assert_eq!(proto.get_proto_icmp_code().ok(), Some(code));
            assert_eq!(proto.get_proto_icmp_id().ok(), Some(id));
        }
    }
}

fn counters(theirs: &IterableCounterAttrs<'_>) -> Option<Counters> {
    Some(Counters {
        packets: theirs.get_packets().ok()?,
        bytes: theirs.get_bytes().ok()?,
    })
}

fn check_entry(ours: &Entry, theirs: &IterableConntrackAttrs<'_>) {
    let (orig, reply) = (theirs.get_tuple_orig(), theirs.get_tuple_reply());
    let (orig, reply) = (orig.expect("original"), reply.expect("reply"));
    check_tuple(&ours.orig, &orig);
    check_tuple(&ours.reply, &reply);
    let zone = match ours.zone.direction {
        ZoneDirection::Both => theirs.get_zone(),
        ZoneDirection::Original => orig.get_tuple_zone(),
        ZoneDirection::Reply => reply.get_tuple_zone(),
    };
    assert_eq!(ours.zone.id, zone.unwrap_or(0));
    assert_eq!(ours.id, theirs.get_id().ok());
    assert_eq!(ours.status.map(|s| s.bits()), theirs.get_status().ok());
    assert_eq!(ours.timeout, theirs.get_timeout().ok());
    assert_eq!(ours.mark, theirs.get_mark().ok());
    assert_eq!(ours.use_count, theirs.get_use().ok());
    let both = [
        (ours.counters_orig, theirs.get_counters_orig()),
        (ours.counters_reply, theirs.get_counters_reply()),
    ];
    for (ours, theirs) in both {
        assert_eq!(ours, theirs.ok().and_then(|c| counters(&c)));
    }
    let labels = theirs.get_labels().ok().map(|bytes| {
        let mut bits = [0; 16];
        bits[..bytes.len()].copy_from_slice(bytes);
        Labels::from_bits(u128::from_le_bytes(bits))
    });
    if cfg!(target_endian = "little") {
        assert_eq!(ours.labels, labels);
    }
    let help = theirs.get_help().ok();
    let name = help.as_ref().and_then(|help| help.get_help_name().ok());
    assert_eq!(
        ours.helper.as_deref(),
        name.and_then(|name| name.to_str().ok())
    );
    let protoinfo = theirs.get_protoinfo().ok();
    match ours.protoinfo {
        None => assert!(protoinfo.is_none_or(|p| p.get_protoinfo_tcp().is_err())),
        Some(ProtoInfo::Tcp(ours)) => {
            let tcp = protoinfo
                .and_then(|p| p.get_protoinfo_tcp().ok())
                .expect("TCP");
            assert_eq!(ours.state.map(|s| s.0), tcp.get_tcp_state().ok());
            assert_eq!(ours.wscale_orig, tcp.get_tcp_wscale_original().ok());
            assert_eq!(ours.wscale_reply, tcp.get_tcp_wscale_reply().ok());
        }
        Some(ProtoInfo::Sctp(ours)) => {
            let sctp = protoinfo
                .and_then(|p| p.get_protoinfo_sctp().ok())
                .expect("SCTP");
            assert_eq!(ours.state.map(|s| s.0), sctp.get_sctp_state().ok());
            assert_eq!(ours.vtag_orig, sctp.get_vtag_original().ok());
            assert_eq!(ours.vtag_reply, sctp.get_vtag_reply().ok());
        }
        Some(ProtoInfo::Dccp(_)) => {}
    }
    match (ours.master(), theirs.get_tuple_master().ok()) {
        (Some(ours), Some(theirs)) => check_tuple(ours, &theirs),
        (ours, theirs) => assert!(ours.is_none() && theirs.is_none()),
    }
    let extra = ours.extra.as_deref().cloned().unwrap_or_default();
    if let Some(ours) = extra.seqadj_orig {
        let theirs = theirs.get_seq_adj_orig().expect("adjustment");
        assert_eq!(theirs.get_correction_pos().ok(), Some(ours.correction_pos));
        let before = ours.offset_before.cast_unsigned();
        assert_eq!(theirs.get_offset_before().ok(), Some(before));
    }
    if let Some(ours) = extra.synproxy {
        let theirs = theirs.get_synproxy().expect("a proxy");
        assert_eq!(theirs.get_isn().ok(), Some(ours.isn));
        assert_eq!(theirs.get_tsoff().ok(), Some(ours.tsoff));
    }
}

#[test]
fn both_decoders_agree_on_every_captured_entry() {
    let mut checked = 0;
    for name in ["dump", "events"] {
        let bytes = fixture(name);
        for message in Messages::new(&bytes).flatten() {
            let is_entry = message.header.kind == ct_message(IPCTNL_MSG_CT_NEW)
                || message.header.kind == ct_message(IPCTNL_MSG_CT_DELETE);
            if !is_entry {
                continue;
            }
            let (_, attrs) = message.nfnetlink().expect("nfnetlink");
            let ours = Entry::decode(attrs).expect("an entry");
            let theirs = ConntrackAttrs::new(&message.payload[NfGen::SIZE..]);
            check_entry(&ours, &theirs);
            checked += 1;
        }
    }
    assert_eq!(checked, 24 + 3);
    const { assert!(Header::SIZE == 16) };
}
