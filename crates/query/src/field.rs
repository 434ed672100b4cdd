//! What an entry can be asked for: every field's name, kind and meaning.

use crate::scalar::{BitField, Scalar};

/// What values a field takes, and so which comparisons make sense.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A protocol by name or number.
    Protocol,
    /// `ipv4` or `ipv6`.
    Family,
    /// A state by the kernel's name, of any protocol.
    State,
    /// Addresses, networks, ranges of addresses.
    Address,
    /// Ports by number or service name.
    Port,
    /// A number up to a largest one, decimal or hexadecimal.
    Number(u32),
    /// Bytes: `10MB`, `4KiB`.
    Size,
    /// A number of things: `100`, `5k`.
    Count,
    /// A length of time: `90s`, `2h`.
    Duration,
    /// Bits: names that may be set, numbers, `field & mask == number`.
    Bits(BitField),
    /// Labels by number or name.
    Label,
    /// Text of the kernel's.
    Text,
    /// A part of the mark that has names.
    Mark(MarkPart),
}

/// A part of the mark that the configuration gives names to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum MarkPart {
    /// Uplink.
    Provider,
    /// Application.
    App,
    /// Traffic class.
    Prio,
}

macro_rules! fields {
    ($($(#[doc = $doc:literal])+ $field:ident $names:expr, $kind:expr, $example:literal;)+) => {
        /// A field of an entry, or something derived from several.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Field {
            $($(#[doc = $doc])+ $field,)+
        }

        impl Field {
            /// Every field, in the order of the documentation.
            pub const ALL: &'static [Self] = &[$(Self::$field),+];

            /// Its names, the usual one first.
            pub const fn names(self) -> &'static [&'static str] {
                match self { $(Self::$field => &$names,)+ }
            }

            /// What values it takes.
            pub const fn kind(self) -> Kind {
                match self { $(Self::$field => $kind,)+ }
            }

            /// What it is, one sentence.
            pub const fn meaning(self) -> &'static str {
                match self { $(Self::$field => concat!($($doc),+).trim_ascii(),)+ }
            }

            /// A query with it.
            pub const fn example(self) -> &'static str {
                match self { $(Self::$field => $example,)+ }
            }
        }
    };
}

fields! {
    /// Protocol by name or number.
    Protocol ["proto", "protocol"], Kind::Protocol, "proto in {tcp, udp}";
    /// Address family.
    Family ["family"], Kind::Family, "family == ipv6";
    /// State of the connection, by the kernel's name; of TCP, SCTP and DCCP.
    State ["state"], Kind::State, "state in {SYN_SENT, SYN_RECV}";
    /// Source as opened.
    Src ["src", "orig.src"], Kind::Address, "src in 10.0.0.0/8";
    /// Destination as the opener sent it.
    Dst ["dst", "orig.dst"], Kind::Address, "dst == 192.0.2.1";
    /// Source of the answers: the true other end, whatever NAT shows to the opener.
    Peer ["peer", "reply.src"], Kind::Address, "peer in 10.1.0.0/16";
    /// Destination of the answers: the address that the other end sees.
    ReplyDst ["reply.dst"], Kind::Address, "reply.dst == 203.0.113.5";
    /// Any of the four addresses.
    Host ["host", "net"], Kind::Address, "net 2001:db8::/32";
    /// Source port as opened.
    Sport ["sport", "orig.sport"], Kind::Port, "sport >= 1024";
    /// Destination port as the opener sent it.
    Dport ["dport", "orig.dport"], Kind::Port, "dport in {80, 443, 8000-8999}";
    /// Port of the true other end.
    PeerPort ["peer.port", "reply.sport"], Kind::Port, "peer.port == 8080";
    /// Destination port of the answers.
    ReplyDport ["reply.dport"], Kind::Port, "reply.dport == 40000";
    /// Any of the four ports.
    Port ["port"], Kind::Port, "port == domain";
    /// ICMP or ICMPv6 type, as opened.
    IcmpType ["icmp.type"], Kind::Number(255), "icmp.type == 8";
    /// ICMP or ICMPv6 code, as opened.
    IcmpCode ["icmp.code"], Kind::Number(255), "icmp.code == 0";
    /// ICMP or ICMPv6 identifier, as opened.
    IcmpId ["icmp.id"], Kind::Number(65_535), "icmp.id == 4711";
    /// GRE key of either direction (PPTP).
    GreKey ["gre.key"], Kind::Number(65_535), "gre.key == 0x1a";
    /// Bytes of both directions.
    Bytes ["bytes"], Kind::Size, "bytes > 10MB";
    /// Bytes of the original direction.
    BytesOrig ["bytes.orig"], Kind::Size, "bytes.orig > 1GiB";
    /// Bytes of the reply direction.
    BytesReply ["bytes.reply"], Kind::Size, "bytes.reply == 0";
    /// Packets of both directions.
    Packets ["packets"], Kind::Count, "packets > 5k";
    /// Packets of the original direction.
    PacketsOrig ["packets.orig"], Kind::Count, "packets.orig == 1";
    /// Packets of the reply direction.
    PacketsReply ["packets.reply"], Kind::Count, "packets.reply < 10";
    /// Time since the connection began.
    Age ["age"], Kind::Duration, "age > 2h";
    /// Time until the entry is dropped if no packet comes.
    Timeout ["timeout"], Kind::Duration, "timeout < 30s";
    /// Mark.
    Mark ["mark"], Kind::Bits(BitField::Mark), "mark & 0xff == 3";
    /// Uplink, from the mark, by its configured name or number.
    Provider ["provider"], Kind::Mark(MarkPart::Provider), "provider == \"wan1\"";
    /// Application, from the mark, by its name or number.
    App ["app", "ndpi"], Kind::Mark(MarkPart::App), "app in {\"DNS\", \"NTP\"}";
    /// Traffic class, from the mark, by its name or number.
    Prio ["prio"], Kind::Mark(MarkPart::Prio), "prio == high";
    /// Status bits by the kernel's name; `==` asks whether the bit is set.
    Status ["status"], Kind::Bits(BitField::Status), "status in {EXPECTED, DYING}";
    /// Zone.
    Zone ["zone"], Kind::Number(65_535), "zone == 7";
    /// Labels by number or name; `==` asks whether the label is set.
    Label ["label"], Kind::Label, "label in {3, 17}";
    /// Name of the helper at work.
    Helper ["helper"], Kind::Text, "helper == ftp";
    /// Flags that the kernel keeps of TCP, of either direction.
    TcpFlags ["tcp.flags"], Kind::Bits(BitField::TcpFlags), "tcp.flags == CLOSE_INIT";
    /// Flags that the kernel keeps of TCP's original direction.
    TcpFlagsOrig ["tcp.flags.orig"], Kind::Bits(BitField::TcpFlagsOrig), "tcp.flags.orig & 0x9 == 1";
    /// Flags that the kernel keeps of TCP's reply direction.
    TcpFlagsReply ["tcp.flags.reply"], Kind::Bits(BitField::TcpFlagsReply), "tcp.flags.reply == BE_LIBERAL";
    /// TCP window scale of the original direction.
    TcpWscaleOrig ["tcp.wscale.orig"], Kind::Number(14), "tcp.wscale.orig > 7";
    /// TCP window scale of the reply direction.
    TcpWscaleReply ["tcp.wscale.reply"], Kind::Number(14), "tcp.wscale.reply == 0";
    /// SCTP verification tag of the original direction.
    SctpVtagOrig ["sctp.vtag.orig"], Kind::Number(u32::MAX), "sctp.vtag.orig == 0xcafe";
    /// SCTP verification tag of the reply direction.
    SctpVtagReply ["sctp.vtag.reply"], Kind::Number(u32::MAX), "sctp.vtag.reply == 0";
    /// DCCP role of the original direction's sender: 0 client, 1 server.
    DccpRole ["dccp.role"], Kind::Number(1), "dccp.role == 0";
    /// Source of the connection that expected this one.
    MasterSrc ["master.src"], Kind::Address, "master.src == 10.0.0.5";
    /// Destination of the connection that expected this one.
    MasterDst ["master.dst"], Kind::Address, "master.dst in 192.0.2.0/24";
    /// Id: a hash that stands for the entry while it lives.
    Id ["id"], Kind::Number(u32::MAX), "id == 1193165254";
    /// References to the entry in the kernel.
    Use ["use"], Kind::Number(u32::MAX), "use > 1";
    /// Security mark.
    Secmark ["secmark"], Kind::Number(u32::MAX), "secmark == 0";
    /// Security context (SELinux).
    Secctx ["secctx"], Kind::Text, "secctx ~ \"*httpd*\"";
}

impl Field {
    /// The field of a name, in any case.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL
            .iter()
            .copied()
            .find(|field| field.names().iter().any(|n| n.eq_ignore_ascii_case(name)))
    }

    /// Its usual name.
    pub const fn name(self) -> &'static str {
        match self.names() {
            [name, ..] => name,
            [] => "",
        }
    }

    /// What is looked at: a comparison holds if it does for any of them. Empty for fields that are
    /// no numbers.
    pub(crate) const fn scalars(self) -> &'static [Scalar] {
        match self {
            Self::Protocol => &[Scalar::Protocol],
            Self::Family => &[Scalar::Family],
            Self::State => &[Scalar::State],
            Self::Src => &[Scalar::Src],
            Self::Dst => &[Scalar::Dst],
            Self::Peer => &[Scalar::ReplySrc],
            Self::ReplyDst => &[Scalar::ReplyDst],
            Self::Host => &[Scalar::Src, Scalar::Dst, Scalar::ReplySrc, Scalar::ReplyDst],
            Self::Sport => &[Scalar::SrcPort],
            Self::Dport => &[Scalar::DstPort],
            Self::PeerPort => &[Scalar::ReplySrcPort],
            Self::ReplyDport => &[Scalar::ReplyDstPort],
            Self::Port => &[
                Scalar::SrcPort,
                Scalar::DstPort,
                Scalar::ReplySrcPort,
                Scalar::ReplyDstPort,
            ],
            Self::IcmpType => &[Scalar::IcmpType],
            Self::IcmpCode => &[Scalar::IcmpCode],
            Self::IcmpId => &[Scalar::IcmpId],
            Self::GreKey => &[Scalar::GreSrcKey, Scalar::GreDstKey],
            Self::Bytes => &[Scalar::Bytes],
            Self::BytesOrig => &[Scalar::BytesOrig],
            Self::BytesReply => &[Scalar::BytesReply],
            Self::Packets => &[Scalar::Packets],
            Self::PacketsOrig => &[Scalar::PacketsOrig],
            Self::PacketsReply => &[Scalar::PacketsReply],
            Self::Age => &[Scalar::Age],
            Self::Timeout => &[Scalar::Timeout],
            Self::Zone => &[Scalar::Zone],
            Self::TcpWscaleOrig => &[Scalar::TcpWscaleOrig],
            Self::TcpWscaleReply => &[Scalar::TcpWscaleReply],
            Self::SctpVtagOrig => &[Scalar::SctpVtagOrig],
            Self::SctpVtagReply => &[Scalar::SctpVtagReply],
            Self::DccpRole => &[Scalar::DccpRole],
            Self::MasterSrc => &[Scalar::MasterSrc],
            Self::MasterDst => &[Scalar::MasterDst],
            Self::Id => &[Scalar::Id],
            Self::Use => &[Scalar::Use],
            Self::Secmark => &[Scalar::Secmark],
            Self::Mark
            | Self::Status
            | Self::TcpFlags
            | Self::TcpFlagsOrig
            | Self::TcpFlagsReply
            | Self::Provider
            | Self::App
            | Self::Prio
            | Self::Label
            | Self::Helper
            | Self::Secctx => &[],
        }
    }
}

macro_rules! flags {
    ($($(#[doc = $doc:literal])+ $flag:ident $name:literal;)+) => {
        /// A word that is true or not of an entry by itself.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Flag {
            $($(#[doc = $doc])+ $flag,)+
        }

        impl Flag {
            /// Every flag.
            pub const ALL: &'static [Self] = &[$(Self::$flag),+];

            /// Its name.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$flag => $name,)+ }
            }

            /// When it holds, one sentence.
            pub const fn meaning(self) -> &'static str {
                match self { $(Self::$flag => concat!($($doc),+).trim_ascii(),)+ }
            }
        }
    };
}

flags! {
    /// Addresses or ports are translated.
    Nat "nat";
    /// The source is translated.
    Snat "snat";
    /// The destination is translated.
    Dnat "dnat";
    /// Packets were seen in both directions long enough: never evicted early.
    Assured "assured";
    /// No answer was seen.
    Unreplied "unreplied";
    /// Forwarded by a flow table, in software or hardware: counters and timeout stand still.
    Offloaded "offloaded";
    /// One end is this machine itself: it opened the connection or is the true other end.
    Local "local";
    /// A helper expected it (the data connection of FTP, the voice of SIP).
    Expected "expected";
    /// It is being removed.
    Dying "dying";
    /// TCP.
    Tcp "tcp";
    /// UDP.
    Udp "udp";
    /// ICMP of IPv4.
    Icmp "icmp";
    /// ICMPv6.
    Icmpv6 "icmpv6";
    /// SCTP.
    Sctp "sctp";
    /// DCCP.
    Dccp "dccp";
    /// GRE.
    Gre "gre";
    /// UDP-Lite.
    Udplite "udplite";
    /// IPv4.
    Ipv4 "ipv4";
    /// IPv6.
    Ipv6 "ipv6";
}

impl Flag {
    /// The flag of a name, in any case.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL
            .iter()
            .copied()
            .find(|flag| flag.name().eq_ignore_ascii_case(name))
    }
}
