//! Clients that are slow, half there, too many or mad.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

use server::listen::Limits;
use server::who::Role;

use crate::daemon::Daemon;

/// Limits that a test can wait for.
fn short() -> Limits {
    Limits {
        head: Duration::from_millis(300),
        ..Limits::default()
    }
}

/// Waits until the other end has closed.
#[track_caller]
fn is_closed(stream: &mut TcpStream) {
    let mut rest = Vec::new();
    match stream.read_to_end(&mut rest) {
        Ok(_) => {}
        Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => {}
        Err(error) => panic!("it was not closed: {error}"),
    }
}

#[test]
fn who_says_nothing_or_half_a_request_is_dropped_and_makes_room() {
    let limits = Limits {
        connections: 4,
        ..short()
    };
    let daemon = Daemon::start_limited(limits);
    for part in [
        "",
        "G",
        "PRI * HTTP/2.0\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "GET /look HTTP/1.1\r\nHost: localhost\r\n",
    ] {
        let mut held: Vec<TcpStream> = (0..4).map(|_| daemon.connect()).collect();
        for stream in &mut held {
            stream.write_all(part.as_bytes()).unwrap();
        }
        // All room is taken until they are dropped; it waits for its turn.
        assert_eq!(daemon.get("/look", "").status, 401, "{part:?}");
        for mut stream in held {
            is_closed(&mut stream);
        }
    }
}

#[test]
fn a_head_that_comes_byte_by_byte_is_cut_off() {
    let daemon = Daemon::start_limited(short());
    let mut stream = daemon.connect();
    let began = Instant::now();
    // Each byte comes in time; all of them together do not.
    let _ = stream.write_all(b"GET /look HTTP/1.1\r\nX: ");
    while began.elapsed() < Duration::from_secs(20) {
        if stream.write_all(b"a").is_err() {
            return;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    panic!("it went on for {:?}", began.elapsed());
}

#[test]
fn a_connection_that_is_kept_without_being_used_ends() {
    let daemon = Daemon::start_limited(short());
    let mut stream = daemon.connect();
    let request = b"GET /look HTTP/1.1\r\nHost: localhost\r\n\r\n";
    stream.write_all(request).unwrap();
    is_closed(&mut stream);
}

/// What a client of HTTP/2 begins with, and an empty SETTINGS.
const HTTP_2: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

#[test]
fn a_connection_of_http_2_that_is_of_no_use_ends() {
    let daemon = Daemon::start_limited(Limits {
        idle: Duration::from_millis(300),
        ..short()
    });
    let mut stream = daemon.connect();
    stream.write_all(HTTP_2).unwrap();
    // HEADERS of stream 1: GET, http, /look, and an authority; all is said by that.
    let block = b"\x82\x86\x04\x05/look\x01\x09localhost";
    let mut frame = vec![0, 0, block.len() as u8, 1, 5, 0, 0, 0, 1];
    frame.extend_from_slice(block);
    stream.write_all(&frame).unwrap();
    is_closed(&mut stream);
}

#[test]
fn a_reader_of_http_2_that_takes_nothing_is_let_go_though_it_answers_pings() {
    let daemon = Daemon::start_limited(Limits {
        stall: Duration::from_millis(300),
        ..Limits::default()
    });
    let secret = daemon.tokens().add("one", Role::Viewer, None).unwrap();
    // SETTINGS: a window of nothing, so that no byte of an answer may be sent.
    let mut sent = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\x06\x04\0\0\0\0\0\0\x04\0\0\0\0".to_vec();
    let mut block = b"\x82\x86\x04\x06/large\x01\x09localhost\0\x0dauthorization".to_vec();
    let value = format!("Bearer {secret}");
    block.push(value.len() as u8);
    block.extend_from_slice(value.as_bytes());
    sent.extend([0, 0, block.len() as u8, 1, 5, 0, 0, 0, 1]);
    sent.extend(block);
    let mut stream = daemon.connect();
    stream.write_all(&sent).unwrap();
    let mut pings = stream.try_clone().unwrap();
    let (end, ended) = std::sync::mpsc::channel::<()>();
    let pinging = std::thread::spawn(move || {
        while ended.recv_timeout(Duration::from_millis(50)).is_err() {
            if pings.write_all(b"\0\0\x08\x06\0\0\0\0\0aliveyes").is_err() {
                return;
            }
        }
    });
    let began = Instant::now();
    let mut answer = Vec::new();
    let read = stream.read_to_end(&mut answer);
    // The daemon's own pings, which nobody answers here, end it after 50 s.
    assert!(began.elapsed() < Duration::from_secs(40));
    assert!(
        read.is_ok()
            || read.is_err_and(|error| error.kind() == std::io::ErrorKind::ConnectionReset),
        "it was not let go"
    );
    drop(end);
    pinging.join().unwrap();
    // HEADERS of an answer that was begun: it was not refused.
    let status_200 = answer
        .windows(10)
        .any(|frame| frame[3] == 1 && frame[8] == 1 && frame[9] == 0x88);
    assert!(status_200, "{answer:?}");
}

#[test]
fn strangers_shut_nobody_out_who_has_a_token_or_the_socket() {
    let hour = Duration::from_secs(3600);
    let daemon = Daemon::start_limited(Limits {
        connections: 12,
        known: 8,
        viewers: 6,
        known_of_one: 4,
        strangers: 4,
        strangers_of_one: 2,
        head: hour,
        idle: hour,
        ..Limits::default()
    });
    let secret = daemon.tokens().add("one", Role::Viewer, None).unwrap();
    let head = format!("Authorization: Bearer {secret}\r\n");
    let mut strangers = Vec::new();
    for _ in 0..50 {
        let mut stream = daemon.connect();
        stream.write_all(HTTP_2).unwrap();
        strangers.push(stream);
        assert_eq!(daemon.get("/look", &head).status, 200);
    }
    // Nor does one who is let in, with all the room that one may have.
    let mut known: Vec<_> = (0..4).map(|_| keep(&daemon, &head).0).collect();
    let (_, status) = keep(&daemon, &head);
    assert_eq!(status, "429");
    let other = daemon.tokens().add("other", Role::Viewer, None).unwrap();
    let other = format!("Authorization: Bearer {other}\r\n");
    assert_eq!(daemon.get("/look", &other).status, 200);
    // Those whose token does not hold any more are strangers again: all but two of them have to go.
    daemon.tokens().revoke("one").unwrap();
    for stream in &mut known {
        assert_eq!(again(&daemon, stream, &head), "401");
    }
    for _ in 0..4 {
        let (stream, status) = keep(&daemon, &other);
        assert_eq!(status, "200");
        strangers.push(stream);
    }
    let answer =
        daemon.raw_unix(b"GET /look HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    assert_eq!(answer.status, 200);
}

/// Asks over a connection that stays, and what the status is.
fn keep(daemon: &Daemon, head: &str) -> (TcpStream, String) {
    let mut stream = daemon.connect();
    let status = again(daemon, &mut stream, head);
    (stream, status)
}

fn again(daemon: &Daemon, stream: &mut TcpStream, head: &str) -> String {
    let host = daemon.address();
    let request = format!("GET /look HTTP/1.1\r\nHost: {host}\r\n{head}\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = Vec::new();
    let mut byte = [0];
    while !answer.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).unwrap();
        answer.push(byte[0]);
    }
    let answer = String::from_utf8(answer).unwrap();
    let length = answer.to_lowercase();
    let (_, length) = length.split_once("content-length: ").unwrap();
    let length = length.split("\r\n").next().unwrap().parse().unwrap();
    stream.read_exact(&mut vec![0; length]).unwrap();
    answer["HTTP/1.1 ".len()..][..3].to_owned()
}

#[test]
fn one_who_closes_half_is_answered() {
    let daemon = Daemon::start();
    let mut stream = daemon.connect();
    let request = b"GET /look HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    stream.write_all(request).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    assert!(text.starts_with("HTTP/1.1 401"), "{text}");
}

#[test]
fn a_head_without_end_is_refused() {
    let daemon = Daemon::start();
    let mut stream = daemon.connect();
    // It may be cut off while it is being sent.
    let _ = stream.write_all(b"GET /look HTTP/1.1\r\nX: ");
    for _ in 0..64 {
        let _ = stream.write_all(&[b'a'; 16 << 10]);
    }
    is_closed(&mut stream);
    assert_eq!(daemon.get("/look", "").status, 401);
}

#[test]
fn after_ten_thousand_bad_requests_it_answers_and_holds_no_more_memory() {
    let daemon = Daemon::start_limited(short());
    let secret = daemon.tokens().add("program", Role::Viewer, None).unwrap();
    let good = format!("Authorization: Bearer {secret}\r\n");
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    let mut bad = |number: usize| -> Vec<u8> {
        match number % 7 {
            0 => (0..64)
                .map(|_| {
                    random ^= random << 13;
                    random ^= random >> 7;
                    random ^= random << 17;
                    random.to_le_bytes()[0]
                })
                .collect(),
            1 => b"GET\r\n\r\n".to_vec(),
            2 => b"GET /look HTTP/9.9\r\n\r\n".to_vec(),
            3 => b"POST /api/v1/session HTTP/1.1\r\nContent-Length: -1\r\n\r\n{".to_vec(),
            4 => b"POST /api/v1/session HTTP/1.1\r\nContent-Type: application/json\r\n\
                   Content-Length: 8\r\n\r\n{\"token\""
                .to_vec(),
            5 => b"GET /\xff\xfe HTTP/1.1\r\nHost: \xff\r\n\r\n".to_vec(),
            _ => b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\xff\xff\xff\xff\xff\xff\xff\xff\xff".to_vec(),
        }
    };
    let mut send = |many: usize| {
        for number in 0..many {
            let mut stream = daemon.connect();
            let _ = stream.write_all(&bad(number));
            let _ = stream.shutdown(Shutdown::Write);
            is_closed(&mut stream);
        }
    };
    send(1_000);
    let before = resident();
    send(9_000);
    let grown = resident().saturating_sub(before);
    assert!(grown < 16 << 10, "{grown} KiB more");
    assert_eq!(daemon.get("/look", &good).status, 200);
}

/// KiB of memory of this process, the daemon in it.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let number = line.and_then(|line| line.split_whitespace().nth(1));
    number.unwrap().parse().unwrap()
}

#[test]
fn it_ends_while_clients_are_connected() {
    let mut daemon = Daemon::start();
    let mut idle = daemon.connect();
    let mut half = daemon.connect();
    half.write_all(b"GET /look HTTP/1.1\r\n").unwrap();
    let began = Instant::now();
    daemon.end();
    // Four seconds are the limit; a slow machine takes a while to say so.
    assert!(began.elapsed() < Duration::from_secs(20));
    assert!(TcpStream::connect(daemon.address()).is_err());
    drop(daemon);
    is_closed(&mut idle);
    is_closed(&mut half);
}
