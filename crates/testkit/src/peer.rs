use netlab::Namespace;

/// Runs conntrack(8) inside the namespace, as a second opinion, and gives back its standard output:
/// `conntrack(&namespace, &["-L", "-p", "tcp"])`.
///
/// # Panics
///
/// When it is not installed or reports failure; its own words are in the message.
#[track_caller]
pub fn conntrack(namespace: &Namespace, arguments: &[&str]) -> String {
    match namespace.output("conntrack", arguments, "") {
        Ok(text) => text,
        Err(error) => panic!("{error}. {}", error.hint()),
    }
}
