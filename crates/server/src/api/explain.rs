//! What a connection's entry means, in words.

use std::net::{IpAddr, SocketAddr};

use ctnetlink::{Entry, Protocol, Status, Tuple};
use engine::Failure;
use engine::live::Row;
use engine::names;
use engine::naming::Unknown;
use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::connections::write_row;
use super::error::{ErrorBody, Fault};
use super::own::Own;
use super::shape::{Truth, raw};
use super::sysctl::Settings;
use crate::app::App;
use crate::who::Who;

/// A connection and all that is known of it.
#[derive(Debug, Serialize, ToSchema)]
pub struct Known {
    /// The connection.
    #[schema(value_type = super::connection::Connection)]
    pub connection: Box<RawValue>,
    /// Seconds since it began.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub age: Option<u64>,
    /// Who really speaks with whom.
    pub path: Path,
    /// How this machine sends packets of each direction on, as the kernel would route them now.
    pub routes: Routes,
    /// What its state means, one sentence.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state_meaning: Option<String>,
    /// Where its timeout comes from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout_setting: Option<Setting>,
    /// That it is the connection by which you ask, if it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub own_session: Option<String>,
    /// What deserves a word: no answer, counters that stand still, and so on.
    pub notes: Vec<String>,
    /// How far it can be believed.
    pub truth: Truth,
}

/// The four ends of a connection.
#[derive(Debug, Serialize, ToSchema)]
pub struct Path {
    /// Who opened it.
    pub opener: String,
    /// Whom the opener addressed.
    pub addressed: String,
    /// Who answers in truth: another than was addressed where the destination is translated.
    pub peer: String,
    /// As whom the opener is seen: another where the source is translated.
    pub seen_as: String,
    /// Which is translated: `none`, `source`, `destination`, `both`.
    pub translated: String,
    /// The same in one sentence.
    pub sentence: String,
}

/// How packets of each direction leave.
#[derive(Debug, Serialize, ToSchema)]
pub struct Routes {
    /// Of the original direction: to whom answers in truth.
    pub orig: OneWay,
    /// Of the reply direction: to the opener.
    pub reply: OneWay,
}

/// The way to an address.
#[derive(Debug, Serialize, ToSchema)]
pub struct OneWay {
    /// To where.
    #[schema(value_type = String)]
    pub to: IpAddr,
    /// The way; absent where none leads there, or the kernel did not say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub route: Option<Route>,
    /// Why it is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<ErrorBody>,
}

/// A route.
#[derive(Debug, Serialize, ToSchema)]
pub struct Route {
    /// What the kernel does with packets: `unicast` sends them on, `local` takes them itself,
    /// `broadcast`, `multicast`, `other`.
    pub kind: String,
    /// The interface by which they leave, `lo` for this machine's own addresses.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interface: Option<String>,
    /// The router that they are given to.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub gateway: Option<IpAddr>,
    /// The source address that this machine's own packets would have.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub source: Option<IpAddr>,
    /// The routing table that it is in.
    pub table: u32,
}

impl From<names::Route> for Route {
    fn from(route: names::Route) -> Self {
        Self {
            kind: route.kind.name().to_owned(),
            interface: route.interface.map(|name| name.to_string()),
            gateway: route.gateway,
            source: route.source,
            table: route.table,
        }
    }
}

fn one_way(app: &App, to: IpAddr, mark: u32) -> OneWay {
    let route = app.routes().and_then(|routes| routes.route(to, mark));
    let (route, failure) = match route {
        Ok(route) => (route.map(Route::from), None),
        Err(failure) => (None, Some(Fault::from(failure).body())),
    };
    OneWay { to, route, failure }
}

/// A setting of the kernel's.
#[derive(Debug, Serialize, ToSchema)]
pub struct Setting {
    /// Its name for sysctl.
    pub name: String,
    /// What it is now, in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seconds: Option<u64>,
}

/// All that is known of a connection. Reads the kernel's settings.
pub fn known(app: &App, who: &Who, row: &Row) -> Result<Known, Failure> {
    let entry = &row.entry;
    let mut json = Vec::with_capacity(1024);
    write_row(&mut json, row, &app.naming(), None, Unknown::Ask);
    let own = Own::of(who).is(entry);
    let truth = app.live.truth();
    let setting = timeout_setting(entry).map(|name| Setting {
        seconds: Settings::of(app).number(name),
        name: format!("net.netfilter.{name}"),
    });
    Ok(Known {
        connection: raw(json)?,
        age: entry.age(engine::now()),
        path: path(entry),
        routes: Routes {
            orig: one_way(app, entry.reply.src, entry.mark.unwrap_or(0)),
            reply: one_way(app, entry.orig.src, entry.mark.unwrap_or(0)),
        },
        state_meaning: meaning(entry).map(str::to_owned),
        timeout_setting: setting,
        own_session: own.map(|own| format!("this is the session that you are in: {own}")),
        notes: notes(entry, truth.accounting),
        truth: Truth::from(&truth),
    })
}

fn end(address: IpAddr, port: Option<u16>) -> String {
    port.map_or_else(
        || address.to_string(),
        |port| SocketAddr::from((address, port)).to_string(),
    )
}

fn path(entry: &Entry) -> Path {
    let Tuple { src, dst, .. } = entry.orig;
    let opener = end(src, entry.orig.src_port());
    let addressed = end(dst, entry.orig.dst_port());
    let peer = end(entry.reply.src, entry.reply.src_port());
    let seen_as = end(entry.reply.dst, entry.reply.dst_port());
    let (is_source, is_destination) = (entry.is_source_nat(), entry.is_destination_nat());
    let (translated, sentence) = match (is_source, is_destination) {
        (false, false) => (
            "none",
            format!("{opener} speaks with {addressed}, untranslated"),
        ),
        (true, false) => (
            "source",
            format!("{opener} speaks with {addressed}, which sees it as {seen_as}"),
        ),
        (false, true) => (
            "destination",
            format!("{opener} speaks with {addressed}, behind which {peer} answers"),
        ),
        (true, true) => (
            "both",
            format!(
                "{opener} speaks with {addressed}, behind which {peer} answers and sees it as {seen_as}"
            ),
        ),
    };
    Path {
        opener,
        addressed,
        peer,
        seen_as,
        translated: translated.to_owned(),
        sentence,
    }
}

/// What a state means (net/netfilter/nf_conntrack_proto_tcp.c and others).
fn meaning(entry: &Entry) -> Option<&'static str> {
    let protocol = entry.orig.protocol;
    Some(match (protocol, entry.state_name()) {
        (Protocol::TCP, Some(state)) => match state {
            "SYN_SENT" => "the opener has sent its first packet, and nobody has answered yet",
            "SYN_RECV" => "the other end has answered, and the opener has not confirmed yet",
            "ESTABLISHED" => "both ends have agreed, and data can flow",
            "FIN_WAIT" => "one end has said that it sends no more",
            "CLOSE_WAIT" => "the end of one direction is confirmed, the other may still send",
            "LAST_ACK" => {
                "both ends have said that they send no more; the last confirmation is missing"
            }
            "TIME_WAIT" => "it is over, and remembered a while for packets that come late",
            "CLOSE" => "one end has broken it off (RST)",
            "SYN_SENT2" => "both ends have sent a first packet at once",
            "NONE" => "no packet has told the state yet",
            _ => return None,
        },
        (Protocol::SCTP, Some(state)) => match state {
            "COOKIE_WAIT" => "the opener waits for the other end's cookie",
            "COOKIE_ECHOED" => "the opener has sent the cookie back and waits for its confirmation",
            "ESTABLISHED" => "both ends have agreed, and data can flow",
            "SHUTDOWN_SENT" | "SHUTDOWN_RECD" | "SHUTDOWN_ACK_SENT" => {
                "it is being closed in order"
            }
            "CLOSED" => "it is over or has not begun",
            "HEARTBEAT_SENT" => "another path of the association is being tried",
            _ => return None,
        },
        (_, Some(_)) => return None,
        _ if !entry.has_status(Status::SEEN_REPLY) => "packets have gone one way only so far",
        _ if entry.has_status(Status::ASSURED) => "packets go both ways, and have for a while",
        _ => "packets have gone both ways",
    })
}

/// The setting behind a timeout that nobody has changed.
fn timeout_setting(entry: &Entry) -> Option<&'static str> {
    if entry.timeout.is_none() || entry.has_status(Status::FIXED_TIMEOUT) {
        return None;
    }
    let is_answered = entry.has_status(Status::SEEN_REPLY);
    let is_stream = entry.has_status(Status::ASSURED);
    Some(match (entry.orig.protocol, entry.state_name()) {
        (Protocol::TCP, state) => match state? {
            "SYN_SENT" | "SYN_SENT2" => "nf_conntrack_tcp_timeout_syn_sent",
            "SYN_RECV" => "nf_conntrack_tcp_timeout_syn_recv",
            "ESTABLISHED" if !is_answered => "nf_conntrack_tcp_timeout_unacknowledged",
            "ESTABLISHED" => "nf_conntrack_tcp_timeout_established",
            "FIN_WAIT" => "nf_conntrack_tcp_timeout_fin_wait",
            "CLOSE_WAIT" => "nf_conntrack_tcp_timeout_close_wait",
            "LAST_ACK" => "nf_conntrack_tcp_timeout_last_ack",
            "TIME_WAIT" => "nf_conntrack_tcp_timeout_time_wait",
            "CLOSE" => "nf_conntrack_tcp_timeout_close",
            _ => return None,
        },
        (Protocol::UDP | Protocol::UDPLITE, _) if is_stream => "nf_conntrack_udp_timeout_stream",
        (Protocol::UDP | Protocol::UDPLITE, _) => "nf_conntrack_udp_timeout",
        (Protocol::ICMP, _) => "nf_conntrack_icmp_timeout",
        (Protocol::ICMPV6, _) => "nf_conntrack_icmpv6_timeout",
        (Protocol::GRE, _) if is_stream => "nf_conntrack_gre_timeout_stream",
        (Protocol::GRE, _) => "nf_conntrack_gre_timeout",
        (Protocol::SCTP, state) => match state? {
            "CLOSED" => "nf_conntrack_sctp_timeout_closed",
            "COOKIE_WAIT" => "nf_conntrack_sctp_timeout_cookie_wait",
            "COOKIE_ECHOED" => "nf_conntrack_sctp_timeout_cookie_echoed",
            "ESTABLISHED" => "nf_conntrack_sctp_timeout_established",
            "SHUTDOWN_SENT" => "nf_conntrack_sctp_timeout_shutdown_sent",
            "SHUTDOWN_RECD" => "nf_conntrack_sctp_timeout_shutdown_recd",
            "SHUTDOWN_ACK_SENT" => "nf_conntrack_sctp_timeout_shutdown_ack_sent",
            "HEARTBEAT_SENT" => "nf_conntrack_sctp_timeout_heartbeat_sent",
            _ => return None,
        },
        (Protocol::DCCP, _) => return None,
        _ => "nf_conntrack_generic_timeout",
    })
}

fn notes(entry: &Entry, accounting: bool) -> Vec<String> {
    let mut notes = Vec::new();
    let mut note = |holds: bool, text: &str| {
        if holds {
            notes.push(text.to_owned());
        }
    };
    let is_offloaded = entry
        .status
        .is_some_and(|status| status.intersects(Status::OFFLOAD | Status::HW_OFFLOAD));
    note(
        is_offloaded,
        "a flow table forwards it: its counters stand still and it has no timeout",
    );
    note(
        !is_offloaded && !entry.has_status(Status::SEEN_REPLY),
        "nobody has answered: a full table gives it up early",
    );
    note(
        entry.counters_orig.is_none() && accounting,
        "it is older than nf_conntrack_acct=1 and has no counters",
    );
    note(
        !accounting,
        "counters are off: sysctl -w net.netfilter.nf_conntrack_acct=1",
    );
    note(
        entry.timestamps.is_none(),
        "its begin is not known: sysctl -w net.netfilter.nf_conntrack_timestamp=1 for new ones",
    );
    note(entry.has_status(Status::EXPECTED), "a helper expected it");
    note(
        entry.has_status(Status::FIXED_TIMEOUT),
        "its timeout was set by hand and stays",
    );
    notes
}
