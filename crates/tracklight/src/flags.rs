//! Flags that several subcommands share: which entries, which tuple.

use std::net::IpAddr;

use clap::{Args, ValueEnum};
use ctnetlink::{
    Client, Direction, Family, HelperName, Key, L4, Labels, Namespace, Protocol, Tuple, Zone,
};
use engine::Failure;
use engine::select::{
    Mark, Nat, Ports, Selection, Side, StateName, StatusIs, parse_family, parse_net, parse_protocol,
};
use ipnet::IpNet;

use crate::cli::Global;

/// Opens the table that the global flags name.
pub(crate) fn open(global: &Global) -> Result<Client, Failure> {
    match &global.netns {
        None => Ok(Client::open()?),
        Some(name) => Ok(Client::open_in(&Namespace::parse(name)?)?),
    }
}

/// Which entries. Values in a list are alternatives; all flags must hold.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Which entries")]
pub(crate) struct FilterArgs {
    /// Protocol by name or number: tcp,udp
    #[arg(short, long = "proto", visible_alias = "protocol", value_name = "PROTO,…",
          value_delimiter = ',', value_parser = parse_protocol)]
    protocols: Vec<Protocol>,
    /// Source address or network: 10.0.0.5 or 10.0.0.0/8
    #[arg(short, long, value_name = "NET,…", value_delimiter = ',', value_parser = parse_net)]
    src: Vec<IpNet>,
    /// Destination address or network, as the opener sent it
    #[arg(short, long, value_name = "NET,…", value_delimiter = ',', value_parser = parse_net)]
    dst: Vec<IpNet>,
    /// Source port or range: 1024-65535
    #[arg(long, value_name = "PORTS,…", value_delimiter = ',')]
    sport: Vec<Ports>,
    /// Destination port or range: 443 or 8000-8999
    #[arg(long, value_name = "PORTS,…", value_delimiter = ',')]
    dport: Vec<Ports>,
    /// Source of the reply: the true other end
    #[arg(long, value_name = "NET,…", value_delimiter = ',', value_parser = parse_net)]
    reply_src: Vec<IpNet>,
    /// Destination of the reply: the address that the other end sees
    #[arg(long, value_name = "NET,…", value_delimiter = ',', value_parser = parse_net)]
    reply_dst: Vec<IpNet>,
    /// Source port of the reply
    #[arg(long, value_name = "PORTS,…", value_delimiter = ',')]
    reply_sport: Vec<Ports>,
    /// Destination port of the reply
    #[arg(long, value_name = "PORTS,…", value_delimiter = ',')]
    reply_dport: Vec<Ports>,
    /// State: ESTABLISHED,TIME_WAIT
    #[arg(long = "state", value_name = "STATE,…", value_delimiter = ',')]
    states: Vec<StateName>,
    /// Status bits, all of them: ASSURED,!OFFLOAD or UNREPLIED
    #[arg(long, value_name = "STATUS,…", value_delimiter = ',')]
    status: Vec<StatusIs>,
    /// Mark, with a mask if need be: 0x10 or 0x10/0xff
    #[arg(
        short,
        long = "mark",
        value_name = "MARK[/MASK],…",
        value_delimiter = ','
    )]
    marks: Vec<Mark>,
    /// Zone
    #[arg(
        short = 'w',
        long = "zone",
        value_name = "ZONE,…",
        value_delimiter = ','
    )]
    zones: Vec<u16>,
    /// Address family: ipv4 or ipv6
    #[arg(short, long, value_name = "FAMILY", value_parser = parse_family)]
    family: Option<Family>,
    /// Translated connections: any, src, dst or none
    #[arg(long, value_name = "KIND", num_args = 0..=1, default_missing_value = "any",
          require_equals = true)]
    nat: Option<NatKind>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum NatKind {
    /// Source, destination or both
    Any,
    /// Source
    Src,
    /// Destination
    Dst,
    /// Not translated
    None,
}

impl FilterArgs {
    /// What the flags select.
    pub(crate) fn selection(&self) -> Selection {
        Selection {
            family: self.family,
            protocols: self.protocols.clone(),
            orig: Side {
                src: self.src.clone(),
                dst: self.dst.clone(),
                src_port: self.sport.clone(),
                dst_port: self.dport.clone(),
            },
            reply: Side {
                src: self.reply_src.clone(),
                dst: self.reply_dst.clone(),
                src_port: self.reply_sport.clone(),
                dst_port: self.reply_dport.clone(),
            },
            states: self.states.clone(),
            status: self.status.clone(),
            marks: self.marks.clone(),
            zones: self.zones.clone(),
            nat: self.nat.map(|kind| match kind {
                NatKind::Any => Nat::Any,
                NatKind::Src => Nat::Source,
                NatKind::Dst => Nat::Destination,
                NatKind::None => Nat::None,
            }),
        }
    }
}

/// The tuples and zone of one entry.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "The entry")]
pub(crate) struct TupleArgs {
    /// Protocol by name or number
    #[arg(short, long = "proto", visible_alias = "protocol", value_name = "PROTO",
          value_parser = parse_protocol)]
    pub(crate) protocol: Protocol,
    /// Source address
    #[arg(short, long, value_name = "ADDRESS")]
    pub(crate) src: IpAddr,
    /// Destination address
    #[arg(short, long, value_name = "ADDRESS")]
    pub(crate) dst: IpAddr,
    /// Source port (GRE: key)
    #[arg(long, value_name = "PORT")]
    pub(crate) sport: Option<u16>,
    /// Destination port (GRE: key)
    #[arg(long, value_name = "PORT")]
    pub(crate) dport: Option<u16>,
    /// ICMP type
    #[arg(long, value_name = "TYPE")]
    pub(crate) icmp_type: Option<u8>,
    /// ICMP code
    #[arg(long, value_name = "CODE", default_value_t = 0)]
    pub(crate) icmp_code: u8,
    /// ICMP identifier
    #[arg(long, value_name = "ID", default_value_t = 0)]
    pub(crate) icmp_id: u16,
    /// Zone
    #[arg(short = 'w', long, value_name = "ZONE", default_value_t = 0)]
    pub(crate) zone: u16,
}

impl TupleArgs {
    /// The tuple that the flags name.
    pub(crate) fn tuple(&self) -> Result<Tuple, Failure> {
        if self.src.is_ipv4() != self.dst.is_ipv4() {
            return Err(usage(
                format!("{} and {} are of different families", self.src, self.dst),
                "give two IPv4 or two IPv6 addresses",
            ));
        }
        let ports = || match (self.sport, self.dport) {
            (Some(src), Some(dst)) => Ok((src, dst)),
            _ => Err(usage(
                format!("{} needs --sport and --dport", self.protocol),
                "see: tracklight list --columns proto,src,sport,dst,dport",
            )),
        };
        let l4 = match self.protocol {
            Protocol::ICMP | Protocol::ICMPV6 => {
                let kind = self.icmp_type.ok_or_else(|| {
                    usage(
                        format!("{} needs --icmp-type", self.protocol),
                        "an echo request is 8, of ICMPv6 128",
                    )
                })?;
                L4::Icmp {
                    kind,
                    code: self.icmp_code,
                    id: self.icmp_id,
                }
            }
            Protocol::GRE => {
                let (src_key, dst_key) = ports()?;
                L4::Gre { src_key, dst_key }
            }
            protocol if protocol.has_ports() => {
                let (src, dst) = ports()?;
                L4::Ports { src, dst }
            }
            _ => L4::None,
        };
        Ok(Tuple {
            src: self.src,
            dst: self.dst,
            protocol: self.protocol,
            l4,
        })
    }

    /// The key that the flags name, by the tuple of one direction.
    pub(crate) fn key(&self, direction: Direction) -> Result<Key, Failure> {
        Ok(Key {
            tuple: self.tuple()?,
            direction,
            zone: Zone::new(self.zone),
            id: None,
        })
    }
}

/// Reads a helper's name.
pub(crate) fn parse_helper(text: &str) -> Result<HelperName, String> {
    HelperName::from(text).map_err(|_| "a helper's name has at most 15 bytes".to_owned())
}

/// Reads label numbers: `3,17`.
pub(crate) fn parse_label(text: &str) -> Result<u8, String> {
    text.parse()
        .ok()
        .filter(|&number| number < 128)
        .ok_or_else(|| {
            "expected the number of a label, 0 to 127 (connlabel.conf gives their names)".to_owned()
        })
}

/// A set of labels.
pub(crate) fn labels(numbers: &[u8]) -> Labels {
    Labels::from_bits(numbers.iter().fold(0, |bits, &number| bits | 1 << number))
}

/// A usage error.
pub(crate) fn usage(message: impl Into<String>, hint: &str) -> Failure {
    Failure::new("usage", message, hint)
}
