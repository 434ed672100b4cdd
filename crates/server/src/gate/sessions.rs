//! Sessions of browsers, in memory: they end with the daemon.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use engine::Failure;

use super::tokens::{Token, Tokens, hash, random};

/// How long one lasts without being used, and at most.
const IDLE: Duration = Duration::from_secs(12 * 3600);
const LONGEST: Duration = Duration::from_secs(30 * 24 * 3600);
/// How many there may be, of one token and of all; the one that was not used for longest makes room, one's own
/// first: nobody signs others out by signing in.
const MOST_OF_ONE: usize = 20;
const MOST: usize = 1000;

/// All sessions, by hashes of their secrets.
#[derive(Default)]
pub struct Sessions(Mutex<HashMap<String, Session>>);

struct Session {
    token: Token,
    began: Instant,
    used: Instant,
}

impl Sessions {
    /// Begins one for the owner of a token and gives its secret.
    pub fn begin(&self, token: Token) -> Result<String, Failure> {
        let secret = random()?;
        let now = Instant::now();
        let mut sessions = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        sessions.retain(|_, session| session.is_alive(now));
        let own = sessions.values().filter(|session| session.token == token);
        let is_of_one = own.count() >= MOST_OF_ONE;
        if is_of_one || sessions.len() >= MOST {
            let oldest = sessions
                .iter()
                .filter(|(_, session)| !is_of_one || session.token == token)
                .min_by_key(|(_, session)| session.used);
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
        Ok(secret)
    }

    /// Whose session it is, while it and the token hold.
    pub fn find(&self, secret: &str, tokens: &Tokens) -> Result<Option<Token>, Failure> {
        let hash = hash(secret);
        let now = Instant::now();
        let mut sessions = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(session) = sessions.get_mut(&hash) else {
            return Ok(None);
        };
        if !session.is_alive(now) || !tokens.holds(&session.token)? {
            sessions.remove(&hash);
            return Ok(None);
        }
        session.used = now;
        Ok(Some(session.token.clone()))
    }

    /// Ends one.
    pub fn end(&self, secret: &str) {
        let mut sessions = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        sessions.remove(&hash(secret));
    }
}

impl Session {
    fn is_alive(&self, now: Instant) -> bool {
        now.duration_since(self.used) < IDLE && now.duration_since(self.began) < LONGEST
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
        let sessions = Sessions::default();
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
        for _ in 0..1_500 {
            last = begin("many");
        }
        assert!(holds(&one) && holds(&last) && !holds(&first));
        assert_eq!(sessions.0.lock().unwrap().len(), 1 + MOST_OF_ONE);
    }
}
