//! A line of options into words and options, as getopt_long(3) and conntrack(8) do it.

/// Splits a line at white space; double quotes keep white space, and within them a backslash keeps
/// a quote. An empty word is none.
pub(super) fn split(line: &str) -> Result<Vec<String>, String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut letters = line.chars();
    let mut quoted = false;
    while let Some(letter) = letters.next() {
        match letter {
            '"' => quoted = !quoted,
            '\\' if quoted => word.extend(letters.next()),
            ' ' | '\t' | '\n' | '\r' if !quoted => {
                if !word.is_empty() {
                    words.push(std::mem::take(&mut word));
                }
            }
            letter => word.push(letter),
        }
    }
    if quoted {
        return Err("a quotation mark is missing".to_owned());
    }
    if !word.is_empty() {
        words.push(word);
    }
    Ok(words)
}

/// Whether an option takes a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Takes {
    Nothing,
    Value,
    /// A value, unless what follows is an option.
    Perhaps,
}

/// One option: what it is called here, its letter, and its long names.
pub(super) struct Known<T: 'static> {
    pub(super) what: T,
    pub(super) letter: Option<char>,
    pub(super) names: &'static [&'static str],
    pub(super) takes: Takes,
}

/// An option as it was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Given<T> {
    pub(super) what: T,
    /// As it was written, for messages.
    pub(super) written: String,
    pub(super) value: Option<String>,
}

/// The options among words, and the words that are none.
pub(super) type Parsed<T> = (Vec<Given<T>>, Vec<String>);

/// Tells options and values apart.
pub(super) fn options<T: Copy + PartialEq>(
    words: Vec<String>,
    known: &[Known<T>],
) -> Result<Parsed<T>, String> {
    let (mut given, mut others) = (Vec::new(), Vec::new());
    let mut words = words.into_iter().peekable();
    while let Some(word) = words.next() {
        let next = |takes, written: &str, words: &mut std::iter::Peekable<_>| match takes {
            Takes::Nothing => Ok(None),
            Takes::Value => words
                .next()
                .map(Some)
                .ok_or_else(|| format!("{written} needs a value")),
            Takes::Perhaps => Ok(words.next_if(|word: &String| !word.starts_with('-'))),
        };
        if let Some(long) = word.strip_prefix("--").filter(|long| !long.is_empty()) {
            let (name, attached) = match long.split_once('=') {
                Some((name, value)) => (name, Some(value.to_owned())),
                None => (long, None),
            };
            let option = by_name(known, name)?;
            let written = format!("--{name}");
            let value = match (attached, option.takes) {
                (Some(_), Takes::Nothing) => return Err(format!("{written} takes no value")),
                (Some(value), _) => Some(value),
                (None, takes) => next(takes, &written, &mut words)?,
            };
            let what = option.what;
            given.push(Given {
                what,
                written,
                value,
            });
        } else if let Some(letters) = word.strip_prefix('-').filter(|rest| !rest.is_empty()) {
            let mut rest = letters.chars();
            while let Some(letter) = rest.next() {
                let written = format!("-{letter}");
                let option = known
                    .iter()
                    .find(|option| option.letter == Some(letter))
                    .ok_or_else(|| format!("{written} is no option of conntrack"))?;
                let attached = rest.as_str().to_owned();
                let value = match option.takes {
                    Takes::Nothing => None,
                    _ if !attached.is_empty() => {
                        rest = "".chars();
                        Some(attached)
                    }
                    takes => next(takes, &written, &mut words)?,
                };
                let what = option.what;
                given.push(Given {
                    what,
                    written,
                    value,
                });
            }
        } else {
            others.push(word);
        }
    }
    Ok((given, others))
}

/// The option of a long name or of a beginning that no other has.
fn by_name<'a, T: Copy + PartialEq>(
    known: &'a [Known<T>],
    name: &str,
) -> Result<&'a Known<T>, String> {
    let exact = known.iter().find(|option| option.names.contains(&name));
    if let Some(option) = exact {
        return Ok(option);
    }
    let begins = |option: &&Known<T>| option.names.iter().any(|long| long.starts_with(name));
    let mut beginning = known.iter().filter(begins);
    match (beginning.next(), beginning.next()) {
        (Some(option), None) => Ok(option),
        (Some(_), Some(_)) => Err(format!("--{name} may be one of several options")),
        (None, _) => Err(format!("--{name} is no option of conntrack")),
    }
}
