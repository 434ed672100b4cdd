//! A local Netdata, asked for the number of connections second by second.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use ureq::Agent;

use crate::config::Netdata;
use crate::failure::Failure;

/// The longest answer that is read. A day's rows are 2.5 MB.
const SIZE_LIMIT: u64 = 8 << 20;

/// How many connections there were in one second: `[time, connections]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Sample(
    /// Seconds since the epoch.
    pub u64,
    /// Connections.
    pub u64,
);

/// An answer of Netdata's `/api/v1/data` in its JSON format.
#[derive(Deserialize)]
struct Answer {
    labels: Vec<String>,
    data: Vec<(f64, Option<f64>)>,
}

/// The counts of the last `seconds` seconds that Netdata knows of, the newest first, one a second.
/// Seconds of which it knows nothing are left out.
pub fn connections(netdata: &Netdata, seconds: u32) -> Result<Vec<Sample>, Failure> {
    let body = ask(netdata, seconds).map_err(|reason| failure(netdata, &reason))?;
    samples(&body, seconds).map_err(|reason| failure(netdata, &reason))
}

fn failure(netdata: &Netdata, reason: &str) -> Failure {
    Failure::new(
        "no-statistics",
        format!("no statistics: Netdata at {} {reason}", netdata.address),
        "start Netdata after the firewall's rules are loaded, or set its address under [netdata] \
         in the configuration",
    )
}

/// The answer's body, or what Netdata did instead.
fn ask(netdata: &Netdata, seconds: u32) -> Result<Vec<u8>, String> {
    let url = format!(
        "http://{}/api/v1/data?chart=netfilter.conntrack_sockets&after=-{seconds}&format=json",
        netdata.address
    );
    let mut response = agent(netdata.timeout)
        .get(&url)
        .call()
        .map_err(|error| told(&error))?;
    match response.status().as_u16() {
        200 => {}
        404 => return Err("has no chart netfilter.conntrack_sockets".to_owned()),
        status => return Err(format!("answered with HTTP status {status}")),
    }
    response
        .body_mut()
        .with_config()
        .limit(SIZE_LIMIT)
        .read_to_vec()
        .map_err(|error| told(&error))
}

/// A client for one question to a neighbour: no proxy, no redirection, one deadline for all.
fn agent(timeout: Duration) -> Agent {
    Agent::config_builder()
        .proxy(None)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .http_status_as_error(false)
        .user_agent("tracklight")
        .timeout_global(Some(timeout))
        .build()
        .into()
}

fn told(error: &ureq::Error) -> String {
    match error {
        ureq::Error::Timeout(_) => "did not answer in time".to_owned(),
        ureq::Error::Io(error) => format!("does not answer ({error})"),
        ureq::Error::ConnectionFailed => "does not answer".to_owned(),
        ureq::Error::BodyExceedsLimit(_) => {
            format!("sent more than {} MiB", SIZE_LIMIT >> 20)
        }
        other => format!("answered with what cannot be read ({other})"),
    }
}

fn samples(body: &[u8], seconds: u32) -> Result<Vec<Sample>, String> {
    let answer: Answer = serde_json::from_slice(body)
        .map_err(|error| format!("answered with what cannot be read ({error})"))?;
    if answer.labels != ["time", "connections"] {
        return Err("answered with columns other than time and connections".to_owned());
    }
    let mut samples = Vec::with_capacity(answer.data.len());
    for (time, count) in answer.data {
        let Some(count) = count else { continue };
        let (Some(time), Some(count)) = (whole(time), whole(count)) else {
            return Err(format!(
                "answered with a row that cannot be ({time}, {count})"
            ));
        };
        samples.push(Sample(time, count));
    }
    samples.sort_by_key(|sample| std::cmp::Reverse(sample.0));
    samples.dedup_by_key(|sample| sample.0);
    samples.truncate(seconds as usize);
    Ok(samples)
}

/// The nearest whole number of one that can be a time or a count; Netdata's averages have parts.
fn whole(number: f64) -> Option<u64> {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    (0.0..EXACT)
        .contains(&number)
        .then(|| number.round() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(data: &str) -> Result<Vec<(u64, u64)>, String> {
        let body = format!("{{\"labels\":[\"time\",\"connections\"],\"data\":[{data}]}}");
        let samples = samples(body.as_bytes(), 4)?;
        Ok(samples.iter().map(|&Sample(time, n)| (time, n)).collect())
    }

    #[test]
    fn gaps_are_left_out_and_not_filled() {
        let found = rows("[1553521929,422],[1553521928,null],[1553521927,0]");
        assert_eq!(found, Ok(vec![(1_553_521_929, 422), (1_553_521_927, 0)]));
        assert_eq!(rows(""), Ok(Vec::new()));
    }

    #[test]
    fn rows_are_newest_first_one_a_second_whole_and_no_more_than_asked_for() {
        let found = rows("[1,5],[3,4.5],[2,1],[3,9],[4,8.2],[5,0]");
        assert_eq!(found, Ok(vec![(5, 0), (4, 8), (3, 5), (2, 1)]));
    }

    #[test]
    fn what_cannot_be_is_refused() {
        for data in [
            "[1]",
            "[1,2,3]",
            "[\"x\",1]",
            "[1,-1]",
            "[-1,1]",
            "[1,1e300]",
            "1",
            "[null,1]",
        ] {
            assert!(rows(data).is_err(), "{data}");
        }
        for body in [
            "",
            "x",
            "[]",
            "{}",
            r#"{"labels":["time","new"],"data":[[1,2]]}"#,
        ] {
            assert!(samples(body.as_bytes(), 9).is_err(), "{body}");
        }
    }
}
