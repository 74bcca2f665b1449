//! Which decisions are looked at again. Counted in the chain, which one thread owns for its decision, so it costs no
//! atomic operation.

/// One chain's counts towards its next samples.
#[derive(Default)]
pub(crate) struct Samples {
    /// For the purity check.
    pub(crate) purity: Countdown,
    /// For a candidate.
    pub(crate) candidate: Countdown,
}

/// Says yes to one call of so many.
#[derive(Default)]
pub(crate) struct Countdown(u32);

impl Countdown {
    /// Whether this call is the one of `every`; of 0 none is, of 1 each.
    #[inline]
    pub(crate) const fn is_due(&mut self, every: u32) -> bool {
        if self.0 > 1 {
            self.0 -= 1;
            return false;
        }
        let due = self.0 == 1 || every == 1;
        self.0 = every;
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_of_so_many_is_due() {
        let due = |every: u32| {
            let mut countdown = Countdown::default();
            (0..12).filter(|_| countdown.is_due(every)).count()
        };
        assert_eq!([0, 1, 2, 4, 100].map(due), [0, 12, 5, 2, 0]);
    }
}
