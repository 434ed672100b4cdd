//! `tracklight timeout`: times to live that rules give to connections, as nfct(8) makes them.

use std::ffi::{OsStr, OsString};

use ctnetlink::{Client, ErrorKind, Protocol, TimeoutPolicy};
use engine::Failure;
use engine::render::json::write_timeout_policy;

use super::helper::without_module;
use crate::cli::Global;
use crate::exit::Outcome;
use crate::flags::{open, usage};
use crate::listing::{self, Format, OutputArgs};
use crate::values::{FamilyParser, family_word, parse_protocol};
use crate::word::{operand, quoted};

/// Flags of `tracklight timeout`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// List timeout policies
    List(OutputArgs),
    /// Make one: `add web inet tcp established=1h close=10s`; times not said are the namespace's own
    Add(New),
    /// Show one
    Get {
        #[command(flatten)]
        name: Name,
        #[command(flatten)]
        output: OutputArgs,
    },
    /// Delete one that no rule uses
    Delete(Name),
    /// Show the namespace's own times of a protocol, or set some of them: `default inet udp replied=60s`
    Default {
        #[command(flatten)]
        own: Own,
        #[command(flatten)]
        output: OutputArgs,
    },
}

#[derive(Debug, clap::Args)]
struct Name {
    /// Its name
    name: OsString,
}

#[derive(Debug, clap::Args)]
struct New {
    /// Its name, by which rules use it: at most 31 bytes
    name: OsString,
    #[command(flatten)]
    own: Own,
}

#[derive(Debug, clap::Args)]
struct Own {
    /// Family; another than these by the kernel's number
    #[arg(value_parser = FamilyParser)]
    family: u16,
    /// Protocol by name or number; `generic` is all that are tracked by address only
    #[arg(value_parser = parse_timed)]
    protocol: Protocol,
    /// STATE=TIME, or STATE and TIME as two words; a time is seconds, or has a unit: 90s, 5m, 2h. A
    /// word that begins with # ends them
    #[arg(value_name = "STATE=TIME")]
    times: Vec<String>,
}

/// `tracklight timeout`.
pub(crate) fn run(args: &Args, global: &Global) -> Result<Outcome, Failure> {
    let client = open(global)?;
    match &args.action {
        Action::List(output) => {
            let policies = client.timeout_policies().map_err(told)?;
            listing::print(
                &policies,
                output.format,
                line,
                write_timeout_policy,
                "no timeout policies",
            )
        }
        Action::Get { name, output } => get(&client, &name.name, *output),
        Action::Delete(Name { name }) => {
            check_length(name)?;
            client
                .delete_timeout_policy(name)
                .map_err(|error| told_of(error, name))?;
            Ok(Outcome::Done)
        }
        Action::Add(New { name, own }) => add(&client, name, own),
        Action::Default { own, output } if own.times.is_empty() => {
            let found = client
                .default_timeouts(own.family, own.protocol)
                .map_err(|error| told_of_protocol(error, own.protocol))?;
            show(found, *output, "the kernel did not say them")
        }
        Action::Default { own, output } => {
            if output.format != Format::Text {
                return Err(Failure::new(
                    "usage",
                    "-o says how times are shown, and these are set",
                    "leave out -o, or the times",
                ));
            }
            set_default(&client, own)
        }
    }
}

fn get(client: &Client, name: &OsStr, output: OutputArgs) -> Result<Outcome, Failure> {
    check_length(name)?;
    let found = client
        .timeout_policy(name)
        .map_err(|error| told_of(error, name))?;
    show(found, output, "no such policy")
}

fn add(client: &Client, name: &OsStr, own: &Own) -> Result<Outcome, Failure> {
    if name.is_empty() {
        return Err(wrong_length(name));
    }
    check_length(name)?;
    let policy = policy(name, own)?;
    client
        .create_timeout_policy(&policy)
        .map_err(|error| match error.kind() {
            ErrorKind::Unsupported => told_of_protocol(error, own.protocol),
            _ => told_of(error, name),
        })?;
    Ok(Outcome::Done)
}

/// A time of 0 drops every connection of its state at once, in all of the namespace: hardly what
/// somebody meant, and nothing would say why translation and established connections fail. A
/// policy's 0 is taken: it only concerns the rules that were written for it.
fn set_default(client: &Client, own: &Own) -> Result<Outcome, Failure> {
    let policy = policy(OsStr::new(""), own)?;
    if let Some((state, _)) = policy.named().find(|(_, seconds)| *seconds == 0) {
        return Err(usage(
            format!("{state}=0 would drop such connections at once, all over the namespace"),
            "give at least 1s; a policy (tracklight timeout add) takes 0 for some rules, the \
             sysctl for all",
        ));
    }
    client
        .set_default_timeouts(&policy)
        .map_err(|error| told_of_protocol(error, own.protocol))?;
    Ok(Outcome::Done)
}

fn show(
    found: Option<TimeoutPolicy>,
    output: OutputArgs,
    nothing: &str,
) -> Result<Outcome, Failure> {
    match found {
        Some(policy) => listing::print_one(&policy, output.format, line, write_timeout_policy),
        None => {
            crate::exit::note(nothing);
            Ok(Outcome::Nothing)
        }
    }
}

/// The kernel has words of its own for a name that is too long, which say nothing of names.
fn check_length(name: &OsStr) -> Result<(), Failure> {
    if name.len() > TimeoutPolicy::LONGEST_NAME {
        return Err(wrong_length(name));
    }
    Ok(())
}

fn wrong_length(name: &OsStr) -> Failure {
    usage(
        format!(
            "a policy's name has 1 to {} bytes, and this one has {}",
            TimeoutPolicy::LONGEST_NAME,
            name.len()
        ),
        "choose another name; tracklight timeout list shows which there are",
    )
}

/// A failure in words that help: those of connections do not fit here.
fn told(error: ctnetlink::Error) -> Failure {
    without_module(
        error,
        "this kernel has no timeout policies",
        "they come with its module nfnetlink_cttimeout (CONFIG_NF_CT_NETLINK_TIMEOUT)",
    )
}

/// The same, of one policy.
fn told_of(error: ctnetlink::Error, name: &OsStr) -> Failure {
    let shown = quoted(name);
    match error.kind() {
        ErrorKind::NotFound => Failure::new(
            "not-found",
            format!("there is no timeout policy {shown}"),
            "see which there are with: tracklight timeout list",
        ),
        ErrorKind::Exists => Failure::new(
            "exists",
            format!("there is a timeout policy {shown} already"),
            format!(
                "choose another name, or remove it with: tracklight timeout delete {}",
                operand(name)
            ),
        ),
        ErrorKind::Busy => Failure::new(
            "busy",
            format!("rules use the timeout policy {shown}"),
            format!(
                "delete these rules first; iptables-save and ip6tables-save show them: -j CT \
                 --timeout {shown}"
            ),
        ),
        _ => told(error),
    }
}

/// The same, of a protocol's times.
fn told_of_protocol(error: ctnetlink::Error, protocol: Protocol) -> Failure {
    match error.kind() {
        ErrorKind::Unsupported => Failure::new(
            "unsupported",
            format!("this kernel has no times for protocol {protocol} by itself"),
            "what it tracks by address only has those of: generic",
        ),
        _ => told(error),
    }
}

fn policy(name: &OsStr, own: &Own) -> Result<TimeoutPolicy, Failure> {
    let mut seconds = Vec::new();
    let mut words = own.times.iter();
    while let Some(word) = words.next() {
        // What `list` and `get` say behind the times is no part of them.
        if word.starts_with('#') {
            break;
        }
        let (state, time) = match word.split_once('=') {
            Some((state, time)) => (state, time),
            None => {
                let time = words.next().ok_or_else(|| {
                    usage(
                        format!("{word} has no time"),
                        "say it as STATE=TIME, such as established=1h",
                    )
                })?;
                (word.as_str(), time.as_str())
            }
        };
        let number = TimeoutPolicy::number(own.protocol, state).ok_or_else(|| {
            usage(
                format!("{} has no state {state}", protocol_word(own.protocol)),
                &format!("one of {}", TimeoutPolicy::states(own.protocol).join(", ")),
            )
        })?;
        seconds.push((number, parse_time(time)?));
    }
    Ok(TimeoutPolicy {
        name: name.to_owned(),
        family: own.family,
        protocol: own.protocol,
        seconds,
        users: None,
    })
}

/// A protocol as nfct(8) names it too: `generic`, and what /etc/protocols calls ICMP of IPv6.
fn parse_timed(text: &str) -> Result<Protocol, String> {
    match text.to_ascii_lowercase().as_str() {
        "generic" => Ok(TimeoutPolicy::GENERIC),
        "ipv6-icmp" => Ok(Protocol::ICMPV6),
        _ => parse_protocol(text).map_err(|expected| format!("{expected}, or generic")),
    }
}

fn protocol_word(protocol: Protocol) -> String {
    if protocol == TimeoutPolicy::GENERIC {
        return "generic".to_owned();
    }
    protocol.to_string()
}

/// Seconds, or a number with a unit.
fn parse_time(text: &str) -> Result<u32, Failure> {
    let digits = text.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    let unit = match text.get(digits.len()..).unwrap_or("") {
        "" | "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        _ => 0,
    };
    digits
        .parse::<u32>()
        .ok()
        .filter(|_| unit != 0)
        .and_then(|number| number.checked_mul(unit))
        .ok_or_else(|| usage(format!("{text} is no time"), "say 30, 90s, 5m, 2h or 1d"))
}

/// A policy in words that `timeout add` takes again, or the namespace's own times in words that
/// `timeout default` takes behind its name.
fn line(policy: &TimeoutPolicy) -> String {
    // The kernel counts the users of policies only.
    let name = match policy.users {
        None => "default".to_owned(),
        Some(_) => operand(&policy.name),
    };
    let mut line = format!(
        "{name} {} {}",
        family_word(policy.family),
        protocol_word(policy.protocol)
    );
    for (state, seconds) in policy.named() {
        line += &format!(" {state}={seconds}");
    }
    let users = policy.users.unwrap_or(0);
    if users > 0 {
        line += &format!("  # used by {users}");
    }
    line
}
