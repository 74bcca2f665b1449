//! How good past estimates were.

use serde::Serialize;
use tollgate_core::Nanodollars;

/// Reservations beside what they turned out to cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Calibration {
    /// Settled calls.
    pub calls: u64,
    /// Those that cost more than was reserved.
    pub exceeded: u64,
    /// What was reserved for all of them.
    pub reserved: Nanodollars,
    /// What they cost.
    pub cost: Nanodollars,
    /// The part of that above what was reserved, call by call.
    pub overrun: Nanodollars,
}

impl Calibration {
    /// Takes in a settled call.
    pub fn settled(&mut self, reserved: Nanodollars, cost: Nanodollars) {
        self.calls = self.calls.saturating_add(1);
        self.exceeded = self.exceeded.saturating_add(u64::from(cost > reserved));
        self.reserved = self.reserved.saturating_add(reserved);
        self.cost = self.cost.saturating_add(cost);
        self.overrun = self.overrun.saturating_add(cost.saturating_sub(reserved));
    }

    /// How many thousandths of calls cost more than was reserved: beside what the quantile promised.
    #[must_use]
    pub fn exceeded_permille(&self) -> u32 {
        Nanodollars::new(self.exceeded).permille_of(Nanodollars::new(self.calls))
    }

    /// What was reserved in thousandths of what it cost: how much of the budgets lay idle.
    #[must_use]
    pub fn reserved_permille(&self) -> u32 {
        self.reserved.permille_of(self.cost)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn estimates_are_measured_by_what_came() {
        let mut calibration = Calibration::default();
        for (reserved, cost) in [(100, 40), (100, 90), (100, 120), (100, 50)] {
            calibration.settled(Nanodollars::new(reserved), Nanodollars::new(cost));
        }
        assert_eq!((calibration.exceeded_permille(), calibration.reserved_permille()), (250, 1333));
        assert_eq!(calibration.overrun, Nanodollars::new(20));
    }
}
