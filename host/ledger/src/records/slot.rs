//! One place of the recorder's queue: a bounded copy of a dispatch and its decision, in memory that is used again.

use std::mem;

use tollgate_core::{Decision, Dispatch, MAX_ACCOUNTS, MAX_CANDIDATES};

use super::DecisionId;
use super::context::{Context, Origins};

/// The longest name that is recorded, in bytes; a longer one is left out, its reference stays.
pub const MAX_NAME_BYTES: usize = 256;
/// The most tags of a dispatch that are recorded.
pub const MAX_TAGS: usize = 512;
/// The most counters of a dispatch that are recorded: eight for each of 64 policies.
pub const MAX_COUNTERS: usize = 512;

/// One more than a dispatch may have, so that one that has too many is refused again when it is decided again.
const CANDIDATES: usize = MAX_CANDIDATES + 1;
const ACCOUNTS: usize = MAX_ACCOUNTS + 1;

/// A dispatch, its decision and what was said beside them.
#[derive(Debug, Default)]
pub(super) struct Slot {
    pub(super) id: Option<DecisionId>,
    pub(super) dispatch: Dispatch,
    pub(super) decision: Option<Decision>,
    pub(super) names: NameBuffer,
    pub(super) trace_id: Option<[u8; 16]>,
    pub(super) span_id: Option<[u8; 8]>,
    pub(super) origins: Origins,
    /// A list was longer than is recorded.
    pub(super) cut: bool,
}

impl Slot {
    /// Copies, at most what the bounds allow. Nothing is allocated once the slot's lists have grown.
    pub(super) fn fill(&mut self, id: DecisionId, dispatch: &Dispatch, decision: &Decision, context: &Context<'_>) {
        self.id = Some(id);
        self.cut = copy(dispatch, &mut self.dispatch);
        self.decision = Some(decision.clone());
        self.names.fill(context);
        (self.trace_id, self.span_id) = (context.trace_id, context.span_id);
        self.origins = context.origins;
    }
}

/// Copies field by field, so that the lists keep their memory and a new field cannot be forgotten. Whether a list was cut.
fn copy(from: &Dispatch, to: &mut Dispatch) -> bool {
    let Dispatch {
        now_ms,
        waited_ms,
        task_type,
        stage,
        priority,
        approved,
        scopes,
        task,
        sample,
        spending,
        attempts,
        input_tokens,
        output_tokens,
        requested_tier,
        requested_model,
        sticky,
        candidates,
        accounts,
        tags,
        counters,
    } = from;
    *to = Dispatch {
        now_ms: *now_ms,
        waited_ms: *waited_ms,
        task_type: *task_type,
        stage: *stage,
        priority: *priority,
        approved: *approved,
        scopes: *scopes,
        task: *task,
        sample: *sample,
        spending: *spending,
        attempts: *attempts,
        input_tokens: *input_tokens,
        output_tokens: *output_tokens,
        requested_tier: *requested_tier,
        requested_model: *requested_model,
        sticky: *sticky,
        candidates: refill(mem::take(&mut to.candidates), candidates, CANDIDATES),
        accounts: refill(mem::take(&mut to.accounts), accounts, ACCOUNTS),
        tags: refill(mem::take(&mut to.tags), tags, MAX_TAGS),
        counters: refill(mem::take(&mut to.counters), counters, MAX_COUNTERS),
    };
    candidates.len() > CANDIDATES || accounts.len() > ACCOUNTS || tags.len() > MAX_TAGS || counters.len() > MAX_COUNTERS
}

fn refill<T: Copy>(mut list: Vec<T>, from: &[T], most: usize) -> Vec<T> {
    list.clear();
    list.extend_from_slice(from.get(..most).unwrap_or(from));
    list
}

/// The names of a context, one after the other in one text.
#[derive(Debug, Default)]
pub(super) struct NameBuffer {
    text: String,
    /// For each name in order: its end in the text, or that there is none.
    ends: Vec<Option<usize>>,
}

impl NameBuffer {
    fn fill(&mut self, context: &Context<'_>) {
        self.text.clear();
        self.ends.clear();
        for name in context.names.in_order() {
            let name = name.filter(|name| name.len() <= MAX_NAME_BYTES);
            self.text.push_str(name.unwrap_or_default());
            self.ends.push(name.map(|_| self.text.len()));
        }
    }

    /// The names in the order of [`super::Names`].
    pub(super) fn iter(&self) -> impl Iterator<Item = Option<&str>> {
        let mut start = 0;
        self.ends.iter().map(move |end| {
            let name = self.text.get(start..(*end)?);
            start = end.unwrap_or(start);
            name
        })
    }
}
