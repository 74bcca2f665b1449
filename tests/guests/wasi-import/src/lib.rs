//! Reads a clock of WASI.

use plain_policy::{BudgetFacts, BudgetVerdict, Guest};

wit_bindgen::generate!({
    inline: "
        package tollgate:wasi-import;

        world extra {
            import wasi:clocks/monotonic-clock@0.2.3;
        }

        package wasi:clocks@0.2.3 {
            interface monotonic-clock {
                now: func() -> u64;
            }
        }
    ",
    generate_all,
});

struct WasiImport;

impl Guest for WasiImport {
    fn budget(_: BudgetFacts) -> BudgetVerdict {
        if wasi::clocks::monotonic_clock::now() % 2 == 0 { BudgetVerdict::Proceed } else { BudgetVerdict::Slow(1_000) }
    }
}

plain_policy::export!(WasiImport as budget);
