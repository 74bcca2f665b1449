//! Candidates at the host: propose one, look at it, promote it, discard it.

use std::sync::Arc;

use tollgate_core::Configuration;

use crate::candidate::{CandidateReport, Trial};
use crate::cause::Cause;
use crate::host::Host;
use crate::live::Superseded;
use crate::reload::ReloadError;

/// Why a candidate was not promoted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PromotionError {
    /// There is none.
    #[error("no candidate is under way: propose one, or reload a configuration with a `candidate` in a [[policy]]")]
    NoCandidate,
    /// Another generation runs than the one it was compared with.
    #[error("another generation took over meanwhile: the candidate was not compared with it")]
    Superseded,
}

impl Host {
    /// Loads this configuration on the calling thread and lets it decide what the running generation decides, off the hot
    /// path, changing nothing. It takes the place of a candidate that is under way. Returns the candidate's number.
    ///
    /// # Errors
    /// When it cannot be loaded. A candidate that is under way stays then.
    pub fn propose(&self, configuration: &Configuration, cause: Cause) -> Result<u64, ReloadError> {
        let result = self.start_trial(configuration, cause.clone());
        self.reloaded(result, cause)
    }

    fn start_trial(&self, configuration: &Configuration, cause: Cause) -> Result<u64, ReloadError> {
        let _one_at_a_time = self.reloads.one_at_a_time();
        let before = self.live.running_in_full();
        let names = self.reloads.draft_of_names();
        let candidate = Arc::new(self.reloads.load(configuration, &names, cause, &before)?);
        let id = candidate.id;
        let trial = Arc::new(Trial::new(candidate));
        self.live.begin_trial(trial, &before).map_err(|Superseded| ReloadError::Superseded)?;
        names.keep();
        Ok(id)
    }

    /// How the candidate that is under way compares, once every decision so far was looked at.
    #[must_use]
    pub fn candidate(&self) -> Option<CandidateReport> {
        self.observer.catch_up();
        self.live.trial().map(|trial| trial.report())
    }

    /// Lets the candidate decide from now on. Returns its number.
    ///
    /// # Errors
    /// When there is none, or it was compared with another generation than the one that runs.
    pub fn promote(&self, by: &str) -> Result<u64, PromotionError> {
        let trial = self.live.trial().ok_or(PromotionError::NoCandidate)?;
        let promoted = self.live.promote(&trial, by).map_err(|Superseded| PromotionError::Superseded);
        self.live.sweep();
        promoted
    }

    /// Gives the candidate up. Its report, where there was one.
    pub fn discard(&self, by: &str) -> Option<CandidateReport> {
        let trial = self.live.trial()?;
        self.live.discard(&trial, &format!("discarded by {by}"));
        Some(trial.report())
    }
}
