//! `tracklight timeout`: times to live that rules give to connections, as nfct(8) makes them.

use ctnetlink::{Client, ErrorKind, Protocol, TimeoutPolicy};
use engine::Failure;

use crate::cli::Global;
use crate::exit::Outcome;
use crate::flags::{open, usage};
use crate::output::Output;
use crate::values::parse_protocol;

/// Flags of `tracklight timeout`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// List timeout policies
    List,
    /// Make one: `add web inet tcp established=1h close=10s`; times not said are the namespace's own
    Add(New),
    /// Show one
    Get(Name),
    /// Delete one that no rule uses
    Delete(Name),
    /// Show the namespace's own times of a protocol, or set some of them: `default inet udp replied=60s`
    Default(Own),
}

#[derive(Debug, clap::Args)]
struct Name {
    /// Its name
    name: String,
}

#[derive(Debug, clap::Args)]
struct New {
    /// Its name, by which rules use it: at most 31 letters
    name: String,
    #[command(flatten)]
    own: Own,
}

#[derive(Debug, clap::Args)]
struct Own {
    /// Family
    family: FamilyName,
    /// Protocol by name or number
    #[arg(value_parser = parse_protocol)]
    protocol: Protocol,
    /// STATE=TIME, or STATE and TIME as two words; a time is seconds, or has a unit: 90s, 5m, 2h
    #[arg(value_name = "STATE=TIME")]
    times: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum FamilyName {
    /// IPv4
    Inet,
    /// IPv6
    Inet6,
}

impl FamilyName {
    /// The kernel's number.
    const fn number(self) -> u16 {
        match self {
            Self::Inet => 2,
            Self::Inet6 => 10,
        }
    }
}

/// `tracklight timeout`.
pub(crate) fn run(args: &Args, global: &Global) -> Result<Outcome, Failure> {
    let client = open(global)?;
    match &args.action {
        Action::List => {
            let policies = client.timeout_policies().map_err(told)?;
            print(&policies, "no timeout policies")
        }
        Action::Get(Name { name }) => {
            let policy = client.timeout_policy(name).map_err(told)?;
            print(&policy.into_iter().collect::<Vec<_>>(), "no such policy")
        }
        Action::Delete(Name { name }) => {
            client.delete_timeout_policy(name).map_err(told)?;
            Ok(Outcome::Done)
        }
        Action::Add(New { name, own }) => {
            if name.is_empty() || name.len() > 31 {
                return Err(usage(
                    "a policy's name has 1 to 31 letters",
                    "choose another name",
                ));
            }
            client
                .create_timeout_policy(&policy(name, own)?)
                .map_err(told)?;
            Ok(Outcome::Done)
        }
        Action::Default(own) => default(&client, own),
    }
}

fn default(client: &Client, own: &Own) -> Result<Outcome, Failure> {
    if !own.times.is_empty() {
        client
            .set_default_timeouts(&policy("", own)?)
            .map_err(told)?;
        return Ok(Outcome::Done);
    }
    let found = client
        .default_timeouts(own.family.number(), own.protocol)
        .map_err(told)?;
    print(&found.into_iter().collect::<Vec<_>>(), "no such times")
}

/// A failure in words that help: those of connections do not fit here.
fn told(error: ctnetlink::Error) -> Failure {
    let hint = match error.kind() {
        ErrorKind::Unsupported | ErrorKind::Invalid => {
            "is there a module nfnetlink_cttimeout, and the protocol in this kernel?"
        }
        ErrorKind::NotFound => "see which there are with: tracklight timeout list",
        ErrorKind::Exists => {
            "a policy of this name is there already; remove it with: tracklight timeout delete"
        }
        _ => return error.into(),
    };
    let mut failure = Failure::from(error);
    hint.clone_into(&mut failure.hint);
    failure
}

fn policy(name: &str, own: &Own) -> Result<TimeoutPolicy, Failure> {
    let mut seconds = Vec::new();
    let mut words = own.times.iter();
    while let Some(word) = words.next() {
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
                format!("{} has no state {state}", own.protocol),
                &format!("one of {}", TimeoutPolicy::states(own.protocol).join(", ")),
            )
        })?;
        seconds.push((number, parse_time(time)?));
    }
    Ok(TimeoutPolicy {
        name: name.to_owned(),
        family: own.family.number(),
        protocol: own.protocol,
        seconds,
        use_count: None,
    })
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

/// One policy a line, in words that `timeout add` takes again.
fn print(policies: &[TimeoutPolicy], nothing: &str) -> Result<Outcome, Failure> {
    if policies.is_empty() {
        crate::exit::note(nothing);
        return Ok(Outcome::Nothing);
    }
    let mut out = Output::stdout()?;
    for policy in policies {
        let family = if policy.family == 10 { "inet6" } else { "inet" };
        let name = if policy.name.is_empty() {
            "default"
        } else {
            &policy.name
        };
        let mut line = format!("{name} {family} {}", policy.protocol);
        for (state, seconds) in policy.named() {
            line += &format!(" {state}={seconds}");
        }
        // It holds itself once.
        let users = policy.use_count.unwrap_or(0).saturating_sub(1);
        if users > 0 {
            line += &format!("  # used by {users}");
        }
        out.text(&line)?;
        out.text("\n")?;
    }
    out.flush()?;
    Ok(Outcome::Done)
}
