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
    by_number: HashMap<u64, String>,
    by_name: HashMap<String, u64>,
}

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
    pub(crate) fn labels(&self, text: &str) -> Result<Labels, Fault> {
        let mut bits = 0u128;
        for name in text.split(',') {
            let number = self
                .by_name
                .get(name)
                .ok_or_else(|| Fault::usage(format!("unknown label '{name}'")))?;
            // The kernel has 128 of them.
            bits |= u32::try_from(*number)
                .ok()
                .and_then(|number| 1u128.checked_shl(number))
                .unwrap_or(0);
        }
        Ok(Labels::from_bits(bits))
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
        let labels = |text: &str| names.labels(text).map(Labels::bits).ok();
        assert_eq!(labels("zero,one"), Some(3));
        assert_eq!(labels("three words"), Some(8));
        for unknown in ["again", "two", "two # no", "y", "", "zero,"] {
            assert_eq!(labels(unknown), None, "{unknown}");
        }
        assert_eq!(names.name(1), Some("one"));
    }
}
