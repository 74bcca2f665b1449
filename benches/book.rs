//! Reserve and post over four scopes, in memory: the bound is one microsecond for both together. And what it costs to read the
//! facts that policies see, from a ledger with four accounts to the dispatch.

use std::hint::black_box;

use anyhow::Context;
use criterion::Criterion;
use tollgate_core::{Dispatch, Nanodollars, ScopeKind};
use tollgate_ledger::Ledger;
use tollgate_ledger::book::{
    Book, Budget, Budgets, Dimension, Effects, Path, Request, ReservationId, Residency, Settlement,
};

const PATHS: u64 = 1_024;

pub(crate) fn bench(criterion: &mut Criterion) -> anyhow::Result<()> {
    reserve_and_post(criterion)?;
    facts(criterion)
}

/// A budget for each organisation, team, project and run that nothing here exhausts.
pub(crate) fn budgets() -> anyhow::Result<Budgets> {
    let limit = Nanodollars::from_dollars(1_000_000_000).context("a limit")?;
    Ok(Budgets::new(KINDS.map(|kind| Budget::each(kind, limit)).to_vec())?)
}

/// Names of a run in one of eight teams and 64 projects.
pub(crate) fn path(budgets: &Budgets, number: u64) -> anyhow::Result<Path> {
    let names = ["all".to_owned(), format!("t{}", number % 8), format!("p{}", number % 64), format!("r{number}")];
    let names: Vec<(Dimension, &str)> =
        KINDS.iter().zip(&names).map(|(kind, name)| (Dimension::Scope(*kind), name.as_str())).collect();
    Ok(budgets.path(&names)?)
}

const KINDS: [ScopeKind; 4] = [ScopeKind::Organisation, ScopeKind::Team, ScopeKind::Project, ScopeKind::Run];

fn facts(criterion: &mut Criterion) -> anyhow::Result<()> {
    let ledger = Ledger::in_memory(budgets()?)?;
    let paths = (0..PATHS).map(|number| path(&budgets()?, number)).collect::<anyhow::Result<Vec<_>>>()?;
    for (number, path) in (0_u128..).zip(&paths) {
        let request = Request { id: ReservationId(number), path, amount: Nanodollars::new(1_000), expires_ms: 60_000 };
        ledger.reserve(&request, 0)?;
        let _nowhere = ledger.post(request.id, Settlement::exact(request.amount), None, 1)?;
    }
    let (mut dispatch, mut next) = (Dispatch { now_ms: 2, ..Dispatch::default() }, paths.iter().cycle());
    criterion.bench_function("ledger/facts of a dispatch with four accounts", |bencher| {
        bencher.iter(|| {
            let path = next.next().expect("there are paths");
            dispatch.scopes = *path.scopes();
            ledger.inform(black_box(&mut dispatch), path).expect("all accounts are in memory");
        });
    });
    Ok(())
}

fn reserve_and_post(criterion: &mut Criterion) -> anyhow::Result<()> {
    let mut book = Book::new(budgets()?, Residency::Complete);
    let paths = (0..PATHS).map(|number| path(book.budgets(), number)).collect::<anyhow::Result<Vec<_>>>()?;
    let (mut effects, mut number, mut next) = (Effects::default(), 0_u64, paths.iter().cycle());
    let mut turn = || {
        number += 1;
        let id = ReservationId(u128::from(number));
        let path = next.next().expect("there are paths");
        effects.clear();
        let request = Request { id, path, amount: Nanodollars::new(1_000_000), expires_ms: number + 60_000 };
        book.reserve(black_box(&request), number, &mut effects).expect("nothing exhausts the budgets");
        let settlement = Settlement::exact(Nanodollars::new(700_000));
        book.post(id, settlement, number, &mut effects).expect("it is open");
        black_box(effects.entries.len());
    };
    // Until as many have ended as memory remembers, so that what is measured is the steady state.
    (0..100_000).for_each(|_| turn());
    criterion.bench_function("ledger/reserve and post over four scopes", |bencher| bencher.iter(&mut turn));
    Ok(())
}
