//! One policy call of each kind: through a host with that policy only, through bare wasmtime, and a bare core call.

use std::hint::black_box;
use std::path::Path;

use criterion::Criterion;
use tollgate_core::config::Isolation;
use tollgate_core::{Dispatch, PolicyKind};
use tollgate_runtime::control::{BareEngine, MeasuredDecision, scalars};

use crate::bare::BareCall;
use crate::plugins;

pub(crate) fn bench(criterion: &mut Criterion, folder: &Path) -> anyhow::Result<()> {
    let whole = plugins::measured_host(folder, Isolation::Pooled)?;
    let measured = MeasuredDecision::prepare(&whole)?;
    let dispatches = measured.dispatches();
    for kind in PolicyKind::ALL {
        bench_kind(criterion, folder, *kind, dispatches)?;
    }
    let bare = BareEngine::new()?;
    let mut core = bare.core_call()?;
    let arguments: Vec<_> = dispatches.iter().map(scalars).collect();
    let mut next = arguments.iter().cycle();
    criterion.bench_function("call/bare core function", |bencher| {
        bencher.iter(|| core.call(black_box(next.next().copied().unwrap_or_default())).map_err(drop));
    });
    Ok(())
}

fn bench_kind(
    criterion: &mut Criterion,
    folder: &Path,
    kind: PolicyKind,
    dispatches: &[Dispatch],
) -> anyhow::Result<()> {
    let mut group = criterion.benchmark_group(format!("call/{kind}"));
    let host = plugins::host_of_kind(folder, kind)?;
    let mut next = dispatches.iter().cycle();
    group.bench_function("host", |bencher| {
        bencher.iter(|| next.next().map(|dispatch| host.decide(black_box(dispatch))));
    });
    let mut bare = BareCall::new(folder, kind, dispatches).map_err(anyhow::Error::msg)?;
    group.bench_function("bare wasmtime", |bencher| bencher.iter(|| bare.call().map_err(drop)));
    group.finish();
    Ok(())
}
