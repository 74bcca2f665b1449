//! The failed attempts of one task, and the loop it is in.

use serde::{Deserialize, Serialize};

use super::{Failure, Report, Status};
use crate::config::AttemptRules;
use crate::{Attempts, Repetition, Tier};

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct TaskHistory {
    failed: u32,
    rejections: u32,
    failed_tier: Option<Tier>,
    streak: Option<Streak>,
    proposal: Option<(u64, u32)>,
}

/// Failures without an idle gap between one and the next.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Streak {
    length: u32,
    started_ms: u64,
    ended_ms: u64,
    fast: u32,
    last: Status,
    last_context: Option<u64>,
    repetition: Repetition,
    repetitions: u32,
}

impl TaskHistory {
    pub(super) fn attempts(&self, rules: &AttemptRules, now_ms: u64) -> Attempts {
        let mut attempts = Attempts {
            failed: self.failed,
            rejections: self.rejections,
            failed_tier: self.failed_tier,
            ..Attempts::default()
        };
        if let Some(streak) = &self.streak {
            attempts.since_failure_ms = now_ms.saturating_sub(streak.ended_ms);
            if attempts.since_failure_ms <= rules.idle.as_u64() {
                attempts.streak = streak.length;
                attempts.streak_elapsed_ms = now_ms.saturating_sub(streak.started_ms);
                attempts.fast_failures = streak.fast;
                attempts.repetition = streak.repetition;
                attempts.repetitions = streak.repetitions;
            }
        }
        if let Some((_, times)) = self.proposal
            && times > attempts.repetitions
        {
            attempts.repetition = Repetition::SameProposal;
            attempts.repetitions = times;
        }
        attempts
    }

    pub(super) fn record(&mut self, report: &Report, rules: &AttemptRules) {
        self.record_proposal(report);
        match report.status {
            Status::Succeeded => {
                self.failed = 0;
                self.rejections = 0;
                self.failed_tier = None;
                self.streak = None;
            }
            Status::Unreported | Status::ProviderUnavailable => {}
            Status::Rejected => {
                self.rejections = self.rejections.saturating_add(1);
                self.fail(report, rules);
            }
            Status::Failed(_) => self.fail(report, rules),
        }
    }

    fn fail(&mut self, report: &Report, rules: &AttemptRules) {
        self.failed = self.failed.saturating_add(1);
        self.failed_tier = self.failed_tier.max(report.tier);
        let fast = report.ended_ms.saturating_sub(report.started_ms) < rules.fast.as_u64();
        let going_on = self
            .streak
            .take()
            .filter(|streak| report.started_ms.saturating_sub(streak.ended_ms) <= rules.idle.as_u64());
        self.streak = Some(match going_on {
            Some(streak) => streak.and(report, fast),
            None => Streak::begin(report, fast),
        });
    }

    /// The same proposal again is a loop only while it makes no progress.
    fn record_proposal(&mut self, report: &Report) {
        let Some(proposal) = report.proposal else {
            return;
        };
        let unproductive = report.productive == Some(false) || report.status != Status::Succeeded;
        self.proposal = match self.proposal {
            _ if !unproductive => None,
            Some((same, times)) if same == proposal => Some((same, times.saturating_add(1))),
            _ => Some((proposal, 1)),
        };
    }
}

impl Streak {
    fn begin(report: &Report, fast: bool) -> Self {
        Self {
            length: 1,
            started_ms: report.started_ms,
            ended_ms: report.ended_ms,
            fast: u32::from(fast),
            last: report.status,
            last_context: report.context,
            repetition: Repetition::None,
            repetitions: 1,
        }
    }

    fn and(mut self, report: &Report, fast: bool) -> Self {
        let repetition = self.repetition_with(report);
        self.repetitions = match repetition {
            Repetition::None => 1,
            same if same == self.repetition || self.repetition == Repetition::None => {
                self.repetitions.saturating_add(1)
            }
            _ => 2,
        };
        self.repetition = repetition;
        self.length = self.length.saturating_add(1);
        self.fast = if fast { self.fast.saturating_add(1) } else { 0 };
        self.ended_ms = self.ended_ms.max(report.ended_ms);
        self.last = report.status;
        self.last_context = report.context;
        self
    }

    fn repetition_with(&self, report: &Report) -> Repetition {
        if self.last != report.status {
            return Repetition::None;
        }
        let same_context = self.last_context.is_some() && self.last_context == report.context;
        match report.status {
            Status::Failed(Failure::Timeout) if same_context => Repetition::TimedOutContext,
            Status::Failed(Failure::OutputLimit) if same_context => Repetition::OutputLimit,
            Status::Failed(_) => Repetition::SameFailure,
            _ => Repetition::None,
        }
    }
}
