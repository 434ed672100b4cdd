//! Whether settings are as somebody wrote them down.

use super::super::facts::{Facts, Written};
use super::super::{Finding, Severity, Step, grouped};
use super::Check;

/// Whether settings are as files of sysctl have them.
pub(super) const KEPT: Check = Check {
    code: "not-as-written",
    what: "whether settings are as the files of sysctl have them",
    when: "notice where `/etc/sysctl.d` or another file of sysctl has another value; of the initial namespace only",
    look: kept,
};

fn kept(facts: &Facts) -> Option<Vec<Finding>> {
    let written = facts.written.as_ref()?;
    if facts.settings.is_empty() {
        return None;
    }
    let differing = written.iter().filter_map(|written| {
        let value = facts.setting(&written.name)?;
        (value != written.value).then(|| finding(facts, written, value))
    });
    Some(differing.collect())
}

fn finding(facts: &Facts, written: &Written, value: u64) -> Finding {
    let Written {
        name,
        value: wanted,
        file,
    } = written;
    let is_module = facts.place.is_module == Some(true);
    let mut steps = vec![Step::run(format!(
        "sysctl -w net.netfilter.{name}={wanted}"
    ))];
    if is_module {
        steps.push(Step::keep(
            "echo nf_conntrack > /etc/modules-load.d/nf_conntrack.conf",
        ));
    }
    steps.push(Step::advise(format!(
        "or, if the value of now is right, write it into {file}"
    )));
    let cause = if is_module {
        "Often nf_conntrack, a module, was loaded only after the files had been read. "
    } else {
        ""
    };
    Finding::new(
        KEPT.code,
        Severity::Notice,
        format!("{name} is not what {file} says"),
    )
    .about(name.as_str())
    .evidence(format!(
        "It is {}, and {file} has {}.",
        grouped(value),
        grouped(*wanted)
    ))
    .value("setting", value)
    .value("written", *wanted)
    .value("file", file.as_str())
    .consequence(format!(
        "{cause}What somebody meant to set does not hold, or holds until the next restart only."
    ))
    .steps(steps)
}

#[cfg(test)]
mod tests {
    use super::super::made::{facts, only, severity};
    use super::*;

    #[test]
    fn a_setting_that_is_not_as_written_is_found() {
        let max = |value: u64| {
            facts(|facts| {
                facts.settings.insert("nf_conntrack_max".into(), value);
                facts.written = Some(vec![
                    Written {
                        name: "nf_conntrack_max".into(),
                        value: 1000,
                        file: "/etc/sysctl.d/9.conf".into(),
                    },
                    Written {
                        name: "nf_conntrack_unknown".into(),
                        value: 1,
                        file: "/etc/sysctl.d/9.conf".into(),
                    },
                ]);
            })
        };
        assert_eq!(severity(&KEPT, &max(1000)), Some(None));
        let found = only(&KEPT, &max(999));
        let command = Step::run("sysctl -w net.netfilter.nf_conntrack_max=1000");
        assert_eq!(
            (found.severity, &found.remedy[0]),
            (Severity::Notice, &command)
        );
        let mut module = max(999);
        module.place.is_module = Some(true);
        assert!(matches!(only(&KEPT, &module).remedy[1], Step::Keep(_)));
        assert_eq!(severity(&KEPT, &Facts::default()), None);
    }
}
