//! The table of expectations.

use ctnetlink::{
    Event as Happened, ExpectationKey, Family, Groups, L4 as Fields, NewExpectation, Protocol,
    Tuple,
};
use engine::saved::line::Verb as Saved;

use super::events::follow;
use super::{Session, create, print};
use crate::exit::{Fault, say};
use crate::l4::Pair;
use crate::parse::Line;
use crate::show::Printer;
use crate::template::{Addresses, Template};
use crate::xml::Event;

/// Lists expectations: of IPv4 where no family is said.
pub(super) fn list(session: &mut Session, line: &Line) -> Result<u8, Fault> {
    let family = line.template.family.unwrap_or(Family::Ipv4);
    let expectations = session.client()?.expectations(Some(family))?;
    let mut printer = Printer::new(line.output, Saved::Add, Some("expect"))?;
    for expectation in &expectations {
        printer.expectation(expectation, None)?;
    }
    printer.finish()?;
    say(&format!(
        "{} expectations have been shown.",
        expectations.len()
    ));
    Ok(0)
}

/// Prints how many there are of IPv4.
pub(super) fn count(session: &mut Session) -> Result<u8, Fault> {
    let expectations = session.client()?.expectations(Some(Family::Ipv4))?;
    print(&format!("{}\n", expectations.len()))
}

/// Forgets all.
pub(super) fn flush(session: &mut Session) -> Result<u8, Fault> {
    session.client()?.flush_expectations()?;
    say("expectation table has been emptied.");
    Ok(0)
}

/// Shows one.
pub(super) fn get(session: &mut Session, line: &Line) -> Result<u8, Fault> {
    let expectation = session.client()?.expectation(&key(line)?)?;
    let mut printer = Printer::new(line.output, Saved::Add, None)?;
    printer.expectation(&expectation, None)?;
    printer.finish()?;
    Ok(0)
}

/// Forgets one.
pub(super) fn delete(session: &mut Session, line: &Line) -> Result<u8, Fault> {
    session.client()?.delete_expectation(key(line)?)?;
    Ok(0)
}

/// Makes one, of a connection that has a helper.
pub(super) fn create(session: &mut Session, line: &Line) -> Result<u8, Fault> {
    let template = &line.template;
    let master = create::orig(template)?;
    let values = &template.values;
    let mut new = NewExpectation::new(
        of(template, template.tuple, values.tuple)?,
        master,
        template.timeout.unwrap_or(0),
    );
    new.mask = of(template, template.mask, values.mask)?;
    session.client()?.create_expectation(new)?;
    Ok(0)
}

/// Prints events until a signal ends it.
pub(super) fn events(session: &mut Session, line: &Line) -> Result<u8, Fault> {
    let mut printer = Printer::new(line.output, Saved::Add, Some("expect"))?;
    let mut shown = 0u64;
    let (client, groups) = (session.client()?, Groups::EXPECTATION);
    follow(client, groups, line, |batch| {
        for happened in batch.iter() {
            let (expectation, event) = match happened {
                Ok(Happened::ExpectationNew(expectation)) => (expectation, Event::New),
                Ok(Happened::ExpectationDestroy(expectation)) => (expectation, Event::Destroy),
                Ok(_) => continue,
                Err(error) => {
                    say(&error.to_string());
                    continue;
                }
            };
            shown += 1;
            printer.expectation(&expectation, Some(event))?;
        }
        printer.flush()
    })?;
    printer.finish()?;
    say(&format!("{shown} expectation events have been shown."));
    Ok(0)
}

/// What names an expectation: its tuple, given as that of a connection.
fn key(line: &Line) -> Result<ExpectationKey, Fault> {
    Ok(ExpectationKey {
        tuple: create::orig(&line.template)?,
        zone: 0,
        id: None,
    })
}

fn of(template: &Template, addresses: Addresses, pair: Pair) -> Result<Tuple, Fault> {
    let (Some(src), Some(dst)) = (addresses.src, addresses.dst) else {
        return Err(create::invalid());
    };
    let protocol = template.l4.map_or(Protocol(0), |l4| l4.protocol);
    let (src_port, dst_port) = (pair.src.unwrap_or(0), pair.dst.unwrap_or(0));
    Ok(Tuple {
        src,
        dst,
        protocol,
        l4: match protocol {
            Protocol::GRE => Fields::Gre {
                src_key: src_port,
                dst_key: dst_port,
            },
            protocol if protocol.has_ports() => Fields::Ports {
                src: src_port,
                dst: dst_port,
            },
            Protocol::ICMP | Protocol::ICMPV6 => Fields::Icmp {
                kind: 0,
                code: 0,
                id: 0,
            },
            _ => Fields::None,
        },
    })
}
