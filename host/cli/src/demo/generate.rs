//! A seeded generator of pipelines. Its shape follows what is known of a real one (525 invocations of an
//! autonomous coding pipeline): planning before coding, nine in ten invocations coding, 15 % failures and most of them in a few
//! loops, 86 % of the input read from the cache and 14 % written to it, a median coding invocation of about two dollars.

use tollgate_core::{Priority, Usage};
use tollgate_ledger::prices::{CostOptions, LongContext, PriceTable, ServiceTier};

use crate::replay::{Row, RowStatus};

/// 2026-03-02 08:00 UTC, a Monday.
const START_MS: u64 = 1_772_438_400_000;
const MINUTE_MS: u64 = 60_000;

/// What a task is about, and how often of a hundred.
const TASK_TYPES: [(Option<&str>, u64); 9] = [
    (Some("boilerplate"), 14),
    (Some("refactoring"), 14),
    (Some("test-generation"), 16),
    (Some("documentation"), 8),
    (Some("test-plan"), 6),
    (Some("novel-integration"), 16),
    (Some("security"), 6),
    (Some("root-cause"), 10),
    (None, 10),
];

/// Teams with how many runs each makes. The team `blue` works in the background, on a small budget.
const TEAMS: [(&str, Priority, u64); 3] =
    [("red", Priority::Normal, 8), ("green", Priority::High, 6), ("blue", Priority::Low, 8)];

/// The rows of a whole pipeline. The same seed gives the same rows on every machine.
pub(super) fn pipeline(seed: u64) -> Vec<Row> {
    let mut generator = Generator { random: Random(seed), prices: PriceTable::builtin(), rows: Vec::new(), tasks: 0 };
    for (team, priority, runs) in TEAMS {
        for run in 0..runs {
            let start_ms = START_MS + (run * 150 + generator.random.below(90)) * MINUTE_MS;
            let run = Run { name: format!("{team}-{run:02}"), team, priority };
            generator.run(&run, start_ms);
        }
    }
    let runaway = Run { name: "red-runaway".to_owned(), team: "red", priority: Priority::Normal };
    generator.runaway(&runaway, START_MS + 9 * 60 * MINUTE_MS);
    generator.rows.sort_by_key(|row| row.started_ms);
    for (line, row) in (1..).zip(&mut generator.rows) {
        row.line = line;
    }
    generator.rows
}

struct Run {
    name: String,
    team: &'static str,
    priority: Priority,
}

struct Generator {
    random: Random,
    prices: PriceTable,
    rows: Vec<Row>,
    tasks: u64,
}

/// How an invocation went.
struct Went {
    minutes: u64,
    seconds: u64,
    status: RowStatus,
    failure_kind: Option<&'static str>,
    usage_reported: bool,
}

const WELL: Went =
    Went { minutes: 0, seconds: 0, status: RowStatus::Success, failure_kind: None, usage_reported: true };

impl Generator {
    /// A planning invocation, then tasks one after the other.
    fn run(&mut self, run: &Run, start_ms: u64) {
        let mut now_ms = start_ms;
        let plan = Went { minutes: 2 + self.random.below(3), ..WELL };
        now_ms = self.invocation(run, "plan", "planning", Some("specification"), now_ms, &plan);
        for _ in 0..12 + self.random.below(10) {
            self.tasks += 1;
            let task = format!("t{:03}", self.tasks);
            let task_type = self.task_type();
            now_ms = match self.random.below(100) {
                0..=1 => self.broken_environment(run, &task, task_type, now_ms),
                2..=3 => self.timeouts(run, &task, task_type, now_ms),
                4..=11 => self.one_failure(run, &task, task_type, now_ms),
                12..=13 => self.too_hard(run, &task, task_type, now_ms),
                14..=17 => self.rejected(run, &task, task_type, now_ms),
                _ => self.success(run, &task, task_type, now_ms),
            };
            now_ms += self.random.below(3 * MINUTE_MS);
        }
    }

    fn success(&mut self, run: &Run, task: &str, task_type: Option<&'static str>, now_ms: u64) -> u64 {
        let went = Went { minutes: 3 + self.random.below(9), ..WELL };
        self.invocation(run, task, "coding", task_type, now_ms, &went)
    }

    fn one_failure(&mut self, run: &Run, task: &str, task_type: Option<&'static str>, now_ms: u64) -> u64 {
        let failed = Went { minutes: 4, status: RowStatus::Failed, failure_kind: Some("merge-failure"), ..WELL };
        let now_ms = self.invocation(run, task, "coding", task_type, now_ms, &failed);
        self.success(run, task, task_type, now_ms + MINUTE_MS)
    }

    /// Fails in a different way each time, until something stronger takes it.
    fn too_hard(&mut self, run: &Run, task: &str, task_type: Option<&'static str>, mut now_ms: u64) -> u64 {
        for kind in ["tests-failed", "merge-failure", "lint-failed"] {
            let failed = Went { minutes: 3, status: RowStatus::Failed, failure_kind: Some(kind), ..WELL };
            now_ms = self.invocation(run, task, "coding", task_type, now_ms + MINUTE_MS, &failed);
        }
        self.success(run, task, task_type, now_ms + MINUTE_MS)
    }

    fn rejected(&mut self, run: &Run, task: &str, task_type: Option<&'static str>, now_ms: u64) -> u64 {
        let rejected = Went { minutes: 6, status: RowStatus::Rejected, failure_kind: Some("rejected"), ..WELL };
        let now_ms = self.invocation(run, task, "coding", task_type, now_ms, &rejected);
        self.success(run, task, task_type, now_ms + MINUTE_MS)
    }

    /// One dear failure, then one that fails within seconds, again and again.
    fn broken_environment(&mut self, run: &Run, task: &str, task_type: Option<&'static str>, mut now_ms: u64) -> u64 {
        let first = Went { minutes: 2, status: RowStatus::Failed, failure_kind: Some("failed-with-cost"), ..WELL };
        now_ms = self.invocation(run, task, "coding", task_type, now_ms, &first);
        for _ in 0..5 + self.random.below(8) {
            let fast = Went {
                minutes: 0,
                seconds: 3 + self.random.below(5),
                status: RowStatus::Failed,
                failure_kind: Some("fast-fail"),
                usage_reported: false,
            };
            now_ms = self.invocation(run, task, "coding", task_type, now_ms + 25_000, &fast);
        }
        now_ms
    }

    /// The whole time limit, again and again, with no usage reported.
    fn timeouts(&mut self, run: &Run, task: &str, task_type: Option<&'static str>, mut now_ms: u64) -> u64 {
        for _ in 0..4 + self.random.below(4) {
            let timeout = Went {
                minutes: 15,
                status: RowStatus::Failed,
                failure_kind: Some("timeout"),
                usage_reported: false,
                ..WELL
            };
            now_ms = self.invocation(run, task, "coding", task_type, now_ms + 5_000, &timeout);
        }
        now_ms
    }

    /// Many invocations at once, each fine by itself, together far dearer than any run before.
    fn runaway(&mut self, run: &Run, start_ms: u64) {
        for step in 0..60 {
            self.tasks += 1;
            let task = format!("t{:03}", self.tasks);
            let went = Went { minutes: 3, ..WELL };
            self.invocation(run, &task, "coding", None, start_ms + step * 20_000, &went);
        }
    }

    /// Adds a row, and returns when it ended.
    fn invocation(
        &mut self,
        run: &Run,
        task: &str,
        stage: &str,
        task_type: Option<&str>,
        started_ms: u64,
        went: &Went,
    ) -> u64 {
        let ended_ms = started_ms + went.minutes * MINUTE_MS + went.seconds * 1_000;
        let usage = went.usage_reported.then(|| self.usage(stage));
        let recorded_with = CostOptions { tier: ServiceTier::Standard, long_context: LongContext::Ignore };
        // The pipeline that is recorded sends everything to the dearest model.
        let price = self.prices.lookup("claude-opus-4-6").price();
        let cost = usage.as_ref().and_then(|usage| price?.cost(usage, recorded_with).ok());
        self.rows.push(Row {
            run: run.name.clone(),
            task: task.to_owned(),
            stage: stage.to_owned(),
            task_type: task_type.map(str::to_owned),
            organisation: Some("acme".to_owned()),
            team: Some(run.team.to_owned()),
            project: Some("unix-utils".to_owned()),
            priority: run.priority,
            model: Some("claude-opus-4-6".to_owned()),
            started_ms,
            ended_ms,
            status: went.status,
            failure_kind: went.failure_kind.map(str::to_owned),
            productive: (went.status == RowStatus::Success).then(|| stage == "planning" || self.random.below(6) > 0),
            usage,
            cost,
            ..Row::default()
        });
        ended_ms
    }

    /// Sums over the calls of one invocation. Coding: a median of about 155,000 tokens written to the cache,
    /// 930,000 read from it and 18,000 put out, with a long tail.
    fn usage(&mut self, stage: &str) -> Usage {
        let scale = if stage == "planning" { 470 } else { 900 + self.random.below(1_000) + self.random.tail() };
        Usage {
            uncached_input: 2 + self.random.below(60),
            cache_write_5m: 110 * scale,
            cache_read: 660 * scale,
            output: 13 * scale,
            ..Usage::default()
        }
    }

    fn task_type(&mut self) -> Option<&'static str> {
        let mut place = self.random.below(100);
        for (task_type, share) in TASK_TYPES {
            if place < share {
                return task_type;
            }
            place -= share;
        }
        None
    }
}

/// `SplitMix64` (Steele, Lea and Flood, 2014): small, and the same everywhere.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    /// Nothing nine times of ten, up to 1,800 else.
    fn tail(&mut self) -> u64 {
        if self.below(10) == 0 { self.below(1_800) } else { 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shape_follows_the_real_pipeline() {
        let rows = pipeline(42);
        let of = |stage: &str| rows.iter().filter(|row| row.stage == stage).count();
        assert!(of("coding") * 10 >= rows.len() * 9 && of("planning") >= 20);
        let failed = rows.iter().filter(|row| row.status == RowStatus::Failed).count();
        assert!((rows.len() / 10..rows.len() * 2 / 5).contains(&failed), "{failed} of {}", rows.len());
        let (mut read, mut all) = (0, 0);
        for usage in rows.iter().filter_map(|row| row.usage) {
            read += usage.cache_read;
            all += usage.input().unwrap_or(0);
        }
        assert!((82..=88).contains(&(read * 100 / all)), "{}", read * 100 / all);
        let mut costs: Vec<_> = rows.iter().filter(|row| row.stage == "coding").filter_map(|row| row.cost).collect();
        costs.sort_unstable();
        let median = costs[costs.len() / 2].as_u64() / 10_000_000;
        assert!((120..=260).contains(&median), "{median} cents");
    }

    #[test]
    fn a_seed_gives_the_same_pipeline() {
        let shape = |seed| pipeline(seed).iter().map(|row| (row.started_ms, row.task.clone())).collect::<Vec<_>>();
        assert_eq!(shape(7), shape(7));
        assert_ne!(shape(7), shape(8));
    }
}
