//! Reserve and post over four scopes, in memory: the bound is one microsecond for both together. And what it costs to read the
//! facts that policies see, from a ledger with four accounts to the dispatch.
#![allow(clippy::arithmetic_side_effects, clippy::unwrap_used, missing_docs, reason = "a bench")]

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use tollgate_core::{Dispatch, Nanodollars, ScopeKind};
use tollgate_ledger::Ledger;
use tollgate_ledger::book::{
    Book, Budget, Budgets, Dimension, Effects, Path, Request, ReservationId, Residency, Settlement,
};

const KINDS: [ScopeKind; 4] = [ScopeKind::Organisation, ScopeKind::Team, ScopeKind::Project, ScopeKind::Run];
const PATHS: u64 = 1_024;

fn budgets() -> Budgets {
    let limit = Nanodollars::from_dollars(1_000_000_000).unwrap();
    Budgets::new(KINDS.map(|kind| Budget::each(kind, limit)).to_vec()).unwrap()
}

fn paths(budgets: &Budgets) -> Vec<Path> {
    let path = |number: u64| {
        let names = ["all".to_owned(), format!("t{}", number % 8), format!("p{}", number % 64), format!("r{number}")];
        let names: Vec<(Dimension, &str)> =
            KINDS.iter().zip(&names).map(|(kind, name)| (Dimension::Scope(*kind), name.as_str())).collect();
        budgets.path(&names).unwrap()
    };
    (0..PATHS).map(path).collect()
}

fn facts(criterion: &mut Criterion) {
    let ledger = Ledger::in_memory(budgets()).unwrap();
    let paths = paths(&budgets());
    for (number, path) in (0_u128..).zip(&paths) {
        let request = Request { id: ReservationId(number), path, amount: Nanodollars::new(1_000), expires_ms: 60_000 };
        ledger.reserve(&request, 0).unwrap();
        let _nowhere = ledger.post(request.id, Settlement::exact(request.amount), None, 1).unwrap();
    }
    let (mut dispatch, mut number) = (Dispatch { now_ms: 2, ..Dispatch::default() }, 0_usize);
    criterion.bench_function("facts of a dispatch with four accounts", |bencher| {
        bencher.iter(|| {
            number += 1;
            let path = &paths[number % paths.len()];
            dispatch.scopes = *path.scopes();
            ledger.inform(black_box(&mut dispatch), path).unwrap();
        });
    });
    assert_eq!(dispatch.accounts.len(), 4);
}

fn reserve_and_post(criterion: &mut Criterion) {
    let mut book = Book::new(budgets(), Residency::Complete);
    let paths = paths(book.budgets());
    let (mut effects, mut number) = (Effects::default(), 0_u64);
    let mut turn = || {
        number += 1;
        let id = ReservationId(u128::from(number));
        let path = &paths[usize::try_from(number % PATHS).unwrap()];
        effects.clear();
        let request = Request { id, path, amount: Nanodollars::new(1_000_000), expires_ms: number + 60_000 };
        book.reserve(black_box(&request), number, &mut effects).unwrap();
        book.post(id, Settlement::exact(Nanodollars::new(700_000)), number, &mut effects).unwrap();
        black_box(effects.entries.len());
    };
    // Until as many have ended as memory remembers, so that what is measured is the steady state.
    (0..100_000).for_each(|_| turn());
    criterion.bench_function("reserve and post over four scopes", |bencher| bencher.iter(&mut turn));
}

criterion_group!(benches, reserve_and_post, facts);
criterion_main!(benches);
