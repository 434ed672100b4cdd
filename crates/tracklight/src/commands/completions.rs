//! `tracklight completions`.

use std::collections::BTreeSet;

use clap::{Arg, Command, CommandFactory};
use clap_complete::Shell;
use engine::Failure;

use crate::cli::Cli;
use crate::exit::Outcome;
use crate::output::Output;
use crate::shell::has_names;

/// Flags of `tracklight completions`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The shell
    shell: Shell,
}

/// `tracklight completions`.
pub(crate) fn run(args: &Args) -> Result<Outcome, Failure> {
    let mut out = Output::stdout()?;
    out.text(&script(args.shell))?;
    out.flush()?;
    Ok(Outcome::Done)
}

/// clap's script for flags and subcommands, and behind it what asks the program for the rest.
fn script(shell: Shell) -> String {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "tracklight", &mut script);
    let script = String::from_utf8_lossy(&script).into_owned();
    match shell {
        Shell::Bash => script + include_str!("../shell/hook.bash"),
        Shell::Zsh => with_zsh_hook(&script).unwrap_or(script),
        Shell::Fish => script + include_str!("../shell/hook.fish") + &fish_values(),
        _ => script,
    }
}

/// The function that zsh calls becomes ours, and clap's gets another name. None if clap's script
/// is not as it was.
fn with_zsh_hook(script: &str) -> Option<String> {
    let (functions, _) = script.split_once("\nif [ \"$funcstack[1]\" = \"_tracklight\" ]")?;
    let (head, body) = functions.split_once("\n_tracklight() {\n")?;
    let hook = include_str!("../shell/hook.zsh");
    Some(format!("{head}\n_tracklight_flags() {{\n{body}{hook}"))
}

/// fish asks for a flag's values only where the flag itself says so.
fn fish_values() -> String {
    fn collect(command: &Command, lines: &mut BTreeSet<String>) {
        let known =
            |arg: &&Arg| arg.get_action().takes_values() && !arg.is_positional() && has_names(arg);
        for arg in command.get_arguments().filter(known) {
            let mut line = "complete -c tracklight -n __tracklight_ask".to_owned();
            if let Some(letter) = arg.get_short() {
                line += &format!(" -s {letter}");
            }
            for name in arg.get_long_and_visible_aliases().unwrap_or_default() {
                line += &format!(" -l {name}");
            }
            lines.insert(line + " -x -k -a '$__tracklight_found'\n");
        }
        command
            .get_subcommands()
            .for_each(|inner| collect(inner, lines));
    }
    let mut root = Cli::command();
    root.build();
    let mut lines = BTreeSet::new();
    collect(&root, &mut lines);
    lines.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zsh_finds_our_function() {
        let script = script(Shell::Zsh);
        assert!(script.starts_with("#compdef tracklight\n"));
        assert_eq!(script.matches("\n_tracklight() {\n").count(), 1);
        assert_eq!(script.matches("\n_tracklight_flags() {\n").count(), 1);
        assert_eq!(script.matches("$funcstack[1]").count(), 1);
    }
}
