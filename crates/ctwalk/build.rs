//! Compiles the BPF program with clang. Without clang the crate is built without it, and says so.

use std::env;
use std::path::PathBuf;
use std::process::Command;

const SOURCES: [&str; 3] = ["src/bpf/walk.bpf.c", "src/bpf/record.h", "src/bpf/kernel.h"];

fn main() {
    for source in SOURCES {
        println!("cargo:rerun-if-changed={source}");
    }
    println!("cargo:rerun-if-env-changed=CLANG");
    if env::var_os("CARGO_FEATURE_BPF").is_none() {
        return;
    }
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    match compile(&out.join("walk.bpf.o")) {
        Ok(()) => println!("cargo:rustc-cfg=ctwalk_program"),
        Err(reason) => {
            println!(
                "cargo:warning=built without the BPF walk: {reason}. The table will be read over netlink only."
            );
            // It is built with it once clang has been installed: what dpkg knows has changed then.
            println!("cargo:rerun-if-changed=/var/lib/dpkg/status");
        }
    }
}

fn compile(object: &std::path::Path) -> Result<(), String> {
    let clang = env::var("CLANG").unwrap_or_else(|_| "clang".to_owned());
    let output = Command::new(&clang)
        .args(["-target", "bpf", "-mcpu=v3", "-O2", "-g"])
        .args(["-Wall", "-Wextra", "-Werror", "-Wno-unused-parameter"])
        .arg("-c")
        .arg(SOURCES[0])
        .arg("-o")
        .arg(object)
        .output()
        .map_err(|error| format!("{clang} cannot be run ({error}); install clang"))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let first = said.lines().find(|line| line.contains("error"));
    Err(format!(
        "{clang} could not compile it ({})",
        first.or(said.lines().next()).unwrap_or("it said nothing")
    ))
}
