//! Where in the definition of the command line the cursor stands.

use clap::{Arg, Command};

/// The name that positional arguments with a query have in the definition.
const QUERY: &str = "QUERY";

/// What can be offered at the cursor, and how the line is to be understood.
#[derive(Debug)]
pub(super) struct Found<'a> {
    pub(super) place: Place<'a>,
    /// The configuration file that the line names.
    pub(super) config: Option<&'a str>,
}

#[derive(Debug)]
pub(super) enum Place<'a> {
    /// A query, of which there are these words before the cursor.
    Query(Vec<&'a str>),
    /// A flag's value, which begins at this character of the last word.
    Value { arg: &'a Arg, from: usize },
}

/// Finds the place behind some words, the first of which is the program. None if only flags,
/// subcommands or files can stand there. `root` must have been built.
pub(super) fn find<'a>(root: &'a Command, before: &'a [String], last: &str) -> Option<Found<'a>> {
    let mut command = root;
    let mut positionals: Vec<&str> = Vec::new();
    let mut flag: Option<&Arg> = None;
    let mut flags_end = false;
    let mut config = None;
    for (index, word) in before.iter().enumerate().skip(1) {
        if let Some(arg) = flag.take() {
            if arg.get_long() == Some("config") {
                config = Some(word.as_str());
            }
        } else if !flags_end && word == "--" {
            flags_end = true;
        } else if !flags_end && word.starts_with('-') && word.len() > 1 {
            flag = flag_without_value(command, word);
            config = word.strip_prefix("--config=").or(config);
        } else if let Some(inner) = command
            .find_subcommand(word)
            .filter(|_| positionals.is_empty())
        {
            command = inner;
        } else if positional(command, positionals.len())?.is_trailing_var_arg_set() {
            // The rest is a command line of its own: `tracklight demo list …`.
            return find(root, before.get(index.checked_sub(1)?..)?, last);
        } else {
            positionals.push(word);
        }
    }
    let place = if let Some(arg) = flag {
        Place::Value { arg, from: 0 }
    } else if !flags_end && last.starts_with('-') {
        let (name, _) = last.strip_prefix("--")?.split_once('=')?;
        Place::Value {
            arg: long(command, name)?,
            from: name.chars().count() + 3,
        }
    } else {
        let arg = positional(command, positionals.len())
            .filter(|arg| arg.get_value_names().is_some_and(|names| names == [QUERY]))?;
        let first = arg.get_index()?.checked_sub(1)?;
        Place::Query(positionals.split_off(first))
    };
    Some(Found { place, config })
}

/// The positional argument behind so many others.
fn positional(command: &Command, before: usize) -> Option<&Arg> {
    let takes_more = |arg: &&Arg| {
        arg.get_num_args()
            .is_some_and(|range| range.max_values() > 1)
    };
    command
        .get_positionals()
        .find(|arg| arg.get_index() == Some(before + 1))
        .or_else(|| command.get_positionals().last().filter(takes_more))
}

/// The flag whose value is the word behind this one.
fn flag_without_value<'a>(command: &'a Command, word: &str) -> Option<&'a Arg> {
    let arg = match word.strip_prefix("--") {
        Some(name) => long(command, name)?,
        None => {
            let mut letters = word.chars().skip(1);
            let arg = letters.find_map(|letter| {
                command
                    .get_arguments()
                    .find(|arg| arg.get_short() == Some(letter) && wants_value(arg))
            })?;
            if letters.next().is_some() {
                return None;
            }
            arg
        }
    };
    wants_value(arg).then_some(arg)
}

fn long<'a>(command: &'a Command, name: &str) -> Option<&'a Arg> {
    command.get_arguments().find(|arg| {
        arg.get_long_and_visible_aliases()
            .is_some_and(|names| names.contains(&name))
    })
}

fn wants_value(arg: &Arg) -> bool {
    arg.get_action().takes_values()
        && !arg.is_require_equals_set()
        && arg
            .get_num_args()
            .is_none_or(|range| range.min_values() > 0)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    /// The words of the query or the name of the flag.
    fn at(line: &str) -> Option<String> {
        let mut root = crate::cli::Cli::command();
        root.build();
        let mut before: Vec<String> = line.split(' ').map(str::to_owned).collect();
        let last = before.pop().unwrap();
        find(&root, &before, &last).map(|found| match found.place {
            Place::Query(words) => format!("{words:?} {:?}", found.config),
            Place::Value { arg, from } => format!("{} {from}", arg.get_id()),
        })
    }

    #[test]
    fn queries_stand_where_the_definition_says() {
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(at("t list pro"), some("[] None"));
        assert_eq!(
            at("t rm -p tcp --all proto == "),
            some(r#"["proto", "=="] None"#)
        );
        assert_eq!(at("t list -zo json --nat a "), some(r#"["a"] None"#));
        assert_eq!(
            at("t --config x ls -n5 a -- -b "),
            some(r#"["a", "-b"] Some("x")"#)
        );
        assert_eq!(at("t demo -v ls --config=y a "), some(r#"["a"] Some("y")"#));
        assert_eq!(at("t query explain a "), some(r#"["a"] None"#));
        for other in [
            "t ",
            "t li",
            "t get ",
            "t list -",
            "t query ",
            "t stats x",
            "t list --nat",
        ] {
            assert_eq!(at(other), None, "{other}");
        }
    }

    #[test]
    fn values_stand_behind_their_flags() {
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(at("t list -p "), some("protocols 0"));
        assert_eq!(at("t list -zp "), some("protocols 0"));
        assert_eq!(at("t list --protocol=tcp,u"), some("protocols 11"));
        assert_eq!(at("t group --by "), some("by 0"));
        assert_eq!(at("t list -ptcp "), some("[] None"));
    }

    #[test]
    fn every_query_is_a_positional_of_that_name() {
        fn walk(command: &Command, path: &str) {
            for arg in command
                .get_arguments()
                .filter(|arg| arg.get_id() == "query")
            {
                let names = arg.get_value_names().unwrap_or_default();
                assert!(arg.is_positional() && names == [QUERY], "{path}: {names:?}");
            }
            for inner in command.get_subcommands() {
                walk(inner, &format!("{path} {}", inner.get_name()));
            }
        }
        let mut root = crate::cli::Cli::command();
        root.build();
        walk(&root, "tracklight");
    }
}
