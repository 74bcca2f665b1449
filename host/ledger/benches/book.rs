//! Reserve and post over four scopes, in memory. The bound is one microsecond for both together.
#![allow(clippy::arithmetic_side_effects, clippy::unwrap_used, missing_docs, reason = "a bench")]

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use tollgate_core::{Nanodollars, ScopeKind};
use tollgate_ledger::book::{
    Book, Budget, Budgets, Dimension, Effects, Path, Request, ReservationId, Residency, Settlement,
};

const KINDS: [ScopeKind; 4] = [ScopeKind::Organisation, ScopeKind::Team, ScopeKind::Project, ScopeKind::Run];
const PATHS: u64 = 1_024;

fn reserve_and_post(criterion: &mut Criterion) {
    let limit = Nanodollars::from_dollars(1_000_000_000).unwrap();
    let budgets = Budgets::new(KINDS.map(|kind| Budget::each(kind, limit)).to_vec()).unwrap();
    let mut book = Book::new(budgets, Residency::Complete);
    let path = |number: u64| {
        let names = ["all".to_owned(), format!("t{}", number % 8), format!("p{}", number % 64), format!("r{number}")];
        let names: Vec<(Dimension, &str)> =
            KINDS.iter().zip(&names).map(|(kind, name)| (Dimension::Scope(*kind), name.as_str())).collect();
        book.budgets().path(&names).unwrap()
    };
    let paths: Vec<Path> = (0..PATHS).map(path).collect();
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

criterion_group!(benches, reserve_and_post);
criterion_main!(benches);
