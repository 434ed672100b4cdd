//! Sessions of browsers. They outlast the daemon: who restarts it, or lets it be updated, stays
//! signed in.
//!
//! The file is a copy of what is in memory, with hashes of the secrets only. Where it cannot be
//! written, as on a full disk, it is taken away, and the sessions end with the daemon.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use engine::Failure;
use serde::{Deserialize, Serialize};

use super::tokens::{Keep, Token, Tokens, hash, random, replace, seconds};

/// How long one lasts without being used, and at most, in seconds.
const IDLE: u64 = 12 * 3600;
const LONGEST: u64 = 30 * 24 * 3600;
/// How often the file is told that one is used, in seconds: a flash disk is not written at every request.
const NOTED: u64 = 600;
/// By how much the clock may have been set back while the daemon was away, in seconds.
const BACK: u64 = 300;
/// How many there may be, of one token and of all; the one that was not used for longest makes room, one's own
/// first: nobody signs others out by signing in.
const MOST_OF_ONE: usize = 20;
const MOST: usize = 1000;

/// All sessions, by hashes of their secrets.
pub struct Sessions {
    path: PathBuf,
    clock: Clock,
    all: Mutex<HashMap<String, Session>>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Session {
    token: Token,
    /// By [`Clock`].
    began: u64,
    used: u64,
    /// Until when the file knows of its use.
    #[serde(skip)]
    noted: u64,
    /// Which use of all sessions was the last one of this; 0 before the first.
    #[serde(skip)]
    turn: u64,
}

/// Seconds since the epoch that do not jump while the daemon runs, as when a router without a battery
/// is told the time.
struct Clock {
    began: u64,
    since: Instant,
}

impl Clock {
    fn now(&self) -> u64 {
        self.began + self.since.elapsed().as_secs()
    }
}

impl Sessions {
    /// Those of a state folder; none where its file cannot be used.
    pub fn open(folder: &Path) -> Self {
        Self::opened(folder, seconds())
    }

    fn opened(folder: &Path, now: u64) -> Self {
        let path = folder.join("sessions.json");
        let read = fs::read(&path).and_then(|text| Ok(serde_json::from_slice(&text)?));
        let mut all: HashMap<String, Session> = read.unwrap_or_else(|error: io::Error| {
            if error.kind() != io::ErrorKind::NotFound {
                tracing::warn!(
                    "everybody has to sign in again: {}: {error}",
                    path.display()
                );
            }
            HashMap::new()
        });
        // One of the future would last too long.
        all.retain(|_, session| session.is_alive(now) && session.used <= now + BACK);
        for session in all.values_mut() {
            session.noted = session.used;
        }
        Self {
            path,
            clock: Clock {
                began: now,
                since: Instant::now(),
            },
            all: Mutex::new(all),
        }
    }

    /// Begins one for the owner of a token and gives its secret.
    pub fn begin(&self, token: Token) -> Result<String, Failure> {
        let secret = random()?;
        let now = self.clock.now();
        let mut sessions = self.lock();
        sessions.retain(|_, session| session.is_alive(now));
        let own = sessions.values().filter(|session| session.token == token);
        let is_of_one = own.count() >= MOST_OF_ONE;
        if is_of_one || sessions.len() >= MOST {
            let oldest = sessions
                .iter()
                .filter(|(_, session)| !is_of_one || session.token == token)
                .min_by_key(|(_, session)| (session.turn, session.used));
            if let Some(oldest) = oldest.map(|(secret, _)| secret.clone()) {
                sessions.remove(&oldest);
            }
        }
        let session = Session {
            token,
            began: now,
            used: now,
            noted: now,
            turn: next_turn(&sessions),
        };
        sessions.insert(hash(&secret), session);
        self.keep(&sessions, Keep::Surely);
        Ok(secret)
    }

    /// Whose session it is, while it and the token hold.
    pub fn find(&self, secret: &str, tokens: &Tokens) -> Result<Option<Token>, Failure> {
        let hash = hash(secret);
        let now = self.clock.now();
        let mut sessions = self.lock();
        let turn = next_turn(&sessions);
        let Some(session) = sessions.get_mut(&hash) else {
            return Ok(None);
        };
        if !session.is_alive(now) || !tokens.holds(&session.token)? {
            sessions.remove(&hash);
            self.keep(&sessions, Keep::Soon);
            return Ok(None);
        }
        (session.used, session.turn) = (now, turn);
        let token = session.token.clone();
        if now.saturating_sub(session.noted) >= NOTED {
            session.noted = now;
            // Whoever asks does not wait for the disk; if the note is lost, nothing is.
            self.keep(&sessions, Keep::Soon);
        }
        Ok(Some(token))
    }

    /// Ends one.
    pub fn end(&self, secret: &str) {
        let mut sessions = self.lock();
        if sessions.remove(&hash(secret)).is_some() {
            self.keep(&sessions, Keep::Surely);
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Session>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn keep(&self, sessions: &HashMap<String, Session>, how: Keep) {
        let path = self.path.display();
        let written = serde_json::to_string(sessions)
            .map_err(io::Error::from)
            .and_then(|text| replace(&self.path, &text, how));
        let Err(error) = written else { return };
        // An older copy would sign in again who has signed out.
        match fs::remove_file(&self.path) {
            Ok(()) => tracing::warn!("sessions of browsers end with the daemon: {path}: {error}"),
            Err(gone) if gone.kind() == io::ErrorKind::NotFound => {}
            Err(stays) => tracing::error!(
                "who signs out now may be signed in again after a restart: {path} can neither be \
                 written ({error}) nor taken away ({stays})"
            ),
        }
    }
}

fn next_turn(sessions: &HashMap<String, Session>) -> u64 {
    let last = sessions.values().map(|session| session.turn).max();
    last.unwrap_or(0) + 1
}

impl Session {
    fn is_alive(&self, now: u64) -> bool {
        now.saturating_sub(self.used) < IDLE && now.saturating_sub(self.began) < LONGEST
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::who::Role;

    /// A state folder with one token.
    fn with_a_token() -> (tempfile::TempDir, Tokens, Token) {
        let folder = tempfile::tempdir().unwrap();
        let tokens = Tokens::open(folder.path()).unwrap();
        tokens.add("one", Role::Viewer, None).unwrap();
        let token = tokens.list().unwrap().remove(0);
        (folder, tokens, token)
    }

    #[test]
    fn who_signs_in_often_signs_out_nobody_else() {
        let folder = tempfile::tempdir().unwrap();
        let tokens = Tokens::open(folder.path()).unwrap();
        let sessions = Sessions::open(folder.path());
        let begin = |name: &str| {
            let token = tokens.list().unwrap();
            let token = token.into_iter().find(|token| token.name == name);
            sessions.begin(token.unwrap()).unwrap()
        };
        for name in ["one", "many"] {
            tokens.add(name, Role::Viewer, None).unwrap();
        }
        let holds = |secret: &str| sessions.find(secret, &tokens).unwrap().is_some();
        let (one, first) = (begin("one"), begin("many"));
        let mut last = String::new();
        for _ in 0..2 * MOST_OF_ONE {
            last = begin("many");
        }
        assert!(holds(&one) && holds(&last) && !holds(&first));
        assert_eq!(sessions.all.lock().unwrap().len(), 1 + MOST_OF_ONE);
    }

    #[test]
    fn sessions_outlast_the_daemon_but_not_their_token_or_their_end() {
        let folder = tempfile::tempdir().unwrap();
        let tokens = Tokens::open(folder.path()).unwrap();
        let token = |name: &str| {
            tokens.add(name, Role::Viewer, None).unwrap();
            let mut all = tokens.list().unwrap().into_iter();
            all.find(|token| token.name == name).unwrap()
        };
        let (stays, goes) = (token("stays"), token("goes"));
        let before = Sessions::open(folder.path());
        let begin = |of: &Token| before.begin(of.clone()).unwrap();
        let (held, ended, revoked) = (begin(&stays), begin(&stays), begin(&goes));
        before.end(&ended);
        drop(before);
        tokens.revoke("goes").unwrap();

        let after = Sessions::open(folder.path());
        assert_eq!(after.find(&held, &tokens).unwrap(), Some(stays));
        assert_eq!(after.find(&ended, &tokens).unwrap(), None);
        assert_eq!(after.find(&revoked, &tokens).unwrap(), None);
        let text = fs::read_to_string(folder.path().join("sessions.json")).unwrap();
        assert!(text.contains(&hash(&held)) && !text.contains(&held));
    }

    #[test]
    fn what_cannot_be_kept_signs_nobody_in_after_a_restart() {
        let (folder, tokens, token) = with_a_token();
        let sessions = Sessions::open(folder.path());
        let secret = sessions.begin(token).unwrap();
        // The copy cannot be written any more: its new file's name is taken.
        fs::create_dir(folder.path().join("sessions.new")).unwrap();
        sessions.end(&secret);
        let after = Sessions::open(folder.path());
        assert_eq!(after.find(&secret, &tokens).unwrap(), None);
    }

    #[test]
    fn the_one_used_last_stays() {
        let (folder, tokens, token) = with_a_token();
        let sessions = Sessions::open(folder.path());
        let first = sessions.begin(token.clone()).unwrap();
        let second = sessions.begin(token.clone()).unwrap();
        for _ in 2..=MOST_OF_ONE {
            assert!(sessions.find(&first, &tokens).unwrap().is_some());
            sessions.begin(token.clone()).unwrap();
        }
        assert!(sessions.find(&first, &tokens).unwrap().is_some());
        assert!(sessions.find(&second, &tokens).unwrap().is_none());
    }

    #[test]
    fn after_a_restart_time_counts_in_both_directions() {
        let (folder, tokens, token) = with_a_token();
        let now = seconds();
        let secret = Sessions::opened(folder.path(), now).begin(token).unwrap();
        let holds = |at: u64| {
            let sessions = Sessions::opened(folder.path(), at);
            sessions.find(&secret, &tokens).unwrap().is_some()
        };
        assert!(holds(now - 60) && !holds(now - 2 * BACK) && !holds(now + IDLE));
        assert!(holds(now + IDLE - 60));
    }
}
