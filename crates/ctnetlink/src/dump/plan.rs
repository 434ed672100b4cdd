//! A union of filters as requests to the kernel: as few as bring all of it, and every entry from
//! one of them only.

use std::collections::HashSet;

use super::Table;
use crate::message::{Entry, Filter, Key};

/// One request: what the kernel is asked to filter by, within its family if it has one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ask {
    /// Tells it from all others of its plan.
    number: u32,
    pub(super) kernel: Filter,
}

impl Ask {
    /// Whether an entry proves that the kernel took no or a wrong notice of the IPv6 addresses.
    pub(super) fn contradicted_by(&self, entry: &Entry) -> bool {
        self.kernel.has_ipv6_address() && !self.kernel.matches(entry)
    }
}

/// One filter of the union, within one family if the kernel compares its tuples.
#[derive(Debug)]
struct Part {
    filter: Filter,
    /// What of it never changes in an entry.
    lasting: Filter,
    /// The request that brings what it selects.
    ask: u32,
}

/// What is to be read, and from which request each entry is taken.
#[derive(Debug, Default)]
pub(super) struct Plan {
    parts: Vec<Part>,
    /// Requests that have not been sent, the last one first.
    waiting: Vec<Ask>,
    /// Numbers of requests so far.
    asks: u32,
    /// Whether one request brings everything.
    is_single: bool,
    /// Entries that have been given out and may come again.
    given: HashSet<Key>,
}

impl Plan {
    /// The fewest requests that bring what any of the filters selects. Filters that select nothing,
    /// or nothing that another one does not, are left out.
    pub(super) fn new(table: Table, filters: &[Filter]) -> Self {
        let kernel_part = |filter: &Filter| match table {
            Table::Conntrack => filter.in_kernel(),
            // The kernel filters the other lists by family only.
            Table::Dying | Table::Unconfirmed => Filter {
                family: filter.family,
                ..Filter::any()
            },
        };
        let parts = widest(
            filters
                .iter()
                .flat_map(|filter| within_families(table, filter)),
        );
        let mut plan = Self::default();
        for kernel in widest(parts.iter().map(kernel_part)) {
            let number = plan.number();
            plan.waiting.push(Ask { number, kernel });
        }
        for filter in parts {
            let kernel = kernel_part(&filter);
            let bringing = plan.waiting.iter().find(|ask| kernel.implies(&ask.kernel));
            if let Some(ask) = bringing.map(|ask| ask.number) {
                let lasting = filter.lasting();
                plan.parts.push(Part {
                    filter,
                    lasting,
                    ask,
                });
            }
        }
        plan.is_single = plan.waiting.len() < 2;
        plan.waiting.reverse();
        plan
    }

    /// One request as it is.
    pub(super) fn of(kernel: Filter) -> Self {
        let mut plan = Self::default();
        let number = plan.number();
        plan.waiting.push(Ask { number, kernel });
        plan
    }

    /// The next request to send.
    pub(super) fn next(&mut self) -> Option<Ask> {
        self.waiting.pop()
    }

    /// Forgets what has not been sent.
    pub(super) fn give_up(&mut self) {
        self.waiting.clear();
    }

    /// What to ask instead of a request whose addresses the kernel compares wrongly, so that nothing
    /// else that has such has to be asked again as well: what all of these requests have in common,
    /// without addresses. `unread` are those whose answer nobody has looked at.
    pub(super) fn without_addresses<'a>(
        &'a self,
        ask: &Ask,
        unread: impl Iterator<Item = &'a Ask>,
    ) -> Filter {
        let alike = unread
            .chain(&self.waiting)
            .filter(|other| other.kernel.has_ipv6_address());
        let common = alike.fold(ask.kernel.without_addresses(), |common, other| {
            common.common(&other.kernel.without_addresses())
        });
        common.in_kernel()
    }

    /// Asks for `kernel` in the place of these requests, none of which has brought anything, and of
    /// all waiting ones that it covers.
    pub(super) fn replace(&mut self, mut asks: Vec<Ask>, kernel: Filter) {
        let covered = |ask: &mut Ask| ask.kernel.implies(&kernel);
        asks.extend(self.waiting.extract_if(.., covered));
        let number = self.number();
        for part in &mut self.parts {
            if asks.iter().any(|ask| ask.number == part.ask) {
                part.ask = number;
            }
        }
        self.waiting.push(Ask { number, kernel });
    }

    /// Whether an entry that a request brought is to be given out: it is selected, by a filter that
    /// this request serves, and no other request gives it out.
    ///
    /// Which request gives out an entry must not depend on what may change in between. To take it
    /// from the first whose filter it matches would lose an entry that did not match that filter
    /// yet when its request came by. So where several requests may bring an entry, the first that
    /// brings it whatever its mark and status are gives it out; where there is none such, whichever
    /// comes first, and its name is remembered.
    #[inline]
    pub(super) fn takes(&mut self, ask: &Ask, entry: &Entry) -> bool {
        let mine = |part: &&Part| part.ask == ask.number;
        let mut served = self.parts.iter().filter(mine);
        served.any(|part| part.filter.matches(entry))
            && (self.is_single || self.takes_from(ask, entry))
    }

    fn takes_from(&mut self, ask: &Ask, entry: &Entry) -> bool {
        let mut is_rivalled = false;
        for part in self.parts.iter().filter(|part| part.lasting.matches(entry)) {
            if part.filter == part.lasting {
                return part.ask == ask.number;
            }
            is_rivalled |= part.ask != ask.number;
        }
        !is_rivalled || self.given.insert(entry.key())
    }

    const fn number(&mut self) -> u32 {
        self.asks += 1;
        self.asks
    }
}

/// The filter, once for each family if the kernel compares its tuples, which works within one only.
fn within_families(table: Table, filter: &Filter) -> Vec<Filter> {
    if filter.families().next().is_none() {
        Vec::new()
    } else if filter.has_tuple() && table == Table::Conntrack {
        let within = |family| Filter {
            family: Some(family),
            ..*filter
        };
        filter.families().map(within).collect()
    } else {
        vec![*filter]
    }
}

/// Those that no other one covers, each once.
fn widest(filters: impl IntoIterator<Item = Filter>) -> Vec<Filter> {
    let mut widest: Vec<Filter> = Vec::new();
    for filter in filters {
        if !widest.iter().any(|wide| filter.implies(wide)) {
            widest.retain(|narrow| !narrow.implies(&filter));
            widest.push(filter);
        }
    }
    widest
}
