//! Which backends there are: those of the configuration in force with the catalogue that offers them, read together and replaced
//! together, so that no dispatch is offered a backend that is not there.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tollgate_core::config::{Api, BackendConfiguration};
use tollgate_core::{Candidate, Catalogue, Configuration, Health, Hosting, Nanodollars, Symbol};
use tollgate_runtime::Host;

use crate::Times;
use crate::upstream::{Backend, BackendError};

/// Where backends without an address are, if there is such a place, and where their files are.
#[derive(Clone, Debug, Default)]
pub(crate) struct Simulated {
    urls: Vec<(Api, String)>,
    folder: PathBuf,
}

/// The backends of one configuration.
pub(crate) struct Serving {
    pub(crate) catalogue: Arc<Catalogue>,
    backends: HashMap<Symbol, (BackendConfiguration, Arc<Backend>)>,
    /// What they offer, in the order of the configuration.
    pub(crate) offers: Vec<Offer>,
}

/// A model at a backend.
pub(crate) struct Offer {
    /// At no cost, with every slot free.
    pub(crate) candidate: Candidate,
    /// The model's name.
    pub(crate) model: Arc<str>,
    /// It is no model that embeds.
    pub(crate) writes: bool,
    pub(crate) backend: Arc<Backend>,
}

impl Offer {
    /// As the backend is now.
    pub(crate) fn now(&self, now_ms: u64) -> Candidate {
        let free_slots = self.backend.free_slots(self.candidate.free_slots);
        let is_full = self.candidate.hosting == Hosting::Local && free_slots == 0;
        let health = if is_full { Health::Down } else { self.backend.health(now_ms) };
        Candidate { free_slots, health, ..self.candidate }
    }
}

impl Simulated {
    pub(crate) fn new(simulated: impl Fn(Api) -> Option<String>) -> Self {
        let places = [Api::Openai, Api::Anthropic].into_iter().filter_map(|api| Some((api, simulated(api)?)));
        Self { urls: places.collect(), folder: PathBuf::new() }
    }

    /// Files are taken from the folder of that configuration.
    pub(crate) fn beside(self, configuration: Option<&Path>) -> Self {
        let folder = configuration.and_then(Path::parent).map(Path::to_owned).unwrap_or_default();
        Self { folder, ..self }
    }

    pub(crate) fn path(&self, file: &Path) -> PathBuf {
        self.folder.join(file)
    }

    pub(crate) fn url(&self, api: Api) -> Option<String> {
        self.urls.iter().find(|(known, _)| *known == api).map(|(_, url)| url.clone())
    }
}

impl Serving {
    /// The backends of the host's configuration. One that was there before and is configured as it was stays as it is: its
    /// calls under way and its health are not forgotten.
    pub(crate) fn new(
        host: &Host,
        (simulated, times): (&Simulated, Times),
        before: Option<&Self>,
    ) -> Result<Self, BackendError> {
        let mut backends = HashMap::new();
        let configuration = host.configuration();
        for configured in &configuration.backends {
            let name = host.symbol(&configured.name);
            let known = before.and_then(|before| before.backends.get(&name)).filter(|(known, _)| known == configured);
            let backend = match known {
                Some((_, backend)) => Arc::clone(backend),
                None => Arc::new(Backend::new(configured, simulated, times)?),
            };
            backends.insert(name, (configured.clone(), backend));
        }
        let catalogue = host.catalogue();
        let candidates = catalogue.all_candidates(|_, _| Some(Nanodollars::ZERO));
        let offer = |candidate: Candidate| {
            let (_, backend) = backends.get(&candidate.backend)?;
            let model = host.symbols().display(candidate.model);
            let writes = !catalogue.embeds(candidate.model);
            Some(Offer { candidate, model, writes, backend: Arc::clone(backend) })
        };
        let offers = candidates.into_iter().filter_map(offer).collect();
        Ok(Self { catalogue, backends, offers })
    }

    /// In the order of the configuration.
    pub(crate) fn backends(&self) -> impl Iterator<Item = &Arc<Backend>> {
        self.catalogue.backends().iter().filter_map(|backend| self.backend(backend.name))
    }

    pub(crate) fn backend(&self, name: Symbol) -> Option<&Arc<Backend>> {
        self.backends.get(&name).map(|(_, backend)| backend)
    }
}

/// Whether every backend of a configuration could be used.
pub(crate) fn check(configuration: &Configuration, simulated: &Simulated) -> Result<(), BackendError> {
    let make = |configured: &BackendConfiguration| Backend::new(configured, simulated, Times::default());
    configuration.backends.iter().try_for_each(|configured| make(configured).map(drop))
}
