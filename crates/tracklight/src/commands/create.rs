//! `tracklight create`.

use std::net::IpAddr;

use ctnetlink::{
    HelperName, L4, NatRange, NewEntry, ProtoInfo, Protocol, SctpInfo, SctpState, Status, TcpInfo,
    TcpState, Zone,
};
use engine::Failure;

use crate::cli::Global;
use crate::exit::Outcome;
use crate::flags::{TupleArgs, open, usage};
use crate::values::{StatusIs, labels, parse_helper, parse_label, parse_u32};

/// Flags of `tracklight create`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    tuple: TupleArgs,
    /// Seconds until it is dropped if no packet comes
    #[arg(short, long, value_name = "SECONDS")]
    timeout: u32,
    /// Source of the reply, where it is not the destination
    #[arg(long, value_name = "ADDRESS")]
    reply_src: Option<IpAddr>,
    /// Destination of the reply, where it is not the source
    #[arg(long, value_name = "ADDRESS")]
    reply_dst: Option<IpAddr>,
    /// Source port of the reply
    #[arg(long, value_name = "PORT")]
    reply_sport: Option<u16>,
    /// Destination port of the reply
    #[arg(long, value_name = "PORT")]
    reply_dport: Option<u16>,
    /// Let the kernel translate the source to this address
    #[arg(long, value_name = "ADDRESS", conflicts_with_all = ["reply_src", "reply_dst"])]
    nat_src: Option<IpAddr>,
    /// Let the kernel translate the destination to this address
    #[arg(long, value_name = "ADDRESS", conflicts_with_all = ["reply_src", "reply_dst"])]
    nat_dst: Option<IpAddr>,
    /// State of TCP or SCTP
    #[arg(long, value_name = "STATE")]
    state: Option<String>,
    /// Status bits: SEEN_REPLY,ASSURED
    #[arg(long, value_name = "STATUS,…", value_delimiter = ',')]
    status: Vec<StatusIs>,
    /// Mark
    #[arg(short, long, value_name = "MARK", value_parser = parse_u32)]
    mark: Option<u32>,
    /// Numbers of labels to set
    #[arg(long, value_name = "LABEL,…", value_delimiter = ',', value_parser = parse_label)]
    labels: Vec<u8>,
    /// Helper, such as ftp
    #[arg(long, value_name = "NAME", value_parser = parse_helper)]
    helper: Option<HelperName>,
}

/// `tracklight create`.
pub(crate) fn run(args: &Args, global: &Global) -> Result<Outcome, Failure> {
    let mut new = NewEntry::new(args.tuple.tuple()?, args.timeout);
    new.zone = Zone::new(args.tuple.zone);
    new.reply.src = args.reply_src.unwrap_or(new.reply.src);
    new.reply.dst = args.reply_dst.unwrap_or(new.reply.dst);
    if let L4::Ports { src, dst }
    | L4::Gre {
        src_key: src,
        dst_key: dst,
    } = &mut new.reply.l4
    {
        *src = args.reply_sport.unwrap_or(*src);
        *dst = args.reply_dport.unwrap_or(*dst);
    }
    check(args, &new)?;
    new.nat_src = args.nat_src.map(NatRange::to);
    new.nat_dst = args.nat_dst.map(NatRange::to);
    new.status = args
        .status
        .iter()
        .filter(|status| status.set)
        .fold(Status::empty(), |all, status| all | status.bit);
    new.protoinfo = protoinfo(args.tuple.protocol, args.state.as_deref())?;
    new.mark = args.mark;
    new.labels = (!args.labels.is_empty()).then(|| labels(&args.labels));
    new.helper = args.helper;
    open(global)?.create(new)?;
    Ok(Outcome::Done)
}

/// What the kernel would pass over in silence.
fn check(args: &Args, new: &NewEntry) -> Result<(), Failure> {
    let addresses = [new.reply.src, new.reply.dst]
        .into_iter()
        .chain(args.nat_src)
        .chain(args.nat_dst);
    if addresses
        .into_iter()
        .any(|address| address.is_ipv4() != new.orig.src.is_ipv4())
    {
        return Err(usage(
            "an address is of another family than the source and destination",
            "give all addresses in IPv4 or all in IPv6",
        ));
    }
    if args.status.iter().any(|status| !status.set) {
        return Err(usage(
            "a new entry has no status to be cleared",
            "leave out what has a !",
        ));
    }
    let has_ports = matches!(new.orig.l4, L4::Ports { .. } | L4::Gre { .. });
    if !has_ports && (args.reply_sport.is_some() || args.reply_dport.is_some()) {
        return Err(usage(
            format!("{} has no ports", new.orig.protocol),
            "leave out --reply-sport and --reply-dport",
        ));
    }
    let of_family = match new.orig.protocol {
        Protocol::ICMP => new.orig.src.is_ipv4(),
        Protocol::ICMPV6 => new.orig.src.is_ipv6(),
        _ => true,
    };
    if !of_family {
        return Err(usage(
            format!("{} does not go with {}", new.orig.protocol, new.orig.src),
            "icmp goes with IPv4, icmpv6 with IPv6",
        ));
    }
    Ok(())
}

/// The state, for the protocols that have one. A TCP entry without one would be in state `NONE`,
/// which no connection has, so it is established.
fn protoinfo(protocol: Protocol, state: Option<&str>) -> Result<Option<ProtoInfo>, Failure> {
    let unknown = |state: &str| {
        usage(
            format!("{protocol} has no state {state}"),
            "see: tracklight protocols",
        )
    };
    match (protocol, state) {
        (Protocol::TCP, state) => {
            let state = match state {
                Some(name) => TcpState::from_name(name).ok_or_else(|| unknown(name))?,
                None => TcpState::ESTABLISHED,
            };
            Ok(Some(ProtoInfo::Tcp(TcpInfo {
                state: Some(state),
                ..TcpInfo::default()
            })))
        }
        (Protocol::SCTP, Some(name)) => {
            let state = SctpState::from_name(name).ok_or_else(|| unknown(name))?;
            let info = SctpInfo {
                state: Some(state),
                vtag_orig: Some(0),
                vtag_reply: Some(0),
            };
            Ok(Some(ProtoInfo::Sctp(info)))
        }
        (_, Some(name)) => Err(unknown(name)),
        (_, None) => Ok(None),
    }
}
