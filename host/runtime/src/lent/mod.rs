//! The second lane: a plugin that lends memory for its facts is called without the canonical ABI.
//!
//! The file is the same component. Its core module is taken out and instantiated by itself, in a store with the same
//! limits; the host writes the facts into the lent area, calls a function without parameters, and reads the verdict
//! from the number that comes back. What the guest may reach, what bounds it and what its answers mean are the other
//! lane's. The layout is described in `docs/lent-facts.md`.
//!
//! A plugin lends because it likes to. Whatever does not fit means the canonical lane, with the reason in `policy check`.

mod call;
mod imports;
mod record;

use std::fmt;

use tollgate_core::PolicyKind;
use wasmparser::{Parser, Payload};
use wasmtime::{InstancePre, Module};

pub(crate) use call::LentExports;
pub(crate) use imports::add_to_linker;

use crate::cache::CompileCache;
use crate::digest::ComponentDigest;
use crate::engine::Engine;
use crate::state::State;

/// What the names of all lent exports begin with; the kind follows.
const PREFIX: &str = "tollgate_lent_";

/// How a policy is called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lane {
    /// Facts are written into memory that the plugin lends.
    Lent,
    /// Through the component's exports, for the stated reason.
    Canonical(WhyCanonical),
}

/// Why a policy is not called by lent facts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WhyCanonical {
    /// The configuration says so.
    Configured,
    /// The plugin does not lend.
    LendsNothing,
    /// It lends for some of its kinds only.
    LendsNot(PolicyKind),
    /// What it lends does not fit this host.
    Unfit(String),
}

impl fmt::Display for Lane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lent => f.write_str("lent facts"),
            Self::Canonical(why) => write!(f, "canonical ABI ({why})"),
        }
    }
}

impl fmt::Display for WhyCanonical {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Configured => f.write_str("as configured"),
            Self::LendsNothing => f.write_str("the plugin lends no memory; the Rust SDK's do"),
            Self::LendsNot(kind) => write!(f, "the plugin lends no memory as {kind}"),
            Self::Unfit(why) => {
                write!(f, "what the plugin lends does not fit: {why}; build it with this version's SDK")
            }
        }
    }
}

/// The core module of a component that lends, compiled.
pub(crate) struct LentModule {
    pre: InstancePre<State>,
}

impl LentModule {
    /// The module of the component in `bytes`, whose digest is given.
    pub(crate) fn load(
        engine: &Engine,
        cache: &CompileCache,
        digest: &ComponentDigest,
        bytes: &[u8],
        kinds: &[PolicyKind],
    ) -> Result<Self, WhyCanonical> {
        let core = core_module(bytes).ok_or(WhyCanonical::LendsNothing)?;
        let unfit = |error: wasmtime::Error| WhyCanonical::Unfit(crate::instance::tell(&error));
        let (module, _) = cache.load_module(engine.wasmtime(), digest, core).map_err(unfit)?;
        check_exports(&module, kinds)?;
        let pre = engine.core_linker().instantiate_pre(&module).map_err(unfit)?;
        Ok(Self { pre })
    }

    pub(crate) fn instance_pre(&self) -> &InstancePre<State> {
        &self.pre
    }
}

fn check_exports(module: &Module, kinds: &[PolicyKind]) -> Result<(), WhyCanonical> {
    for kind in kinds {
        if module.get_export(&export(*kind, "evaluate")).is_none() {
            return Err(WhyCanonical::LendsNot(*kind));
        }
    }
    // The component would run it before anything else.
    if module.get_export("_initialize").is_some() {
        return Err(WhyCanonical::Unfit("its module has an initialiser".to_owned()));
    }
    Ok(())
}

/// `tollgate_lent_kill_switch_area`
fn export(kind: PolicyKind, part: &str) -> String {
    format!("{PREFIX}{}_{part}", kind.as_str().replace('-', "_"))
}

/// The bytes of the core module that lends; nothing where none does. The bytes have been validated as a component.
fn core_module(bytes: &[u8]) -> Option<&[u8]> {
    let mut module = None;
    for payload in Parser::new(0).parse_all(bytes) {
        match payload.ok()? {
            Payload::ModuleSection { unchecked_range, .. } => module = Some(unchecked_range),
            Payload::ExportSection(exports) => {
                let lends = exports.into_iter().flatten().any(|export| export.name.starts_with(PREFIX));
                if let (true, Some(range)) = (lends, module.clone()) {
                    return bytes.get(range);
                }
            }
            _ => {}
        }
    }
    None
}
