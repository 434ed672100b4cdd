//! The terminal: taken, and given back however it ends.

use std::io::{self, IsTerminal, Stdout, Write};
use std::panic;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, Once, PoisonError, TryLockError};
use std::thread;
use std::time::Duration;

use crossterm::cursor::Show;
use crossterm::event::{
    DisableBracketedPaste, DisableMouseCapture, EnableBracketedPaste, EnableMouseCapture,
};
use crossterm::execute;
use crossterm::terminal::{
    Clear, ClearType, EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode,
};
use ratatui::backend::CrosstermBackend;
use ratatui::layout::Rect;
use ratatui::{Frame, TerminalOptions, Viewport};

/// Whether it was told why.
static HAS_TOLD: AtomicBool = AtomicBool::new(false);
/// Whether the terminal is taken.
static IS_TAKEN: AtomicBool = AtomicBool::new(false);
/// Held while a frame is written.
static WRITING: Mutex<()> = Mutex::new(());
/// Whether a thread of ours has panicked.
static HAS_PANICKED: AtomicBool = AtomicBool::new(false);

/// The terminal, as long as it is taken.
pub(super) struct Terminal {
    inner: Inner,
    mouse: bool,
    has_input: bool,
}

impl Terminal {
    /// Takes it.
    pub(super) fn enter(mouse: bool) -> io::Result<Self> {
        let inner = taken(mouse)?;
        Ok(Self {
            inner,
            mouse,
            has_input: io::stdin().is_terminal(),
        })
    }

    /// Takes it again after it was given back.
    pub(super) fn enter_again(&mut self) -> io::Result<()> {
        self.inner = taken(self.mouse)?;
        Ok(())
    }

    /// Gives it back; nothing where that is done already.
    pub(super) fn leave(&mut self) {
        give_back();
    }

    /// Columns and rows.
    #[expect(clippy::unused_self, reason = "only who has taken it draws on it")]
    pub(super) fn size(&self) -> io::Result<(u16, u16)> {
        crossterm::terminal::size()
    }

    /// Draws a frame; nothing where somebody has given the terminal back.
    pub(super) fn draw(&mut self, frame: impl FnOnce(&mut Frame<'_>)) -> io::Result<()> {
        let _writing = WRITING.lock().unwrap_or_else(PoisonError::into_inner);
        if !IS_TAKEN.load(Ordering::SeqCst) {
            return Ok(());
        }
        let drawn = self.inner.get_frame().area().as_size();
        if self.size()? != (drawn.width, drawn.height) {
            self.clear()?;
        }
        self.inner.draw(frame)?;
        Ok(())
    }

    /// Everything is drawn anew with the next frame.
    pub(super) fn clear(&mut self) -> io::Result<()> {
        self.inner = fresh()?;
        Ok(())
    }

    /// Whether somebody is still there to see it.
    pub(super) fn is_there(&self) -> bool {
        !self.has_input || io::stdin().is_terminal()
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        give_back();
    }
}

type Inner = ratatui::Terminal<CrosstermBackend<Stdout>>;

/// Takes the terminal; where that fails, it is as it was.
fn taken(mouse: bool) -> io::Result<Inner> {
    enable_raw_mode()?;
    IS_TAKEN.store(true, Ordering::SeqCst);
    let inner = take(&mut io::stdout(), mouse).and_then(|()| fresh());
    inner.inspect_err(|_| give_back())
}

/// An empty screen of the size that the terminal has now.
///
/// Of that size for good: one that follows the terminal's by itself asks the terminal where its cursor is, and the
/// answer goes to the thread that reads keys.
fn fresh() -> io::Result<Inner> {
    execute!(io::stdout(), Clear(ClearType::All))?;
    let (width, height) = crossterm::terminal::size()?;
    let viewport = Viewport::Fixed(Rect::new(0, 0, width, height));
    let backend = CrosstermBackend::new(io::stdout());
    ratatui::Terminal::with_options(backend, TerminalOptions { viewport })
}

fn take(out: &mut impl Write, mouse: bool) -> io::Result<()> {
    execute!(out, EnterAlternateScreen, EnableBracketedPaste)?;
    if mouse {
        execute!(out, EnableMouseCapture)?;
    }
    Ok(())
}

/// As it was before, as far as it is still there.
fn give_back() {
    if IS_TAKEN.swap(false, Ordering::SeqCst) {
        let _ = write_back(&mut io::stdout());
        let _ = disable_raw_mode();
    }
}

fn write_back(out: &mut impl Write) -> io::Result<()> {
    execute!(
        out,
        DisableMouseCapture,
        DisableBracketedPaste,
        LeaveAlternateScreen,
        Show
    )
}

/// From now on a panic of any thread gives the terminal back before it is told.
pub(super) fn restore_on_panic() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let tell = panic::take_hook();
        panic::set_hook(Box::new(move |information| {
            HAS_PANICKED.store(true, Ordering::SeqCst);
            let _written = wait_for_frame();
            give_back();
            tell(information);
            HAS_TOLD.store(true, Ordering::SeqCst);
        }));
    });
}

/// Waits until the frame that is under way is written, so that none of it comes behind; not for long, for it may be
/// the drawing that has panicked.
fn wait_for_frame() -> Option<MutexGuard<'static, ()>> {
    for _ in 0..50 {
        match WRITING.try_lock() {
            Ok(written) => return Some(written),
            Err(TryLockError::Poisoned(written)) => return Some(written.into_inner()),
            Err(TryLockError::WouldBlock) => thread::sleep(Duration::from_millis(5)),
        }
    }
    None
}

/// Whether a thread has panicked, so that it is over.
pub(super) fn has_panicked() -> bool {
    HAS_PANICKED.load(Ordering::SeqCst)
}

/// Waits until it was told why a thread has panicked; not for ever.
pub(super) fn wait_until_told() {
    for _ in 0..500 {
        if HAS_TOLD.load(Ordering::SeqCst) {
            return;
        }
        thread::sleep(Duration::from_millis(10));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(write: impl FnOnce(&mut Vec<u8>) -> io::Result<()>) -> String {
        let mut out = Vec::new();
        write(&mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn what_was_switched_on_is_switched_off() {
        let on = text(|out| take(out, true));
        let off = text(write_back);
        for mode in ["?1049", "?2004", "?1000", "?1002", "?1003", "?1006"] {
            assert!(on.contains(&format!("{mode}h")), "{mode} is not on");
            assert!(off.contains(&format!("{mode}l")), "{mode} stays on");
        }
        assert!(off.contains("?25h"), "the cursor is hidden");
    }

    #[test]
    fn a_panic_gives_the_terminal_back_first() {
        restore_on_panic();
        IS_TAKEN.store(true, Ordering::SeqCst);
        let panicked = std::thread::spawn(|| panic!("as it must")).join();
        assert!(panicked.is_err() && has_panicked());
        assert!(!IS_TAKEN.load(Ordering::SeqCst), "it is still taken");
    }
}
