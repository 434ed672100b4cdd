//! `tracklight expect`.

use std::net::IpAddr;

use clap::Subcommand;
use ctnetlink::{
    Expectation, ExpectationFlags, ExpectationKey, Family, HelperName, L4, NewExpectation,
    Protocol, Tuple,
};
use engine::Failure;
use engine::render::json;

use crate::cli::Global;
use crate::exit::Outcome;
use crate::flags::{TupleArgs, open, usage};
use crate::listing::{self, Format, OutputArgs};
use crate::values::{parse_family, parse_helper, parse_protocol};

/// Flags of `tracklight expect`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    verb: Option<Verb>,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// List expectations (also without a verb)
    List {
        /// Only those of one family
        #[arg(short, long, value_parser = parse_family)]
        family: Option<Family>,
        #[command(flatten)]
        output: OutputArgs,
    },
    /// Show one
    Get(TupleArgs),
    /// Make one; its master must exist and have a helper
    Create(CreateArgs),
    /// Delete one
    Delete(TupleArgs),
    /// Delete all
    Flush,
}

#[derive(Debug, clap::Args)]
struct CreateArgs {
    #[command(flatten)]
    tuple: TupleArgs,
    /// Bits of the source address that count
    #[arg(long, value_name = "ADDRESS")]
    mask_src: Option<IpAddr>,
    /// Bits of the destination address that count
    #[arg(long, value_name = "ADDRESS")]
    mask_dst: Option<IpAddr>,
    /// Bits of the source port that count
    #[arg(long, value_name = "BITS", default_value_t = 0)]
    mask_sport: u16,
    /// Bits of the destination port that count
    #[arg(long, value_name = "BITS", default_value_t = u16::MAX)]
    mask_dport: u16,
    /// The master's protocol
    #[arg(long, value_name = "PROTO", default_value = "tcp", value_parser = parse_protocol)]
    master_proto: Protocol,
    /// The master's source address
    #[arg(long, value_name = "ADDRESS")]
    master_src: IpAddr,
    /// The master's destination address
    #[arg(long, value_name = "ADDRESS")]
    master_dst: IpAddr,
    /// The master's source port
    #[arg(long, value_name = "PORT")]
    master_sport: u16,
    /// The master's destination port
    #[arg(long, value_name = "PORT")]
    master_dport: u16,
    /// Seconds until it is forgotten
    #[arg(short, long, value_name = "SECONDS")]
    timeout: u32,
    /// It stays after the first connection
    #[arg(long)]
    permanent: bool,
    /// Helper of the connection to come
    #[arg(long, value_name = "NAME", value_parser = parse_helper)]
    helper: Option<HelperName>,
}

/// `tracklight expect`.
pub(crate) fn run(args: &Args, global: &Global) -> Result<Outcome, Failure> {
    let client = open(global)?;
    match &args.verb {
        None => list(&client.expectations(None)?, Format::Text),
        Some(Verb::List { family, output }) => list(&client.expectations(*family)?, output.format),
        Some(Verb::Get(tuple)) => list(&[client.expectation(&key(tuple)?)?], Format::Text),
        Some(Verb::Create(create)) => {
            client.create_expectation(new(create)?)?;
            Ok(Outcome::Done)
        }
        Some(Verb::Delete(tuple)) => {
            client.delete_expectation(key(tuple)?)?;
            Ok(Outcome::Done)
        }
        Some(Verb::Flush) => {
            client.flush_expectations()?;
            Ok(Outcome::Done)
        }
    }
}

fn list(expectations: &[Expectation], format: Format) -> Result<Outcome, Failure> {
    listing::print(
        expectations,
        format,
        describe,
        json::write_expectation,
        "no expectations",
    )
}

/// One line: what is expected, of whom, how long.
pub(crate) fn describe(expectation: &Expectation) -> String {
    let end = |address: IpAddr, port: Option<u16>, mask: Option<u16>| match port {
        Some(_) if mask == Some(0) => format!("{address} any port"),
        Some(port) => format!("{address} port {port}"),
        None => address.to_string(),
    };
    let (tuple, mask) = (&expectation.tuple, &expectation.mask);
    let mut text = format!(
        "{} {} → {}, of {} → {}",
        tuple.protocol,
        end(tuple.src, tuple.src_port(), mask.src_port()),
        end(tuple.dst, tuple.dst_port(), mask.dst_port()),
        end(expectation.master.src, expectation.master.src_port(), None),
        end(expectation.master.dst, expectation.master.dst_port(), None),
    );
    if let Some(helper) = &expectation.helper {
        text += &format!(", helper {helper}");
    }
    if let Some(timeout) = expectation.timeout {
        text += &format!(", {timeout}s left");
    }
    let flags = expectation.flags.unwrap_or_default();
    for (name, _) in flags.iter_names() {
        text += &format!(" {name}");
    }
    text
}

fn key(args: &TupleArgs) -> Result<ExpectationKey, Failure> {
    Ok(ExpectationKey {
        tuple: args.tuple()?,
        zone: args.zone,
        id: None,
    })
}

fn new(args: &CreateArgs) -> Result<NewExpectation, Failure> {
    let master = Tuple::ports(
        args.master_proto,
        args.master_src,
        args.master_sport,
        args.master_dst,
        args.master_dport,
    );
    let mut new = NewExpectation::new(args.tuple.tuple()?, master, args.timeout);
    if let L4::Ports { src, dst } = &mut new.mask.l4 {
        (*src, *dst) = (args.mask_sport, args.mask_dport);
    }
    new.mask.src = args.mask_src.unwrap_or(new.mask.src);
    new.mask.dst = args.mask_dst.unwrap_or(new.mask.dst);
    if !new.is_of_one_family() {
        return Err(usage(
            "masks and master are of another family than the expectation",
            "give all addresses in IPv4 or all in IPv6",
        ));
    }
    new.zone = args.tuple.zone;
    if args.permanent {
        new.flags = ExpectationFlags::PERMANENT;
    }
    new.helper = args.helper;
    Ok(new)
}
