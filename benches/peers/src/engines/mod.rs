//! One file for each engine: what is prepared once, and how one dispatch is decided.

mod cedar;
mod cel;
mod datalogic;
mod extism;
mod host;
mod lua;
mod native;
mod regorus;
mod rhai;

use std::path::Path;

use anyhow::{Context, Result};
use peer_rules::Verdict;

use crate::dispatches::Case;

pub(crate) use host::Tollgate;

/// Something that makes the decision.
pub(crate) trait Peer {
    fn name(&self) -> &'static str;
    /// What a timed decision consists of.
    fn includes(&self) -> &'static str;
    /// Whether the host promises to be faster.
    fn is_to_be_beaten(&self) -> bool {
        true
    }
    /// Whether it is the host, which the others are compared with.
    fn is_host(&self) -> bool {
        false
    }
    fn decide(&mut self, case: &Case) -> Result<Verdict>;
    /// Undoes what earlier decisions left behind.
    fn settle(&mut self) {}
}

/// The floor, the host, and the others.
pub(crate) fn all(tollgate: Tollgate, extism_guest: &Path) -> Result<Vec<Box<dyn Peer>>> {
    Ok(vec![
        Box::new(native::Native),
        Box::new(tollgate),
        Box::new(lua::Lua::flat().context("LuaJIT, flat")?),
        Box::new(lua::Lua::table().context("LuaJIT, table")?),
        Box::new(datalogic::DataLogic::new().context("datalogic-rs")?),
        Box::new(cel::Cel::new().context("cel")?),
        Box::new(extism::Extism::new(extism_guest).context("extism")?),
        Box::new(regorus::Regorus::new().context("regorus")?),
        Box::new(rhai::Rhai::new().context("rhai")?),
        Box::new(cedar::Cedar::new().context("cedar")?),
    ])
}
