//! A screen over an API that has a fault: it panics when it is asked. `tests/panic.rs` looks what is left of the
//! terminal.

use std::process::ExitCode;
use std::sync::Arc;

use tui::format::Clock;
use tui::transport::{Answer, Request};
use tui::view::theme::Palette;
use tui::wire::Fault;
use tui::{Options, Transport, View};

struct Faulty;

impl Transport for Faulty {
    fn open(&self, request: &Request) -> Result<Answer, Fault> {
        match request.path.contains("/connections") {
            true => panic!("the fault of the example"),
            false => Err(Fault::new("no-answer", "nobody is there", "")),
        }
    }

    fn place(&self) -> String {
        String::new()
    }
}

fn main() -> ExitCode {
    let options = Options {
        transport: Arc::new(Faulty),
        view: View::default(),
        folder: None,
        palette: Palette::Sixteen,
        clock: Clock::Utc,
        mouse: true,
        stop: Box::new(|| Ok(())),
    };
    match tui::run(options, |_| {}) {
        Ok(_) => ExitCode::SUCCESS,
        Err(failure) => {
            println!("{failure} [{}]", failure.code);
            ExitCode::FAILURE
        }
    }
}
