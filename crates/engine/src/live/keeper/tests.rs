use ctnetlink::{ProtoInfo, TcpInfo, TcpState};
use testkit::{FakeKernel, Reply, fill};

use super::super::store::Now;
use super::*;
use crate::kernel::Kernel;

const NLM_F_DUMP_INTR: u16 = 0x10;
/// Longer than anything takes that works.
const PATIENCE: Duration = Duration::from_secs(60);

fn shared(kernel: &FakeKernel, settings: Settings) -> Shared {
    let kernel = Kernel::fake(kernel.client().unwrap());
    Shared::new(Source::Kernel(Box::new(kernel)), None, settings)
}

#[test]
fn a_reading_that_was_interrupted_is_made_again_at_once() {
    let table: Vec<_> = (0..5).map(fill::entry).collect();
    let interrupted = crate::source::ATTEMPTS as usize;
    let kernel = FakeKernel::new(move |request| {
        let reply = Reply::to(request).entries(&table, 2).done(0);
        if request.number < interrupted {
            reply.with_flags(NLM_F_DUMP_INTR)
        } else {
            reply
        }
    });
    // Otherwise it would be made in an hour.
    let shared = shared(
        &kernel,
        Settings {
            shortest_seconds: 3_600.0,
            longest_seconds: 3_600.0,
            ..Settings::default()
        },
    );
    std::thread::scope(|scope| {
        scope.spawn(|| shared.sample());
        let end = Instant::now() + PATIENCE;
        let is_complete = || {
            let status = lock(&shared.status).clone();
            shared.is_complete(&status)
        };
        while !is_complete() && Instant::now() < end {
            std::thread::yield_now();
        }
        let is_complete = is_complete();
        shared.close();
        assert!(is_complete, "not made again");
    });
    assert_eq!(kernel.requests().len(), interrupted + 1);
    assert!(*shared.readings.borrow() >= 2);
}

#[test]
fn what_is_switched_on_is_known_before_a_reading_is_over() {
    let Some(namespace) = testkit::TestNamespace::new() else {
        return;
    };
    // Of the reading itself nothing comes to an end.
    let refuses =
        FakeKernel::new(|request| Reply::to(request).ack(nix::errno::Errno::ENOMEM as i32));
    let kernel = Kernel::fake(refuses.client().unwrap());
    let shared = Shared::new(
        Source::Kernel(Box::new(kernel)),
        Some(Namespace::by_path(&namespace.path()).unwrap()),
        Settings::default(),
    );
    shared.read_once().unwrap_err();
    let status = lock(&shared.status).clone();
    assert_eq!(status.taken_ns, 0, "nothing was read");
    assert!(status.accounting && status.timestamps && status.events);
    assert!(status.limit.is_some_and(|limit| limit > 0));
}

#[test]
fn what_is_held_back_does_not_undo_what_an_event_told_meanwhile() {
    let kernel = FakeKernel::new(|request| Reply::to(request).done(0));
    let shared = shared(&kernel, Settings::default());
    let opened = entry(1, TcpState::ESTABLISHED);
    let now = |store: &Store| -> Now { store.now() };
    shared.change(|store| store.born(&opened, now(store)));
    shared.change(Store::begin_reading);
    let mut batch = Batch::new(&shared);
    batch.add(&opened);
    let closing = entry(1, TcpState::FIN_WAIT);
    shared.change(|store| store.changed(&closing, now(store)));
    batch.hand_over();
    shared.change(|store| store.end_reading(true));
    let store = shared.store.read().unwrap();
    let mut known = Entry::blank();
    assert!(store.recall(&opened, store.now(), &mut known));
    assert_eq!(known.protoinfo, closing.protoinfo);
}

#[test]
fn entries_do_not_wait_long_for_others_to_be_handed_over_with() {
    let kernel = FakeKernel::new(|request| Reply::to(request).done(0));
    let shared = shared(&kernel, Settings::default());
    let connections = || shared.store.read().unwrap().counts.connections;
    shared.change(Store::begin_reading);
    let mut batch = Batch::new(&shared);
    batch.add(&entry(0, TcpState::ESTABLISHED));
    assert_eq!(connections(), 0);
    batch.began = Instant::now().checked_sub(HELD).unwrap();
    for port in 1..16 {
        batch.add(&entry(port, TcpState::ESTABLISHED));
    }
    assert_eq!(connections(), 16);
}

fn entry(port: u16, state: TcpState) -> Entry {
    let tuple = |src, dst| ctnetlink::Tuple {
        src: std::net::Ipv4Addr::new(192, 0, 2, 1).into(),
        dst: std::net::Ipv4Addr::new(192, 0, 2, 1).into(),
        protocol: ctnetlink::Protocol::TCP,
        l4: ctnetlink::L4::Ports { src, dst },
    };
    let mut entry = Entry::new(tuple(port, 80), tuple(80, port));
    entry.id = Some(port.into());
    entry.protoinfo = Some(ProtoInfo::Tcp(TcpInfo {
        state: Some(state),
        ..TcpInfo::default()
    }));
    entry
}

#[test]
fn readings_that_are_spoiled_one_after_the_other_keep_to_the_budget() {
    let milliseconds = Duration::from_millis;
    let after = |spoiled| soon(milliseconds(100), spoiled, milliseconds(1_900)).as_millis();
    assert_eq!([0, 1, 2, 4].map(after), [100, 200, 400, 1_600]);
    assert_eq!([5, 40].map(after), [1_900, 1_900]);
    // A short interval is no reason to read without a rest.
    assert_eq!(
        soon(milliseconds(100), 0, milliseconds(10)),
        milliseconds(100)
    );
}
