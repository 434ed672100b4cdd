//! What a run is asked and answers: `struct slot` of `bpf/record.h`.

use zerocopy::{FromBytes, Immutable, IntoBytes};

use crate::filter::{GLANCES, Glance, STAGES};

/// Places in a slot and sizes, for who runs the program.
#[cfg(ctwalk_program)]
pub(crate) mod layout {
    /// Bytes of a slot.
    pub(crate) const SLOT: usize = 4048;
    /// Where the answer is.
    pub(crate) const ANSWER: usize = size_of::<super::Ask>();
    /// Where the tests are.
    pub(crate) const TESTS: usize = 976;
    /// Bytes of the region that takes a run's records.
    pub(crate) const REGION: usize = 256 * 1024;
}

/// What a run is asked.
#[derive(Clone, Copy, Debug, IntoBytes, Immutable)]
#[repr(C)]
pub(crate) struct Ask {
    pub(crate) variable: u64,
    pub(crate) table: u64,
    pub(crate) net: u64,
    /// Nanoseconds.
    pub(crate) budget: u64,
    pub(crate) from: u32,
    pub(crate) to: u32,
    pub(crate) hz: u32,
    /// [`Bare`](crate::record::Bare).
    pub(crate) bare: u32,
    pub(crate) glances: [Glance; GLANCES],
    pub(crate) tests: TestsAt,
    /// Of what is selected, less than this is counted and not copied; all is copied if 0.
    pub(crate) floor: u64,
    /// Which eight bytes of the record.
    pub(crate) floor_at: u32,
    pub(crate) behind: u32,
}

/// Which tests are of which [`Stage`](crate::filter::Stage).
#[derive(Clone, Copy, Debug, IntoBytes, Immutable)]
#[repr(C)]
pub(crate) struct TestsAt {
    pub(crate) first: [u32; STAGES],
    pub(crate) count: [u32; STAGES],
}

/// What a run answers.
#[derive(Clone, Copy, Debug, FromBytes, Immutable)]
#[repr(C)]
pub(crate) struct Answer {
    pub(crate) state: u32,
    pub(crate) next: u32,
    pub(crate) used: u32,
    /// Selected and not copied.
    pub(crate) below: u32,
    pub(crate) again: u32,
    /// Nanoseconds.
    pub(crate) took: u32,
    pub(crate) nodes: u64,
}

const _: () = assert!(size_of::<Ask>() == 120 && size_of::<Answer>() == 32);

/// How a run ended: `enum state`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Unfinished,
    Done,
    Moved,
    Astray,
    /// The bucket does not fit into a run of its own, by time or by room.
    TooLong,
    Fault,
    NoLookup,
    Layout,
}

impl Answer {
    pub(crate) const fn state(&self) -> State {
        match self.state {
            0 => State::Unfinished,
            1 => State::Done,
            2 => State::Moved,
            3 => State::Astray,
            4 => State::TooLong,
            6 => State::NoLookup,
            7 => State::Layout,
            _ => State::Fault,
        }
    }
}
