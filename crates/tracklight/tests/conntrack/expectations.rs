//! Expectations that exist: of a connection that has a helper.

use std::net::IpAddr;

use ctnetlink::{Client, ExpectationFlags, NewEntry, NewExpectation, Protocol, Tuple};

use crate::twin::Twin;

const ONE: &str = "-s 0.0.0.0 -d 192.0.2.1 -r 192.0.2.1 -q 10.0.0.9 -p tcp --sport 0 --dport 5000 \
                   --reply-port-src 5000 --reply-port-dst 1";
const OTHER: &str = "-s 0.0.0.0 -d 192.0.2.1 -r 192.0.2.1 -q 10.0.0.9 -p tcp --sport 0 --dport 5001 \
                     --reply-port-src 5001 --reply-port-dst 1";

fn master() -> NewEntry {
    let (src, dst) = ([10, 0, 0, 9].into(), [192, 0, 2, 1].into());
    let tuple = Tuple::ports(Protocol::TCP, src, 1, dst, 21);
    let mut master = NewEntry::new(tuple, 3600);
    master.helper = Some("ftp".try_into().unwrap());
    master
}

/// Has one expectation and no other.
fn expect(table: &Client) {
    let any: IpAddr = [0, 0, 0, 0].into();
    let all: IpAddr = [255, 255, 255, 255].into();
    table.flush_expectations().unwrap();
    table
        .create_expectation(NewExpectation {
            tuple: Tuple::ports(Protocol::TCP, any, 0, [192, 0, 2, 1].into(), 5000),
            mask: Tuple::ports(Protocol::TCP, any, 0, all, 0xffff),
            master: master().orig,
            zone: 0,
            timeout: 300,
            flags: ExpectationFlags::empty(),
            class: 0,
            helper: None,
            function: None,
            nat: None,
        })
        .unwrap();
}

fn count(table: &Client) -> usize {
    table.expectations(None).unwrap().len()
}

#[test]
fn expectations_are_shown_counted_and_deleted_the_same() {
    let Some(twin) = Twin::new(vec![master()]) else {
        return;
    };
    let run = |line: &str| {
        expect(twin.their_table());
        expect(twin.our_table());
        let words: Vec<&str> = line.split(' ').collect();
        let came = twin.run(&words, "").unwrap();
        (came, count(twin.their_table()), count(twin.our_table()))
    };
    for line in [
        "-L expect".to_owned(),
        "-L expect -o xml".to_owned(),
        "-L expect -f ipv6".to_owned(),
        "-C expect".to_owned(),
        format!("-G expect {ONE}"),
        format!("-G expect {OTHER}"),
        format!("-D expect {OTHER}"),
        "-F expect".to_owned(),
    ] {
        let ((theirs, ours), left_there, left_here) = run(&line);
        assert_eq!(theirs, ours, "{line}");
        assert_eq!(left_there, left_here, "{line}");
    }
    // The original counts none there and says that it has shown none.
    let ((theirs, ours), left_there, left_here) = run(&format!("-D expect {ONE}"));
    assert_eq!((left_there, left_here), (0, 0));
    assert_eq!((theirs.status, ours.status), (Some(1), Some(0)));
    assert_eq!((ours.out, ours.err), (Vec::new(), Vec::new()));
}
