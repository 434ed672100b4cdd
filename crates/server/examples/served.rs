//! Asks a running daemon by its socket and tells what that costs, a word and a figure a line
//! (bench/run reads them): `served SOCKET PROCESS [SECONDS]`.

use std::fmt::Write as _;
use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// How many watch at the same time.
const MANY: usize = 50;
/// How often each page is asked for.
const TIMES: usize = 9;
/// What the screens watch.
const WATCHED: &str = "/api/v1/live?sort=rate&limit=100";

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let socket = PathBuf::from(arguments.next().ok_or("which socket?")?);
    let process: u32 = arguments.next().ok_or("which process?")?.parse()?;
    let seconds = arguments.next().map_or(Ok(60), |text| text.parse())?;

    for (word, path) in [
        ("page", "/api/v1/connections?sort=bytes"),
        ("page", "/api/v1/connections?sort=rate"),
        (
            "page",
            "/api/v1/connections?query=tcp%20and%20state%20%3D%3D%20ESTABLISHED&sort=age",
        ),
        (
            "page",
            "/api/v1/connections?query=dport%20%3D%3D%20443%20and%20not%20nat&sort=source",
        ),
        (
            "page",
            "/api/v1/connections?query=src%20in%2010.0.0.0%2F16%20or%20udp&sort=timeout",
        ),
        ("groups", "/api/v1/groups?by=src&sort=bytes"),
        ("summary", "/api/v1/summary"),
    ] {
        let mut times = Vec::new();
        for _ in 0..TIMES {
            let began = Instant::now();
            get(&socket, path)?;
            times.push(began.elapsed());
        }
        times.sort_unstable();
        let median = times.get(TIMES / 2).map_or(0.0, Duration::as_secs_f64);
        println!("{word} {median:.4} s, median of {TIMES}, {path}");
    }

    let cost = |name: &str, paths: &[String]| -> Result<f64> {
        let readers = readers(&socket, paths)?;
        // The first page is more work than those that follow.
        thread::sleep(Duration::from_secs(5));
        let (before, began) = (cpu_time(process)?, Instant::now());
        let bytes = || readers.iter().map(Reader::bytes).sum::<u64>();
        let bytes_before = bytes();
        thread::sleep(Duration::from_secs(seconds));
        let took = began.elapsed().as_secs_f64();
        let share = (cpu_time(process)? - before) / took;
        println!(
            "{name} {:.1} % of a core, {:.0} kB a second sent, {:.0} MB resident",
            share * 100.0,
            (bytes() - bytes_before) as f64 / took / 1e3,
            resident(process)? as f64 / 1e6,
        );
        drop(readers);
        Ok(share)
    };
    let idle = cost("watched-by-nobody", &[])?;
    let one = cost("watched-by-one", &[WATCHED.to_owned()])?;
    let many = cost("watched-by-50", &vec![WATCHED.to_owned(); MANY])?;
    let different: Vec<String> = (0..MANY)
        .map(|number| format!("{WATCHED}&query=dport%20%3E%3D%20{number}"))
        .collect();
    let others = cost("watched-by-50-differently", &different)?;
    println!(
        "ratio {:.2} times the cost of one for 50 of the same page, {:.2} for 50 different ones",
        many / one,
        others / one,
    );
    println!(
        "above-idle {:.2} times for 50 of the same page, {:.2} for 50 different ones",
        (many - idle) / (one - idle),
        (others - idle) / (one - idle),
    );

    // Those that take nothing: the kernel's buffers are full soon, and then they are let go.
    let before = resident(process)?;
    let slow: Vec<UnixStream> = (0..MANY)
        .map(|_| open(&socket, WATCHED))
        .collect::<Result<_>>()?;
    let mut most = before;
    for _ in 0..60 {
        thread::sleep(Duration::from_secs(1));
        most = most.max(resident(process)?);
    }
    let held = sockets(process)?;
    println!(
        "slow {:.1} MB more at most while {MANY} took nothing for a minute; {held} sockets of the daemon are open",
        most.saturating_sub(before) as f64 / 1e6,
    );
    drop(slow);
    Ok(())
}

fn open(socket: &Path, path: &str) -> Result<UnixStream> {
    let mut stream = UnixStream::connect(socket)?;
    let mut head = String::new();
    write!(
        head,
        "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    )?;
    stream.write_all(head.as_bytes())?;
    Ok(stream)
}

fn get(socket: &Path, path: &str) -> Result<()> {
    let mut answer = Vec::new();
    open(socket, path)?.read_to_end(&mut answer)?;
    if !answer.starts_with(b"HTTP/1.1 200") {
        let text = String::from_utf8_lossy(&answer).into_owned();
        return Err(format!("{path}: {}", text.lines().next().unwrap_or_default()).into());
    }
    Ok(())
}

/// Reads a stream and throws it away.
struct Reader {
    stream: UnixStream,
    bytes: Arc<AtomicU64>,
    thread: Option<JoinHandle<()>>,
}

impl Reader {
    fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        let _ = self.stream.shutdown(Shutdown::Both);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn readers(socket: &Path, paths: &[String]) -> Result<Vec<Reader>> {
    let reader = |path: &String| -> Result<Reader> {
        let stream = open(socket, path)?;
        let mut inner = stream.try_clone()?;
        let bytes = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&bytes);
        let thread = thread::spawn(move || {
            let mut buffer = vec![0; 64 << 10];
            while let Ok(length) = inner.read(&mut buffer) {
                if length == 0 {
                    return;
                }
                counted.fetch_add(length as u64, Ordering::Relaxed);
            }
        });
        Ok(Reader {
            stream,
            bytes,
            thread: Some(thread),
        })
    };
    paths.iter().map(reader).collect()
}

/// Seconds of all threads together.
fn cpu_time(process: u32) -> Result<f64> {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat"))?;
    let (_, fields) = stat.rsplit_once(')').ok_or("no stat")?;
    let mut fields = fields.split_whitespace().skip(11);
    let mut ticks = || -> Result<f64> { Ok(fields.next().ok_or("no time")?.parse()?) };
    Ok((ticks()? + ticks()?) / 100.0)
}

fn resident(process: u32) -> Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes = line.and_then(|line| line.split_whitespace().next());
    Ok(kilobytes.ok_or("no memory")?.parse::<u64>()? * 1024)
}

fn sockets(process: u32) -> Result<usize> {
    let folder = std::fs::read_dir(format!("/proc/{process}/fd"))?;
    let targets = folder.filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok());
    Ok(targets
        .filter(|target| target.to_string_lossy().starts_with("socket:"))
        .count())
}
