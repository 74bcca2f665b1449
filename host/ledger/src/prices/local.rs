//! What own hardware costs: nothing by the token, something by the hour.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tollgate_core::Nanodollars;

use super::cost::PriceError;
use super::rate::divide_half_up;

/// What a local backend costs for each hour in which one of its slots is busy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LocalPrice {
    /// Electricity for an hour of use.
    pub electricity_per_hour: Nanodollars,
    /// The hour's share of what the hardware cost.
    pub amortisation_per_hour: Nanodollars,
}

const NANOSECONDS_PER_HOUR: u128 = 3_600_000_000_000;

impl LocalPrice {
    /// What that long a use costs, rounded once, halves up.
    ///
    /// # Errors
    /// When the amount does not fit.
    pub fn cost(&self, busy: Duration) -> Result<Nanodollars, PriceError> {
        let hour = self.electricity_per_hour.checked_add(self.amortisation_per_hour).ok_or(PriceError::TooLarge)?;
        let product = u128::from(hour.as_u64()).checked_mul(busy.as_nanos()).ok_or(PriceError::TooLarge)?;
        let rounded = divide_half_up(product, NANOSECONDS_PER_HOUR).ok_or(PriceError::TooLarge)?;
        u64::try_from(rounded).map(Nanodollars::new).map_err(|_| PriceError::TooLarge)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_local_backend_costs_by_the_hour() -> Result<(), PriceError> {
        let price = LocalPrice {
            electricity_per_hour: Nanodollars::new(120_000_000),
            amortisation_per_hour: Nanodollars::new(240_000_000),
        };
        assert_eq!(price.cost(Duration::from_secs(3600))?, Nanodollars::new(360_000_000));
        assert_eq!(price.cost(Duration::from_secs(1))?, Nanodollars::new(100_000));
        assert_eq!(price.cost(Duration::ZERO)?, Nanodollars::ZERO);
        assert_eq!(price.cost(Duration::from_nanos(5_000))?, Nanodollars::new(1), "half a nanodollar is rounded up");
        assert_eq!(price.cost(Duration::MAX), Err(PriceError::TooLarge));
        Ok(())
    }
}
