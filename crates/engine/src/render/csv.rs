//! CSV as RFC 4180 has it.

/// Quotes the field that begins at `start`, if there is a comma, a quote or a line's end in it.
pub fn quote_from(out: &mut Vec<u8>, start: usize) {
    let field = out.get(start..).unwrap_or_default();
    if field
        .iter()
        .any(|byte| matches!(byte, b',' | b'"' | b'\n' | b'\r'))
    {
        let text = String::from_utf8_lossy(field).replace('"', "\"\"");
        out.truncate(start);
        out.extend_from_slice(format!("\"{text}\"").as_bytes());
    }
}
