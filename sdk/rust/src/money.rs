//! Money in whole nanodollars: exact, and never a floating-point number.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::Share;

/// Nanodollars in one US dollar.
const PER_DOLLAR: u64 = 1_000_000_000;

/// Digits behind the point that a nanodollar needs.
const DECIMALS: usize = 9;

/// The most digits before the point: the largest amount is 18446744073.709551615 USD.
const WHOLE_DIGITS: usize = 11;

/// An amount of US dollars in units of 10⁻⁹ dollars; the largest is about 18.4 billion dollars.
///
/// In configuration it is written `"25.00 USD"`.
///
/// ```
/// use tollgate_sdk::Nanodollars;
/// let price: Nanodollars = "0.25 USD".parse()?;
/// assert_eq!(price.as_u64(), 250_000_000);
/// assert_eq!(price, Nanodollars::cents(25));
/// assert_eq!(price.to_string(), "0.25 USD");
/// assert!("0.25".parse::<Nanodollars>().is_err(), "an amount without a currency is no amount");
/// # Ok::<(), tollgate_sdk::MoneyError>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(transparent)]
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

    /// That many whole dollars: for constants. Does not compile, or panics, above 18,446,744,073.
    #[must_use]
    pub const fn dollars(dollars: u64) -> Self {
        assert!(dollars <= u64::MAX / PER_DOLLAR, "more dollars than an amount can hold");
        Self(dollars * PER_DOLLAR)
    }

    /// That many cents: for constants. Does not compile, or panics, above 1,844,674,407,370.
    #[must_use]
    pub const fn cents(cents: u64) -> Self {
        assert!(cents <= u64::MAX / (PER_DOLLAR / 100), "more cents than an amount can hold");
        Self(cents * (PER_DOLLAR / 100))
    }

    /// The number of nanodollars.
    #[must_use]
    pub const fn as_u64(self) -> u64 {
        self.0
    }

    /// The sum, at most [`Nanodollars::MAX`].
    #[must_use]
    pub const fn saturating_add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }

    /// The difference, at least zero: what is left of a limit.
    #[must_use]
    pub const fn saturating_sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }

    /// This amount so many times over, at most [`Nanodollars::MAX`].
    #[must_use]
    pub const fn times(self, factor: u32) -> Self {
        Self(self.0.saturating_mul(factor as u64))
    }

    /// A share of this amount, rounded down to a whole nanodollar, at most [`Nanodollars::MAX`].
    #[must_use]
    pub const fn share(self, share: Share) -> Self {
        // The intermediate product needs 96 bits, the quotient is cut at 64.
        let product = self.0 as u128 * share.as_permille() as u128 / 1000;
        #[expect(clippy::cast_possible_truncation, reason = "compared with the largest value first")]
        if product > u64::MAX as u128 { Self::MAX } else { Self(product as u64) }
    }
}

/// `14.20 USD`: at least two digits behind the point, and as many as the amount needs.
impl fmt::Display for Nanodollars {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fraction = format!("{:09}", self.0 % PER_DOLLAR);
        let needed = fraction.trim_end_matches('0').len().max(2);
        write!(f, "{}.{} USD", self.0 / PER_DOLLAR, &fraction[..needed])
    }
}

/// Text that is not an amount of money.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MoneyError {
    text: String,
    problem: &'static str,
}

impl fmt::Display for MoneyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` is not an amount of money: {}; write it as \"25.00 USD\"", self.text, self.problem)
    }
}

impl std::error::Error for MoneyError {}

impl FromStr for Nanodollars {
    type Err = MoneyError;

    fn from_str(text: &str) -> Result<Self, MoneyError> {
        amount(text).map(Self).map_err(|problem| MoneyError { text: text.to_owned(), problem })
    }
}

fn amount(text: &str) -> Result<u64, &'static str> {
    let number = text.strip_suffix(" USD").ok_or("the currency ` USD` is missing")?;
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    let plain = |digits: &str| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    if !plain(whole) || !plain(fraction) {
        return Err("the number is not a plain non-negative decimal");
    }
    if fraction.len() > DECIMALS {
        return Err("it is finer than a nanodollar");
    }
    if whole.len() > WHOLE_DIGITS {
        return Err("it is larger than 18446744073.709551615 USD");
    }
    // Both are digits only and short enough for 64 bits, so neither can fail to be read.
    let number = |digits: &str| digits.bytes().fold(0_u64, |number, digit| number * 10 + u64::from(digit - b'0'));
    let padding = (fraction.len()..DECIMALS).fold(1, |scale, _| scale * 10);
    number(whole)
        .checked_mul(PER_DOLLAR)
        .and_then(|whole| whole.checked_add(number(fraction) * padding))
        .ok_or("it is larger than 18446744073.709551615 USD")
}

impl Serialize for Nanodollars {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Nanodollars {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

impl JsonSchema for Nanodollars {
    fn schema_name() -> Cow<'static, str> {
        "Nanodollars".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "An amount of money, such as \"25.00 USD\"; at most nine digits behind the point.",
            "type": "string",
            "pattern": r"^[0-9]{1,11}(\.[0-9]{1,9})? USD$",
        })
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
    }

    #[test]
    fn what_is_no_amount_is_refused_and_never_zero() {
        for (text, problem) in [
            ("25.00", "currency"),
            ("25.00 EUR", "currency"),
            ("25.00USD", "currency"),
            (" USD", "plain"),
            ("-1 USD", "plain"),
            ("1e3 USD", "plain"),
            ("1.2.3 USD", "plain"),
            ("1. USD", "plain"),
            (".5 USD", "plain"),
            ("1,000 USD", "plain"),
            ("0.0000000001 USD", "finer"),
            ("18446744073.709551616 USD", "larger"),
            ("99999999999999999999999 USD", "larger"),
        ] {
            let error = text.parse::<Nanodollars>().unwrap_err();
            assert!(error.problem.contains(problem), "{text}: {error}");
        }
    }

    #[test]
    fn arithmetic_saturates() {
        assert_eq!(Nanodollars::MAX.saturating_add(Nanodollars::cents(1)), Nanodollars::MAX);
        assert_eq!(Nanodollars::ZERO.saturating_sub(Nanodollars::cents(1)), Nanodollars::ZERO);
        assert_eq!(Nanodollars::MAX.times(2), Nanodollars::MAX);
        assert_eq!(Nanodollars::dollars(10).share(Share::percent(80)), Nanodollars::dollars(8));
        assert_eq!(Nanodollars::MAX.share(Share::percent(100)), Nanodollars::MAX);
        assert_eq!(Nanodollars::MAX.share(Share::percent(101)), Nanodollars::MAX);
    }

    proptest! {
        #[test]
        fn what_is_shown_reads_back(nanodollars: u64) {
            let amount = Nanodollars::new(nanodollars);
            prop_assert_eq!(amount.to_string().parse::<Nanodollars>(), Ok(amount));
        }

        #[test]
        fn reading_never_panics(text in "[0-9.]{0,24}( USD)?") {
            let _ = text.parse::<Nanodollars>();
        }
    }
}
