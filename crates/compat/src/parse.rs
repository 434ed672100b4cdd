//! A command line, read: plain data, nothing done.

use ctnetlink::Family;

use crate::exit::{Fault, warn};
use crate::getopt::{Found, Getopt, Long};
use crate::l4::{L4, L4Flags};
use crate::labels::{self, Wanted};
use crate::options::{Flag, Flags, LONG, Table, Verb, What, short};
use crate::template::{NatTo, Template};
use crate::value::{self, EventMask, Output, decimal, strtoul};

/// What a command line asks for.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Line {
    pub(crate) verb: Verb,
    pub(crate) table: Table,
    pub(crate) flags: Flags,
    l4_flags: L4Flags,
    pub(crate) template: Template,
    pub(crate) output: Output,
    pub(crate) events: EventMask,
    pub(crate) buffer: Option<usize>,
}

/// Reads the words of a command line, the program's name first.
pub(crate) fn parse(words: Vec<String>) -> Result<Line, Fault> {
    let is_strict = std::env::var_os("POSIXLY_CORRECT").is_some();
    let mut options = Getopt::new(words).strict(is_strict);
    let mut line = Line::default();
    // A protocol's options are known from where it stands, and stay known.
    let mut known: Vec<Long<What>> = Vec::new();
    let mut chosen: Vec<L4> = Vec::new();
    while let Some(found) = options.next(short, &[LONG, &known]) {
        match found {
            Found::Option(What::Verb(verb), None) => line.set_verb(verb, options.peek())?,
            Found::Option(What::Verb(verb), Some(value)) => line.set_verb_beside(verb, &value)?,
            Found::Option(What::L4 { chosen: by, number }, value) => {
                if let Some(l4) = chosen.get(usize::from(by)) {
                    l4.take(
                        number,
                        &value.unwrap_or_default(),
                        &mut line.template.values,
                        &mut line.l4_flags,
                    )?;
                }
            }
            Found::Option(What::Flag(flag), value) => {
                let next = options.peek();
                if flag == Flag::Id && value.is_none() {
                    return Err(missing(options.previous()));
                }
                line.take(flag, value, next)?;
                if let (Flag::Proto, Some(l4)) = (flag, line.template.l4) {
                    known.extend(l4.long(u8::try_from(chosen.len()).unwrap_or(u8::MAX)));
                    chosen.push(l4);
                }
            }
            Found::Unknown => {
                return Err(Fault::usage(format!(
                    "unknown option `{}'",
                    options.previous()
                )));
            }
            Found::Missing => return Err(missing(options.previous())),
        }
    }
    line.check()?;
    // Where names of labels are asked for, they are shown.
    line.output.labels |= line
        .flags
        .any(&[Flag::Label, Flag::LabelAdd, Flag::LabelDel]);
    Ok(line)
}

fn missing(word: &str) -> Fault {
    Fault::usage(format!("option `{word}' requires an argument"))
}

/// Where one address is meant.
fn no_network(flag: Flag) -> Fault {
    Fault::usage(format!("CIDR notation unavailable for `--{}'", flag.name()))
}

impl Line {
    fn set_verb(&mut self, verb: Verb, next: Option<&str>) -> Result<(), Fault> {
        let table = match next {
            None => Table::Conntrack,
            Some(name) => Table::of_name(name)
                .ok_or_else(|| Fault::usage(format!("unknown type `{name}'")))?,
        };
        match (verb, table) {
            (Verb::Update, Table::Expect) => {
                return Err(Fault::usage("Can't do --update on expectations"));
            }
            (Verb::Add, Table::Expect) => {
                return Err(Fault::usage("Can't do --add on expectations"));
            }
            (Verb::List, _) | (_, Table::Conntrack | Table::Expect) => {}
            _ => {
                return Err(Fault::usage(
                    "Can't do that command with tables `dying' and `unconfirmed'",
                ));
            }
        }
        if self.verb != Verb::None {
            return Err(Fault::usage("Invalid commands combination"));
        }
        self.verb = verb;
        self.table = table;
        Ok(())
    }

    /// A command with something in the same word, `-Lp udp`: the original takes notice neither of that
    /// nor of the next word. What would delete or change everything then is refused.
    fn set_verb_beside(&mut self, verb: Verb, value: &str) -> Result<(), Fault> {
        match verb {
            Verb::Delete | Verb::Flush | Verb::Update => Err(Fault::usage(format!(
                "`{value}' cannot stand in the same word as a command that deletes or changes"
            ))),
            _ => self.set_verb(verb, None),
        }
    }

    fn take(&mut self, flag: Flag, value: Option<String>, next: Option<&str>) -> Result<(), Fault> {
        let text = value.as_deref().unwrap_or("");
        if flag == Flag::NatRange {
            warn("WARNING: ignoring -a, deprecated option.");
            return Ok(());
        }
        let template = &mut self.template;
        match flag {
            Flag::OrigSrc | Flag::OrigDst | Flag::TupleSrc | Flag::TupleDst => {
                self.take_network(flag, text)?;
            }
            Flag::ReplySrc | Flag::ReplyDst | Flag::MaskSrc | Flag::MaskDst => {
                self.take_address(flag, text)?;
            }
            Flag::Proto => {
                let l4 = L4::of_name(text)
                    .ok_or_else(|| Fault::usage(format!("`{text}' unsupported protocol")))?;
                template.l4 = Some(l4);
            }
            Flag::Family => {
                let family = if text.starts_with("ipv4") {
                    Family::Ipv4
                } else if text.starts_with("ipv6") {
                    Family::Ipv6
                } else {
                    return Err(Fault::usage(format!("`{text}' unsupported protocol")));
                };
                template.set_family(family)?;
            }
            Flag::Timeout => template.timeout = Some(decimal(text) as u32),
            Flag::Status => template.status.get_or_insert_default().take(text)?,
            Flag::Mark => template.mark = Some(value::mark(text)),
            Flag::Secmark => template.secmark = Some(decimal(text) as u32),
            Flag::Id => template.id = Some(decimal(text) as u32),
            Flag::Zone => template.zone = Some(strtoul(text) as u16),
            Flag::OrigZone => template.orig_zone = Some(strtoul(text) as u16),
            Flag::ReplyZone => template.reply_zone = Some(strtoul(text) as u16),
            Flag::SrcNat | Flag::DstNat | Flag::AnyNat => {
                let to = self.nat(flag, value.as_deref().or(next))?;
                match flag {
                    Flag::SrcNat => self.template.source_nat = Some(to),
                    Flag::DstNat => self.template.destination_nat = Some(to),
                    _ => self.template.any_nat = Some(to),
                }
            }
            Flag::Label | Flag::LabelAdd | Flag::LabelDel => {
                self.take_labels(flag, value.as_deref(), next)?;
            }
            Flag::EventMask => value::event_mask(text, &mut self.events)?,
            Flag::Output => self.take_output(text)?,
            Flag::BufferSize => self.buffer = Some(usize::try_from(decimal(text)).unwrap_or(0)),
            Flag::Zero | Flag::NatRange => {}
        }
        self.flags.set(flag);
        Ok(())
    }

    /// What does not go together.
    fn check(&self) -> Result<(), Fault> {
        let flags = self.flags;
        if flags.has(Flag::AnyNat) && flags.any(&[Flag::SrcNat, Flag::DstNat]) {
            return Err(Fault::usage(
                "cannot specify `--src-nat' or `--dst-nat' with `--any-nat'",
            ));
        }
        self.flags.check(self.verb, self.table)?;
        match self.template.l4 {
            Some(l4) => l4.check(self.l4_flags, self.verb, self.table),
            None => Ok(()),
        }
    }

    fn take_network(&mut self, flag: Flag, text: &str) -> Result<(), Fault> {
        let (address, length) = value::network(text)?;
        self.template.set_family(Family::of(address))?;
        let template = &mut self.template;
        let is_ipv4 = address.is_ipv4();
        // A prefix of all bits is one address, without a mask.
        let whole = if is_ipv4 { 32 } else { 128 };
        let mask = length
            .map(|length| value::prefix(length, is_ipv4))
            .transpose()?
            .filter(|length| *length != whole)
            .map(|length| value::mask(length, is_ipv4));
        let is_src = matches!(flag, Flag::OrigSrc | Flag::TupleSrc);
        let slot = match flag {
            Flag::OrigSrc => &mut template.orig.src,
            Flag::OrigDst => &mut template.orig.dst,
            Flag::TupleSrc => &mut template.tuple.src,
            _ => &mut template.tuple.dst,
        };
        *slot = Some(address);
        let (slot, implied) = if is_src {
            (&mut template.mask.src, Flag::MaskSrc)
        } else {
            (&mut template.mask.dst, Flag::MaskDst)
        };
        if mask.is_some() {
            *slot = mask;
            self.flags.set(implied);
        }
        Ok(())
    }

    fn take_address(&mut self, flag: Flag, text: &str) -> Result<(), Fault> {
        let (address, length) = value::network(text)?;
        self.template.set_family(Family::of(address))?;
        if length.is_some() {
            return Err(no_network(flag));
        }
        let template = &mut self.template;
        let slot = match flag {
            Flag::ReplySrc => &mut template.reply.src,
            Flag::ReplyDst => &mut template.reply.dst,
            Flag::MaskSrc => &mut template.mask.src,
            _ => &mut template.mask.dst,
        };
        *slot = Some(address);
        Ok(())
    }

    fn nat(&mut self, flag: Flag, text: Option<&str>) -> Result<Option<NatTo>, Fault> {
        let Some(text) = text else {
            return Ok(None);
        };
        let (address, port, is_network) = value::nat(text)?;
        self.template.set_family(Family::of(address))?;
        if is_network {
            return Err(no_network(flag));
        }
        Ok(Some((address, port)))
    }

    fn take_labels(
        &mut self,
        flag: Flag,
        value: Option<&str>,
        next: Option<&str>,
    ) -> Result<(), Fault> {
        // Before the names are looked at.
        self.flags.set(flag);
        if self.flags.has(Flag::LabelAdd) && self.flags.has(Flag::LabelDel) {
            return Err(Fault::Failed(
                "cannot use --label-add and --label-del at the same time".to_owned(),
            ));
        }
        // The file is asked for even where all are meant.
        let names = labels::names();
        let text = match flag {
            Flag::LabelDel => value.or(next),
            _ => value,
        };
        let labels = text.map_or(Ok(Wanted::ALL), |text| names.labels(text))?;
        let slot = match flag {
            Flag::Label => &mut self.template.labels,
            Flag::LabelAdd => &mut self.template.labels_added,
            _ => &mut self.template.labels_removed,
        };
        *slot = Some(slot.unwrap_or_default().and(labels));
        Ok(())
    }

    fn take_output(&mut self, text: &str) -> Result<(), Fault> {
        value::output(text, &mut self.output)?;
        if self.output.labels {
            labels::names();
        }
        let save = Output {
            save: true,
            ..Output::default()
        };
        if self.output.save && self.output != save {
            return Err(Fault::Failed(
                "cannot combine save output with any other output type, use -o save only"
                    .to_owned(),
            ));
        }
        Ok(())
    }
}
