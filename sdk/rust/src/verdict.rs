//! Verdicts as people read them: `raise-floor (premium)`.

use std::fmt;

use crate::kill_switch::{Selector, Trip};
use crate::{ScopeKind, SwitchMode, Tier, budget, kill_switch, retry_ceiling, routing};

impl fmt::Display for kill_switch::Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Proceed => f.write_str("proceed"),
            Self::Stop(reason) => write!(f, "stop ({reason})"),
            Self::Trip(Trip { selector, mode, time_to_live, reason }) => {
                write!(f, "trip ({selector}, {mode}, for {time_to_live}: {reason})")
            }
        }
    }
}

impl fmt::Display for retry_ceiling::Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Proceed => f.write_str("proceed"),
            Self::RaiseFloor(tier) => write!(f, "raise-floor ({tier})"),
            Self::BackOff(wait) => write!(f, "back-off ({wait})"),
            Self::HoldForHuman(reason) => write!(f, "hold-for-human ({reason})"),
            Self::Refuse(reason) => write!(f, "refuse ({reason})"),
        }
    }
}

impl fmt::Display for routing::Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UseCandidate(index) => write!(f, "use-candidate ({index})"),
            Self::NoOpinion => f.write_str("no-opinion"),
            Self::Refuse(reason) => write!(f, "refuse ({reason})"),
        }
    }
}

impl fmt::Display for budget::Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Proceed => f.write_str("proceed"),
            Self::Slow(wait) => write!(f, "slow ({wait})"),
            Self::CapOutput(tokens) => write!(f, "cap-output ({} tokens)", tokens.0),
            Self::HoldForApproval(reason) => write!(f, "hold-for-approval ({reason})"),
            Self::Refuse(reason) => write!(f, "refuse ({reason})"),
        }
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Everything => f.write_str("everything"),
            Self::Scope(kind) => write!(f, "scope {kind}"),
            Self::Model(model) => write!(f, "model {model:?}"),
            Self::TaskType(task_type) => write!(f, "task type {task_type:?}"),
        }
    }
}

/// The words of the contract.
macro_rules! in_words {
    ($($name:ident { $($word:ident = $text:literal),+ })+) => {$(
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self { $(Self::$word => $text),+ })
            }
        }
    )+};
}

in_words! {
    Tier { Low = "low", Middle = "middle", Premium = "premium" }
    SwitchMode { Drain = "drain", Cut = "cut" }
    ScopeKind {
        Organisation = "organisation", Team = "team", Project = "project", WorkItem = "work-item", Run = "run",
        User = "user", Key = "key"
    }
}
