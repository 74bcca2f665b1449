//! A map with a stated bound that forgets what was untouched for longest.
//!
//! Readers take no lock: values are replaced whole, and a reader has the one from before or the one from after it. Writers
//! wait for each other.

use std::collections::{BTreeSet, HashSet};
use std::hash::Hash;
use std::sync::{Mutex, MutexGuard, PoisonError};

use foldhash::fast::RandomState;

use crate::reclaim;

#[derive(Debug)]
pub(super) struct Bounded<K: Eq + Hash, V> {
    capacity: usize,
    entries: papaya::HashMap<K, Entry<V>, RandomState>,
    ages: Mutex<Ages<K>>,
}

#[derive(Clone, Debug)]
struct Entry<V> {
    touched: u64,
    value: V,
}

#[derive(Debug)]
struct Ages<K> {
    by_age: BTreeSet<(u64, K)>,
    /// What differs from storage; nothing where nobody stores it.
    changed: Option<HashSet<K, RandomState>>,
}

/// What became of a key since storage was told: its value and when it was touched, or that it was forgotten.
pub(super) type Changed<K, V> = (K, Option<(u64, V)>);

/// Ages are told apart by the minute: what is used all the time need not change its place all the time.
const AGE_MS: u64 = 60_000;

/// The most changes that wait to be stored. One that finds no place is stored when its key changes again.
pub(super) const MAX_CHANGED: usize = 100_000;

impl<K: Copy + Eq + Hash + Ord, V: Clone + PartialEq> Bounded<K, V> {
    pub(super) fn new(capacity: usize) -> Self {
        let ages = Ages { by_age: BTreeSet::new(), changed: None };
        let entries = papaya::HashMap::builder().hasher(RandomState::default()).collector(reclaim::collector()).build();
        Self { capacity: capacity.max(1), entries, ages: Mutex::new(ages) }
    }

    /// From now on what changes is noted, for [`Self::take_changed`].
    pub(super) fn note_changes(&self) {
        self.ages().changed.get_or_insert_default();
    }

    pub(super) fn read<T>(&self, key: &K, look: impl FnOnce(&V) -> T) -> Option<T> {
        self.entries.pin().get(key).map(|entry| look(&entry.value))
    }

    /// Forgets a key: when it was touched, to the minute, and its value.
    pub(super) fn remove(&self, key: &K) -> Option<(u64, V)> {
        let mut ages = self.ages();
        let entries = self.entries.pin();
        let entry = entries.remove(key)?;
        ages.by_age.remove(&(entry.touched, *key));
        ages.note(*key);
        Some((entry.touched.saturating_mul(AGE_MS), entry.value.clone()))
    }

    /// Changes the value of a key, which is touched now, and is made from `fresh` where there is none.
    pub(super) fn change(&self, key: K, now_ms: u64, fresh: V, change: impl FnOnce(&mut V)) {
        let mut ages = self.ages();
        let entries = self.entries.pin();
        let touched = now_ms.checked_div(AGE_MS).unwrap_or(0);
        let known = entries.get(&key);
        let mut entry = match known {
            Some(known) if known.touched == touched => known.clone(),
            Some(known) => {
                ages.by_age.remove(&(known.touched, key));
                ages.by_age.insert((touched, key));
                Entry { touched, value: known.value.clone() }
            }
            None => {
                self.make_room(&mut ages);
                ages.by_age.insert((touched, key));
                Entry { touched, value: fresh }
            }
        };
        change(&mut entry.value);
        if known.is_none_or(|known| known.value != entry.value) {
            ages.note(key);
        }
        entries.insert(key, entry);
    }

    /// Takes a value in from storage, unless it is known already.
    pub(super) fn restore(&self, key: K, touched_ms: u64, value: V) {
        let mut ages = self.ages();
        let entries = self.entries.pin();
        if entries.contains_key(&key) {
            return;
        }
        self.make_room(&mut ages);
        let touched = touched_ms.checked_div(AGE_MS).unwrap_or(0);
        ages.by_age.insert((touched, key));
        entries.insert(key, Entry { touched, value });
    }

    /// Takes at most so many of the changes that were noted.
    pub(super) fn take_changed(&self, most: usize) -> Vec<Changed<K, V>> {
        let mut ages = self.ages();
        let Some(changed) = &mut ages.changed else {
            return Vec::new();
        };
        let keys: Vec<K> = changed.iter().take(most).copied().collect();
        for key in &keys {
            changed.remove(key);
        }
        let entries = self.entries.pin();
        let value = |entry: &Entry<V>| (entry.touched.saturating_mul(AGE_MS), entry.value.clone());
        keys.into_iter().map(|key| (key, entries.get(&key).map(value))).collect()
    }

    fn make_room(&self, ages: &mut Ages<K>) {
        if ages.by_age.len() >= self.capacity
            && let Some((_, oldest)) = ages.by_age.pop_first()
        {
            self.entries.pin().remove(&oldest);
            ages.note(oldest);
        }
    }

    fn ages(&self) -> MutexGuard<'_, Ages<K>> {
        self.ages.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Eq + Hash> Ages<K> {
    fn note(&mut self, key: K) {
        if let Some(changed) = &mut self.changed
            && changed.len() < MAX_CHANGED
        {
            changed.insert(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: u64 = AGE_MS;

    #[test]
    fn the_one_untouched_for_longest_is_forgotten() {
        let map = Bounded::new(2);
        let put = |key, minute: u64, text| map.change(key, minute * MINUTE, "", |value| *value = text);
        let get = |key| map.read(&key, |value| *value);
        put(1, 10, "first");
        put(2, 20, "second");
        put(1, 30, "first");
        put(3, 40, "third");
        assert_eq!((get(1), get(2), get(3)), (Some("first"), None, Some("third")));
        assert_eq!(map.remove(&1), Some((30 * MINUTE, "first")));
        assert_eq!((map.entries.len(), map.ages().by_age.len()), (1, 1));
    }

    #[test]
    fn who_reads_is_not_kept_waiting_by_who_writes() {
        let map = Bounded::new(2);
        map.change(1, 0, 0, |value| *value = 7);
        map.change(1, 0, 0, |value| {
            // The writer holds its lock now.
            assert_eq!(map.read(&1, |seen| *seen), Some(7));
            *value = 8;
        });
        assert_eq!(map.read(&1, |seen| *seen), Some(8));
    }

    #[test]
    fn what_changed_is_told_once_and_what_was_forgotten_too() {
        let map = Bounded::new(2);
        map.change(0, 0, 0, |value| *value = 1);
        assert!(map.take_changed(9).is_empty(), "nobody stores it");
        map.note_changes();
        map.restore(0, MINUTE, 5);
        map.restore(1, MINUTE, 5);
        assert_eq!((map.read(&0, |value| *value), map.read(&1, |value| *value)), (Some(1), Some(5)));
        map.change(1, 2 * MINUTE, 0, |value| *value = 5);
        assert!(map.take_changed(9).is_empty(), "it is what it was");
        map.change(1, 3 * MINUTE, 0, |value| *value = 6);
        map.change(2, 3 * MINUTE, 0, |value| *value = 7);
        let mut changed = map.take_changed(9);
        changed.sort_unstable();
        assert_eq!(changed, [(0, None), (1, Some((3 * MINUTE, 6))), (2, Some((3 * MINUTE, 7)))]);
        assert!(map.take_changed(9).is_empty());
    }

    #[test]
    fn changes_that_nobody_takes_are_bounded() {
        let map = Bounded::new(MAX_CHANGED + 2);
        map.note_changes();
        for key in 0..MAX_CHANGED + 2 {
            map.change(key, 0, 0, |value| *value = 1);
        }
        assert_eq!(map.take_changed(usize::MAX).len(), MAX_CHANGED);
        map.change(MAX_CHANGED + 1, 0, 0, |value| *value = 2);
        assert_eq!(map.take_changed(9), [(MAX_CHANGED + 1, Some((0, 2)))]);
    }
}
