//! The database's tables, by version. A file of an earlier version is brought up to date when it is opened, one step at
//! a time, in one transaction; a file of a later version is refused.

use rusqlite::Connection;

use super::StoreError;

/// The version that this build writes; SQLite's `user_version`.
pub const SCHEMA_VERSION: i64 = 6;

/// Step n takes a file from version n to n + 1.
const STEPS: [&str; 6] = [
    "CREATE TABLE state (one INTEGER PRIMARY KEY CHECK (one = 1), applied INTEGER NOT NULL);
     INSERT INTO state VALUES (1, 0);
     CREATE TABLE accounts (id BLOB PRIMARY KEY, budget TEXT NOT NULL, label TEXT NOT NULL) WITHOUT ROWID;
     CREATE TABLE windows (
         account BLOB NOT NULL, start_ms INTEGER NOT NULL, end_ms INTEGER NOT NULL, spent INTEGER NOT NULL,
         reserved INTEGER NOT NULL, carried INTEGER NOT NULL, crossed INTEGER NOT NULL,
         PRIMARY KEY (account, start_ms)) WITHOUT ROWID;
     CREATE TABLE charge_sets (id INTEGER PRIMARY KEY, digest BLOB NOT NULL UNIQUE);
     CREATE TABLE charges (
         charge_set INTEGER NOT NULL, place INTEGER NOT NULL, account BLOB NOT NULL, start_ms INTEGER NOT NULL,
         PRIMARY KEY (charge_set, place)) WITHOUT ROWID;
     CREATE TABLE entries (
         id INTEGER PRIMARY KEY, at_ms INTEGER NOT NULL, kind INTEGER NOT NULL, reservation BLOB NOT NULL,
         charge_set INTEGER NOT NULL, hold INTEGER NOT NULL, release INTEGER NOT NULL, spend INTEGER NOT NULL,
         refund INTEGER NOT NULL);
     CREATE INDEX entries_of_reservation ON entries (reservation);
     CREATE TABLE held (
         reservation BLOB PRIMARY KEY, charge_set INTEGER NOT NULL, amount INTEGER NOT NULL, sent INTEGER NOT NULL,
         deadline_ms INTEGER NOT NULL) WITHOUT ROWID;
     CREATE TABLE calls (
         reservation BLOB PRIMARY KEY, started_ms INTEGER NOT NULL, duration_ms INTEGER NOT NULL, run TEXT NOT NULL,
         task TEXT NOT NULL, work_item TEXT, user TEXT, task_type TEXT, stage TEXT, model TEXT, tier TEXT,
         attempt INTEGER, status TEXT NOT NULL, productive INTEGER, uncached_input INTEGER, cache_read INTEGER,
         cache_write_5m INTEGER, cache_write_1h INTEGER, output INTEGER, reasoning INTEGER, cost INTEGER NOT NULL,
         estimated INTEGER NOT NULL, lines_production INTEGER, lines_test INTEGER, size TEXT, trace_id TEXT) WITHOUT ROWID;",
    "CREATE TABLE approvals (
         id BLOB PRIMARY KEY, at_ms INTEGER NOT NULL, beneficiary TEXT NOT NULL, budget TEXT, amount INTEGER NOT NULL,
         until_ms INTEGER NOT NULL, author TEXT NOT NULL, reason TEXT NOT NULL) WITHOUT ROWID;
     CREATE TABLE limits (
         id INTEGER PRIMARY KEY, at_ms INTEGER NOT NULL, budget TEXT NOT NULL, limit_before INTEGER NOT NULL,
         hard_before INTEGER NOT NULL, limit_after INTEGER NOT NULL, hard_after INTEGER NOT NULL, author TEXT NOT NULL,
         reason TEXT NOT NULL);",
    "CREATE TABLE revocations (
         approval BLOB PRIMARY KEY, at_ms INTEGER NOT NULL, author TEXT NOT NULL, reason TEXT NOT NULL) WITHOUT ROWID;
     CREATE TABLE history (
         kind TEXT NOT NULL, key TEXT NOT NULL, touched_ms INTEGER NOT NULL, state TEXT NOT NULL,
         PRIMARY KEY (kind, key)) WITHOUT ROWID;",
    "CREATE TABLE outcomes (
         id INTEGER PRIMARY KEY, at_ms INTEGER NOT NULL, run TEXT NOT NULL, task TEXT NOT NULL, status TEXT NOT NULL,
         productive INTEGER, lines_production INTEGER, lines_test INTEGER, author TEXT NOT NULL);",
    // Entries of the kind `dispatch`, which earlier builds do not know.
    "",
    // Nobody looks for how a reservation began: the kinds are those of `EntryKind` that end one or come after its end. Between, since
    // SQLite makes a table of a list for each row that is inserted.
    "DROP INDEX entries_of_reservation;
     CREATE INDEX ends_of_reservation ON entries (reservation) WHERE kind BETWEEN 3 AND 8;",
];

/// The version of a database.
pub(super) fn version(connection: &Connection) -> Result<i64, StoreError> {
    Ok(connection.pragma_query_value(None, "user_version", |row| row.get(0))?)
}

/// Brings a database up to date.
pub(super) fn migrate(connection: &mut Connection) -> Result<(), StoreError> {
    let found = version(connection)?;
    if found > SCHEMA_VERSION {
        return Err(StoreError::Newer { found });
    }
    let done = usize::try_from(found).map_err(|_| StoreError::Damaged { what: "user_version" })?;
    if done == STEPS.len() {
        return Ok(());
    }
    let transaction = connection.transaction()?;
    for step in STEPS.iter().skip(done) {
        transaction.execute_batch(step)?;
    }
    transaction.pragma_update(None, "user_version", SCHEMA_VERSION)?;
    transaction.commit()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use super::*;

    /// A file as the build of an earlier version left it.
    fn of_version(version: usize, folder: &Path) -> (PathBuf, Connection) {
        let path = folder.join("ledger.db");
        let old = Connection::open(&path).unwrap();
        STEPS[..version].iter().for_each(|step| old.execute_batch(step).unwrap());
        old.pragma_update(None, "user_version", version).unwrap();
        (path, old)
    }

    #[test]
    fn a_file_of_the_previous_version_is_brought_up_to_date() {
        let folder = tempfile::tempdir().unwrap();
        let (path, old) = of_version(1, folder.path());
        old.execute("INSERT INTO accounts VALUES (?1, 'team', 'team team=red')", [[7_u8; 16]]).unwrap();
        old.execute("INSERT INTO windows VALUES (?1, 0, 9223372036854775807, 5, 0, 0, 0)", [[7_u8; 16]]).unwrap();
        drop(old);
        let mut store = crate::store::Sqlite::open(&path).unwrap();
        let account =
            crate::store::Archive::account(&mut store, crate::book::AccountId::from_bytes([7; 16])).unwrap().unwrap();
        assert_eq!(account.windows[0].spent.as_u64(), 5);
        assert_eq!(crate::store::Archive::raises(&mut store, 0).unwrap(), []);
    }

    #[test]
    fn approvals_of_version_2_are_in_force_and_none_was_taken_back() {
        let folder = tempfile::tempdir().unwrap();
        let (path, old) = of_version(2, folder.path());
        old.execute(
            "INSERT INTO approvals VALUES (?1, 1, 'run=7', NULL, 50, 1000, 'ada', 'release day')",
            [[7_u8; 16]],
        )
        .unwrap();
        drop(old);
        let mut store = crate::store::Sqlite::open(&path).unwrap();
        let raises = crate::store::Archive::raises(&mut store, 0).unwrap();
        let [(raise, revoked)] = &raises[..] else { panic!("{raises:?}") };
        assert_eq!((&*raise.beneficiary, *revoked), ("run=7", crate::store::Revoked::No));
    }

    #[test]
    fn calls_of_version_3_stay_and_outcomes_find_a_place() {
        let folder = tempfile::tempdir().unwrap();
        let (path, old) = of_version(3, folder.path());
        old.execute(
            "INSERT INTO calls (reservation, started_ms, duration_ms, run, task, status, cost, estimated)
             VALUES (?1, 1, 2, 'r', 't', 'unknown', 5, 0)",
            [[7_u8; 16]],
        )
        .unwrap();
        drop(old);
        let mut store = crate::store::Sqlite::open(&path).unwrap();
        let outcome = crate::calls::Outcome { at_ms: 1, run: "r".into(), task: "t".into(), ..Default::default() };
        let note = Some(crate::store::Note::Outcome { outcome });
        let batch = crate::store::Batch { sequence: 1, note, ..Default::default() };
        crate::store::Store::commit(&mut store, &[batch]).unwrap();
        assert_eq!(crate::report::load(&store, crate::report::Period::default()).unwrap().len(), 1);
    }

    #[test]
    fn how_reservations_of_version_5_ended_is_still_found_and_by_an_index() {
        let folder = tempfile::tempdir().unwrap();
        let (path, old) = of_version(5, folder.path());
        for entry in ["(1, 1, 9, ?1, 1, 9, 0, 0, 0)", "(2, 2, 3, ?1, 1, 0, 9, 7, 0)"] {
            old.execute(&format!("INSERT INTO entries VALUES {entry}"), [[7_u8; 16]]).unwrap();
        }
        drop(old);
        let mut store = crate::store::Sqlite::open(&path).unwrap();
        let id = crate::book::ReservationId(u128::from_be_bytes([7; 16]));
        let found = crate::store::Archive::resolved(&mut store, id).unwrap().unwrap();
        assert_eq!(found.resolution, crate::book::Resolution::Posted(tollgate_core::Nanodollars::new(7)));
        let plan = format!("EXPLAIN QUERY PLAN {}", crate::store::sqlite::ENDS_OF_RESERVATION);
        let plan: String = store.connection().query_row(&plan, [[7_u8; 16]], |row| row.get(3)).unwrap();
        assert!(plan.contains("ends_of_reservation"), "{plan}");
    }

    #[test]
    fn a_file_that_an_earlier_build_has_open_is_not_changed_below_it() {
        let folder = tempfile::tempdir().unwrap();
        let (path, old) = of_version(5, folder.path());
        let refused = crate::store::Sqlite::open_beside(&path).map(drop).unwrap_err();
        assert!(matches!(refused, StoreError::Earlier { found: 5 }), "{refused}");
        assert_eq!(version(&old).unwrap(), 5);
        drop(crate::store::Sqlite::open(&path).unwrap());
        assert!(crate::store::Sqlite::open_beside(&path).is_ok());
    }

    #[test]
    fn a_file_of_a_later_version_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ledger.db");
        Connection::open(&path).unwrap().pragma_update(None, "user_version", 99).unwrap();
        let refused = crate::store::Sqlite::open(&path).map(|_| ()).unwrap_err();
        assert_eq!(refused.to_string(), "the ledger has format 99, this build knows up to 6: use a newer Tollgate");
    }
}
