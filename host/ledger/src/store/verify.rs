//! Recomputes every account from the entries and compares.

use serde::Serialize;

use super::sqlite::read;
use super::{Sqlite, StoreError};

/// What a verification found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Verification {
    /// Windows of accounts that were compared.
    pub windows: u64,
    /// Entries that were added up.
    pub entries: u64,
    /// Reservations that are open.
    pub open: u64,
    /// Windows that are not what their entries add up to, or are not there; amounts in nanodollars.
    pub differences: Vec<Difference>,
    /// Reservations with more than one resolution, or one without a beginning.
    pub resolved_twice: u64,
    /// Open reservations that no entry explains, or the other way round.
    pub misplaced: u64,
    /// Calls that do not cost what their entries add up to, or that no entry explains.
    pub calls_differing: u64,
    /// What SQLite finds wrong with its file.
    pub damage: Option<String>,
}

/// A window that differs from its entries.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// Budget and names.
    pub account: String,
    /// When the window begins.
    pub start_ms: u64,
    /// What the account says was spent, and what the entries say.
    pub spent: (i64, i64),
    /// What the account says is reserved, and what the entries say.
    pub reserved: (i64, i64),
}

impl Verification {
    /// Everything agrees.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.damage.is_none()
            && self.differences.is_empty()
            && self.resolved_twice == 0
            && self.misplaced == 0
            && self.calls_differing == 0
    }
}

/// Kinds by their place in `EntryKind::ALL`: reserve 0, extend 1, sent 2, post 3, estimate 4, overrun 5, void 6, expire 7, correct 8,
/// dispatch 9.
const DIFFERENT: &str = "
    WITH summed AS (
        SELECT charges.account AS account, charges.start_ms AS start_ms, sum(of_set.spent) AS spent, sum(of_set.reserved) AS reserved
        FROM (SELECT charge_set, sum(spend - refund) AS spent, sum(hold - release) AS reserved FROM entries GROUP BY charge_set) AS of_set
        JOIN charges ON charges.charge_set = of_set.charge_set GROUP BY charges.account, charges.start_ms)
    SELECT coalesce(label, '?'), coalesce(windows.start_ms, summed.start_ms), coalesce(windows.spent, 0), coalesce(summed.spent, 0),
           coalesce(windows.reserved, 0), coalesce(summed.reserved, 0)
    FROM windows FULL JOIN summed ON summed.account = windows.account AND summed.start_ms = windows.start_ms
    LEFT JOIN accounts ON accounts.id = coalesce(windows.account, summed.account)
    WHERE windows.account IS NULL OR windows.spent != coalesce(summed.spent, 0) OR windows.reserved != coalesce(summed.reserved, 0)";
const CALLS: &str = "
    SELECT count(*) FROM calls LEFT JOIN (
        SELECT reservation, sum(spend - refund) AS cost FROM entries GROUP BY reservation) AS of_call
    ON of_call.reservation = calls.reservation WHERE of_call.cost IS NOT calls.cost";
const TWICE: &str = "
    SELECT count(*) FROM (
        SELECT sum(kind IN (0, 9)) AS begun, sum(kind IN (3, 4, 6, 7)) AS ended, sum(kind = 8) AS corrected FROM entries GROUP BY reservation)
    WHERE begun != 1 OR ended > 1 OR corrected > 1 OR corrected > ended";
const MISPLACED: &str = "
    SELECT count(*) FROM (
        SELECT reservation, sum(hold - release) AS amount, max(kind IN (2, 9)) AS sent FROM entries GROUP BY reservation
        HAVING sum(kind IN (3, 4, 6, 7)) = 0) AS open
    FULL JOIN held ON held.reservation = open.reservation
    WHERE held.amount IS NOT open.amount OR held.sent IS NOT open.sent";

impl Sqlite {
    /// Recomputes every window of every account, and the open reservations, from the entries.
    ///
    /// # Errors
    /// When the database cannot be read; what differs is no error but in the answer.
    pub fn verify(&self) -> Result<Verification, StoreError> {
        let count = |query: &str| self.connection.query_row(query, [], |row| Ok(read(row.get(0)?)));
        let checked: String = self.connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
        let damage = Some(checked).filter(|checked| checked != "ok");
        let mut statement = self.connection.prepare(DIFFERENT)?;
        let rows = statement.query_map([], |row| {
            let pair = |first, second| Ok::<_, rusqlite::Error>((row.get(first)?, row.get(second)?));
            Ok(Difference {
                account: row.get(0)?,
                start_ms: read(row.get(1)?),
                spent: pair(2, 3)?,
                reserved: pair(4, 5)?,
            })
        })?;
        Ok(Verification {
            windows: count("SELECT count(*) FROM windows")?,
            entries: count("SELECT count(*) FROM entries")?,
            open: count("SELECT count(*) FROM held")?,
            differences: rows.collect::<Result<_, _>>()?,
            resolved_twice: count(TWICE)?,
            misplaced: count(MISPLACED)?,
            calls_differing: count(CALLS)?,
            damage,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::book::{Budgets, Request, ReservationId, Settlement};
    use crate::calls::Call;
    use crate::{DATABASE, Ledger, Options};
    use tollgate_core::{Budget, Dimension, Nanodollars, ScopeKind};

    /// What a verification says of a ledger with one call to which this was done.
    fn after(change: &str) -> Verification {
        let folder = tempfile::tempdir().unwrap();
        let budgets = Budgets::new(vec![Budget::each(ScopeKind::Team, Nanodollars::new(100))]).unwrap();
        let ledger = Ledger::open(folder.path(), budgets, Options::default(), 0).unwrap();
        let path = ledger.path(&[(Dimension::Scope(ScopeKind::Team), "red")]).unwrap();
        let cost = Nanodollars::new(7);
        let request = Request { id: ReservationId(1), path: &path, amount: cost, expires_ms: 2 };
        let call = Call { reservation: 1_u128.to_be_bytes(), cost, ..Call::default() };
        ledger.record(&request, Settlement::exact(cost), call, (1, 2)).unwrap().wait().unwrap();
        drop(ledger);
        let store = Sqlite::open(&folder.path().join(DATABASE)).unwrap();
        store.connection.execute_batch(change).unwrap();
        store.verify().unwrap()
    }

    #[test]
    fn what_is_missing_or_changed_is_told() {
        assert!(after("").is_clean());
        assert_eq!(after("DELETE FROM windows").differences[0].spent, (0, 7));
        assert_eq!(after("UPDATE windows SET spent = 6").differences[0].spent, (6, 7));
        assert_eq!(after("UPDATE calls SET cost = 8").calls_differing, 1);
        assert_eq!(after("DELETE FROM entries").calls_differing, 1);
        assert_eq!(after("UPDATE entries SET reservation = zeroblob(16) WHERE kind = 3").resolved_twice, 1);
    }
}
