//! `/api/v1/expectations`: connections that helpers expect.

use std::net::IpAddr;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use ctnetlink::{Expectation, ExpectationFlags, L4, NewExpectation, Tuple};
use engine::Failure;
use engine::render::json::write_expectation;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::audit::audited;
use super::connection::Way;
use super::edit;
use super::error::{ErrorBody, Fault};
use super::extract::{Body, Named, Nothing, Operator, Params, Seer};
use super::shape::raw;
use crate::app::App;

/// What is expected.
#[derive(Debug, Serialize, ToSchema)]
pub struct Expectations {
    /// Each of them.
    #[schema(value_type = Vec<Expected>)]
    expectations: Vec<Box<RawValue>>,
}

/// A connection that a helper expects.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Expected {
    /// `ipv4` or `ipv6`.
    pub family: String,
    /// The protocol's name, where it has one.
    pub protocol: Option<String>,
    /// IANA number.
    pub protocol_number: u8,
    /// What is expected.
    pub tuple: Way,
    /// Which bits of it count.
    pub mask: Way,
    /// The connection that it belongs to.
    pub master: Way,
    /// Seconds until it is forgotten.
    pub timeout: Option<u32>,
    /// Id.
    pub id: Option<u32>,
    /// Zone.
    pub zone: Option<u16>,
    /// Names of its flags.
    pub flags: Option<Vec<String>>,
    /// Class, as the helper counts them.
    pub class: Option<u32>,
    /// Helper of the connection to come.
    pub helper: Option<String>,
    /// What is called when it comes.
    pub function: Option<String>,
    /// Which direction is translated: `orig` or `reply`.
    pub nat_direction: Option<String>,
    /// To what.
    pub nat_tuple: Option<Way>,
}

/// Connections that helpers expect, as the kernel has them now.
#[utoipa::path(get, path = "/api/v1/expectations", operation_id = "expectations", tag = "table",
    responses(
        (status = 200, description = "What is expected", body = Expectations),
        (status = 400, description = "Parameters, of which there are none here", body = ErrorBody),
    ))]
pub async fn list(
    State(app): State<Arc<App>>,
    _: Seer,
    _: Params<Nothing>,
) -> Result<Json<Expectations>, Fault> {
    let state = Arc::clone(&app);
    let read = move || {
        let all = state.live.client().expectations(None)?;
        let json = |expectation: &Expectation| {
            let mut text = Vec::with_capacity(512);
            write_expectation(&mut text, expectation);
            raw(text)
        };
        let expectations: Result<Vec<_>, Failure> = all.iter().map(json).collect();
        Ok::<_, Failure>(Expectations {
            expectations: expectations?,
        })
    };
    app.api.work.run(read).await.map(Json)
}

/// A connection to be expected.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ExpectRequest {
    /// The protocol's name or IANA number: one with ports.
    #[schema(example = "tcp")]
    protocol: String,
    /// From where it will come.
    #[schema(value_type = String, example = "192.0.2.1")]
    src: IpAddr,
    /// To where.
    #[schema(value_type = String, example = "10.0.0.7")]
    dst: IpAddr,
    /// From which port; any without it.
    sport: Option<u16>,
    /// To which port.
    #[schema(example = 40000)]
    dport: u16,
    /// Bits of the source address that count; all without it.
    #[schema(value_type = Option<String>)]
    mask_src: Option<IpAddr>,
    /// Bits of the destination address that count; all without it.
    #[schema(value_type = Option<String>)]
    mask_dst: Option<IpAddr>,
    /// The connection that it belongs to, which must exist and have a helper.
    master: Master,
    /// Seconds until it is forgotten; the kernel takes the helper's own.
    #[schema(example = 60, minimum = 1)]
    timeout: u32,
    /// Zone of both.
    #[serde(default)]
    zone: u16,
    /// Whether it stays after the first connection.
    #[serde(default)]
    permanent: bool,
    /// Helper of the connection to come.
    helper: Option<String>,
}

/// The original tuple of a connection that expects another.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Master {
    /// The protocol's name or IANA number: one with ports.
    #[schema(example = "tcp")]
    protocol: String,
    /// Source address.
    #[schema(value_type = String, example = "10.0.0.7")]
    src: IpAddr,
    /// Destination address.
    #[schema(value_type = String, example = "192.0.2.1")]
    dst: IpAddr,
    /// Source port.
    #[schema(example = 50000)]
    sport: u16,
    /// Destination port.
    #[schema(example = 21)]
    dport: u16,
}

impl ExpectRequest {
    fn expectation(&self) -> Result<NewExpectation, Fault> {
        if self.timeout == 0 {
            let hint = "give a second at least";
            return Err(Fault::usage(
                "timeout",
                "it would be forgotten at once",
                hint,
            ));
        }
        let master = &self.master;
        let protocol = edit::protocol_with_ports(&master.protocol);
        let protocol = protocol.map_err(|fault| fault.within("master"))?;
        let master = Tuple::ports(protocol, master.src, master.sport, master.dst, master.dport);
        let protocol = edit::protocol_with_ports(&self.protocol)?;
        let sport = self.sport.unwrap_or(0);
        let tuple = Tuple::ports(protocol, self.src, sport, self.dst, self.dport);
        let mut new = NewExpectation::new(tuple, master, self.timeout);
        if let (Some(_), L4::Ports { src, .. }) = (self.sport, &mut new.mask.l4) {
            *src = u16::MAX;
        }
        new.mask.src = self.mask_src.unwrap_or(new.mask.src);
        new.mask.dst = self.mask_dst.unwrap_or(new.mask.dst);
        if !new.is_of_one_family() {
            return Err(Fault::usage(
                "src",
                "the addresses, masks and master are not of one family",
                "give all of them in IPv4 or all in IPv6",
            ));
        }
        new.zone = self.zone;
        if self.permanent {
            new.flags = ExpectationFlags::PERMANENT;
        }
        new.helper = self.helper.as_deref().map(edit::helper).transpose()?;
        Ok(new)
    }
}

/// Lets a connection be expected, as a helper does.
#[utoipa::path(post, path = "/api/v1/expectations", operation_id = "expect", tag = "table", request_body = ExpectRequest,
    responses(
        (status = 204, description = "It is expected"),
        (status = 400, description = "The body is wrong", body = ErrorBody),
        (status = 403, description = "You may not change", body = ErrorBody),
        (status = 404, description = "There is no such master", body = ErrorBody),
        (status = 409, description = "It exists, the master has no helper, or no more are allowed", body = ErrorBody),
        (status = 413, description = "The body is too long", body = ErrorBody),
        (status = 415, description = "The body is no JSON", body = ErrorBody),
    ))]
pub async fn create(
    State(app): State<Arc<App>>,
    Operator(who): Operator,
    Body(request): Body<ExpectRequest>,
) -> Result<StatusCode, Fault> {
    let new = request.expectation()?;
    let state = Arc::clone(&app);
    let work = move || {
        let client = state.live.client();
        audited(&state, &who, "expectation-create", &request, || {
            Ok(client.create_expectation(new)?)
        })
    };
    app.api.work.run(work).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Forgets an expectation.
#[utoipa::path(delete, path = "/api/v1/expectations/{id}", operation_id = "forget_expectation", tag = "table",
    params(("id" = u32, Path, description = "Its id in the list")),
    responses(
        (status = 204, description = "It is forgotten"),
        (status = 400, description = "The id is no number", body = ErrorBody),
        (status = 403, description = "You may not change", body = ErrorBody),
        (status = 404, description = "There is no such expectation", body = ErrorBody),
    ))]
pub async fn forget(
    State(app): State<Arc<App>>,
    Operator(who): Operator,
    Named(id): Named,
    _: Params<Nothing>,
) -> Result<StatusCode, Fault> {
    let number: u32 = id.parse().map_err(|_| {
        Fault::usage(
            "id",
            "an expectation's id is a number",
            "take it from the list",
        )
    })?;
    let state = Arc::clone(&app);
    let work = move || {
        let client = state.live.client();
        audited(&state, &who, "expectation-delete", &number, || {
            let all = client.expectations(None)?;
            let found = all
                .iter()
                .find(|expectation| expectation.id == Some(number));
            let found = found.ok_or_else(|| {
                Failure::new(
                    "not-found",
                    "there is no such expectation",
                    "it may have been met or forgotten; list them again",
                )
            })?;
            Ok(client.delete_expectation(found.key())?)
        })
    };
    app.api.work.run(work).await?;
    Ok(StatusCode::NO_CONTENT)
}
