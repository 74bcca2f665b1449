//! Spans of time and points in time, in whole milliseconds. Nothing here reads a clock.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// The units a span is written in, from the largest to the smallest, in milliseconds.
const UNITS: [(&str, u64); 5] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

/// A length of time in whole milliseconds.
///
/// In configuration it is a whole number and one unit: `"250ms"`, `"30s"`, `"5m"`, `"2h"`, `"1d"`.
///
/// ```
/// use tollgate_sdk::Span;
/// let patience: Span = "90s".parse()?;
/// assert_eq!(patience.as_milliseconds(), 90_000);
/// assert_eq!(Span::minutes(120).to_string(), "2h");
/// assert!("90".parse::<Span>().is_err(), "ninety of what?");
/// # Ok::<(), tollgate_sdk::SpanError>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span(u64);

impl Span {
    /// No time.
    pub const ZERO: Self = Self(0);
    /// 584 million years: stands for "no bound".
    pub const MAX: Self = Self(u64::MAX);

    /// That many milliseconds.
    #[must_use]
    pub const fn milliseconds(milliseconds: u64) -> Self {
        Self(milliseconds)
    }

    /// That many seconds, at most [`Span::MAX`].
    #[must_use]
    pub const fn seconds(seconds: u64) -> Self {
        Self(seconds.saturating_mul(1_000))
    }

    /// That many minutes, at most [`Span::MAX`].
    #[must_use]
    pub const fn minutes(minutes: u64) -> Self {
        Self(minutes.saturating_mul(60_000))
    }

    /// That many hours, at most [`Span::MAX`].
    #[must_use]
    pub const fn hours(hours: u64) -> Self {
        Self(hours.saturating_mul(3_600_000))
    }

    /// That many days of 24 hours, at most [`Span::MAX`].
    #[must_use]
    pub const fn days(days: u64) -> Self {
        Self(days.saturating_mul(86_400_000))
    }

    /// The number of milliseconds.
    #[must_use]
    pub const fn as_milliseconds(self) -> u64 {
        self.0
    }

    /// The difference, at least zero: what is left to wait.
    #[must_use]
    pub const fn saturating_sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }

    /// This span doubled so many times, at most `cap`: exponential back-off.
    #[must_use]
    pub const fn doubled(self, times: u32, cap: Self) -> Self {
        let doubled = if times < 64 {
            self.0.saturating_mul(1 << times)
        } else if self.0 == 0 {
            0
        } else {
            u64::MAX
        };
        if doubled < cap.0 { Self(doubled) } else { cap }
    }

    /// For verdicts, which wait at most 49 days.
    #[cfg(target_family = "wasm")]
    pub(crate) fn as_wait(self) -> u32 {
        u32::try_from(self.0).unwrap_or(u32::MAX)
    }
}

/// In the largest unit that leaves no rest: `20m`, `1500ms`.
impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whole = UNITS.iter().find(|(_, unit)| self.0 != 0 && self.0.is_multiple_of(*unit));
        let (name, unit) = whole.copied().unwrap_or(("s", 1_000));
        write!(f, "{}{name}", self.0 / unit)
    }
}

/// Text that is not a span of time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpanError {
    text: String,
    problem: &'static str,
}

impl fmt::Display for SpanError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { text, problem } = self;
        write!(
            f,
            "`{text}` is not a span of time: {problem}; write a whole number and one of ms, s, m, h, d, as in \"30s\""
        )
    }
}

impl std::error::Error for SpanError {}

impl FromStr for Span {
    type Err = SpanError;

    fn from_str(text: &str) -> Result<Self, SpanError> {
        let error = |problem| SpanError { text: text.to_owned(), problem };
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let (number, name) = text.split_at(digits);
        if number.is_empty() {
            return Err(error("it does not start with a whole number"));
        }
        let (_, unit) =
            UNITS.iter().find(|(unit, _)| *unit == name).ok_or_else(|| error("the unit is missing or unknown"))?;
        let number: u64 = number.parse().map_err(|_| error("it is too long"))?;
        number.checked_mul(*unit).map(Self).ok_or_else(|| error("it is too long"))
    }
}

impl Serialize for Span {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

impl JsonSchema for Span {
    fn schema_name() -> Cow<'static, str> {
        "Span".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A length of time: a whole number and one of ms, s, m, h, d, such as \"30s\".",
            "type": "string",
            "pattern": "^[0-9]+(ms|s|m|h|d)$",
        })
    }
}

/// A point in time: milliseconds since the Unix epoch, UTC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(not(target_family = "wasm"), derive(Serialize, Deserialize), serde(transparent))]
#[repr(transparent)]
pub struct Timestamp(u64);

impl Timestamp {
    /// That many milliseconds after the Unix epoch.
    #[must_use]
    pub const fn from_milliseconds(milliseconds: u64) -> Self {
        Self(milliseconds)
    }

    /// Milliseconds since the Unix epoch.
    #[must_use]
    pub const fn as_milliseconds(self) -> u64 {
        self.0
    }

    /// How much later this is; zero where it is not later.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Span {
        Span(self.0.saturating_sub(earlier.0))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn spans_are_read_in_every_unit() {
        for (text, milliseconds) in
            [("250ms", 250), ("30s", 30_000), ("5m", 300_000), ("2h", 7_200_000), ("1d", 86_400_000), ("0s", 0)]
        {
            assert_eq!(text.parse(), Ok(Span::milliseconds(milliseconds)), "{text}");
        }
    }

    #[test]
    fn what_is_no_span_is_refused() {
        for text in
            ["", "s", "30", "30 s", "1.5h", "-1s", "1h30m", "30S", "5min", "999999999999999999999s", "213503982335d"]
        {
            assert!(text.parse::<Span>().is_err(), "{text}");
        }
    }

    #[test]
    fn doubling_ends_at_the_cap() {
        let (base, cap) = (Span::seconds(10), Span::minutes(5));
        assert_eq!(base.doubled(0, cap), Span::seconds(10));
        assert_eq!(base.doubled(3, cap), Span::seconds(80));
        assert_eq!(base.doubled(5, cap), cap);
        assert_eq!(base.doubled(u32::MAX, cap), cap);
        assert_eq!(Span::ZERO.doubled(u32::MAX, cap), Span::ZERO);
    }

    proptest! {
        #[test]
        fn what_is_shown_reads_back(milliseconds: u64) {
            let span = Span::milliseconds(milliseconds);
            prop_assert_eq!(span.to_string().parse::<Span>(), Ok(span));
        }

        #[test]
        fn reading_never_panics(text: String) {
            let _ = text.parse::<Span>();
        }
    }
}
