//! Times in buckets of some three per cent: a fixed size, whatever is counted.

/// Buckets between two powers of two.
const PARTS: u64 = 32;

pub(crate) struct Histogram {
    counts: Vec<u64>,
    total: u64,
    most: u64,
}

impl Histogram {
    pub(crate) fn new() -> Self {
        Self { counts: vec![0; 64 * PARTS as usize], total: 0, most: 0 }
    }

    pub(crate) fn add(&mut self, nanoseconds: u64) {
        self.counts[bucket(nanoseconds)] += 1;
        self.total += 1;
        self.most = self.most.max(nanoseconds);
    }

    pub(crate) fn merge(&mut self, other: &Self) {
        self.counts.iter_mut().zip(&other.counts).for_each(|(own, others)| *own += others);
        self.total += other.total;
        self.most = self.most.max(other.most);
    }

    pub(crate) const fn total(&self) -> u64 {
        self.total
    }

    /// The time that this share of them took at most, up to the width of a bucket.
    #[expect(clippy::cast_sign_loss, clippy::cast_precision_loss, reason = "a share of a count")]
    pub(crate) fn quantile(&self, share: f64) -> u64 {
        let rank = (self.total as f64 * share).ceil() as u64;
        let mut below = 0;
        for (bucket, count) in self.counts.iter().enumerate() {
            below += count;
            if below >= rank.max(1) {
                return upper(bucket).min(self.most);
            }
        }
        self.most
    }
}

fn bucket(nanoseconds: u64) -> usize {
    let value = nanoseconds.max(PARTS);
    let power = u64::from(value.ilog2());
    let part = (value >> (power - u64::from(PARTS.ilog2()))) - PARTS;
    ((power - u64::from(PARTS.ilog2())) * PARTS + part) as usize
}

fn upper(bucket: usize) -> u64 {
    let (power, part) = (bucket as u64 / PARTS, bucket as u64 % PARTS);
    ((PARTS + part + 1) << power) - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_off_by_a_bucket_at_most() {
        let mut histogram = Histogram::new();
        (1..=100_000).for_each(|time| histogram.add(time * 100));
        for (share, exact) in [(0.5, 5_000_000_u64), (0.99, 9_900_000), (0.999, 9_990_000), (1.0, 10_000_000)] {
            let off = histogram.quantile(share).abs_diff(exact);
            assert!(off <= exact / 32 + 1, "{share}: off by {off}");
        }
        assert_eq!(upper(bucket(u64::MAX >> 1)), u64::MAX >> 1);
    }
}
