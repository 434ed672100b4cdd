//! The BPF programs in the kernel: loaded, run, and what they write.
#![allow(unsafe_code)]

use std::fs::File;
use std::io::{self, Write};
use std::mem::size_of;
use std::ops::Deref;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::ptr;
use std::sync::{Mutex, PoisonError};

use libbpf_rs::{MapCore, ObjectBuilder, PrintLevel};
use rustix::fs::{MemfdFlags, memfd_create};
use zerocopy::IntoBytes;

use crate::filter::{MOST_TESTS, Test, Tests};
use crate::locate::Memory;
use crate::refusal::{Refusal, of_load};
use crate::slot::layout::{ANSWER, REGION, SLOT, TESTS};
use crate::slot::{Answer, Ask};
use crate::types::Types;

static OBJECT: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/walk.bpf.o"));

/// The programs. They are gone from the kernel when this is dropped.
pub(crate) struct Program {
    /// Whether memory is read in place, which is faster, or by a helper.
    is_in_place: bool,
    find: OwnedFd,
    walk: OwnedFd,
    peek: Mutex<(OwnedFd, Mapping)>,
    slots: Mapping,
    regions: Mapping,
}

/// The right to run the walk in one slot, and to read what that run wrote. There is one of each.
#[derive(Debug)]
pub(crate) struct Slot(u32);

impl Program {
    /// Loads the programs with so many slots.
    pub(crate) fn load(slots: u32) -> Result<(Self, Vec<Slot>), Refusal> {
        // Reading in place is faster; the helper is on every kernel.
        let program = Types::of(TypesFile::open)
            .and_then(|types| Self::load_one(slots, Some(&types), IS_WEAK).ok())
            .map_or_else(|| Self::load_one(slots, None, IS_WEAK), Ok)?;
        Ok((program, (0..slots).map(Slot).collect()))
    }

    /// With types, memory is read in place. `is_weak`: whether it may be read in another order than the
    /// program says.
    fn load_one(slots: u32, types: Option<&Types>, is_weak: bool) -> Result<Self, Refusal> {
        let _quiet = Quiet::begin();
        let refused = |error: libbpf_rs::Error| of_load(&Quiet::log(), &error.to_string());
        let mut builder = ObjectBuilder::default();
        // The loader wants them in a file.
        let file;
        if let Some(types) = types {
            file = anonymous_file(&types.btf).map_err(|error| Refusal::system("memfd", &error))?;
            let path = format!("/proc/self/fd/{}", file.as_raw_fd());
            builder.btf_custom_path(path).map_err(refused)?;
        }
        let mut open = builder.open_memory(OBJECT).map_err(refused)?;
        for mut map in open.maps_mut() {
            let name = map.name().to_string_lossy().into_owned();
            if name.ends_with("rodata") {
                let given = [types.map_or(0, |types| types.words), u32::from(is_weak)];
                let data = map.initial_value_mut().unwrap_or_default();
                for (to, from) in data.iter_mut().zip(given.as_bytes()) {
                    *to = *from;
                }
            } else if name == "slots" || name == "regions" {
                map.set_max_entries(slots).map_err(refused)?;
            }
        }
        let object = open.load().map_err(refused)?;
        let program = |name: &str| {
            let program = object.progs().find(|program| program.name() == name);
            own(program.as_ref().map(|program| program.as_fd()))
        };
        let map = |name: &str, length: usize| {
            let map = object.maps().find(|map| map.name() == name);
            Mapping::new(&own(map.as_ref().map(|map| map.as_fd()))?, length)
        };
        let slots = slots as usize;
        Ok(Self {
            is_in_place: types.is_some(),
            find: program("find")?,
            walk: program("walk")?,
            peek: Mutex::new((program("peek")?, map("page", PAGE)?)),
            slots: map("slots", SLOT * slots)?,
            regions: map("regions", REGION * slots)?,
        })
    }

    /// Whether the kernel took the program that reads memory in place.
    pub(crate) const fn is_in_place(&self) -> bool {
        self.is_in_place
    }

    /// The network namespace of the calling thread, as the kernel's memory has it.
    pub(crate) fn namespace(&self) -> Result<u64, Refusal> {
        let (_, net) = self.find("")?;
        Ok(net)
    }

    fn find(&self, symbol: &str) -> Result<(u64, u64), Refusal> {
        let mut context = [0; 80];
        for (to, from) in context.iter_mut().take(63).zip(symbol.as_bytes()) {
            *to = *from;
        }
        run(&self.find, &mut context, &[])
            .map_err(|error| Refusal::system("BPF_PROG_RUN", &error))?;
        let word = |at: usize| {
            let bytes = context
                .get(at..at + 8)
                .and_then(|bytes| bytes.try_into().ok());
            u64::from_ne_bytes(bytes.unwrap_or_default())
        };
        Ok((word(64), word(72)))
    }

    /// Puts the tests of a filter into a slot. They stay for all runs in it.
    pub(crate) fn put_tests(&self, slot: &mut Slot, tests: &Tests) {
        let all = tests.stages.iter().flatten().take(MOST_TESTS);
        for (index, test) in all.enumerate() {
            let at = slot.0 as usize * SLOT + TESTS + index * size_of::<Test>();
            self.slots.write(at, test.as_bytes());
        }
    }

    /// Walks some buckets.
    pub(crate) fn walk(&self, slot: &mut Slot, ask: &Ask) -> io::Result<Answer> {
        let at = slot.0 as usize * SLOT;
        self.slots.write(at, ask.as_bytes());
        // A frame of the least length that is allowed, and a few bytes more.
        let mut frame = [0; 64];
        for (to, from) in frame.iter_mut().zip(slot.0.to_ne_bytes()) {
            *to = from;
        }
        run(&self.walk, &mut [], &frame)?;
        let mut answer = [0; size_of::<Answer>()];
        self.slots.read(at + ANSWER, &mut answer);
        Ok(zerocopy::transmute!(answer))
    }

    /// The records of the last run in a slot.
    pub(crate) fn records<'a>(&'a self, slot: &'a Slot, used: u32) -> &'a [u8] {
        let used = (used as usize).min(REGION);
        // SAFETY: the region is inside of the mapping, for there are as many as slots. It is
        // written by runs in this slot only, which borrow the slot mutably, and by no other
        // process, for the map has no name and its descriptor is handed to nobody.
        unsafe {
            let region = self.regions.base.add(slot.0 as usize * REGION);
            std::slice::from_raw_parts(region, used)
        }
    }
}

impl Memory for Program {
    fn read(&self, address: u64, to: &mut [u8]) -> Option<()> {
        let peek = self.peek.lock().unwrap_or_else(PoisonError::into_inner);
        let (program, page) = &*peek;
        for (from, to) in (address..).step_by(PAGE).zip(to.chunks_mut(PAGE)) {
            let mut context = [0; 16];
            let size = u32::try_from(to.len()).ok()?.to_ne_bytes();
            let asked = from.to_ne_bytes().into_iter().chain(size);
            for (to, from) in context.iter_mut().zip(asked) {
                *to = from;
            }
            run(program, &mut context, &[]).ok()?;
            let [.., a, b, c, d] = context;
            if [a, b, c, d] != [0; 4] {
                return None;
            }
            page.read(0, to);
        }
        Some(())
    }

    fn function(&self, name: &str) -> Option<u64> {
        let (address, _) = self.find(name).ok()?;
        Some(address).filter(|&address| address != 0)
    }
}

/// Whether this kind of machine makes loads in another order than the program says.
const IS_WEAK: bool = cfg!(not(target_arch = "x86_64"));

/// Runs a program once: with a context that it may change, or with a frame.
fn run(program: &OwnedFd, context: &mut [u8], frame: &[u8]) -> io::Result<()> {
    // SAFETY: every field of the structure may be zero.
    let mut options: libbpf_sys::bpf_test_run_opts = unsafe { std::mem::zeroed() };
    options.sz = size_of::<libbpf_sys::bpf_test_run_opts>() as libbpf_sys::size_t;
    if !context.is_empty() {
        options.ctx_in = context.as_mut_ptr().cast();
        options.ctx_size_in = context.len() as u32;
    }
    if !frame.is_empty() {
        options.data_in = frame.as_ptr().cast();
        options.data_size_in = frame.len() as u32;
        options.repeat = 1;
    }
    // SAFETY: the pointers are to `context`, which the kernel may write (it does for programs of
    // type `syscall`), and to `frame`, which it only reads; the lengths are theirs.
    let result =
        unsafe { libbpf_sys::bpf_prog_test_run_opts(program.as_raw_fd(), &raw mut options) };
    if result < 0 {
        return Err(io::Error::from_raw_os_error(-result));
    }
    Ok(())
}

fn anonymous_file(bytes: &[u8]) -> io::Result<File> {
    let mut file = File::from(memfd_create("types", MemfdFlags::CLOEXEC)?);
    file.write_all(bytes)?;
    Ok(file)
}

fn own(descriptor: Option<BorrowedFd<'_>>) -> Result<OwnedFd, Refusal> {
    descriptor
        .ok_or_else(|| Refusal::Load("a part of the program is missing".to_owned()))?
        .try_clone_to_owned()
        .map_err(|error| Refusal::system("dup", &error))
}

const PAGE: usize = 4096;

/// A map's memory.
struct Mapping {
    base: *mut u8,
    length: usize,
}

// SAFETY: the mapping belongs to nobody's thread. Two threads never use the same part of it at once:
// parts go by slots, which are not shared, and the page is behind a mutex.
unsafe impl Send for Mapping {}
// SAFETY: as above.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// The whole of a map, shared with its programs.
    fn new(map: &OwnedFd, length: usize) -> Result<Self, Refusal> {
        let (protection, flags) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED);
        Self::of(map, length.next_multiple_of(PAGE), protection, flags)
            .map_err(|error| Refusal::system("mmap", &error))
    }

    fn of(
        file: &impl AsRawFd,
        length: usize,
        protection: libc::c_int,
        flags: libc::c_int,
    ) -> io::Result<Self> {
        // SAFETY: a new mapping at a place of the kernel's choice touches nothing that is there.
        let base = unsafe {
            libc::mmap(
                ptr::null_mut(),
                length,
                protection,
                flags,
                file.as_raw_fd(),
                0,
            )
        };
        if base == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        Ok(Self {
            base: base.cast(),
            length,
        })
    }

    fn read(&self, at: usize, to: &mut [u8]) {
        assert!(at + to.len() <= self.length, "inside of the map");
        // SAFETY: inside of the mapping, and `to` is elsewhere.
        unsafe { ptr::copy_nonoverlapping(self.base.add(at), to.as_mut_ptr(), to.len()) }
    }

    fn write(&self, at: usize, from: &[u8]) {
        assert!(at + from.len() <= self.length, "inside of the map");
        // SAFETY: inside of the mapping, and `from` is elsewhere.
        unsafe { ptr::copy_nonoverlapping(from.as_ptr(), self.base.add(at), from.len()) }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: the mapping is ours, and nothing refers to it any more.
        unsafe { libc::munmap(self.base.cast(), self.length) };
    }
}

/// A file of `/sys/kernel/btf`: where it is, since Linux 6.16, else a copy.
enum TypesFile {
    Mapped(Mapping),
    Read(Vec<u8>),
}

impl TypesFile {
    fn open(name: &str) -> Option<Self> {
        let path = Path::new("/sys/kernel/btf").join(name);
        let file = File::open(&path).ok()?;
        let length = usize::try_from(file.metadata().ok()?.len()).ok()?;
        Mapping::of(&file, length, libc::PROT_READ, libc::MAP_PRIVATE)
            .map(Self::Mapped)
            .or_else(|_| std::fs::read(&path).map(Self::Read))
            .ok()
    }
}

impl Deref for TypesFile {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            // SAFETY: the mapping has these bytes, and nobody writes them: they are the kernel's own,
            // read-only in its memory.
            Self::Mapped(mapping) => unsafe {
                std::slice::from_raw_parts(mapping.base, mapping.length)
            },
            Self::Read(bytes) => bytes,
        }
    }
}

/// Keeps the loader's words for [`of_load`], instead of standard error; one load at a time.
struct Quiet {
    before: Option<(PrintLevel, libbpf_rs::PrintCallback)>,
    _one: std::sync::MutexGuard<'static, ()>,
}

static ONE: Mutex<()> = Mutex::new(());
static LOG: Mutex<String> = Mutex::new(String::new());

impl Quiet {
    fn begin() -> Self {
        let one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
        LOG.lock().unwrap_or_else(PoisonError::into_inner).clear();
        let keep: libbpf_rs::PrintCallback = |_, words| {
            LOG.lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push_str(&words);
        };
        Self {
            before: libbpf_rs::set_print(Some((PrintLevel::Warn, keep))),
            _one: one,
        }
    }

    fn log() -> String {
        LOG.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Quiet {
    fn drop(&mut self) {
        libbpf_rs::set_print(self.before);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::refusal::{System, foresee};

    #[test]
    fn every_kind_of_the_program_is_loaded() {
        let Some(_privileged) = testkit::TestNamespace::new() else {
            return;
        };
        if let Err(refusal) = foresee(&System::this(), true) {
            testkit::skip(&refusal.to_string());
            return;
        }
        let types = Types::of(TypesFile::open);
        assert!(types.is_some());
        for types in [types.as_ref(), None] {
            for is_weak in [false, true] {
                let program = Program::load_one(2, types, is_weak);
                let program = program.unwrap_or_else(|refusal| panic!("{is_weak}: {refusal}"));
                assert_eq!(program.is_in_place(), types.is_some());
                assert!(program.namespace().unwrap() != 0);
            }
        }
    }
}
