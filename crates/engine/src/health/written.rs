//! What the files of sysctl say, as they are read at boot (sysctl.d(5)).

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::facts::Written;

/// Where files are, from what is read first of files with one name to what is hidden by it.
const FOLDERS: [&str; 4] = [
    "etc/sysctl.d",
    "run/sysctl.d",
    "usr/local/lib/sysctl.d",
    "usr/lib/sysctl.d",
];

/// Read last, whether a link in `/etc/sysctl.d` or by itself.
const LAST: &str = "etc/sysctl.conf";

/// The longest file that is read.
const SIZE_LIMIT: u64 = 1 << 20;

/// Settings of connection tracking under a root folder; of one that several files have, the last.
pub(super) fn written(root: &Path) -> Vec<Written> {
    let mut settings = BTreeMap::new();
    for file in files(root) {
        let readable =
            fs::metadata(&file).is_ok_and(|meta| meta.is_file() && meta.len() <= SIZE_LIMIT);
        let Some(text) = readable.then(|| fs::read_to_string(&file).ok()).flatten() else {
            continue;
        };
        let shown = match file.strip_prefix(root) {
            Ok(inside) => Path::new("/").join(inside),
            Err(_) => file.clone(),
        };
        for (name, value) in text.lines().filter_map(setting) {
            let file = shown.to_string_lossy().into_owned();
            settings.insert(name.clone(), Written { name, value, file });
        }
    }
    settings.into_values().collect()
}

/// The files in their order: by name, wherever they are.
fn files(root: &Path) -> Vec<PathBuf> {
    let mut by_name = BTreeMap::new();
    for folder in FOLDERS {
        let Ok(entries) = fs::read_dir(root.join(folder)) else {
            continue;
        };
        for entry in entries.filter_map(Result::ok) {
            let name = entry.file_name();
            if Path::new(&name)
                .extension()
                .is_some_and(|end| end == "conf")
            {
                by_name.entry(name).or_insert_with(|| entry.path());
            }
        }
    }
    by_name.into_values().chain([root.join(LAST)]).collect()
}

/// `net.netfilter.nf_conntrack_max = 5`, also with slashes, or with a dash before it.
fn setting(line: &str) -> Option<(String, u64)> {
    let line = line.trim();
    if line.starts_with(['#', ';']) {
        return None;
    }
    let (key, value) = line.split_once('=')?;
    let key = key.trim().trim_start_matches('-').replace('/', ".");
    let name = match key.as_str() {
        // The one that has a second name.
        "net.nf_conntrack_max" => "nf_conntrack_max",
        key => key.strip_prefix("net.netfilter.")?,
    };
    let is_ours = name.starts_with("nf_conntrack_");
    Some((name.to_owned(), value.trim().parse().ok()?)).filter(|_| is_ours)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_file_by_name_wins_and_etc_hides_the_same_name_elsewhere() {
        let root = tempfile::tempdir().unwrap();
        let put = |path: &str, text: &str| {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        put(
            "usr/lib/sysctl.d/50-a.conf",
            "net.netfilter.nf_conntrack_max = 1\nnet.netfilter.nf_conntrack_acct=1\n",
        );
        put(
            "etc/sysctl.d/60-b.conf",
            "-net/netfilter/nf_conntrack_max = 2\n# net.netfilter.nf_conntrack_tcp_loose = 0\n",
        );
        put(
            "usr/lib/sysctl.d/60-b.conf",
            "net.netfilter.nf_conntrack_helper = 1\n",
        );
        put(
            "run/sysctl.d/70-c.conf",
            "net.ipv4.ip_forward = 1\nnet.nf_conntrack_max = 3\n; x\nnonsense\n",
        );
        put(
            "etc/sysctl.d/80-d.txt",
            "net.netfilter.nf_conntrack_max = 4\n",
        );
        let found = written(root.path());
        let named = |name: &str| found.iter().find(|written| written.name == name);
        let max = named("nf_conntrack_max").unwrap();
        assert_eq!(
            (max.value, max.file.as_str()),
            (3, "/run/sysctl.d/70-c.conf")
        );
        assert_eq!(named("nf_conntrack_acct").unwrap().value, 1);
        assert_eq!(found.len(), 2, "{found:?}");
        put("etc/sysctl.conf", "net.netfilter.nf_conntrack_max=5");
        assert_eq!(written(root.path())[1].file, "/etc/sysctl.conf");
        assert_eq!(written(Path::new("/nonexistent")), []);
    }
}
