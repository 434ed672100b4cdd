//! The file's tables, and how those of earlier versions become the present ones.

use std::path::Path;

use rusqlite::{Connection, TransactionBehavior};

use super::fault::Fault;
use crate::failure::Failure;

/// `PRAGMA application_id`: "TLhi".
const APPLICATION: i64 = 0x544c_6869;

/// Statement lists: the first makes version 1 of an empty file, each further one the next version.
/// One that was released is never changed.
const MIGRATIONS: &[&str] = &["
    CREATE TABLE seconds (time INTEGER PRIMARY KEY, data BLOB NOT NULL) STRICT;
    CREATE TABLE ten_seconds (time INTEGER PRIMARY KEY, data BLOB NOT NULL) STRICT;
    CREATE TABLE minutes (time INTEGER PRIMARY KEY, data BLOB NOT NULL) STRICT;
    CREATE TABLE hours (time INTEGER PRIMARY KEY, data BLOB NOT NULL) STRICT;
    CREATE TABLE origin (boot TEXT NOT NULL, namespace INTEGER) STRICT;
"];

/// The version that this program writes.
pub(super) const VERSION: usize = MIGRATIONS.len();

/// Brings a file to the present version.
pub(super) fn migrate(connection: &mut Connection, path: &Path) -> Result<(), Fault> {
    migrate_by(connection, path, MIGRATIONS)
}

fn migrate_by(connection: &mut Connection, path: &Path, migrations: &[&str]) -> Result<(), Fault> {
    let failed = |error: rusqlite::Error| Fault::of(&error, path);
    let mut version = version(connection, path, migrations.len())?;
    while let Some(statements) = migrations.get(version) {
        version += 1;
        let behavior = TransactionBehavior::Immediate;
        let transaction = connection
            .transaction_with_behavior(behavior)
            .map_err(failed)?;
        transaction.execute_batch(statements).map_err(failed)?;
        transaction
            .pragma_update(None, "application_id", APPLICATION)
            .and_then(|()| transaction.pragma_update(None, "user_version", version))
            .map_err(failed)?;
        transaction.commit().map_err(failed)?;
    }
    Ok(())
}

/// The version of a file, 0 for an empty one; a failure for one that is newer than `newest`.
pub(super) fn version(connection: &Connection, path: &Path, newest: usize) -> Result<usize, Fault> {
    let failed = |error: rusqlite::Error| Fault::of(&error, path);
    let number = |name: &str| {
        let value = connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
        value.map_err(failed)
    };
    let (application, version) = (number("application_id")?, number("user_version")?);
    let is_empty = number("schema_version")? == 0;
    if !is_empty && application != APPLICATION {
        return Err(Fault::Damaged(
            "it is a database of something else".to_owned(),
        ));
    }
    match usize::try_from(version) {
        Ok(version) if version <= newest => Ok(version),
        Ok(version) => Err(Fault::Other(Failure::new(
            "newer-format",
            format!(
                "the recorded history {} is of version {version}, and this program knows versions up \
                 to {newest}",
                path.display()
            ),
            "install the newer program again, or move the file away to begin a new history",
        ))),
        Err(_) => Err(Fault::Damaged("it has a version that cannot be".to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn memory() -> Connection {
        Connection::open_in_memory().unwrap()
    }

    #[test]
    fn an_older_file_is_brought_to_the_present_version_with_what_is_in_it() {
        let path = Path::new("x");
        let mut connection = memory();
        migrate(&mut connection, path).unwrap();
        connection
            .execute("INSERT INTO minutes VALUES (60, x'00')", [])
            .unwrap();
        let next = [MIGRATIONS, &["ALTER TABLE minutes ADD COLUMN more INTEGER"]].concat();
        migrate_by(&mut connection, path, &next).unwrap();
        assert_eq!(version(&connection, path, 2), Ok(2));
        let row = connection.query_row("SELECT time, more FROM minutes", [], |row| {
            Ok((row.get::<_, i64>(0)?, row.get::<_, Option<i64>>(1)?))
        });
        assert_eq!(row, Ok((60, None)));
        migrate_by(&mut connection, path, &next).unwrap();
    }

    #[test]
    fn a_migration_that_fails_leaves_the_version_that_was() {
        let mut connection = memory();
        let broken = [
            MIGRATIONS,
            &["CREATE TABLE more (a INTEGER) STRICT; SELECT nothing"],
        ]
        .concat();
        migrate_by(&mut connection, Path::new("x"), &broken).unwrap_err();
        assert_eq!(version(&connection, Path::new("x"), 2), Ok(1));
        assert!(!connection.table_exists(None, "more").unwrap());
    }

    #[test]
    fn a_newer_file_and_a_stranger_s_are_refused() {
        let mut connection = memory();
        migrate(&mut connection, Path::new("x")).unwrap();
        connection.pragma_update(None, "user_version", 9).unwrap();
        match migrate(&mut connection, Path::new("x")) {
            Err(Fault::Other(failure)) => assert_eq!(failure.code, "newer-format"),
            other => panic!("{other:?}"),
        }
        let mut stranger = memory();
        stranger.execute_batch("CREATE TABLE x (y)").unwrap();
        let refused = migrate(&mut stranger, Path::new("x"));
        assert!(matches!(refused, Err(Fault::Damaged(_))), "{refused:?}");
    }
}
