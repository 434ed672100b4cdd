//! Builds a network in a box, shows what its gateway tracks, and how long everything took.
//!
//! `cargo run -p netlab --example box [SECONDS]`; as root or as a plain user.

use std::time::{Duration, Instant};

use netlab::{Error, Lab, enter_user_namespace};

fn main() {
    if let Err(error) = run() {
        eprintln!("{error}\n{}", error.hint());
        std::process::exit(1);
    }
}

fn run() -> Result<(), Error> {
    let privilege = enter_user_namespace()?;
    let start = Instant::now();
    let lab = Lab::new()?;
    let built = start.elapsed();
    let traffic = lab.start_traffic()?;
    let table = lab.ready()?;
    let ready = start.elapsed();

    let seconds = std::env::args()
        .nth(1)
        .and_then(|text| text.parse().ok())
        .unwrap_or(0);
    std::thread::sleep(Duration::from_secs(seconds));
    print!("{}", lab.gateway().output("conntrack", &["-L"], "")?);

    let start = Instant::now();
    let troubles = traffic.troubles();
    drop(traffic);
    let stopped = start.elapsed();
    drop(lab);
    let dropped = start.elapsed();
    println!(
        "as {privilege:?}: built in {built:?}, ready in {ready:?} with {} entries;",
        table.total
    );
    println!("traffic stopped in {stopped:?}, all gone in {dropped:?}; troubles: {troubles:?}");
    Ok(())
}
