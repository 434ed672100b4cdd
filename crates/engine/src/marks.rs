//! Names that a gateway's rules put into the mark: traffic class, application, uplink.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use query::MarkNames;

use crate::config;

/// The longest list of applications that is read: nDPI's has a few hundred lines.
const LIST_LIMIT: u64 = 1 << 20;

/// Names for the numbers in a mark.
#[derive(Clone, Debug)]
pub struct Marks {
    class: Field,
    application: Field,
    uplink: Field,
}

/// Some bits of the mark that hold a number.
#[derive(Clone, Debug)]
struct Field {
    shift: u32,
    mask: u32,
    names: BTreeMap<u32, String>,
}

impl Marks {
    /// The configured names; those of applications from the kernel's own list where it has one.
    pub fn new(config: &config::Marks) -> Self {
        let mut application = Field::new(&config.application.field);
        application
            .names
            .extend(applications(&config.application.list));
        Self {
            class: Field::new(&config.class),
            application,
            uplink: Field::new(&config.uplink),
        }
    }

    /// What the query language calls by these names.
    pub fn vocabulary(&self) -> [MarkNames; 3] {
        [&self.uplink, &self.application, &self.class].map(|field| MarkNames {
            shift: field.shift,
            mask: field.mask,
            names: field
                .names
                .iter()
                .map(|(&number, name)| (number, name.clone()))
                .collect(),
        })
    }

    /// The bits of a mark that the traffic class is in.
    pub fn class_bits(&self) -> u32 {
        self.class.bits()
    }

    /// The bits of a mark that the application is in.
    pub fn application_bits(&self) -> u32 {
        self.application.bits()
    }

    /// The bits of a mark that the uplink is in.
    pub fn provider_bits(&self) -> u32 {
        self.uplink.bits()
    }

    /// The traffic class (`prio`).
    pub fn class(&self, mark: u32) -> Cow<'_, str> {
        self.class.name(mark)
    }

    /// The application (`ndpi`).
    pub fn application(&self, mark: u32) -> Cow<'_, str> {
        self.application.name(mark)
    }

    /// The uplink (`provider`).
    pub fn provider(&self, mark: u32) -> Cow<'_, str> {
        self.uplink.name(mark)
    }
}

impl Field {
    fn new(field: &config::Field) -> Self {
        Self {
            shift: field.shift,
            mask: field.mask,
            names: field
                .names
                .iter()
                .map(|(number, name)| (number.0, name.clone()))
                .collect(),
        }
    }

    fn bits(&self) -> u32 {
        self.mask.checked_shl(self.shift).unwrap_or(0)
    }

    /// The number's name; without one the number, and nothing where it is 0 and so not set.
    fn name(&self, mark: u32) -> Cow<'_, str> {
        let number = mark.checked_shr(self.shift).unwrap_or(0) & self.mask;
        match self.names.get(&number) {
            Some(name) => Cow::Borrowed(name),
            None if number == 0 => Cow::Borrowed(""),
            None => Cow::Owned(number.to_string()),
        }
    }
}

/// The applications in a list such as `/proc/net/xt_ndpi/proto`; none where there is no list.
fn applications(list: &Path) -> BTreeMap<u32, String> {
    let mut text = Vec::new();
    match File::open(list).and_then(|file| file.take(LIST_LIMIT).read_to_end(&mut text)) {
        Ok(_) => parse_applications(&String::from_utf8_lossy(&text)),
        Err(_) => BTreeMap::new(),
    }
}

/// One application a line: number in hexadecimal, mark and mask, name, and more that differs from
/// version to version. Number 0 is nDPI's word for "not known".
fn parse_applications(text: &str) -> BTreeMap<u32, String> {
    text.lines()
        .filter(|line| !line.trim_start().starts_with('#'))
        .filter_map(|line| {
            let mut columns = line.split_whitespace();
            let number = u32::from_str_radix(columns.next()?, 16).ok()?;
            let _mark = columns.next()?;
            let name = columns.next()?;
            (number != 0 && !name.starts_with('#')).then(|| (number, name.to_owned()))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    fn names(config: &Config, mark: u32) -> [String; 3] {
        let marks = Marks::new(&config.marks);
        [
            marks.class(mark),
            marks.application(mark),
            marks.provider(mark),
        ]
        .map(Cow::into_owned)
    }

    #[test]
    fn the_document_s_mark_has_the_document_s_names() {
        assert_eq!(names(&Config::default(), 0x5b03), ["low", "SSL", ""]);
    }

    #[test]
    fn an_unset_mark_is_the_default_class_and_nothing_else() {
        assert_eq!(names(&Config::default(), 0), ["default", "", ""]);
    }

    #[test]
    fn a_number_without_a_name_shows_as_the_number() {
        assert_eq!(names(&Config::default(), 0x0002_fe77), ["119", "254", "2"]);
    }

    #[test]
    fn shifts_masks_and_tables_are_configuration() {
        let text = "
            [marks.uplink]
            shift = 28
            mask = 0xf
            names = { 1 = 'fibre', 2 = 'lte' }
            [marks.class]
            shift = 0
            mask = 0x0
            names = {}
        ";
        let config = Config::parse(text, Path::new("test")).unwrap();
        assert_eq!(names(&config, 0x2000_5b03), ["", "SSL", "lte"]);
        assert_eq!(names(&config, 0x1000_0000), ["", "", "fibre"]);
    }

    #[test]
    fn the_kernel_s_list_of_applications_is_read_whatever_surrounds_it() {
        let list = "\
#id     mark ~mask     name   # count #version 4.8
00         0/000000ff unknown          # 12
05         5/000000ff DNS              # 7 debug=0
5b        5b/000000ff TLS
  92 disabled WhatsApp # 0

zz 1/ff Nonsense
07
08 8/ff
09 9/ff #
ffffffffff 1/ff TooLarge
";
        let expected: BTreeMap<u32, String> = [(5, "DNS"), (0x5b, "TLS"), (0x92, "WhatsApp")]
            .map(|(number, name)| (number, name.to_owned()))
            .into();
        assert_eq!(parse_applications(list), expected);
    }

    #[test]
    fn the_kernel_s_list_names_applications_before_the_configuration_does() {
        let list = std::env::temp_dir().join(format!("tracklight-ndpi-{}", std::process::id()));
        std::fs::write(&list, "5b 5b/ff TLS\n").unwrap();
        let mut config = Config::default();
        config.marks.application.list.clone_from(&list);
        let [_, application, _] = names(&config, 0x5b03);
        let [_, other, _] = names(&config, 0x0500);
        std::fs::remove_file(&list).unwrap();
        assert_eq!((application.as_str(), other.as_str()), ("TLS", "DNS"));
    }
}
