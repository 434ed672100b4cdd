//! Text into tokens. What a word means, its place decides: `443`, `10.0.0.0/8`, `8000-8999`, `2h`
//! and `FIN_WAIT` are all words.

use std::borrow::Cow;
use std::ops::Range;

use crate::error::{QueryError, code};

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Token<'a> {
    pub(crate) kind: TokenKind<'a>,
    pub(crate) place: Range<usize>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum TokenKind<'a> {
    Word(&'a str),
    /// Without its quotes and escapes.
    Quoted(Cow<'a, str>),
    Symbol(Symbol),
    End,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Symbol {
    Open,
    Close,
    OpenSet,
    CloseSet,
    Comma,
    Equal,
    Unequal,
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
    Like,
    Unlike,
    Mask,
    And,
    Or,
    Not,
}

/// Longest first, so that `<=` is not `<` and `=`.
const SYMBOLS: [(&str, Symbol); 18] = [
    ("==", Symbol::Equal),
    ("!=", Symbol::Unequal),
    ("<=", Symbol::LessEqual),
    (">=", Symbol::GreaterEqual),
    ("!~", Symbol::Unlike),
    ("&&", Symbol::And),
    ("||", Symbol::Or),
    ("=", Symbol::Equal),
    ("<", Symbol::Less),
    (">", Symbol::Greater),
    ("~", Symbol::Like),
    ("&", Symbol::Mask),
    ("!", Symbol::Not),
    ("(", Symbol::Open),
    (")", Symbol::Close),
    ("{", Symbol::OpenSet),
    ("}", Symbol::CloseSet),
    (",", Symbol::Comma),
];

/// Whether a character may stand in a word.
pub(crate) fn is_word(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '.' | ':' | '/' | '-' | '*' | '?' | '+' | '%')
}

/// What would do something to a terminal rather than show: control characters, and those that turn
/// the direction of writing.
pub(crate) fn is_unprintable(c: char) -> bool {
    c.is_control() && !matches!(c, '\n' | '\r' | '\t')
        || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Cuts a text; the last token is always [`TokenKind::End`].
pub(crate) fn tokens(text: &str) -> Result<Vec<Token<'_>>, QueryError> {
    if let Some((at, c)) = text.char_indices().find(|&(_, c)| is_unprintable(c)) {
        return Err(QueryError::new(
            code::SYNTAX,
            text,
            at..at + c.len_utf8(),
            format!("a query cannot have the character U+{:04X}", u32::from(c)),
            "take it out: it does not show, or changes how the rest shows",
        ));
    }
    let mut tokens = Vec::new();
    let mut at = 0;
    loop {
        at = skip_blank(text, at);
        let rest = text.get(at..).unwrap_or_default();
        let Some(first) = rest.chars().next() else {
            tokens.push(Token {
                kind: TokenKind::End,
                place: text.len()..text.len(),
            });
            return Ok(tokens);
        };
        let (kind, length) = if is_word(first) {
            let length = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
            (
                TokenKind::Word(rest.get(..length).unwrap_or_default()),
                length,
            )
        } else if first == '"' || first == '\'' {
            quoted(text, at, first)?
        } else if let Some(&(symbol_text, symbol)) =
            SYMBOLS.iter().find(|(symbol, _)| rest.starts_with(symbol))
        {
            (TokenKind::Symbol(symbol), symbol_text.len())
        } else {
            return Err(QueryError::new(
                code::SYNTAX,
                text,
                at..at + first.len_utf8(),
                format!("{first:?} means nothing here"),
                match first {
                    '|' => "alternatives are joined by or, or by ||",
                    ';' => "conditions are joined by and, or by or",
                    '[' | ']' => "a set is written in braces: {80, 443}",
                    _ => "text with such characters goes between quotes: \"…\"",
                },
            ));
        };
        tokens.push(Token {
            kind,
            place: at..at + length,
        });
        at += length;
    }
}

/// Passes over white space, and comments from # to the line's end.
fn skip_blank(text: &str, mut at: usize) -> usize {
    loop {
        let rest = text.get(at..).unwrap_or_default();
        let trimmed = rest.trim_start();
        at += rest.len() - trimmed.len();
        if !trimmed.starts_with('#') {
            return at;
        }
        at += trimmed.find('\n').unwrap_or(trimmed.len());
    }
}

fn quoted(text: &str, start: usize, quote: char) -> Result<(TokenKind<'_>, usize), QueryError> {
    let inner = text.get(start + 1..).unwrap_or_default();
    let mut content = String::new();
    let mut escaped = false;
    for (offset, c) in inner.char_indices() {
        match c {
            _ if escaped => {
                content.push(c);
                escaped = false;
            }
            '\\' => escaped = true,
            c if c == quote => {
                return Ok((TokenKind::Quoted(Cow::Owned(content)), offset + 2));
            }
            c => content.push(c),
        }
    }
    Err(QueryError::new(
        code::SYNTAX,
        text,
        start..start + 1,
        "this quotation has no end",
        format!("close it with {quote}"),
    ))
}
