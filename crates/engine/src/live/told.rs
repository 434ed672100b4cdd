//! What an event has told of an entry: a bit for each part that may be newer than a reading that was
//! under way.

use ctnetlink::Entry;

const STATUS: u8 = 1;
const TIMEOUT: u8 = 1 << 1;
const MARK: u8 = 1 << 2;
const PROTOINFO: u8 = 1 << 3;
const HELPER: u8 = 1 << 4;
const LABELS: u8 = 1 << 5;
const SECMARK: u8 = 1 << 6;
const EXTRA: u8 = 1 << 7;

pub(super) fn of(entry: &Entry) -> u8 {
    [
        (STATUS, entry.status.is_some()),
        (TIMEOUT, entry.timeout.is_some()),
        (MARK, entry.mark.is_some()),
        (PROTOINFO, entry.protoinfo.is_some()),
        (HELPER, entry.helper.is_some()),
        (LABELS, entry.labels.is_some()),
        (SECMARK, entry.secmark.is_some()),
        (EXTRA, entry.extra.is_some()),
    ]
    .into_iter()
    .fold(0, |told, (bit, is)| if is { told | bit } else { told })
}

/// Leaves only what was told.
pub(super) fn keep(entry: &mut Entry, told: u8) {
    fn keep<T>(value: &mut Option<T>, is_told: bool) {
        if !is_told {
            *value = None;
        }
    }
    let is = |bit| told & bit != 0;
    keep(&mut entry.status, is(STATUS));
    keep(&mut entry.timeout, is(TIMEOUT));
    keep(&mut entry.mark, is(MARK));
    keep(&mut entry.protoinfo, is(PROTOINFO));
    keep(&mut entry.helper, is(HELPER));
    keep(&mut entry.labels, is(LABELS));
    keep(&mut entry.secmark, is(SECMARK));
    keep(&mut entry.extra, is(EXTRA));
    (entry.use_count, entry.timestamps) = (None, None);
    (entry.counters_orig, entry.counters_reply) = (None, None);
}
