//! Tokens into a tree. Each comparison is understood at once: its field says what its words mean.

use std::ops::Range;

use crate::error::{Expect, QueryError, code, did_you_mean, near};
use crate::field::{Field, Flag};
use crate::lex::{Symbol, Token, TokenKind, tokens};
use crate::syntax::{Node, Term};
use crate::term::{Comparison, Operator};
use crate::value::{self, Value};
use crate::vocabulary::Vocabulary;

/// The longest query, in bytes: room for a list of ten thousand addresses.
pub(crate) const LONGEST: usize = 256 * 1024;

/// How deep parentheses and `not` may go.
const DEEPEST: usize = 100;

/// Understands a query; `None` for an empty one.
pub(crate) fn parse(text: &str, vocabulary: &Vocabulary) -> Result<Option<Node>, QueryError> {
    if text.len() > LONGEST {
        return Err(QueryError::new(
            code::TOO_LARGE,
            "",
            0..0,
            format!(
                "the query has {} bytes; the longest is {LONGEST}",
                text.len()
            ),
            "name networks instead of single addresses, or ask more than once",
        ));
    }
    let mut parser = Parser {
        text,
        tokens: tokens(text)?,
        at: 0,
        depth: 0,
        vocabulary,
    };
    if parser.peek() == &TokenKind::End {
        return Ok(None);
    }
    let node = parser.or()?;
    match parser.peek() {
        TokenKind::End => Ok(Some(node)),
        TokenKind::Symbol(Symbol::Close) => Err(parser.wrong(
            "this parenthesis closes none",
            "take it out, or open one before",
        )),
        _ => Err(parser.missing_connective(Expect::Connective { closes: false })),
    }
}

/// What may come at the end of an unfinished query.
pub(crate) fn expected_at_end(text: &str, vocabulary: &Vocabulary) -> Result<Expect, QueryError> {
    match parse(text, vocabulary) {
        Ok(None) => Ok(Expect::Operand),
        Ok(Some(_)) => Ok(Expect::Connective { closes: false }),
        Err(error) if error.offset == text.chars().count() && error.length == 0 => Ok(error.expect),
        Err(error) => Err(error),
    }
}

/// Understands the values of one field, as a flag of a command line has them.
pub(crate) fn value_of(
    field: Field,
    text: &str,
    vocabulary: &Vocabulary,
) -> Result<Value, value::Wrong> {
    value::parse(field, text, vocabulary)
}

struct Parser<'a> {
    text: &'a str,
    tokens: Vec<Token<'a>>,
    at: usize,
    depth: usize,
    vocabulary: &'a Vocabulary,
}

impl<'a> Parser<'a> {
    fn token(&self) -> &Token<'a> {
        // The last one is the end, and nothing moves past it.
        &self.tokens[self.at.min(self.tokens.len() - 1)]
    }

    fn peek(&self) -> &TokenKind<'a> {
        &self.token().kind
    }

    fn advance(&mut self) {
        self.at = (self.at + 1).min(self.tokens.len() - 1);
    }

    fn take_symbol(&mut self, symbol: Symbol) -> bool {
        let found = self.peek() == &TokenKind::Symbol(symbol);
        if found {
            self.advance();
        }
        found
    }

    fn take_word(&mut self, wanted: &str) -> bool {
        let found =
            matches!(self.peek(), TokenKind::Word(word) if word.eq_ignore_ascii_case(wanted));
        if found {
            self.advance();
        }
        found
    }

    fn wrong(&self, message: impl Into<String>, hint: impl Into<String>) -> QueryError {
        self.wrong_at(self.token().place.clone(), code::SYNTAX, message, hint)
    }

    fn wrong_at(
        &self,
        place: Range<usize>,
        code: &'static str,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) -> QueryError {
        QueryError::new(code, self.text, place, message, hint)
    }

    fn found(&self) -> String {
        match self.peek() {
            TokenKind::End => "the end".to_owned(),
            _ => {
                let text = self
                    .text
                    .get(self.token().place.clone())
                    .unwrap_or_default();
                let short: String = text.chars().take(40).collect();
                format!("{short:?}")
            }
        }
    }

    /// An error that lists what could have stood here.
    fn expected(&self, expect: Expect, what: &str, hint: impl Into<String>) -> QueryError {
        self.wrong(format!("expected {what}, found {}", self.found()), hint)
            .expecting(expect)
    }

    fn or(&mut self) -> Result<Node, QueryError> {
        let mut parts = vec![self.and()?];
        while self.take_symbol(Symbol::Or) || self.take_word("or") {
            parts.push(self.and()?);
        }
        Ok(joined(parts, Node::Or))
    }

    fn and(&mut self) -> Result<Node, QueryError> {
        let mut parts = vec![self.not()?];
        while self.take_symbol(Symbol::And) || self.take_word("and") {
            parts.push(self.not()?);
        }
        Ok(joined(parts, Node::And))
    }

    fn not(&mut self) -> Result<Node, QueryError> {
        if self.take_symbol(Symbol::Not) || self.take_word("not") {
            return self.deeper(|parser| Ok(Node::Not(Box::new(parser.not()?))));
        }
        self.primary()
    }

    fn deeper<T>(
        &mut self,
        inner: impl FnOnce(&mut Self) -> Result<T, QueryError>,
    ) -> Result<T, QueryError> {
        if self.depth >= DEEPEST {
            return Err(self.wrong_at(
                self.token().place.clone(),
                code::TOO_LARGE,
                format!("parentheses and not go deeper than {DEEPEST} levels"),
                "write it flatter",
            ));
        }
        self.depth += 1;
        let result = inner(self);
        self.depth -= 1;
        result
    }

    fn primary(&mut self) -> Result<Node, QueryError> {
        match self.peek().clone() {
            TokenKind::Symbol(Symbol::Open) => self.parenthesis(),
            TokenKind::Word(word) => self.word(word).map(Node::Term),
            TokenKind::Quoted(_) => Err(self.expected(
                Expect::Operand,
                "a field or a flag",
                "a text stands behind a field: helper == \"ftp\"",
            )),
            _ => Err(self.expected(Expect::Operand, "a field or a flag", "")),
        }
    }

    fn parenthesis(&mut self) -> Result<Node, QueryError> {
        let opened = self.token().place.clone();
        self.advance();
        let inner = self.deeper(Self::or)?;
        if self.take_symbol(Symbol::Close) {
            return Ok(inner);
        }
        let expect = Expect::Connective { closes: true };
        if self.peek() == &TokenKind::End {
            let characters = self
                .text
                .get(..opened.start)
                .unwrap_or_default()
                .chars()
                .count();
            return Err(self.expected(
                expect,
                ")",
                format!(
                    "the parenthesis at character {} is not closed",
                    characters + 1
                ),
            ));
        }
        Err(self.missing_connective(expect))
    }

    fn missing_connective(&self, expect: Expect) -> QueryError {
        let hint = match self.peek() {
            TokenKind::Word(word) if near(word, ["and", "or"]).is_empty() => {
                "put and, or or, between two conditions".to_owned()
            }
            TokenKind::Word(word) => did_you_mean(&near(word, ["and", "or"]), String::new),
            TokenKind::Symbol(Symbol::Comma) => "values are listed in braces: {80, 443}".to_owned(),
            _ => String::new(),
        };
        let what = match expect {
            Expect::Connective { closes: true } => "and, or, or )",
            _ => "and, or, or the end",
        };
        self.expected(expect, what, hint)
    }

    /// A flag, `has FIELD`, or a comparison.
    fn word(&mut self, word: &str) -> Result<Term, QueryError> {
        let place = self.token().place.clone();
        if word.eq_ignore_ascii_case("has") {
            self.advance();
            return self.has(place.start);
        }
        if let Some(flag) = Flag::from_name(word) {
            self.advance();
            return self.flag(flag, place);
        }
        let Some(field) = Field::from_name(word) else {
            return Err(self.unknown_word(word));
        };
        self.advance();
        let comparison = self.comparison(field, place.start)?;
        self.term(comparison)
    }

    fn flag(&self, flag: Flag, place: Range<usize>) -> Result<Term, QueryError> {
        let expr = crate::term::flag(flag, self.vocabulary).map_err(|reason| {
            self.wrong_at(
                place.clone(),
                code::VALUE,
                format!("the addresses of this machine are not known: {reason}"),
                "name them: host in {10.0.0.1, …}",
            )
        })?;
        Ok(Term {
            place,
            text: flag.name().to_owned(),
            expr,
        })
    }

    fn has(&mut self, start: usize) -> Result<Term, QueryError> {
        let field = match self.peek() {
            TokenKind::Word(word) => Field::from_name(word).ok_or_else(|| self.unknown_word(word)),
            _ => Err(self.expected(Expect::FieldName, "a field", "such as has helper")),
        }?;
        let place = start..self.token().place.end;
        self.advance();
        Ok(Term {
            place,
            text: format!("has {}", field.name()),
            expr: crate::term::has(field, self.vocabulary),
        })
    }

    fn unknown_word(&self, word: &str) -> QueryError {
        let names = Field::ALL.iter().flat_map(|field| field.names());
        let flags = Flag::ALL.iter().map(|flag| flag.name());
        let known = names.copied().chain(flags).chain(["not", "has"]);
        let shown: String = word.chars().take(40).collect();
        let hint = did_you_mean(&near(word, known), || self.place_of_value(word));
        self.wrong_at(
            self.token().place.clone(),
            code::UNKNOWN,
            format!("{shown:?} is no field and no flag"),
            hint,
        )
        .expecting(Expect::Operand)
    }

    /// A word that would be a value of some field.
    fn place_of_value(&self, word: &str) -> String {
        let fields = [Field::Host, Field::Port, Field::State, Field::Status];
        fields
            .into_iter()
            .find_map(|field| {
                let value = value_of(field, word, self.vocabulary).ok()?;
                Some(format!("did you mean {} == {}?", field.name(), value.text))
            })
            .unwrap_or_else(|| "fields and flags are listed by: tracklight query fields".to_owned())
    }

    fn comparison(&mut self, field: Field, start: usize) -> Result<Comparison, QueryError> {
        let mut comparison = Comparison {
            field,
            mask: None,
            operator: Operator::Equal,
            values: Vec::new(),
            place: start..start,
        };
        if self.peek() == &TokenKind::Symbol(Symbol::Mask) {
            comparison.mask = Some(self.mask(field)?);
        }
        let operator_place = self.token().place.clone();
        comparison.operator = self.operator(&comparison)?;
        comparison.check_operator().map_err(|(message, hint)| {
            self.wrong_at(operator_place, code::COMPARISON, message, hint)
        })?;
        comparison.values = if self.peek() == &TokenKind::Symbol(Symbol::OpenSet) {
            self.set(&comparison)?
        } else {
            vec![self.value(&comparison)?]
        };
        comparison.place.end = self.tokens[self.at.saturating_sub(1)].place.end;
        Ok(comparison)
    }

    fn mask(&mut self, field: Field) -> Result<u32, QueryError> {
        let place = self.token().place.clone();
        self.advance();
        let crate::field::Kind::Bits(_) = field.kind() else {
            return Err(self.wrong_at(
                place,
                code::COMPARISON,
                format!("{} has no bits to mask", field.name()),
                "conditions are joined by and, or by &&",
            ));
        };
        let TokenKind::Word(word) = *self.peek() else {
            return Err(self.expected(Expect::Nothing, "the bits to look at, such as 0xff", ""));
        };
        let mask = crate::term::mask(field, word, self.vocabulary).map_err(|wrong| {
            self.wrong_at(
                self.token().place.clone(),
                code::VALUE,
                wrong.message,
                wrong.hint,
            )
        })?;
        self.advance();
        Ok(mask)
    }

    fn operator(&mut self, comparison: &Comparison) -> Result<Operator, QueryError> {
        let operator = match self.peek() {
            TokenKind::Symbol(symbol) => match symbol {
                Symbol::Equal => Operator::Equal,
                Symbol::Unequal => Operator::Unequal,
                Symbol::Less => Operator::Less,
                Symbol::LessEqual => Operator::LessEqual,
                Symbol::Greater => Operator::Greater,
                Symbol::GreaterEqual => Operator::GreaterEqual,
                Symbol::Like => Operator::Like,
                Symbol::Unlike => Operator::Unlike,
                Symbol::OpenSet => return Ok(Operator::In),
                _ => return Err(self.no_operator(comparison)),
            },
            TokenKind::Word(word) if word.eq_ignore_ascii_case("in") => Operator::In,
            TokenKind::Word(word) if word.eq_ignore_ascii_case("not") => {
                self.advance();
                if !self.take_word("in") {
                    return Err(self.expected(Expect::In, "in", "such as: dport not in {80, 443}"));
                }
                return Ok(Operator::NotIn);
            }
            TokenKind::Word(word)
                if ["and", "or"]
                    .iter()
                    .any(|other| word.eq_ignore_ascii_case(other)) =>
            {
                return Err(self.no_operator(comparison));
            }
            // `port 443`, `net 10.0.0.0/8`.
            TokenKind::Word(_) | TokenKind::Quoted(_) if comparison.mask.is_none() => {
                return Ok(Operator::In);
            }
            _ => return Err(self.no_operator(comparison)),
        };
        self.advance();
        Ok(operator)
    }

    fn no_operator(&self, comparison: &Comparison) -> QueryError {
        let field = comparison.field;
        let (expect, hint) = if comparison.mask.is_some() {
            (
                Expect::MaskComparison,
                format!("such as: {} & 0xff == 3", field.name()),
            )
        } else if matches!(field, Field::Helper | Field::Label | Field::Mark) {
            (
                Expect::Comparison(field),
                format!("did you mean has {}?", field.name()),
            )
        } else {
            (
                Expect::Comparison(field),
                format!("such as: {}", field.example()),
            )
        };
        self.expected(expect, "an operator and a value", hint)
    }

    fn set(&mut self, comparison: &Comparison) -> Result<Vec<Value>, QueryError> {
        if !matches!(comparison.operator, Operator::In | Operator::NotIn) {
            return Err(self.wrong_at(
                self.token().place.clone(),
                code::COMPARISON,
                format!(
                    "a set of values does not go with {}",
                    comparison.operator.text()
                ),
                match comparison.operator {
                    Operator::Unequal | Operator::Unlike => "write: not in {…}",
                    _ => "write: in {…}",
                },
            ));
        }
        self.advance();
        let mut values = Vec::new();
        loop {
            values.push(self.value(comparison)?);
            if self.take_symbol(Symbol::CloseSet) {
                return Ok(values);
            }
            if !self.take_symbol(Symbol::Comma) {
                return Err(self.expected(
                    Expect::InSet,
                    ", or }",
                    "values are separated by commas",
                ));
            }
            // A comma at the end does no harm.
            if self.take_symbol(Symbol::CloseSet) {
                return Ok(values);
            }
        }
    }

    fn value(&mut self, comparison: &Comparison) -> Result<Value, QueryError> {
        let field = comparison.field;
        let place = self.token().place.clone();
        let text = match self.peek().clone() {
            TokenKind::Word(word) => word.to_owned(),
            TokenKind::Quoted(text) => text.into_owned(),
            _ => {
                let what = value::expected(field.kind());
                return Err(self.expected(Expect::Value(field), &what, ""));
            }
        };
        let value = comparison.value(&text, self.vocabulary);
        let value = value.map_err(|wrong| {
            let code = if wrong.unknown {
                code::UNKNOWN
            } else {
                code::VALUE
            };
            let hint = if wrong.hint.is_empty() {
                self.hint_after(&text)
            } else {
                wrong.hint
            };
            self.wrong_at(place, code, wrong.message, hint)
                .expecting(Expect::Value(field))
        })?;
        self.advance();
        Ok(value)
    }

    /// What may have been meant where a value is wrong and something stands behind it.
    fn hint_after(&self, text: &str) -> String {
        match self.tokens.get(self.at + 1).map(|token| &token.kind) {
            Some(TokenKind::Word(next))
                if text.ends_with(|c: char| c.is_ascii_digit())
                    && [
                        "b", "kb", "mb", "gb", "kib", "mib", "gib", "s", "m", "h", "d",
                    ]
                    .iter()
                    .any(|unit| next.eq_ignore_ascii_case(unit)) =>
            {
                format!("write {text}{next} without a space")
            }
            _ => String::new(),
        }
    }

    fn term(&self, comparison: Comparison) -> Result<Term, QueryError> {
        let place = comparison.place.clone();
        let expr = comparison
            .expr(self.vocabulary)
            .map_err(|(message, hint)| {
                self.wrong_at(place.clone(), code::COMPARISON, message, hint)
            })?;
        Ok(Term {
            place,
            text: comparison.to_string(),
            expr,
        })
    }
}

fn joined(mut parts: Vec<Node>, join: impl FnOnce(Vec<Node>) -> Node) -> Node {
    match parts.len() {
        1 => parts.swap_remove(0),
        _ => join(parts),
    }
}
