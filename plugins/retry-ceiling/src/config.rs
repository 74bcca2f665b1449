//! What the retry ceiling can be told. Everything has a default, and every default its reason.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tollgate_sdk::{Span, Tokens};

/// One failure is an accident; a second one of the same tier says that the tier is not enough.
pub const ESCALATE_AFTER: u32 = 2;

/// A verifier that rejects has looked at the work, which is more than an error code says.
pub const ESCALATE_AFTER_REJECTIONS: u32 = 1;

/// The first two failures are answered by another attempt and a stronger tier; from the third on, time may help.
pub const BACK_OFF_AFTER: u32 = 3;

/// Longer than a hiccup, shorter than a person's patience.
pub const BACK_OFF_BASE: Span = Span::seconds(10);

/// A longer wait belongs to a human, not to a connection that is kept open.
pub const BACK_OFF_CAP: Span = Span::minutes(5);

/// Tasks that fail four times in a row hardly ever pass on the fifth: a person sees in a minute what the
/// loop would find out for hours.
pub const HOLD_AFTER: u32 = 4;

/// The strongest tier was rejected twice: nothing is left to raise.
pub const HOLD_AFTER_PREMIUM_REJECTIONS: u32 = 2;

/// Also with pauses between them, and also with approvals: this task does not work as it is written.
pub const REFUSE_AFTER: u32 = 6;

/// An attempt that ends within seconds has done no work: a broken checkout, a full quota, a missing key. One
/// is enough, because the next would end the same way.
pub const FAST_FAILURES: u32 = 1;

/// The very first attempt of a task may fail fast without anyone being called.
pub const FAST_FAILURES_FROM_ATTEMPT: u32 = 2;

/// Failing attempts that work until they are killed cost 15 minutes each; the second of them is the last that
/// nobody knows about.
pub const ELAPSED_CEILING: Span = Span::minutes(20);

/// A single long attempt is work, not a loop.
pub const ELAPSED_FROM_FAILURE: u32 = 2;

/// The same error, the same context or the same proposal for the third time is a loop.
pub const REPETITIONS: u32 = 3;

/// The same request runs into the same output limit: only another request can end otherwise.
pub const OUTPUT_LIMIT_REPETITIONS: u32 = 2;

/// The configuration of the retry ceiling.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Failed attempts since the last success after which the floor rises one tier above the one that failed.
    #[schemars(range(min = 1))]
    pub escalate_after: u32,
    /// Verifier rejections after which it does. Above 1, rejected work may go back to the tier that failed.
    #[schemars(range(min = 1))]
    pub escalate_after_rejections: u32,
    /// Failures in a row from which on every attempt waits.
    pub back_off: BackOff,
    /// Failures in a row after which a human decides.
    #[schemars(range(min = 1))]
    pub hold_after: u32,
    /// Verifier rejections after which a human decides where the premium tier failed too.
    #[schemars(range(min = 1))]
    pub hold_after_premium_rejections: u32,
    /// Failed attempts since the last success after which the task is refused, whoever approved it.
    #[schemars(range(min = 1))]
    pub refuse_after: u32,
    /// Attempts that fail at once.
    pub fast_failures: FastFailures,
    /// A task that goes on failing for too long.
    pub elapsed: Elapsed,
    /// Loops.
    pub repetitions: Repetitions,
    /// The most tokens that a dispatch of a task type may send, cached or not; `*` stands for any
    /// characters. A dispatch above it is refused: the task has to be split.
    pub context_ceilings: BTreeMap<String, Tokens>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            escalate_after: ESCALATE_AFTER,
            escalate_after_rejections: ESCALATE_AFTER_REJECTIONS,
            back_off: BackOff::default(),
            hold_after: HOLD_AFTER,
            hold_after_premium_rejections: HOLD_AFTER_PREMIUM_REJECTIONS,
            refuse_after: REFUSE_AFTER,
            fast_failures: FastFailures::default(),
            elapsed: Elapsed::default(),
            repetitions: Repetitions::default(),
            context_ceilings: BTreeMap::new(),
        }
    }
}

/// Waiting longer after every failure.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct BackOff {
    /// Failures in a row from which on an attempt waits.
    #[schemars(range(min = 1))]
    pub after: u32,
    /// The first wait, counted from the end of the last failure; each further failure doubles it. `"0s"`
    /// switches the rule off.
    pub base: Span,
    /// The longest wait.
    pub cap: Span,
}

impl Default for BackOff {
    fn default() -> Self {
        Self { after: BACK_OFF_AFTER, base: BACK_OFF_BASE, cap: BACK_OFF_CAP }
    }
}

/// Attempts that fail at once. What is fast is the host's to say: under 10 seconds unless configured.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct FastFailures {
    /// Whether the rule is on.
    pub enabled: bool,
    /// So many in a row at the end of the streak hold for a human.
    #[schemars(range(min = 1))]
    pub in_a_row: u32,
    /// Failed attempts below which the rule keeps quiet.
    #[schemars(range(min = 1))]
    pub from_attempt: u32,
}

impl Default for FastFailures {
    fn default() -> Self {
        Self { enabled: true, in_a_row: FAST_FAILURES, from_attempt: FAST_FAILURES_FROM_ATTEMPT }
    }
}

/// A task that goes on failing for too long.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Elapsed {
    /// Whether the rule is on.
    pub enabled: bool,
    /// How long, from the start of the streak's first attempt.
    pub ceiling: Span,
    /// Failures in a row below which the rule keeps quiet.
    #[schemars(range(min = 1))]
    pub from_failure: u32,
}

impl Default for Elapsed {
    fn default() -> Self {
        Self { enabled: true, ceiling: ELAPSED_CEILING, from_failure: ELAPSED_FROM_FAILURE }
    }
}

/// What happens to each kind of loop.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Repetitions {
    /// The same failure fingerprint in a row.
    pub same_failure: Loop,
    /// A timeout, and the same context again.
    pub timed_out_context: Loop,
    /// Stopped at the output limit, and the same request again.
    pub output_limit: Loop,
    /// The same proposal again, without progress.
    pub same_proposal: Loop,
}

/// A loop, and what ends it. Both are given together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Loop {
    /// How many times in a row are a loop.
    #[schemars(range(min = 1))]
    pub times: u32,
    /// What happens then.
    pub then: Ending,
}

/// What ends a loop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Ending {
    /// Nothing does.
    Ignore,
    /// A human decides.
    Hold,
    /// Not without a change.
    Refuse,
}

/// A human may see a way out of most loops. Not of the output limit: nobody's approval makes the answer
/// shorter, but other parameters are another request.
impl Default for Repetitions {
    fn default() -> Self {
        let hold = Loop { times: REPETITIONS, then: Ending::Hold };
        Self {
            same_failure: hold,
            timed_out_context: hold,
            output_limit: Loop { times: OUTPUT_LIMIT_REPETITIONS, then: Ending::Refuse },
            same_proposal: hold,
        }
    }
}
