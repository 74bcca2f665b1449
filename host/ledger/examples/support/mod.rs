//! What the examples share: a seeded generator and the line of figures at the end.

/// `SplitMix64`: the same seed, the same run.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut value = self.0;
        value = (value ^ (value >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        value = (value ^ (value >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        value ^ (value >> 31)
    }

    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound.max(1)
    }
}

/// The number after a `--name`, or a default.
#[allow(dead_code, reason = "not every example takes numbers")]
pub(crate) fn number(name: &str, default: u64) -> u64 {
    let mut arguments = std::env::args().skip_while(|argument| argument != name).skip(1);
    arguments.next().map_or(default, |value| value.parse().unwrap_or_else(|_| panic!("`{name} {value}` is no number")))
}

/// Prints the figures, and says by the exit status whether the bounds held.
#[allow(dead_code, reason = "not every example takes this")]
pub(crate) fn finish(figures: &serde_json::Value, held: bool) -> std::process::ExitCode {
    println!("{figures}");
    if held { std::process::ExitCode::SUCCESS } else { std::process::ExitCode::FAILURE }
}
