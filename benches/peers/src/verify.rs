//! Before anything is timed: every engine says the same about every dispatch.

use anyhow::{Context, Result, bail};

use crate::dispatches::Case;
use crate::engines::Peer;

/// Compares each engine with the first, which is the floor.
pub(crate) fn same_verdicts(peers: &mut [Box<dyn Peer>], cases: &[Case]) -> Result<()> {
    for (number, case) in cases.iter().enumerate() {
        let Some((first, others)) = peers.split_first_mut() else { return Ok(()) };
        let expected = first.decide(case)?;
        for peer in others {
            let name = peer.name();
            let said = peer.decide(case).with_context(|| format!("{name}, dispatch {number}"))?;
            if said != expected {
                bail!(
                    "dispatch {number}: {name} says that it {said:?}, and {} that it {expected:?}\n{:#?}",
                    first.name(),
                    case.facts
                );
            }
        }
    }
    Ok(())
}
