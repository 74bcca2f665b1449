//! A plugin's file, checked and compiled: what it is, what it wants, which kinds it exports.

use std::fmt;
use std::sync::Arc;

use tollgate_core::config::Lane;
use tollgate_core::{Catalogue, PolicyKind, Symbols};
use wasmtime::Store;
use wasmtime::component::{Instance, InstancePre};

use crate::bindings::plugin;
use crate::cache::{CompileCache, Compiled};
use crate::canonical::{self, Exports};
use crate::digest::ComponentDigest;
use crate::engine::Engine;
use crate::instance::tell;
use crate::lent::{LentModule, WhyCanonical};
use crate::state::{Naming, State};

/// The version of the contract that the exports are looked up by.
const VERSION: &str = "0.1.0";
/// The track of the contract that this host speaks natively. Released tracks are added here with their adapters.
pub(crate) const TRACK: &str = "0.1";
const PACKAGE: &str = "tollgate:policy";
/// The largest file that is read; a Python policy has 18 MB.
pub(crate) const MAX_FILE_BYTES: u64 = 64 << 20;

/// A checked and compiled plugin. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Component {
    inner: Arc<Inner>,
}

struct Inner {
    engine: Engine,
    pre: InstancePre<State>,
    indices: Indices,
    digest: ComponentDigest,
    compiled: Compiled,
    lent: Result<LentModule, WhyCanonical>,
    reads_lazy_facts: bool,
    symbols: Arc<Symbols>,
    catalogue: Arc<Catalogue>,
}

/// Where the exports are.
struct Indices {
    plugin: plugin::GuestIndices,
    evaluate: canonical::Indices,
}

/// Why a file is not a plugin for this host.
#[derive(Debug, thiserror::Error)]
pub enum ComponentError {
    /// It does not begin as WebAssembly does.
    #[error("it is not a WebAssembly file: build the policy with `cargo xtask plugin <folder>`")]
    NotWasm,
    /// It is a core module.
    #[error(
        "it is a core WebAssembly module, not a component: turn it into one with \
         `cargo xtask plugin <folder>` or `wasm-tools component new`"
    )]
    CoreModule,
    /// It does not validate or compile.
    #[error(
        "it is damaged, uses a WebAssembly feature that plugins may not use, or declares more than `limits` allow: {0}"
    )]
    Invalid(String),
    /// It wants something a policy may not have.
    #[error("it imports `{import}`, and a policy may import only `tollgate:policy/facts`: {advice}")]
    ForbiddenImport {
        /// What it imports.
        import: String,
        /// What to do about it.
        advice: &'static str,
    },
    /// It was built for a track of the contract that this host does not know.
    #[error(
        "it was built for version {found} of `tollgate:policy`, and this host knows {TRACK}: \
         build it again with the SDK of this version"
    )]
    UnknownTrack {
        /// The version it names.
        found: String,
    },
    /// It exports no plugin.
    #[error("it does not export `tollgate:policy/{missing}`: export a policy with the SDK's `export!`")]
    NotAPolicy {
        /// What is missing.
        missing: &'static str,
    },
    /// Its names are right and its types are not.
    #[error("its types are not those of `tollgate:policy` {TRACK}: {0}; build it against this version's `wit/`")]
    Mismatch(String),
}

impl Component {
    pub(crate) fn load(
        engine: &Engine,
        cache: &CompileCache,
        bytes: &[u8],
        lane: Lane,
        symbols: &Arc<Symbols>,
        catalogue: &Arc<Catalogue>,
    ) -> Result<Self, ComponentError> {
        check_layer(bytes)?;
        let digest = ComponentDigest::of(bytes);
        let (component, compiled) =
            cache.load(engine.wasmtime(), &digest, bytes).map_err(|error| ComponentError::Invalid(tell(&error)))?;
        let shape = Shape::of(&component, engine.wasmtime());
        shape.check()?;
        let mismatch = |error: wasmtime::Error| ComponentError::Mismatch(tell(&error));
        let pre = engine.linker().instantiate_pre(&component).map_err(mismatch)?;
        let indices = Indices::of(&pre, &shape).map_err(mismatch)?;
        let lent = match lane {
            Lane::Auto => {
                LentModule::load(engine, cache, &digest, bytes, &indices.evaluate.kinds().collect::<Vec<_>>())
            }
            Lane::Canonical => Err(WhyCanonical::Configured),
        };
        let component = Self {
            inner: Arc::new(Inner {
                engine: engine.clone(),
                pre,
                indices,
                digest,
                compiled,
                lent,
                reads_lazy_facts: shape.reads_lazy_facts,
                symbols: Arc::clone(symbols),
                catalogue: Arc::clone(catalogue),
            }),
        };
        Ok(component)
    }

    pub(crate) fn engine(&self) -> &Engine {
        &self.inner.engine
    }

    pub(crate) fn digest(&self) -> ComponentDigest {
        self.inner.digest
    }

    /// The module that lends its facts, or why it is called through the component.
    pub(crate) fn lent(&self) -> Result<&LentModule, &WhyCanonical> {
        self.inner.lent.as_ref()
    }

    pub(crate) fn compiled(&self) -> Compiled {
        self.inner.compiled
    }

    pub(crate) fn instance_pre(&self) -> &InstancePre<State> {
        &self.inner.pre
    }

    /// Whether it imports a fact that is asked for during an evaluation.
    pub(crate) fn reads_lazy_facts(&self) -> bool {
        self.inner.reads_lazy_facts
    }

    /// The kinds it exports, in the order of the chain.
    pub(crate) fn kinds(&self) -> impl Iterator<Item = PolicyKind> {
        self.inner.indices.evaluate.kinds()
    }

    pub(crate) fn store(&self, naming: Naming) -> Store<State> {
        let inner = &self.inner;
        inner
            .engine
            .store(|limits| State::new(limits, naming, Arc::clone(&inner.symbols), Arc::clone(&inner.catalogue)))
    }

    pub(crate) fn load_exports(&self, store: &mut Store<State>, instance: &Instance) -> wasmtime::Result<Exports> {
        let indices = &self.inner.indices;
        let plugin = indices.plugin.load(&mut *store, instance)?;
        Exports::load(store, instance, plugin, &indices.evaluate)
    }
}

impl fmt::Debug for Component {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Component").field("digest", &self.inner.digest).finish_non_exhaustive()
    }
}

/// Bytes 4 to 7 tell a component (layer 1) from a core module (layer 0): component-model Binary.md.
fn check_layer(bytes: &[u8]) -> Result<(), ComponentError> {
    match (bytes.get(..4), bytes.get(6..8)) {
        (Some(b"\0asm"), Some([0, 0])) => Err(ComponentError::CoreModule),
        (Some(b"\0asm"), Some([1, 0])) => Ok(()),
        _ => Err(ComponentError::NotWasm),
    }
}

/// The names a component imports and exports.
struct Shape {
    imports: Vec<String>,
    exports: Vec<String>,
    reads_lazy_facts: bool,
}

impl Shape {
    fn of(component: &wasmtime::component::Component, engine: &wasmtime::Engine) -> Self {
        let component_type = component.component_type();
        let is_lazy = |name: &str| matches!(name, "tag" | "number" | "identity");
        let reads_lazy_facts = component_type.imports(engine).any(|(_, import)| match import.ty {
            wasmtime::component::types::ComponentItem::ComponentInstance(instance) => {
                instance.exports(engine).any(|(name, _)| is_lazy(name))
            }
            _ => false,
        });
        Self {
            imports: component_type.imports(engine).map(|(name, _)| name.to_owned()).collect(),
            exports: component_type.exports(engine).map(|(name, _)| name.to_owned()).collect(),
            reads_lazy_facts,
        }
    }

    fn check(&self) -> Result<(), ComponentError> {
        for name in self.imports.iter().chain(&self.exports) {
            if let Some(version) = contract_version(name)
                && track(version) != TRACK
            {
                return Err(ComponentError::UnknownTrack { found: version.to_owned() });
            }
        }
        for import in &self.imports {
            if !matches!(interface(import), Some("facts" | "types")) {
                let advice = if import.starts_with("wasi:") {
                    "policies have no clock, files or network; build without WASI (for JavaScript and Python, `--stub-wasi`)"
                } else {
                    "remove what needs it; state belongs to the host, and facts come with the dispatch"
                };
                return Err(ComponentError::ForbiddenImport { import: import.clone(), advice });
            }
        }
        if !self.exports("plugin") {
            return Err(ComponentError::NotAPolicy { missing: "plugin" });
        }
        if !PolicyKind::ALL.iter().any(|kind| self.exports(kind.as_str())) {
            return Err(ComponentError::NotAPolicy { missing: "kill-switch, retry-ceiling, routing or budget" });
        }
        Ok(())
    }

    fn exports(&self, name: &str) -> bool {
        self.exports.iter().any(|export| interface(export) == Some(name))
    }
}

/// `facts` of `tollgate:policy/facts@0.1.0`.
fn interface(name: &str) -> Option<&str> {
    let interface = name.strip_prefix(PACKAGE)?.strip_prefix('/')?;
    Some(interface.split_once('@').map_or(interface, |(interface, _)| interface))
}

/// `0.1.0` of `tollgate:policy/facts@0.1.0`; nothing for names of other packages.
fn contract_version(name: &str) -> Option<&str> {
    let interface = name.strip_prefix(PACKAGE)?.strip_prefix('/')?;
    Some(interface.split_once('@').map_or("none", |(_, version)| version))
}

/// `0.1` of `0.1.0`.
fn track(version: &str) -> &str {
    version.rsplit_once('.').map_or(version, |(track, _)| track)
}

impl Indices {
    fn of(pre: &InstancePre<State>, shape: &Shape) -> wasmtime::Result<Self> {
        let kinds = PolicyKind::ALL.iter().copied().filter(|kind| shape.exports(kind.as_str()));
        Ok(Self { plugin: plugin::GuestIndices::new(pre)?, evaluate: canonical::Indices::of(pre, kinds, VERSION)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_the_contract_are_told_from_others() {
        assert_eq!(interface("tollgate:policy/kill-switch@0.1.0"), Some("kill-switch"));
        assert_eq!(interface("wasi:cli/environment@0.2.3"), None);
        assert_eq!(contract_version("tollgate:policy/facts@0.2.1").map(track), Some("0.2"));
        assert_eq!(contract_version("tollgate:policy-extra/facts@0.2.1"), None);
    }

    #[test]
    fn the_layer_is_read_before_anything_else() {
        assert!(matches!(check_layer(b"#!/bin/sh"), Err(ComponentError::NotWasm)));
        assert!(matches!(check_layer(b""), Err(ComponentError::NotWasm)));
        assert!(matches!(check_layer(b"\0asm\x01\0\0\0"), Err(ComponentError::CoreModule)));
        assert!(check_layer(b"\0asm\x0d\0\x01\0").is_ok());
    }
}
