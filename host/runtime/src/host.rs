//! The host that an embedder holds, and the function that decides.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::{env, fs, io};

use arc_swap::ArcSwap;
use quanta::Clock;
use tollgate_core::{
    Catalogue, Configuration, ConfigurationError, CounterRule, Covered, Decision, Dispatch, InternError,
    KillSwitchVerdict, PolicyIndex, PolicyKind, Ruling, Selector, Switch, SwitchBoard, Symbol, Symbols,
    TooManySwitches, TrailEntry, Trip, Verdict,
};

use crate::cache::CompileCache;
use crate::chain::Laps;
use crate::convert::Moment;
use crate::engine::{Engine, EngineError};
use crate::event::{Event, Listener};
use crate::generation::{Generation, GenerationError};
use crate::loader::Loader;
use crate::policy::About;

/// Loads policies and decides dispatches. `Send` and `Sync`: share one between all threads.
///
/// Policies run on the stack of the thread that calls [`Host::decide`] or builds the host, which therefore has to be larger than
/// `limits.stack_bytes` (512 KiB where nothing is said). The 2 MiB of a thread of Rust's standard library are enough for the
/// default; on a smaller stack a guest that recurses without end ends the process instead of its evaluation.
///
/// ```
/// use tollgate_core::{Configuration, Dispatch, Nanodollars, Outcome, Reference, ScopeKind};
/// use tollgate_runtime::Host;
///
/// let host = Host::builder().build(&Configuration::parse(
///     r#"
///     version = 1
///     model = [{ name = "claude-haiku-4-5", tier = "low" }, { name = "claude-opus-4-6", tier = "premium" }]
///     backend = [{ name = "anthropic", models = ["claude-haiku-4-5", "claude-opus-4-6"] }]
///     policy = [{ name = "kill-switch" }, { name = "retry-ceiling" }, { name = "routing" }, { name = "budget" }]
///     "#,
/// )?)?;
/// let mut dispatch = Dispatch {
///     now_ms: 1_767_225_600_000,
///     task: Some(Reference::of("issue-42")),
///     task_type: host.symbol("refactoring"),
///     candidates: host.catalogue().candidates(|_model, _hosting| Some(Nanodollars::new(20_000_000))),
///     ..Dispatch::default()
/// };
/// dispatch.scopes.set(ScopeKind::Run, Reference::of("run-7"));
/// match host.decide(&dispatch).outcome {
///     Outcome::Proceed(permit) => {
///         let candidate = dispatch.candidates[permit.candidate() as usize];
///         assert_eq!(&*host.symbols().display(candidate.model), "claude-haiku-4-5");
///     }
///     other => panic!("a first refactoring {}", other.word()),
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Host {
    generation: ArcSwap<Generation>,
    switches: ArcSwap<SwitchBoard>,
    symbols: Arc<Symbols>,
    catalogue: Arc<Catalogue>,
    clock: Clock,
    listener: Option<Listener>,
}

/// How a host is made.
#[derive(Default)]
pub struct HostBuilder {
    base: Option<PathBuf>,
    plugin_folders: Vec<PathBuf>,
    cache: Option<PathBuf>,
    listener: Option<Listener>,
}

/// Why there is no host.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    /// The configuration cannot be read.
    #[error("cannot read `{file}`: {source}")]
    Read {
        /// Which file.
        file: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The configuration has a mistake.
    #[error(transparent)]
    Configuration(#[from] ConfigurationError),
    /// The names of the configuration do not fit the table.
    #[error("the configuration's names: {0}")]
    Names(#[from] InternError),
    /// There is no engine.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// A policy was not loaded.
    #[error(transparent)]
    Generation(#[from] GenerationError),
}

impl HostBuilder {
    /// Where relative paths of the configuration start; the working directory where nothing is said.
    #[must_use]
    pub fn base(mut self, folder: impl Into<PathBuf>) -> Self {
        self.base = Some(folder.into());
        self
    }

    /// Looks for plugins given by name in this folder as well, before the usual ones: `$TOLLGATE_PLUGINS`, `plugins` beside
    /// the configuration, and `plugins` beside the running program.
    #[must_use]
    pub fn plugin_folder(mut self, folder: impl Into<PathBuf>) -> Self {
        self.plugin_folders.push(folder.into());
        self
    }

    /// Keeps compiled plugins in this folder, which only the host may write. Without one they are compiled at every start.
    #[must_use]
    pub fn compile_cache(mut self, folder: impl Into<PathBuf>) -> Self {
        self.cache = Some(folder.into());
        self
    }

    /// Tells `listener` what happens. It is called on the thread that decides, so it has to be quick.
    #[must_use]
    pub fn on_event(mut self, listener: impl Fn(&Event) + Send + Sync + 'static) -> Self {
        self.listener = Some(Box::new(listener));
        self
    }

    /// Loads the configuration of a file and its policies.
    ///
    /// # Errors
    /// When the file cannot be read, has a mistake, or one of its policies does not load.
    pub fn open(mut self, file: impl AsRef<Path>) -> Result<Host, HostError> {
        let file = file.as_ref();
        let text = fs::read_to_string(file).map_err(|source| HostError::Read { file: file.to_owned(), source })?;
        if self.base.is_none() {
            self.base = file.parent().map(Path::to_owned);
        }
        self.build(&Configuration::parse(&text)?)
    }

    /// Loads the policies of a configuration.
    ///
    /// # Errors
    /// When one of them does not load.
    pub fn build(self, configuration: &Configuration) -> Result<Host, HostError> {
        let clock = Clock::new();
        let symbols = Arc::new(Symbols::new());
        let catalogue = Arc::new(Catalogue::new(configuration, &symbols)?);
        let base = self.base.unwrap_or_default();
        let mut plugin_folders = self.plugin_folders;
        plugin_folders.extend(usual_plugin_folders(&base));
        let loader = Loader {
            engine: Engine::new(configuration.limits)?,
            cache: self.cache.map_or_else(CompileCache::none, |folder| CompileCache::in_folder(&folder)),
            symbols: Arc::clone(&symbols),
            catalogue: Arc::clone(&catalogue),
            clock: clock.clone(),
            base,
            plugin_folders,
        };
        let generation = Generation::load(1, configuration, &loader)?;
        Ok(Host {
            generation: ArcSwap::from_pointee(generation),
            switches: ArcSwap::default(),
            symbols,
            catalogue,
            clock,
            listener: self.listener,
        })
    }
}

fn usual_plugin_folders(base: &Path) -> Vec<PathBuf> {
    let named = env::var_os("TOLLGATE_PLUGINS").map(PathBuf::from);
    let beside_program = env::current_exe().ok().and_then(|program| Some(program.parent()?.join("plugins")));
    named.into_iter().chain([base.join("plugins")]).chain(beside_program).collect()
}

impl Host {
    /// How a host with more than a file is made.
    #[must_use]
    pub fn builder() -> HostBuilder {
        HostBuilder::default()
    }

    /// A host from a configuration file, with its plugins in the usual places.
    ///
    /// # Errors
    /// When the file cannot be read, has a mistake, or one of its policies does not load.
    pub fn open(file: impl AsRef<Path>) -> Result<Self, HostError> {
        Self::builder().open(file)
    }

    /// Decides one dispatch. No lock is held across a plugin call, and nothing is read or written outside of
    /// memory. A policy that trips has its switch engaged before this returns.
    pub fn decide(&self, dispatch: &Dispatch) -> Decision {
        let started = self.clock.raw();
        let generation = self.generation.load();
        let covered = self.switches.load().covered(dispatch);
        let decision = self.rule(dispatch, covered, &generation, started);
        self.act_on(&decision.trail, dispatch, &generation);
        decision
    }

    /// Decides a dispatch of the past as [`Host::decide`] would have, with what the switches covered then. It engages
    /// nothing and tells nobody: what it decides is for reading, not for sending.
    pub fn decide_again(&self, dispatch: &Dispatch, covered: Covered) -> Decision {
        self.rule(dispatch, covered, &self.generation.load(), self.clock.raw())
    }

    /// Asks the chain of a generation. The decision's time counts from `started`, a reading of the clock.
    fn rule(&self, dispatch: &Dispatch, covered: Covered, generation: &Generation, started: u64) -> Decision {
        let mut ruling = Ruling::open_covered(dispatch, covered);
        let mut chain = generation.take_chain();
        let mut laps = Laps::start(&self.clock);
        for (kind, policies) in generation.order() {
            if ruling.is_settled() {
                break;
            }
            for index in policies {
                let policy = generation.policy(*index);
                let entry = chain.ask(policy, *index, *kind, &ruling, Moment::Dispatch, &mut laps);
                ruling.hear(entry, policy.on_error);
            }
            if *kind == PolicyKind::Routing {
                ruling.settle_route();
            }
        }
        generation.put_chain(chain);
        let mut decision = ruling.conclude(generation.id);
        decision.nanoseconds = laps.since(started);
        decision
    }

    /// Engages the switches of policies that tripped, and tells of those that failed.
    fn act_on(&self, trail: &[TrailEntry], dispatch: &Dispatch, generation: &Generation) {
        for entry in trail {
            match entry.verdict {
                Verdict::KillSwitch(KillSwitchVerdict::Trip(trip)) if !entry.shadow => {
                    self.trip(&trip, dispatch, &generation.policy(entry.policy).name);
                }
                Verdict::Failed(failure, _) => self.tell(|| Event::PolicyFailed {
                    policy: Arc::clone(&generation.policy(entry.policy).name),
                    kind: entry.kind,
                    failure,
                }),
                _ => {}
            }
        }
    }

    fn trip(&self, trip: &Trip, dispatch: &Dispatch, policy: &Arc<str>) {
        let not_engaged = |reason: String| self.tell(|| Event::SwitchNotEngaged { policy: Arc::clone(policy), reason });
        match Switch::tripped(trip, dispatch, policy) {
            None => not_engaged(
                "the dispatch has no scope of the kind, or the policy no name for what the switch covers".to_owned(),
            ),
            Some(switch) => match self.engage(switch.clone()) {
                Ok(()) => self.tell(|| Event::SwitchEngaged(switch)),
                Err(error) => not_engaged(error.to_string()),
            },
        }
    }

    fn tell(&self, event: impl FnOnce() -> Event) {
        if let Some(listener) = &self.listener {
            listener(&event());
        }
    }

    /// Engages a switch. Permits made before are no longer live.
    ///
    /// # Errors
    /// When [`tollgate_core::MAX_SWITCHES`] are engaged.
    pub fn engage(&self, switch: Switch) -> Result<(), TooManySwitches> {
        let mut full = false;
        self.switches.rcu(|board| match board.with(switch.clone()) {
            Ok(next) => {
                full = false;
                Arc::new(next)
            }
            Err(TooManySwitches) => {
                full = true;
                Arc::clone(board)
            }
        });
        if full { Err(TooManySwitches) } else { Ok(()) }
    }

    /// Lifts every switch of that selector.
    pub fn lift(&self, selector: Selector) {
        self.switches.rcu(|board| board.without(selector));
    }

    /// The switches that are engaged, expired ones among them until they are swept.
    #[must_use]
    pub fn switches(&self) -> Arc<SwitchBoard> {
        self.switches.load_full()
    }

    /// The table of names.
    #[must_use]
    pub fn symbols(&self) -> &Symbols {
        &self.symbols
    }

    /// The symbol of a name; [`Symbol::UNKNOWN`] where no configuration mentions it.
    #[must_use]
    pub fn symbol(&self, name: &str) -> Symbol {
        self.symbols.lookup(name)
    }

    /// The models, backends, task types and stages of the configuration.
    #[must_use]
    pub fn catalogue(&self) -> &Catalogue {
        &self.catalogue
    }

    /// What is known about each policy, in the order of the configuration.
    #[must_use]
    pub fn policies(&self) -> Vec<About> {
        self.generation.load().policies().cloned().collect()
    }

    /// What is known about each policy of a generation, in the order that a verdict's [`PolicyIndex`] counts; nothing where the
    /// generation is no longer kept.
    #[must_use]
    pub fn policies_of(&self, generation: u64) -> Option<Vec<About>> {
        let running = self.generation.load();
        (running.id == generation).then(|| running.policies().cloned().collect())
    }

    /// What a policy of the running generation is called.
    #[must_use]
    pub fn policy_name(&self, index: PolicyIndex) -> Arc<str> {
        Arc::clone(&self.generation.load().policy(index).name)
    }

    /// The counters that the policies want kept.
    #[must_use]
    pub fn counters(&self) -> Vec<CounterRule> {
        self.generation.load().counters()
    }
}
