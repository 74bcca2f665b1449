//! What loading policies needs: the engine, the cache, the names, and where plugins are looked for.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use quanta::Clock;
use tollgate_core::config::Lane;
use tollgate_core::{Catalogue, Symbols};

use crate::cache::CompileCache;
use crate::component::{Component, ComponentError};
use crate::engine::Engine;
use crate::policy::LoadError;

#[derive(Clone)]
pub(crate) struct Loader {
    pub(crate) engine: Engine,
    pub(crate) cache: CompileCache,
    pub(crate) symbols: Arc<Symbols>,
    pub(crate) catalogue: Arc<Catalogue>,
    pub(crate) clock: Clock,
    /// Relative paths of the configuration start here.
    pub(crate) base: PathBuf,
    /// Plugins that are given by name are looked for here.
    pub(crate) plugin_folders: Vec<PathBuf>,
}

impl Loader {
    /// The same, for a configuration that knows these names and adds to them.
    pub(crate) fn with_names(&self, symbols: &Arc<Symbols>, catalogue: Catalogue) -> Self {
        Self { symbols: Arc::clone(symbols), catalogue: Arc::new(catalogue), ..self.clone() }
    }

    pub(crate) fn symbols(&self) -> &Symbols {
        &self.symbols
    }

    pub(crate) fn catalogue(&self) -> &Catalogue {
        &self.catalogue
    }

    pub(crate) const fn clock(&self) -> &Clock {
        &self.clock
    }

    pub(crate) fn compile(&self, bytes: &[u8], lane: Lane) -> Result<Component, ComponentError> {
        Component::load(&self.engine, &self.cache, bytes, lane, &self.symbols, &self.catalogue)
    }

    /// A path (anything with a separator or a `.wasm` ending) is taken as one; a bare name is a plugin in one of the plugin folders.
    pub(crate) fn find(&self, component: &str) -> Result<PathBuf, LoadError> {
        if is_path(component) {
            return Ok(self.base.join(component));
        }
        let places = self.places(component);
        places.iter().find(|place| place.is_file()).cloned().ok_or_else(|| LoadError::NotFound {
            name: component.to_owned(),
            looked: match places.as_slice() {
                [] => "nowhere, since no plugin folder is known".to_owned(),
                places => places.iter().map(|place| format!("`{}`", place.display())).collect::<Vec<_>>().join(", "),
            },
        })
    }

    /// Where a component may be: the first place with a file counts.
    pub(crate) fn places(&self, component: &str) -> Vec<PathBuf> {
        if is_path(component) {
            return vec![self.base.join(component)];
        }
        let file = format!("{component}.wasm");
        self.plugin_folders.iter().map(|folder| folder.join(&file)).collect()
    }
}

fn is_path(component: &str) -> bool {
    let is_wasm = Path::new(component).extension().is_some_and(|extension| extension.eq_ignore_ascii_case("wasm"));
    is_wasm || component.contains(['/', '\\'])
}
