//! A price per token, kept as whole nanodollars per million tokens.

use std::fmt;

use tollgate_core::Nanodollars;

/// 10⁻¹⁵ dollars in a nanodollar.
pub(super) const FEMTODOLLARS_PER_NANODOLLAR: u128 = 1_000_000;

/// What a million tokens of one class cost, in nanodollars; also 10⁻¹⁵ dollars per token.
///
/// ```
/// use tollgate_ledger::prices::Rate;
/// let rate = Rate::from_dollars_per_token("1e-06")?;
/// assert_eq!(rate.nanodollars_per_million(), 1_000_000_000);
/// # Ok::<(), tollgate_ledger::prices::RateProblem>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Rate(u64);

/// Why text is not a rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RateProblem {
    /// A sign, a letter, nothing at all.
    #[error("it is not a plain non-negative decimal number")]
    Number,
    /// So small that it would become zero.
    #[error("it is not zero and below 10^-15 dollars per token")]
    TooSmall,
    /// Above 2⁶⁴ − 1 nanodollars per million tokens.
    #[error("it is above 18446 dollars per token")]
    TooLarge,
}

/// Decimal places of a dollar per token that a rate keeps.
const PLACES: i64 = 15;

impl Rate {
    /// Nothing per token: a stated price, unlike a missing one.
    pub const FREE: Self = Self(0);

    /// That many nanodollars per million tokens.
    #[must_use]
    pub const fn new(nanodollars_per_million: u64) -> Self {
        Self(nanodollars_per_million)
    }

    /// Nanodollars per million tokens.
    #[must_use]
    pub const fn nanodollars_per_million(self) -> u64 {
        self.0
    }

    /// That many tokens at this rate, in 10⁻¹⁵ dollars; exact.
    #[must_use]
    pub fn femtodollars(self, tokens: u64) -> u128 {
        u128::from(self.0).saturating_mul(u128::from(tokens))
    }

    /// What that many tokens cost at this rate, rounded up: for reservations. Nothing where it does not fit.
    #[must_use]
    pub fn cost(self, tokens: u64) -> Option<Nanodollars> {
        let nanodollars = self.femtodollars(tokens).div_ceil(FEMTODOLLARS_PER_NANODOLLAR);
        u64::try_from(nanodollars).ok().map(Nanodollars::new)
    }

    /// Reads decimal text such as `1e-06`, `2.5E-07` or `0`: dollars per token. What is finer than 10⁻¹⁵
    /// (in practice the noise of someone's binary arithmetic, as in `2.9999900000000002e-06`) is
    /// rounded half up: at most half a nanodollar per million tokens.
    ///
    /// # Errors
    /// When it is not such a number, is too large, or would round to zero without being zero.
    pub fn from_dollars_per_token(text: &str) -> Result<Self, RateProblem> {
        let (mantissa, exponent) = match text.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().map_err(|_| RateProblem::Number)?),
            None => (text, 0),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, "0"));
        let plain = |digits: &str| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        if !plain(whole) || !plain(fraction) {
            return Err(RateProblem::Number);
        }
        let fraction = fraction.trim_end_matches('0');
        let digits = format!("{whole}{fraction}");
        let digits = digits.trim_start_matches('0');
        if digits.is_empty() {
            return Ok(Self::FREE);
        }
        // The value is `digits` × 10^shift in units of 10⁻¹⁵.
        let value: u128 = digits.parse().map_err(|_| RateProblem::TooLarge)?;
        let written = i64::try_from(fraction.len()).map_err(|_| RateProblem::TooSmall)?;
        let shift = i64::from(exponent).saturating_add(PLACES).saturating_sub(written);
        let power = u32::try_from(shift.unsigned_abs()).ok().and_then(|shift| 10_u128.checked_pow(shift));
        let scaled = if shift >= 0 {
            power.and_then(|power| value.checked_mul(power)).ok_or(RateProblem::TooLarge)?
        } else {
            power.and_then(|power| divide_half_up(value, power)).ok_or(RateProblem::TooSmall)?
        };
        match u64::try_from(scaled) {
            Ok(0) => Err(RateProblem::TooSmall),
            Ok(rate) => Ok(Self(rate)),
            Err(_) => Err(RateProblem::TooLarge),
        }
    }
}

/// `value / by`, halves up; nothing for a zero divisor or where the sum does not fit.
pub(super) fn divide_half_up(value: u128, by: u128) -> Option<u128> {
    value.checked_add(by / 2)?.checked_div(by)
}

/// Dollars per million tokens, the unit of price lists: `3.75`.
impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = format!("{:010}", self.0);
        let (dollars, rest) = digits.split_at(digits.len().saturating_sub(9));
        let rest = rest.trim_end_matches('0');
        if rest.is_empty() { f.pad(dollars) } else { f.pad(&format!("{dollars}.{rest}")) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_read_exactly() {
        for (text, rate) in [
            ("1e-06", 1_000_000_000),
            ("2.5E-07", 250_000_000),
            ("1.25e-6", 1_250_000_000),
            ("0", 0),
            ("0.0", 0),
            ("0e-10", 0),
            ("0.0000030", 3_000_000_000),
            ("1e-15", 1),
            ("15", 15_000_000_000_000_000),
            ("2.9999900000000002e-06", 2_999_990_000),
            ("6.666666666666667e-08", 66_666_667),
            ("5e-16", 1),
        ] {
            assert_eq!(Rate::from_dollars_per_token(text), Ok(Rate(rate)), "{text}");
        }
    }

    #[test]
    fn what_is_no_rate_is_refused_and_never_zero() {
        for (text, problem) in [
            ("-1e-06", RateProblem::Number),
            ("", RateProblem::Number),
            ("free", RateProblem::Number),
            ("NaN", RateProblem::Number),
            ("1e", RateProblem::Number),
            ("4e-16", RateProblem::TooSmall),
            ("1e-99", RateProblem::TooSmall),
            ("1e99", RateProblem::TooLarge),
            ("20000", RateProblem::TooLarge),
        ] {
            assert_eq!(Rate::from_dollars_per_token(text), Err(problem), "{text}");
        }
    }

    #[test]
    fn a_rate_reads_like_a_price_list() {
        assert_eq!(Rate::new(3_750_000_000).to_string(), "3.75");
        assert_eq!(Rate::new(25_000_000).to_string(), "0.025");
        assert_eq!(Rate::new(15_000_000_000).to_string(), "15");
    }
}
