//! Helpers in user space (nfnetlink_cthelper): programs that are given packets to look into.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

use crate::client::Client;
use crate::constants::*;
use crate::error::{Error, Operation};
use crate::message::Protocol;
use crate::wire::{Attrs, DecodeError, NfGen};

const GET: u16 = 9 << 8 | 1;

const NFCTH_NAME: u16 = 1;
const NFCTH_TUPLE: u16 = 2;
const NFCTH_QUEUE_NUM: u16 = 3;
const NFCTH_STATUS: u16 = 6;
const NFCTH_TUPLE_L3PROTONUM: u16 = 1;
const NFCTH_TUPLE_L4PROTONUM: u16 = 2;

/// A helper whose work a program in user space does.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UserHelper {
    /// Its name, such as `ftp`, in bytes of the program's choice.
    pub name: OsString,
    /// The kernel's number of the family: 2 is IPv4, 10 is IPv6.
    pub family: u16,
    /// The protocol.
    pub protocol: Option<Protocol>,
    /// The queue by which packets go to the program.
    pub queue: Option<u32>,
    /// 1 while it is at work, 0 while it is disabled.
    pub status: Option<u32>,
}

impl UserHelper {
    fn decode(attrs: Attrs<'_>) -> Result<Self, DecodeError> {
        let mut helper = Self::default();
        for attr in attrs {
            let attr = attr?;
            match attr.kind {
                NFCTH_NAME => OsStr::from_bytes(attr.raw_text()).clone_into(&mut helper.name),
                NFCTH_QUEUE_NUM => helper.queue = Some(attr.be32("NFCTH_QUEUE_NUM")?),
                NFCTH_STATUS => helper.status = Some(attr.be32("NFCTH_STATUS")?),
                NFCTH_TUPLE => {
                    for part in attr.nested() {
                        let part = part?;
                        match part.kind {
                            NFCTH_TUPLE_L3PROTONUM => {
                                helper.family = part.be16("NFCTH_TUPLE_L3PROTONUM")?;
                            }
                            NFCTH_TUPLE_L4PROTONUM => {
                                let number = part.u8("NFCTH_TUPLE_L4PROTONUM")?;
                                helper.protocol = Some(Protocol(number));
                            }
                            _ => {}
                        }
                    }
                }
                _ => {}
            }
        }
        Ok(helper)
    }
}

impl Client {
    /// The helpers that programs in user space have registered.
    pub fn user_helpers(&self) -> Result<Vec<UserHelper>, Error> {
        let mut helpers = Vec::new();
        let nfgen = NfGen {
            family: AF_UNSPEC,
            version: 0,
            resource: 0,
        };
        self.exchange()?.request(
            Operation::Helpers,
            GET,
            NLM_F_DUMP,
            nfgen,
            |_| {},
            |_, attrs| {
                helpers.push(UserHelper::decode(attrs)?);
                Ok(())
            },
        )?;
        Ok(helpers)
    }
}
