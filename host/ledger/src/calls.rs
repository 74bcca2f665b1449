//! What is known about a call beyond its money: what reports are made of.

use serde::{Deserialize, Serialize};
use tollgate_core::{Nanodollars, Usage};

/// One settled call, or one recorded invocation.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Call {
    /// The reservation it was charged by.
    pub reservation: [u8; 16],
    /// When it began, in milliseconds since the Unix epoch.
    pub started_ms: u64,
    /// How long it took, in milliseconds.
    pub duration_ms: u64,
    /// The agent session.
    pub run: String,
    /// What it worked on.
    pub task: String,
    /// What owns the task.
    pub work_item: Option<String>,
    /// Whose key it was.
    pub user: Option<String>,
    /// What kind of task.
    pub task_type: Option<String>,
    /// The pipeline step.
    pub stage: Option<String>,
    /// What answered.
    pub model: Option<String>,
    /// The class of capability it belongs to.
    pub tier: Option<String>,
    /// The n-th call for its task.
    pub attempt: Option<u32>,
    /// How it ended.
    pub status: CallStatus,
    /// Whether it changed anything, where that is known.
    pub productive: Option<bool>,
    /// What it used; nothing where nobody said.
    pub usage: Option<Usage>,
    /// What it cost.
    pub cost: Nanodollars,
    /// Whether that is an estimate.
    pub estimated: bool,
    /// Lines of product code it added, less those it took away.
    pub lines_production: Option<i64>,
    /// Lines of tests, likewise.
    pub lines_test: Option<i64>,
    /// The size of its work item, in the owner's words.
    pub size: Option<String>,
    /// Where it can be looked up.
    pub trace_id: Option<String>,
}

impl Call {
    /// Whether nobody knows what it cost: then its cost is written as nothing, and is none.
    #[must_use]
    pub fn is_of_unknown_cost(&self) -> bool {
        self.estimated && self.cost == Nanodollars::ZERO
    }
}

/// What somebody said became of a task. It is about the last call of its run and task that began until then, and the last word on a
/// call stands: the same said again changes nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// When it was said, in milliseconds since the Unix epoch.
    pub at_ms: u64,
    /// The agent session.
    pub run: String,
    /// What it worked on.
    pub task: String,
    /// How it ended.
    pub status: CallStatus,
    /// Whether it changed anything, where that was said.
    pub productive: Option<bool>,
    /// Lines of product code it added, less those it took away.
    pub lines_production: Option<i64>,
    /// Lines of tests, likewise.
    pub lines_test: Option<i64>,
    /// Whose key said so.
    pub author: String,
}

/// How a call ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CallStatus {
    /// It is not known.
    #[default]
    Unknown,
    /// Well.
    Success,
    /// It failed.
    Failed,
    /// Well, and a verifier rejected the work.
    Rejected,
}

impl CallStatus {
    /// The word in storage and exports.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Success => "success",
            Self::Failed => "failed",
            Self::Rejected => "rejected",
        }
    }

    /// From storage; another word is unknown.
    #[must_use]
    pub fn from_word(word: &str) -> Self {
        match word {
            "success" => Self::Success,
            "failed" => Self::Failed,
            "rejected" => Self::Rejected,
            _ => Self::Unknown,
        }
    }
}
