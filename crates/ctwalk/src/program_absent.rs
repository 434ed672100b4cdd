//! In the place of the programs, where this was built without them.

use std::io;

use crate::filter::Tests;
use crate::locate::Memory;
use crate::refusal::Refusal;
use crate::slot::{Answer, Ask};

/// There is none.
pub(crate) enum Program {}

/// There is none.
#[derive(Debug)]
pub(crate) enum Slot {}

impl Program {
    pub(crate) const fn load(_slots: u32) -> Result<(Self, Vec<Slot>), Refusal> {
        Err(Refusal::NotBuilt)
    }

    pub(crate) const fn is_in_place(&self) -> bool {
        match *self {}
    }

    pub(crate) const fn namespace(&self) -> Result<u64, Refusal> {
        match *self {}
    }

    pub(crate) const fn put_tests(&self, _slot: &mut Slot, _tests: &Tests) {
        match *self {}
    }

    pub(crate) const fn walk(&self, _slot: &mut Slot, _ask: &Ask) -> io::Result<Answer> {
        match *self {}
    }

    pub(crate) const fn records<'a>(&'a self, _slot: &'a Slot, _used: u32) -> &'a [u8] {
        match *self {}
    }
}

impl Memory for Program {
    fn read(&self, _address: u64, _to: &mut [u8]) -> Option<()> {
        match *self {}
    }

    fn function(&self, _name: &str) -> Option<u64> {
        match *self {}
    }
}
