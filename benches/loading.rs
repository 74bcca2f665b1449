//! From plugin files to a host that has probed them: with nothing in the compile cache, and with everything.

use std::path::Path;
use std::time::Duration;

use criterion::{BatchSize, Criterion};
use tollgate_runtime::Host;
use tollgate_runtime::control::measured_configuration;

pub(crate) fn bench(criterion: &mut Criterion, folder: &Path) -> anyhow::Result<()> {
    let configuration = measured_configuration();
    let load =
        |cache: &Path| Host::builder().plugin_folder(folder).compile_cache(cache).build(&configuration).map_err(drop);
    let mut group = criterion.benchmark_group("load the four");
    // A second and more for each: few are enough.
    group.sample_size(10).measurement_time(Duration::from_secs(10));
    let kept = tempfile::tempdir()?;
    group.bench_function("cold", |bencher| {
        bencher.iter_batched(tempfile::tempdir, |cache| cache.map(|cache| load(cache.path())), BatchSize::PerIteration);
    });
    drop(load(kept.path()));
    group.bench_function("cached", |bencher| bencher.iter(|| load(kept.path())));
    group.finish();
    Ok(())
}
