//! `read`, action `stats`: how many connections there were, second by second.

use std::path::PathBuf;

use serde::Serialize;

use super::Setup;
use super::fault::Fault;
use super::reply::{Reply, Source};
use super::request::{Fields, Request};
use crate::failure::Failure;
use crate::history::{self, Origin};
use crate::netdata::{self, Sample};

/// Seconds where the request says none.
const DEFAULT_TIME: u32 = 900;

/// A day. Beyond that many seconds Netdata no longer gives one row a second but averages.
const MAX_TIME: i64 = 86_400;

/// The document's object.
#[derive(Serialize)]
pub(super) struct Stats<'a> {
    labels: [&'static str; 2],
    data: &'a [Sample],
}

impl<'a> Stats<'a> {
    pub(super) const fn new(data: &'a [Sample]) -> Self {
        Self {
            labels: ["time", "connections"],
            data,
        }
    }
}

/// Asks whoever keeps the counts: Netdata, else what the daemon recorded. A Netdata that answers and has no
/// counts, as one that was just started or whose chart has gone, is believed only where we have none either.
pub(super) fn read(request: &Request, setup: &Setup) -> Result<Reply, Fault> {
    let time = seconds(request)?;
    let netdata = &setup.config.netdata;
    let netdata_s = |samples| {
        let note = format!("statistics from Netdata at {}", netdata.address);
        Reply::stats(samples, Source::Netdata).with_note(note)
    };
    let (reason, failure) = match setup.inside(|| netdata::connections(netdata, time))? {
        Ok(samples) if !samples.is_empty() => return Ok(netdata_s(samples)),
        Ok(_) => {
            let reason = format!("Netdata at {} has no counts", netdata.address);
            (reason, None)
        }
        Err(failure) => (failure.message.clone(), Some(failure)),
    };
    match (recorded(setup, time)?, failure) {
        (Ok((path, samples)), _) => {
            let note = format!(
                "statistics from our own history in {}, for there are none of Netdata's: {reason}",
                path.display(),
            );
            Ok(Reply::stats(samples, Source::History).with_note(note))
        }
        (Err(_), None) => Ok(netdata_s(Vec::new())),
        (Err(ours), Some(failure)) => Err(Failure::new(
            failure.code,
            format!("{reason}; nor of our own: {ours}"),
            failure.hint,
        )
        .into()),
    }
}

/// What was recorded, and in which file.
type Recorded = (PathBuf, Vec<Sample>);

/// The counts of the last `seconds` seconds that the daemon recorded, the newest first, or why there
/// are none.
fn recorded(setup: &Setup, seconds: u32) -> Result<Result<Recorded, String>, Fault> {
    let to = crate::now() / 1_000_000_000 + 1;
    let from = to.saturating_sub(seconds.into());
    let (path, found) = match &setup.history {
        Some(history) => (history.path().to_owned(), history.counts(from, to)),
        None => {
            let path = history::path(&setup.config.server.state);
            let found = history::counts(&path, from, to);
            (path, found)
        }
    };
    let (origin, counts) = match found {
        Ok(found) => found,
        Err(failure) => return Ok(Err(failure.message)),
    };
    if setup.inside(Origin::here)?.is_other_than(&origin) {
        let reason = "what is recorded is another network namespace's";
        return Ok(Err(reason.to_owned()));
    }
    let samples: Vec<_> = counts
        .into_iter()
        .rev()
        .map(|(time, connections)| Sample(time, connections))
        .collect();
    if samples.is_empty() {
        return Ok(Err(format!(
            "nothing was recorded in the last {seconds} seconds; is the daemon running?"
        )));
    }
    Ok(Ok((path, samples)))
}

fn seconds(request: &Request) -> Result<u32, Fault> {
    let mut fields = Fields::new(request);
    let time = fields.integer("time", 1..=MAX_TIME);
    let time = time.and_then(|time| u32::try_from(time).ok());
    fields.finish(Some(time.unwrap_or(DEFAULT_TIME)))
}

#[cfg(test)]
mod tests {
    use super::super::fault::word;
    use super::*;

    fn parse(text: &str) -> Result<u32, &'static str> {
        let request = Request::parse(text.as_bytes()).unwrap();
        seconds(&request).map_err(|fault| fault.attributes[0].error)
    }

    #[test]
    fn time_is_seconds_and_900_where_none_are_given() {
        assert_eq!(parse("{}"), Ok(900));
        assert_eq!(parse(r#"{"time":""}"#), Ok(900));
        assert_eq!(parse(r#"{"time":"60"}"#), Ok(60));
        assert_eq!(parse(r#"{"time":86400}"#), Ok(86_400));
    }

    #[test]
    fn a_time_that_is_none_is_told() {
        for time in ["0", "-900", "86401", "1e300"] {
            let error = parse(&format!("{{\"time\":{time}}}"));
            assert_eq!(error, Err(word::OUT_OF_RANGE), "{time}");
        }
        assert_eq!(parse(r#"{"time":"15m"}"#), Err(word::NOT_AN_INTEGER));
        assert_eq!(parse(r#"{"time":true}"#), Err(word::WRONG_TYPE));
    }
}
