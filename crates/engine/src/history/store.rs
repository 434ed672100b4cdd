//! The file, as the daemon writes it. One transaction holds a second's row, the coarser rows that it
//! completes, and the rows that go for them.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, OptionalExtension, Transaction, TransactionBehavior};

use super::aside;
use super::code::{decode, encode};
use super::fault::Fault;
use super::origin::Origin;
use super::sample::Sample;
use super::schema;
use super::span::Span;
use super::step::{Limits, Step};
use crate::failure::Failure;

/// Rows that a transaction deletes at most, where many have to go at once.
const MOST_DELETED: u64 = 5_000;

/// A row this far ahead, in seconds, was recorded by a clock that was wrong.
const AHEAD: u64 = 60;

/// The open file. There is one at a time: a lock beside it says so.
pub(super) struct Store {
    connection: Connection,
    path: PathBuf,
    limits: Limits,
    state: State,
    identity: Option<(u64, u64)>,
    /// That of SQLite's log beside it, once something was written.
    log: Option<(u64, u64)>,
    _lock: File,
}

/// What became of the file at its path.
pub(super) enum Place {
    /// It is there.
    Same,
    /// It was moved or removed.
    Moved,
    /// Something of it was taken away.
    Damaged(&'static str),
}

/// What is remembered between transactions.
#[derive(Clone, Copy, Debug, Default)]
struct State {
    /// How many rows each table has.
    rows: [u64; 4],
    /// Which coarser rows are being filled; by the index of their step.
    open: [Option<u64>; 4],
}

impl Store {
    /// Opens a file, made with its folder if it is not there, and checks it.
    pub(super) fn open(
        path: &Path,
        limits: Limits,
        origin: &Origin,
        now: u64,
    ) -> Result<Self, Fault> {
        let failed = |error: rusqlite::Error| Fault::of(&error, path);
        let lock = prepare(path)?;
        let mut connection = connect(path).map_err(failed)?;
        // Nothing is written before it is known to be whole and ours.
        let version = schema::version(&connection, path, schema::VERSION)?;
        if let Some(wrong) = check(&connection).map_err(failed)? {
            return Err(Fault::Damaged(wrong));
        }
        configure(&connection, version == 0).map_err(failed)?;
        schema::migrate(&mut connection, path)?;
        let mut state = State::default();
        for step in Step::ALL {
            let sql = format!("SELECT count(*) FROM {}", step.table());
            let count = connection.query_row(&sql, [], |row| row.get(0));
            state.rows[step.index()] = count.map_err(failed)?;
        }
        // What was being filled when the daemon ended.
        let last = connection
            .query_row(
                "SELECT max(time) FROM seconds WHERE time <= ?",
                [now.saturating_add(AHEAD)],
                |row| row.get::<_, Option<u64>>(0),
            )
            .map_err(failed)?;
        for step in Step::COARSE {
            state.open[step.index()] = last.map(|last| step.begin(last));
        }
        let mut store = Self {
            connection,
            path: path.to_owned(),
            limits,
            state,
            identity: identity(path),
            log: None,
            _lock: lock,
        };
        store.set_origin(origin)?;
        Ok(store)
    }

    /// Writes samples, all or none.
    pub(super) fn write(&mut self, samples: &[Sample], now: u64) -> Result<(), Fault> {
        let limits = self.limits;
        self.change(|writing| {
            for sample in samples {
                writing.add(sample)?;
            }
            Step::ALL
                .into_iter()
                .try_for_each(|step| writing.trim(step, limits.rows(step), now))
        })?;
        self.give_back()
            .map_err(|error| Fault::of(&error, &self.path))?;
        self.log = self
            .log
            .or_else(|| identity(&aside::with(&self.path, "-wal")));
        Ok(())
    }

    /// Makes the file smaller, a little at a time, where fewer rows are kept than before.
    fn give_back(&self) -> rusqlite::Result<()> {
        const SPARE: i64 = 500;
        let number = |row: &rusqlite::Row<'_>| row.get::<_, i64>(0);
        let free = self
            .connection
            .pragma_query_value(None, "freelist_count", number)?;
        if free > SPARE {
            // A page a step.
            let mut statement = self.connection.prepare("PRAGMA incremental_vacuum(500)")?;
            let mut pages = statement.query([])?;
            while pages.next()?.is_some() {}
        }
        Ok(())
    }

    /// Writes the coarser rows that are not complete yet.
    pub(super) fn finish(&mut self) -> Result<(), Fault> {
        self.change(|writing| {
            for step in Step::COARSE {
                writing.close(step)?;
            }
            Ok(())
        })
    }

    /// Whether the file is still the one at its path, and whole as far as that shows from outside: what is in it is
    /// in this process's memory as well, and would go on to look right.
    pub(super) fn place(&self) -> Place {
        if identity(&self.path) != self.identity {
            return Place::Moved;
        }
        if self.path.metadata().is_ok_and(|file| file.len() == 0) {
            return Place::Damaged("it was cut to nothing while it was open");
        }
        if self.log.is_some() && self.log != identity(&aside::with(&self.path, "-wal")) {
            return Place::Damaged("its log was taken away while it was open");
        }
        Place::Same
    }

    /// What is wrong with the file, read as a whole, and not as this connection remembers it.
    pub(super) fn check(&self) -> Result<Option<String>, Fault> {
        connect(&self.path)
            .and_then(|connection| check(&connection))
            .map_err(|error| Fault::of(&error, &self.path))
    }

    /// How many rows there are of each step.
    pub(super) const fn rows(&self) -> [u64; 4] {
        self.state.rows
    }

    /// Rows as recording would leave them, without a second each.
    #[cfg(test)]
    pub(super) fn fill(&mut self, step: Step, times: &[u64], span: impl Fn(u64) -> Span) {
        let put = self.change(|writing| {
            let mut times = times.iter();
            times.try_for_each(|&time| writing.put(step, time, &span(time)))
        });
        assert_eq!(put, Ok(()));
    }

    fn set_origin(&mut self, origin: &Origin) -> Result<(), Fault> {
        let namespace = origin.namespace.map(|number| number.cast_signed());
        self.change(|writing| {
            writing.transaction.execute("DELETE FROM origin", [])?;
            let values = (&origin.boot, namespace);
            writing
                .transaction
                .execute("INSERT INTO origin VALUES (?, ?)", values)?;
            Ok(())
        })
    }

    /// Does something in a transaction.
    fn change(
        &mut self,
        work: impl FnOnce(&mut Writing<'_>) -> rusqlite::Result<()>,
    ) -> Result<(), Fault> {
        let state = self.state;
        let run = || {
            let transaction = self
                .connection
                .transaction_with_behavior(TransactionBehavior::Immediate)?;
            let mut writing = Writing { transaction, state };
            work(&mut writing)?;
            writing.transaction.commit()?;
            Ok(writing.state)
        };
        self.state = run().map_err(|error| Fault::of(&error, &self.path))?;
        Ok(())
    }
}

/// A transaction, and what is remembered if it succeeds.
struct Writing<'a> {
    transaction: Transaction<'a>,
    state: State,
}

impl Writing<'_> {
    /// A second's row, and the coarser ones that end with its beginning.
    fn add(&mut self, sample: &Sample) -> rusqlite::Result<()> {
        for step in Step::COARSE {
            let begin = step.begin(sample.time);
            if self.state.open[step.index()].is_some_and(|open| open != begin) {
                self.close(step)?;
            }
            self.state.open[step.index()] = Some(begin);
        }
        self.put(Step::Second, sample.time, &Span::from(sample))
    }

    /// The row that is being filled, made of finer ones.
    fn close(&mut self, step: Step) -> rusqlite::Result<()> {
        let (Some(begin), Some(finer)) = (self.state.open[step.index()], step.finer()) else {
            return Ok(());
        };
        // The finer one is in the file by now, unless all is closed in the middle.
        if finer != Step::Second {
            self.close(finer)?;
        }
        match sum(&self.transaction, finer, begin, begin + step.seconds())? {
            Some(span) => self.put(step, begin, &span),
            None => Ok(()),
        }
    }

    /// A row, in place of one of the same time: a clock that went back counts anew.
    fn put(&mut self, step: Step, time: u64, span: &Span) -> rusqlite::Result<()> {
        let mut data = Vec::with_capacity(128);
        encode(span, &mut data);
        let (table, transaction) = (step.table(), &self.transaction);
        let insert = format!("INSERT OR IGNORE INTO {table} (time, data) VALUES (?, ?)");
        let inserted = transaction
            .prepare_cached(&insert)?
            .execute((time, &data))?;
        if inserted == 0 {
            let update = format!("UPDATE {table} SET data = ?2 WHERE time = ?1");
            transaction
                .prepare_cached(&update)?
                .execute((time, &data))?;
        }
        self.state.rows[step.index()] += inserted as u64;
        Ok(())
    }

    /// Deletes what is too much: what is farthest from now. So a clock that is wrong for a while costs
    /// as many rows as it recorded, and not all of them.
    fn trim(&mut self, step: Step, limit: u64, now: u64) -> rusqlite::Result<()> {
        let rows = self.state.rows[step.index()];
        let mut excess = rows.saturating_sub(limit).min(MOST_DELETED);
        let table = step.table();
        while excess > 0 {
            let end = |which: &str| {
                let sql = format!("SELECT {which}(time) FROM {table}");
                let mut statement = self.transaction.prepare_cached(&sql)?;
                statement.query_row([], |row| row.get::<_, Option<i64>>(0))
            };
            let (Some(first), Some(last)) = (end("min")?, end("max")?) else {
                break;
            };
            let (first, last) = (first.max(0).cast_unsigned(), last.max(0).cast_unsigned());
            let is_behind = now.saturating_sub(first) >= last.saturating_sub(now);
            // Many at once only where there is no doubt about the end that they go from.
            let many = if last <= now.saturating_add(AHEAD) {
                excess
            } else {
                1
            };
            let order = if is_behind { "ASC" } else { "DESC" };
            let sql = format!(
                "DELETE FROM {table} WHERE time IN (SELECT time FROM {table} ORDER BY time {order} \
                 LIMIT ?)"
            );
            let deleted = self.transaction.prepare_cached(&sql)?.execute([many])? as u64;
            if deleted == 0 {
                break;
            }
            self.state.rows[step.index()] = self.state.rows[step.index()].saturating_sub(deleted);
            excess = excess.saturating_sub(deleted);
        }
        Ok(())
    }
}

/// The sum of the rows of a while; `None` if there are none. Rows that cannot be read are unknown.
fn sum(
    transaction: &Transaction<'_>,
    step: Step,
    from: u64,
    to: u64,
) -> rusqlite::Result<Option<Span>> {
    let sql = format!(
        "SELECT data FROM {} WHERE time >= ? AND time < ? ORDER BY time",
        step.table()
    );
    let mut statement = transaction.prepare_cached(&sql)?;
    let mut rows = statement.query([from, to])?;
    let mut sum: Option<Span> = None;
    while let Some(row) = rows.next()? {
        let Some(span) = decode(row.get_ref(0)?.as_blob().unwrap_or_default()) else {
            continue;
        };
        match &mut sum {
            None => sum = Some(span),
            Some(sum) => sum.add(&span),
        }
    }
    Ok(sum)
}

/// The folder, the lock, and an empty file whose mode SQLite takes for those beside it.
fn prepare(path: &Path) -> Result<File, Fault> {
    if let Some(folder) = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
    {
        DirBuilder::new()
            .recursive(true)
            .mode(0o750)
            .create(folder)
            .map_err(|error| Fault::of_io(&error, "the folder cannot be made", path))?;
    }
    let open = |path: &Path| {
        OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o640)
            .open(path)
    };
    let lock =
        open(&aside::with(path, ".lock")).map_err(|error| Fault::of_io(&error, "no lock", path))?;
    match lock.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            return Err(Fault::Other(Failure::new(
                "history-busy",
                format!("another daemon records in {}", path.display()),
                "give each daemon its own folder: [server] state in the configuration",
            )));
        }
        Err(TryLockError::Error(error)) => return Err(Fault::of_io(&error, "no lock", path)),
    }
    // Not opened again later: closing it would take SQLite's own locks of this process away.
    open(path).map_err(|error| Fault::of_io(&error, "the file cannot be made", path))?;
    Ok(lock)
}

fn identity(path: &Path) -> Option<(u64, u64)> {
    let file = path.metadata().ok()?;
    Some((file.dev(), file.ino()))
}

fn connect(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(Duration::from_secs(2))?;
    // What a damaged file says about itself is not run.
    connection.pragma_update(None, "trusted_schema", false)?;
    Ok(connection)
}

fn configure(connection: &Connection, is_new: bool) -> rusqlite::Result<()> {
    if is_new {
        // Small pages, for a commit writes whole ones; yet a dozen rows of a busy table fit into one.
        connection.pragma_update(None, "page_size", 2048)?;
        connection.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
    }
    let ignored = |_: &rusqlite::Row<'_>| Ok(());
    connection.pragma_update_and_check(None, "journal_mode", "WAL", ignored)?;
    // A commit is in the kernel's hands: whatever kills the process, it stays. Only a loss of power can
    // take the last of them, never the file's order.
    connection.pragma_update(None, "synchronous", "NORMAL")?;
    connection.pragma_update_and_check(None, "wal_autocheckpoint", 500, ignored)?;
    connection.pragma_update_and_check(None, "journal_size_limit", 4 << 20, ignored)?;
    // 1 MiB: appending needs few pages.
    connection.pragma_update(None, "cache_size", -1024)?;
    connection.pragma_update(None, "temp_store", "MEMORY")
}

/// What SQLite finds wrong with the file, if anything.
fn check(connection: &Connection) -> rusqlite::Result<Option<String>> {
    let found = connection
        .query_row("PRAGMA quick_check(1)", [], |row| row.get::<_, String>(0))
        .optional()?;
    Ok(found.filter(|found| found != "ok"))
}
