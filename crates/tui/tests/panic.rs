//! What is left of a real terminal after a panic.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// How long a screen may take to become as it should be, also on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A server of tmux that ends with the test.
struct Terminal(PathBuf);

impl Terminal {
    fn tmux(&self, arguments: &[&str]) -> String {
        let mut command = Command::new("tmux");
        command.arg("-S").arg(&self.0).args(arguments);
        let output = command.env_remove("TMUX").output();
        let output = output.expect("tmux is there: scripts/setup test");
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    #[track_caller]
    fn until(&self, text: &str) -> String {
        let started = Instant::now();
        loop {
            let screen = self.tmux(&["capture-pane", "-p"]);
            if screen.contains(text) {
                return screen;
            }
            assert!(started.elapsed() < PATIENCE, "no {text:?}:\n{screen}");
            std::thread::yield_now();
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let mut end = Command::new("tmux");
        let _ = end.arg("-S").arg(&self.0).arg("kill-server").output();
        let _ = std::fs::remove_file(&self.0);
    }
}

/// The example, which is built beside the tests.
fn example() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let folder = test.parent().and_then(Path::parent).unwrap();
    folder.join("examples/panics")
}

#[test]
fn a_panic_gives_the_terminal_back_and_says_what_it_was() {
    let name = format!("tracklight-panic-{}", std::process::id());
    let terminal = Terminal(std::env::temp_dir().join(name));
    let shell = [
        "-f",
        "/dev/null",
        "new-session",
        "-d",
        "-x",
        "100",
        "-y",
        "30",
        "sh",
    ];
    terminal.tmux(&shell);
    let program = example();
    let line = format!("{} ; echo ended: $?", program.display());
    terminal.tmux(&["send-keys", "-l", &line]);
    terminal.tmux(&["send-keys", "Enter"]);
    let screen = terminal.until("ended: 1");
    assert!(screen.contains("the fault of the example"), "{screen}");
    assert!(screen.contains("[internal]"), "{screen}");
    assert!(!screen.contains("Proto"), "{screen}");
    let modes = "stty -a | tr ' ;' '\\n\\n' | grep -cx -e icanon -e echo | sed 's/^/modes: /'";
    terminal.tmux(&["send-keys", "-l", modes]);
    terminal.tmux(&["send-keys", "Enter"]);
    terminal.until("\nmodes: 2");
}
