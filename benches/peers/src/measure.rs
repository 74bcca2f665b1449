//! Times in turns: every engine decides the same few dispatches before the next few come, so that a machine whose speed changes is as
//! fast for one as for another. A sample is the mean over one turn, and a figure the median of all samples.

use std::hint::black_box;

use anyhow::Result;
use quanta::Clock;

use crate::dispatches::Case;
use crate::engines::Peer;

/// Dispatches of a turn.
pub(crate) const TURN: usize = 64;
/// Turns before the first that counts: just-in-time compilers have compiled by then, and caches are warm.
const WARM_UP: usize = 64;

pub(crate) struct Row {
    pub(crate) name: &'static str,
    pub(crate) includes: &'static str,
    pub(crate) is_to_be_beaten: bool,
    pub(crate) is_host: bool,
    pub(crate) median_ns: f64,
    pub(crate) least_ns: f64,
}

pub(crate) fn in_turns(peers: &mut [Box<dyn Peer>], cases: &[Case], rounds: usize) -> Result<Vec<Row>> {
    let clock = Clock::new();
    let mut samples = vec![Vec::with_capacity(rounds); peers.len()];
    for (round, turn) in cases.chunks_exact(TURN).cycle().take(WARM_UP + rounds).enumerate() {
        for (peer, samples) in peers.iter_mut().zip(&mut samples) {
            // What the engine before it left in the caches is not its own.
            black_box(peer.decide(&turn[0])?);
            let started = clock.raw();
            for case in turn {
                black_box(peer.decide(black_box(case))?);
            }
            let nanoseconds = clock.delta_as_nanos(started, clock.raw());
            if round >= WARM_UP {
                samples.push(nanoseconds as f64 / TURN as f64);
            }
        }
    }
    let row = |(peer, mut samples): (&dyn Peer, Vec<f64>)| {
        samples.sort_unstable_by(f64::total_cmp);
        Row {
            name: peer.name(),
            includes: peer.includes(),
            is_to_be_beaten: peer.is_to_be_beaten(),
            is_host: peer.is_host(),
            median_ns: samples[samples.len() / 2],
            least_ns: samples[0],
        }
    };
    Ok(peers.iter().map(|peer| &**peer).zip(samples).map(row).collect())
}
