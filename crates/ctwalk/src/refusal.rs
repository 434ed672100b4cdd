//! Why a walk is not possible, and netlink has to do.

use std::fs;
use std::path::Path;

/// Why the table cannot be read by the BPF program.
///
/// None of these is a failure of the caller's task: netlink reads the same entries, slower.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// The program was built without it.
    #[error("this program was built without the BPF walk")]
    NotBuilt,
    /// Instructions of this kind of machine are not understood.
    #[error("the BPF walk knows x86-64 and AArch64 machines only")]
    Machine,
    /// The caller is root in a user namespace only.
    #[error("BPF programs can be loaded from the initial user namespace only")]
    UserNamespace,
    /// Capabilities are missing, by their names.
    #[error("{} {} missing", .0.join(", "), if .0.len() == 1 { "is" } else { "are" })]
    Capabilities(Vec<&'static str>),
    /// The kernel carries no type information.
    #[error("this kernel has no type information (/sys/kernel/btf/vmlinux, CONFIG_DEBUG_INFO_BTF)")]
    NoBtf,
    /// The kernel is locked down.
    #[error("this kernel is locked down: nothing may read its memory")]
    Lockdown,
    /// The kernel does not offer its lookup to BPF programs.
    #[error(
        "this kernel has no bpf_xdp_ct_lookup (Linux 5.18, CONFIG_NF_CONNTRACK, CONFIG_DEBUG_INFO_BTF_MODULES)"
    )]
    NoLookup,
    /// A structure of the kernel is not as it is known.
    #[error("this kernel's structures are unknown: {0}")]
    Layout(String),
    /// The kernel refused the program for another reason.
    #[error("this kernel refused the program: {0}")]
    Load(String),
    /// The kernel does not tell where its functions are.
    #[error(
        "this kernel does not tell where its functions are (kernel.kptr_restrict, CONFIG_KALLSYMS)"
    )]
    Symbols,
    /// The table could not be found in memory.
    #[error("the table was not found in the kernel's memory")]
    Table,
    /// The key of ids could not be found in memory.
    #[error("the key of the entries' ids was not found in the kernel's memory")]
    Ids,
    /// An entry was read otherwise than netlink tells it.
    #[error("an entry differed from what netlink says of it, in its {0}")]
    Disagrees(&'static str),
    /// Another walk is under way with the same program.
    #[error("another walk is under way")]
    Busy,
    /// A system call failed.
    #[error("{what}: {error}")]
    System {
        /// What was tried.
        what: &'static str,
        /// What the kernel said.
        error: String,
    },
}

impl Refusal {
    /// A word that stands for it and stays the same.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::NotBuilt => "not-built",
            Self::Machine => "machine",
            Self::UserNamespace => "user-namespace",
            Self::Capabilities(_) => "capabilities",
            Self::NoBtf => "no-btf",
            Self::Lockdown => "lockdown",
            Self::NoLookup => "no-lookup",
            Self::Layout(_) => "layout",
            Self::Load(_) => "load",
            Self::Symbols => "symbols",
            Self::Table => "table",
            Self::Ids => "ids",
            Self::Disagrees(_) => "disagrees",
            Self::Busy => "busy",
            Self::System { .. } => "system",
        }
    }

    /// Whether the next walk would be refused as well: not where it was about single entries, a table
    /// that was being resized, or a system call.
    pub const fn is_lasting(&self) -> bool {
        !matches!(
            self,
            Self::Busy | Self::Table | Self::Ids | Self::Disagrees(_) | Self::System { .. }
        )
    }

    /// What would help, where anything would.
    pub const fn hint(&self) -> Option<&'static str> {
        Some(match self {
            Self::NotBuilt => "build it where clang is installed",
            Self::UserNamespace => "run it outside of the user namespace",
            Self::Capabilities(_) => "run it as root, or with these capabilities",
            Self::Symbols => "set kernel.kptr_restrict to 0 or 1, and give CAP_SYSLOG",
            Self::NoLookup => "load nf_conntrack, or use Linux 5.18 or newer",
            _ => return None,
        })
    }

    pub(crate) fn system(what: &'static str, error: &std::io::Error) -> Self {
        Self::System {
            what,
            error: error.to_string(),
        }
    }
}

/// Looks for what would make the kernel refuse, before it is asked: its own answer to all of them
/// is the same, EPERM.
///
/// `is_current`: whether the namespace is the calling thread's, which nobody has to enter.
pub(crate) fn foresee(system: &System, is_current: bool) -> Result<(), Refusal> {
    if !cfg!(any(target_arch = "x86_64", target_arch = "aarch64")) {
        return Err(Refusal::Machine);
    }
    if system
        .user_namespace()
        .is_some_and(|inode| inode != INITIAL_USER_NAMESPACE)
    {
        return Err(Refusal::UserNamespace);
    }
    if let Some(effective) = system.capabilities() {
        // Types of modules are for the administrator only.
        let is_module = system.path("sys/kernel/btf/nf_conntrack").exists();
        let lacking = lacking(effective, is_module || !is_current);
        if !lacking.is_empty() {
            return Err(Refusal::Capabilities(lacking));
        }
    }
    if system.is_locked_down() {
        return Err(Refusal::Lockdown);
    }
    if !system.path("sys/kernel/btf/vmlinux").exists() {
        return Err(Refusal::NoBtf);
    }
    Ok(())
}

/// `PROC_USER_INIT_INO` of the kernel.
const INITIAL_USER_NAMESPACE: u64 = 0xefff_fffd;

const CAP_NET_ADMIN: u32 = 12;
const CAP_SYS_ADMIN: u32 = 21;
const CAP_SYSLOG: u32 = 34;
const CAP_PERFMON: u32 = 38;
const CAP_BPF: u32 = 39;

/// `CAP_SYS_ADMIN` stands for those that were split from it.
fn lacking(effective: u64, needs_admin: bool) -> Vec<&'static str> {
    let has = |number: u32| effective >> number & 1 == 1;
    let needed = [
        (CAP_SYS_ADMIN, "CAP_SYS_ADMIN", !needs_admin),
        (CAP_BPF, "CAP_BPF", has(CAP_SYS_ADMIN)),
        (CAP_PERFMON, "CAP_PERFMON", has(CAP_SYS_ADMIN)),
        (CAP_NET_ADMIN, "CAP_NET_ADMIN", false),
        (CAP_SYSLOG, "CAP_SYSLOG", false),
    ];
    needed
        .into_iter()
        .filter(|&(number, _, instead)| !has(number) && !instead)
        .map(|(_, name, _)| name)
        .collect()
}

/// Files that tell what the kernel would allow.
pub(crate) struct System<'a> {
    pub(crate) root: &'a Path,
}

impl System<'static> {
    pub(crate) fn this() -> Self {
        Self {
            root: Path::new("/"),
        }
    }
}

impl System<'_> {
    fn path(&self, path: &str) -> std::path::PathBuf {
        self.root.join(path)
    }

    fn user_namespace(&self) -> Option<u64> {
        let link = fs::read_link(self.path("proc/self/ns/user")).ok()?;
        let text = link.to_str()?.strip_prefix("user:[")?.strip_suffix(']')?;
        text.parse().ok()
    }

    /// The effective ones, of the calling thread.
    fn capabilities(&self) -> Option<u64> {
        let status = fs::read_to_string(self.path("proc/thread-self/status")).ok()?;
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("CapEff:"))?;
        u64::from_str_radix(line.trim(), 16).ok()
    }

    fn is_locked_down(&self) -> bool {
        fs::read_to_string(self.path("sys/kernel/security/lockdown"))
            .is_ok_and(|modes| modes.contains("[confidentiality]"))
    }
}

/// What the loader's words mean.
#[cfg(any(ctwalk_program, test))]
pub(crate) fn of_load(log: &str, error: &str) -> Refusal {
    let line_with = |text: &str| log.lines().find(|line| line.contains(text));
    // The loader names the first function of the lookup that it misses, not all.
    if line_with("extern (func ksym)").is_some_and(|line| line.contains("not found")) {
        return Refusal::NoLookup;
    }
    let unresolved = line_with("failed to resolve CO-RE").or_else(|| line_with("CO-RE"));
    if let Some(line) = unresolved {
        return Refusal::Layout(line.trim().to_owned());
    }
    // The verifier's last words before its summary.
    let words = log
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with("--") && !line.starts_with(';'))
        .take_while(|line| !line.starts_with("processed "))
        .last();
    Refusal::Load(words.unwrap_or(error).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(status: &str, user: &str) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        let path = |path: &str| root.path().join(path);
        fs::create_dir_all(path("proc/self/ns")).unwrap();
        fs::create_dir_all(path("proc/thread-self")).unwrap();
        fs::create_dir_all(path("sys/kernel/btf")).unwrap();
        fs::create_dir_all(path("sys/kernel/security")).unwrap();
        fs::write(path("proc/thread-self/status"), status).unwrap();
        fs::write(path("sys/kernel/btf/vmlinux"), "").unwrap();
        std::os::unix::fs::symlink(user, path("proc/self/ns/user")).unwrap();
        root
    }

    const INITIAL: &str = "user:[4026531837]";
    const ALL: &str = "Name:\tx\nCapEff:\t000001ffffffffff\n";

    #[test]
    fn what_the_kernel_would_refuse_is_foreseen() {
        let ask = |root: &tempfile::TempDir| foresee(&System { root: root.path() }, true);
        let root = tree(ALL, INITIAL);
        assert_eq!(ask(&root), Ok(()));

        fs::write(
            root.path().join("sys/kernel/security/lockdown"),
            "none integrity [confidentiality]\n",
        )
        .unwrap();
        assert_eq!(ask(&root), Err(Refusal::Lockdown));
        fs::write(
            root.path().join("sys/kernel/security/lockdown"),
            "none [integrity] confidentiality\n",
        )
        .unwrap();
        assert_eq!(ask(&root), Ok(()));

        fs::remove_file(root.path().join("sys/kernel/btf/vmlinux")).unwrap();
        assert_eq!(ask(&root), Err(Refusal::NoBtf));

        assert_eq!(
            ask(&tree(ALL, "user:[4026532222]")),
            Err(Refusal::UserNamespace)
        );
        // What a container often has: all but the newer ones.
        let refusal = ask(&tree("CapEff:\t00000000a80435fb\n", INITIAL)).unwrap_err();
        assert_eq!(
            refusal.to_string(),
            "CAP_BPF, CAP_PERFMON, CAP_SYSLOG are missing"
        );
        // CAP_SYS_ADMIN stands for CAP_BPF and CAP_PERFMON.
        assert_eq!(
            lacking(1 << 21 | 1 << 12 | 1 << 34, true),
            Vec::<&str>::new()
        );
        // Who has no more than those needs no other, but for another namespace or types of modules.
        let few = 1 << 39 | 1 << 38 | 1 << 12 | 1 << 34;
        assert_eq!(lacking(few, false), Vec::<&str>::new());
        let root = tree(&format!("CapEff:\t{few:016x}\n"), INITIAL);
        assert_eq!(ask(&root), Ok(()));
        let missing = Err(Refusal::Capabilities(vec!["CAP_SYS_ADMIN"]));
        assert_eq!(foresee(&System { root: root.path() }, false), missing);
        fs::write(root.path().join("sys/kernel/btf/nf_conntrack"), "").unwrap();
        assert_eq!(ask(&root), missing);
    }

    #[test]
    fn the_loaders_words_are_told_apart() {
        for function in ["bpf_xdp_ct_lookup", "bpf_ct_release"] {
            let log = format!(
                "libbpf: extern (func ksym) '{function}': not found in kernel or module BTFs\n"
            );
            assert_eq!(of_load(&log, "No such process"), Refusal::NoLookup);
        }
        let log = "1862: <invalid CO-RE relocation>\n\
                   failed to resolve CO-RE relocation <byte_off> [63] struct nf_conn.timeout\n\
                   processed 1969 insns (limit 1000000)\n";
        assert_eq!(
            of_load(log, ""),
            Refusal::Layout(
                "failed to resolve CO-RE relocation <byte_off> [63] struct nf_conn.timeout"
                    .to_owned()
            )
        );
        let log = "; u64 x = *p;\n270: (57) r2 &= 1\nR2 bitwise operator &= on pointer prohibited\n\
                   processed 233 insns (limit 1000000)\n-- END PROG LOAD LOG --\n";
        assert_eq!(
            of_load(log, "Permission denied"),
            Refusal::Load("R2 bitwise operator &= on pointer prohibited".to_owned())
        );
        assert_eq!(
            of_load("", "Permission denied"),
            Refusal::Load("Permission denied".to_owned())
        );
    }
}
