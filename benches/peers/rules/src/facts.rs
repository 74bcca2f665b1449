//! What is known about one dispatch.

use serde::{Deserialize, Serialize};

/// Candidates and scopes of every dispatch.
pub const CANDIDATES: usize = 8;
pub const SCOPES: usize = 5;

macro_rules! scalars {
    ($($(#[$about:meta])* $name:ident),* $(,)?) => {
        /// One dispatch.
        #[derive(Clone, Debug, Default, Serialize, Deserialize)]
        pub struct Facts {
            $($(#[$about])* pub $name: i64,)*
            pub candidates: [Candidate; CANDIDATES],
            pub scopes: [Scope; SCOPES],
        }

        /// The names of what is one number.
        pub const SCALARS: [&str; 21] = [$(stringify!($name)),*];

        impl Facts {
            /// The numbers, in the order of [`SCALARS`].
            #[must_use]
            pub const fn scalars(&self) -> [i64; SCALARS.len()] {
                [$(self.$name),*]
            }
        }
    };
}

scalars! {
    /// A switch covers it. The peers are told; the host looks it up among the engaged switches.
    covered,
    approved,
    /// 0 is low.
    priority,
    waited_ms,
    /// Its place in the table of tiers.
    task_type,
    run_cost,
    run_per_minute,
    task_type_p95,
    finished_runs,
    attempts,
    streak,
    streak_elapsed_ms,
    since_failure_ms,
    fast_failures,
    rejections,
    failed_tier,
    /// The kind of loop: 1 and up.
    repetition,
    repetitions,
    requested_tier,
    /// The index of the candidate that has the run's prompt cache.
    sticky,
    /// What the tightest scope can pay.
    affordable,
}

/// Where it could go.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct Candidate {
    pub tier: i64,
    pub cost: i64,
    /// 0 is healthy, 1 degraded, 2 down.
    pub health: i64,
    pub local: i64,
    pub warm: i64,
    pub free_slots: i64,
}

/// Who pays.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct Scope {
    /// Spent and reserved.
    pub committed: i64,
    pub limit: i64,
    pub hard: i64,
}

impl Candidate {
    pub const NAMES: [&str; 6] = ["tier", "cost", "health", "local", "warm", "free_slots"];

    /// The numbers, in the order of [`Self::NAMES`].
    #[must_use]
    pub const fn numbers(&self) -> [i64; Self::NAMES.len()] {
        [self.tier, self.cost, self.health, self.local, self.warm, self.free_slots]
    }
}

impl Scope {
    pub const NAMES: [&str; 3] = ["committed", "limit", "hard"];

    /// The numbers, in the order of [`Self::NAMES`].
    #[must_use]
    pub const fn numbers(&self) -> [i64; Self::NAMES.len()] {
        [self.committed, self.limit, self.hard]
    }
}
