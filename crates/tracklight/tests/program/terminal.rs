//! A real terminal, by tmux.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// How long a screen may take to become as it should be, also on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) struct Terminal {
    home: TempDir,
}

/// Whether a screen has a text.
pub(crate) fn has(text: &str) -> impl Fn(&str) -> bool + '_ {
    move |screen| screen.contains(text)
}

impl Terminal {
    /// With a program in it that prompts, and a home that is removed at the end.
    pub(crate) fn open(
        home: TempDir,
        (width, height): (u16, u16),
        program: &[&str],
        path: &str,
        prompt: &str,
    ) -> Self {
        let terminal = Self { home };
        let home = terminal.home();
        let mut start = terminal.tmux(&["-f", "/dev/null", "new-session", "-d"]);
        start
            .args(["-x", &width.to_string(), "-y", &height.to_string()])
            .args(program)
            .current_dir(home)
            .env_clear()
            .envs([("PATH", path), ("TERM", "screen"), ("LC_ALL", "C.UTF-8")])
            .env("HOME", home)
            .env("TRACKLIGHT_CONFIG", home.join("tracklight.toml"));
        run(&mut start);
        terminal.until("a prompt", |screen| {
            screen.trim_end().ends_with(prompt.trim_end())
        });
        terminal
    }

    pub(crate) fn home(&self) -> &Path {
        self.home.path()
    }

    /// tmux, with a server of this terminal's own.
    fn tmux(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("tmux");
        command
            .arg("-S")
            .arg(self.home.path().join("tmux"))
            .args(arguments)
            .env_remove("TMUX");
        command
    }

    /// Waits until the screen is as it should be.
    #[track_caller]
    pub(crate) fn until(&self, what: &str, is_so: impl Fn(&str) -> bool) -> String {
        let started = Instant::now();
        loop {
            let screen = run(&mut self.tmux(&["capture-pane", "-p"]));
            if is_so(&screen) {
                return screen;
            }
            assert!(started.elapsed() < PATIENCE, "no {what}:\n{screen}");
            std::thread::yield_now();
        }
    }

    /// Presses keys by their names.
    pub(crate) fn keys(&self, keys: &[&str]) {
        for key in keys {
            run(&mut self.tmux(&["send-keys", key]));
        }
    }

    /// Types a text.
    pub(crate) fn text(&self, text: &str) {
        run(&mut self.tmux(&["send-keys", "-l", text]));
    }

    /// Runs something in the shell, which says how it ended.
    pub(crate) fn shell(&self, command: &str) {
        self.shell_line(&format!("{command}; echo ended: $?"));
    }

    /// Runs something in the shell.
    pub(crate) fn shell_line(&self, line: &str) {
        self.text(line);
        self.keys(&["Enter"]);
    }

    pub(crate) fn resize(&self, width: u16, height: u16) {
        let (width, height) = (width.to_string(), height.to_string());
        run(&mut self.tmux(&["resize-window", "-x", &width, "-y", &height]));
    }

    /// Whether the terminal is as shells want it: what is typed is shown, lines are edited.
    pub(crate) fn is_cooked(&self) -> bool {
        self.shell_line(
            "stty -a | tr ' ;' '\\n\\n' | grep -cx -e icanon -e echo | sed 's/^/modes: /'",
        );
        let screen = self.until("modes", |screen| {
            screen.lines().any(|line| line.starts_with("modes: "))
        });
        screen.lines().any(|line| line == "modes: 2")
    }

    /// The processes in this terminal whose names begin so.
    pub(crate) fn processes(&self, name: &str) -> Vec<String> {
        let tty = run(&mut self.tmux(&["display-message", "-p", "#{pane_tty}"]));
        let tty = tty.trim().trim_start_matches("/dev/");
        let mut list = Command::new("ps");
        let all = run(list.args(["-t", tty, "-o", "pid=,comm="]));
        let of_name = all.lines().filter_map(|line| {
            let (pid, comm) = line.trim().split_once(' ')?;
            comm.trim().starts_with(name).then(|| pid.to_owned())
        });
        of_name.collect()
    }

    /// Closes the terminal's window.
    pub(crate) fn close(&self) {
        run(&mut self.tmux(&["kill-server"]));
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.tmux(&["kill-server"]).output();
    }
}

/// Runs a program, and gives what it prints.
#[track_caller]
pub(crate) fn run(command: &mut Command) -> String {
    let output = command.output().expect("tmux is there: scripts/setup test");
    assert!(output.status.success(), "{command:?}: {output:?}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}
