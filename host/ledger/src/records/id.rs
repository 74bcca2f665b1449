//! What a decision is called.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A decision's name: which recorder, and its how-manieth decision, counted from 1. Written
/// `019be1f0c2a0b3d4-17`. Later recorders have greater names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DecisionId {
    pub(crate) session: u64,
    pub(crate) number: u64,
}

impl DecisionId {
    /// Which decision of its recorder, from 1. Numbers that are missing in the records were lost.
    #[must_use]
    pub const fn number(self) -> u64 {
        self.number
    }
}

impl fmt::Display for DecisionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}-{}", self.session, self.number)
    }
}

/// Text that is no decision's name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no decision id: it is written `019be1f0c2a0b3d4-17`, as `tollgate log` prints it")]
pub struct DecisionIdError(String);

impl FromStr for DecisionId {
    type Err = DecisionIdError;

    fn from_str(text: &str) -> Result<Self, DecisionIdError> {
        let parse = || {
            let (session, number) = text.split_once('-').filter(|(session, _)| session.len() == 16)?;
            let plain = session.bytes().chain(number.bytes()).all(|byte| byte.is_ascii_alphanumeric());
            let id = Self { session: u64::from_str_radix(session, 16).ok()?, number: number.parse().ok()? };
            plain.then_some(id)
        };
        parse().ok_or_else(|| DecisionIdError(text.to_owned()))
    }
}

impl Serialize for DecisionId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for DecisionId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}
