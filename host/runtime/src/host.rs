//! The host that an embedder holds, and the function that decides.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::{env, fs, io};

use arc_swap::ArcSwap;
use quanta::Clock;
use tollgate_core::{
    Catalogue, Configuration, ConfigurationError, CounterRule, Covered, Decision, Dispatch, InternError,
    KillSwitchVerdict, PolicyIndex, Ruling, Selector, Switch, SwitchBoard, Symbol, Symbols, TooManySwitches,
    TrailEntry, Trip, Verdict,
};

use crate::cache::CompileCache;
use crate::cause::Cause;
use crate::chain::Laps;
use crate::convert::Moment;
use crate::engine::{Engine, EngineError};
use crate::evaluate::{Asking, decide_quietly, walk};
use crate::event::{Event, Listener};
use crate::generation::{Generation, GenerationError};
use crate::live::Live;
use crate::loader::Loader;
use crate::observe::{Observer, Sample};
use crate::policy::About;
use crate::reload::{Acceptance, NotAccepted, Reloads};

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
    pub(crate) live: Arc<Live>,
    switches: Arc<ArcSwap<SwitchBoard>>,
    pub(crate) reloads: Reloads,
    pub(crate) observer: Observer,
    symbols: Arc<Symbols>,
    pub(crate) clock: Clock,
}

/// How a host is made.
#[derive(Default)]
pub struct HostBuilder {
    base: Option<PathBuf>,
    plugin_folders: Vec<PathBuf>,
    cache: Option<PathBuf>,
    listener: Option<Listener>,
    acceptance: Option<Acceptance>,
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
    /// There is no thread to look at decisions again.
    #[error("cannot start the thread that checks purity and candidates: {0}")]
    Observer(io::Error),
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

    /// Tells `listener` what happens. It is called on the thread that decides or reloads, so it has to be quick, and it must
    /// not reload or propose itself: one load waits for the other.
    #[must_use]
    pub fn on_event(mut self, listener: impl Fn(&Event) + Send + Sync + 'static) -> Self {
        self.listener = Some(Arc::new(listener));
        self
    }

    /// Asks `accepts` about each configuration that is to be reloaded or proposed, before anything of it is loaded: what it
    /// refuses changes nothing. The one that the host is built with is not asked about.
    #[must_use]
    pub fn accept(
        mut self,
        accepts: impl Fn(&Configuration) -> Result<(), NotAccepted> + Send + Sync + 'static,
    ) -> Self {
        self.acceptance = Some(Box::new(accepts));
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
            catalogue,
            clock: clock.clone(),
            base,
            plugin_folders,
        };
        let reloads = Reloads::new(loader, self.acceptance);
        let configuration = Arc::new(configuration.clone());
        let generation = Generation::load(reloads.origin(Cause::Start), &configuration, &reloads.loader, None)?;
        let live = Arc::new(Live::new(generation, self.listener));
        let observer = Observer::start(Arc::clone(&live), Arc::clone(&symbols), clock.clone());
        Ok(Host {
            live,
            observer: observer.map_err(HostError::Observer)?,
            switches: Arc::default(),
            reloads,
            symbols,
            clock,
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
        let mut decision = Decision::pending();
        let generation = self.live.running();
        let mut chain = generation.take_chain();
        let check_purity = chain.samples.purity.is_due(generation.purity_every);
        let compare = self.live.is_comparing() && chain.samples.candidate.is_due(self.live.compare_every());
        let switches = chain.switches(&self.switches);
        let mut ruling = Ruling::open(dispatch, switches);
        let observed = (check_purity || compare).then(|| Arc::clone(switches));
        let mut laps = Laps::start(&self.clock);
        let listener = self.live.listener.as_ref();
        let asking = Asking { generation: &generation, listener, moment: Moment::Dispatch };
        walk(&generation, &mut ruling, &mut decision.trail, |ruling, entry| {
            asking.ask(&mut chain, ruling, &mut laps, entry);
        });
        generation.put_chain(chain);
        ruling.conclude_in(generation.id, &mut decision);
        decision.nanoseconds = laps.since(started);
        self.act_on(&decision.trail, dispatch, &generation);
        if let Some(switches) = observed {
            self.observe(&decision, dispatch, &generation, &switches, (check_purity, compare));
        }
        decision
    }

    /// Decides a dispatch of the past as [`Host::decide`] would have, with what the switches covered then. It engages
    /// nothing, tells nobody and holds nothing against a policy: what it decides is for reading, not for sending.
    pub fn decide_again(&self, dispatch: &Dispatch, covered: Covered) -> Decision {
        decide_quietly(&self.live.running(), Ruling::open_covered(dispatch, covered), &self.clock)
    }

    /// Hands the decision to the observing thread, or counts it as lost where the queue is full.
    #[cold]
    fn observe(
        &self,
        decision: &Decision,
        dispatch: &Dispatch,
        generation: &Arc<Generation>,
        switches: &Arc<SwitchBoard>,
        (check_purity, compare): (bool, bool),
    ) {
        let sample = || {
            Box::new(Sample {
                generation: Arc::clone(generation),
                dispatch: dispatch.clone(),
                switches: Arc::clone(switches),
                decision: decision.clone(),
            })
        };
        if check_purity {
            self.observer.check_purity(sample());
        }
        if compare && let Some(trial) = self.live.trial() {
            self.observer.compare(sample(), trial);
        }
    }

    /// Waits until every decision so far that was to be looked at again was.
    pub fn catch_up(&self) {
        self.observer.catch_up();
    }

    /// Engages the switches of policies that tripped.
    fn act_on(&self, trail: &[TrailEntry], dispatch: &Dispatch, generation: &Generation) {
        for entry in trail {
            if let Verdict::KillSwitch(KillSwitchVerdict::Trip(trip)) = entry.verdict
                && !entry.shadow
            {
                self.trip(&trip, dispatch, &generation.policy(entry.policy).name);
            }
        }
    }

    pub(crate) fn trip(&self, trip: &Trip, dispatch: &Dispatch, policy: &Arc<str>) {
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
        self.live.tell(event);
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
    pub fn symbols(&self) -> &Arc<Symbols> {
        &self.symbols
    }

    /// The symbol of a name; [`Symbol::UNKNOWN`] where no configuration mentions it.
    #[must_use]
    pub fn symbol(&self, name: &str) -> Symbol {
        self.symbols.lookup(name)
    }

    /// The models, backends, task types and stages of the running generation's configuration.
    #[must_use]
    pub fn catalogue(&self) -> Arc<Catalogue> {
        Arc::clone(self.live.running().catalogue())
    }

    /// The running generation's configuration.
    #[must_use]
    pub fn configuration(&self) -> Arc<Configuration> {
        Arc::clone(self.live.running().configuration())
    }

    /// What is known about each policy, in the order of the configuration.
    #[must_use]
    pub fn policies(&self) -> Vec<About> {
        self.live.running().policies().map(|policy| policy.about().clone()).collect()
    }

    /// What is known about each policy of a generation, in the order that a verdict's [`PolicyIndex`] counts; nothing where the
    /// generation is no longer kept.
    #[must_use]
    pub fn policies_of(&self, generation: u64) -> Option<Vec<About>> {
        let generation = self.live.kept_generation(generation)?;
        Some(generation.policies().map(|policy| policy.about().clone()).collect())
    }

    /// What a policy of the running generation is called; `unknown` where it has none of that number, as can be when a
    /// generation with fewer took over since the decision. See [`Host::policy_name_in`].
    #[must_use]
    pub fn policy_name(&self, index: PolicyIndex) -> Arc<str> {
        self.live.running().name_of(index).unwrap_or_else(|| "unknown".into())
    }

    /// What a policy is called in the generation that decided ([`Decision::generation`]); nothing once that is no longer kept.
    #[must_use]
    pub fn policy_name_in(&self, generation: u64, index: PolicyIndex) -> Option<Arc<str>> {
        self.live.kept_generation(generation)?.name_of(index)
    }

    /// The counters that the policies of the running generation want kept. After a reload they may be others: hand them to
    /// [`tollgate_core::History::declare_counters`].
    #[must_use]
    pub fn counters(&self) -> Vec<CounterRule> {
        self.live.running().counters()
    }
}
