use crate::constants::*;
use crate::wire::{Attr, DecodeError, Writer};

macro_rules! states {
    ($(#[$doc:meta])* $name:ident: $($number:literal $constant:ident),+ $(,)?) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(pub u8);

        impl $name {
            $(
                #[doc = concat!("`", stringify!($constant), "`.")]
                pub const $constant: Self = Self($number);
            )+

            /// Every state that the kernel names, in the order of their numbers.
            pub const ALL: &'static [Self] = &[$(Self::$constant),+];

            /// The kernel's name of the state, `None` for a number that it does not name.
            pub const fn name(self) -> Option<&'static str> {
                match self {
                    $(Self::$constant => Some(stringify!($constant)),)+
                    _ => None,
                }
            }

            /// The state of a kernel name, in any case.
            pub fn from_name(text: &str) -> Option<Self> {
                $(if text.eq_ignore_ascii_case(stringify!($constant)) {
                    return Some(Self::$constant);
                })+
                None
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                match self.name() {
                    Some(name) => f.pad(name),
                    None => std::fmt::Display::fmt(&self.0, f),
                }
            }
        }
    };
}

states! {
    /// State of a TCP connection (`enum tcp_conntrack`). It is the firewall's guess from what
    /// passed, not the state of either end.
    TcpState:
    0 NONE, 1 SYN_SENT, 2 SYN_RECV, 3 ESTABLISHED, 4 FIN_WAIT, 5 CLOSE_WAIT, 6 LAST_ACK,
    7 TIME_WAIT, 8 CLOSE, 9 SYN_SENT2,
}

states! {
    /// State of an SCTP association (`enum sctp_conntrack`).
    SctpState:
    0 NONE, 1 CLOSED, 2 COOKIE_WAIT, 3 COOKIE_ECHOED, 4 ESTABLISHED, 5 SHUTDOWN_SENT,
    6 SHUTDOWN_RECD, 7 SHUTDOWN_ACK_SENT, 8 HEARTBEAT_SENT, 9 HEARTBEAT_ACKED,
}

states! {
    /// State of a DCCP connection (`enum ct_dccp_states`). Linux 6.16 stopped tracking DCCP.
    DccpState:
    0 NONE, 1 REQUEST, 2 RESPOND, 3 PARTOPEN, 4 OPEN, 5 CLOSEREQ, 6 CLOSING, 7 TIMEWAIT,
    8 IGNORE, 9 INVALID,
}

/// `struct nf_ct_tcp_flags`: which flags, and which of them the value speaks of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct TcpFlags {
    /// `IP_CT_TCP_FLAG_…` bits: 1 window scaling, 2 selective acknowledgement, 4 close initiated,
    /// 8 be liberal, 16 unacknowledged data, 32 maximum acknowledgement reached, 64 challenge
    /// acknowledgement, 128 simultaneous open.
    pub flags: u8,
    /// Bits that are set when writing; 0 as the kernel sends it.
    pub mask: u8,
}

/// What the kernel knows of a TCP connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TcpInfo {
    /// State.
    pub state: Option<TcpState>,
    /// Window scale of the original direction. Absent in destroy events since Linux 5.11.
    pub wscale_orig: Option<u8>,
    /// Window scale of the reply direction.
    pub wscale_reply: Option<u8>,
    /// Flags of the original direction.
    pub flags_orig: Option<TcpFlags>,
    /// Flags of the reply direction.
    pub flags_reply: Option<TcpFlags>,
}

/// What the kernel knows of an SCTP association.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SctpInfo {
    /// State.
    pub state: Option<SctpState>,
    /// Verification tag of the original direction.
    pub vtag_orig: Option<u32>,
    /// Verification tag of the reply direction.
    pub vtag_reply: Option<u32>,
}

/// What the kernel knows of a DCCP connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DccpInfo {
    /// State.
    pub state: Option<DccpState>,
    /// Role of the original direction's sender: 0 client, 1 server.
    pub role: Option<u8>,
    /// Sequence number of the handshake.
    pub handshake_seq: Option<u64>,
}

/// `CTA_PROTOINFO`: what the kernel knows of a connection beyond its tuples.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProtoInfo {
    /// TCP.
    Tcp(TcpInfo),
    /// SCTP.
    Sctp(SctpInfo),
    /// DCCP.
    Dccp(DccpInfo),
}

impl ProtoInfo {
    /// The kernel's name of the state, if it has one.
    pub fn state_name(&self) -> Option<&'static str> {
        match self {
            Self::Tcp(tcp) => tcp.state.and_then(TcpState::name),
            Self::Sctp(sctp) => sctp.state.and_then(SctpState::name),
            Self::Dccp(dccp) => dccp.state.and_then(DccpState::name),
        }
    }

    /// The same with every flag to be set as it is. The kernel sends flags without the mask by
    /// which it takes them.
    pub(crate) fn to_be_set(mut self) -> Self {
        if let Self::Tcp(tcp) = &mut self {
            for flags in [&mut tcp.flags_orig, &mut tcp.flags_reply] {
                if let Some(flags) = flags {
                    flags.mask = u8::MAX;
                }
            }
        }
        self
    }

    /// Reads `CTA_PROTOINFO`; `None` for a protocol that this version does not know.
    #[inline]
    pub(crate) fn decode(attr: &Attr<'_>) -> Result<Option<Self>, DecodeError> {
        let mut info = None;
        for part in attr.nested() {
            let part = part?;
            info = match part.kind {
                CTA_PROTOINFO_TCP => Some(Self::Tcp(decode_tcp(&part)?)),
                CTA_PROTOINFO_SCTP => Some(Self::Sctp(decode_sctp(&part)?)),
                CTA_PROTOINFO_DCCP => Some(Self::Dccp(decode_dccp(&part)?)),
                _ => info,
            };
        }
        Ok(info)
    }

    pub(crate) fn encode(&self, writer: &mut Writer) {
        writer.nested(CTA_PROTOINFO, |w| match self {
            Self::Tcp(tcp) => w.nested(CTA_PROTOINFO_TCP, |w| encode_tcp(tcp, w)),
            Self::Sctp(sctp) => w.nested(CTA_PROTOINFO_SCTP, |w| encode_sctp(sctp, w)),
            Self::Dccp(dccp) => w.nested(CTA_PROTOINFO_DCCP, |w| encode_dccp(dccp, w)),
        });
    }
}

#[inline]
fn decode_tcp(part: &Attr<'_>) -> Result<TcpInfo, DecodeError> {
    let flags = |attr: &Attr<'_>, field| {
        attr.bytes::<2>(field)
            .map(|[flags, mask]| Some(TcpFlags { flags, mask }))
    };
    let mut tcp = TcpInfo::default();
    for attr in part.nested() {
        let attr = attr?;
        match attr.kind {
            CTA_PROTOINFO_TCP_STATE => {
                tcp.state = Some(TcpState(attr.u8("CTA_PROTOINFO_TCP_STATE")?));
            }
            CTA_PROTOINFO_TCP_WSCALE_ORIGINAL => {
                tcp.wscale_orig = Some(attr.u8("CTA_PROTOINFO_TCP_WSCALE_ORIGINAL")?);
            }
            CTA_PROTOINFO_TCP_WSCALE_REPLY => {
                tcp.wscale_reply = Some(attr.u8("CTA_PROTOINFO_TCP_WSCALE_REPLY")?);
            }
            CTA_PROTOINFO_TCP_FLAGS_ORIGINAL => {
                tcp.flags_orig = flags(&attr, "CTA_PROTOINFO_TCP_FLAGS_ORIGINAL")?;
            }
            CTA_PROTOINFO_TCP_FLAGS_REPLY => {
                tcp.flags_reply = flags(&attr, "CTA_PROTOINFO_TCP_FLAGS_REPLY")?;
            }
            _ => {}
        }
    }
    Ok(tcp)
}

fn decode_sctp(part: &Attr<'_>) -> Result<SctpInfo, DecodeError> {
    let mut sctp = SctpInfo::default();
    for attr in part.nested() {
        let attr = attr?;
        match attr.kind {
            CTA_PROTOINFO_SCTP_STATE => {
                sctp.state = Some(SctpState(attr.u8("CTA_PROTOINFO_SCTP_STATE")?));
            }
            CTA_PROTOINFO_SCTP_VTAG_ORIGINAL => {
                sctp.vtag_orig = Some(attr.be32("CTA_PROTOINFO_SCTP_VTAG_ORIGINAL")?);
            }
            CTA_PROTOINFO_SCTP_VTAG_REPLY => {
                sctp.vtag_reply = Some(attr.be32("CTA_PROTOINFO_SCTP_VTAG_REPLY")?);
            }
            _ => {}
        }
    }
    Ok(sctp)
}

fn decode_dccp(part: &Attr<'_>) -> Result<DccpInfo, DecodeError> {
    let mut dccp = DccpInfo::default();
    for attr in part.nested() {
        let attr = attr?;
        match attr.kind {
            CTA_PROTOINFO_DCCP_STATE => {
                dccp.state = Some(DccpState(attr.u8("CTA_PROTOINFO_DCCP_STATE")?));
            }
            CTA_PROTOINFO_DCCP_ROLE => dccp.role = Some(attr.u8("CTA_PROTOINFO_DCCP_ROLE")?),
            CTA_PROTOINFO_DCCP_HANDSHAKE_SEQ => {
                dccp.handshake_seq = Some(attr.be64("CTA_PROTOINFO_DCCP_HANDSHAKE_SEQ")?);
            }
            _ => {}
        }
    }
    Ok(dccp)
}

fn encode_tcp(tcp: &TcpInfo, w: &mut Writer) {
    let bytes = [
        (CTA_PROTOINFO_TCP_STATE, tcp.state.map(|state| state.0)),
        (CTA_PROTOINFO_TCP_WSCALE_ORIGINAL, tcp.wscale_orig),
        (CTA_PROTOINFO_TCP_WSCALE_REPLY, tcp.wscale_reply),
    ];
    for (kind, value) in bytes {
        value.into_iter().for_each(|value| w.u8(kind, value));
    }
    let flags = [
        (CTA_PROTOINFO_TCP_FLAGS_ORIGINAL, tcp.flags_orig),
        (CTA_PROTOINFO_TCP_FLAGS_REPLY, tcp.flags_reply),
    ];
    for (kind, value) in flags {
        value
            .into_iter()
            .for_each(|value| w.attr(kind, &[value.flags, value.mask]));
    }
}

fn encode_sctp(sctp: &SctpInfo, w: &mut Writer) {
    sctp.state
        .into_iter()
        .for_each(|state| w.u8(CTA_PROTOINFO_SCTP_STATE, state.0));
    sctp.vtag_orig
        .into_iter()
        .for_each(|tag| w.be32(CTA_PROTOINFO_SCTP_VTAG_ORIGINAL, tag));
    sctp.vtag_reply
        .into_iter()
        .for_each(|tag| w.be32(CTA_PROTOINFO_SCTP_VTAG_REPLY, tag));
}

fn encode_dccp(dccp: &DccpInfo, w: &mut Writer) {
    dccp.state
        .into_iter()
        .for_each(|state| w.u8(CTA_PROTOINFO_DCCP_STATE, state.0));
    dccp.role
        .into_iter()
        .for_each(|role| w.u8(CTA_PROTOINFO_DCCP_ROLE, role));
    dccp.handshake_seq
        .into_iter()
        .for_each(|seq| w.attr(CTA_PROTOINFO_DCCP_HANDSHAKE_SEQ, &seq.to_be_bytes()));
}
