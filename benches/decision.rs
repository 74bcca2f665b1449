//! The measured decision: one thread, two threads, fresh instances.

use std::hint::black_box;
use std::path::Path;
use std::thread;
use std::time::Duration;

use criterion::{BatchSize, Criterion};
use tollgate_core::config::Isolation;
use tollgate_runtime::Host;
use tollgate_runtime::control::MeasuredDecision;

use crate::plugins;

pub(crate) fn bench(criterion: &mut Criterion, folder: &Path) -> anyhow::Result<()> {
    let host = plugins::measured_host(folder, Isolation::Pooled)?;
    let measured = MeasuredDecision::prepare(&host)?;
    let mut group = criterion.benchmark_group("decision");

    let mut dispatches = measured.copy();
    let (count, mut next) = (dispatches.len(), 0);
    group.bench_function("four policies", |bencher| {
        bencher.iter(|| {
            next = (next + 1) % count;
            host.decide(black_box(&dispatches[next]))
        });
    });
    group.bench_function("reading its facts", |bencher| {
        bencher.iter(|| {
            next = (next + 1) % count;
            measured.inform(black_box(&mut dispatches[next]));
        });
    });
    for threads in [1, 2] {
        group.bench_function(format!("each of {threads} threads"), |bencher| {
            bencher.iter_custom(|times| together(&host, &measured, threads, times));
        });
    }

    let fresh = plugins::measured_host(folder, Isolation::Fresh)?;
    let measured = MeasuredDecision::prepare(&fresh)?;
    let mut next = measured.dispatches().iter().cycle();
    group.bench_function("fresh instances", |bencher| {
        bencher.iter_batched(
            || next.next(),
            |dispatch| dispatch.map(|dispatch| fresh.decide(black_box(dispatch))),
            BatchSize::SmallInput,
        );
    });
    group.finish();
    Ok(())
}

/// How long that many decisions take on each of so many threads at once; perfect scaling is no difference.
fn together(host: &Host, measured: &MeasuredDecision, threads: u32, times: u64) -> Duration {
    let decide = || {
        let clock = quanta::Clock::new();
        let started = clock.now();
        for (dispatch, _) in measured.dispatches().iter().cycle().zip(0..times) {
            drop(black_box(host.decide(black_box(dispatch))));
        }
        started.elapsed()
    };
    thread::scope(|scope| {
        let running: Vec<_> = (0..threads).map(|_| scope.spawn(decide)).collect();
        running.into_iter().filter_map(|thread| thread.join().ok()).max().unwrap_or_default()
    })
}
