//! What options there are, and which of them a command takes.
//!
//! Found out from conntrack-tools 1.4.8 by trying every command with every option.

use crate::exit::Fault;
use crate::getopt::{Long, Takes};

/// What a command line asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Verb {
    /// Nothing: help, if there is no option either.
    #[default]
    None,
    /// `-L`.
    List,
    /// `-I`.
    Create,
    /// `-A`.
    Add,
    /// `-U`.
    Update,
    /// `-D`.
    Delete,
    /// `-G`.
    Get,
    /// `-F`.
    Flush,
    /// `-E`.
    Event,
    /// `-C`.
    Count,
    /// `-S`.
    Stats,
    /// `-V`.
    Version,
    /// `-h`.
    Help,
}

impl Verb {
    /// The letter that asks for it.
    pub(crate) const fn letter(self) -> Option<char> {
        Some(match self {
            Self::None => return None,
            Self::List => 'L',
            Self::Create => 'I',
            Self::Add => 'A',
            Self::Update => 'U',
            Self::Delete => 'D',
            Self::Get => 'G',
            Self::Flush => 'F',
            Self::Event => 'E',
            Self::Count => 'C',
            Self::Stats => 'S',
            Self::Version => 'V',
            Self::Help => 'h',
        })
    }
}

/// Which table it is about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Table {
    /// Connections.
    #[default]
    Conntrack,
    /// Expectations.
    Expect,
    /// Connections that are being removed.
    Dying,
    /// Connections that are not in the table yet.
    Unconfirmed,
}

impl Table {
    const ALL: [(&'static str, Self); 4] = [
        ("conntrack", Self::Conntrack),
        ("expect", Self::Expect),
        ("dying", Self::Dying),
        ("unconfirmed", Self::Unconfirmed),
    ];

    /// The table of a name or of its beginning.
    pub(crate) fn of_name(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|(whole, _)| whole.starts_with(name))
            .map(|(_, table)| table)
    }
}

macro_rules! flags {
    ($($name:ident $long:literal),+ $(,)?) => {
        /// An option that a command may or may not have, in the order in which they are checked.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum Flag { $($name),+ }

        impl Flag {
            const ALL: [Self; 29] = [$(Self::$name),+];

            /// The long name in messages.
            pub(crate) const fn name(self) -> &'static str {
                match self { $(Self::$name => $long),+ }
            }
        }
    };
}

flags! {
    OrigSrc "src", OrigDst "dst", ReplySrc "reply-src", ReplyDst "reply-dst", Proto "protonum",
    Timeout "timeout", Status "status", Zero "zero", EventMask "event-mask",
    TupleSrc "tuple-src", TupleDst "tuple-dst", MaskSrc "mask-src", MaskDst "mask-dst",
    NatRange "nat-range", Mark "mark", Id "id", Family "family", SrcNat "src-nat",
    DstNat "dst-nat", Output "output", Secmark "secmark", BufferSize "buffer-size",
    AnyNat "any-nat", Zone "zone", Label "label", LabelAdd "label-add", LabelDel "label-del",
    OrigZone "orig-zone", ReplyZone "reply-zone",
}

/// The options that a command line has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Flags(u32);

impl Flags {
    pub(crate) const fn set(&mut self, flag: Flag) {
        self.0 |= 1 << flag as u32;
    }

    pub(crate) const fn has(self, flag: Flag) -> bool {
        self.0 >> (flag as u32) & 1 == 1
    }

    pub(crate) fn any(self, flags: &[Flag]) -> bool {
        flags.iter().any(|flag| self.has(*flag))
    }

    /// Refuses what the command does not take, and misses what it needs.
    pub(crate) fn check(self, verb: Verb, table: Table) -> Result<(), Fault> {
        let rules = rules(verb, table).bytes().filter(|rule| *rule != b' ');
        for (flag, rule) in Flag::ALL.into_iter().zip(rules) {
            check(self.has(flag), rule, flag.name())?;
        }
        let wants_addresses = matches!(verb, Verb::Create | Verb::Add | Verb::Get);
        if wants_addresses && table != Table::Expect {
            let given = [
                self.has(Flag::OrigSrc),
                self.has(Flag::OrigDst),
                self.has(Flag::ReplySrc),
                self.has(Flag::ReplyDst),
            ];
            check_pairs(given, ["src", "dst"], ["reply-src", "reply-dst"])?;
        }
        Ok(())
    }
}

/// One option against its rule: `0` is refused, `1` is needed, `2` may be, `3` is of a pair.
pub(crate) fn check(given: bool, rule: u8, name: &str) -> Result<(), Fault> {
    match (given, rule) {
        (true, b'0') => Err(Fault::usage(format!(
            "Illegal option `--{name}' with this command"
        ))),
        (false, b'1') => Err(Fault::usage(format!(
            "You need to supply the `--{name}' option for this command"
        ))),
        _ => Ok(()),
    }
}

/// One of two pairs has to be whole; `given` has the first pair and then the second.
pub(crate) fn check_pairs(
    given: [bool; 4],
    first: [&str; 2],
    second: [&str; 2],
) -> Result<(), Fault> {
    let [a, b, c, d] = given;
    if a && b || c && d {
        return Ok(());
    }
    let [one, two] = if (c || d) && !(a || b) { second } else { first };
    Err(Fault::usage(format!(
        "you have to specify `--{one}' and `--{two}'"
    )))
}

/// The rule of each option, in their order.
const fn rules(verb: Verb, table: Table) -> &'static str {
    match (verb, table) {
        //                           sdrq p tu ze [] {} a m i f ng o c b j w l <> ()
        (Verb::List, Table::Expect) => "0000 0 00 00 00 00 2 0 0 2 00 2 0 0 0 0 0 00 00",
        (Verb::List, _) => "2222 2 02 20 00 22 2 2 0 2 22 2 2 0 2 2 2 00 22",
        (Verb::Create | Verb::Add, Table::Expect) => {
            "1122 1 12 00 11 11 2 0 0 0 00 0 0 0 0 0 0 00 00"
        }
        (Verb::Create | Verb::Add, _) => "3333 1 12 00 00 00 2 2 0 0 22 0 0 0 0 2 0 20 22",
        (Verb::Update, _) => "2222 2 22 00 00 22 2 2 2 2 22 2 0 0 0 0 2 22 00",
        (Verb::Delete | Verb::Get, Table::Expect) => {
            "1122 1 00 00 00 00 2 0 0 0 00 0 0 0 0 0 0 00 00"
        }
        (Verb::Delete, _) => "2222 2 22 00 00 22 2 2 2 2 22 2 0 0 0 2 2 00 22",
        (Verb::Get, _) => "3333 1 00 00 00 00 2 0 2 0 00 2 0 0 0 0 2 00 00",
        (Verb::Flush, Table::Conntrack) => "0000 0 00 00 00 00 2 0 0 2 00 0 0 0 0 0 0 00 00",
        (Verb::Event, Table::Expect) => "0000 0 00 00 00 00 2 0 0 0 00 2 0 0 0 0 0 00 00",
        (Verb::Event, _) => "2222 2 00 02 00 22 2 2 0 2 22 2 2 2 2 2 2 00 22",
        (Verb::None, _) => "0000 0 00 00 00 00 2 0 0 0 00 0 0 0 0 0 0 00 02",
        (Verb::Help, _) => "0000 2 00 00 00 00 2 0 0 0 00 0 0 0 0 0 0 00 00",
        _ => "0000 0 00 00 00 00 2 0 0 0 00 0 0 0 0 0 0 00 00",
    }
}

/// What an option of the command line means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum What {
    /// A command.
    Verb(Verb),
    /// An option of any protocol.
    Flag(Flag),
    /// The protocol's own option of this number.
    L4 {
        /// Which `-p` of the command line.
        chosen: u8,
        /// The option.
        number: u8,
    },
}

/// What a letter means.
pub(crate) fn short(letter: u8) -> Option<(What, Takes)> {
    let verb = |verb, takes| Some((What::Verb(verb), takes));
    let flag = |flag, takes| Some((What::Flag(flag), takes));
    match letter {
        b'L' => verb(Verb::List, Takes::Maybe),
        b'I' => verb(Verb::Create, Takes::Maybe),
        b'A' => verb(Verb::Add, Takes::Maybe),
        b'U' => verb(Verb::Update, Takes::Maybe),
        b'D' => verb(Verb::Delete, Takes::Maybe),
        b'G' => verb(Verb::Get, Takes::Maybe),
        b'F' => verb(Verb::Flush, Takes::Maybe),
        b'E' => verb(Verb::Event, Takes::Maybe),
        b'C' => verb(Verb::Count, Takes::Maybe),
        b'S' => verb(Verb::Stats, Takes::Nothing),
        b'V' => verb(Verb::Version, Takes::Nothing),
        b'h' => verb(Verb::Help, Takes::Nothing),
        b's' => flag(Flag::OrigSrc, Takes::Value),
        b'd' => flag(Flag::OrigDst, Takes::Value),
        b'r' => flag(Flag::ReplySrc, Takes::Value),
        b'q' => flag(Flag::ReplyDst, Takes::Value),
        b'p' => flag(Flag::Proto, Takes::Value),
        b't' => flag(Flag::Timeout, Takes::Value),
        b'u' => flag(Flag::Status, Takes::Value),
        b'z' => flag(Flag::Zero, Takes::Nothing),
        b'e' => flag(Flag::EventMask, Takes::Value),
        b'[' => flag(Flag::TupleSrc, Takes::Value),
        b']' => flag(Flag::TupleDst, Takes::Value),
        b'{' => flag(Flag::MaskSrc, Takes::Value),
        b'}' => flag(Flag::MaskDst, Takes::Value),
        b'a' => flag(Flag::NatRange, Takes::Value),
        b'm' => flag(Flag::Mark, Takes::Value),
        b'i' => flag(Flag::Id, Takes::Value),
        b'f' => flag(Flag::Family, Takes::Value),
        b'n' => flag(Flag::SrcNat, Takes::Maybe),
        b'g' => flag(Flag::DstNat, Takes::Maybe),
        b'o' => flag(Flag::Output, Takes::Value),
        b'c' => flag(Flag::Secmark, Takes::Value),
        b'b' => flag(Flag::BufferSize, Takes::Value),
        b'j' => flag(Flag::AnyNat, Takes::Maybe),
        b'w' => flag(Flag::Zone, Takes::Value),
        b'l' => flag(Flag::Label, Takes::Value),
        b'<' => flag(Flag::LabelAdd, Takes::Value),
        b'>' => flag(Flag::LabelDel, Takes::Maybe),
        b'(' => flag(Flag::OrigZone, Takes::Value),
        b')' => flag(Flag::ReplyZone, Takes::Value),
        _ => None,
    }
}

macro_rules! long {
    ($($name:literal $takes:ident $means:expr;)+) => {
        &[$(Long { name: $name, takes: Takes::$takes, means: $means }),+]
    };
}

/// The long options of every protocol.
pub(crate) const LONG: &[Long<What>] = long! {
    "dump" Maybe What::Verb(Verb::List);
    "create" Maybe What::Verb(Verb::Create);
    "add" Maybe What::Verb(Verb::Add);
    "delete" Maybe What::Verb(Verb::Delete);
    "update" Maybe What::Verb(Verb::Update);
    "get" Maybe What::Verb(Verb::Get);
    "flush" Maybe What::Verb(Verb::Flush);
    "event" Maybe What::Verb(Verb::Event);
    "counter" Maybe What::Verb(Verb::Count);
    "stats" Nothing What::Verb(Verb::Stats);
    "version" Nothing What::Verb(Verb::Version);
    "help" Nothing What::Verb(Verb::Help);
    "orig-src" Value What::Flag(Flag::OrigSrc);
    "src" Value What::Flag(Flag::OrigSrc);
    "orig-dst" Value What::Flag(Flag::OrigDst);
    "dst" Value What::Flag(Flag::OrigDst);
    "reply-src" Value What::Flag(Flag::ReplySrc);
    "reply-dst" Value What::Flag(Flag::ReplyDst);
    "protonum" Value What::Flag(Flag::Proto);
    "timeout" Value What::Flag(Flag::Timeout);
    "status" Value What::Flag(Flag::Status);
    "zero" Nothing What::Flag(Flag::Zero);
    "event-mask" Value What::Flag(Flag::EventMask);
    "tuple-src" Value What::Flag(Flag::TupleSrc);
    "tuple-dst" Value What::Flag(Flag::TupleDst);
    "mask-src" Value What::Flag(Flag::MaskSrc);
    "mask-dst" Value What::Flag(Flag::MaskDst);
    "nat-range" Value What::Flag(Flag::NatRange);
    "mark" Value What::Flag(Flag::Mark);
    "secmark" Value What::Flag(Flag::Secmark);
    "id" Maybe What::Flag(Flag::Id);
    "family" Value What::Flag(Flag::Family);
    "src-nat" Maybe What::Flag(Flag::SrcNat);
    "dst-nat" Maybe What::Flag(Flag::DstNat);
    "output" Value What::Flag(Flag::Output);
    "buffer-size" Value What::Flag(Flag::BufferSize);
    "any-nat" Maybe What::Flag(Flag::AnyNat);
    "zone" Value What::Flag(Flag::Zone);
    "label" Value What::Flag(Flag::Label);
    "label-add" Value What::Flag(Flag::LabelAdd);
    "label-del" Maybe What::Flag(Flag::LabelDel);
    "orig-zone" Value What::Flag(Flag::OrigZone);
    "reply-zone" Value What::Flag(Flag::ReplyZone);
};
