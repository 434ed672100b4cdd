//! `tracklight token`.

use std::borrow::Cow;
use std::time::Duration;

use clap::{Subcommand, ValueEnum};
use engine::{Config, Failure};
use server::gate::{LINK, Token, Tokens};
use server::listen;
use server::who::Role;

use super::serve::Place;
use crate::cli::Global;
use crate::exit::Outcome;
use crate::grid::{Grid, Head, Page};
use crate::output::Output;

/// Flags of `tracklight token`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    what: What,
    #[command(flatten)]
    place: Place,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Make a token and print it, once: only its hash is kept
    Add {
        /// What it is called, such as the program that uses it
        name: String,
        /// What it allows
        #[arg(long, value_name = "ROLE", default_value = "viewer")]
        role: RoleName,
        /// How long it holds: 12h, 30d [default: until it is revoked]
        #[arg(long, value_name = "TIME", value_parser = parse_time)]
        expires: Option<Duration>,
    },
    /// List tokens
    List,
    /// Take a token away; sessions of browsers that came by it end at once
    Revoke {
        /// Which
        name: String,
    },
    /// Print a link that signs a browser in once as the owner of a token
    Link {
        /// Of which token [default: the first that may change]
        name: Option<String>,
    },
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum RoleName {
    /// May see
    Viewer,
    /// May see and change
    Operator,
}

/// `tracklight token`.
pub(crate) fn run(args: &Args, global: &Global) -> Result<Outcome, Failure> {
    let mut config = Config::load(global.config.as_deref())?;
    args.place.apply(&mut config);
    let folder = &config.server.state;
    if !folder.is_dir() {
        return Err(Failure::new(
            "not-found",
            format!("there is no folder {}", folder.display()),
            "start the daemon once: tracklight serve; or name its folder with --state",
        ));
    }
    let tokens = Tokens::open(folder)?;
    let mut out = Output::stdout()?;
    match &args.what {
        What::Add {
            name,
            role,
            expires,
        } => {
            let role = match role {
                RoleName::Viewer => Role::Viewer,
                RoleName::Operator => Role::Operator,
            };
            out.text(&format!("{}\n", tokens.add(name, role, *expires)?))?;
        }
        What::List => {
            let list = tokens.list()?;
            if list.is_empty() {
                return Ok(Outcome::Nothing);
            }
            write_list(&list, global, &mut out)?;
        }
        What::Revoke { name } => tokens.revoke(name)?,
        What::Link { name } => {
            let name = match name {
                Some(name) => name.clone(),
                None => tokens.first()?.ok_or_else(|| {
                    Failure::new(
                        "not-found",
                        "there is no token yet",
                        "make one: tracklight token add NAME --role operator",
                    )
                })?,
            };
            let code = tokens.link(&name)?;
            let server = &config.server;
            let base = match (server.listen.first(), &server.origin) {
                (Some(address), _) => listen::base(server, *address),
                (None, Some(origin)) => origin.as_str().to_owned(),
                (None, None) => "http://ADDRESS:PORT".to_owned(),
            };
            out.text(&format!("{base}/signin?code={code}\n"))?;
            crate::exit::note(&format!(
                "signs in once as {name}, within {} minutes, where the daemon listens as the configuration says",
                LINK.as_secs() / 60
            ));
        }
    }
    out.flush()?;
    Ok(Outcome::Done)
}

fn write_list(tokens: &[Token], global: &Global, out: &mut Output) -> Result<(), Failure> {
    let time = |seconds: u64| {
        let time = i64::try_from(seconds).ok();
        let time = time.and_then(|seconds| chrono::DateTime::from_timestamp(seconds, 0));
        time.map_or_else(String::new, |time| {
            let local = time.with_timezone(&chrono::Local);
            local.format("%Y-%m-%d %H:%M").to_string()
        })
    };
    let now = engine::now() / 1_000_000_000;
    let heads = ["NAME", "ROLE", "MADE", "HOLDS UNTIL"];
    let page = Page::of(out, global);
    let head = |title| Head {
        title: Cow::Borrowed(title),
        is_quantity: false,
        goes: None,
        style: |_| None,
    };
    let mut grid = Grid::new(Vec::from(heads.map(head)), true, page);
    for token in tokens {
        let role = match token.role {
            Role::Viewer => "viewer",
            Role::Operator => "operator",
        };
        let until = token.expires.map_or_else(
            || "-".to_owned(),
            |until| match until <= now {
                true => format!("{} (over)", time(until)),
                false => time(until),
            },
        );
        grid.push(
            vec![
                token.name.clone(),
                role.to_owned(),
                time(token.created),
                until,
            ],
            out,
        )?;
    }
    grid.finish(out)
}

/// `90s`, `12h`, `30d`.
fn parse_time(text: &str) -> Result<Duration, String> {
    let wrong = || format!("'{text}' is no time such as 12h or 30d");
    let unit = text.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?;
    let (number, unit) = text.split_at(unit);
    let number: u64 = number.parse().map_err(|_| wrong())?;
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        "w" => 7 * 86_400,
        _ => return Err(wrong()),
    };
    Ok(Duration::from_secs(number.saturating_mul(seconds)))
}
