//! Money in whole nanodollars. There is no floating-point number here, and no conversion that turns a
//! failure into zero.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// Nanodollars in one US dollar.
pub const NANODOLLARS_PER_DOLLAR: u64 = 1_000_000_000;

/// An amount of US dollars in units of 10⁻⁹ dollars; the largest is about 18.4 billion dollars.
///
/// In configuration it is written `"25.00 USD"`; as a JSON number it is whole nanodollars.
///
/// ```
/// use tollgate_core::Nanodollars;
/// let price: Nanodollars = "0.25 USD".parse()?;
/// assert_eq!(price.as_u64(), 250_000_000);
/// assert_eq!(price.to_string(), "0.25 USD");
/// # Ok::<(), tollgate_core::MoneyError>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Nanodollars(u64);

impl Nanodollars {
    /// No money.
    pub const ZERO: Self = Self(0);
    /// More than anyone can pay: stands for "no bound".
    pub const MAX: Self = Self(u64::MAX);

    /// That many nanodollars.
    #[must_use]
    pub const fn new(nanodollars: u64) -> Self {
        Self(nanodollars)
    }

    /// That many whole dollars; nothing above 18,446,744,073.
    #[must_use]
    pub const fn from_dollars(dollars: u64) -> Option<Self> {
        match dollars.checked_mul(NANODOLLARS_PER_DOLLAR) {
            Some(amount) => Some(Self(amount)),
            None => None,
        }
    }

    /// The number of nanodollars.
    #[must_use]
    pub const fn as_u64(self) -> u64 {
        self.0
    }

    /// The sum, or nothing where it does not fit.
    #[must_use]
    pub const fn checked_add(self, other: Self) -> Option<Self> {
        match self.0.checked_add(other.0) {
            Some(sum) => Some(Self(sum)),
            None => None,
        }
    }

    /// The difference, or nothing where it would be negative.
    #[must_use]
    pub const fn checked_sub(self, other: Self) -> Option<Self> {
        match self.0.checked_sub(other.0) {
            Some(difference) => Some(Self(difference)),
            None => None,
        }
    }

    /// The sum, at most [`Nanodollars::MAX`]. For comparisons with a bound, never for an account.
    #[must_use]
    pub const fn saturating_add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }

    /// The difference, at least zero: what is left of a limit.
    #[must_use]
    pub const fn saturating_sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }

    /// This amount in thousandths of `whole`, rounded down, at most `u32::MAX`; of nothing, anything is
    /// the most and nothing is 0.
    #[must_use]
    pub fn permille_of(self, whole: Self) -> u32 {
        if self.0 == 0 {
            return 0;
        }
        // A division of 128 bits costs as much as the rest of a policy call.
        if let Some(permille) = self.0.checked_mul(1000).and_then(|thousandfold| thousandfold.checked_div(whole.0)) {
            return u32::try_from(permille).unwrap_or(u32::MAX);
        }
        u128::from(self.0)
            .saturating_mul(1000)
            .checked_div(u128::from(whole.0))
            .and_then(|permille| u32::try_from(permille).ok())
            .unwrap_or(u32::MAX)
    }

    /// The exact decimal number of dollars with nine digits behind the point, for programs.
    #[must_use]
    pub fn to_decimal(self) -> String {
        let (dollars, rest) = split(self.0);
        format!("{dollars}.{rest:09}")
    }

    /// Reads a decimal number of dollars as [`Nanodollars::from_decimal`] does, and rounds what is finer than a nanodollar to the nearest,
    /// halves up: for amounts that others computed in floating point.
    ///
    /// # Errors
    /// When it is not a non-negative decimal number, or is too large.
    pub fn from_decimal_rounded(text: &str) -> Result<Self, MoneyError> {
        match decimal(text) {
            Err(MoneyProblem::TooFine) => {
                let error = |problem| MoneyError { text: text.to_owned(), problem };
                rounded_decimal(text).map(Self).map_err(error)
            }
            read => read.map(Self).map_err(|problem| MoneyError { text: text.to_owned(), problem }),
        }
    }

    /// Reads a decimal number of dollars such as `0.0307`, `1e-06` or `12`, exactly; the way amounts stand in
    /// JSON documents of others.
    ///
    /// # Errors
    /// When it is not a non-negative decimal number, has a part finer than a nanodollar, or is too large.
    pub fn from_decimal(text: &str) -> Result<Self, MoneyError> {
        decimal(text).map(Self).map_err(|problem| MoneyError { text: text.to_owned(), problem })
    }
}

const fn split(nanodollars: u64) -> (u64, u64) {
    (nanodollars / NANODOLLARS_PER_DOLLAR, nanodollars % NANODOLLARS_PER_DOLLAR)
}

/// `14.20 USD`: at least two digits behind the point, and as many as the amount needs.
impl fmt::Display for Nanodollars {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (dollars, rest) = split(self.0);
        let digits = format!("{rest:09}");
        let needed = digits.trim_end_matches('0').len().max(2);
        f.pad(&format!("{dollars}.{} USD", digits.get(..needed).unwrap_or(&digits)))
    }
}

/// Text that is not an amount of money.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not an amount of money: {problem}; write it as \"25.00 USD\"")]
pub struct MoneyError {
    text: String,
    problem: MoneyProblem,
}

/// What is wrong with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MoneyProblem {
    /// No ` USD` at the end.
    #[error("the currency `USD` is missing")]
    Currency,
    /// A sign, a letter, two points or nothing at all.
    #[error("the number is not a plain non-negative decimal")]
    Number,
    /// More than nine digits behind the point.
    #[error("it is finer than a nanodollar")]
    TooFine,
    /// Above 2⁶⁴ − 1 nanodollars.
    #[error("it is larger than 18446744073.709551615")]
    TooLarge,
}

impl FromStr for Nanodollars {
    type Err = MoneyError;

    fn from_str(text: &str) -> Result<Self, MoneyError> {
        let error = |problem| MoneyError { text: text.to_owned(), problem };
        let number = text.strip_suffix(" USD").ok_or_else(|| error(MoneyProblem::Currency))?;
        if number.contains(['e', 'E']) {
            return Err(error(MoneyProblem::Number));
        }
        // The form that the SDK reads, digit for digit: a configuration means the same to the host and to plugins.
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if fraction.len() > 9 {
            return Err(error(MoneyProblem::TooFine));
        }
        if whole.len() > 11 {
            return Err(error(MoneyProblem::TooLarge));
        }
        decimal(number).map(Self).map_err(error)
    }
}

/// Rounds a decimal number that has a part finer than a nanodollar, and so fewer than 20 digits above it.
fn rounded_decimal(text: &str) -> Result<u64, MoneyProblem> {
    let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let exponent: i64 = exponent.parse().map_err(|_| MoneyProblem::Number)?;
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{whole}{fraction}");
    let places = i64::try_from(whole.len()).unwrap_or(i64::MAX).saturating_add(exponent).saturating_add(9);
    let Ok(places) = usize::try_from(places) else {
        return Ok(0);
    };
    let kept = digits.get(..places.min(digits.len())).filter(|kept| !kept.is_empty()).unwrap_or("0");
    let half_or_more = digits.as_bytes().get(places).is_some_and(|digit| *digit >= b'5');
    let kept: u64 = kept.parse().map_err(|_| MoneyProblem::TooLarge)?;
    kept.checked_add(u64::from(half_or_more)).ok_or(MoneyProblem::TooLarge)
}

/// Reads `digits[.digits][e[-]digits]` as a whole number of nanodollars.
fn decimal(text: &str) -> Result<u64, MoneyProblem> {
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().map_err(|_| MoneyProblem::Number)?),
        None => (text, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, "0"));
    let plain = |digits: &str| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    if !plain(whole) || !plain(fraction) {
        return Err(MoneyProblem::Number);
    }
    let fraction = fraction.trim_end_matches('0');
    let digits = format!("{whole}{fraction}");
    let digits = digits.trim_start_matches('0');
    if digits.is_empty() {
        return Ok(0);
    }
    // The value is `digits` × 10^shift nanodollars.
    let places = i64::try_from(fraction.len()).map_err(|_| MoneyProblem::TooFine)?;
    let shift = i64::from(exponent).saturating_add(9).saturating_sub(places);
    if shift >= 0 {
        let value: u128 = digits.parse().map_err(|_| MoneyProblem::TooLarge)?;
        let factor = u32::try_from(shift).ok().and_then(|shift| 10_u128.checked_pow(shift));
        let scaled = factor.and_then(|factor| value.checked_mul(factor)).ok_or(MoneyProblem::TooLarge)?;
        return u64::try_from(scaled).map_err(|_| MoneyProblem::TooLarge);
    }
    let dropped = usize::try_from(shift.unsigned_abs()).map_err(|_| MoneyProblem::TooFine)?;
    let kept = digits.len().checked_sub(dropped).ok_or(MoneyProblem::TooFine)?;
    match (digits.get(..kept), digits.get(kept..)) {
        (Some(kept), Some(dropped)) if dropped.bytes().all(|byte| byte == b'0') => {
            if kept.is_empty() {
                Ok(0)
            } else {
                kept.parse().map_err(|_| MoneyProblem::TooLarge)
            }
        }
        _ => Err(MoneyProblem::TooFine),
    }
}

impl Serialize for Nanodollars {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(self.0)
    }
}

/// Whole nanodollars as a number, or `"25.00 USD"` as text.
impl<'de> Deserialize<'de> for Nanodollars {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Amount;
        impl de::Visitor<'_> for Amount {
            type Value = Nanodollars;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an amount of money such as \"25.00 USD\", or whole nanodollars")
            }

            fn visit_u64<E: de::Error>(self, nanodollars: u64) -> Result<Nanodollars, E> {
                Ok(Nanodollars(nanodollars))
            }

            fn visit_i64<E: de::Error>(self, nanodollars: i64) -> Result<Nanodollars, E> {
                u64::try_from(nanodollars)
                    .map(Nanodollars)
                    .map_err(|_| E::invalid_value(de::Unexpected::Signed(nanodollars), &self))
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Nanodollars, E> {
                text.parse().map_err(E::custom)
            }
        }
        // A form that does not say what comes next, as the ledger's journal, holds only what is written above.
        if deserializer.is_human_readable() {
            deserializer.deserialize_any(Amount)
        } else {
            deserializer.deserialize_u64(Amount)
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn amounts_are_read_exactly() {
        for (text, nanodollars) in [
            ("0 USD", 0),
            ("25.00 USD", 25_000_000_000),
            ("0.000000001 USD", 1),
            ("14.2 USD", 14_200_000_000),
            ("18446744073.709551615 USD", u64::MAX),
        ] {
            assert_eq!(text.parse(), Ok(Nanodollars::new(nanodollars)), "{text}");
        }
        for (text, nanodollars) in [
            ("1e-06", 1_000),
            ("2.5E-07", 250),
            ("0.68015075", 680_150_750),
            ("3e2", 300_000_000_000),
            ("0.10e0", 100_000_000),
        ] {
            assert_eq!(Nanodollars::from_decimal(text), Ok(Nanodollars::new(nanodollars)), "{text}");
        }
    }

    #[test]
    fn what_is_no_amount_is_refused_and_never_zero() {
        for (text, problem) in [
            ("25.00", MoneyProblem::Currency),
            ("25.00 EUR", MoneyProblem::Currency),
            ("25.00USD", MoneyProblem::Currency),
            ("25.00 USD ", MoneyProblem::Currency),
            (" USD", MoneyProblem::Number),
            ("-1 USD", MoneyProblem::Number),
            ("1e3 USD", MoneyProblem::Number),
            ("1.2.3 USD", MoneyProblem::Number),
            ("1,000 USD", MoneyProblem::Number),
            ("0.0000000001 USD", MoneyProblem::TooFine),
            ("18446744073.709551616 USD", MoneyProblem::TooLarge),
        ] {
            assert_eq!(text.parse::<Nanodollars>().map_err(|error| error.problem), Err(problem), "{text}");
        }
        assert_eq!(Nanodollars::from_decimal("1e-10").map_err(|error| error.problem), Err(MoneyProblem::TooFine));
        assert!(Nanodollars::from_decimal("1e99999999999").is_err());
        assert!(Nanodollars::from_decimal("NaN").is_err());
    }

    #[test]
    fn amounts_of_others_are_rounded_once() {
        for (text, nanodollars) in [
            ("0.41586499999999993", 415_865_000),
            ("0.0000000005", 1),
            ("0.00000000049999", 0),
            ("5e-10", 1),
            ("12.5e-11", 0),
            ("1.9999999999", 2_000_000_000),
            ("3", 3_000_000_000),
        ] {
            assert_eq!(Nanodollars::from_decimal_rounded(text), Ok(Nanodollars::new(nanodollars)), "{text}");
        }
        assert!(Nanodollars::from_decimal_rounded("-0.1").is_err());
        assert!(Nanodollars::from_decimal_rounded("18446744073.7095516159").is_err());
    }

    #[test]
    fn utilisation_of_a_zero_limit_is_the_most() {
        assert_eq!(Nanodollars::new(1).permille_of(Nanodollars::ZERO), u32::MAX);
        assert_eq!(Nanodollars::ZERO.permille_of(Nanodollars::ZERO), 0);
        assert_eq!(Nanodollars::new(799).permille_of(Nanodollars::new(1000)), 799);
    }

    proptest! {
        #[test]
        fn what_is_shown_reads_back(nanodollars: u64) {
            let amount = Nanodollars::new(nanodollars);
            prop_assert_eq!(amount.to_string().parse::<Nanodollars>(), Ok(amount));
            prop_assert_eq!(Nanodollars::from_decimal(&amount.to_decimal()), Ok(amount));
        }
    }
}
