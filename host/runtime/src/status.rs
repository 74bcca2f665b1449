//! What runs in a host and how it fares, for people and for whoever watches.

use tollgate_core::config::PolicyMode;

use crate::cause::Cause;
use crate::generation::Generation;
use crate::host::Host;
use crate::observe::PurityStatus;
use crate::quarantine::Service;
use crate::reload::FailedReload;

/// What a host's policies are and how they fare.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Status {
    /// The generation that decides.
    pub running: GenerationStatus,
    /// Why it does: what loaded it, or who went back to it.
    pub because: Cause,
    /// Those that can be gone back to, the latest first.
    pub earlier: Vec<GenerationStatus>,
    /// The last configuration that was not taken, unless one was since.
    pub last_failure: Option<FailedReload>,
    /// How the purity check fares.
    pub purity: PurityStatus,
}

/// One generation.
#[derive(Clone, Debug, serde::Serialize)]
pub struct GenerationStatus {
    /// Its number, which decisions carry.
    pub id: u64,
    /// Who or what had it loaded.
    pub cause: Cause,
    /// When, in milliseconds since the Unix epoch.
    pub loaded_ms: u64,
    /// Its policies, in the order of the configuration.
    pub policies: Vec<PolicyStatus>,
}

/// One policy of a generation.
#[derive(Clone, Debug, serde::Serialize)]
pub struct PolicyStatus {
    /// As the configuration calls it.
    pub policy: String,
    /// The plugin's own name and version.
    pub plugin: String,
    /// Its version.
    pub version: String,
    /// The digest of its file.
    pub digest: String,
    /// Whether its verdicts count.
    pub mode: &'static str,
    /// How it fares.
    pub service: Service,
    /// The digest of the version that stands in when it fails, where there is one.
    pub last_good: Option<String>,
}

impl Host {
    /// What runs, since when and why, what can be gone back to, and which policies are left alone.
    #[must_use]
    pub fn status(&self) -> Status {
        let (running, because, earlier) = self.live.generations();
        Status {
            running: GenerationStatus::of(&running),
            because,
            earlier: earlier.iter().map(|earlier| GenerationStatus::of(earlier)).collect(),
            last_failure: self.reloads.last_failure(),
            purity: self.observer.status(),
        }
    }
}

impl GenerationStatus {
    fn of(generation: &Generation) -> Self {
        let policies = (0_u16..).zip(generation.policies()).map(|(index, policy)| {
            let about = policy.about();
            PolicyStatus {
                policy: about.policy.clone(),
                plugin: about.plugin.clone(),
                version: about.version.clone(),
                digest: about.digest.to_string(),
                mode: match policy.mode {
                    PolicyMode::Enforce => "enforce",
                    PolicyMode::Shadow => "shadow",
                },
                service: policy.watch.service(),
                last_good: generation
                    .last_good(tollgate_core::PolicyIndex(index))
                    .map(|last_good| last_good.about().digest.to_string()),
            }
        });
        Self {
            id: generation.id,
            cause: generation.cause.clone(),
            loaded_ms: generation.loaded_ms,
            policies: policies.collect(),
        }
    }
}
