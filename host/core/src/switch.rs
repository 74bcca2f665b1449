//! Engaged kill switches, and what they cover.

use std::sync::Arc;

use crate::dispatch::MAX_CANDIDATES;
use crate::{Candidate, Dispatch, Health, Reason, Reference, ScopeKind, SwitchMode, Symbol, Trip, TripSelector};

/// The most switches engaged at once. Past it the widest thing is to stop everything, which needs one.
pub const MAX_SWITCHES: usize = 10_000;

/// What a switch covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Selector {
    /// Every dispatch.
    Everything,
    /// The dispatches of a scope.
    Scope(ScopeKind, Reference),
    /// A model, on any backend: its candidates are dropped.
    Model(Symbol),
    /// The dispatches of a task type.
    TaskType(Symbol),
}

/// An engaged kill switch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Switch {
    /// What it covers.
    pub selector: Selector,
    /// How it treats what runs.
    pub mode: SwitchMode,
    /// Why it is engaged, and the evidence.
    pub reason: Reason,
    /// Who or what engaged it: an operator's name, or `policy:<name>`.
    pub author: Arc<str>,
    /// When it was engaged, in milliseconds since the Unix epoch.
    pub engaged_ms: u64,
    /// When it ends by itself, likewise; nothing for one that an operator has to lift.
    pub expires_ms: Option<u64>,
}

impl Switch {
    /// The switch that a tripping policy asked for, about the dispatch that tripped it. Nothing where the
    /// selector names a scope that the dispatch has not, or nothing: [`Symbol::UNKNOWN`] is every name that no
    /// configuration mentions, and a switch on it would stop them all.
    #[must_use]
    pub fn tripped(trip: &Trip, dispatch: &Dispatch, policy: &str) -> Option<Self> {
        let selector = match trip.selector {
            TripSelector::Everything => Selector::Everything,
            TripSelector::Scope(kind) => Selector::Scope(kind, dispatch.scopes.of(kind)?),
            TripSelector::Model(Symbol::UNKNOWN) | TripSelector::TaskType(Symbol::UNKNOWN) => return None,
            TripSelector::Model(model) => Selector::Model(model),
            TripSelector::TaskType(task_type) => Selector::TaskType(task_type),
        };
        Some(Self {
            selector,
            mode: trip.mode,
            reason: trip.reason,
            author: format!("policy:{policy}").into(),
            engaged_ms: dispatch.now_ms,
            expires_ms: Some(dispatch.now_ms.saturating_add(trip.time_to_live_ms)),
        })
    }

    /// Whether it is still engaged.
    #[must_use]
    pub fn is_engaged(&self, now_ms: u64) -> bool {
        self.expires_ms.is_none_or(|end| now_ms < end)
    }
}

/// Why a switch was not engaged.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{MAX_SWITCHES} switches are engaged: lift some, or engage one that covers more")]
pub struct TooManySwitches;

/// What the engaged switches cover of one dispatch: all that a decision learns from the board, so that it can be made
/// again without it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Covered {
    /// The board's epoch; a permit made from this holds while it does.
    pub epoch: u64,
    /// The strictest switch over the dispatch itself. In a box, since for almost every dispatch there is none.
    pub by: Option<Box<Switch>>,
    /// Bit n is set where a switch covers the model of candidate n, whose backend is not down.
    pub candidates: u64,
    /// The reason of the last of the switches that cover a candidate.
    pub candidates_reason: Option<Reason>,
}

impl Covered {
    /// Whether a switch covers the model of that candidate.
    #[must_use]
    pub fn covers_candidate(&self, index: u32) -> bool {
        self.candidates.checked_shr(index).unwrap_or(0) & 1 == 1
    }
}

/// The engaged switches at one moment, and how many times they have changed.
#[derive(Clone, Debug, Default)]
pub struct SwitchBoard {
    switches: Vec<Switch>,
    /// Places of the switches on scopes, in order of what they cover: there may be one for each of many runs.
    by_scope: Vec<((ScopeKind, Reference), usize)>,
    /// Places of the switches on models.
    by_model: Vec<(Symbol, usize)>,
    /// Places of all others, which are few.
    others: Vec<usize>,
    epoch: u64,
}

impl SwitchBoard {
    /// Those engaged or expired and not yet swept, in the order in which they were engaged.
    #[must_use]
    pub fn switches(&self) -> &[Switch] {
        &self.switches
    }

    /// Rises with every change. A permit remembers the epoch it was made in.
    #[must_use]
    pub const fn epoch(&self) -> u64 {
        self.epoch
    }

    /// This board and one more switch. One with the same selector and author is replaced; expired ones are
    /// swept.
    ///
    /// # Errors
    /// When [`MAX_SWITCHES`] are engaged.
    pub fn with(&self, switch: Switch) -> Result<Self, TooManySwitches> {
        let same = |other: &Switch| other.selector == switch.selector && other.author == switch.author;
        let mut switches: Vec<Switch> =
            self.switches.iter().filter(|other| other.is_engaged(switch.engaged_ms) && !same(other)).cloned().collect();
        if switches.len() >= MAX_SWITCHES {
            return Err(TooManySwitches);
        }
        switches.push(switch);
        Ok(Self::indexed(switches, self.epoch.wrapping_add(1)))
    }

    /// This board without the switches of that selector.
    #[must_use]
    pub fn without(&self, selector: Selector) -> Self {
        let switches = self.switches.iter().filter(|switch| switch.selector != selector).cloned().collect();
        Self::indexed(switches, self.epoch.wrapping_add(1))
    }

    /// The strictest engaged switch that covers the dispatch. A switch on a model covers none: it drops candidates.
    #[must_use]
    pub fn cover(&self, dispatch: &Dispatch) -> Option<&Switch> {
        let of_scopes = ScopeKind::ALL
            .iter()
            .filter_map(|kind| Some((*kind, dispatch.scopes.of(*kind)?)))
            .flat_map(|scope| self.of_scope(scope));
        let of_others = self.others().filter(|switch| match switch.selector {
            Selector::Everything => true,
            Selector::TaskType(task_type) => dispatch.task_type == task_type,
            Selector::Scope(..) | Selector::Model(_) => false,
        });
        strictest(of_scopes.chain(of_others), dispatch.now_ms)
    }

    /// The strictest engaged switch on a candidate's model.
    #[must_use]
    pub fn cover_of_candidate(&self, candidate: &Candidate, now_ms: u64) -> Option<&Switch> {
        let of_model = self.by_model.iter().filter(|(model, _)| *model == candidate.model);
        strictest(of_model.filter_map(|(_, place)| self.switches.get(*place)), now_ms)
    }

    /// What they cover of a dispatch; of its candidates, the first [`MAX_CANDIDATES`].
    #[must_use]
    pub fn covered(&self, dispatch: &Dispatch) -> Covered {
        let mut covered =
            Covered { epoch: self.epoch, by: self.cover(dispatch).cloned().map(Box::new), ..Covered::default() };
        for (index, candidate) in dispatch.candidates.iter().take(MAX_CANDIDATES).enumerate() {
            if candidate.health == Health::Down {
                continue;
            }
            if let Some(switch) = self.cover_of_candidate(candidate, dispatch.now_ms) {
                covered.candidates |= 1_u64.checked_shl(u32::try_from(index).unwrap_or(64)).unwrap_or(0);
                covered.candidates_reason = Some(switch.reason);
            }
        }
        covered
    }

    fn indexed(switches: Vec<Switch>, epoch: u64) -> Self {
        let mut board = Self { epoch, ..Self::default() };
        for (place, switch) in switches.iter().enumerate() {
            match switch.selector {
                Selector::Scope(kind, reference) => board.by_scope.push(((kind, reference), place)),
                Selector::Model(model) => board.by_model.push((model, place)),
                Selector::Everything | Selector::TaskType(_) => board.others.push(place),
            }
        }
        board.by_scope.sort_unstable();
        Self { switches, ..board }
    }

    fn of_scope(&self, scope: (ScopeKind, Reference)) -> impl Iterator<Item = &Switch> {
        let first = self.by_scope.partition_point(|(other, _)| *other < scope);
        let from_first = self.by_scope.get(first..).unwrap_or_default();
        from_first
            .iter()
            .take_while(move |(other, _)| *other == scope)
            .filter_map(|(_, place)| self.switches.get(*place))
    }

    fn others(&self) -> impl Iterator<Item = &Switch> {
        self.others.iter().filter_map(|place| self.switches.get(*place))
    }
}

fn strictest<'a>(switches: impl Iterator<Item = &'a Switch>, now_ms: u64) -> Option<&'a Switch> {
    switches.filter(|switch| switch.is_engaged(now_ms)).max_by_key(|switch| switch.mode)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn switch(selector: Selector, mode: SwitchMode) -> Switch {
        Switch {
            selector,
            mode,
            reason: Reason::default(),
            author: "operator".into(),
            engaged_ms: 0,
            expires_ms: Some(1_000),
        }
    }

    fn dispatch(now_ms: u64) -> Dispatch {
        let mut dispatch = Dispatch { now_ms, task_type: Symbol::from_u32(4), ..Dispatch::default() };
        dispatch.scopes.set(ScopeKind::Team, Reference::of("red"));
        dispatch
    }

    #[test]
    fn a_selector_covers_what_it_names_until_it_expires() -> Result<(), TooManySwitches> {
        let red = Selector::Scope(ScopeKind::Team, Reference::of("red"));
        let blue = Selector::Scope(ScopeKind::Team, Reference::of("blue"));
        for (selector, covers) in [
            (Selector::Everything, true),
            (red, true),
            (blue, false),
            (Selector::Scope(ScopeKind::User, Reference::of("red")), false),
            (Selector::TaskType(Symbol::from_u32(4)), true),
            (Selector::TaskType(Symbol::from_u32(5)), false),
            (Selector::Model(Symbol::from_u32(4)), false),
        ] {
            let board = SwitchBoard::default().with(switch(selector, SwitchMode::Drain))?;
            assert_eq!(board.cover(&dispatch(999)).is_some(), covers, "{selector:?}");
            assert!(board.cover(&dispatch(1_000)).is_none(), "{selector:?} has expired");
        }
        Ok(())
    }

    #[test]
    fn the_strictest_cover_counts_and_every_change_raises_the_epoch() -> Result<(), TooManySwitches> {
        let drain = SwitchBoard::default().with(switch(Selector::Everything, SwitchMode::Drain))?;
        let both = drain.with(switch(Selector::TaskType(Symbol::from_u32(4)), SwitchMode::Cut))?;
        assert_eq!(both.cover(&dispatch(0)).map(|switch| switch.mode), Some(SwitchMode::Cut));
        let lifted = both.without(Selector::TaskType(Symbol::from_u32(4)));
        assert_eq!(lifted.cover(&dispatch(0)).map(|switch| switch.mode), Some(SwitchMode::Drain));
        assert_eq!((drain.epoch(), both.epoch(), lifted.epoch()), (1, 2, 3));
        Ok(())
    }

    #[test]
    fn the_board_is_bounded() {
        let switches = (0..MAX_SWITCHES as u64)
            .map(|run| switch(Selector::Scope(ScopeKind::Run, Reference::of(&run.to_string())), SwitchMode::Cut))
            .collect();
        let board = SwitchBoard::indexed(switches, 0);
        let mut dispatch = dispatch(0);
        dispatch.scopes.set(ScopeKind::Run, Reference::of("9999"));
        assert_eq!(
            board.cover(&dispatch).map(|switch| switch.selector),
            Some(Selector::Scope(ScopeKind::Run, Reference::of("9999")))
        );
        assert_eq!(board.with(switch(Selector::Everything, SwitchMode::Cut)).err(), Some(TooManySwitches));
    }
}
