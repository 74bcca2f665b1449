//! The gateway itself: what every call shares, and how it is opened and ended.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, Weak};
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::net::TcpListener;
use tokio::sync::{Notify, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tollgate_core::config::Api;
use tollgate_core::{Candidate, Configuration, Dispatch, Switch, SwitchMode};
use tollgate_ledger::OpenError;
use tollgate_ledger::prices::PriceTable;
use tollgate_runtime::{Event, Host, HostBuilder, HostError, Watcher, Watching};

use crate::accounts::Accounts;
use crate::admin::audit::Audit;
use crate::admin::tokens::{TokenError, Tokens};
use crate::approvals::Approvals;
use crate::bell::Bell;
use crate::http::{Bounds, Server};
use crate::keys::{KeyFileError, Keys};
use crate::records::Records;
use crate::room::Room;
use crate::serving::Simulated;
use crate::sessions::Sessions;
use crate::switches::{self, Labels, RestoreError};
use crate::telemetry::Telemetry;
use crate::times::Times;
use crate::tls::{Acceptor, TlsError, TlsFiles};
use crate::unmetered::Unmetered;
use crate::untold::Untold;
use crate::upstream::{BackendError, Upstream};
use crate::workers::Workers;
use crate::{admin, clock, configured, front, happened, looking};

/// What a gateway is opened with.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where the ledger lies.
    pub data: PathBuf,
    /// What a client may take up.
    pub bounds: Bounds,
    /// How long things may take.
    pub times: Times,
    /// Opens the admin listener's doors; nothing else does.
    pub admin_token: String,
    /// What its listeners prove themselves by; without it they speak in the clear.
    pub tls: Option<TlsFiles>,
    /// The file that the configuration is from. It and the plugins it names are watched, and what changes is taken over.
    pub configuration_file: Option<PathBuf>,
    /// The file that prices over the built-in ones are from; it is watched as well.
    pub price_file: Option<PathBuf>,
}

/// Why a gateway was not opened.
#[derive(Debug, thiserror::Error)]
pub enum GatewayError {
    /// The policies.
    #[error(transparent)]
    Host(#[from] HostError),
    /// The ledger.
    #[error(transparent)]
    Ledger(#[from] OpenError),
    /// A backend.
    #[error(transparent)]
    Backend(#[from] BackendError),
    /// The switches of the last process.
    #[error(transparent)]
    Switches(#[from] RestoreError),
    /// The folder of decision records.
    #[error(transparent)]
    Records(#[from] tollgate_ledger::records::OpenError),
    /// The tokens of the admin listener.
    #[error(transparent)]
    Tokens(#[from] TokenError),
    /// The audit log.
    #[error("cannot open the audit log: {0}")]
    Audit(std::io::Error),
    /// The approvals of the last process.
    #[error("cannot read the approvals: {0}")]
    Approvals(std::io::Error),
    /// The thread that watches the configuration.
    #[error("cannot watch the configuration: {0}")]
    Watch(std::io::Error),
    /// What the listeners prove themselves by.
    #[error("TLS: {0}")]
    Tls(#[from] TlsError),
    /// The keys.
    #[error(transparent)]
    Keys(#[from] KeyFileError),
    /// A listener.
    #[error("cannot listen: {0}")]
    Listen(#[from] std::io::Error),
}

/// Where an operator reads what went wrong: one line each, never a prompt or a key.
pub type LogLine = Box<dyn Fn(&str) + Send + Sync>;

pub(crate) struct Log {
    write: LogLine,
    /// When the last line was written of those that each call would have.
    seldom_ms: AtomicU64,
}

/// Between two lines that each call would have: a disk that is full is not to be filled by saying so.
const SELDOM_MS: u64 = 1_000;

impl Log {
    pub(crate) fn new(write: LogLine) -> Self {
        Self { write, seldom_ms: AtomicU64::new(0) }
    }

    pub(crate) fn line(&self, line: &str) {
        (self.write)(line);
    }

    /// A line that each call would have: once a second.
    pub(crate) fn seldom(&self, line: &str, now_ms: u64) {
        let last = self.seldom_ms.load(Ordering::Relaxed);
        let due = now_ms.saturating_sub(last) >= SELDOM_MS;
        if due && self.seldom_ms.compare_exchange(last, now_ms, Ordering::Relaxed, Ordering::Relaxed).is_ok() {
            self.line(line);
        }
    }
}

/// What every call shares.
pub(crate) struct Gateway {
    pub(crate) host: Arc<Host>,
    pub(crate) accounts: Accounts,
    pub(crate) prices: ArcSwap<PriceTable>,
    pub(crate) upstream: Upstream,
    pub(crate) records: Records,
    pub(crate) telemetry: Telemetry,
    pub(crate) tokens: Tokens,
    pub(crate) audit: Audit,
    pub(crate) approvals: Approvals,
    /// Where operators are answered, as callers are told.
    pub(crate) admin_address: SocketAddr,
    /// One report at a time is made.
    pub(crate) reporting: Arc<Semaphore>,
    pub(crate) sessions: Sessions,
    pub(crate) keys: Keys,
    pub(crate) untold: Untold,
    pub(crate) unmetered: Unmetered,
    pub(crate) settings: Settings,
    pub(crate) room: Room,
    /// Of this process: nobody outside can look for two bodies with the same hash.
    pub(crate) context_key: foldhash::quality::RandomState,
    pub(crate) log: Log,
    pub(crate) labels: Labels,
    /// Calls and streams under way.
    pub(crate) tasks: TaskTracker,
    /// Nobody waits for an approval any more.
    pub(crate) draining: CancellationToken,
    /// Streams end.
    pub(crate) ending: CancellationToken,
    pub(crate) bell: Arc<Bell>,
    /// A policy has engaged a switch.
    unsaved: Notify,
    saving: Mutex<()>,
    /// One configuration at a time is taken over.
    pub(crate) taking_over: Mutex<()>,
}

/// A gateway that answers.
pub struct Running {
    gateway: Arc<Gateway>,
    front: Server,
    admin: Server,
    watching: Option<Watching>,
}

impl Running {
    /// Opens a gateway: policies, ledger and backends first, then the sockets. Backends without an address are at
    /// `simulated`, where that says so.
    ///
    /// # Errors
    /// When any of it cannot be opened; then nothing listens.
    pub fn open(
        builder: HostBuilder,
        configuration: &Configuration,
        prices: PriceTable,
        settings: Settings,
        (front, admin): (TcpListener, TcpListener),
        simulated: impl Fn(Api) -> Option<String>,
        log: LogLine,
    ) -> Result<Self, GatewayError> {
        let bell = Arc::new(Bell::new());
        let (ringing, log) = (Arc::clone(&bell), Arc::new(Log::new(log)));
        let (events, simulated) =
            (Arc::clone(&log), Simulated::new(simulated).beside(settings.configuration_file.as_deref()));
        let opened: Arc<OnceLock<Weak<Gateway>>> = Arc::default();
        let taking_over = Arc::clone(&opened);
        let builder = builder.on_event(move |event| {
            let gateway = taking_over.get().and_then(Weak::upgrade);
            if let Some(gateway) = &gateway {
                match event {
                    Event::GenerationServes { .. } => configured::take_over(gateway),
                    Event::SwitchEngaged(_) => gateway.unsaved.notify_one(),
                    Event::PolicyQuarantined { .. } => gateway.telemetry.quarantined(),
                    _ => {}
                }
            }
            // Who reads that a generation serves can count on all of it.
            tell(event, &ringing, &events);
            gateway.iter().for_each(|gateway| happened::leave(gateway, event));
        });
        let (places, price_file) = (simulated.clone(), settings.price_file.clone());
        let builder = builder.accept(move |next| configured::check(next, &places, price_file.as_deref()));
        let acceptor = settings.tls.clone().map(Acceptor::new).transpose()?;
        let host = Arc::new(builder.build(configuration)?);
        let gateway = Arc::new(Gateway {
            accounts: Accounts::open(&settings.data, configuration, &host)?,
            upstream: Upstream::new(&host, settings.times, simulated)?,
            prices: ArcSwap::from_pointee(prices),
            records: Records::in_data(&settings.data),
            telemetry: Telemetry::default(),
            tokens: Tokens::open(&settings.data)?,
            audit: Audit::open(&settings.data).map_err(GatewayError::Audit)?,
            approvals: Approvals::open(&settings.data).map_err(GatewayError::Approvals)?,
            admin_address: admin.local_addr()?,
            reporting: Arc::new(Semaphore::new(1)),
            sessions: Sessions::default(),
            keys: Keys::open(&settings.data, configuration.keys)?,
            untold: Untold::default(),
            unmetered: Unmetered::default(),
            context_key: foldhash::quality::RandomState::default(),
            log: Log::new(Box::new(move |line| log.line(line))),
            labels: Labels::default(),
            tasks: TaskTracker::new(),
            draining: CancellationToken::new(),
            ending: CancellationToken::new(),
            bell,
            unsaved: Notify::new(),
            saving: Mutex::default(),
            taking_over: Mutex::default(),
            room: Room::new(settings.bounds.held_bytes),
            settings,
            host,
        });
        // Set once, here.
        let _ = opened.set(Arc::downgrade(&gateway));
        gateway.records.switch(configuration.records, &gateway.host)?;
        configured::tell_unpriced(&gateway);
        switches::restore(&gateway.settings.data, &gateway.host, &gateway.labels, clock::now_ms())?;
        sweep(&gateway);
        keep_switches(&gateway);
        looking::begin(&gateway, acceptor.clone());
        happened::keep(&gateway);
        keep_approvals(&gateway);
        Self::listen(gateway, (front, admin), acceptor)
    }

    fn listen(
        gateway: Arc<Gateway>,
        (front, admin): (TcpListener, TcpListener),
        acceptor: Option<Acceptor>,
    ) -> Result<Self, GatewayError> {
        let (for_front, for_admin) = (Arc::clone(&gateway), Arc::clone(&gateway));
        let bounds = gateway.settings.bounds;
        let workers = Workers::start()?;
        workers.on_each(|| Arc::clone(&gateway.bell).pass_on());
        let for_operators = Bounds { body_bytes: 64 << 10, connections: 64, ..bounds };
        Ok(Self {
            front: Server::start_on(Some(workers), (front, acceptor.clone()), bounds, move |request| {
                let gateway = Arc::clone(&for_front);
                async move { front::answer(&gateway, request).await }
            })?,
            admin: Server::start((admin, acceptor), for_operators, move |request| {
                let gateway = Arc::clone(&for_admin);
                async move { admin::answer(&gateway, request).await }
            })?,
            watching: watch(&gateway)?,
            gateway,
        })
    }

    /// Where clients go.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.front.address()
    }

    /// Where operators go.
    #[must_use]
    pub const fn admin_address(&self) -> SocketAddr {
        self.admin.address()
    }

    /// Ends well: takes no more connections, lets calls under way end for as long as [`Times::drain`] says, cuts the rest, and
    /// waits until all of it is on the disk.
    pub async fn end(mut self) {
        self.gateway.draining.cancel();
        // It waits for a load that is under way.
        let watching = self.watching.take();
        drop(tokio::task::spawn_blocking(move || drop(watching)));
        let drained = async { tokio::join!(self.front.drain(), self.admin.drain()) };
        tokio::pin!(drained);
        if tokio::time::timeout(self.gateway.settings.times.drain, &mut drained).await.is_err() {
            self.gateway.ending.cancel();
            // What is cut has a last word to say; whoever does not take it is left.
            let _ = tokio::time::timeout(self.gateway.settings.times.last_word * 2, drained).await;
        }
        self.gateway.ending.cancel();
        self.gateway.tasks.close();
        let _ = tokio::time::timeout(self.gateway.settings.times.last_word * 2, self.gateway.tasks.wait()).await;
        if let Some(line) = self.gateway.untold.line() {
            self.gateway.log.line(&line);
        }
        if let Err(error) = self.gateway.accounts.flush() {
            self.gateway.log.line(&format!("ledger: {error}"));
        }
        self.gateway.records.flush();
        if let Err(error) = self.gateway.approvals.save_news(clock::now_ms()) {
            self.gateway.log.line(&format!("approvals: {error}"));
        }
        if let Err(error) = self.gateway.audit.catch_up(clock::now_ms()) {
            self.gateway.log.line(&format!("audit: {error}"));
        }
    }
}

impl Gateway {
    /// Waits until a switch cuts the dispatch.
    pub(crate) async fn cut(&self, dispatch: &Dispatch, candidate: &Candidate) -> Switch {
        let mut bell = self.bell.listen();
        loop {
            if let Some(switch) = self.cutting(dispatch, candidate) {
                return switch;
            }
            bell.rung().await;
        }
    }

    fn cutting(&self, dispatch: &Dispatch, candidate: &Candidate) -> Option<Switch> {
        let board = self.host.switches();
        let cover = board.cover(dispatch).or_else(|| board.cover_of_candidate(candidate, dispatch.now_ms));
        cover.filter(|switch| switch.mode == SwitchMode::Cut).cloned()
    }

    /// Calls and streams under way, and changes that operators ask for.
    pub(crate) fn under_way(&self) -> usize {
        self.tasks.len().saturating_sub(OWN_TASKS)
    }

    /// Writes the engaged switches down. The disk is waited for on a thread of its own: those that carry streams have a cut
    /// to pass on at that moment.
    pub(crate) async fn save_switches(self: &Arc<Self>) -> std::io::Result<()> {
        let saving = Arc::clone(self);
        let saved = self.tasks.spawn_blocking(move || {
            // Two at once would write the same file; the later one has to be the one that stays.
            let _one_at_a_time = saving.saving.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            let board = saving.host.switches();
            switches::save(&saving.settings.data, &board, saving.host.symbols(), &saving.labels, clock::now_ms())
        });
        saved.await.unwrap_or_else(|panicked| Err(std::io::Error::other(panicked)))
    }
}

fn tell(event: &Event, bell: &Bell, log: &Log) {
    match event {
        Event::SwitchEngaged(switch) => {
            bell.ring();
            log.line(&format!("switch engaged by {}", switch.author));
        }
        Event::SwitchNotEngaged { policy, reason } => {
            log.line(&format!("policy `{policy}` could not engage a switch: {reason}"))
        }
        Event::PolicyFailed { policy, failure, .. } => {
            log.line(&format!("policy `{policy}` failed: {}", failure.as_str()))
        }
        Event::PolicyQuarantined { policy, quarantine } => log
            .line(&format!("policy `{policy}` is left alone until {} ms: {:?}", quarantine.until_ms, quarantine.cause)),
        Event::PolicyReturned { policy, .. } => log.line(&format!("policy `{policy}` is asked again")),
        Event::PolicyImpure { policy, kind, served, fresh } => log.line(&format!(
            "policy `{policy}` as {kind} said `{served}`, and `{fresh}` on a fresh instance about the same dispatch"
        )),
        Event::GenerationServes { generation, cause, .. } => {
            log.line(&format!("generation {generation} decides from now on ({cause})"))
        }
        Event::CandidateBegins { generation, beside } => {
            log.line(&format!("candidate {generation} decides beside generation {beside}, and changes nothing"))
        }
        Event::CandidateDiscarded { generation, reason } => {
            log.line(&format!("candidate {generation} was given up: {reason}"))
        }
        Event::ReloadFailed { reason, .. } => log.line(&format!("the running policies stay: {reason}")),
        other => log.line(&format!("{other:?}")),
    }
}

/// Looks at the files behind the configuration, where it is from one.
fn watch(gateway: &Gateway) -> Result<Option<Watching>, GatewayError> {
    let Some(file) = &gateway.settings.configuration_file else { return Ok(None) };
    let watcher = Watcher::new(&gateway.host, file);
    let watcher = gateway.settings.price_file.iter().fold(watcher, Watcher::and);
    Ok(Some(watcher.start().map_err(GatewayError::Watch)?))
}

/// Tasks that are no call: those that sweep, write switches down, look at files and backends, and write the audit log and the approvals.
const OWN_TASKS: usize = 5;

/// Ends lost reservations and idle connections once a second, until the gateway ends.
fn sweep(gateway: &Arc<Gateway>) {
    let sweeping = Arc::clone(gateway);
    gateway.tasks.spawn(async move {
        let mut second = tokio::time::interval(Duration::from_secs(1));
        loop {
            tokio::select! {
                () = sweeping.ending.cancelled() => return,
                _ = second.tick() => {}
            }
            if let Err(error) = sweeping.accounts.sweep() {
                sweeping.log.line(&format!("ledger: {error}"));
            }
            sweeping.upstream.retire_idle();
            if let Some(lost) = sweeping.records.lost_since() {
                sweeping.log.line(&lost);
            }
        }
    });
}

/// Writes the switches down whenever a policy has engaged one: the decision that did so does not wait for the disk.
fn keep_switches(gateway: &Arc<Gateway>) {
    let keeping = Arc::clone(gateway);
    gateway.tasks.spawn(async move {
        loop {
            tokio::select! {
                () = keeping.ending.cancelled() => return,
                () = keeping.unsaved.notified() => {}
            }
            if let Err(error) = keeping.save_switches().await {
                keeping.log.line(&format!("switches: {error}"));
            }
        }
    });
}

/// Writes the approvals down whenever one is asked for or decided.
fn keep_approvals(gateway: &Arc<Gateway>) {
    let keeping = Arc::clone(gateway);
    gateway.tasks.spawn(async move {
        loop {
            tokio::select! {
                () = keeping.ending.cancelled() => return,
                () = keeping.approvals.news.notified() => {}
            }
            let saving = Arc::clone(&keeping);
            let saved = tokio::task::spawn_blocking(move || saving.approvals.save(clock::now_ms())).await;
            if let Ok(Err(error)) = saved {
                keeping.log.line(&format!("approvals: {error}"));
            }
        }
    });
}
