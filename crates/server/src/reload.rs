//! The configuration, read anew while the daemon runs.

use std::sync::Arc;

use engine::{Config, Failure, vocabulary};

use crate::app::{App, Settings};
use crate::gate::Gate;
use crate::listen::Tls;

/// Takes over what can be changed while the daemon runs, all of it or nothing, and says what cannot.
/// `start` is the configuration that the daemon was started with.
pub(crate) fn reload(
    load: impl FnOnce() -> Result<Config, Failure>,
    start: &Config,
    app: &App,
    gate: &Gate,
    tls: Option<&Arc<Tls>>,
) -> Result<(), Failure> {
    let mut config = load()?;
    let changed = keep_fixed(&mut config, start);
    let certificates = tls.map(|tls| tls.read(&config.server)).transpose();
    let certificates = certificates.map_err(confined)?;
    let vocabulary = vocabulary(&config, app.table_namespace()?);
    let settings = Settings::new(config, vocabulary).map_err(confined)?;
    // Nothing fails from here on.
    for name in changed {
        tracing::warn!("{name} has changed: that takes effect when the daemon is started again");
    }
    if let Some((tls, certificates)) = tls.zip(certificates) {
        tls.set(certificates);
    }
    gate.set(&settings.config.server);
    app.set_settings(settings);
    tracing::info!("the configuration was read anew");
    Ok(())
}

/// Puts back what holds until the daemon ends, and gives the names of that which would be another.
fn keep_fixed(config: &mut Config, start: &Config) -> Vec<&'static str> {
    let mut changed = Vec::new();
    let mut keep = |name, has_changed: bool| {
        if has_changed {
            changed.push(name);
        }
    };
    let (new, old) = (&mut config.server, &start.server);
    keep("server.listen", new.listen != old.listen);
    new.listen.clone_from(&old.listen);
    keep("server.socket", new.socket != old.socket);
    new.socket.clone_from(&old.socket);
    keep("server.state", new.state != old.state);
    new.state.clone_from(&old.state);
    keep(
        "server.allow-plain-http",
        new.allow_plain_http != old.allow_plain_http,
    );
    new.allow_plain_http = old.allow_plain_http;
    // Other files can be taken; TLS cannot begin or end on a socket that is open.
    if new.tls_certificate.is_some() != old.tls_certificate.is_some() {
        keep("server.tls-certificate", true);
        new.tls_certificate.clone_from(&old.tls_certificate);
        new.tls_key.clone_from(&old.tls_key);
    }
    keep("[live]", config.live != start.live);
    config.live.clone_from(&start.live);
    keep("[history]", config.history != start.history);
    config.history.clone_from(&start.history);
    changed
}

/// What is confined to folders is not told apart from what has the wrong owner.
fn confined(mut failure: Failure) -> Failure {
    if failure.message.contains("ermission denied") {
        failure.hint =
            "see whose the file is; a file in a folder that the configuration did not name \
                        when the daemon was started needs a new start, for it reads no others"
                .into();
    }
    failure
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Config {
        Config::parse(text, "tracklight.toml".as_ref()).unwrap()
    }

    #[test]
    fn what_cannot_be_changed_stays_and_is_told_each_time() {
        let start = parse("[server]\nlisten = ['127.0.0.1:1']");
        let text = "[server]\nlisten = ['127.0.0.1:2']\nsocket = '/s'\nstate = '/t'\n\
                    allow-plain-http = true\nnames = ['gateway']\n\
                    tls-certificate = '/c'\ntls-key = '/k'\n[live]\ncpu-percent = 3.0\n[history]\nenabled = false\n";
        let mut config = parse(text);
        let told = keep_fixed(&mut config, &start);
        let all = [
            "server.listen",
            "server.socket",
            "server.state",
            "server.allow-plain-http",
            "server.tls-certificate",
            "[live]",
            "[history]",
        ];
        assert_eq!(told, all);
        let names = vec!["gateway".to_owned()];
        assert_eq!(config.server.names, names);
        config.server.names.clear();
        assert_eq!(config, start);
        assert_eq!(keep_fixed(&mut parse(text), &start), all);
    }

    #[test]
    fn other_certificates_are_taken() {
        let tls = |name: &str| {
            parse(&format!(
                "[server]\ntls-certificate = '/{name}'\ntls-key = '/k'"
            ))
        };
        let mut config = tls("new");
        assert!(keep_fixed(&mut config, &tls("old")).is_empty());
        assert_eq!(config, tls("new"));
    }
}
