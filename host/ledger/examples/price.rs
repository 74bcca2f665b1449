//! Prices usages: a table in LiteLLM's format as the argument, JSON lines on standard input, nanodollars on standard
//! output; `unpriced` or `error: …` where there is no price. `--models` lists the models that the table prices instead.
#![allow(clippy::print_stdout, clippy::unwrap_used, clippy::panic, reason = "a test that panics fails")]

use std::io::{BufRead, Write};

use serde::Deserialize;
use tollgate_core::Usage;
use tollgate_ledger::prices::{CostOptions, Lookup, PriceTable, ServiceTier};

#[derive(Deserialize)]
struct Line {
    model: String,
    tier: String,
    usage: Usage,
}

fn main() {
    let path = std::env::args().nth(1).expect("a price table");
    let table = PriceTable::empty().with_layer(&path, &std::fs::read_to_string(&path).unwrap()).unwrap();
    let mut output = std::io::BufWriter::new(std::io::stdout().lock());
    if std::env::args().any(|argument| argument == "--models") {
        let mut models: Vec<&str> = table.models().map(|(name, _)| name).collect();
        models.sort_unstable();
        models.iter().for_each(|name| writeln!(output, "{name}").unwrap());
        return;
    }
    for line in std::io::stdin().lock().lines() {
        let line: Line = serde_json::from_str(&line.unwrap()).unwrap();
        let tier = match line.tier.as_str() {
            "standard" => ServiceTier::Standard,
            "batch" => ServiceTier::Batch,
            "priority" => ServiceTier::Priority,
            "flex" => ServiceTier::Flex,
            other => panic!("`{other}` is no tier"),
        };
        let Lookup::Exact(price) = table.lookup(&line.model) else {
            writeln!(output, "unpriced").unwrap();
            continue;
        };
        match price.cost(&line.usage, CostOptions { tier, ..CostOptions::default() }) {
            Ok(cost) => writeln!(output, "{}", cost.as_u64()).unwrap(),
            Err(error) => writeln!(output, "error: {error}").unwrap(),
        }
    }
}
