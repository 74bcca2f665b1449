//! Output sizes as they were, for each model and task type: a histogram of bounded size that knows quantiles.

use std::collections::HashMap;

use tollgate_core::Nanodollars;

/// What is assumed before anything was seen: so many calls with so much output. The estimate leaves it once real calls
/// outnumber it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prior {
    /// The output of each assumed call, in tokens.
    pub tokens: u64,
    /// How many are assumed.
    pub calls: u32,
}

impl Default for Prior {
    /// Twenty calls of 8,192 tokens: more than most agents' turns write, and so few that a 95 % quantile rests on real calls
    /// after about four hundred.
    fn default() -> Self {
        Self { tokens: 8_192, calls: 20 }
    }
}

/// The most pairs of model and task type that are told apart; the others share one histogram.
const PAIRS: usize = 4_096;
/// Each power of two is cut into eight: a size is known to an eighth.
const PARTS: u32 = 8;
const PART_BITS: u32 = PARTS.ilog2();
/// Up to 2^24 tokens; more is counted as that.
const BUCKETS: usize = 24 * 8;
/// When so many were counted, all counts are halved: what was long ago fades.
const FADE_AT: u32 = 65_536;

#[derive(Clone, Debug)]
struct Sketch {
    counts: Vec<u32>,
    total: u32,
}

/// Output sizes by model and task type.
#[derive(Clone, Debug)]
pub struct Sketches {
    prior: Prior,
    /// By model, then by task type.
    by_model: HashMap<Box<str>, HashMap<Box<str>, Sketch>>,
    pairs: usize,
    others: Sketch,
}

/// An estimate that a stated share of calls exceeds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QuantileEstimate {
    /// Output to reserve for, in tokens.
    pub output_tokens: u64,
    /// At most so many thousandths of calls are expected to write more, if they go on as they were.
    pub exceeded_permille: u32,
    /// How many real calls it rests on; before there are some it rests on the prior.
    pub calls: u32,
}

impl QuantileEstimate {
    /// By how much one call can cost more than what is reserved: what the worst case would have held besides.
    #[must_use]
    pub const fn overshoot(reserved: Nanodollars, worst_case: Nanodollars) -> Nanodollars {
        worst_case.saturating_sub(reserved)
    }
}

impl Sketches {
    /// Nothing was seen yet.
    #[must_use]
    pub fn new(prior: Prior) -> Self {
        Self { prior, by_model: HashMap::new(), pairs: 0, others: Sketch::new(prior) }
    }

    /// Takes in the output of a call, in tokens.
    pub fn observe(&mut self, model: &str, task_type: &str, output_tokens: u64) {
        if let Some(known) = self.by_model.get_mut(model).and_then(|of_model| of_model.get_mut(task_type)) {
            return known.observe(output_tokens);
        }
        if self.pairs >= PAIRS {
            return self.others.observe(output_tokens);
        }
        self.pairs = self.pairs.saturating_add(1);
        let fresh = self.by_model.entry(model.into()).or_default().entry(task_type.into());
        fresh.or_insert_with(|| Sketch::new(self.prior)).observe(output_tokens);
    }

    /// The output size that at most `1000 - permille` thousandths of calls exceed, up to an eighth too high.
    #[must_use]
    pub fn quantile(&self, model: &str, task_type: &str, permille: u32) -> QuantileEstimate {
        let known = self.by_model.get(model).and_then(|of_model| of_model.get(task_type));
        let sketch = known.unwrap_or(&self.others);
        QuantileEstimate {
            output_tokens: sketch.quantile(permille.min(1000)),
            exceeded_permille: 1000_u32.saturating_sub(permille),
            calls: sketch.total.saturating_sub(self.prior.calls),
        }
    }
}

impl Sketch {
    fn new(prior: Prior) -> Self {
        let mut sketch = Self { counts: vec![0; BUCKETS], total: prior.calls };
        if let Some(count) = sketch.counts.get_mut(bucket(prior.tokens)) {
            *count = prior.calls;
        }
        sketch
    }

    fn observe(&mut self, tokens: u64) {
        if self.total >= FADE_AT {
            self.counts.iter_mut().for_each(|count| *count /= 2);
            self.total = self.counts.iter().fold(0, |sum, count| sum.saturating_add(*count));
        }
        if let Some(count) = self.counts.get_mut(bucket(tokens)) {
            *count = count.saturating_add(1);
            self.total = self.total.saturating_add(1);
        }
    }

    fn quantile(&self, permille: u32) -> u64 {
        let wanted = u64::from(self.total).saturating_mul(u64::from(permille)).div_ceil(1000).max(1);
        let mut seen = 0_u64;
        for (index, count) in self.counts.iter().enumerate() {
            seen = seen.saturating_add(u64::from(*count));
            if seen >= wanted {
                return upper_edge(index);
            }
        }
        upper_edge(BUCKETS.saturating_sub(1))
    }
}

/// Sizes below eight have a bucket each; above, the bucket is the power of two and the three bits below its highest.
fn bucket(tokens: u64) -> usize {
    let index = if tokens < u64::from(PARTS) {
        tokens
    } else {
        let shift = tokens.ilog2().saturating_sub(PART_BITS);
        let part = (tokens >> shift) & u64::from(PARTS.saturating_sub(1));
        u64::from(shift.saturating_add(1)).saturating_mul(u64::from(PARTS)).saturating_add(part)
    };
    usize::try_from(index).unwrap_or(usize::MAX).min(BUCKETS.saturating_sub(1))
}

/// The largest size in a bucket.
fn upper_edge(index: usize) -> u64 {
    let index = u64::try_from(index).unwrap_or(0);
    let (row, part) = (index >> PART_BITS, index & u64::from(PARTS.saturating_sub(1)));
    let Some(shift) = row.checked_sub(1).and_then(|shift| u32::try_from(shift).ok()) else {
        return part;
    };
    let next = u64::from(PARTS).saturating_add(part).saturating_add(1);
    next.checked_shl(shift).unwrap_or(u64::MAX).saturating_sub(1)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_prior_stands_until_real_calls_outnumber_it() {
        let mut sketches = Sketches::new(Prior::default());
        let unseen = sketches.quantile("m", "refactoring", 950);
        assert_eq!((unseen.calls, unseen.exceeded_permille), (0, 50));
        assert!((8_192..=9_216).contains(&unseen.output_tokens), "{unseen:?}");
        for _ in 0..100 {
            sketches.observe("m", "refactoring", 500);
        }
        assert!(sketches.quantile("m", "refactoring", 950).output_tokens >= 8_192);
        for _ in 0..400 {
            sketches.observe("m", "refactoring", 500);
        }
        let learned = sketches.quantile("m", "refactoring", 950);
        assert!((500..563).contains(&learned.output_tokens), "{learned:?}");
        assert_eq!(sketches.quantile("m", "other", 950), unseen);
    }

    #[test]
    fn memory_is_bounded() {
        let mut sketches = Sketches::new(Prior::default());
        for number in 0..2 * PAIRS {
            sketches.observe(&format!("m{number}"), "t", 7);
        }
        let known = || sketches.by_model.values().flat_map(HashMap::values);
        assert_eq!((known().count(), sketches.pairs), (PAIRS, PAIRS));
        for _ in 0..3 * FADE_AT {
            sketches.observe("m1", "t", 100);
        }
        assert!(sketches.by_model.values().flat_map(HashMap::values).all(|sketch| sketch.total <= FADE_AT));
    }

    proptest! {
        #[test]
        fn a_size_lies_in_its_bucket_and_the_edge_is_at_most_an_eighth_above(tokens in 0_u64..(1 << 23)) {
            let edge = upper_edge(bucket(tokens));
            prop_assert!(tokens <= edge && edge <= tokens + tokens / 8, "{tokens} {edge}");
        }

        #[test]
        fn at_most_the_stated_share_exceeds(sizes in proptest::collection::vec(0_u64..1_000_000, 1..400), permille in 500_u32..1000) {
            let mut sketches = Sketches::new(Prior { tokens: 0, calls: 0 });
            sizes.iter().for_each(|size| sketches.observe("m", "t", *size));
            let edge = sketches.quantile("m", "t", permille).output_tokens;
            let above = sizes.iter().filter(|size| **size > edge).count();
            prop_assert!(above * 1000 <= sizes.len() * usize::try_from(1000 - permille).unwrap());
        }
    }
}
