//! Dispatches that a policy holds until a human says yes or no. A held dispatch is told at once where to ask, or waits as long as
//! its caller wants to; whoever is held for the same joins what is pending. What is pending is bounded in number and time, and
//! outlasts a restart.

mod document;
mod hold;

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, watch};

pub use document::{ApprovalDocument, ApprovalState, Verdict};
pub(crate) use hold::{Held, hold};

use crate::private_file;

/// The most that are known at once, decided ones included.
const MAX_APPROVALS: usize = 1_000;
/// How long something is pending after it was last asked for: a weekend, and a day.
const PENDING_MS: u64 = 3 * 24 * 3_600_000;

/// What was asked for, and what became of it.
#[derive(Debug)]
pub(crate) struct Approvals {
    file: PathBuf,
    known: Mutex<HashMap<String, ApprovalDocument>>,
    /// Rung when one is decided.
    decided: watch::Sender<()>,
    /// Notified when there is something to be written down.
    pub(crate) news: Notify,
    unsaved: AtomicBool,
}

/// What a dispatch is held for: the same policy, for the same reason, in the same task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Question {
    pub(crate) run: String,
    pub(crate) task: String,
    pub(crate) work_item: Option<String>,
    pub(crate) task_type: Option<String>,
    pub(crate) policy: String,
    /// The name of the reason.
    pub(crate) rule: String,
    /// The reason in words, with its numbers.
    pub(crate) reason: String,
    /// What would be reserved for it, at least, in nanodollars.
    pub(crate) needs: u64,
}

/// As many as there may be are pending.
#[derive(Debug, thiserror::Error)]
#[error("{MAX_APPROVALS} approvals are pending: decide some with `tollgate approvals`")]
pub(crate) struct TooMany;

/// Why one was not decided.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum DecideError {
    #[error("there is no approval `{0}`: `tollgate approvals` lists those that are pending")]
    Unknown(String),
    #[error("`{0}` has been decided: {1}")]
    Decided(String, ApprovalState),
}

impl Approvals {
    /// What the last process left in a data folder.
    pub(crate) fn open(data: &Path) -> io::Result<Self> {
        let file = data.join("approvals.json");
        let known: Vec<ApprovalDocument> = private_file::read(&file)?;
        let known = known.into_iter().map(|document| (document.id.clone(), document)).collect();
        Ok(Self {
            file,
            known: Mutex::new(known),
            decided: watch::Sender::new(()),
            news: Notify::new(),
            unsaved: AtomicBool::new(false),
        })
    }

    /// What is known about a question: a new one is pending from now on, one that is pending is joined. One that was approved
    /// and is asked again was not approved far enough, so it is pending anew.
    pub(crate) fn ask(&self, question: &Question, now_ms: u64) -> Result<ApprovalDocument, TooMany> {
        let mut known = self.known();
        known.retain(|_, document| now_ms < document.ends_ms);
        let same =
            |document: &&mut ApprovalDocument| document.asks(question) && document.state != ApprovalState::Approved;
        let full = known.len() >= MAX_APPROVALS;
        let document = match known.values_mut().find(same) {
            Some(document) => {
                document.asked_again(question, now_ms);
                document.clone()
            }
            None if full => return Err(TooMany),
            None => {
                let id = format!("ap-{:016x}", crate::random_id() >> 64);
                let document = ApprovalDocument::new(id.clone(), question, now_ms, PENDING_MS);
                known.insert(id, document.clone());
                document
            }
        };
        drop(known);
        self.tell();
        Ok(document)
    }

    /// One, as it is now.
    pub(crate) fn get(&self, id: &str, now_ms: u64) -> Option<ApprovalDocument> {
        self.known().get(id).filter(|document| now_ms < document.ends_ms).cloned()
    }

    /// All of them, the latest asked for first.
    pub(crate) fn list(&self, now_ms: u64) -> Vec<ApprovalDocument> {
        let mut list: Vec<_> = self.known().values().filter(|document| now_ms < document.ends_ms).cloned().collect();
        list.sort_by(|one, other| (other.last_asked_ms, &other.id).cmp(&(one.last_asked_ms, &one.id)));
        list
    }

    /// Takes down what was decided about one that is pending, for as long as that holds. What it was, and what it is.
    pub(crate) fn decide(
        &self,
        id: &str,
        verdict: Verdict,
        now_ms: u64,
    ) -> Result<(ApprovalDocument, ApprovalDocument), DecideError> {
        let mut known = self.known();
        let document = known.get_mut(id).filter(|document| now_ms < document.ends_ms);
        let document = document.ok_or_else(|| DecideError::Unknown(id.to_owned()))?;
        if document.state != ApprovalState::Pending {
            return Err(DecideError::Decided(id.to_owned(), document.state));
        }
        let before = document.clone();
        document.decide(verdict);
        let after = document.clone();
        drop(known);
        self.decided.send_replace(());
        self.tell();
        Ok((before, after))
    }

    /// Rings whenever one is decided.
    pub(crate) fn decisions(&self) -> watch::Receiver<()> {
        self.decided.subscribe()
    }

    /// Writes them down. To be called by one at a time.
    pub(crate) fn save(&self, now_ms: u64) -> io::Result<()> {
        self.unsaved.store(false, Ordering::Relaxed);
        private_file::replace(&self.file, &self.list(now_ms))
            .inspect_err(|_| self.unsaved.store(true, Ordering::Relaxed))
    }

    /// Writes down what was not yet.
    pub(crate) fn save_news(&self, now_ms: u64) -> io::Result<()> {
        if self.unsaved.load(Ordering::Relaxed) { self.save(now_ms) } else { Ok(()) }
    }

    fn tell(&self) {
        self.unsaved.store(true, Ordering::Relaxed);
        self.news.notify_one();
    }

    fn known(&self) -> MutexGuard<'_, HashMap<String, ApprovalDocument>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn question(task: &str) -> Question {
        Question {
            run: "r".to_owned(),
            task: task.to_owned(),
            work_item: None,
            task_type: None,
            policy: "budget".to_owned(),
            rule: "budget-limit".to_owned(),
            reason: "budget-limit: 1.00 USD of 0.50 USD".to_owned(),
            needs: 5,
        }
    }

    fn verdict(state: ApprovalState, until_ms: u64) -> Verdict {
        Verdict { state, by: "ada".into(), reason: "fine".into(), at_ms: 2, until_ms, amount: None, beneficiary: None }
    }

    #[test]
    fn the_same_question_joins_what_is_pending_and_outlasts_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let approvals = Approvals::open(folder.path()).unwrap();
        let first = approvals.ask(&question("t"), 1).unwrap();
        let again = approvals.ask(&Question { needs: 9, ..question("t") }, 2).unwrap();
        assert_eq!((&again.id, again.asked, again.asked_ms, again.last_asked_ms), (&first.id, 2, 1, 2));
        assert_ne!(approvals.ask(&question("u"), 3).unwrap().id, first.id);
        approvals.save(4).unwrap();
        let restored = Approvals::open(folder.path()).unwrap();
        assert_eq!(restored.list(4), approvals.list(4));
        assert_eq!(restored.ask(&question("t"), 5).unwrap().id, first.id);
    }

    #[test]
    fn what_was_denied_stays_denied_and_what_was_approved_is_asked_anew() {
        let folder = tempfile::tempdir().unwrap();
        let approvals = Approvals::open(folder.path()).unwrap();
        let id = approvals.ask(&question("t"), 1).unwrap().id;
        approvals.decide(&id, verdict(ApprovalState::Denied, 100), 2).unwrap();
        assert_eq!(approvals.ask(&question("t"), 99).unwrap().state, ApprovalState::Denied);
        assert_eq!(
            approvals.decide(&id, verdict(ApprovalState::Approved, 100), 3),
            Err(DecideError::Decided(id.clone(), ApprovalState::Denied))
        );
        let next = approvals.ask(&question("t"), 100).unwrap();
        assert_eq!((next.state, next.id == id), (ApprovalState::Pending, false));
        approvals.decide(&next.id, verdict(ApprovalState::Approved, 200), 101).unwrap();
        assert_eq!(approvals.ask(&question("t"), 102).unwrap().state, ApprovalState::Pending, "it was not enough");
        assert_eq!(
            approvals.decide("ap-0", verdict(ApprovalState::Denied, 9), 1),
            Err(DecideError::Unknown("ap-0".into()))
        );
    }

    #[test]
    fn they_are_bounded_in_number_and_time() {
        let folder = tempfile::tempdir().unwrap();
        let approvals = Approvals::open(folder.path()).unwrap();
        for task in 0..MAX_APPROVALS {
            approvals.ask(&question(&task.to_string()), 1).unwrap();
        }
        assert!(approvals.ask(&question("late"), 1).is_err());
        assert!(approvals.ask(&question("0"), 2).is_ok(), "one that is pending is joined all the same");
        assert!(approvals.ask(&question("late"), 1 + PENDING_MS).is_ok());
        assert_eq!(approvals.list(1 + PENDING_MS).len(), 2, "the others were not asked for any more");
    }
}
