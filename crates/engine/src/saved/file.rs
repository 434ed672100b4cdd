//! Files that are there whole or not at all.

use std::fs::{self, File};
use std::io::{self, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use super::{shown, unreadable};
use crate::failure::Failure;

/// Opens a file to be read.
pub(super) fn open(path: &Path) -> Result<File, Failure> {
    let opened = File::open(path).and_then(|file| match file.metadata()?.is_dir() {
        true => Err(io::ErrorKind::IsADirectory.into()),
        false => Ok(file),
    });
    opened.map_err(|error| unreadable(&shown(path), &error))
}

/// Where a saved table goes: a file that takes its name when it is whole, or a stream.
///
/// Dropped before [`save`](super::save) is done, a file leaves nothing behind, and what had its name
/// before stays as it was.
pub struct Target {
    name: String,
    place: Place,
}

enum Place {
    /// Beside its name, readable by its owner alone: a table tells who speaks with whom.
    File {
        beside: NamedTempFile,
        path: PathBuf,
        replace: bool,
    },
    Stream(Box<dyn Write>),
}

impl Target {
    /// Standard output for `-`; a pipe or a device as it is; else a file, which must not be there
    /// unless it may be replaced.
    pub fn open(path: &Path, replace: bool) -> Result<Self, Failure> {
        if path.as_os_str() == "-" {
            return Ok(Self {
                name: "standard output".to_owned(),
                place: Place::Stream(Box::new(io::stdout())),
            });
        }
        let name = shown(path);
        let failed = |error: io::Error| unwritable(&name, &error);
        let place = match fs::metadata(path) {
            Ok(there) if there.is_dir() => {
                return Err(failed(io::ErrorKind::IsADirectory.into()));
            }
            Ok(there) if !there.is_file() => {
                let stream = File::options().write(true).open(path).map_err(failed)?;
                Place::Stream(Box::new(stream))
            }
            Ok(_) if !replace => return Err(exists(&name)),
            // What a link points to is replaced, not the link.
            Ok(_) => beside(fs::canonicalize(path).map_err(failed)?, replace).map_err(failed)?,
            Err(_) => beside(path.to_owned(), replace).map_err(failed)?,
        };
        Ok(Self { name, place })
    }

    /// What it is called in messages.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Begins anew, if what has been written can be taken back.
    pub(super) fn begin_anew(&mut self) -> io::Result<bool> {
        match &mut self.place {
            Place::Stream(_) => Ok(false),
            Place::File { beside, .. } => {
                let file = beside.as_file_mut();
                file.set_len(0)?;
                file.seek(SeekFrom::Start(0)).map(|_| true)
            }
        }
    }

    /// Gives the file its name, once it is safely on the disk.
    pub(super) fn commit(self) -> Result<(), Failure> {
        let failed = |error: io::Error| unwritable(&self.name, &error);
        match self.place {
            Place::Stream(mut stream) => stream.flush().map_err(failed),
            Place::File {
                beside,
                path,
                replace,
            } => {
                beside.as_file().sync_all().map_err(failed)?;
                let named = match replace {
                    true => beside.persist(&path),
                    false => beside.persist_noclobber(&path),
                };
                named.map_err(|error| match error.error.kind() {
                    io::ErrorKind::AlreadyExists => exists(&self.name),
                    _ => failed(error.error),
                })?;
                // The name too is to survive a crash; where folders cannot be synced it does so
                // by itself, or there is nothing that could be done.
                let _ = File::open(folder(&path)).and_then(|folder| folder.sync_all());
                Ok(())
            }
        }
    }
}

impl Write for Target {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.place {
            Place::Stream(stream) => stream.write(bytes),
            Place::File { beside, .. } => beside.as_file_mut().write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut self.place {
            Place::Stream(stream) => stream.flush(),
            Place::File { beside, .. } => beside.as_file_mut().flush(),
        }
    }
}

fn beside(path: PathBuf, replace: bool) -> io::Result<Place> {
    let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
    let mut prefix = std::ffi::OsString::from(".");
    prefix.push(name);
    prefix.push(".");
    let beside = tempfile::Builder::new()
        .prefix(&prefix)
        .suffix(".tmp")
        .tempfile_in(folder(&path))?;
    Ok(Place::File {
        beside,
        path,
        replace,
    })
}

fn folder(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

fn exists(name: &str) -> Failure {
    Failure::new(
        "file-exists",
        format!("{name} is there already"),
        "give another name, or --force to replace it",
    )
}

/// Writing failed.
pub(super) fn unwritable(name: &str, error: &io::Error) -> Failure {
    if error.kind() == io::ErrorKind::BrokenPipe {
        return Failure::new("output-closed", format!("{name} was closed"), "");
    }
    Failure::new(
        "output-failed",
        format!("cannot write {name}: {error}"),
        "check that its folder is there, that you may write to it, and the space left",
    )
}
