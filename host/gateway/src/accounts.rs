//! All that the gateway asks of the ledger: facts before a dispatch, a reservation for it, and its end.

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tollgate_core::{Candidate, Configuration, Dispatch, History, Nanodollars, Report};
use tollgate_ledger::book::{
    BudgetError, Budgets, Dimension, Refusal, Request, ReservationId, ReserveError, Settlement,
};
use tollgate_ledger::calls::{Call as CallRow, Outcome};
use tollgate_ledger::estimate::{Prior, Sketches};
use tollgate_ledger::store::StoreError;
use tollgate_ledger::{BudgetLeft, Ledger, LedgerError, OpenError, Options};
use tollgate_runtime::Host;

use crate::clock;
use crate::formats::ModelRequest;

/// What was spent, and what may be.
pub(crate) struct Accounts {
    ledger: Ledger,
    sketches: Mutex<Sketches>,
    /// Rung when a reservation ends.
    released: Notify,
}

/// Money held for one dispatch that is being sent. It ends exactly once, by [`Accounts::post`], which takes it; one that is lost is
/// ended by the sweep.
#[derive(Debug)]
#[must_use = "a reservation that is not settled is posted whole when its time is over"]
pub(crate) struct Reservation {
    id: ReservationId,
    /// What is held.
    pub(crate) amount: Nanodollars,
}

/// Why nothing is known about a dispatch.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Uninformed {
    /// The configuration is wrong.
    #[error(transparent)]
    Budgets(#[from] BudgetError),
    /// An account that left memory cannot be read.
    #[error(transparent)]
    Storage(#[from] StoreError),
}

/// Why there is no reservation.
#[derive(Debug)]
pub(crate) enum Unreserved {
    /// A ceiling would be passed.
    Refused(Box<Refusal>),
    /// The ledger cannot promise anything now.
    Failed(String),
}

impl Accounts {
    pub(crate) fn open(folder: &Path, configuration: &Configuration, host: &Host) -> Result<Self, OpenError> {
        let budgets = Budgets::new(configuration.budgets.clone())?.with_owners(host.symbols());
        let history = History::new(configuration.attempts, host.counters(), History::REMEMBERED);
        let now_ms = clock::now_ms();
        let ledger = Ledger::open(folder, budgets, Options::default(), now_ms)?;
        Ok(Self {
            ledger: ledger.remembering(history, Arc::clone(host.symbols()), now_ms)?,
            sketches: Mutex::new(Sketches::new(Prior::default())),
            released: Notify::new(),
        })
    }

    /// The ledger itself, for what is not about one dispatch.
    pub(crate) const fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// From now on budgets, counters and the rules for attempts are those of a new configuration; what was counted and spent
    /// stays.
    pub(crate) fn reconfigure(&self, configuration: &Configuration, host: &Host) -> Result<(), BudgetError> {
        let budgets = Budgets::new(configuration.budgets.clone())?.with_owners(host.symbols());
        self.ledger.replace_budgets(budgets);
        self.ledger.declare_counters(host.counters());
        self.ledger.set_attempt_rules(configuration.attempts);
        Ok(())
    }

    /// Writes what is known about the dispatch's task, scopes and budgets into it.
    pub(crate) fn inform(
        &self,
        names: &[(Dimension, &str)],
        task: &str,
        dispatch: &mut Dispatch,
    ) -> Result<(), Uninformed> {
        let path = self.ledger.path_of_task(names, task)?;
        Ok(self.ledger.inform(dispatch, &path)?)
    }

    /// Holds an amount on every budget of the dispatch at once, and notes that it is being sent: from here on, silence costs the whole
    /// reservation, once it has not been resolved within a time.
    pub(crate) fn reserve(
        &self,
        names: &[(Dimension, &str)],
        task: &str,
        amount: Nanodollars,
        resolved_within: Duration,
    ) -> Result<Reservation, Unreserved> {
        let failed = |error: &dyn std::fmt::Display| Unreserved::Failed(error.to_string());
        let now_ms = clock::now_ms();
        let id = ReservationId(crate::ordered_id(now_ms));
        let within_ms = u64::try_from(resolved_within.as_millis()).unwrap_or(u64::MAX);
        loop {
            let path = self.ledger.path_of_task(names, task).map_err(|error| failed(&error))?;
            let request = Request { id, path: &path, amount, expires_ms: now_ms.saturating_add(within_ms) };
            return match self.ledger.dispatch(&request, now_ms) {
                Ok(()) => Ok(Reservation { id, amount }),
                // A configuration was taken over in between: each time the path is made by a later one.
                Err(LedgerError::Book(ReserveError::StalePath)) => continue,
                Err(LedgerError::Book(ReserveError::Refused(refusal))) => Err(Unreserved::Refused(refusal)),
                Err(error) => Err(failed(&error)),
            };
        }
    }

    /// Holds more for a call that costs more than was held for it.
    pub(crate) fn extend(&self, reservation: &mut Reservation, total: Nanodollars) -> Result<(), Unreserved> {
        match self.ledger.extend(reservation.id, total, clock::now_ms()) {
            Ok(()) => {
                reservation.amount = total;
                Ok(())
            }
            Err(LedgerError::Book(ReserveError::Refused(refusal))) => Err(Unreserved::Refused(refusal)),
            Err(error) => Err(Unreserved::Failed(error.to_string())),
        }
    }

    /// Settles. What was written survives the process at once, and the machine after the group's sync.
    pub(crate) fn post(&self, reservation: Reservation, settlement: Settlement, row: CallRow) -> Result<(), String> {
        let row = CallRow { reservation: reservation.id.0.to_be_bytes(), ..row };
        let posted = self.ledger.post(reservation.id, settlement, Some(row), clock::now_ms());
        self.released.notify_waiters();
        posted.map(|_ticket| ()).map_err(|error| error.to_string())
    }

    /// Waits until a reservation has ended, or for so long; whether one has.
    pub(crate) async fn wait_for_an_end(&self, patience: Duration) -> bool {
        tokio::time::timeout(patience, self.released.notified()).await.is_ok()
    }

    /// Ends what was lost; to be called about once a second.
    pub(crate) fn sweep(&self) -> Result<(), String> {
        self.ledger.sweep(clock::now_ms()).map(|_| ()).map_err(|error| error.to_string())
    }

    /// What each budget has left.
    pub(crate) fn budgets_left(&self) -> Vec<BudgetLeft> {
        self.ledger.budgets_left(clock::now_ms())
    }

    pub(crate) fn open_reservations(&self) -> usize {
        self.ledger.open_reservations()
    }

    pub(crate) fn waiting_batches(&self) -> usize {
        self.ledger.waiting_batches()
    }

    /// Waits until everything so far is on the disk.
    pub(crate) fn flush(&self) -> Result<(), String> {
        self.ledger.flush().map_err(|error| error.to_string())
    }

    /// What became of a dispatch or a task.
    pub(crate) fn record(&self, report: &Report) {
        self.ledger.outcome(report);
    }

    /// What somebody said became of a task, for the reports. It survives the process when this returns.
    pub(crate) fn note_outcome(&self, outcome: Outcome) -> Result<(), String> {
        self.ledger.note_outcome(outcome).map(|_ticket| ()).map_err(|error| error.to_string())
    }

    /// A decision was acted on, and the dispatch went nowhere.
    pub(crate) fn count_refused(&self, dispatch: &Dispatch) {
        self.ledger.count_decision(dispatch, true);
    }

    /// A dispatch went. What is not billed is not counted: an agent that counts tokens before each turn is not twice as fast.
    pub(crate) fn count_sent(&self, request: &ModelRequest, dispatch: &Dispatch, candidate: &Candidate) {
        if !request.endpoint.is_free() {
            self.ledger.count_decision(dispatch, false);
        }
        // A conversation does not stay with a model that embeds.
        if request.endpoint.writes() {
            self.ledger.remember_route(dispatch, candidate);
        }
    }

    pub(crate) fn finish_run(&self, run: tollgate_core::Reference) {
        self.ledger.finish_run(run);
    }

    /// What half of the answers of that model and task type stay below, in tokens.
    pub(crate) fn expected_output(&self, model: &str, task_type: &str) -> u64 {
        self.sketches().quantile(model, task_type, 500).output_tokens
    }

    /// Learns from an answer.
    pub(crate) fn observe_output(&self, model: &str, task_type: &str, tokens: u64) {
        self.sketches().observe(model, task_type, tokens);
    }

    fn sketches(&self) -> MutexGuard<'_, Sketches> {
        self.sketches.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
