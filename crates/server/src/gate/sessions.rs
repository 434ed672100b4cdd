//! Sessions of browsers. They outlast the daemon: who restarts it, or lets it be updated, stays
//! signed in.
//!
//! The file is a copy of what is in memory, with hashes of the secrets only. Where it cannot be
//! written, as on a full disk, it is taken away, and the sessions end with the daemon.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use engine::Failure;
use serde::{Deserialize, Serialize};

use super::tokens::{Token, Tokens, hash, random, replace, seconds};

/// How long one lasts without being used, and at most, in seconds.
const IDLE: u64 = 12 * 3600;
const LONGEST: u64 = 30 * 24 * 3600;
/// How often it is noted that one is used, in seconds: a flash disk is not written at every request.
const NOTED: u64 = 600;
/// How many there may be, of one token and of all; the one that was not used for longest makes room, one's own
/// first: nobody signs others out by signing in.
const MOST_OF_ONE: usize = 20;
const MOST: usize = 1000;

/// All sessions, by hashes of their secrets.
pub struct Sessions {
    path: PathBuf,
    all: Mutex<HashMap<String, Session>>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Session {
    token: Token,
    /// In seconds since the epoch.
    began: u64,
    used: u64,
}

impl Sessions {
    /// Those of a state folder; none where its file cannot be used.
    pub fn open(folder: &Path) -> Self {
        let path = folder.join("sessions.json");
        let read = fs::read(&path).and_then(|text| Ok(serde_json::from_slice(&text)?));
        let all = read.unwrap_or_else(|error: io::Error| {
            if error.kind() != io::ErrorKind::NotFound {
                tracing::warn!(
                    "everybody has to sign in again: {}: {error}",
                    path.display()
                );
            }
            HashMap::new()
        });
        Self {
            path,
            all: Mutex::new(all),
        }
    }

    /// Begins one for the owner of a token and gives its secret.
    pub fn begin(&self, token: Token) -> Result<String, Failure> {
        let secret = random()?;
        let now = seconds();
        let mut sessions = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        sessions.retain(|_, session| session.is_alive(now));
        let own = sessions.values().filter(|session| session.token == token);
        let is_of_one = own.count() >= MOST_OF_ONE;
        if is_of_one || sessions.len() >= MOST {
            let oldest = sessions
                .iter()
                .filter(|(_, session)| !is_of_one || session.token == token)
                .min_by_key(|(_, session)| (session.used, session.began));
            if let Some(oldest) = oldest.map(|(secret, _)| secret.clone()) {
                sessions.remove(&oldest);
            }
        }
        sessions.insert(
            hash(&secret),
            Session {
                token,
                began: now,
                used: now,
            },
        );
        self.keep(&sessions);
        Ok(secret)
    }

    /// Whose session it is, while it and the token hold.
    pub fn find(&self, secret: &str, tokens: &Tokens) -> Result<Option<Token>, Failure> {
        let hash = hash(secret);
        let now = seconds();
        let mut sessions = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(session) = sessions.get_mut(&hash) else {
            return Ok(None);
        };
        if !session.is_alive(now) || !tokens.holds(&session.token)? {
            sessions.remove(&hash);
            self.keep(&sessions);
            return Ok(None);
        }
        let token = session.token.clone();
        if now.saturating_sub(session.used) >= NOTED {
            session.used = now;
            self.keep(&sessions);
        }
        Ok(Some(token))
    }

    /// Ends one.
    pub fn end(&self, secret: &str) {
        let mut sessions = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        if sessions.remove(&hash(secret)).is_some() {
            self.keep(&sessions);
        }
    }

    fn keep(&self, sessions: &HashMap<String, Session>) {
        let written = serde_json::to_string(sessions)
            .map_err(io::Error::from)
            .and_then(|text| replace(&self.path, &text));
        // An older copy would sign in again who has signed out.
        if let Err(error) = written
            && fs::remove_file(&self.path).is_ok()
        {
            tracing::warn!(
                "sessions of browsers end with the daemon: {}: {error}",
                self.path.display()
            );
        }
    }
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
        let folder = tempfile::tempdir().unwrap();
        let tokens = Tokens::open(folder.path()).unwrap();
        tokens.add("one", Role::Viewer, None).unwrap();
        let sessions = Sessions::open(folder.path());
        let secret = sessions.begin(tokens.list().unwrap().remove(0)).unwrap();
        // The copy cannot be written any more: its new file's name is taken.
        fs::create_dir(folder.path().join("sessions.new")).unwrap();
        sessions.end(&secret);
        let after = Sessions::open(folder.path());
        assert_eq!(after.find(&secret, &tokens).unwrap(), None);
    }
}
