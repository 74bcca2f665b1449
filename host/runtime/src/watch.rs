//! Watching the configuration's file and the plugins it names, and reloading when they change.
//!
//! It looks rather than listens: notifications of the file system are missing on network and container mounts and for
//! links that are swapped, and a look is a handful of calls each second. Nothing but the named files matters, so an
//! editor's temporary files do not exist for it. What changed is tried once it has stayed the same from one look to the
//! next, so a file that is being written is let be; and tried once: the same content is not tried again, whatever became of it.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::thread::{self, JoinHandle};
use std::time::{Duration, SystemTime};

use tollgate_core::Configuration;

use crate::cause::Cause;
use crate::digest::ComponentDigest;
use crate::host::Host;
use crate::policy;
use crate::reload::{self, ReloadError};

/// Looks at the files behind a host's policies.
pub struct Watcher {
    host: Weak<Host>,
    file: PathBuf,
    /// Files of whoever holds the host, as they were when they were named; a change of one is a change of the configuration.
    beside: Content,
    /// Every place a watched file is at, or could be.
    places: Vec<PathBuf>,
    stamps: Vec<Stamp>,
    /// Something changed since it was last tried.
    pending: bool,
    tried: Option<Content>,
}

/// What a look came to.
#[derive(Debug)]
pub enum Look {
    /// Nothing to do.
    Quiet,
    /// Something changed: the next look tries it, if nothing changes until then.
    Changing,
    /// It was loaded, and is the generation of this number.
    Reloaded(u64),
    /// It was not taken, and is not tried again until it changes.
    Failed(ReloadError),
    /// The host is gone.
    Over,
}

/// A thread that looks again and again, and ends when this is dropped or the host is.
pub struct Watching {
    stopped: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// What the file system says of a file; nothing where there is none. A file that was replaced by one of the same length
/// at the same time has another number.
type Stamp = Option<(u64, Option<SystemTime>, u64)>;

/// The digest of each file; nothing where it cannot be read.
type Content = Vec<(PathBuf, Option<ComponentDigest>)>;

impl Watcher {
    /// Watches the file that `host` was opened with. A first look sees whether it is still what runs.
    pub fn new(host: &Arc<Host>, file: impl Into<PathBuf>) -> Self {
        let mut watcher = Self {
            host: Arc::downgrade(host),
            file: file.into(),
            beside: Vec::new(),
            places: Vec::new(),
            stamps: Vec::new(),
            pending: true,
            tried: None,
        };
        watcher.places = watcher.places(host, &host.configuration());
        watcher.stamps = watcher.places.iter().map(|place| stamp(place)).collect();
        watcher
    }

    /// Watches another file as well, which the configuration does not name: when it changes, the configuration is loaded
    /// anew, and whoever listens ([`crate::HostBuilder::on_event`]) reads it again.
    #[must_use]
    pub fn and(mut self, file: impl Into<PathBuf>) -> Self {
        let file = file.into();
        self.stamps.push(stamp(&file));
        self.places.push(file.clone());
        let content = digest(&file);
        self.beside.push((file, content));
        self
    }

    /// Looks once, and reloads on this thread where something changed and has settled.
    pub fn look(&mut self) -> Look {
        let Some(host) = self.host.upgrade() else { return Look::Over };
        if self.changes() {
            return Look::Changing;
        }
        if !std::mem::take(&mut self.pending) {
            return Look::Quiet;
        }
        let configuration = reload::read(&self.file);
        if let Ok(configuration) = &configuration {
            let places = self.places(&host, configuration);
            if places != self.places {
                // Files that were not watched until now may be under way as well.
                self.stamps = places.iter().map(|place| stamp(place)).collect();
                self.places = places;
                self.pending = true;
                return Look::Changing;
            }
        }
        let content: Content = self.places.iter().map(|place| (place.clone(), digest(place))).collect();
        // What changed while it was read is not one state of the files, and must not count as tried.
        if self.changes() {
            return Look::Changing;
        }
        if self.tried.as_ref() == Some(&content) {
            return Look::Quiet;
        }
        // What a file beside says is not known to the host: it runs by what it was when it was named.
        let beside_is_as_it_was = self.beside.iter().all(|named| content.contains(named));
        let first = self.tried.replace(content).is_none();
        if first && beside_is_as_it_was && configuration.as_ref().is_ok_and(|configuration| runs(&host, configuration))
        {
            return Look::Quiet;
        }
        match host.reload_read(configuration, Cause::Watched(self.file.clone())) {
            Ok(generation) => Look::Reloaded(generation),
            Err(error) => Look::Failed(error),
        }
    }

    /// The configuration's file, wherever the plugins that it names are or would be found, and the files beside it.
    fn places(&self, host: &Host, configuration: &Configuration) -> Vec<PathBuf> {
        let loader = &host.reloads.loader;
        let candidates = configuration.with_candidates();
        let policies =
            configuration.policies.iter().chain(candidates.iter().flat_map(|candidates| &candidates.policies));
        let mut places = vec![self.file.clone()];
        for place in policies
            .flat_map(|policy| loader.places(policy.component()))
            .chain(self.beside.iter().map(|(file, _)| file.clone()))
        {
            if !places.contains(&place) {
                places.push(place);
            }
        }
        places
    }

    /// Whether a file is another than at the last look; then the next look tries them.
    fn changes(&mut self) -> bool {
        let stamps: Vec<_> = self.places.iter().map(|place| stamp(place)).collect();
        let changed = stamps != self.stamps;
        if changed {
            self.stamps = stamps;
            self.pending = true;
        }
        changed
    }

    /// Looks as often as the running configuration's `reload.look` says, in a thread of its own.
    ///
    /// # Errors
    /// When no thread can be started.
    pub fn start(mut self) -> std::io::Result<Watching> {
        let stopped = Arc::new(AtomicBool::new(false));
        let stop = Arc::clone(&stopped);
        let look = move || {
            while !stop.load(Ordering::Relaxed) && !matches!(self.look(), Look::Over) {
                let Some(every) = self.host.upgrade().map(|host| host.configuration().reload.look) else { return };
                thread::park_timeout(Duration::from_millis(every.as_u64()));
            }
        };
        let thread = thread::Builder::new().name("tollgate-watch".to_owned()).spawn(look)?;
        Ok(Watching { stopped, thread: Some(thread) })
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            if thread.thread().id() != thread::current().id() {
                // One that panicked no longer watches.
                let _ = thread.join();
            }
        }
    }
}

fn stamp(file: &Path) -> Stamp {
    // Follows links: a link that is swapped leads to another file.
    let metadata = fs::metadata(file).ok()?;
    #[cfg(unix)]
    let number = std::os::unix::fs::MetadataExt::ino(&metadata);
    #[cfg(not(unix))]
    let number = 0;
    Some((metadata.len(), metadata.modified().ok(), number))
}

fn digest(file: &Path) -> Option<ComponentDigest> {
    policy::read(file).ok().map(|bytes| ComponentDigest::of(&bytes))
}

/// Whether this configuration, with the plugins as they are on disk, is what decides already.
fn runs(host: &Host, configuration: &Configuration) -> bool {
    let policies = host.policies();
    let on_disk = |about: &crate::About| digest(&about.file) == Some(about.digest);
    *host.configuration() == *configuration && policies.iter().all(on_disk)
}
