//! Tokens: who may ask, as a file of hashes.
//!
//! A token is 256 random bits, so a fast hash of it tells nothing about it; passwords, which people
//! choose, would need a slow one.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, fchown};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use engine::Failure;
use ring::digest;
use ring::rand::{SecureRandom, SystemRandom};
use rustix::fs::OFlags;
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq;

use crate::who::Role;

/// How long a sign-in link can be used.
pub const LINK: Duration = Duration::from_secs(15 * 60);

/// What every token begins with, so that people and scanners know one when they see it.
const PREFIX: &str = "tl_";

/// A token, of which only the hash is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Token {
    /// What it is called; no other token is.
    pub name: String,
    /// What it allows.
    pub role: Role,
    /// SHA-256 of the token, hexadecimal.
    hash: String,
    /// When it was made, in seconds since the epoch.
    pub created: u64,
    /// Until when it holds, in seconds since the epoch; `None` for ever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<u64>,
}

/// A link by which a browser signs in once as the owner of a token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Link {
    token: String,
    hash: String,
    expires: u64,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Content {
    tokens: Vec<Token>,
    links: Vec<Link>,
}

/// The file of tokens. What another process changes in it holds at once.
pub struct Tokens {
    path: PathBuf,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    /// Inode, size and time of change of the file that was read.
    version: Option<(u64, u64, i64, i64)>,
    content: Arc<Content>,
}

impl Tokens {
    /// The tokens of a state folder, which must exist.
    pub fn open(folder: &Path) -> Result<Self, Failure> {
        let tokens = Self {
            path: folder.join("tokens.json"),
            known: Mutex::default(),
        };
        tokens.content()?;
        Ok(tokens)
    }

    /// All of them.
    pub fn list(&self) -> Result<Vec<Token>, Failure> {
        Ok(self.content()?.tokens.clone())
    }

    /// Makes a token and gives it: it is kept nowhere else.
    pub fn add(&self, name: &str, role: Role, lasts: Option<Duration>) -> Result<String, Failure> {
        let is_good = |c: char| c.is_ascii_alphanumeric() || "-_.@".contains(c);
        if name.is_empty() || name.len() > 64 || !name.chars().all(is_good) {
            return Err(Failure::new(
                "usage",
                format!("'{name}' cannot be the name of a token"),
                "use 1 to 64 letters, digits, and - _ . @",
            ));
        }
        let secret = format!("{PREFIX}{}", random()?);
        let token = Token {
            name: name.to_owned(),
            role,
            hash: hash(&secret),
            created: seconds(),
            expires: lasts.map(|lasts| seconds().saturating_add(lasts.as_secs())),
        };
        self.change(|content| {
            if content.tokens.iter().any(|known| known.name == name) {
                return Err(Failure::new(
                    "exists",
                    format!("there is a token named {name}"),
                    "choose another name, or revoke it first",
                ));
            }
            content.tokens.push(token);
            Ok(())
        })?;
        Ok(secret)
    }

    /// A code that signs a browser in once as the owner of a token.
    pub fn link(&self, name: &str) -> Result<String, Failure> {
        let code = random()?;
        let link = Link {
            token: name.to_owned(),
            hash: hash(&code),
            expires: seconds() + LINK.as_secs(),
        };
        self.change(|content| {
            if !content.tokens.iter().any(|token| token.name == name) {
                return Err(unknown(name));
            }
            content.links.retain(|link| link.expires > seconds());
            content.links.push(link);
            Ok(())
        })?;
        Ok(code)
    }

    /// The token of whoever set the daemon up: the first that may change, or else the first, of those
    /// that hold.
    pub fn first(&self) -> Result<Option<String>, Failure> {
        let content = self.content()?;
        let holding = || {
            content
                .tokens
                .iter()
                .filter(|token| !is_over(token.expires))
        };
        let operator = holding().find(|token| token.role == Role::Operator);
        let first = operator.or_else(|| holding().next());
        Ok(first.map(|token| token.name.clone()))
    }

    /// Takes a token away; its sessions end with it.
    pub fn revoke(&self, name: &str) -> Result<(), Failure> {
        self.change(|content| {
            let many = content.tokens.len();
            content.tokens.retain(|token| token.name != name);
            content.links.retain(|link| link.token != name);
            if content.tokens.len() == many {
                return Err(unknown(name));
            }
            Ok(())
        })
    }

    /// Whose token it is. All are compared, each in constant time.
    pub fn find(&self, secret: &str) -> Result<Option<Token>, Failure> {
        let hash = hash(secret);
        let content = self.content()?;
        let mut found = None;
        for token in &content.tokens {
            if is_same(&token.hash, &hash) && !is_over(token.expires) {
                found = Some(token.clone());
            }
        }
        Ok(found)
    }

    /// Whose link it is; it cannot be used again.
    pub fn use_link(&self, code: &str) -> Result<Option<Token>, Failure> {
        let hash = hash(code);
        let is_it = |link: &Link| is_same(&link.hash, &hash) && link.expires > seconds();
        if !self.content()?.links.iter().any(is_it) {
            return Ok(None);
        }
        let mut found = None;
        self.change(|content| {
            let link = content.links.iter().position(is_it);
            let link = link.map(|place| content.links.remove(place));
            let token = link.and_then(|link| {
                let mut tokens = content.tokens.iter();
                tokens.find(|token| token.name == link.token)
            });
            found = token.filter(|token| !is_over(token.expires)).cloned();
            Ok(())
        })?;
        Ok(found)
    }

    /// Whether a token still holds.
    pub fn holds(&self, token: &Token) -> Result<bool, Failure> {
        let content = self.content()?;
        Ok(!is_over(token.expires) && content.tokens.contains(token))
    }

    /// What is in the file now.
    fn content(&self) -> Result<Arc<Content>, Failure> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let version = match fs::metadata(&self.path) {
            Ok(data) => Some((data.ino(), data.size(), data.mtime(), data.mtime_nsec())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(self.failed(&error)),
        };
        if known.version != version || version.is_none() {
            known.content = Arc::new(match version {
                Some(_) => self.read()?,
                None => Content::default(),
            });
            known.version = version;
        }
        Ok(Arc::clone(&known.content))
    }

    /// Where its file is.
    pub(super) fn folder(&self) -> &Path {
        self.path.parent().unwrap_or(Path::new("."))
    }

    fn read(&self) -> Result<Content, Failure> {
        let mut text = String::new();
        File::open(&self.path)
            .and_then(|mut file| file.read_to_string(&mut text))
            .map_err(|error| self.failed(&error))?;
        serde_json::from_str(&text).map_err(|error| self.failed(&error))
    }

    /// Changes the file: one at a time, whole or not at all.
    fn change(
        &self,
        change: impl FnOnce(&mut Content) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let failed = |error: io::Error| self.failed(&error);
        let owner = fs::metadata(self.folder()).map_err(failed)?;
        // The lock is on a file of its own: this one is replaced.
        let lock = self.path.with_extension("lock");
        let lock = private(&lock, &owner, false).map_err(failed)?;
        lock.lock().map_err(failed)?;
        let mut content = match self.path.exists() {
            true => self.read()?,
            false => Content::default(),
        };
        change(&mut content)?;
        let text = serde_json::to_string_pretty(&content).map_err(|error| self.failed(&error))?;
        replace(&self.path, &text, Keep::Surely).map_err(failed)
    }

    fn failed(&self, error: &dyn std::fmt::Display) -> Failure {
        Failure::new(
            "state-unusable",
            format!("cannot use {}: {error}", self.path.display()),
            "see who owns the folder and whether the disk is full; a damaged file can be moved away, \
             and tokens made anew",
        )
    }
}

/// Whether to wait until something is on the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Keep {
    /// It is there when the call returns.
    Surely,
    /// It is there when the kernel has written it.
    Soon,
}

/// Writes a private file anew: whole or not at all.
pub(super) fn replace(path: &Path, text: &str, how: Keep) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let owner = fs::metadata(folder)?;
    let new = path.with_extension("new");
    let _ = fs::remove_file(&new);
    let mut file = private(&new, &owner, true)?;
    file.write_all(text.as_bytes())?;
    if how == Keep::Soon {
        return fs::rename(&new, path);
    }
    file.sync_all()?;
    fs::rename(&new, path)?;
    // Else the file of before could be there again after a power cut.
    File::open(folder)?.sync_all()
}

/// Opens a file to be written that is, like its folder, one user's only: root, who makes a token
/// for the daemon, leaves it a file that it can read.
///
/// The folder's owner, who need not be trusted by root, may have put anything there: neither links
/// nor files with another name somewhere else are touched.
fn private(path: &Path, owner: &fs::Metadata, is_new: bool) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).create_new(is_new);
    options
        .mode(0o600)
        .custom_flags(OFlags::NOFOLLOW.bits().cast_signed());
    let file = options.open(path)?;
    let data = file.metadata()?;
    if !data.is_file() || data.nlink() != 1 {
        return Err(io::Error::other(format!(
            "{} is not the daemon's",
            path.display()
        )));
    }
    if (data.uid(), data.gid()) != (owner.uid(), owner.gid())
        && rustix::process::geteuid().is_root()
    {
        fchown(&file, Some(owner.uid()), Some(owner.gid()))?;
    }
    Ok(file)
}

fn unknown(name: &str) -> Failure {
    Failure::new(
        "not-found",
        format!("there is no token named {name}"),
        "see which there are: tracklight token list",
    )
}

/// 256 random bits, hexadecimal.
pub(crate) fn random() -> Result<String, Failure> {
    let mut bytes = [0; 32];
    SystemRandom::new().fill(&mut bytes).map_err(|_| {
        Failure::new(
            "kernel-error",
            "the kernel gave no random numbers",
            "see the kernel's log (dmesg) for more",
        )
    })?;
    Ok(hexadecimal(&bytes))
}

/// SHA-256, hexadecimal.
pub(super) fn hash(secret: &str) -> String {
    hexadecimal(digest::digest(&digest::SHA256, secret.as_bytes()).as_ref())
}

fn hexadecimal(bytes: &[u8]) -> String {
    use std::fmt::Write;
    let mut text = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        // Writing to a string does not fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

fn is_same(one: &str, other: &str) -> bool {
    one.as_bytes().ct_eq(other.as_bytes()).into()
}

fn is_over(expires: Option<u64>) -> bool {
    expires.is_some_and(|expires| expires <= seconds())
}

/// Since the epoch.
pub(super) fn seconds() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.map_or(0, |now| now.as_secs())
}
