//! What a run is about and what its tasks will come to: made from a seed and a number, and from nothing else.

use tollgate_core::Reference;
use tollgate_core::config::Api;

/// What will become of a task, if nobody stops it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It succeeds at once.
    Succeeds,
    /// It fails so often, each time in another way, and then succeeds.
    Stumbles(u32),
    /// The verifier rejects it so often, and then takes it.
    IsRejected(u32),
    /// It fails in the same way again and again, and the agent never gives up.
    Loops,
    /// It calls on and on with a context that grows, and says nothing of it.
    RunsAway,
}

/// A task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskScript {
    /// Its name, within the run.
    pub name: String,
    /// What kind of task it is.
    pub task_type: &'static str,
    /// What will become of it.
    pub fate: Fate,
    /// Calls that one attempt takes.
    pub calls: u32,
}

/// A run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunScript {
    /// Its name.
    pub name: String,
    /// The team that pays.
    pub team: &'static str,
    /// How much it matters.
    pub priority: &'static str,
    /// The format it speaks.
    pub api: Api,
    /// Its tasks, one after the other.
    pub tasks: Vec<TaskScript>,
}

/// Teams and how much their work matters; `blue` works in the background.
const TEAMS: [(&str, &str); 3] = [("red", "normal"), ("green", "high"), ("blue", "low")];

/// What tasks are about.
const TASK_TYPES: [&str; 8] = [
    "boilerplate",
    "refactoring",
    "test-generation",
    "documentation",
    "novel-integration",
    "security",
    "root-cause",
    "test-plan",
];

impl RunScript {
    /// The run of that number.
    #[must_use]
    pub fn of(seed: u64, number: u32) -> Self {
        let random = |what: &str, below: u64| Reference::of(&format!("{seed} {number} {what}")).as_u64() % below;
        let chosen = |what: &str, of: usize| usize::try_from(random(what, of as u64)).unwrap_or(0);
        let (team, priority) = TEAMS[chosen("team", TEAMS.len())];
        let task = |at: u64| TaskScript {
            name: format!("task-{at}"),
            task_type: TASK_TYPES[chosen(&format!("type {at}"), TASK_TYPES.len())],
            fate: fate(random(&format!("fate {at}"), 100), random(&format!("times {at}"), 3)),
            calls: 1 + u32::try_from(random(&format!("calls {at}"), 3)).unwrap_or(0),
        };
        Self {
            name: format!("sim-{seed}-{number:03}"),
            team,
            priority,
            api: if random("api", 2) == 0 { Api::Openai } else { Api::Anthropic },
            tasks: (0..1 + random("tasks", 3)).map(task).collect(),
        }
    }
}

/// Most tasks go well; loops and runaways are few, and are most of the money.
const fn fate(of_a_hundred: u64, times: u64) -> Fate {
    let times = if times == 2 { 2 } else { 1 };
    match of_a_hundred {
        0..=4 => Fate::RunsAway,
        5..=14 => Fate::Loops,
        15..=24 => Fate::IsRejected(times),
        25..=39 => Fate::Stumbles(times),
        _ => Fate::Succeeds,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_the_same_runs_and_another_seed_others() {
        let runs = |seed| (0..50).map(|number| RunScript::of(seed, number)).collect::<Vec<_>>();
        assert_eq!(runs(1), runs(1));
        assert_ne!(runs(1), runs(2));
    }

    #[test]
    fn a_hundred_runs_have_every_fate_format_and_team() {
        let runs: Vec<_> = (0..100).map(|number| RunScript::of(7, number)).collect();
        let fates = || runs.iter().flat_map(|run| &run.tasks).map(|task| task.fate);
        let went_well = fates().filter(|fate| *fate == Fate::Succeeds).count();
        assert!(went_well * 2 > fates().count(), "most go well");
        for fate in [Fate::RunsAway, Fate::Loops, Fate::Stumbles(1), Fate::Stumbles(2), Fate::IsRejected(1)] {
            assert!(fates().any(|one| one == fate), "{fate:?}");
        }
        for api in [Api::Openai, Api::Anthropic] {
            assert!(runs.iter().any(|run| run.api == api));
        }
        assert!(TEAMS.iter().all(|(team, _)| runs.iter().any(|run| run.team == *team)));
    }
}
