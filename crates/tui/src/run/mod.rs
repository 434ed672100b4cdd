//! Runs the screen: events in, effects out, a frame after each.

mod ask;
mod listen;
mod terminal;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use engine::Failure;

use crate::event::{Effect, Event, Heard, Now};
use crate::format::Clock;
use crate::saved::View;
use crate::state::State;
use crate::state::tally::Tally;
use crate::transport::Transport;
use crate::update::{begin, update};
use crate::view::theme::Palette;
use crate::view::view;
use ask::Asker;
use listen::Listeners;
use terminal::Terminal;

/// What the screen is started with.
pub struct Options {
    /// Whom it asks.
    pub transport: Arc<dyn Transport>,
    /// What is shown at first.
    pub view: View,
    /// Where views are kept.
    pub folder: Option<PathBuf>,
    /// How many colours there are.
    pub palette: Palette,
    /// In whose time moments are told.
    pub clock: Clock,
    /// Whether the mouse is listened to.
    pub mouse: bool,
    /// Stops the job, and comes back when it goes on.
    pub stop: Box<dyn Fn() -> io::Result<()>>,
}

/// Ends or stops the screen from elsewhere, as where a signal came.
#[derive(Clone)]
pub struct Ender(Sender<Event>);

impl Ender {
    /// Ends it.
    pub fn end(&self) {
        // It has ended already.
        let _ = self.0.send(Event::Ended);
    }

    /// Stops it, until the shell lets it go on.
    pub fn suspend(&self) {
        let _ = self.0.send(Event::Stopped);
    }
}

/// Events that are taken before the next frame.
const AT_ONCE: usize = 256;

/// Shows the screen until somebody ends it, and gives how often what it shows was made anew. `started` is given what
/// ends it from elsewhere.
pub fn run(options: Options, started: impl FnOnce(Ender)) -> Result<Tally, Failure> {
    let (sender, receiver) = channel();
    terminal::restore_on_panic();
    let mut terminal = Terminal::enter(options.mouse).map_err(|error| failed(&error))?;
    started(Ender(sender.clone()));
    read_input(&sender);
    let mut screen = Screen {
        stop: options.stop,
        began: Instant::now(),
        asker: Asker::new(Arc::clone(&options.transport), sender.clone()),
        listeners: Listeners::new(Arc::clone(&options.transport), sender.clone()),
        sender,
    };
    let size = terminal.size().map_err(|error| failed(&error))?;
    let place = options.transport.place();
    let mut state = State::new(size, place, options.folder, options.view);
    state.palette = options.palette;
    state.clock = options.clock;
    state.now = screen.now();
    let effects = begin(&mut state);
    let ended = screen.go_on(&mut state, &mut terminal, effects, &receiver);
    terminal.leave();
    if terminal::has_panicked() {
        terminal::wait_until_told();
        return Err(Failure::new(
            "internal",
            "the screen ended by a fault of the program's",
            "report it, with the lines above",
        ));
    }
    ended.map(|()| state.tally).map_err(|error| failed(&error))
}

fn failed(error: &io::Error) -> Failure {
    Failure::new(
        "terminal-failed",
        format!("the terminal cannot be used: {error}"),
        "run it in a terminal, or print rounds of text: tracklight top -b 1",
    )
}

struct Screen {
    stop: Box<dyn Fn() -> io::Result<()>>,
    began: Instant,
    asker: Asker,
    listeners: Listeners,
    sender: Sender<Event>,
}

impl Screen {
    fn now(&self) -> Now {
        Now {
            wall_ns: engine::now(),
            ms: u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX),
        }
    }

    fn go_on(
        &mut self,
        state: &mut State,
        terminal: &mut Terminal,
        mut effects: Vec<Effect>,
        receiver: &Receiver<Event>,
    ) -> io::Result<()> {
        loop {
            for effect in effects.drain(..) {
                match effect {
                    Effect::Quit => return Ok(()),
                    Effect::Suspend => {
                        terminal.leave();
                        (self.stop)()?;
                        terminal.enter_again()?;
                        // Whoever reads is alive: it is this thread.
                        let _ = self.sender.send(Event::Resumed);
                    }
                    Effect::Repaint => terminal.clear()?,
                    other => self.perform(other),
                }
            }
            // A change of size that comes together with a key is not always told.
            let (width, height) = terminal.size()?;
            if state.size != (width, height) {
                effects.extend(update(state, Event::Resize(width, height)));
            }
            terminal.draw(|frame| view(state, frame))?;
            if terminal::has_panicked() || !terminal.is_there() {
                return Ok(());
            }
            self.wait(state, receiver, &mut effects);
        }
    }

    /// Waits until something happens, and takes it.
    fn wait(&self, state: &mut State, receiver: &Receiver<Event>, effects: &mut Vec<Effect>) {
        let tick = Duration::from_millis(state.view.interval_ms().clamp(100, 250));
        loop {
            let mut is_seen = false;
            match receiver.recv_timeout(tick) {
                Ok(event) => {
                    effects.extend(update(state, Event::Tick(self.now())));
                    is_seen = true;
                    self.take(state, event, effects);
                    for event in receiver.try_iter().take(AT_ONCE) {
                        self.take(state, event, effects);
                    }
                }
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                    let second = state.now.ms / 1000;
                    let had_message = state.message.is_some();
                    effects.extend(update(state, Event::Tick(self.now())));
                    // What runs down is drawn once a second.
                    is_seen |= state.now.ms / 1000 != second;
                    is_seen |= had_message && state.message.is_none();
                }
            }
            if is_seen || !effects.is_empty() {
                return;
            }
        }
    }

    fn take(&self, state: &mut State, event: Event, effects: &mut Vec<Effect>) {
        let stream = match &event {
            Event::Heard(number, Heard::Happened(..)) => Some(*number),
            _ => None,
        };
        effects.extend(update(state, event));
        while let Some(number) = stream
            && let Some(held) = self.listeners.is_taken(number)
        {
            effects.extend(update(state, Event::Heard(number, held)));
        }
    }

    fn perform(&mut self, effect: Effect) {
        match effect {
            Effect::Ask {
                number,
                kind,
                request,
            } => self.asker.ask(number, kind, request),
            Effect::Tell(request) => self.asker.tell(request),
            Effect::Listen {
                number,
                stream,
                request,
            } => self.listeners.listen(number, stream, request),
            Effect::Unlisten(stream) => self.listeners.unlisten(stream),
            Effect::Save { path, text } => {
                let saved = save(&path, &text).map(|()| path);
                let saved = saved.map_err(|error| error.to_string());
                let _ = self.sender.send(Event::Saved(saved));
            }
            Effect::Repaint | Effect::Suspend | Effect::Quit => {}
        }
    }
}

/// Writes a file whole or not at all.
fn save(path: &std::path::Path, text: &str) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let new = path.with_file_name(name);
    std::fs::write(&new, text)?;
    std::fs::rename(&new, path)
}

/// Keys, mouse and sizes, from a thread of its own.
fn read_input(sender: &Sender<Event>) {
    use crossterm::event::{Event as Input, MouseEventKind};
    let sender = sender.clone();
    let read = move || {
        loop {
            let event = match crossterm::event::read() {
                Ok(Input::Key(key)) => Event::Key(key),
                // A mouse that merely moves does nothing, and tells so a hundred times a second.
                Ok(Input::Mouse(mouse)) if mouse.kind == MouseEventKind::Moved => continue,
                Ok(Input::Mouse(mouse)) => Event::Mouse(mouse),
                Ok(Input::Resize(width, height)) => Event::Resize(width, height),
                Ok(Input::Paste(text)) => Event::Paste(text),
                Ok(Input::FocusGained | Input::FocusLost) => continue,
                Err(_) => Event::Ended,
            };
            let is_over = matches!(event, Event::Ended);
            if sender.send(event).is_err() || is_over {
                return;
            }
        }
    };
    // Without a thread there are no keys; signals still end it.
    let _ = thread::Builder::new().name("input".to_owned()).spawn(read);
}
