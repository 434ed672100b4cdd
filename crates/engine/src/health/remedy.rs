//! Commands that do what they should in the namespace that they are for.

use std::borrow::Cow;

use super::Step;
use super::facts::Place;

/// Where settings are kept over a restart.
const KEPT_IN: &str = "/etc/sysctl.d/90-conntrack.conf";

impl Place {
    /// Sets something in `net.netfilter` that every namespace has for itself.
    pub(super) fn set(&self, name: &str, value: u64) -> Vec<Step> {
        let key = format!("net.netfilter.{name}");
        let mut steps = vec![Step::run(self.inside(&format!("sysctl -w {key}={value}")))];
        if self.is_others() {
            steps.push(Step::advise(
                "to keep it, put the command where this namespace is made: the files of sysctl.d are for the \
                 initial one",
            ));
        } else {
            steps.extend(self.kept(&key, value));
        }
        steps
    }

    /// Sets something that all namespaces share, which only the initial one can.
    pub(super) fn set_for_all(&self, key: &str, value: u64) -> Vec<Step> {
        let command = format!("sysctl -w {key}={value}");
        let command = if self.is_others() {
            format!("nsenter -t 1 -n {command}")
        } else {
            command
        };
        let mut steps = vec![Step::run(command)];
        steps.extend(self.kept(key, value));
        steps
    }

    fn kept(&self, key: &str, value: u64) -> Vec<Step> {
        let mut steps = vec![Step::keep(format!("echo '{key} = {value}' >> {KEPT_IN}"))];
        // Settings of a module that is loaded after sysctl.d was read are lost.
        if self.is_module == Some(true) && key.contains("nf_conntrack") {
            steps.push(Step::keep(
                "echo nf_conntrack > /etc/modules-load.d/nf_conntrack.conf",
            ));
        }
        steps
    }

    /// Whether it is another namespace than that whose settings `sysctl.d` sets.
    fn is_others(&self) -> bool {
        !self.is_initial.unwrap_or(self.namespace.is_none())
    }

    /// A command, run inside the namespace.
    pub(super) fn inside(&self, command: &str) -> String {
        match self.namespace.as_deref() {
            None => command.to_owned(),
            Some(path) if path.contains('/') => {
                format!("nsenter --net={} {command}", quoted(path))
            }
            Some(pid) if pid.bytes().all(|byte| byte.is_ascii_digit()) => {
                format!("nsenter -t {pid} -n {command}")
            }
            Some(name) => format!("ip netns exec {} {command}", quoted(name)),
        }
    }

    /// A subcommand of this program on the same table.
    pub(super) fn tracklight(&self, words: &str) -> Step {
        Step::run(match &self.namespace {
            None => format!("tracklight {words}"),
            Some(name) => format!("tracklight --netns {} {words}", quoted(name)),
        })
    }
}

/// A word as the shell takes it for one.
pub(super) fn quoted(word: &str) -> Cow<'_, str> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/._-:".contains(&byte);
    if !word.is_empty() && word.bytes().all(is_plain) {
        return word.into();
    }
    format!("'{}'", word.replace('\'', r"'\''")).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(namespace: Option<&str>, is_initial: bool, is_module: bool) -> Place {
        Place {
            namespace: namespace.map(str::to_owned),
            is_initial: Some(is_initial),
            is_module: Some(is_module),
        }
    }

    #[test]
    fn a_setting_of_the_initial_namespace_is_kept_and_its_module_loaded_before() {
        assert_eq!(
            place(None, true, true).set("nf_conntrack_acct", 1),
            [
                Step::run("sysctl -w net.netfilter.nf_conntrack_acct=1"),
                Step::keep(
                    "echo 'net.netfilter.nf_conntrack_acct = 1' >> /etc/sysctl.d/90-conntrack.conf"
                ),
                Step::keep("echo nf_conntrack > /etc/modules-load.d/nf_conntrack.conf"),
            ]
        );
        assert_eq!(
            place(None, true, false).set("nf_conntrack_acct", 1).len(),
            2
        );
    }

    #[test]
    fn a_setting_of_another_namespace_is_made_inside_it_and_not_in_sysctl_d() {
        for (name, command) in [
            ("blue", "ip netns exec blue sysctl -w net.netfilter.x=5"),
            ("4711", "nsenter -t 4711 -n sysctl -w net.netfilter.x=5"),
            (
                "/run/a b",
                "nsenter --net='/run/a b' sysctl -w net.netfilter.x=5",
            ),
        ] {
            let steps = place(Some(name), false, true).set("x", 5);
            assert_eq!(steps[0], Step::run(command));
            assert!(matches!(&steps[1..], [Step::Do(_)]), "{steps:?}");
        }
    }

    #[test]
    fn what_all_namespaces_share_is_set_in_the_initial_one() {
        let shared =
            |place: Place| place.set_for_all("net.netfilter.nf_conntrack_max", 9)[0].clone();
        let plain = "sysctl -w net.netfilter.nf_conntrack_max=9";
        assert_eq!(shared(place(None, true, true)), Step::run(plain));
        let outside = Step::run(format!("nsenter -t 1 -n {plain}"));
        assert_eq!(shared(place(Some("blue"), false, true)), outside);
        assert_eq!(shared(place(None, false, true)), outside);
    }

    #[test]
    fn commands_of_this_program_name_the_namespace() {
        let words = place(Some("it's"), false, false).tracklight("list");
        assert_eq!(words, Step::run(r"tracklight --netns 'it'\''s' list"));
    }
}
