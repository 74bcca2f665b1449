//! What an operator writes about changing policies while the host runs: how many generations stay, when a policy
//! is quarantined, how often purity is checked, and what becomes of a candidate.

use serde::Deserialize;

use super::{Configuration, ConfigurationError, PolicyConfiguration};
use crate::Milliseconds;

/// Generations and files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ReloadRules {
    /// How many earlier generations stay, to go back to. Four: each keeps its compiled code, some megabytes.
    pub keep: u8,
    /// How often the watched files are looked at. A second: a look is a few calls to the file system.
    pub look: Milliseconds,
}

impl Default for ReloadRules {
    fn default() -> Self {
        Self { keep: 4, look: Milliseconds::new(1_000) }
    }
}

/// When a policy that fails is no longer asked. One dispatch that was made for it must not shut the door for all: what
/// counts is failures on dispatches of several keys, and more of them than a share of its evaluations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct QuarantineRules {
    /// How many different keys the failures of a window have to come from; at most [`QuarantineRules::MAX_KEYS`].
    pub keys: u8,
    /// Of how many thousandths of its evaluations in the window more have to fail.
    pub share_permille: u16,
    /// How long failures count together.
    pub window: Milliseconds,
    /// How long a policy is left alone the first time; twice as long each further time, unless it was good for as long
    /// as it was left alone.
    pub back_off: Milliseconds,
    /// The longest it is left alone.
    pub back_off_max: Milliseconds,
}

impl QuarantineRules {
    /// The most keys that are told apart.
    pub const MAX_KEYS: u8 = 16;

    /// How long a policy is left alone the nth time in a row, beginning with 1, in milliseconds.
    #[must_use]
    pub fn back_off_ms(&self, times: u32) -> u64 {
        let doubled = 1_u64.checked_shl(times.saturating_sub(1)).unwrap_or(u64::MAX);
        // What is left alone for no time at all would never be seen to be.
        self.back_off.as_u64().saturating_mul(doubled).min(self.back_off_max.as_u64()).max(1)
    }
}

impl Default for QuarantineRules {
    fn default() -> Self {
        Self {
            keys: 3,
            share_permille: 5,
            window: Milliseconds::new(60_000),
            back_off: Milliseconds::new(30_000),
            back_off_max: Milliseconds::new(3_600_000),
        }
    }
}

/// How often a decision is made again, off the hot path and on fresh instances, to see whether the policies are pure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PurityRules {
    /// One decision of this many; 0 for none.
    pub every: u32,
}

impl Default for PurityRules {
    fn default() -> Self {
        Self { every: 10_000 }
    }
}

/// How a candidate is compared with what runs, and what becomes of it without a word from an operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CandidateRules {
    /// One decision of this many is made by the candidate as well; 1 for each.
    pub every: u32,
    /// After this many compared decisions it is promoted if it agrees often enough; nothing for never by itself.
    pub promote_after: Option<u64>,
    /// How often it has to agree for that, in thousandths.
    pub agreement_permille: u16,
    /// It is discarded once this many of its evaluations failed; nothing for never by itself.
    pub discard_after_failures: Option<u64>,
}

impl Default for CandidateRules {
    fn default() -> Self {
        Self { every: 1, promote_after: None, agreement_permille: 1_000, discard_after_failures: Some(3) }
    }
}

/// Another version of a policy, beside the one that runs. What is not said is as in the policy itself.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CandidateConfiguration {
    /// Another component.
    pub component: Option<String>,
    /// `sha256:…` of that file.
    pub digest: Option<String>,
    /// Another configuration, in place of the whole of the policy's.
    pub config: Option<toml::Table>,
}

impl Configuration {
    pub(super) fn check_reload_rules(&self) -> Result<(), ConfigurationError> {
        let in_range = |holds: bool, key, value: String, advice| {
            if holds { Ok(()) } else { Err(ConfigurationError::OutOfRange { key, value, advice }) }
        };
        let (keys, every) = (self.quarantine.keys, self.candidate.every);
        let agreement = self.candidate.agreement_permille;
        let keys_advice = "at least 1 and at most 16 keys are told apart";
        in_range((1..=QuarantineRules::MAX_KEYS).contains(&keys), "quarantine.keys", keys.to_string(), keys_advice)?;
        let every_advice = "1 compares each decision; leave out the candidate to compare none";
        in_range(every > 0, "candidate.every", every.to_string(), every_advice)?;
        let agreement_advice = "1000 thousandths are every decision";
        in_range(agreement <= 1_000, "candidate.agreement_permille", agreement.to_string(), agreement_advice)?;
        let look = self.reload.look;
        in_range(look.as_u64() > 0, "reload.look", look.to_string(), "files are looked at after at least 1ms")
    }

    /// This configuration with every policy's candidate in its place; nothing where no policy has one.
    #[must_use]
    pub fn with_candidates(&self) -> Option<Self> {
        self.policies.iter().any(|policy| policy.candidate.is_some()).then(|| Self {
            policies: self.policies.iter().map(PolicyConfiguration::promoted).collect(),
            ..self.clone()
        })
    }
}

impl PolicyConfiguration {
    fn promoted(&self) -> Self {
        let mut promoted = Self { candidate: None, ..self.clone() };
        if let Some(candidate) = &self.candidate {
            if candidate.component.is_some() {
                promoted.component.clone_from(&candidate.component);
                promoted.digest.clone_from(&candidate.digest);
            }
            if candidate.digest.is_some() {
                promoted.digest.clone_from(&candidate.digest);
            }
            if let Some(config) = &candidate.config {
                promoted.config.clone_from(config);
            }
        }
        promoted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_candidate_takes_the_place_of_its_policy() -> Result<(), ConfigurationError> {
        let configuration = Configuration::parse(
            r#"
            version = 1
            [[policy]]
            name = "budget"
            digest = "sha256:00"
            config = { ceiling = 1 }
            candidate = { component = "./next.wasm" }
            [[policy]]
            name = "routing"
            "#,
        )?;
        let candidates = configuration.with_candidates().expect("one policy has one");
        assert_eq!(candidates.policies[0].component(), "./next.wasm");
        assert_eq!(candidates.policies[0].digest, None, "the pin was of the other file");
        assert_eq!(candidates.policies[0].config, configuration.policies[0].config);
        assert_eq!(candidates.policies[1], configuration.policies[1]);
        assert_eq!(candidates.with_candidates(), None);
        Ok(())
    }

    #[test]
    fn each_time_in_a_row_is_twice_as_long_up_to_the_longest() {
        let rules = QuarantineRules::default();
        assert_eq!(
            [1, 2, 3, 8, 60, 200].map(|times| rules.back_off_ms(times)),
            [30_000, 60_000, 120_000, 3_600_000, 3_600_000, 3_600_000]
        );
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        for (text, says) in [
            ("[quarantine]\nkeys = 0", "`quarantine.keys = 0`"),
            ("[quarantine]\nkeys = 17", "at most 16"),
            ("[candidate]\nevery = 0", "`candidate.every = 0`"),
            ("[candidate]\nagreement_permille = 1001", "`candidate.agreement_permille = 1001`"),
            ("[reload]\nlook = \"0s\"", "`reload.look = 0d`"),
        ] {
            let message = Configuration::parse(&format!("version = 1\n{text}")).map_err(|error| error.to_string());
            assert!(message.as_ref().is_err_and(|message| message.contains(says)), "{text}: {message:?}");
        }
    }
}
