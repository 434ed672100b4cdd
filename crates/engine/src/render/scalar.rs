use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Appends a number's digits.
pub fn push_number(out: &mut Vec<u8>, number: impl itoa::Integer) {
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

/// Appends a number in hexadecimal, with `0x`.
pub fn push_hex(out: &mut Vec<u8>, number: u32) {
    // Writing to a vector does not fail.
    let _ = write!(out, "0x{number:x}");
}

/// Appends an address in its canonical text (RFC 5952 for IPv6).
pub fn push_address(out: &mut Vec<u8>, address: IpAddr) {
    match address {
        IpAddr::V4(address) => push_ipv4(out, address),
        IpAddr::V6(address) => {
            let _ = write!(out, "{address}");
        }
    }
}

fn push_ipv4(out: &mut Vec<u8>, address: Ipv4Addr) {
    let [a, b, c, d] = address.octets();
    push_number(out, a);
    for octet in [b, c, d] {
        out.push(b'.');
        push_number(out, octet);
    }
}

/// Appends an address as the C library's `inet_ntop` does, which writes the last four bytes of
/// `::192.0.2.1` in dots where RFC 5952 leaves it open.
pub fn push_address_ntop(out: &mut Vec<u8>, address: IpAddr) {
    match address {
        IpAddr::V6(v6) if is_ipv4_compatible(v6) => {
            let [.., a, b, c, d] = v6.octets();
            out.extend_from_slice(b"::");
            push_ipv4(out, Ipv4Addr::new(a, b, c, d));
        }
        address => push_address(out, address),
    }
}

/// `::a.b.c.d` with something in the upper of the two last words.
fn is_ipv4_compatible(address: Ipv6Addr) -> bool {
    matches!(address.segments(), [0, 0, 0, 0, 0, 0, upper, _] if upper != 0)
}
