//! Flags that several subcommands share: which entries, which tuple.

use std::net::IpAddr;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use ctnetlink::{Client, Direction, Key, L4, Masked, Namespace, Protocol, Tuple, Zone};
use engine::saved::{Header, Rereadable};
use engine::{Config, Failure, Kernel, Query, Source};
use query::{Field, Kind, Vocabulary};

use crate::cli::Global;
use crate::values::{Mark, StatusIs, parse_protocol};

/// Opens the table that the global flags name.
pub(crate) fn open(global: &Global) -> Result<Client, Failure> {
    match &global.netns {
        None => Ok(Client::open()?),
        Some(name) => Ok(Client::open_in(&Namespace::parse(name)?)?),
    }
}

/// The table that the global flags name, to be read in the way that they say.
pub(crate) fn table(global: &Global) -> Result<Source, Failure> {
    let namespace = global.netns.as_deref().map(Namespace::parse).transpose()?;
    let kernel = Kernel::open(namespace, global.way())?;
    Ok(Source::Kernel(Box::new(kernel)))
}

/// Which table is read.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Which table")]
pub(crate) struct SourceArgs {
    /// Read a table that `tracklight save` or `conntrack -L -o save` wrote, instead of the
    /// kernel's; - is standard input
    #[arg(long, value_name = "FILE")]
    from: Option<PathBuf>,
}

impl SourceArgs {
    /// Opens it.
    pub(crate) fn open(&self, global: &Global) -> Result<Source, Failure> {
        match &self.from {
            None => table(global),
            Some(_) if global.netns.is_some() => Err(usage(
                "--netns is about the kernel's table, and --from reads a file",
                "leave out one of the two",
            )),
            Some(path) => Rereadable::open(path).map(Source::Saved),
        }
    }
}

/// Which entries: a query, and flags as shorthands for parts of one.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct FilterArgs {
    /// Which entries, in the query language: src in 10.0.0.0/8 and bytes > 10MB. `tracklight
    /// query fields` lists what it knows
    #[arg(value_name = "QUERY", help_heading = "Which entries")]
    query: Vec<String>,
    #[command(flatten)]
    flags: FilterFlags,
}

/// Shorthands for parts of a query. Values in a list are alternatives; all flags must hold.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Which entries, in short")]
pub(crate) struct FilterFlags {
    /// Protocol by name or number: tcp,udp
    #[arg(
        short,
        long = "proto",
        visible_alias = "protocol",
        value_name = "PROTO,…",
        value_delimiter = ','
    )]
    protocols: Vec<String>,
    /// Source address or network: 10.0.0.5 or 10.0.0.0/8
    #[arg(short, long, value_name = "NET,…", value_delimiter = ',')]
    src: Vec<String>,
    /// Destination address or network, as the opener sent it
    #[arg(short, long, value_name = "NET,…", value_delimiter = ',')]
    dst: Vec<String>,
    /// Source port, range or service: 1024-65535
    #[arg(long, value_name = "PORTS,…", value_delimiter = ',')]
    sport: Vec<String>,
    /// Destination port, range or service: 443 or 8000-8999
    #[arg(long, value_name = "PORTS,…", value_delimiter = ',')]
    dport: Vec<String>,
    /// Source of the reply: the true other end
    #[arg(long, value_name = "NET,…", value_delimiter = ',')]
    reply_src: Vec<String>,
    /// Destination of the reply: the address that the other end sees
    #[arg(long, value_name = "NET,…", value_delimiter = ',')]
    reply_dst: Vec<String>,
    /// Source port of the reply
    #[arg(long, value_name = "PORTS,…", value_delimiter = ',')]
    reply_sport: Vec<String>,
    /// Destination port of the reply
    #[arg(long, value_name = "PORTS,…", value_delimiter = ',')]
    reply_dport: Vec<String>,
    /// State: ESTABLISHED,TIME_WAIT
    #[arg(long = "state", value_name = "STATE,…", value_delimiter = ',')]
    states: Vec<String>,
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
    zones: Vec<String>,
    /// Address family: ipv4 or ipv6
    #[arg(short, long, value_name = "FAMILY")]
    family: Option<String>,
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
    /// What the query and the flags select together.
    pub(crate) fn query(&self, global: &Global) -> Result<Query, Failure> {
        self.flags.query(&self.query, &vocabulary(global)?)
    }

    /// The same, with what a saved table knows.
    pub(crate) fn query_in(&self, source: &Source, global: &Global) -> Result<Query, Failure> {
        self.flags
            .query_in(&self.query, source.header()?.as_ref(), global)
    }
}

impl FilterFlags {
    /// What the words of a query and the flags select together. Words are joined by blanks, so
    /// that a query need not stand in quotes.
    pub(crate) fn query_in(
        &self,
        words: &[String],
        saved: Option<&Header>,
        global: &Global,
    ) -> Result<Query, Failure> {
        let mut vocabulary = vocabulary(global)?;
        if let Some(header) = saved {
            vocabulary.local = engine::vocabulary::saved_addresses(header);
        }
        self.query(words, &vocabulary)
    }

    /// The same, of the kernel's table.
    pub(crate) fn query(
        &self,
        words: &[String],
        vocabulary: &Vocabulary,
    ) -> Result<Query, Failure> {
        let text = words.join(" ");
        let parse = |text: &str| {
            Query::parse(text, vocabulary).map_err(|error| Failure::of_query(&error, text))
        };
        let conditions = self.conditions(vocabulary)?;
        Ok(parse(&text)?.and(parse(&conditions.join(" and "))?))
    }

    /// What the words of a query and the flags select together, as one text.
    pub(crate) fn text(&self, words: &[String], global: &Global) -> Result<String, Failure> {
        let text = words.join(" ");
        let mut parts = match text.trim() {
            "" => Vec::new(),
            text => vec![text.to_owned()],
        };
        let conditions = self.conditions(&vocabulary(global)?)?;
        if let [text] = parts.as_mut_slice()
            && !conditions.is_empty()
        {
            *text = format!("({text})");
        }
        parts.extend(conditions);
        Ok(parts.join(" and "))
    }

    /// What the flags say, in the query language.
    fn conditions(&self, vocabulary: &Vocabulary) -> Result<Vec<String>, Failure> {
        let lists = [
            ("--proto", Field::Protocol, &self.protocols),
            ("--src", Field::Src, &self.src),
            ("--dst", Field::Dst, &self.dst),
            ("--sport", Field::Sport, &self.sport),
            ("--dport", Field::Dport, &self.dport),
            ("--reply-src", Field::Peer, &self.reply_src),
            ("--reply-dst", Field::ReplyDst, &self.reply_dst),
            ("--reply-sport", Field::PeerPort, &self.reply_sport),
            ("--reply-dport", Field::ReplyDport, &self.reply_dport),
            ("--state", Field::State, &self.states),
            ("--zone", Field::Zone, &self.zones),
        ];
        let mut conditions = Vec::new();
        for (flag, field, values) in lists {
            let values: Vec<&str> = values.iter().map(String::as_str).collect();
            conditions.extend(condition(flag, field, &values, vocabulary)?);
        }
        let family: Vec<&str> = self.family.iter().map(String::as_str).collect();
        conditions.extend(condition("--family", Field::Family, &family, vocabulary)?);
        for StatusIs { bit, set } in &self.status {
            let operator = if *set { "==" } else { "!=" };
            let names: Vec<_> = bit.iter_names().map(|(name, _)| name).collect();
            conditions.push(format!("status {operator} {}", names.join("")));
        }
        // A mask of no bits lets every mark through.
        if !self.marks.is_empty() && self.marks.iter().all(|mark| mark.0.mask != 0) {
            let marks = self
                .marks
                .iter()
                .map(|Mark(Masked { value, mask })| match *mask {
                    u32::MAX => format!("mark == 0x{value:x}"),
                    mask => format!("mark & 0x{mask:x} == 0x{value:x}"),
                });
            conditions.push(format!("({})", marks.collect::<Vec<_>>().join(" or ")));
        }
        conditions.extend(self.nat.map(|kind| {
            let word = match kind {
                NatKind::Any => "nat",
                NatKind::Src => "snat",
                NatKind::Dst => "dnat",
                NatKind::None => "not nat",
            };
            word.to_owned()
        }));
        Ok(conditions)
    }
}

/// `field == value` or `field in {values}`, as somebody would write it; nothing without values.
fn condition(
    flag: &str,
    field: Field,
    values: &[&str],
    vocabulary: &Vocabulary,
) -> Result<Option<String>, Failure> {
    let mut checked = Vec::new();
    for &text in values {
        // conntrack(8) and its friends write ranges of ports with a colon.
        let text = match field.kind() {
            Kind::Port => text.replace(':', "-"),
            _ => text.to_owned(),
        };
        let value = query::check_value(field, &text, vocabulary);
        checked.push(value.map_err(|(message, hint)| {
            let hint = if hint.is_empty() {
                format!("in a query: {}", field.example())
            } else {
                hint
            };
            usage(format!("{flag}: {message}"), &hint)
        })?);
    }
    let name = field.name();
    // Networks and ranges have several values each.
    let is_one = |value: &str| !value.contains(['/', '-']) || value.starts_with('"');
    Ok(match checked.as_slice() {
        [] => None,
        [one] if is_one(one) => Some(format!("{name} == {one}")),
        [one] => Some(format!("{name} in {one}")),
        several => Some(format!("{name} in {{{}}}", several.join(", "))),
    })
}

/// The names that queries can use, in the namespace that the global flags name.
pub(crate) fn vocabulary(global: &Global) -> Result<Vocabulary, Failure> {
    let config = Config::load(global.config.as_deref())?;
    let namespace = global.netns.as_deref().map(Namespace::parse).transpose()?;
    Ok(engine::vocabulary(&config, namespace))
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

/// A usage error.
pub(crate) fn usage(message: impl Into<String>, hint: &str) -> Failure {
    Failure::new("usage", message, hint)
}
