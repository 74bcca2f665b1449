//! The thread that writes: takes copies from the queue, makes records of them, and hands their memory back.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use super::files::{Files, encode};
use super::form::{DecisionRecord, Entry, Lost, PolicySet};
use super::recorder::{Naming, Shared};
use super::slot::Slot;

/// How long it rests when the queue is empty; whoever fills half of the queue wakes it before, and no
/// other decision makes a system call. A record is in its file a twentieth of a second later.
pub(super) const REST: Duration = Duration::from_millis(50);
/// After so many it says what was lost, also when the queue is never empty.
const BATCH: u32 = 4_096;
/// As much as is written in one go.
const CHUNK_BYTES: usize = 64 << 10;

pub(super) struct Writer {
    shared: Arc<Shared>,
    naming: Box<dyn Naming>,
    files: Files,
    /// The policies of the generation that was written last, and whether they stand in the file.
    policies: Option<Arc<PolicySet>>,
    policies_written: bool,
    /// Entries that are not in a file yet, and how many decisions are among them.
    waiting: Vec<u8>,
    waiting_decisions: u64,
    /// The next file could not be made; it is tried again after a rest.
    refused: bool,
    /// What the files say was lost.
    told: Lost,
}

impl Writer {
    pub(super) fn new(shared: Arc<Shared>, naming: Box<dyn Naming>, files: Files) -> Self {
        Self {
            shared,
            naming,
            files,
            policies: None,
            policies_written: false,
            waiting: Vec::new(),
            waiting_decisions: 0,
            refused: false,
            told: Lost::default(),
        }
    }

    /// Until the recorder is gone and its queue is empty.
    pub(super) fn run(mut self) {
        loop {
            let stopping = self.shared.is_stopping();
            self.refused = false;
            let mut taken = 0_u32;
            while taken < BATCH
                && let Some(slot) = self.shared.take()
            {
                self.take_in(&slot);
                self.shared.give_back(slot);
                taken = taken.saturating_add(1);
            }
            self.write_down();
            self.tell_lost();
            self.shared.tell_idle();
            if taken == BATCH {
                continue;
            }
            if stopping {
                return;
            }
            thread::park_timeout(REST);
        }
    }

    fn take_in(&mut self, slot: &Slot) {
        let Some(decision) = &slot.decision else { return };
        if self.files.is_due(self.waiting.len()) {
            self.write_down();
            self.begin_file();
        }
        let policies = self.policies_of(decision.generation);
        if let Some(record) = DecisionRecord::of(slot, self.naming.symbols(), &policies)
            && let Ok(bytes) = encode(&Entry::Decision(Box::new(record)))
        {
            self.waiting.extend_from_slice(&bytes);
            self.waiting_decisions = self.waiting_decisions.saturating_add(1);
        } else {
            self.shared.lose_written(1);
        }
        if self.waiting.len() >= CHUNK_BYTES {
            self.write_down();
        }
    }

    /// The policies of a generation, which stand in the file before its first decision.
    fn policies_of(&mut self, generation: u64) -> Arc<PolicySet> {
        let known = self.policies.take().filter(|policies| policies.generation == generation);
        let changed = known.is_none();
        let policies = known.unwrap_or_else(|| {
            let set = self.naming.policies(generation);
            Arc::new(set.unwrap_or_else(|| PolicySet { generation, policies: Vec::new() }))
        });
        if (changed || !self.policies_written)
            && let Ok(bytes) = encode(&Entry::Policies(PolicySet::clone(&policies)))
        {
            self.waiting.extend_from_slice(&bytes);
            self.policies_written = true;
        }
        self.policies = Some(Arc::clone(&policies));
        policies
    }

    /// Writes into the file how many were lost since it was said last.
    fn tell_lost(&mut self) {
        let lost = self.shared.lost();
        let since = Lost {
            queue_full: lost.queue_full.saturating_sub(self.told.queue_full),
            write_failed: lost.write_failed.saturating_sub(self.told.write_failed),
        };
        if since.all() > 0
            && let Ok(bytes) = encode(&Entry::Lost(since))
        {
            if self.files.is_due(0) {
                self.begin_file();
            }
            if self.files.append(&bytes).is_ok() {
                self.told = lost;
            }
        }
    }

    /// Where there is none, what is appended says so.
    fn begin_file(&mut self) {
        if !self.refused {
            self.policies_written = false;
            self.refused = self.files.next().is_err();
        }
    }

    fn write_down(&mut self) {
        if !self.waiting.is_empty() && self.files.append(&self.waiting).is_err() {
            self.shared.lose_written(self.waiting_decisions);
            self.policies_written = false;
        } else {
            self.shared.count_written(self.waiting_decisions);
        }
        self.waiting.clear();
        self.waiting_decisions = 0;
    }
}
