//! A plain user builds the same lab in a user namespace, and hears why where that is forbidden.
//!
//! A user namespace can be entered by a process with one thread only, which no test of a harness is. So
//! each test starts this very program again, and the child does its task before any harness starts.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Output};
use std::time::{Duration, Instant};

use libtest_mimic::{Arguments, Failed, Trial};
use netlab::address::{client, server};
use netlab::{Error, Lab, Namespace, Privilege, enter_user_namespace};

/// Tells the child its task.
const CHILD: &str = "NETLAB_CHILD";

/// Debian's `nobody`.
const NOBODY: u32 = 65534;

fn main() -> ExitCode {
    if let Ok(task) = std::env::var(CHILD) {
        return child(&task);
    }
    let test = |name: &str, test: fn() -> Result<(), Failed>| Trial::test(name, test);
    let tests = vec![
        test("a_plain_user_gets_a_whole_lab", || {
            succeeds(&as_plain_user("lab")?)
        }),
        test(
            "a_program_with_file_capabilities_gets_a_whole_lab",
            with_file_capabilities,
        ),
        test("dropped_labs_are_freed_by_the_kernel", || {
            succeeds(&as_plain_user("freed")?)
        }),
        test("connections_that_outlive_their_lab_do_not_keep_it", || {
            succeeds(&as_plain_user("survivors")?)
        }),
        test("entering_twice_does_nothing_the_second_time", || {
            succeeds(&as_plain_user("twice")?)
        }),
        test("entering_with_a_second_thread_is_refused", || {
            fails(&as_plain_user("late")?, "many_threads", "2")
        }),
        test("root_stays_where_it_is", root_stays),
        test("a_limit_of_no_user_namespaces_is_named", no_user_namespaces),
        test("the_limit_of_network_namespaces_is_named", || {
            fails(
                &as_plain_user("no-room")?,
                "namespace_limit",
                "max_net_namespaces",
            )
        }),
    ];
    libtest_mimic::run(&Arguments::from_args(), tests).exit_code()
}

// The tests: whom they start the child as, and what they want of it.

fn as_plain_user(task: &str) -> Result<Output, Failed> {
    Ok(Program::copy(task)?.command_of_plain_user(task).output()?)
}

fn with_file_capabilities() -> Result<(), Failed> {
    let program = Program::copy("capable")?;
    let set = Command::new("setcap")
        .arg("cap_net_admin+ep")
        .arg(&program.path)
        .output();
    if !set.is_ok_and(|output| output.status.success()) {
        testkit::skip(
            "setcap (Debian package libcap2-bin) cannot give capabilities to a file here",
        );
        return Ok(());
    }
    succeeds(&program.command_of_plain_user("lab").output()?)
}

fn root_stays() -> Result<(), Failed> {
    if let Err(error) = Namespace::new() {
        testkit::skip(&error.to_string());
        return Ok(());
    }
    succeeds(
        &Command::new(std::env::current_exe()?)
            .env(CHILD, "stay")
            .output()?,
    )
}

/// In a user namespace whose own limit is 0, by a process that has lost its capabilities there.
fn no_user_namespaces() -> Result<(), Failed> {
    let program = Program::copy("limit")?;
    let script = format!(
        "echo 0 > /proc/sys/user/max_user_namespaces && exec setpriv {} {}",
        WITHOUT_CAPABILITIES.join(" "),
        program.path.display()
    );
    let output = Command::new("unshare")
        .args(["--user", "--map-root-user", "sh", "-c", &script])
        .env(CHILD, "twice")
        .output()?;
    fails(
        &output,
        "user_namespace_forbidden",
        "user.max_user_namespaces is 0",
    )
}

fn succeeds(output: &Output) -> Result<(), Failed> {
    let (told, words) = texts(output);
    if words.starts_with("user_namespace_forbidden") {
        testkit::skip(&words);
        return Ok(());
    }
    eprint!("{told}");
    if output.status.success() {
        Ok(())
    } else {
        Err(format!("{}: {words}", output.status).into())
    }
}

fn fails(output: &Output, code: &str, reason: &str) -> Result<(), Failed> {
    let (_, words) = texts(output);
    if code != "user_namespace_forbidden" && words.starts_with("user_namespace_forbidden") {
        testkit::skip(&words);
        return Ok(());
    }
    let as_wanted = !output.status.success() && words.starts_with(code) && words.contains(reason);
    if as_wanted {
        Ok(())
    } else {
        Err(format!("wanted {code} and {reason:?}: {words}").into())
    }
}

fn texts(output: &Output) -> (String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (text(&output.stdout), text(&output.stderr))
}

/// But for CAP_SETFCAP, without which the kernel lets nobody map root (since Linux 5.12), and the one
/// that a file may have in a test.
const WITHOUT_CAPABILITIES: [&str; 2] =
    ["--inh-caps=-all", "--bounding-set=-all,+setfcap,+net_admin"];

/// A copy of this program in a folder that everybody may enter; it goes when the value is dropped.
struct Program {
    folder: PathBuf,
    path: PathBuf,
}

impl Program {
    fn copy(name: &str) -> Result<Self, Failed> {
        let folder = std::env::temp_dir().join(format!("netlab-{name}-{}", std::process::id()));
        fs::create_dir_all(&folder)?;
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o755))?;
        let path = folder.join("rootless");
        fs::copy(std::env::current_exe()?, &path)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?;
        Ok(Self { folder, path })
    }

    /// Nobody, if we are root. Where nobody does not exist (in a user namespace of one user), root
    /// without CAP_SYS_ADMIN is as plain.
    fn command_of_plain_user(&self, task: &str) -> Command {
        let mut command = Command::new("setpriv");
        if maps_nobody() {
            command
                .arg(format!("--reuid={NOBODY}"))
                .arg(format!("--regid={NOBODY}"));
            command.arg("--clear-groups");
        } else {
            command.args(WITHOUT_CAPABILITIES);
        }
        if Namespace::new().is_err() {
            command = Command::new("env");
        }
        command.arg(&self.path).env(CHILD, task).current_dir("/");
        command
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn maps_nobody() -> bool {
    let map = fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    map.lines().any(|line| {
        let numbers: Vec<u32> = line.split_whitespace().filter_map(|n| n.parse().ok()).collect();
        matches!(numbers[..], [first, _, length] if (first..=first + (length - 1)).contains(&NOBODY))
    })
}

// The child.

fn child(task: &str) -> ExitCode {
    let outcome = match task {
        "lab" => whole_lab(),
        "freed" => freed(),
        "survivors" => survivors(),
        "twice" => twice(),
        "late" => late(),
        "stay" => stay(),
        "no-room" => no_room(),
        _ => panic!("unknown task {task}"),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{}: {error}. {}", error.code(), error.hint());
            ExitCode::FAILURE
        }
    }
}

fn whole_lab() -> Result<(), Error> {
    assert_eq!(enter_user_namespace()?, Privilege::UserNamespace);
    let start = Instant::now();
    let lab = Lab::new()?;
    let traffic = lab.start_traffic()?;
    lab.ready()?;
    println!("ready in {:?}", start.elapsed());

    for setting in ["nf_conntrack_acct", "nf_conntrack_timestamp"] {
        assert_eq!(
            lab.gateway()
                .read_sysctl(&format!("net/netfilter/{setting}"))?,
            "1"
        );
    }
    let text = lab
        .gateway()
        .output("conntrack", &["-L", "-p", "tcp", "--dport", "443"], "")?;
    for word in [
        "ESTABLISHED",
        "dst=203.0.113.5",
        "mark=23299",
        "bytes=",
        "delta-time=",
    ] {
        assert!(text.contains(word), "{word}: {text}");
    }
    assert!(traffic.troubles().is_empty(), "{:?}", traffic.troubles());
    Ok(())
}

/// With room for one lab at a time, the next can be built only when the last is really gone.
fn freed() -> Result<(), Error> {
    enter_user_namespace()?;
    leave_room_for_one_lab();
    for _ in 0..4 {
        let lab = build_when_there_is_room()?;
        let _traffic = lab.start_traffic()?;
        lab.ready()?;
    }
    Ok(())
}

/// Closed sockets say goodbye to a peer that can no longer be reached, and hold their namespaces meanwhile.
fn survivors() -> Result<(), Error> {
    enter_user_namespace()?;
    leave_room_for_one_lab();
    for _ in 0..2 {
        let lab = build_when_there_is_room()?;
        let pair = lab.tcp_connect((client(1), 0), (server(1), 8080))?;
        let cut_off = lab.client().spawn("cut-off", || {
            let devices = || fs::read_to_string("/proc/thread-self/net/dev").unwrap();
            while devices().contains("eth0:") {
                std::thread::sleep(Duration::from_millis(5));
            }
        })?;
        drop(lab);
        // When the gateway is gone, so is the client's end of the wire to it.
        cut_off.join().unwrap();
        drop(pair);
    }
    build_when_there_is_room().map(drop)
}

fn leave_room_for_one_lab() {
    fs::write("/proc/sys/user/max_net_namespaces", "3").unwrap();
}

fn build_when_there_is_room() -> Result<Lab, Error> {
    let start = Instant::now();
    let mut pause = Duration::from_millis(100);
    loop {
        match Lab::new() {
            // The kernel frees a namespace soon after its last user has gone, not at once. Each try
            // makes some itself: leave it time to free those, the more the busier the machine is.
            Err(Error::NamespaceLimit { .. }) if start.elapsed() < Duration::from_secs(40) => {
                std::thread::sleep(pause);
                pause *= 2;
            }
            outcome => {
                println!("there was room after {:?}", start.elapsed());
                return outcome;
            }
        }
    }
}

fn twice() -> Result<(), Error> {
    assert_eq!(enter_user_namespace()?, Privilege::UserNamespace);
    let inside = own_user_namespace();
    assert_eq!(enter_user_namespace()?, Privilege::Root);
    assert_eq!(own_user_namespace(), inside);
    Ok(())
}

fn late() -> Result<(), Error> {
    let (let_go, wait) = std::sync::mpsc::channel::<()>();
    let thread = std::thread::spawn(move || wait.recv());
    let outcome = enter_user_namespace();
    drop(let_go);
    let _ = thread.join();
    outcome.map(drop)
}

fn stay() -> Result<(), Error> {
    let before = own_user_namespace();
    assert_eq!(enter_user_namespace()?, Privilege::Root);
    assert_eq!(own_user_namespace(), before);
    Ok(())
}

fn no_room() -> Result<(), Error> {
    enter_user_namespace()?;
    fs::write("/proc/sys/user/max_net_namespaces", "0").unwrap();
    Namespace::new().map(drop)
}

fn own_user_namespace() -> PathBuf {
    fs::read_link(Path::new("/proc/self/ns/user")).unwrap()
}
