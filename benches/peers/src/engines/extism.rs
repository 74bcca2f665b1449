//! extism: the native rules in one WebAssembly plugin, called by extism's own conversions, MessagePack in and a number out.

use std::path::Path;

use anyhow::{Context, Result};
use extism::convert::Msgpack;
use extism::{Manifest, Plugin, Wasm};
use peer_rules::{Facts, Verdict};

use super::Peer;
use crate::dispatches::Case;

pub(crate) struct Extism {
    plugin: Plugin,
}

impl Extism {
    pub(crate) fn new(guest: &Path) -> Result<Self> {
        let wasm = std::fs::read(guest).with_context(|| format!("cannot read `{}`", guest.display()))?;
        let plugin = Plugin::new(Manifest::new([Wasm::data(wasm)]), [], false)?;
        Ok(Self { plugin })
    }
}

impl Peer for Extism {
    fn name(&self) -> &'static str {
        "extism 1.30, one plugin"
    }

    fn includes(&self) -> &'static str {
        "facts to MessagePack, one call that has all four policies' rules, MessagePack to facts in the guest"
    }

    fn decide(&mut self, case: &Case) -> Result<Verdict> {
        let number: i64 = self.plugin.call::<Msgpack<&Facts>, i64>("decide", Msgpack(&case.facts))?;
        Ok(Verdict::from_number(number))
    }
}
