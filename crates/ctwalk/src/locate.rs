//! Finds the table and the key of ids in the kernel's memory.
//!
//! Both are variables whose addresses a kernel without `CONFIG_KALLSYMS_ALL` tells nobody. But it
//! tells where its functions are, and functions that use a variable have its address in their
//! instructions. Every address that could be meant is tried, and taken only if what is there proves
//! itself: a table by its chains, which end in the numbers of their buckets, a key by the id that it
//! gives to an entry whose id is known. docs/bpf.md says more.

use std::collections::HashSet;

use crate::refusal::Refusal;

/// The kernel's memory, and the addresses of its functions.
pub(crate) trait Memory {
    /// Reads bytes; `None` if not all of them can be read.
    fn read(&self, address: u64, to: &mut [u8]) -> Option<()>;
    /// Address of a function.
    fn function(&self, name: &str) -> Option<u64>;

    fn word(&self, address: u64) -> Option<u64> {
        let mut bytes = [0; 8];
        self.read(address, &mut bytes)?;
        Some(u64::from_ne_bytes(bytes))
    }
}

/// Functions that use the table, the likeliest first.
const USERS: [&str; 3] = [
    "nf_conntrack_hash_check_insert",
    "nf_conntrack_find_get",
    "nf_conntrack_hash_resize",
];

/// How much of a function is looked at.
const CODE: usize = 2048;

/// The table as it was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Table {
    /// Address of `nf_conntrack_hash`, the pointer.
    pub(crate) variable: u64,
    /// Address of the first bucket.
    pub(crate) address: u64,
    /// Number of buckets.
    pub(crate) buckets: u32,
}

/// Finds the table; `buckets` asks for the number that the kernel tells.
pub(crate) fn table(
    memory: &impl Memory,
    buckets: impl Fn() -> Option<u32>,
) -> Result<Table, Refusal> {
    let mut is_known = false;
    for name in USERS {
        let Some(function) = memory.function(name) else {
            continue;
        };
        is_known = true;
        let Some(code) = code(memory, function) else {
            continue;
        };
        for variable in addresses(&code, function) {
            if let Some(table) = table_of(memory, variable, &buckets) {
                return Ok(table);
            }
        }
    }
    if is_known {
        Err(Refusal::Table)
    } else {
        Err(Refusal::Symbols)
    }
}

/// The table that a variable points to now, if it is one.
pub(crate) fn table_of(
    memory: &impl Memory,
    variable: u64,
    buckets: impl Fn() -> Option<u32>,
) -> Option<Table> {
    let address = memory.word(variable)?;
    if !is_kernel(address) || !address.is_multiple_of(4096) {
        return None;
    }
    let table = Table {
        variable,
        address,
        buckets: buckets()?,
    };
    // Between the two, the table may have been replaced; around that moment the number that is told
    // is not always the table's. If there were more buckets, the next would end in its own number.
    let is_stable = || memory.word(variable) == Some(address) && buckets() == Some(table.buckets);
    let is_all = || !ends_in_its_number(memory, table, table.buckets.into());
    (has_chains(memory, table) && is_all() && is_stable()).then_some(table)
}

/// How many buckets are tried.
const SAMPLES: u32 = 16;

/// Whether chains from beginning to end of the table end in the numbers of their buckets. A chain
/// that is changed while it is followed may not; most must.
fn has_chains(memory: &impl Memory, table: Table) -> bool {
    let last = u64::from(table.buckets.saturating_sub(1));
    let ends = (0..SAMPLES).filter(|&sample| {
        let bucket = last * u64::from(sample) / u64::from(SAMPLES - 1);
        (0..3).any(|_| ends_in_its_number(memory, table, bucket))
    });
    ends.count() >= SAMPLES as usize * 3 / 4
}

fn ends_in_its_number(memory: &impl Memory, table: Table, bucket: u64) -> bool {
    let mut next = memory.word(table.address + 8 * bucket);
    for _ in 0..4096 {
        match next {
            Some(node) if node & 1 == 1 => return node >> 1 == bucket,
            Some(node) if is_kernel(node) => next = memory.word(node),
            _ => return false,
        }
    }
    false
}

/// The keys that ids may be made with: sixteen bytes at each address that `nf_ct_get_id` uses.
pub(crate) fn keys(memory: &impl Memory) -> Result<impl Iterator<Item = [u64; 2]>, Refusal> {
    let function = memory.function("nf_ct_get_id").ok_or(Refusal::Symbols)?;
    let code = code(memory, function).ok_or(Refusal::Symbols)?;
    let addresses = addresses(&code, function).into_iter();
    Ok(addresses
        .filter_map(|address| Some([memory.word(address)?, memory.word(address + 8)?]))
        .filter(|key| *key != [0, 0]))
}

/// The beginning of a function: less of it where its page is the last that can be read.
fn code(memory: &impl Memory, function: u64) -> Option<Vec<u8>> {
    let rest = (4096 - function % 4096) as usize;
    [CODE, rest.min(CODE)].into_iter().find_map(|length| {
        let mut code = vec![0; length];
        memory.read(function, &mut code).map(|()| code)
    })
}

/// The upper half of the address space, where kernels are. Tables of pages with five levels reach down
/// to `0xff00…`, those with four to `0xffff_8…`.
const fn is_kernel(address: u64) -> bool {
    address >> 56 == 0xff && address.is_multiple_of(8)
}

/// Every address in the kernel that instructions may mean, the likeliest first.
fn addresses(code: &[u8], at: u64) -> Vec<u64> {
    let mut found = if cfg!(target_arch = "aarch64") {
        addresses_of_aarch64(code, at)
    } else {
        addresses_of_x86_64(code, at)
    };
    let mut known = HashSet::new();
    found.retain(|&address| is_variable(address) && known.insert(address));
    found
}

/// Where the variables of the kernel and of its modules are. On x86-64 they are in the last two gigabytes,
/// but for the last 16 megabytes, where devices' memory may be (fixmap).
const fn is_variable(address: u64) -> bool {
    let is_image = address >> 31 == u64::MAX >> 31 && address < 0xffff_ffff_ff00_0000;
    is_kernel(address) && (is_image || cfg!(not(target_arch = "x86_64")))
}

/// Four bytes at any place are taken for an absolute address, and for a distance from the end of an
/// instruction that ends with them, or with one to four more bytes.
fn addresses_of_x86_64(code: &[u8], at: u64) -> Vec<u64> {
    let (mut likely, mut found) = (Vec::new(), Vec::new());
    for (place, bytes) in (at..).zip(code.windows(5)) {
        let &[form, a, b, c, d] = bytes else { continue };
        let number = i64::from(i32::from_le_bytes([a, b, c, d])).cast_unsigned();
        let relative = |end| place.wrapping_add(end).wrapping_add(number);
        // What most instructions have before a distance: a register, and that it is one (ModRM).
        if form & 0xc7 == 0x05 {
            likely.push(relative(5));
        }
        found.push(number);
        found.extend((5..=9).map(relative));
    }
    likely.append(&mut found);
    likely
}

/// `adrp` puts the address of a page into a register; `add`, `ldr` (of 64 and of 32 bits) add the
/// place in the page, up to a few instructions later.
fn addresses_of_aarch64(code: &[u8], at: u64) -> Vec<u64> {
    const NEAR: usize = 16;
    let words: Vec<u32> = code
        .chunks_exact(4)
        .filter_map(|bytes| Some(u32::from_le_bytes(bytes.try_into().ok()?)))
        .collect();
    let mut found = Vec::new();
    for (index, &word) in words.iter().enumerate() {
        if word & 0x9f00_0000 != 0x9000_0000 {
            continue;
        }
        let pages = u64::from((word >> 5 & 0x7_ffff) << 2 | word >> 29 & 3);
        let distance = (pages << 43).cast_signed() >> 31;
        let page = ((at + 4 * index as u64) & !0xfff).wrapping_add(distance.cast_unsigned());
        found.push(page);
        let register = word & 0x1f;
        for &user in words.iter().skip(index + 1).take(NEAR) {
            if user >> 5 & 0x1f != register {
                continue;
            }
            let number = u64::from(user >> 10 & 0xfff);
            match user & 0xffc0_0000 {
                0x9100_0000 => found.push(page.wrapping_add(number)),
                0xf940_0000 => found.push(page.wrapping_add(8 * number)),
                0xb940_0000 => found.push(page.wrapping_add(4 * number)),
                _ => {}
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    /// Pages of eight-byte words, and functions.
    #[derive(Default)]
    struct Fake {
        words: HashMap<u64, u64>,
        code: HashMap<&'static str, (u64, Vec<u8>)>,
    }

    impl Memory for Fake {
        fn read(&self, address: u64, to: &mut [u8]) -> Option<()> {
            if let Some((_, code)) = self.code.values().find(|(at, _)| *at == address) {
                for (to, from) in to
                    .iter_mut()
                    .zip(code.iter().chain(std::iter::repeat(&0x90)))
                {
                    *to = *from;
                }
                return Some(());
            }
            for (word, chunk) in (address..).step_by(8).zip(to.chunks_mut(8)) {
                let bytes = self.words.get(&word)?.to_ne_bytes();
                chunk.copy_from_slice(bytes.get(..chunk.len())?);
            }
            Some(())
        }

        fn function(&self, name: &str) -> Option<u64> {
            self.code.get(name).map(|(at, _)| *at)
        }
    }

    const TEXT: u64 = 0xffff_ffff_8100_0000;
    const VARIABLE: u64 = 0xffff_ffff_8326_a5c8;
    const TABLE: u64 = 0xffff_c900_0860_0000;
    const NODE: u64 = 0xffff_8881_2a4c_0010;
    const BUCKETS: u32 = 1024;

    /// A kernel with a table of which one bucket has two nodes, used by one instruction.
    fn kernel(code: Vec<u8>) -> Fake {
        let mut fake = Fake::default();
        fake.code.insert("nf_conntrack_find_get", (TEXT, code));
        fake.words.insert(VARIABLE, TABLE);
        for bucket in 0..u64::from(BUCKETS) {
            fake.words.insert(TABLE + 8 * bucket, 2 * bucket + 1);
        }
        fake.words.insert(TABLE, NODE);
        fake.words.insert(NODE, NODE + 256);
        fake.words.insert(NODE + 256, 1);
        fake
    }

    /// `mov rax, [rip + distance]`, behind a few bytes of something else.
    fn relative() -> Vec<u8> {
        let mut code = vec![0x55, 0x48, 0x8b, 0x05];
        let distance = VARIABLE.wrapping_sub(TEXT + 8) as u32;
        code.extend(distance.to_le_bytes());
        code
    }

    #[test]
    fn the_table_is_found_by_its_distance_and_by_its_address() {
        let wanted = Table {
            variable: VARIABLE,
            address: TABLE,
            buckets: BUCKETS,
        };
        let absolute = {
            let mut code = vec![0x48, 0xc7, 0xc2];
            code.extend((VARIABLE as u32).to_le_bytes());
            code
        };
        for code in [relative(), absolute] {
            assert_eq!(table(&kernel(code), || Some(BUCKETS)).unwrap(), wanted);
        }
    }

    #[test]
    fn a_machine_with_five_levels_of_pages_has_its_table_further_down() {
        const TABLE: u64 = 0xff35_9aac_4005_0000;
        let mut fake = kernel(relative());
        fake.words.insert(VARIABLE, TABLE);
        for bucket in 0..u64::from(BUCKETS) {
            fake.words
                .insert(TABLE + 8 * bucket, 0xff11_0001_0203_0410 + 256 * bucket);
            fake.words
                .insert(0xff11_0001_0203_0410 + 256 * bucket, 2 * bucket + 1);
        }
        assert_eq!(table(&fake, || Some(BUCKETS)).unwrap().address, TABLE);
    }

    #[test]
    fn what_is_no_table_is_not_taken_for_one() {
        let mut fake = kernel(relative());
        // Some other array of words that look like ends of chains, by one off.
        for bucket in 0..u64::from(BUCKETS) {
            fake.words.insert(TABLE + 8 * bucket, 2 * bucket + 3);
        }
        assert_eq!(table(&fake, || Some(BUCKETS)), Err(Refusal::Table));
        // The wrong number of buckets: there is nothing where the last should be.
        let fake = kernel(relative());
        assert_eq!(table(&fake, || Some(BUCKETS * 4)), Err(Refusal::Table));
        // A kernel that does not tell where its functions are.
        assert_eq!(
            table(&Fake::default(), || Some(BUCKETS)),
            Err(Refusal::Symbols)
        );
    }

    #[test]
    fn a_page_and_a_place_in_it_make_an_address_on_aarch64() {
        let at = 0xffff_8000_1008_0ff8;
        // adrp x1, +0x1a26 pages; ldr x2, [x1, #0x5c8]; add x3, x1, #0x123; adrp x4, -1 page.
        let pages: u32 = 0x1a26;
        let adrp = |pages: u32, register: u32| {
            0x9000_0000 | (pages & 3) << 29 | (pages >> 2 & 0x7_ffff) << 5 | register
        };
        let code: Vec<u8> = [
            adrp(pages, 1),
            0xf940_0000 | (0x5c8 / 8) << 10 | 1 << 5 | 2,
            0x9100_0000 | 0x123 << 10 | 1 << 5 | 3,
            adrp(u32::MAX, 4),
        ]
        .into_iter()
        .flat_map(u32::to_le_bytes)
        .collect();
        let page = 0xffff_8000_1008_0000 + (u64::from(pages) << 12);
        let found = addresses_of_aarch64(&code, at);
        // The fourth instruction is in the next page, and means the one before.
        let back = 0xffff_8000_1008_0000;
        assert_eq!(found, [page, page + 0x5c8, page + 0x123, back]);
    }
}
