//! The filter language: which connections.
//!
//! ```text
//! proto == tcp and state == ESTABLISHED and src in 10.0.0.0/8
//! dport in {80, 443, 8000-8999} and bytes > 10MB and age > 2h
//! ```
//!
//! A [`Query`] is understood once ([`Query::parse`]) and then asked of every entry
//! ([`Query::matches`]). The part of it that the kernel can filter is [`Query::filters`]; it makes
//! reading fast and changes nothing of what is selected. docs/query.md is the reference.
//!
//! ```
//! use ctnetlink::{Entry, Protocol, Tuple};
//! use query::{Query, Vocabulary};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let query = Query::parse("udp and dport == domain", &Vocabulary::default())?;
//! let orig = Tuple::ports(Protocol::UDP, "10.0.0.2".parse()?, 5353, "192.0.2.1".parse()?, 53);
//! assert!(query.matches(&Entry::new(orig, orig.mirror()), 0));
//! assert_eq!(query.filters()[0].orig.dst_port, Some(53));
//!
//! let error = Query::parse("udp and dprt == 53", &Vocabulary::default()).unwrap_err();
//! assert_eq!((error.offset, error.length), (8, 4));
//! assert_eq!(error.hint, "did you mean dport?");
//! # Ok(())
//! # }
//! ```

mod cases;
mod complete;
mod error;
mod explain;
mod expr;
mod field;
mod glob;
mod lex;
mod parse;
mod plan;
mod predicate;
mod ranges;
mod scalar;
mod syntax;
mod term;
mod value;
mod vocabulary;
mod walk;
mod words;

use std::fmt;

use ctnetlink::{Entry, Filter};

pub use complete::{Candidate, CandidateKind, Completion, complete};
pub use error::{QueryError, near};
pub use explain::{Explanation, Warning};
pub use field::{Field, Flag, Kind, MarkPart};
pub use scalar::BitField;
pub use value::quote;
pub use vocabulary::{LocalAddresses, MarkNames, Vocabulary};

use expr::Expr;
use predicate::Predicate;
use scalar::Scalar;
use syntax::Node;

/// A query that has been understood.
#[derive(Clone, Debug)]
pub struct Query {
    text: String,
    /// `None` for the empty query, which selects everything.
    node: Option<Node>,
    is_any: bool,
    filters: Vec<Filter>,
    predicate: Predicate,
    asks_for_ids: bool,
}

impl Query {
    /// Understands a text; an empty one selects everything.
    pub fn parse(text: &str, vocabulary: &Vocabulary) -> Result<Self, QueryError> {
        let node = parse::parse(text, vocabulary)?;
        Ok(Self::new(text.to_owned(), node))
    }

    fn new(text: String, node: Option<Node>) -> Self {
        let expr = node.as_ref().map_or(Expr::All, Node::expr);
        Self {
            text,
            is_any: cases::is_impossible(&expr.clone().negated()),
            filters: plan::filters(&expr),
            predicate: Predicate::new(&expr),
            asks_for_ids: expr.has(Scalar::Id),
            node,
        }
    }

    /// What both select.
    pub fn and(self, other: Self) -> Self {
        let (Some(one), Some(two)) = (&self.node, &other.node) else {
            return if self.node.is_some() { self } else { other };
        };
        let begin = format!("({}) and (", self.text);
        let parts = vec![one.moved(1), two.moved(begin.len())];
        Self::new(format!("{begin}{})", other.text), Some(Node::And(parts)))
    }

    /// The query that selects everything.
    pub fn any() -> Self {
        Self {
            text: String::new(),
            node: None,
            is_any: true,
            filters: vec![Filter::any()],
            predicate: Predicate::Always,
            asks_for_ids: false,
        }
    }

    /// Whether it selects every entry, also where it seems to say something: `nat or not nat`.
    pub const fn is_any(&self) -> bool {
        self.is_any
    }

    /// How many comparisons an entry may cost: a set of values is one, however many they are, and so is the same
    /// field with several values.
    pub fn comparisons(&self) -> usize {
        self.expr().comparisons()
    }

    /// The text that was understood.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether an entry is selected. `now` is the time in nanoseconds since the epoch, by which
    /// ages are measured.
    ///
    /// A comparison holds only of what the entry has; `!=`, `not in`, `!~` and `not` are the plain
    /// opposite.
    #[inline]
    pub fn matches(&self, entry: &Entry, now: u64) -> bool {
        self.predicate.matches(entry, now)
    }

    /// What the kernel can do of it: every selected entry matches at least one of these. None, if
    /// nothing can be selected.
    pub fn filters(&self) -> &[Filter] {
        &self.filters
    }

    /// What the BPF program can compare of it while it reads the table: it copies every selected
    /// entry, and perhaps others. `now` is in nanoseconds since the epoch; who asks
    /// [`Query::matches`] of what was copied does it with the same, or with one at most a second
    /// away.
    pub fn walk_filter(&self, now: u64) -> ctwalk::Filter {
        walk::filter(&walk::alternatives(&self.expr()), now)
    }

    /// Whether the BPF program copies exactly what the query selects. Of ages it copies a little more.
    pub fn is_exact_in_walk(&self) -> bool {
        explain::is_exact_in_walk(self)
    }

    /// Whether ids of entries are compared.
    pub const fn asks_for_ids(&self) -> bool {
        self.asks_for_ids
    }

    fn expr(&self) -> Expr {
        self.node.as_ref().map_or(Expr::All, Node::expr)
    }

    /// Whether the kernel's filters select exactly what the query does.
    pub fn is_exact_in_kernel(&self) -> bool {
        explain::is_exact(self.node.as_ref(), &self.filters)
    }

    /// How it was understood and what becomes of it.
    pub fn explain(&self) -> Explanation {
        explain::explain(self)
    }
}

/// The usual spelling; parsing it gives the same query.
impl fmt::Display for Query {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.node {
            Some(node) => node.fmt(f),
            None => Ok(()),
        }
    }
}

/// Checks one value of a field, as a flag of a command line has it, and gives it as it stands in
/// a query; else what is wrong and what to do.
pub fn check_value(
    field: Field,
    text: &str,
    vocabulary: &Vocabulary,
) -> Result<String, (String, String)> {
    match parse::value_of(field, text, vocabulary) {
        Ok(value) => Ok(value.text),
        Err(wrong) => Err((wrong.message, wrong.hint)),
    }
}
