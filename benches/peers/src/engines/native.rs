//! Plain Rust: what the rules cost when nothing is in between.

use anyhow::Result;
use peer_rules::Verdict;

use super::Peer;
use crate::dispatches::Case;

pub(crate) struct Native;

impl Peer for Native {
    fn name(&self) -> &'static str {
        "native Rust"
    }

    fn includes(&self) -> &'static str {
        "the rules, compiled in; the floor, no sandbox"
    }

    fn is_to_be_beaten(&self) -> bool {
        false
    }

    fn decide(&mut self, case: &Case) -> Result<Verdict> {
        Ok(peer_rules::decide(&case.facts))
    }
}
