//! What becomes of a query: how it was understood, what the kernel does of it, what looks wrong.

use std::ops::Range;

use ctnetlink::{Filter, Protocol};
use serde::Serialize;

use crate::Query;
use crate::cases::is_impossible;
use crate::expr::Expr;
use crate::plan;
use crate::scalar::{Scalar, Set};
use crate::syntax::Node;
use crate::{walk, words};

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
    /// What the BPF program compares while it reads the table: alternatives, each in the words of a
    /// query. Empty if it copies every entry, or need not be asked. Ages have a second more on
    /// either side.
    pub walk: Vec<String>,
    /// What is left to be compared with each entry that the program copies; `None` if it does it
    /// all.
    pub walk_rest: Option<String>,
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
    let walk = walk::alternatives(&query.expr());
    let sent: Vec<Expr> = filters.iter().map(plan::expr_of).collect();
    let copied: Vec<Expr> = walk.iter().map(walk::expr_of).collect();
    Explanation {
        parsed: query.to_string(),
        kernel: if is_everything {
            Vec::new()
        } else {
            filters.iter().map(words::of_filter).collect()
        },
        requests: plan::requests(filters),
        rest: rest(query.node.as_ref(), &sent),
        walk: words::of_walk(&walk),
        walk_rest: walk_rest(query, &copied),
        warnings: warnings(query),
    }
}

/// Whether a query's filters assure all of it.
pub(crate) fn is_exact(node: Option<&Node>, filters: &[Filter]) -> bool {
    let sent: Vec<Expr> = filters.iter().map(plan::expr_of).collect();
    rest(node, &sent).is_none()
}

/// Whether the BPF program assures all of a query.
pub(crate) fn is_exact_in_walk(query: &Query) -> bool {
    let walk = walk::alternatives(&query.expr());
    let copied: Vec<Expr> = walk.iter().map(walk::expr_of).collect();
    walk_rest(query, &copied).is_none()
}

/// How many conditions are compared with how many alternatives, taken together. A person's query has
/// fewer.
const MOST_COMPARED: usize = 1024;

fn walk_rest(query: &Query, copied: &[Expr]) -> Option<String> {
    let node = query.node.as_ref()?;
    let parts = match node {
        Node::And(parts) => parts.len(),
        _ => 1,
    };
    if parts * copied.len() > MOST_COMPARED {
        return Some(node.to_string());
    }
    rest(Some(node), copied)
}

/// The top-level conditions that are not assured by any one of these being so.
fn rest(node: Option<&Node>, alternatives: &[Expr]) -> Option<String> {
    let node = node?;
    let parts: &[Node] = match node {
        Node::And(parts) => parts,
        other => std::slice::from_ref(other),
    };
    let left: Vec<Node> = parts
        .iter()
        .filter(|part| !is_assured(part, alternatives))
        .cloned()
        .collect();
    match left.as_slice() {
        [] => None,
        [only] => Some(only.to_string()),
        _ => Some(Node::And(left).to_string()),
    }
}

fn is_assured(part: &Node, alternatives: &[Expr]) -> bool {
    let contrary = part.expr().negated();
    let is_contradiction =
        |one: &Expr| is_impossible(&Expr::and(vec![one.clone(), contrary.clone()]));
    alternatives.iter().all(is_contradiction)
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
