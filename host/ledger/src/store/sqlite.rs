//! The embedded database: one file in WAL mode, with full synchronisation, so that a commit that returned is on the disk.

use std::collections::{BTreeMap, HashMap};
use std::hash::BuildHasherDefault;
use std::path::Path;
use std::time::Duration;

use rusqlite::{CachedStatement, Connection, OptionalExtension, Row, Transaction, params};
use sha2::{Digest, Sha256};
use smallvec::SmallVec;
use tollgate_core::{Memory, Nanodollars, Remembered};

use super::held::HeldChanges;
use super::{
    Archive, Batch, LimitChange, Line, Note, Revoked, Store, StoreError, StoredAccount, StoredCharge,
    StoredReservation, StoredResolution, WindowOpened, schema,
};
use crate::book::{AccountId, AccountState, Balance, Bounds, EntryKind, Fold, Raise, ReservationId, Resolution};
use crate::calls::{Call, Outcome};

/// Sets of charges kept in memory, so that most lines need not look theirs up.
const CHARGE_SETS: usize = 65_536;

/// Memory for pages of the database: a commit touches leaves all over the index of reservations, and should find them here.
const CACHE_KIB: i64 = 16 * 1024;

/// The ledger's database.
#[derive(Debug)]
pub struct Sqlite {
    pub(super) connection: Connection,
    charge_sets: ChargeSets,
}

/// How a reservation ended and what came after that. The kinds are those of the index, by their places in [`EntryKind::ALL`].
pub(super) const ENDS_OF_RESERVATION: &str =
    "SELECT kind, charge_set, spend FROM entries WHERE reservation = ?1 AND kind BETWEEN 3 AND 8 ORDER BY id";

/// How spent and reserved change, in nanodollars, in all windows of a set of charges: a group has many lines and few sets.
type Moves<'a> = HashMap<i64, Move<'a>, BuildHasherDefault<Fold>>;

struct Move<'a> {
    charges: &'a [([u8; 16], u64)],
    spent: i128,
    reserved: i128,
}

/// Which set of charges has which number. Accounts are halves of a SHA-256, so nobody chooses keys that fall together.
type ChargeSets = HashMap<Vec<([u8; 16], u64)>, i64, BuildHasherDefault<Fold>>;

impl Sqlite {
    /// Opens a database or makes one, and brings it up to date.
    ///
    /// # Errors
    /// When it cannot be opened, or was written by a later version.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let mut connection = Connection::open(path)?;
        connection.busy_timeout(Duration::from_secs(10))?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.pragma_update(None, "cache_size", -CACHE_KIB)?;
        connection.set_prepared_statement_cache_capacity(64);
        schema::migrate(&mut connection)?;
        Ok(Self { connection, charge_sets: ChargeSets::default() })
    }

    /// Opens a database beside the process that has it, to read it: it is not brought up to date below that one.
    ///
    /// # Errors
    /// When it cannot be opened, or was written by another version.
    pub fn open_beside(path: &Path) -> Result<Self, StoreError> {
        match schema::version(&Connection::open(path)?)? {
            found if found < schema::SCHEMA_VERSION => Err(StoreError::Earlier { found }),
            _ => Self::open(path),
        }
    }

    pub(crate) const fn connection(&self) -> &Connection {
        &self.connection
    }
}

impl Store for Sqlite {
    fn commit(&mut self, batches: &[Batch]) -> Result<(), StoreError> {
        let Some(last) = batches.last() else {
            return Ok(());
        };
        if self.charge_sets.len() > CHARGE_SETS {
            self.charge_sets.clear();
        }
        let transaction = self.connection.transaction()?;
        let mut group = Group::begin(&transaction, &mut self.charge_sets)?;
        batches.iter().try_for_each(|batch| group.write(batch))?;
        group.end(last.sequence)?;
        let committed = transaction.commit();
        if committed.is_err() {
            self.charge_sets.clear();
        }
        Ok(committed?)
    }

    fn applied(&mut self) -> Result<u64, StoreError> {
        Ok(self.connection.query_row("SELECT applied FROM state", [], |row| Ok(read(row.get(0)?)))?)
    }
}

/// What is written in one transaction.
struct Group<'t, 'b> {
    transaction: &'t Transaction<'t>,
    charge_sets: &'t mut ChargeSets,
    moves: Moves<'b>,
    held: HeldChanges,
    /// What every call needs is looked up once.
    insert_entry: CachedStatement<'t>,
    insert_call: CachedStatement<'t>,
}

impl<'t, 'b> Group<'t, 'b> {
    fn begin(transaction: &'t Transaction<'t>, charge_sets: &'t mut ChargeSets) -> Result<Self, StoreError> {
        let insert_entry = "INSERT INTO entries VALUES (NULL, ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
        let insert_call =
            "INSERT OR REPLACE INTO calls VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15,
                           ?16, ?17, ?18, ?19, ?20, ?21, ?22, ?23, ?24, ?25, ?26)";
        Ok(Self {
            transaction,
            charge_sets,
            moves: Moves::default(),
            held: HeldChanges::default(),
            insert_entry: transaction.prepare_cached(insert_entry)?,
            insert_call: transaction.prepare_cached(insert_call)?,
        })
    }

    fn write(&mut self, batch: &'b Batch) -> Result<(), StoreError> {
        for opened in &batch.opened {
            open_window(self.transaction, opened)?;
        }
        for line in &batch.lines {
            self.write_line(line)?;
        }
        for crossed in &batch.crossed {
            let statement = "UPDATE windows SET crossed = ?3 WHERE account = ?1 AND start_ms = ?2";
            let mut update = self.transaction.prepare_cached(statement)?;
            update.execute(params![crossed.account, stored(crossed.start_ms), crossed.crossed])?;
        }
        if let Some(call) = &batch.call {
            write_call(&mut self.insert_call, call)?;
        }
        batch.note.as_ref().map_or(Ok(()), |note| write_note(self.transaction, note))
    }

    fn write_line(&mut self, line: &'b Line) -> Result<(), StoreError> {
        let charge_set = charge_set(self.transaction, self.charge_sets, line)?;
        self.insert_entry.execute(params![
            stored(line.at_ms),
            line.kind,
            line.reservation,
            charge_set,
            stored(line.hold),
            stored(line.release),
            stored(line.spend),
            stored(line.refund)
        ])?;
        let kind = line.entry_kind().ok_or(StoreError::Damaged { what: "the kind of a line" })?;
        if kind == EntryKind::Correct {
            let correct = "UPDATE calls SET cost = ?2, estimated = 0 WHERE reservation = ?1";
            let mut correct = self.transaction.prepare_cached(correct)?;
            correct.execute(params![line.reservation, stored(line.spend)])?;
        }
        self.held.take(kind, line, charge_set);
        let nothing = Move { charges: &line.charges, spent: 0, reserved: 0 };
        let Move { spent, reserved, .. } = self.moves.entry(charge_set).or_insert(nothing);
        *spent = spent.saturating_add(i128::from(line.spend)).saturating_sub(i128::from(line.refund));
        *reserved = reserved.saturating_add(i128::from(line.hold)).saturating_sub(i128::from(line.release));
        Ok(())
    }

    /// Writes what is written once for all of it.
    fn end(self, last: u64) -> Result<(), StoreError> {
        move_money(self.transaction, &self.moves)?;
        self.held.write(self.transaction)?;
        self.transaction.prepare_cached("UPDATE state SET applied = ?1")?.execute([stored(last)])?;
        Ok(())
    }
}

fn open_window(transaction: &Transaction<'_>, opened: &WindowOpened) -> Result<(), StoreError> {
    let mut account = transaction.prepare_cached("INSERT OR IGNORE INTO accounts VALUES (?1, ?2, ?3)")?;
    account.execute(params![opened.account, opened.budget, opened.label])?;
    let mut window = transaction.prepare_cached("INSERT OR IGNORE INTO windows VALUES (?1, ?2, ?3, 0, 0, ?4, ?5)")?;
    let (start, end, carried) = (stored(opened.start_ms), stored(opened.end_ms), stored(opened.carried));
    window.execute(params![opened.account, start, end, carried, opened.crossed])?;
    Ok(())
}

fn charge_set(transaction: &Transaction<'_>, known: &mut ChargeSets, line: &Line) -> Result<i64, StoreError> {
    if let Some(id) = known.get(&line.charges) {
        return Ok(*id);
    }
    let mut digest = Sha256::new();
    for (account, start_ms) in &line.charges {
        digest.update(account);
        digest.update(start_ms.to_le_bytes());
    }
    let digest = digest.finalize();
    let find = "SELECT id FROM charge_sets WHERE digest = ?1";
    let found: Option<i64> =
        transaction.prepare_cached(find)?.query_row([digest.as_slice()], |row| row.get(0)).optional()?;
    let id = match found {
        Some(id) => id,
        None => {
            transaction.prepare_cached("INSERT INTO charge_sets VALUES (NULL, ?1)")?.execute([digest.as_slice()])?;
            let id = transaction.last_insert_rowid();
            let mut insert = transaction.prepare_cached("INSERT INTO charges VALUES (?1, ?2, ?3, ?4)")?;
            for (place, (account, start_ms)) in (0_i64..).zip(&line.charges) {
                insert.execute(params![id, place, account, stored(*start_ms)])?;
            }
            id
        }
    };
    known.insert(line.charges.clone(), id);
    Ok(id)
}

fn move_money(transaction: &Transaction<'_>, moves: &Moves<'_>) -> Result<(), StoreError> {
    // In the order of the key, so that neighbours are found in the same page.
    let mut windows: BTreeMap<([u8; 16], u64), (i128, i128)> = BTreeMap::new();
    for Move { charges, spent, reserved } in moves.values() {
        for charge in *charges {
            let (of_all, held) = windows.entry(*charge).or_default();
            *of_all = of_all.saturating_add(*spent);
            *held = held.saturating_add(*reserved);
        }
    }
    let statement =
        "UPDATE windows SET spent = spent + ?3, reserved = reserved + ?4 WHERE account = ?1 AND start_ms = ?2";
    let mut update = transaction.prepare_cached(statement)?;
    for ((account, start_ms), (spent, reserved)) in &windows {
        let whole = |amount: &i128| i64::try_from(*amount).map_err(|_| StoreError::Damaged { what: "an amount" });
        if update.execute(params![account, stored(*start_ms), whole(spent)?, whole(reserved)?])? != 1 {
            return Err(StoreError::Damaged { what: "a window that was never opened" });
        }
    }
    Ok(())
}

fn write_call(insert: &mut CachedStatement<'_>, call: &Call) -> Result<(), StoreError> {
    let usage = call.usage;
    let count = |value: Option<u64>| value.map(stored);
    insert.execute(params![
        call.reservation,
        stored(call.started_ms),
        stored(call.duration_ms),
        call.run,
        call.task,
        call.work_item,
        call.user,
        call.task_type,
        call.stage,
        call.model,
        call.tier,
        call.attempt,
        call.status.as_str(),
        call.productive,
        count(usage.map(|usage| usage.uncached_input)),
        count(usage.map(|usage| usage.cache_read)),
        count(usage.map(|usage| usage.cache_write_5m)),
        count(usage.map(|usage| usage.cache_write_1h)),
        count(usage.map(|usage| usage.output)),
        count(usage.map(|usage| usage.reasoning)),
        stored(call.cost.as_u64()),
        call.estimated,
        call.lines_production,
        call.lines_test,
        call.size,
        call.trace_id,
    ])?;
    Ok(())
}

fn remember(transaction: &Transaction<'_>, rows: &[Remembered]) -> Result<(), StoreError> {
    let mut keep = transaction.prepare_cached("INSERT OR REPLACE INTO history VALUES (?1, ?2, ?3, ?4)")?;
    let mut forget = transaction.prepare_cached("DELETE FROM history WHERE kind = ?1 AND key = ?2")?;
    for Remembered { memory, key, touched_ms, state } in rows {
        match state {
            Some(state) => keep.execute(params![memory.as_str(), key, stored(*touched_ms), state])?,
            None => forget.execute(params![memory.as_str(), key])?,
        };
    }
    Ok(())
}

fn write_outcome(transaction: &Transaction<'_>, outcome: &Outcome) -> Result<(), StoreError> {
    let Outcome { at_ms, run, task, status, productive, lines_production, lines_test, author } = outcome;
    let mut insert =
        transaction.prepare_cached("INSERT INTO outcomes VALUES (NULL, ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)")?;
    let status = status.as_str();
    insert.execute(params![stored(*at_ms), run, task, status, productive, lines_production, lines_test, author])?;
    Ok(())
}

fn write_note(transaction: &Transaction<'_>, note: &Note) -> Result<(), StoreError> {
    match note {
        Note::Limit { at_ms, budget, before, after, author, reason } => {
            let mut insert =
                transaction.prepare_cached("INSERT INTO limits VALUES (NULL, ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)")?;
            let values = [before.0, before.1, after.0, after.1].map(stored);
            insert.execute(params![
                stored(*at_ms),
                budget,
                values[0],
                values[1],
                values[2],
                values[3],
                author,
                reason
            ])?;
        }
        Note::Memory { rows } => remember(transaction, rows)?,
        Note::Outcome { outcome } => write_outcome(transaction, outcome)?,
        Note::Revocation { at_ms, approval, author, reason } => {
            let mut insert = transaction.prepare_cached("INSERT OR IGNORE INTO revocations VALUES (?1, ?2, ?3, ?4)")?;
            insert.execute(params![approval, stored(*at_ms), author, reason])?;
        }
        Note::Approval { at_ms, approval } => {
            let mut insert = transaction
                .prepare_cached("INSERT OR IGNORE INTO approvals VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)")?;
            let (amount, until_ms) = (stored(approval.amount), stored(approval.until_ms));
            let (author, reason) = (&approval.author, &approval.reason);
            insert.execute(params![
                approval.id,
                stored(*at_ms),
                approval.beneficiary,
                approval.budget,
                amount,
                until_ms,
                author,
                reason
            ])?;
        }
    }
    Ok(())
}

impl Archive for Sqlite {
    fn account(&mut self, id: AccountId) -> Result<Option<AccountState>, StoreError> {
        let label = "SELECT label FROM accounts WHERE id = ?1";
        let label: Option<String> =
            self.connection.prepare_cached(label)?.query_row([id.to_bytes()], |row| row.get(0)).optional()?;
        let Some(label) = label else { return Ok(None) };
        // The newest windows: the current one, those of a rolling budget, and those in which something is still held.
        let windows = "SELECT start_ms, end_ms, spent, reserved, carried, crossed FROM windows WHERE account = ?1 \
                       AND (reserved > 0 OR start_ms IN (SELECT start_ms FROM windows WHERE account = ?1 ORDER BY start_ms DESC LIMIT 62)) \
                       ORDER BY start_ms";
        let mut statement = self.connection.prepare_cached(windows)?;
        let windows = statement.query_map([id.to_bytes()], balance)?.collect::<Result<SmallVec<_>, _>>()?;
        Ok(Some(AccountState { label: label.into(), windows, grant: None }))
    }

    fn charged_lately(&mut self, entries: u32) -> Result<Vec<StoredAccount>, StoreError> {
        let query = "SELECT id, budget, label FROM accounts WHERE id IN (SELECT account FROM charges WHERE charge_set IN \
                     (SELECT charge_set FROM entries ORDER BY id DESC LIMIT ?1))";
        let mut statement = self.connection.prepare(query)?;
        let accounts = statement.query_map([entries], |row| {
            Ok(StoredAccount { id: AccountId::from_bytes(row.get(0)?), budget: row.get(1)?, label: row.get(2)? })
        })?;
        Ok(accounts.collect::<Result<_, _>>()?)
    }

    fn resolved(&mut self, id: ReservationId) -> Result<Option<StoredResolution>, StoreError> {
        let mut statement = self.connection.prepare_cached(ENDS_OF_RESERVATION)?;
        let rows =
            statement.query_map([id.0.to_be_bytes()], |row| Ok((row.get(0)?, row.get(1)?, read(row.get(2)?))))?;
        let mut found: Option<(Resolution, i64)> = None;
        for row in rows {
            let (kind, charge_set, spend): (usize, i64, u64) = row?;
            let cost = Nanodollars::new(spend);
            let plus = |was: Nanodollars| was.saturating_add(cost);
            let resolution = match (EntryKind::ALL.get(kind).copied(), found.map(|(was, _)| was)) {
                (Some(EntryKind::Post), _) => Resolution::Posted(cost),
                (Some(EntryKind::Estimate), _) => Resolution::Estimated(cost),
                (Some(EntryKind::Void), _) => Resolution::Voided,
                (Some(EntryKind::Expire), _) => Resolution::Expired,
                (Some(EntryKind::Correct), _) => Resolution::Corrected(cost),
                (Some(EntryKind::Overrun), Some(Resolution::Posted(was))) => Resolution::Posted(plus(was)),
                (Some(EntryKind::Overrun), Some(Resolution::Estimated(was))) => Resolution::Estimated(plus(was)),
                _ => continue,
            };
            found = Some((resolution, charge_set));
        }
        drop(statement);
        let Some((resolution, charge_set)) = found else {
            return Ok(None);
        };
        Ok(Some(StoredResolution { resolution, charges: self.charges(charge_set)? }))
    }

    fn open_reservations(&mut self) -> Result<Vec<StoredReservation>, StoreError> {
        let query = "SELECT reservation, charge_set, amount, sent, deadline_ms FROM held";
        let mut statement = self.connection.prepare(query)?;
        let rows = statement.query_map([], |row| {
            Ok((row.get::<_, [u8; 16]>(0)?, row.get::<_, i64>(1)?, read(row.get(2)?), row.get(3)?, read(row.get(4)?)))
        })?;
        let rows = rows.collect::<Result<Vec<_>, _>>()?;
        drop(statement);
        let reservation = |(id, charge_set, held, sent, deadline_ms)| {
            let charges = self.charges(charge_set)?;
            Ok(StoredReservation { id: ReservationId(u128::from_be_bytes(id)), held, sent, deadline_ms, charges })
        };
        rows.into_iter().map(reservation).collect()
    }

    fn raises(&mut self, now_ms: u64) -> Result<Vec<(Raise, Revoked)>, StoreError> {
        let query = "SELECT id, beneficiary, budget, amount, until_ms, approvals.author, approvals.reason, revocations.at_ms \
                     FROM approvals LEFT JOIN revocations ON approval = id WHERE until_ms > ?1";
        let mut statement = self.connection.prepare(query)?;
        let rows = statement.query_map([stored(now_ms)], |row| {
            let text = |place| row.get::<_, String>(place).map(Into::into);
            let raise = Raise {
                id: u128::from_be_bytes(row.get(0)?),
                beneficiary: text(1)?,
                budget: row.get::<_, Option<String>>(2)?.map(Into::into),
                amount: Nanodollars::new(read(row.get(3)?)),
                until_ms: read(row.get(4)?),
                author: text(5)?,
                reason: text(6)?,
            };
            let revoked = if row.get::<_, Option<i64>>(7)?.is_some() { Revoked::Yes } else { Revoked::No };
            Ok((raise, revoked))
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    fn remembered(&mut self, memory: Memory) -> Result<Vec<Remembered>, StoreError> {
        let query = "SELECT key, touched_ms, state FROM history WHERE kind = ?1";
        let mut statement = self.connection.prepare(query)?;
        let rows = statement.query_map([memory.as_str()], |row| {
            Ok(Remembered { memory, key: row.get(0)?, touched_ms: read(row.get(1)?), state: Some(row.get(2)?) })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    fn limits(&mut self) -> Result<Vec<LimitChange>, StoreError> {
        let query = "SELECT budget, limit_before, hard_before, limit_after, hard_after FROM limits ORDER BY id";
        let mut statement = self.connection.prepare(query)?;
        let rows = statement.query_map([], |row| {
            let amount = |place| row.get(place).map(read);
            Ok(LimitChange { budget: row.get(0)?, before: (amount(1)?, amount(2)?), after: (amount(3)?, amount(4)?) })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }
}

impl Sqlite {
    fn charges(&self, charge_set: i64) -> Result<Vec<StoredCharge>, StoreError> {
        let query = "SELECT account, start_ms, budget, label FROM charges JOIN accounts ON accounts.id = account \
                     WHERE charge_set = ?1 ORDER BY place";
        let mut statement = self.connection.prepare_cached(query)?;
        let rows = statement.query_map([charge_set], |row| {
            let account = AccountId::from_bytes(row.get(0)?);
            Ok(StoredCharge { account, start_ms: read(row.get(1)?), budget: row.get(2)?, label: row.get(3)? })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }
}

fn balance(row: &Row<'_>) -> rusqlite::Result<Balance> {
    Ok(Balance {
        bounds: Bounds { start_ms: read(row.get(0)?), end_ms: read(row.get(1)?) },
        spent: Nanodollars::new(read(row.get(2)?)),
        reserved: Nanodollars::new(read(row.get(3)?)),
        carried: Nanodollars::new(read(row.get(4)?)),
        crossed: row.get(5)?,
    })
}

/// SQLite's integers have a sign: what is larger stands for "no end" (a time) and cannot be (an amount, see
/// [`crate::book::MAX_AMOUNT`]).
pub(super) fn stored(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

pub(super) fn read(value: i64) -> u64 {
    if value == i64::MAX { u64::MAX } else { u64::try_from(value).unwrap_or(0) }
}
