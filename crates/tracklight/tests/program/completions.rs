//! The TAB key of real shells in a real terminal.

use crate::terminal::{Terminal, run};
use std::path::Path;
use std::process::Command;

const CONFIG: &str = "\
[marks.uplink.names]
1 = \"lte backup\"
2 = \"fibre\"
";

/// Shown by no shell by itself.
const PROMPT: &str = "tab> ";

/// A shell with the installed completion, in a terminal.
struct Shell(Terminal);

impl Shell {
    fn new(shell: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let home = folder.path();
        std::fs::write(home.join("tracklight.toml"), CONFIG).unwrap();
        let program = match shell {
            "bash" => {
                write(
                    &home.join(".bashrc"),
                    &format!("PS1='{PROMPT}'\nsource ~/script\n"),
                );
                vec!["bash", "--noprofile"]
            }
            "zsh" => {
                let rc = format!(
                    "PS1='{PROMPT}'\nfpath=(~/functions $fpath)\nautoload -Uz compinit\ncompinit -u -D\n"
                );
                write(&home.join(".zshrc"), &rc);
                vec!["zsh", "--no-global-rcs"]
            }
            _ => {
                let rc = format!(
                    "function fish_prompt; echo -n '{PROMPT}'; end\n\
                     set -g fish_greeting\nset -g fish_autosuggestion_enabled 0\n"
                );
                write(&home.join(".config/fish/config.fish"), &rc);
                vec!["fish"]
            }
        };
        let script = home.join(match shell {
            "bash" => "script",
            "zsh" => "functions/_tracklight",
            _ => ".config/fish/completions/tracklight.fish",
        });
        write(&script, &script_for(shell));
        let bin = Path::new(env!("CARGO_BIN_EXE_tracklight"))
            .parent()
            .unwrap();
        let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
        Self(Terminal::open(folder, (160, 50), &program, &path, PROMPT))
    }

    /// Types a text, presses TAB and waits for the line to become another. Keys are handled one
    /// after the other, so that the mark typed behind TAB stands where the cursor was.
    #[track_caller]
    fn tab(&self, typed: &str, expected: &str) {
        self.type_and_tab(typed);
        self.0.text("§");
        let screen = self
            .0
            .until(&format!("end of the line behind {typed:?}"), |s| {
                s.contains('§')
            });
        let line = screen
            .lines()
            .rfind(|line| line.starts_with(PROMPT))
            .unwrap_or_default();
        let line = line.trim_start_matches(PROMPT);
        let before = line.split('§').next().unwrap_or_default();
        assert_eq!(before, expected, "from {typed:?}:\n{screen}");
        assert!(!screen.contains("error"), "{screen}");
        self.clear();
    }

    /// Types a text, presses TAB twice, and waits for a list with all of these.
    #[track_caller]
    fn lists(&self, typed: &str, expected: &[&str]) {
        self.type_and_tab(typed);
        self.0.keys(&["Tab"]);
        let has_all = |screen: &str| {
            let list = screen
                .split_once(typed.trim_end())
                .map_or("", |(_, list)| list);
            let mut words = list.split_whitespace().collect::<Vec<_>>();
            words.sort_unstable();
            expected
                .iter()
                .all(|word| words.binary_search(word).is_ok())
        };
        self.0
            .until(&format!("list of {expected:?} behind {typed:?}"), has_all);
        self.clear();
    }

    fn type_and_tab(&self, typed: &str) {
        self.0.text(typed);
        self.0.keys(&["Tab"]);
    }

    fn clear(&self) {
        // Not an interrupt: the terminal would forget what is typed behind it.
        self.0.keys(&["C-u", "C-l"]);
        self.0
            .until("empty line", |screen| screen.trim() == PROMPT.trim());
    }
}

fn write(path: &Path, text: &str) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

fn script_for(shell: &str) -> String {
    run(Command::new(env!("CARGO_BIN_EXE_tracklight")).args(["completions", shell]))
}

/// What is the same in all three.
fn completes_in(shell: &str) -> Shell {
    let terminal = Shell::new(shell);
    for (typed, expected) in [
        // Words of their own.
        ("tracklight list famil", "tracklight list family "),
        (
            "tracklight ls proto == tcp and state == ESTA",
            "tracklight ls proto == tcp and state == ESTABLISHED ",
        ),
        (
            "tracklight rm dport in finge",
            "tracklight rm dport in finger ",
        ),
        (
            "tracklight watch -p udp --nat -- zon",
            "tracklight watch -p udp --nat -- zone ",
        ),
        (
            "tracklight query explain famil",
            "tracklight query explain family ",
        ),
        ("tracklight demo list famil", "tracklight demo list family "),
        // One word.
        (
            "tracklight count dport==finge",
            "tracklight count dport==finger ",
        ),
        (
            "tracklight ls 'proto == tcp and famil",
            "tracklight ls 'proto == tcp and family ",
        ),
        (
            "tracklight ls \"src == 2001:db8:: and famil",
            "tracklight ls \"src == 2001:db8:: and family ",
        ),
        (
            "tracklight ls dport in '{80,finge",
            "tracklight ls dport in '{80,finger",
        ),
        (
            "tracklight ls 'provider == \"lt",
            "tracklight ls 'provider == \"lte backup\" ",
        ),
        (
            "tracklight ls \"provider == 'lt",
            "tracklight ls \"provider == 'lte backup' ",
        ),
        // Values of flags.
        ("tracklight update -zp tc", "tracklight update -zp tcp "),
        (
            "tracklight flush --state=SYN_SENT,TIME_WA",
            "tracklight flush --state=SYN_SENT,TIME_WAIT ",
        ),
        (
            "tracklight list --status ASS",
            "tracklight list --status ASSURED ",
        ),
        (
            "tracklight list --sport 80,finge",
            "tracklight list --sport 80,finger ",
        ),
        (
            "tracklight group --by peer.p",
            "tracklight group --by peer.port ",
        ),
        (
            "tracklight list --sort famil",
            "tracklight list --sort family ",
        ),
        (
            "tracklight list --columns proto,famil",
            "tracklight list --columns proto,family ",
        ),
        // Nothing can follow, not even a file's name.
        ("tracklight list src == ", "tracklight list src == "),
        ("tracklight list dprt == ", "tracklight list dprt == "),
        // As ever.
        ("tracklight coun", "tracklight count "),
        ("tracklight list --limi", "tracklight list --limit "),
        (
            "tracklight --config ./tracklight.to",
            "tracklight --config ./tracklight.toml ",
        ),
    ] {
        // zsh offers a flag with a value as --limit=.
        let expected = match (shell, typed.ends_with("--limi")) {
            ("zsh", true) => "tracklight list --limit=",
            _ => expected,
        };
        terminal.tab(typed, expected);
    }
    terminal.lists("tracklight list family ", &["==", "!=", "in"]);
    terminal.lists("tracklight list stat", &["state", "status"]);
    terminal
}

#[test]
fn bash_completes() {
    let terminal = completes_in("bash");
    terminal.lists(
        "tracklight list 'proto == tcp and family ",
        &["==", "!=", "in"],
    );
    terminal.tab(
        "tracklight ls provider == lte",
        "tracklight ls provider == '\"lte backup\"' ",
    );
    terminal.tab(
        "tracklight ls provider == \"lte b",
        "tracklight ls provider == \"'lte backup' ",
    );
    terminal.tab(
        "tracklight ls \"provider == \"",
        "tracklight ls \"provider == \"",
    );
}

#[test]
fn zsh_completes() {
    let terminal = completes_in("zsh");
    terminal.tab(
        "tracklight ls provider == lte",
        "tracklight ls provider == \\\"lte\\ backup\\\" ",
    );
    terminal.tab(
        "tracklight ls provider == \"lte b",
        "tracklight ls provider == \"'lte backup' ",
    );
}

#[test]
fn fish_completes() {
    let terminal = completes_in("fish");
    terminal.tab(
        "tracklight ls provider == lte",
        "tracklight ls provider == \\\"lte\\ backup\\\" ",
    );
}
