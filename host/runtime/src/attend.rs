//! Kill switches asked about a dispatch that is under way, or has just ended.

use std::sync::Arc;

use tollgate_core::{
    Dispatch, KillSwitchVerdict, PolicyKind, Reason, Ruling, Switch, Trail, TrailEntry, Trip, Verdict,
};

use crate::chain::Laps;
use crate::convert::Moment;
use crate::evaluate::Asking;
use crate::host::Host;

/// A kill switch says that a dispatch must not go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stopped {
    /// Which policy.
    pub policy: Arc<str>,
    /// Why.
    pub reason: Reason,
}

impl Host {
    /// Asks the kill switches about a dispatch that is under way ([`Moment::Extend`]) or whose cost is known now
    /// ([`Moment::Post`]). A policy that trips has its switch engaged before this returns, unless it is already; whoever carries
    /// streams ends those that a switch cuts. What a policy stops without a switch is returned. A policy that cannot be evaluated
    /// stops nothing here: what is under way was let go, and the next decision refuses.
    pub fn attend(&self, dispatch: &Dispatch, moment: Moment) -> Option<Stopped> {
        let generation = self.live.running();
        let (_, policies) = generation.order().iter().find(|(kind, _)| *kind == PolicyKind::KillSwitch)?;
        if policies.is_empty() {
            return None;
        }
        let switches = self.switches();
        let ruling = Ruling::open(dispatch, &switches);
        let mut chain = generation.take_chain();
        let mut laps = Laps::start(&self.clock);
        let asking = Asking { generation: &generation, listener: self.live.listener.as_ref(), moment };
        let mut trail = Trail::new();
        for index in policies {
            let mut entry = TrailEntry::unsaid(*index, PolicyKind::KillSwitch);
            asking.ask(&mut chain, &ruling, &mut laps, &mut entry);
            trail.push(entry);
        }
        generation.put_chain(chain);
        let mut stopped = None;
        for entry in trail.iter().filter(|entry| !entry.shadow) {
            let policy = &generation.policy(entry.policy).name;
            match entry.verdict {
                Verdict::KillSwitch(KillSwitchVerdict::Trip(trip)) if !self.is_tripped(&trip, dispatch, policy) => {
                    self.trip(&trip, dispatch, policy);
                }
                Verdict::KillSwitch(KillSwitchVerdict::Stop(reason)) if stopped.is_none() => {
                    stopped = Some(Stopped { policy: Arc::clone(policy), reason });
                }
                _ => {}
            }
        }
        stopped
    }

    /// Whether the switch is engaged that this would engage: each look at a run would make it anew.
    fn is_tripped(&self, trip: &Trip, dispatch: &Dispatch, policy: &str) -> bool {
        Switch::tripped(trip, dispatch, policy).is_some_and(|wanted| {
            let same = |known: &Switch| known.selector == wanted.selector && known.author == wanted.author;
            let engaged = |known: &Switch| known.mode >= wanted.mode && known.is_engaged(dispatch.now_ms);
            self.switches().switches().iter().any(|known| same(known) && engaged(known))
        })
    }
}
