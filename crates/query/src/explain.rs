//! What becomes of a query: how it was understood, what the kernel does of it, what looks wrong.

use std::ops::Range;

use ctnetlink::{Filter, Masked, Protocol, TupleFilter};
use serde::Serialize;

use crate::Query;
use crate::cases::is_impossible;
use crate::expr::Expr;
use crate::plan;
use crate::scalar::{Scalar, Set};
use crate::syntax::Node;

/// How a query was understood and what becomes of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Explanation {
    /// The query in the usual spelling, with parentheses where `and` and `or` meet; empty for the
    /// empty query.
    pub parsed: String,
    /// What the kernel filters by: alternatives, each in the words of a query. Empty if the kernel
    /// sends everything, or need not be asked.
    pub kernel: Vec<String>,
    /// How often the kernel walks its table for that; 0 if nothing can be selected.
    pub requests: usize,
    /// What is left to be compared with each entry that the kernel sends, in the words of a
    /// query; `None` if the kernel does it all.
    pub rest: Option<String>,
    /// What looks like a mistake, or can be done better.
    pub warnings: Vec<Warning>,
}

/// Something about a query that is not wrong, but hardly meant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Warning {
    /// Stable word: `always-true`, `always-false`, `no-protocol`.
    pub code: &'static str,
    /// What is the matter, one line.
    pub message: String,
    /// Where, in characters from the beginning.
    pub offset: usize,
    /// How many characters.
    pub length: usize,
}

pub(crate) fn explain(query: &Query) -> Explanation {
    let filters = query.filters();
    let is_everything = filters.iter().any(Filter::is_any);
    Explanation {
        parsed: query.to_string(),
        kernel: if is_everything {
            Vec::new()
        } else {
            filters.iter().map(words).collect()
        },
        requests: plan::requests(filters),
        rest: rest(query.node.as_ref(), filters),
        warnings: warnings(query),
    }
}

/// The top-level conditions that the kernel's filters do not assure.
pub(crate) fn rest(node: Option<&Node>, filters: &[Filter]) -> Option<String> {
    let node = node?;
    let parts: &[Node] = match node {
        Node::And(parts) => parts,
        other => std::slice::from_ref(other),
    };
    let left: Vec<Node> = parts
        .iter()
        .filter(|part| !is_assured(part, filters))
        .cloned()
        .collect();
    match left.as_slice() {
        [] => None,
        [only] => Some(only.to_string()),
        _ => Some(Node::And(left).to_string()),
    }
}

fn is_assured(part: &Node, filters: &[Filter]) -> bool {
    let contrary = part.expr().negated();
    filters
        .iter()
        .all(|filter| is_impossible(&Expr::and(vec![plan::expr_of(filter), contrary.clone()])))
}

fn warnings(query: &Query) -> Vec<Warning> {
    let mut warnings = Vec::new();
    let Some(node) = &query.node else {
        return warnings;
    };
    let mut checks = MOST_CHECKS;
    constant(node, &query.text, &mut checks, &mut warnings);
    if warnings.is_empty()
        && query
            .filters()
            .iter()
            .any(|filter| filter.protocol.is_none())
    {
        no_protocol(node, &query.text, &mut warnings);
    }
    warnings
}

/// How many parts of a query are looked at for being the same for every entry. A person's have
/// fewer; what a machine writes must not take for ever.
const MOST_CHECKS: usize = 32;

/// Finds the largest parts that are the same for every entry.
fn constant(node: &Node, text: &str, checks: &mut usize, warnings: &mut Vec<Warning>) {
    let Some(left) = checks.checked_sub(1) else {
        return;
    };
    *checks = left;
    let expr = node.expr();
    let verdict = if is_impossible(&expr) {
        Some(("always-false", "no connection can be such"))
    } else if is_impossible(&expr.negated()) {
        Some(("always-true", "every connection is such"))
    } else {
        None
    };
    match (verdict, node) {
        (Some((code, message)), _) => {
            let message = format!("{node}: {message}");
            warnings.push(warning(code, message, text, node.place()));
        }
        (None, Node::Term(_)) => {}
        (None, Node::Not(inner)) => constant(inner, text, checks, warnings),
        (None, Node::And(parts) | Node::Or(parts)) => {
            parts
                .iter()
                .for_each(|part| constant(part, text, checks, warnings));
        }
    }
}

/// A port that the kernel would compare if it knew the protocol.
fn no_protocol(node: &Node, text: &str, warnings: &mut Vec<Warning>) {
    let parts: &[Node] = match node {
        Node::And(parts) => parts,
        other => std::slice::from_ref(other),
    };
    // Whether it would: beside TCP, its port would be in a filter.
    let tcp = Expr::value(Scalar::Protocol, Set::one(Protocol::TCP.0));
    let would_help = |part: &Node| {
        let filters = plan::filters(&Expr::and(vec![part.expr(), tcp.clone()]));
        !filters.is_empty() && filters.iter().all(plan::has_port)
    };
    let port = parts.iter().find_map(|part| match part {
        Node::Term(term) if would_help(part) => Some(term),
        _ => None,
    });
    if let Some(term) = port {
        let message = format!(
            "{}: with a protocol beside it (tcp or udp) the kernel can filter by ports",
            term.text
        );
        warnings.push(warning("no-protocol", message, text, term.place.clone()));
    }
}

fn warning(code: &'static str, message: String, text: &str, place: Range<usize>) -> Warning {
    let characters = |text: Option<&str>| text.map_or(0, |text| text.chars().count());
    Warning {
        code,
        message,
        offset: characters(text.get(..place.start)),
        length: characters(text.get(place)),
    }
}

/// A kernel filter in the words of a query.
fn words(filter: &Filter) -> String {
    let mut words = Vec::new();
    if let Some(family) = filter.family {
        words.push(family.to_string());
    }
    if let Some(protocol) = filter.protocol {
        words.push(match protocol.name() {
            Some(name) => name.to_owned(),
            None => format!("proto == {protocol}"),
        });
    }
    let names = [
        (&filter.orig, ["src", "dst", "sport", "dport"]),
        (
            &filter.reply,
            ["peer", "reply.dst", "peer.port", "reply.dport"],
        ),
    ];
    for (tuple, [src, dst, src_port, dst_port]) in names {
        tuple_words(tuple, [src, dst, src_port, dst_port], &mut words);
    }
    if let Some(zone) = filter.zone {
        words.push(format!("zone == {zone}"));
    }
    for (name, masked) in [("mark", filter.mark), ("status", filter.status)] {
        if let Some(Masked { value, mask }) = masked {
            words.push(match mask {
                u32::MAX => format!("{name} == 0x{value:x}"),
                _ => format!("{name} & 0x{mask:x} == 0x{value:x}"),
            });
        }
    }
    words.join(" and ")
}

fn tuple_words(tuple: &TupleFilter, names: [&str; 4], words: &mut Vec<String>) {
    let [src, dst, src_port, dst_port] = names;
    for (name, address) in [(src, tuple.src), (dst, tuple.dst)] {
        words.extend(address.map(|address| format!("{name} == {address}")));
    }
    for (name, port) in [(src_port, tuple.src_port), (dst_port, tuple.dst_port)] {
        words.extend(port.map(|port| format!("{name} == {port}")));
    }
    words.extend(tuple.icmp_type.map(|kind| format!("icmp.type == {kind}")));
    words.extend(tuple.icmp_code.map(|code| format!("icmp.code == {code}")));
    words.extend(tuple.icmp_id.map(|id| format!("icmp.id == {id}")));
}
