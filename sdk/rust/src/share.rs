//! Shares in thousandths.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A part of a whole in whole thousandths; it may be more than the whole.
///
/// In configuration it is a percentage with at most one digit behind the point: `"80%"`, `"99.5%"`.
///
/// ```
/// use tollgate_sdk::Share;
/// let share: Share = "99.5%".parse()?;
/// assert_eq!(share.as_permille(), 995);
/// assert!("0.8".parse::<Share>().is_err());
/// # Ok::<(), tollgate_sdk::ShareError>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Share(u32);

impl Share {
    /// That many hundredths, at most 4,294,967.
    #[must_use]
    pub const fn percent(percent: u32) -> Self {
        Self(percent.saturating_mul(10))
    }

    /// That many thousandths.
    #[must_use]
    pub const fn permille(permille: u32) -> Self {
        Self(permille)
    }

    /// The number of thousandths.
    #[must_use]
    pub const fn as_permille(self) -> u32 {
        self.0
    }
}

/// `80%`, `99.5%`.
impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 % 10 {
            0 => write!(f, "{}%", self.0 / 10),
            tenth => write!(f, "{}.{tenth}%", self.0 / 10),
        }
    }
}

/// Text that is not a share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShareError {
    text: String,
}

impl fmt::Display for ShareError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = &self.text;
        write!(
            f,
            "`{text}` is not a share: write a percentage with at most one digit behind the point, as in \"80%\" or \"99.5%\""
        )
    }
}

impl std::error::Error for ShareError {}

impl FromStr for Share {
    type Err = ShareError;

    fn from_str(text: &str) -> Result<Self, ShareError> {
        permille(text).map(Self).ok_or_else(|| ShareError { text: text.to_owned() })
    }
}

fn permille(text: &str) -> Option<u32> {
    let number = text.strip_suffix('%')?;
    let (whole, tenth) = number.split_once('.').unwrap_or((number, "0"));
    let plain = |digits: &str| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    if !plain(whole) || !plain(tenth) || tenth.len() > 1 {
        return None;
    }
    whole.parse::<u32>().ok()?.checked_mul(10)?.checked_add(tenth.parse().ok()?)
}

impl Serialize for Share {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Share {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

impl JsonSchema for Share {
    fn schema_name() -> Cow<'static, str> {
        "Share".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A percentage with at most one digit behind the point, such as \"80%\".",
            "type": "string",
            "pattern": r"^[0-9]+(\.[0-9])?%$",
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_no_share_is_refused() {
        for text in ["", "%", "80", "0.8", "80.55%", "80.%", "-1%", "80 %", "429496730%"] {
            assert!(text.parse::<Share>().is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_shown_reads_back(permille: u32) {
            let share = Share::permille(permille);
            prop_assert_eq!(share.to_string().parse::<Share>(), Ok(share));
        }
    }
}
