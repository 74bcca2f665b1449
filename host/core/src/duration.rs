//! Spans of time as a configuration writes them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// Whole milliseconds. In configuration it is written with its unit: `"250ms"`, `"30s"`, `"5m"`, `"2h"`, `"1d"`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Milliseconds(u64);

/// Text that is not a span of time.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not a span of time: write a whole number and a unit, as in \"250ms\", \"30s\", \"5m\", \"2h\" or \"1d\""
)]
pub struct MillisecondsError(String);

const UNITS: [(&str, u64); 5] = [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];

impl Milliseconds {
    /// That many milliseconds.
    #[must_use]
    pub const fn new(milliseconds: u64) -> Self {
        Self(milliseconds)
    }

    /// The number of milliseconds.
    #[must_use]
    pub const fn as_u64(self) -> u64 {
        self.0
    }
}

impl FromStr for Milliseconds {
    type Err = MillisecondsError;

    fn from_str(text: &str) -> Result<Self, MillisecondsError> {
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let (number, unit) = text.split_at(digits);
        UNITS
            .iter()
            .find(|(name, _)| *name == unit)
            .and_then(|(_, factor)| number.parse::<u64>().ok()?.checked_mul(*factor))
            .map(Self)
            .ok_or_else(|| MillisecondsError(text.to_owned()))
    }
}

/// In the largest unit that leaves no rest.
impl fmt::Display for Milliseconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whole = |&&(_, factor): &&(&str, u64)| self.0.checked_rem(factor) == Some(0);
        let (unit, factor) = UNITS.iter().rev().find(whole).copied().unwrap_or(("ms", 1));
        write!(f, "{}{unit}", self.0.checked_div(factor).unwrap_or(self.0))
    }
}

impl Serialize for Milliseconds {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Milliseconds {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_read_back_in_their_largest_unit() {
        for (text, milliseconds, shown) in
            [("250ms", 250, "250ms"), ("60s", 60_000, "1m"), ("36h", 129_600_000, "36h"), ("2d", 172_800_000, "2d")]
        {
            let span: Result<Milliseconds, _> = text.parse();
            assert_eq!(span, Ok(Milliseconds::new(milliseconds)));
            assert_eq!(span.map(|span| span.to_string()), Ok(shown.to_owned()));
        }
    }

    #[test]
    fn a_number_without_a_unit_is_refused() {
        for text in ["", "5", "5 m", "-5m", "1.5h", "m", "5weeks", "99999999999999999999d", "18446744073709551615d"] {
            assert!(text.parse::<Milliseconds>().is_err(), "{text}");
        }
    }
}
