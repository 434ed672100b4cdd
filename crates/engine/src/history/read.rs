//! The file, as anybody reads it while the daemon writes.

use std::io;
use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use super::aside;
use super::code::decode;
use super::fault::Fault;
use super::origin::Origin;
use super::schema;
use super::span::Span;
use super::step::Step;
use crate::failure::Failure;

/// A reading of the file: all of it as it was at one moment.
pub(super) struct Reader<'a> {
    connection: Connection,
    path: &'a Path,
    /// Rows whose bytes are no span, so far.
    pub(super) unreadable: u64,
}

impl<'a> Reader<'a> {
    /// Opens a file for reading. Nothing is made where there is none.
    pub(super) fn open(path: &'a Path) -> Result<Self, Failure> {
        Self::try_open(path).map_err(|fault| fault.into_failure(path))
    }

    fn try_open(path: &'a Path) -> Result<Self, Fault> {
        match path.metadata() {
            // SQLite takes the log of an empty file away, also from a writer that has it open.
            Ok(file) if file.len() == 0 => return Err(Fault::Other(nothing(path))),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(Fault::Other(nothing(path)));
            }
            Err(error) => return Err(Fault::of_io(&error, "it cannot be read", path)),
        }
        // Told here, for SQLite has one word for whatever cannot be opened. The reader is another
        // process or has a connection of its own, so no lock is lost by closing it.
        if let Err(error) = may_read(path) {
            return Err(Fault::of_io(&error, "it cannot be read", path));
        }
        let connection = connect(path, false)?;
        let failed = |error: rusqlite::Error| Fault::of(&error, path);
        // Without a writer there may be no index of the log, and on a disk that cannot be written to
        // none can be made. If there is no log either, the file is whole as it is.
        let connection = match connection.execute_batch("BEGIN; SELECT * FROM sqlite_schema") {
            Ok(()) => connection,
            Err(_) if !aside::with(path, "-wal").exists() => {
                let connection = connect(path, true)?;
                connection.execute_batch("BEGIN").map_err(failed)?;
                connection
            }
            Err(error) => return Err(failed(error)),
        };
        if schema::version(&connection, path, schema::VERSION)? == 0 {
            return Err(Fault::Other(nothing(path)));
        }
        Ok(Self {
            connection,
            path,
            unreadable: 0,
        })
    }

    /// The rows of a while, the oldest first.
    pub(super) fn rows(
        &mut self,
        step: Step,
        from: u64,
        to: u64,
        mut each: impl FnMut(u64, Span),
    ) -> Result<(), Failure> {
        let sql = format!(
            "SELECT time, data FROM {} WHERE time >= ? AND time < ? ORDER BY time",
            step.table()
        );
        let mut read = || {
            let mut statement = self.connection.prepare(&sql)?;
            let mut rows = statement.query([clamp(from), clamp(to)])?;
            while let Some(row) = rows.next()? {
                match decode(row.get_ref(1)?.as_blob().unwrap_or_default()) {
                    Some(span) => each(row.get(0)?, span),
                    None => self.unreadable += 1,
                }
            }
            Ok(())
        };
        read().map_err(|error| Fault::of(&error, self.path).into_failure(self.path))
    }

    /// The last row before a moment.
    pub(super) fn last(&self, step: Step, before: u64) -> Result<Option<u64>, Failure> {
        let sql = format!("SELECT max(time) FROM {} WHERE time < ?", step.table());
        self.connection
            .query_row(&sql, [clamp(before)], |row| row.get(0))
            .map_err(|error| Fault::of(&error, self.path).into_failure(self.path))
    }

    /// The finest step that has what is known of a while from its begin on, but for a hundredth of it: those
    /// that are finer have been given up there.
    pub(super) fn finest(&self, from: u64, to: u64) -> Result<Step, Failure> {
        let slack = to.saturating_sub(from) / 100;
        let mut finest = Step::Second;
        // Begin and end of the first row of each coarser step.
        let mut coarser: Vec<(u64, u64)> = Vec::with_capacity(Step::ALL.len());
        // From the coarsest, which go back farthest.
        for step in Step::ALL.into_iter().rev() {
            let Some(first) = self.first(step, step.begin(from), to)? else {
                continue;
            };
            let mut is_kept = true;
            for &(begin, end) in &coarser {
                // What the coarser row knows may be of the time before the while, which then begins with a gap.
                let first = self.first(step, step.begin(begin.min(from)), to)?;
                is_kept &= first.is_some_and(|first| first < end + slack);
            }
            if is_kept {
                finest = step;
            }
            coarser.push((first, first + step.seconds()));
        }
        Ok(finest)
    }

    /// The first row of a while.
    fn first(&self, step: Step, from: u64, to: u64) -> Result<Option<u64>, Failure> {
        let sql = format!(
            "SELECT min(time) FROM {} WHERE time >= ? AND time < ?",
            step.table()
        );
        self.connection
            .query_row(&sql, [clamp(from), clamp(to)], |row| row.get(0))
            .map_err(|error| Fault::of(&error, self.path).into_failure(self.path))
    }

    /// Whose table it is.
    pub(super) fn origin(&self) -> Result<Origin, Failure> {
        self.connection
            .query_row("SELECT boot, namespace FROM origin", [], |row| {
                Ok(Origin {
                    boot: row.get(0)?,
                    namespace: row.get::<_, Option<i64>>(1)?.map(i64::cast_unsigned),
                })
            })
            .map_err(|error| Fault::of(&error, self.path).into_failure(self.path))
    }
}

/// Whether this process may read a file, without opening it.
fn may_read(path: &Path) -> io::Result<()> {
    nix::unistd::access(path, nix::unistd::AccessFlags::R_OK).map_err(io::Error::from)
}

fn connect(path: &Path, is_immutable: bool) -> Result<Connection, Fault> {
    let failed = |error: rusqlite::Error| Fault::of(&error, path);
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY
        | OpenFlags::SQLITE_OPEN_NO_MUTEX
        | OpenFlags::SQLITE_OPEN_URI;
    let mut name = b"file:".to_vec();
    for &byte in path.as_os_str().as_encoded_bytes() {
        match byte {
            b'/' | b'.' | b'-' | b'_' | b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => name.push(byte),
            other => name.extend_from_slice(format!("%{other:02x}").as_bytes()),
        }
    }
    if is_immutable {
        name.extend_from_slice(b"?immutable=1");
    }
    let name = String::from_utf8_lossy(&name).into_owned();
    let connection = Connection::open_with_flags(name, flags).map_err(failed)?;
    connection
        .busy_timeout(Duration::from_secs(2))
        .map_err(failed)?;
    connection
        .pragma_update(None, "trusted_schema", false)
        .map_err(failed)?;
    Ok(connection)
}

/// Times beyond what SQLite can hold are as good as its last.
fn clamp(time: u64) -> i64 {
    i64::try_from(time).unwrap_or(i64::MAX)
}

fn nothing(path: &Path) -> Failure {
    Failure::new(
        "no-history",
        format!(
            "nothing is recorded: there is no history in {}",
            path.display()
        ),
        "the daemon records it: tracklight serve, with [history] enabled in its configuration",
    )
}
