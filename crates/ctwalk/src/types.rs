//! The types of the kernel that the program names, cut out of all that it has.
//!
//! The loader looks through all 130,000 types for each name in the program, most of the time that
//! it takes. Here they are looked through once. What is written is type information too (BTF, as
//! the kernel's documentation describes it), with pointers to nothing: the program follows none of
//! them by its type.

use std::collections::HashMap;
use std::ops::Deref;

use zerocopy::IntoBytes;

/// Types that the program names (`bpf/kernel.h`); what is in them comes along.
const NAMED: [&str; 9] = [
    "nf_conn",
    "nf_ct_ext",
    "nf_ct_ext_id",
    "nf_conn_acct",
    "nf_conn_tstamp",
    "nf_conn_help",
    "nf_conntrack_helper",
    "task_struct",
    "nsproxy",
];

/// Two words, which every kernel has.
const WORDS: &str = "timespec64";

/// The types that the program needs.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Types {
    /// As the loader takes them.
    pub(crate) btf: Vec<u8>,
    /// Number of `struct timespec64` among all of the kernel's.
    pub(crate) words: u32,
}

impl Types {
    /// Those of a kernel, by the information that `file` gives of it and of its modules; `None` if
    /// that is not as it is known, so that the loader has to find out for itself.
    pub(crate) fn of<T: Deref<Target = [u8]>>(file: impl Fn(&str) -> Option<T>) -> Option<Self> {
        let bytes = file("vmlinux")?;
        let kernel = All::of(&bytes, None)?;
        let mut found = kernel.find()?;
        let words = *found.get(WORDS)?.first()?;
        if NAMED.iter().all(|name| found.contains_key(name)) {
            let btf = Cut::of(&kernel, &found)?;
            return Some(Self { btf, words });
        }
        // What the kernel has not is the module's own.
        let bytes = file("nf_conntrack")?;
        let module = All::of(&bytes, Some(&kernel))?;
        for (name, ids) in module.find()? {
            found.entry(name).or_insert(ids);
        }
        let btf = Cut::of(&module, &found)?;
        Some(Self { btf, words })
    }
}

/// Numbers of types by their names.
type Found = HashMap<&'static str, Vec<u32>>;

/// Type information of the kernel, or of a module, whose numbers and strings go on behind the kernel's.
struct All<'a> {
    base: Option<&'a All<'a>>,
    types: &'a [u8],
    strings: &'a [u8],
    /// Of the first type, and of the first byte of the strings.
    first: u32,
    first_string: usize,
    /// Where each type begins.
    places: Vec<u32>,
}

const MAGIC: u16 = 0xeb9f;
/// Bytes that every type begins with.
const HEAD: usize = 12;

const PTR: u32 = 2;
const STRUCT: u32 = 4;
const UNION: u32 = 5;
const ENUM: u32 = 6;
const FUNC_PROTO: u32 = 13;

/// The words of a type that are numbers of other types, and those that are places of names: the
/// first of them, how far the next is, and how many.
struct Layout {
    /// Words behind the head.
    words: usize,
    /// Whether the head has the number of a type, and not a size.
    refers: bool,
    names: (usize, usize, usize),
    ids: (usize, usize, usize),
}

impl Layout {
    /// `None` for a kind that is not known.
    const fn of(info: u32) -> Option<Self> {
        let many = (info & 0xffff) as usize;
        const NONE: (usize, usize, usize) = (0, 1, 0);
        let (words, refers, names, ids) = match info >> 24 & 0x1f {
            // INT, VAR, DECL_TAG: a word that means neither.
            1 => (1, false, NONE, NONE),
            14 | 17 => (1, true, NONE, NONE),
            // PTR, TYPEDEF, VOLATILE, CONST, RESTRICT, FUNC, TYPE_TAG.
            PTR | 8..=12 | 18 => (0, true, NONE, NONE),
            // ARRAY: of what, by what, how many.
            3 => (3, false, NONE, (0, 1, 2)),
            // Members: name, type, place.
            STRUCT | UNION => (3 * many, false, (0, 3, many), (1, 3, many)),
            // Values: name, number of one word or of two.
            ENUM => (2 * many, false, (0, 2, many), NONE),
            19 => (3 * many, false, (0, 3, many), NONE),
            // FWD, FLOAT.
            7 | 16 => (0, false, NONE, NONE),
            // Parameters: name, type.
            FUNC_PROTO => (2 * many, true, (0, 2, many), (1, 2, many)),
            // DATASEC: variable, place, size.
            15 => (3 * many, false, NONE, (0, 3, many)),
            _ => return None,
        };
        Some(Self {
            words,
            refers,
            names,
            ids,
        })
    }
}

impl<'a> All<'a> {
    fn of(bytes: &'a [u8], base: Option<&'a Self>) -> Option<Self> {
        let magic = bytes.get(..2)?.try_into().ok()?;
        if u16::from_ne_bytes(magic) != MAGIC {
            return None;
        }
        let header = |at| Some(word(bytes, at)? as usize);
        let section = |at: usize| {
            let begin = header(4)? + header(at)?;
            bytes.get(begin..begin + header(at + 4)?)
        };
        let (types, strings) = (section(8)?, section(16)?);
        // Every name ends.
        if strings.last() != Some(&0) {
            return None;
        }
        let mut places = Vec::with_capacity(types.len() / 24);
        let mut at = 0;
        while at < types.len() {
            places.push(at as u32);
            at += HEAD + 4 * Layout::of(word(types, at + 4)?)?.words;
        }
        Some(Self {
            base,
            types,
            strings,
            first: base.map_or(1, |base| base.first + base.places.len() as u32),
            first_string: base.map_or(0, |base| base.first_string + base.strings.len()),
            places,
        })
    }

    /// The bytes of a type.
    fn get(&self, id: u32) -> Option<&'a [u8]> {
        let Some(index) = id.checked_sub(self.first) else {
            return self.base?.get(id);
        };
        let begin = *self.places.get(index as usize)? as usize;
        let end = self.places.get(index as usize + 1);
        self.types
            .get(begin..end.map_or(self.types.len(), |&end| end as usize))
    }

    /// A name, and what is behind it.
    fn text(&self, place: u32) -> Option<&'a [u8]> {
        match (place as usize).checked_sub(self.first_string) {
            Some(at) => self.strings.get(at..),
            None => self.base?.text(place),
        }
    }

    /// Numbers of the structures and enumerations that are wanted.
    fn find(&self) -> Option<Found> {
        let mut found = Found::new();
        for (id, &place) in (self.first..).zip(&self.places) {
            let info = word(self.types, place as usize + 4)?;
            if !matches!(info >> 24 & 0x1f, STRUCT | ENUM) {
                continue;
            }
            let text = self.text(word(self.types, place as usize)?)?;
            let wanted = NAMED
                .iter()
                .chain([&WORDS])
                .find(|name| text.starts_with(name.as_bytes()) && text.get(name.len()) == Some(&0));
            if let Some(name) = wanted {
                found.entry(*name).or_default().push(id);
            }
        }
        Some(found)
    }
}

/// What is kept of all types.
struct Cut<'a> {
    all: &'a All<'a>,
    /// Numbers from now on, by those before.
    numbers: HashMap<u32, u32>,
    kept: Vec<u32>,
}

impl<'a> Cut<'a> {
    fn of(all: &'a All<'a>, found: &Found) -> Option<Vec<u8>> {
        let mut cut = Self {
            all,
            numbers: HashMap::new(),
            kept: Vec::new(),
        };
        for name in NAMED {
            for id in found.get(name)? {
                cut.keep(*id)?;
            }
        }
        cut.write()
    }

    /// The type, and all that is in it.
    fn keep(&mut self, id: u32) -> Option<()> {
        let mut next = vec![id];
        while let Some(id) = next.pop() {
            if id == 0 || self.numbers.contains_key(&id) {
                continue;
            }
            self.kept.push(id);
            self.numbers.insert(id, self.kept.len() as u32);
            let bytes = self.all.get(id)?;
            let info = word(bytes, 4)?;
            let layout = Layout::of(info)?;
            if layout.refers && !is_pointer(info) {
                next.push(word(bytes, 8)?);
            }
            for at in places(layout.ids) {
                next.push(word(bytes, at)?);
            }
        }
        Some(())
    }

    fn write(&self) -> Option<Vec<u8>> {
        let mut types = Vec::new();
        let mut strings = vec![0];
        let mut known = HashMap::from([(0, 0)]);
        for &id in &self.kept {
            let mut bytes = self.all.get(id)?.to_vec();
            let info = word(&bytes, 4)?;
            let layout = Layout::of(info)?;
            for at in [0].into_iter().chain(places(layout.names)) {
                let place = word(&bytes, at)?;
                let text = self.all.text(place)?;
                let name = text.split_inclusive(|&byte| byte == 0).next()?;
                let now = *known.entry(place).or_insert_with(|| {
                    let now = strings.len() as u32;
                    strings.extend_from_slice(name);
                    now
                });
                put(&mut bytes, at, now)?;
            }
            if is_pointer(info) {
                put(&mut bytes, 8, 0)?;
            } else {
                let head = layout.refers.then_some(8);
                for at in head.into_iter().chain(places(layout.ids)) {
                    let before = word(&bytes, at)?;
                    let now = self.numbers.get(&before).copied().unwrap_or(0);
                    put(&mut bytes, at, now)?;
                }
            }
            types.extend_from_slice(&bytes);
        }
        let (of_types, of_strings) = (types.len() as u32, strings.len() as u32);
        let mut btf = MAGIC.to_ne_bytes().to_vec();
        // Version 1, no flags.
        btf.extend_from_slice(&[1, 0]);
        btf.extend_from_slice([24, 0, of_types, of_types, of_strings].as_bytes());
        btf.extend_from_slice(&types);
        btf.extend_from_slice(&strings);
        Some(btf)
    }
}

const fn is_pointer(info: u32) -> bool {
    info >> 24 & 0x1f == PTR
}

/// Places of words in a type's bytes.
fn places((first, step, many): (usize, usize, usize)) -> impl Iterator<Item = usize> {
    (0..many).map(move |index| HEAD + 4 * (first + step * index))
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

fn put(bytes: &mut [u8], at: usize, number: u32) -> Option<()> {
    bytes
        .get_mut(at..at + 4)?
        .copy_from_slice(&number.to_ne_bytes());
    Some(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn text(strings: &[u8], place: u32) -> String {
        let text = strings
            .get(place as usize..)
            .expect("inside of the strings");
        let end = text.iter().position(|&byte| byte == 0).expect("an end");
        String::from_utf8_lossy(text.get(..end).unwrap()).into_owned()
    }

    /// Kinds and names of the types in what was cut. Every number and every name is there.
    fn check(btf: &[u8]) -> Vec<(u32, String)> {
        let all = All::of(btf, None).expect("can be read again");
        assert_eq!(all.strings.first(), Some(&0));
        let ids = 0..=all.places.len() as u32;
        let mut names = Vec::new();
        for id in ids.clone().skip(1) {
            let bytes = all.get(id).unwrap();
            let info = word(bytes, 4).unwrap();
            let layout = Layout::of(info).unwrap();
            assert_eq!(bytes.len(), HEAD + 4 * layout.words);
            for at in places(layout.names) {
                text(all.strings, word(bytes, at).unwrap());
            }
            let head = layout.refers.then_some(8);
            for at in head.into_iter().chain(places(layout.ids)) {
                assert!(ids.contains(&word(bytes, at).unwrap()), "{id}");
            }
            let name = text(all.strings, word(bytes, 0).unwrap());
            names.push((info >> 24 & 0x1f, name));
        }
        names
    }

    #[test]
    fn a_kernels_types_are_cut_to_those_that_are_named_and_what_is_in_them() {
        let file = |name: &str| std::fs::read(format!("/sys/kernel/btf/{name}")).ok();
        let Some(kernel) = file("vmlinux") else {
            testkit::skip("this kernel has no type information");
            return;
        };
        let types = Types::of(file).expect("types of this kernel");
        let names = check(&types.btf);
        for name in NAMED {
            assert!(names.iter().any(|(_, known)| known == name), "{name}");
        }
        println!("{} types in {} bytes", names.len(), types.btf.len());
        assert!(names.len() < 4_000, "{}", names.len());
        assert!(types.btf.len() < kernel.len() / 20, "{}", types.btf.len());
        let all = All::of(&kernel, None).unwrap();
        let words = all.get(types.words).unwrap();
        assert_eq!(text(all.strings, word(words, 0).unwrap()), WORDS);
        assert_eq!(word(words, 8), Some(16), "two words");
    }

    #[test]
    fn the_program_is_loaded_with_what_was_cut() {
        let Some(_privileged) = testkit::TestNamespace::new() else {
            return;
        };
        let here = crate::refusal::System::this();
        if let Err(refusal) = crate::refusal::foresee(&here, true) {
            testkit::skip(&refusal.to_string());
            return;
        }
        let (program, _) = crate::program::Program::load(1).unwrap();
        assert!(program.is_in_place());
    }

    /// Types as they are written, one after the other.
    #[derive(Clone, Default)]
    struct Written {
        types: Vec<u32>,
        strings: Vec<u8>,
        /// Where this one's strings begin.
        first_string: usize,
    }

    const INT: u32 = 1;
    const ARRAY: u32 = 3;
    const TYPEDEF: u32 = 8;

    impl Written {
        fn new() -> Self {
            Self {
                strings: vec![0],
                ..Self::default()
            }
        }

        /// What goes on behind another.
        fn behind(other: &Self) -> Self {
            Self {
                first_string: other.first_string + other.strings.len(),
                ..Self::default()
            }
        }

        fn name(&mut self, name: &str) -> u32 {
            let place = self.first_string + self.strings.len();
            self.strings.extend_from_slice(name.as_bytes());
            self.strings.push(0);
            place as u32
        }

        fn put(&mut self, kind: u32, many: u32, name: &str, last: u32, words: &[u32]) {
            let name = self.name(name);
            self.types.extend([name, kind << 24 | many, last]);
            self.types.extend(words);
        }

        /// A structure of one member.
        fn put_struct(&mut self, name: &str, member: u32) {
            let inner = self.name("member");
            self.put(STRUCT, 1, name, 16, &[inner, member, 0]);
        }

        fn bytes(&self) -> Vec<u8> {
            let types = self.types.as_bytes();
            let (of_types, of_strings) = (types.len() as u32, self.strings.len() as u32);
            let mut btf = MAGIC.to_ne_bytes().to_vec();
            btf.extend_from_slice(&[1, 0]);
            btf.extend_from_slice([24, 0, of_types, of_types, of_strings].as_bytes());
            btf.extend_from_slice(types);
            btf.extend_from_slice(&self.strings);
            btf
        }
    }

    /// A kernel that has all but some of the named types, and others between them.
    fn kernel(module: &[&str]) -> (Written, u32) {
        let mut kernel = Written::new();
        kernel.put(INT, 0, "unsigned long", 8, &[64]);
        kernel.put_struct("nobody_asked", 1);
        // Beginnings and ends of names are not the names.
        kernel.put_struct("nf_conn_", 1);
        kernel.put_struct("nsprox", 1);
        kernel.put_struct(WORDS, 1);
        kernel.put(ARRAY, 0, "", 0, &[1, 1, 4]);
        // A pointer to what is not wanted, and a name for it.
        kernel.put(PTR, 0, "", 2, &[]);
        kernel.put(TYPEDEF, 0, "far_t", 7, &[]);
        let mut count = 8;
        for name in NAMED.iter().filter(|name| !module.contains(name)) {
            count += 1;
            if *name == "nf_ct_ext_id" {
                let value = kernel.name("NF_CT_EXT_ACCT");
                kernel.put(ENUM, 1, name, 4, &[value, 2]);
            } else {
                kernel.put_struct(name, if count % 2 == 0 { 6 } else { 8 });
            }
        }
        (kernel, count)
    }

    fn of_kernel(bytes: &[u8]) -> Option<Types> {
        Types::of(|name| (name == "vmlinux").then(|| bytes.to_vec()))
    }

    #[test]
    fn what_nobody_names_is_cut_off_and_pointers_lead_nowhere() {
        let (kernel, _) = kernel(&[]);
        let types = of_kernel(&kernel.bytes()).unwrap();
        assert_eq!(types.words, 5);
        let names = check(&types.btf);
        let of_kind = |wanted: u32| {
            let of_kind = names.iter().filter(move |(kind, _)| *kind == wanted);
            of_kind
                .map(|(_, name)| name.as_str())
                .collect::<BTreeSet<_>>()
        };
        let structs = NAMED.into_iter().filter(|name| *name != "nf_ct_ext_id");
        assert_eq!(of_kind(STRUCT), structs.collect());
        assert_eq!(of_kind(ENUM), ["nf_ct_ext_id"].into());
        assert_eq!(of_kind(TYPEDEF), ["far_t"].into());
        let all = All::of(&types.btf, None).unwrap();
        let pointer = names.iter().position(|(kind, _)| *kind == PTR).unwrap();
        assert_eq!(word(all.get(pointer as u32 + 1).unwrap(), 8), Some(0));
    }

    #[test]
    fn a_modules_types_go_on_behind_the_kernels() {
        let extensions = ["nf_conn_acct", "nf_conn_tstamp", "nf_ct_ext_id"];
        let (kernel, count) = kernel(&extensions);
        let mut module = Written::behind(&kernel);
        // Of the kernel's array, of its own number, and of one that comes later.
        module.put(INT, 0, "short", 2, &[16]);
        module.put_struct("nf_conn_acct", 6);
        module.put_struct("nf_conn_tstamp", count + 5);
        let value = module.name("NF_CT_EXT_ACCT");
        module.put(ENUM, 1, "nf_ct_ext_id", 4, &[value, 2]);
        module.put(TYPEDEF, 0, "late_t", count + 1, &[]);
        // Named by both: the kernel's is taken.
        module.put(STRUCT, 0, "nf_conn", 4, &[]);
        let file = |name: &str| match name {
            "vmlinux" => Some(kernel.bytes()),
            "nf_conntrack" => Some(module.bytes()),
            _ => None,
        };
        let types = Types::of(file).unwrap();
        assert_eq!(types.words, 5);
        let names = check(&types.btf);
        for name in NAMED
            .into_iter()
            .chain(["unsigned long", "short", "late_t"])
        {
            let times = names.iter().filter(|(_, known)| known == name).count();
            assert_eq!(times, 1, "{name}");
        }
        let conn = names
            .iter()
            .position(|(_, name)| name == "nf_conn")
            .unwrap();
        let all = All::of(&types.btf, None).unwrap();
        assert_eq!(word(all.get(conn as u32 + 1).unwrap(), 8), Some(16));
        // Without the module's they are not all there.
        assert_eq!(of_kernel(&kernel.bytes()), None);
    }

    #[test]
    fn a_type_that_holds_itself_is_kept_once() {
        let (mut kernel, count) = kernel(&["nf_conn"]);
        kernel.put_struct("nf_conn", count + 2);
        kernel.put(ARRAY, 0, "", 0, &[count + 1, 1, 4]);
        check(&of_kernel(&kernel.bytes()).unwrap().btf);
    }

    #[test]
    fn a_name_without_an_end_is_refused() {
        let (mut kernel, count) = kernel(&["nf_conn"]);
        kernel.put_struct("nf_conn", count + 2);
        kernel.put(TYPEDEF, 0, "last_t", 1, &[]);
        assert!(of_kernel(&kernel.bytes()).is_some());
        kernel.strings.pop();
        assert_eq!(of_kernel(&kernel.bytes()), None);
    }

    proptest! {
        #[test]
        fn what_is_cut_off_or_changed_is_refused_or_as_good_as_any(
            end in 0usize..2_000,
            changes in proptest::collection::vec((0usize..1_200, any::<u8>()), 0..4),
        ) {
            let (kernel, _) = kernel(&[]);
            let mut bytes = kernel.bytes();
            for (at, byte) in changes {
                let at = at % bytes.len();
                if let Some(place) = bytes.get_mut(at) {
                    *place = byte;
                }
            }
            bytes.truncate(end);
            if let Some(types) = of_kernel(&bytes) {
                check(&types.btf);
            }
        }
    }
}
