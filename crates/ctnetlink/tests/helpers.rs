//! Helpers in user space, as a kernel with `nfnetlink_cthelper` lists them; most kernels lack it.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use ctnetlink::constants::*;
use ctnetlink::wire::{NfGen, Writer};
use ctnetlink::{Error, Protocol, UserHelper};
use testkit::{FakeKernel, Reply};

/// A message as `nfnl_cthelper_fill_info` writes it (`linux/netfilter/nfnetlink_cthelper.h`),
/// without the netlink header.
fn said(name: &[u8], status: u32) -> Vec<u8> {
    let nfgen = NfGen {
        family: AF_UNSPEC,
        version: 0,
        resource: 0,
    };
    let mut w = Writer::new();
    w.message(0, 0, 0, nfgen, |w| {
        w.raw_text(1, name);
        w.be32(3, 7);
        w.nested(2, |w| {
            w.be16(1, 2);
            w.u8(2, 6);
        });
        w.be32(6, status);
    });
    w.bytes().get(16..).unwrap_or_default().to_vec()
}

/// One name that is no text must not hide the others.
#[test]
fn helpers_are_listed_whatever_bytes_their_names_are() -> Result<(), Error> {
    let kernel = FakeKernel::new(|request| {
        Reply::to(request)
            .message(9 << 8, NLM_F_MULTI, &said(b"ftp", 1))
            .message(9 << 8, NLM_F_MULTI, &said(b"\xff\x1b", 0))
            .done(0)
    });
    let helper = |name: &[u8], status| UserHelper {
        name: OsStr::from_bytes(name).to_owned(),
        family: 2,
        protocol: Some(Protocol::TCP),
        queue: Some(7),
        status: Some(status),
    };
    assert_eq!(
        kernel.client()?.user_helpers()?,
        [helper(b"ftp", 1), helper(b"\xff\x1b", 0)]
    );
    Ok(())
}
