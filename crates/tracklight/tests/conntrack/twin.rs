//! Two namespaces with the same entries: in one conntrack(8) works, in the other our program.

use std::ffi::OsStr;
use std::io::Write;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Command, Output, Stdio};

use ctnetlink::{Client, DumpRequest, Entry, NewEntry, ProtoInfo};
use testkit::TestNamespace;

/// What makes labels possible: a rule that sets one.
const LABELS: &str =
    "table inet labels { chain c { type filter hook input priority 0; ct label set 1; }; }";

/// What both programs are run in.
#[derive(Clone, Copy)]
pub(crate) enum Around {
    /// This system.
    Nothing,
    /// This system with a file of names of labels.
    Labels(&'static str),
    /// No capability, as a plain user has none.
    NoRights,
}

/// Puts a file of labels in place of everything else in /etc, for one program.
const WITH_LABELS: &str = "mount -t tmpfs none /etc && mkdir /etc/xtables &&
    printf %s \"$LABELS\" >/etc/xtables/connlabel.conf && exec \"$@\"";

/// conntrack(8) and our program, each in a namespace of its own.
pub(crate) struct Twin {
    around: Around,
    /// Has our program under the name of the other.
    folder: tempfile::TempDir,
    theirs: TestNamespace,
    ours: TestNamespace,
    their_table: Client,
    our_table: Client,
    entries: Vec<NewEntry>,
    /// Whether that is 1.4.7. On a kernel of today it updates nothing where no family is said, and where one
    /// is, not the same each time; 1.4.8 does.
    is_old: bool,
}

/// What a run came to, without what may differ.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Came {
    pub(crate) status: Option<i32>,
    pub(crate) out: Vec<String>,
    pub(crate) err: Vec<String>,
}

impl Twin {
    /// Two namespaces with these entries.
    pub(crate) fn new(entries: Vec<NewEntry>) -> Option<Self> {
        Self::within(Around::Nothing, entries)
    }

    /// The same, with something around the programs.
    pub(crate) fn within(around: Around, entries: Vec<NewEntry>) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let link = folder.path().join("conntrack");
        std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_tracklight"), link).unwrap();
        let (theirs, ours) = (TestNamespace::new()?, TestNamespace::new()?);
        for namespace in [&theirs, &ours] {
            namespace.nft(LABELS).unwrap();
        }
        let twin = Self {
            around,
            folder,
            their_table: open(&theirs),
            our_table: open(&ours),
            entries,
            is_old: testkit::conntrack(&theirs, &["-V"]).contains("v1.4.7")
                && std::env::var_os("TRACKLIGHT_CONNTRACK").is_none(),
            theirs,
            ours,
        };
        twin.refill();
        Some(twin)
    }

    /// Empties both tables and fills both with the entries of the beginning.
    pub(crate) fn refill(&self) {
        for table in [&self.their_table, &self.our_table] {
            table.flush(&ctnetlink::Filter::any()).unwrap();
            testkit::fill::fill_with(table, self.entries.iter().cloned()).unwrap();
        }
    }

    /// Whether this conntrack(8) is 1.4.7.
    pub(crate) const fn is_old(&self) -> bool {
        self.is_old
    }

    pub(crate) const fn their_table(&self) -> &Client {
        &self.their_table
    }

    pub(crate) const fn our_table(&self) -> &Client {
        &self.our_table
    }

    /// Another client of our table: its socket cannot have this process's number as its port.
    pub(crate) fn other_client(&self) -> Client {
        open(&self.ours)
    }

    pub(crate) fn their_command(&self) -> Command {
        // Another version than Debian's can be tried.
        let program = std::env::var_os("TRACKLIGHT_CONNTRACK");
        self.command(&self.theirs, &program.unwrap_or_else(|| "conntrack".into()))
    }

    pub(crate) fn our_command(&self) -> Command {
        let program = self.folder.path().join("conntrack");
        self.command(&self.ours, program.as_os_str())
    }

    /// Any other program beside ours.
    pub(crate) fn in_our_namespace(&self, program: &str) -> Command {
        quiet(self.ours.command(program))
    }

    fn command(&self, namespace: &TestNamespace, program: &OsStr) -> Command {
        let command = match self.around {
            Around::Nothing => {
                let mut command = namespace.command(program);
                command.arg0("conntrack");
                command
            }
            Around::Labels(names) => {
                let mut command = namespace.command("unshare");
                command.args(["--mount", "sh", "-c", WITH_LABELS, "sh"]);
                command.arg(program).env("LABELS", names);
                command
            }
            Around::NoRights => {
                let mut command = namespace.command("setpriv");
                command.args(["--bounding-set=-all", "--inh-caps=-all"]);
                command.arg(program);
                command
            }
        };
        quiet(command)
    }

    /// Runs both with the same words; `None` where conntrack(8) crashes.
    pub(crate) fn run(&self, words: &[&str], input: &str) -> Option<(Came, Came)> {
        let start = |mut command: Command| {
            let mut child = command.args(words).spawn().unwrap();
            // A program that ends early does not read.
            let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
            child
        };
        let (theirs, ours) = (start(self.their_command()), start(self.our_command()));
        let theirs = theirs.wait_with_output().unwrap();
        let ours = ours.wait_with_output().unwrap();
        if theirs.status.signal().is_some() {
            assert!(ours.status.signal().is_none(), "{words:?} crashes ours too");
            return None;
        }
        Some((came(&theirs), came(&ours)))
    }

    /// Runs both with the same words and says where they differ: words, status, table. Where conntrack(8)
    /// crashes or is broken, both have the table of the beginning afterwards.
    pub(crate) fn differs(&self, words: &[&str], input: &str) -> Option<String> {
        self.compare(words, input).1
    }

    /// The same, with conntrack(8)'s status.
    pub(crate) fn compare(&self, words: &[&str], input: &str) -> (Option<i32>, Option<String>) {
        loop {
            let before = buckets();
            let compared = self.compare_once(words, input);
            // A resize elsewhere on the machine hides entries from conntrack(8), which does not look again.
            if compared.1.is_none() || buckets() == before {
                return compared;
            }
            self.refill();
        }
    }

    fn compare_once(&self, words: &[&str], input: &str) -> (Option<i32>, Option<String>) {
        let came = self.run(words, input);
        let Some((theirs, ours)) =
            came.filter(|(theirs, _)| !(theirs.is_broken() || self.cannot(words)))
        else {
            self.refill();
            return (None, None);
        };
        let how = if theirs != ours {
            Some(difference(&theirs, &ours))
        } else if updates(words) {
            self.tables_differ_after_update()
        } else if may_change(words, &theirs) {
            self.tables_differ()
        } else {
            None
        };
        (theirs.status, how)
    }

    /// Whether there is nothing to compare with in what this conntrack(8) does. What ours does then has
    /// tests of its own, and all of it is compared where `TRACKLIGHT_CONNTRACK` is 1.4.8.
    pub(crate) fn cannot(&self, words: &[&str]) -> bool {
        self.is_old && updates(words)
    }

    /// Whether this conntrack(8) gives what is made the wrong mark: 1.4.7 takes the status or a zone for it.
    pub(crate) fn mixes_up(&self, words: &[&str]) -> bool {
        let has = |names: &[&str]| words.iter().any(|word| names.contains(word));
        self.is_old
            && has(&["-I", "-A", "--create", "--add"])
            && has(&["-m", "--mark", "--mark=1", "--ma"])
            && has(&[
                "-u",
                "--status",
                "--stat",
                "-w",
                "--zone",
                "--zon",
                "--orig-zone",
                "--reply-zone",
            ])
    }

    /// With `-U -p tcp`, 1.4.8 also switches the check of TCP's window off in what it changes; ours does so
    /// where a state is set. Where that is all, both have the table of the beginning afterwards.
    fn tables_differ_after_update(&self) -> Option<String> {
        let how = self.tables_differ()?;
        let [theirs, ours] = [&self.their_table, &self.our_table].map(|client| {
            let mut entries = dump(client);
            for entry in &mut entries {
                if let Some(ProtoInfo::Tcp(tcp)) = &mut entry.protoinfo {
                    (tcp.flags_orig, tcp.flags_reply) = (None, None);
                }
            }
            plain(entries)
        });
        if tables_differ(&theirs, &ours).is_some() {
            return Some(how);
        }
        self.refill();
        None
    }

    /// Says where the tables differ.
    pub(crate) fn tables_differ(&self) -> Option<String> {
        tables_differ(
            &plain(dump(&self.their_table)),
            &plain(dump(&self.our_table)),
        )
    }
}

fn open(namespace: &TestNamespace) -> Client {
    Client::open_in(&ctnetlink::Namespace::by_path(&namespace.path()).unwrap()).unwrap()
}

fn tables_differ(theirs: &[(String, u32)], ours: &[(String, u32)]) -> Option<String> {
    if theirs.len() != ours.len() {
        let only = |a: &[(String, u32)], b: &[(String, u32)]| {
            let other = |entry: &&(String, u32)| !b.iter().any(|other| other.0 == entry.0);
            a.iter().find(other).cloned()
        };
        return Some(format!(
            "{} entries there, {} here; only there {:?}, only here {:?}",
            theirs.len(),
            ours.len(),
            only(theirs, ours),
            only(ours, theirs)
        ));
    }
    theirs.iter().zip(ours).find_map(|(theirs, ours)| {
        // Both were asked for the same time, a moment apart.
        let is_same = theirs.0 == ours.0 && theirs.1.abs_diff(ours.1) <= 120;
        (!is_same).then(|| format!("entry there {theirs:?}\n  entry here  {ours:?}"))
    })
}

/// The size of the kernel's table, which all namespaces share.
fn buckets() -> String {
    std::fs::read_to_string("/proc/sys/net/netfilter/nf_conntrack_buckets").unwrap()
}

fn updates(words: &[&str]) -> bool {
    words
        .iter()
        .any(|word| word.starts_with("-U") || word.starts_with("--up"))
}

/// Whether a command may have changed the table, so that it is worth reading.
fn may_change(words: &[&str], came: &Came) -> bool {
    let reads = ["-L", "-C", "-G", "-S", "-V", "--dump", "--get", "--counter"];
    came.status != Some(2) && !words.first().is_some_and(|word| reads.contains(word))
}

impl Came {
    /// Whether nothing can be learned from it: 1.4.7 cannot change an entry with `-A` either, and help has
    /// other words.
    pub(crate) fn is_broken(&self) -> bool {
        let is_update = |line: &String| {
            line.starts_with("Operation failed:") || line == "~: 0 flow entries have been added."
        };
        let is_help = |line: &String| line.starts_with("Usage: conntrack [commands]");
        self.err.iter().any(is_update) || self.out.iter().any(is_help)
    }
}

/// The first lines that only one of them has.
fn difference(theirs: &Came, ours: &Came) -> String {
    let only = |one: &Came, other: &Came| {
        let lines = one
            .out
            .iter()
            .filter(|line| !other.out.contains(line))
            .take(2);
        let status = one.status;
        format!("{status:?} {:?} {:?}", one.err, lines.collect::<Vec<_>>())
    };
    format!(
        "theirs {}\n  ours   {}",
        only(theirs, ours),
        only(ours, theirs)
    )
}

fn quiet(mut command: Command) -> Command {
    command
        .env("LC_ALL", "C")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

fn dump(client: &Client) -> Vec<Entry> {
    // A resize elsewhere on the machine moves entries behind a dump's back.
    std::iter::repeat_with(|| {
        client
            .dump(&DumpRequest::default())
            .unwrap()
            .collect()
            .unwrap()
    })
    .find_map(|(entries, outcome)| outcome.complete.then_some(entries))
    .unwrap()
}

/// Entries without what chance makes of them, and their timeouts.
fn plain(entries: Vec<Entry>) -> Vec<(String, u32)> {
    let mut entries: Vec<(String, u32)> = entries
        .into_iter()
        .map(|entry| {
            let timeout = entry.timeout.unwrap_or(0);
            let plain = Entry {
                id: None,
                timeout: None,
                use_count: None,
                timestamps: None,
                ..entry
            };
            (format!("{plain:?}"), timeout)
        })
        .collect();
    entries.sort();
    entries
}

pub(crate) fn came(output: &Output) -> Came {
    let lines = |bytes: &[u8]| -> Vec<String> {
        let text = String::from_utf8_lossy(bytes);
        text.lines().map(normal).collect()
    };
    let mut out = lines(&output.stdout);
    // The kernel's order is by a hash that differs between namespaces.
    out.sort();
    Came {
        status: output.status.code(),
        out,
        err: lines(&output.stderr),
    }
}

/// A line without the program's name and without times and ids.
fn normal(line: &str) -> String {
    let line = line
        .replace("conntrack v1.4.7 (conntrack-tools)", "~")
        .replace("conntrack v1.4.8 (conntrack-tools)", "~")
        .replace("conntrack v1.4.8 (tracklight)", "~");
    let line = without(&line, "<timeout>", "</timeout>");
    let line = without(&line, "<id>", "</id>");
    let line = without(&line, "<start>", "</start>");
    let line = without(&line, "<deltatime>", "</deltatime>");
    let line = without(&line, "[start=", "]");
    if line.starts_with("cpu=") {
        return line.replace(|letter: char| letter.is_ascii_digit(), "");
    }
    // The original gives associations of SCTP states of TCP.
    let line = if line.contains("\"sctp\"") {
        without(&line, "<state>", "</state>")
    } else {
        line
    };
    let mut words: Vec<String> = line.split(' ').map(str::to_owned).collect();
    let mut numbers = 0;
    let (mut is_timeout, mut is_behind_code) = (false, false);
    let is_entry = line.contains("src=") && !line.contains("proto=");
    for word in &mut words {
        let is_number = !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_digit());
        // Family's number, protocol's number, timeout.
        if is_number && is_entry {
            numbers += 1;
            let has_family = line.contains("ipv4 ") || line.contains("ipv6 ");
            let timeout = if has_family { 3 } else { 2 };
            if numbers == timeout {
                "T".clone_into(word);
            }
        }
        if is_timeout || (is_number && line.contains("proto=") && numbers == 0) {
            "T".clone_into(word);
            numbers += 1;
        }
        is_timeout = word == "-t";
        for name in ["id=", "delta-time=", "portid="] {
            // An identifier of ICMP, behind the code, is called so too.
            if word.starts_with(name) && !(name == "id=" && is_behind_code) {
                *word = format!("{name}N");
            }
        }
        is_behind_code = word.starts_with("code=");
    }
    words.join(" ")
}

pub(crate) fn without(line: &str, before: &str, after: &str) -> String {
    let Some((head, rest)) = line.split_once(before) else {
        return line.to_owned();
    };
    match rest.split_once(after) {
        Some((_, tail)) => format!("{head}{before}{after}{}", without(tail, before, after)),
        None => line.to_owned(),
    }
}
