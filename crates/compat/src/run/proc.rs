//! What /proc tells everybody of the table.

use std::fmt::Write as _;
use std::fs::read_to_string;

/// How many connections there are.
pub(super) fn count() -> Option<String> {
    read_to_string("/proc/sys/net/netfilter/nf_conntrack_count").ok()
}

/// The counters of each CPU, as [`table`] writes them.
pub(super) fn counters() -> Option<String> {
    read_to_string("/proc/net/stat/nf_conntrack")
        .ok()
        .map(|text| table(&text))
}

/// A line of names and then one of hexadecimal numbers for each CPU, written a CPU a line.
fn table(text: &str) -> String {
    let mut lines = text.lines();
    let names: Vec<&str> = lines
        .next()
        .unwrap_or("")
        .split_ascii_whitespace()
        .collect();
    let mut out = String::new();
    for (cpu, line) in lines.enumerate() {
        let _ = write!(out, "cpu={cpu:<4}\t");
        for (name, number) in names.iter().zip(line.split_ascii_whitespace()) {
            // What cannot be read is not there: zero is a number that somebody counted.
            if let Ok(number) = u32::from_str_radix(number, 16) {
                let _ = write!(out, "{name}={number} ");
            }
        }
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_line_of_numbers_is_a_cpu() {
        assert_eq!(
            table("entries  found drop\n0000000a 000000ff 00000000\n0000000a x 2\n"),
            "cpu=0   \tentries=10 found=255 drop=0 \ncpu=1   \tentries=10 drop=2 \n"
        );
        assert_eq!(table(""), "");
    }
}
