//! The page's files are put into the program: it is built anew when they are.

fn main() {
    println!("cargo::rerun-if-changed=../../web/dist");
}
