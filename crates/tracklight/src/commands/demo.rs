//! `tracklight demo`: any subcommand on a small network of its own.

use std::ffi::OsString;
use std::num::NonZeroU32;
use std::path::Path;
use std::process::{Command, ExitCode, ExitStatus};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;

use engine::Failure;
use netlab::Lab;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::cli::Global;
use crate::exit::{Outcome, note};

/// Flags of `tracklight demo`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  tracklight demo list
  tracklight demo watch
  tracklight demo delete --proto udp --dport 53

It makes three private network namespaces – a client, a gateway that translates addresses, and a
server – with continuous TCP, UDP, ICMP and IPv6 traffic, runs the subcommand on the gateway, and
takes everything down again. Nothing of this machine is touched; root is not needed where user
namespaces are allowed.")]
pub(crate) struct Args {
    /// A subcommand of tracklight and its arguments; `list` if none is given
    #[arg(
        trailing_var_arg = true,
        allow_hyphen_values = true,
        value_name = "SUBCOMMAND"
    )]
    command: Vec<OsString>,
}

/// `tracklight demo`. The process must have one thread until it is root in its namespace.
pub(crate) fn run(args: &Args, global: &Global) -> Result<Outcome, Failure> {
    if args.command.first().is_some_and(|name| name == "demo") {
        return Err(Failure::new(
            "usage",
            "a demo inside a demo shows nothing new",
            "leave it out",
        ));
    }
    if global.netns.is_some() {
        return Err(Failure::new(
            "usage",
            "demo has a network namespace of its own",
            "leave out --netns",
        ));
    }
    let started = Instant::now();
    netlab::enter_user_namespace().map_err(failure)?;
    let lab = Lab::new().map_err(failure)?;
    let traffic = lab.start_traffic().map_err(failure)?;
    lab.ready().map_err(failure)?;
    if global.verbose {
        note(&format!(
            "network and traffic ready in {:.2?}",
            started.elapsed()
        ));
    }
    // The subcommand ends; we go on to take the network down.
    ctrlc::set_handler(|| {
        if let Some(child) = NonZeroU32::new(CHILD.load(Ordering::Acquire)) {
            let child = Pid::from_raw(child.get().cast_signed());
            // It may have ended by itself.
            let _ = kill(child, Signal::SIGTERM);
        }
    })
    .map_err(|error| {
        Failure::new(
            "signal",
            format!("cannot handle signals: {error}"),
            "run it on its own",
        )
    })?;
    let status = subcommand(&lab, args, global)?;
    drop(traffic);
    drop(lab);
    Ok(Outcome::Status(exit_code(status)))
}

fn subcommand(lab: &Lab, args: &Args, global: &Global) -> Result<ExitStatus, Failure> {
    let program = std::env::current_exe().map_err(cannot_run)?;
    if args.command.first().is_some_and(|name| name == "serve") {
        return serve(lab, args, global, &program);
    }
    let mut command: Command = lab.gateway().bound_command(program);
    command.args(global.arguments());
    if args.command.is_empty() {
        command.arg("list");
    }
    command.args(&args.command);
    wait_for(&mut command)
}

/// The subcommand's process, to be told when we are.
static CHILD: AtomicU32 = AtomicU32::new(0);

fn wait_for(command: &mut Command) -> Result<ExitStatus, Failure> {
    let mut child = command.spawn().map_err(cannot_run)?;
    CHILD.store(child.id(), Ordering::Release);
    let status = child.wait().map_err(cannot_run);
    CHILD.store(0, Ordering::Release);
    status
}

/// The daemon keeps the gateway's table but listens where this machine's browsers are; what it keeps goes
/// with the demo.
fn serve(lab: &Lab, args: &Args, global: &Global, program: &Path) -> Result<ExitStatus, Failure> {
    let state = tempfile::tempdir().map_err(cannot_run)?;
    let says = |flag: &str| args.command.iter().any(|given| given == flag);
    let mut command = Command::new(program);
    command.arg("--netns").arg(lab.gateway().path());
    command.args(global.arguments());
    command.args(&args.command);
    if !says("--state") {
        command.arg("--state").arg(state.path());
    }
    if !says("--socket") {
        command.arg("--socket").arg(state.path().join("socket"));
    }
    netlab::bind_to_us(&mut command);
    wait_for(&mut command)
}

fn exit_code(status: ExitStatus) -> ExitCode {
    use std::os::unix::process::ExitStatusExt;
    let code = status
        .code()
        .or_else(|| status.signal().map(|signal| 128 + signal));
    ExitCode::from(code.and_then(|code| u8::try_from(code).ok()).unwrap_or(4))
}

fn cannot_run(error: std::io::Error) -> Failure {
    Failure::new(
        "demo-failed",
        format!("cannot start the subcommand: {error}"),
        "start tracklight by its full path",
    )
}

fn failure(error: netlab::Error) -> Failure {
    Failure::new(error.code(), error.to_string(), error.hint())
}
