//! The names of labels: `/etc/xtables/connlabel.conf`.

use std::collections::HashMap;
use std::sync::OnceLock;

use ctnetlink::Labels;
use engine::vocabulary::LABELS;

use crate::exit::{Fault, warn};
use crate::value::strtoul_end;

/// Names and numbers.
#[derive(Debug, Default)]
pub(crate) struct Names {
    /// Whether there is a file.
    is_there: bool,
    by_number: HashMap<u32, String>,
    by_name: HashMap<String, u32>,
}

/// Labels that a command line names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Wanted {
    /// Those that an entry can have.
    bits: u128,
    /// Whether there are others: the file has room for more than the kernel.
    is_beyond: bool,
}

impl Wanted {
    /// Every label.
    pub(crate) const ALL: Self = Self {
        bits: u128::MAX,
        is_beyond: false,
    };

    /// These and those of another option.
    #[must_use]
    pub(crate) const fn and(self, other: Self) -> Self {
        Self {
            bits: self.bits | other.bits,
            is_beyond: self.is_beyond || other.is_beyond,
        }
    }

    /// All of them, if an entry can have them.
    pub(crate) fn whole(self) -> Option<Labels> {
        (!self.is_beyond).then(|| Labels::from_bits(self.bits))
    }

    /// Whether an entry has all of them.
    pub(crate) fn are_in(self, found: Labels) -> bool {
        !self.is_beyond && found.bits() & self.bits == self.bits
    }
}

/// Numbers of labels are below this one.
const NUMBERS: u32 = 1024;

/// The names of this machine. Where there is no file, it is said, once.
pub(crate) fn names() -> &'static Names {
    static NAMES: OnceLock<Names> = OnceLock::new();
    NAMES.get_or_init(|| match std::fs::read(LABELS) {
        Ok(text) => Names::parse(&String::from_utf8_lossy(&text)),
        Err(error) => {
            let text = error.to_string();
            let text = text.split(" (os error").next().unwrap_or(&text);
            warn(&format!("nfct_labelmap_new: {text}"));
            Names::default()
        }
    })
}

impl Names {
    /// A number and a name a line. What is not such a line is passed over, a second name of a
    /// number too.
    fn parse(text: &str) -> Self {
        let mut names = Self {
            is_there: true,
            ..Self::default()
        };
        for line in text.lines() {
            let (number, rest) = strtoul_end(line);
            let Some(number) = u32::try_from(number)
                .ok()
                .filter(|number| *number < NUMBERS)
            else {
                continue;
            };
            let name = rest.trim();
            let is_number = line
                .trim_start()
                .starts_with(|first: char| first.is_ascii_digit());
            let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"- ".contains(&byte);
            if !is_number
                || name.is_empty()
                || !rest.starts_with(char::is_whitespace)
                || !name.bytes().all(is_name)
                || names.by_number.contains_key(&number)
            {
                continue;
            }
            names.by_number.insert(number, name.to_owned());
            names.by_name.entry(name.to_owned()).or_insert(number);
        }
        names
    }

    /// Itself, if there is a file.
    pub(crate) fn present(&'static self) -> Option<&'static Self> {
        self.is_there.then_some(self)
    }

    /// The labels of a list of names.
    pub(crate) fn labels(&self, text: &str) -> Result<Wanted, Fault> {
        let mut wanted = Wanted::default();
        for name in text.split(',') {
            let number = self
                .by_name
                .get(name)
                .ok_or_else(|| Fault::usage(format!("unknown label '{name}'")))?;
            match 1u128.checked_shl(*number) {
                Some(bit) => wanted.bits |= bit,
                None => wanted.is_beyond = true,
            }
        }
        Ok(wanted)
    }

    /// The name of a label.
    pub(crate) fn name(&self, number: u8) -> Option<&str> {
        self.by_number.get(&number.into()).map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_without_number_or_name_are_passed_over() {
        let text =
            "# remark\n0 zero\n 1\tone \n1 again\n2 two # no\n0x3 three words\nfoo 4\n5\n6x y\n";
        let names = Names::parse(text);
        let labels = |text: &str| names.labels(text).map(|wanted| wanted.bits).ok();
        assert_eq!(labels("zero,one"), Some(3));
        assert_eq!(labels("three words"), Some(8));
        for unknown in ["again", "two", "two # no", "y", "", "zero,"] {
            assert_eq!(labels(unknown), None, "{unknown}");
        }
        assert_eq!(names.name(1), Some("one"));
    }

    #[test]
    fn a_label_that_the_kernel_has_no_place_for_is_in_no_entry() {
        let names = Names::parse("0 zero\n127 last\n128 over\n1023 far\n1024 none\n");
        let all = Labels::from_bits(u128::MAX);
        assert!(names.labels("zero,last").unwrap().are_in(all));
        for beyond in ["over", "zero,over", "far"] {
            let labels = names.labels(beyond).unwrap();
            assert!(!labels.are_in(all), "{beyond}");
            assert!(labels.whole().is_none(), "{beyond}");
        }
        assert!(names.labels("none").is_err());
    }
}
